//! How a cluster is formed, once: each member that was told to `--bootstrap` on an empty storage
//! says that it is ready; when the one with the lowest id has heard all, it writes the first
//! configuration, and only that one: two members that each wrote one could differ. The others take
//! it over. A member that has a configuration answers with it, or refuses a stranger.
//!
//! Notes between members: a byte that says which, then the configuration's bytes for `FORM`.

use super::Driver;
use super::calls::{ANSWER, CALL, CALL_STATUS};
use super::membership::{ASK_LEADER, LEADER_TOLD};
use super::overview::OVERVIEW;
use super::roster::ROSTER;
use crate::StateMachine;
use crate::config::Start;
use crate::member_info::MemberInfo;
use crate::members::StorageKind;
use crate::repair_note::{ASK, OFFER};
use crate::stop::Stop;
use crate::topology;
use bytes::{BufMut, Bytes, BytesMut};
use holm_raft_core::{Configuration, Event, Index, Member, MemberId, NodeId};
use std::collections::BTreeMap;

/// "I am empty, and told to form the cluster." A byte more says that it keeps nothing over a
/// restart.
const READY: u8 = 1;
/// "It is formed, of these members, you among them."
const FORM: u8 = 2;
/// "It is formed, and you are not in it."
const FORMED_WITHOUT_YOU: u8 = 3;

/// How many ticks pass between two notes that say `READY`.
const READY_TICKS: u64 = 5;

/// How far a member without a configuration is.
#[derive(Debug)]
pub(crate) enum Formation {
    /// It has a configuration, or had one.
    Done,
    /// It waits to be added.
    Waiting,
    /// It forms the cluster with the others; these are ready, in these incarnations.
    Forming { ready: BTreeMap<NodeId, (MemberId, StorageKind)> },
}

impl Formation {
    pub(crate) fn new(start: Start, configuration: &Configuration) -> Self {
        match start {
            _ if !configuration.is_empty() => Self::Done,
            Start::Join => Self::Waiting,
            Start::Bootstrap => Self::Forming { ready: BTreeMap::new() },
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Done | Self::Waiting => "waiting",
            Self::Forming { .. } => "forming",
        }
    }
}

impl<S: StateMachine> Driver<S> {
    /// What is left of this member after a restart.
    fn storage(&self) -> StorageKind {
        self.edges.disk.lasts().into()
    }

    /// On each tick: says that this member is ready, and forms the cluster once all are.
    pub(super) fn form(&mut self) -> Result<(), Stop> {
        let Formation::Forming { ready } = &self.formation else { return Ok(()) };
        if !self.raft.configuration().is_empty() {
            self.formation = Formation::Done;
            return Ok(());
        }
        let members = &self.config.topology.members;
        let others =
            || members.iter().map(|member| NodeId(member.id)).filter(|id| *id != self.me.node);
        if self.ticks % READY_TICKS == 1 {
            for other in others() {
                self.tell(
                    other,
                    Bytes::from_static(match self.storage() {
                        StorageKind::Disk => &[READY],
                        StorageKind::Memory => &[READY, 1],
                    }),
                );
            }
        }
        if !others().all(|other| ready.contains_key(&other)) {
            return Ok(());
        }
        let own = (self.me, self.storage());
        let known = |node| ready.get(&node).copied().unwrap_or(own);
        let in_memory =
            |member: &&topology::Member| known(NodeId(member.id)).1 == StorageKind::Memory;
        let memory = members.iter().filter(in_memory).count();
        if memory > members.len() / 2 && !self.config.allow_memory_majority {
            return Err(Stop::Refused(format!(
                "{memory} of {} voters keep nothing over a restart, so that a restart of most loses \
                 all; give one of them a data directory, or set allow_memory_majority",
                members.len()
            )));
        }
        if members.iter().all(|member| member.id >= self.me.node.0) {
            let configuration = Configuration::new(members.iter().map(|member| {
                let (id, storage) = known(NodeId(member.id));
                Member { id, info: MemberInfo { storage, ..MemberInfo::from(member) }.encode() }
            }));
            tracing::info!(node = self.config.node, members = members.len(), "forming the cluster");
            self.raft.handle(Event::Form(configuration));
        }
        Ok(())
    }

    /// A note from another member.
    pub(super) fn note(&mut self, from: MemberId, note: Bytes) -> Result<(), Stop> {
        match (note.first().copied(), &mut self.formation) {
            (Some(READY), Formation::Forming { ready }) => {
                let storage = match note.get(1) {
                    None => StorageKind::Disk,
                    Some(_) => StorageKind::Memory,
                };
                ready.insert(from.node, (from, storage));
            }
            (Some(READY), _) => self.answer_ready(from),
            (Some(FORM), Formation::Forming { .. }) => {
                let Ok(configuration) = Configuration::decode(note.slice(1..)) else {
                    tracing::warn!(node = self.config.node, %from, "a malformed note was ignored");
                    return Ok(());
                };
                if configuration.is_voter(self.me) {
                    self.raft.handle(Event::Form(configuration));
                }
            }
            (Some(FORMED_WITHOUT_YOU), Formation::Forming { .. }) => {
                return Err(Stop::Refused(format!(
                    "cluster {} was formed already, as member {} says, and this storage is not \
                     part of it; start without --bootstrap and have this member added",
                    self.config.cluster, from.node
                )));
            }
            (Some(ASK), _) => self.offer_repair(from, &note),
            // For a member that has not started yet.
            (Some(OFFER), _) => {}
            (Some(OVERVIEW), _) => self.heard_overview(from, &note),
            (Some(ROSTER), _) => self.heard_roster(from, &note)?,
            (Some(ASK_LEADER), _) => self.heard_question(from, &note),
            (Some(LEADER_TOLD), _) => self.heard_answer(from, &note),
            (Some(CALL), _) => self.heard_call(from, &note),
            (Some(CALL_STATUS), _) => self.heard_status_call(from, &note),
            (Some(ANSWER), _) => self.heard_call_answer(from, &note),
            // Answers to a member that has formed meanwhile.
            (Some(FORM | FORMED_WITHOUT_YOU), _) => {}
            _ => tracing::warn!(node = self.config.node, %from, "an unknown note was ignored"),
        }
        Ok(())
    }

    /// Tells a member that is ready what it is part of. Only once that is durable here: what was
    /// told can't be taken back.
    fn answer_ready(&self, to: MemberId) {
        let status = self.raft.status();
        let configuration = self.raft.configuration();
        if configuration.is_empty() || status.durable < Index(1) {
            return;
        }
        if !configuration.is_voter(to) {
            self.tell(to.node, Bytes::from_static(&[FORMED_WITHOUT_YOU]));
        } else if self.raft.configuration_at(Index(u64::MAX)).0 == Index(1) {
            let encoded = configuration.encode();
            let mut note = BytesMut::with_capacity(1 + encoded.len());
            note.put_u8(FORM);
            note.put_slice(&encoded);
            self.tell(to.node, note.freeze());
        }
    }

    pub(super) fn tell(&self, to: NodeId, note: Bytes) {
        // A lost note is said again.
        let _ = self.transport.tell(to, note);
    }
}
