//! How the other members are reached, as the node's status shows it.

use super::Driver;
use crate::StateMachine;
use crate::member_info::MemberInfo;
use crate::security::Security;
use crate::status::{LinksStatus, MemberStatus};
use crate::topology::Topology;
use holm_raft_core::{NodeId, Raft};
use holm_transport::{PeerStatus, Reached};
use std::collections::BTreeMap;
use std::time::Duration;

impl<S: StateMachine> Driver<S> {
    pub(super) fn members(&self, core: &holm_raft_core::Status) -> Vec<MemberStatus> {
        let peers = self.transport.peers();
        for peer in &peers {
            if let Some(took) = peer.round_trip {
                self.measures.round_trip(peer.node.0, took);
            }
        }
        let overview = self.overview(core);
        let placement = self.placement.borrow().clone();
        let member = |(node, info): (NodeId, MemberInfo)| {
            let told = overview.as_ref().and_then(|told| Some((told, *told.matched.get(&node)?)));
            let known = MemberStatus {
                node: node.0,
                island: info.island,
                address: info.address,
                owns_ppm: placement.share_ppm(node.0),
                matched: told.map(|(_, matched)| matched),
                trails: told.map(|(told, matched)| told.last.saturating_sub(matched)),
                reached: if node == self.me.node { "self" } else { "not connected" }.into(),
                ..MemberStatus::default()
            };
            match peers.iter().find(|peer| peer.node == node) {
                Some(peer) => seen(known, peer),
                None => known,
            }
        };
        members(&self.config.topology, &self.raft).map(member).collect()
    }

    /// Who has links to whom.
    pub(super) fn links(&self) -> Vec<LinksStatus> {
        let rows = self.transport.matrix().into_iter();
        let row = |row: holm_transport::Neighbours| LinksStatus {
            node: row.node.0,
            links: row.links.into_iter().map(|node| node.0).collect(),
        };
        rows.map(row).collect()
    }

    /// The ids of the secrets, in their order.
    pub(super) fn secrets(&self) -> Vec<String> {
        match &self.config.security {
            Security::Insecure => Vec::new(),
            Security::Sealed { ring, .. } => ring.ids().map(|id| id.to_string()).collect(),
        }
    }

    /// Connections refused, by reason.
    pub(super) fn refused(&self) -> BTreeMap<String, u64> {
        let refused = self.transport.refused().into_iter();
        refused.map(|(why, count)| (why.name().to_owned(), count)).collect()
    }
}

fn seen(known: MemberStatus, peer: &PeerStatus) -> MemberStatus {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let lost = peer.lost.iter().map(|(reason, count)| (reason.name().to_owned(), *count));
    MemberStatus {
        reached: reached(peer),
        round_trip_us: peer.round_trip.map(micros),
        sent_bytes: peer.sent.bytes,
        received_bytes: peer.received.bytes,
        lost: lost.collect(),
        last_error: peer.last_error.clone(),
        ..known
    }
}

/// How a peer is reached, in words.
pub(super) fn reached(peer: &PeerStatus) -> String {
    match peer.reached {
        Reached::Direct => "direct".into(),
        Reached::Inbound => "inbound".into(),
        Reached::Via(next) => format!("via {next}"),
        Reached::Not => "not connected".into(),
    }
}

/// The members: of the replicated configuration once there is one, of the topology before.
fn members<'a>(
    topology: &'a Topology,
    raft: &'a Raft,
) -> impl Iterator<Item = (NodeId, MemberInfo)> + 'a {
    let configured = raft.configuration().members().map(|(member, _)| {
        let info = MemberInfo::decode(&member.info).unwrap_or_default();
        (member.id.node, info)
    });
    let unformed = raft.configuration().is_empty();
    let named = topology.members.iter().filter(move |_| unformed);
    let named = named.map(|member| (NodeId(member.id), MemberInfo::from(member)));
    configured.chain(named)
}
