//! The members as this one knows them: what `Node::members` shows.

use crate::StateMachine;
use crate::driver::{Driver, seen};
use crate::member_info::MemberInfo;
use crate::members::{IncarnationNumber, Member, Members};
use holm_raft_core as raft;
use holm_raft_core::{Index, MemberId, Standing};

impl<S: StateMachine> Driver<S> {
    /// The members, as they are known here.
    pub(in crate::driver) fn members_now(&self) -> Members {
        let core = self.raft.status();
        let (index, current) = self.raft.configuration_at(Index(u64::MAX));
        let overview = self.overview(&core);
        let peers = self.transport.peers();
        let running_ms = millis(self.config.tick).saturating_mul(self.ticks);
        let member = |(member, standing): &(raft::Member, Standing)| {
            let MemberId { node, incarnation } = member.id;
            let info = MemberInfo::decode(&member.info).unwrap_or_default();
            let peer = peers.iter().find(|peer| peer.node == node);
            let told = overview.as_ref().and_then(|told| Some((told, *told.matched.get(&node)?)));
            let (reached, reached_for_ms) = match peer {
                _ if member.id == self.me => ("self".into(), running_ms),
                // The number is another's: a wiped disk, or one that was replaced.
                Some(peer) if peer.member.is_some_and(|found| found != member.id) => {
                    ("in another incarnation".into(), millis(peer.held))
                }
                Some(peer) => (seen::reached(peer), millis(peer.held)),
                None => ("not connected".into(), 0),
            };
            Member {
                node: node.0,
                incarnation: IncarnationNumber(incarnation.0),
                standing: (*standing).into(),
                island: info.island,
                address: info.address,
                relay: info.relay,
                weight: info.weight,
                storage: info.storage,
                key: info.key,
                matched: told.map(|(_, matched)| matched),
                trails: told.map(|(told, matched)| told.last.saturating_sub(matched)),
                reached,
                reached_for_ms,
            }
        };
        Members {
            index: index.0,
            leader: core.leader.map(|leader| leader.node.0),
            members: current.members().map(member).collect(),
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
