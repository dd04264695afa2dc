//! Crate `omnipaxos` over its own `MemoryStorage`: `Cluster`. It merges what waits for the same
//! follower by itself; its settings are its defaults.

use crate::{Cluster as _, first_byte, seat};
use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;
use std::collections::VecDeque;
use std::hint::black_box;

/// Within how many ticks a leader has to be elected.
const ELECTION_TICKS_MAX: u32 = 10_000;

#[derive(Clone, Debug)]
pub(crate) struct Command(Bytes);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

pub(crate) struct Cluster {
    members: Vec<Seat>,
    leader: usize,
    /// Kept for its allocation.
    outbox: Vec<Message<Command>>,
}

struct Seat {
    node: OmniPaxos<Command, MemoryStorage<Command>>,
    inbox: VecDeque<Message<Command>>,
    applied: usize,
    sum: u64,
}

impl Cluster {
    pub(crate) fn new(members: u64) -> Self {
        let nodes: Vec<u64> = (1..=members).collect();
        let members = nodes.iter().map(|id| Seat::new(*id, nodes.clone())).collect();
        let mut cluster = Self { members, leader: 0, outbox: Vec::new() };
        for _ in 0..ELECTION_TICKS_MAX {
            cluster.tick();
            let leader = |seat: &Seat| seat.node.get_current_leader();
            let known: Vec<_> = cluster.members.iter().map(leader).collect();
            if let Some((id, true)) = known[0]
                && known.iter().all(|each| *each == known[0])
            {
                cluster.leader = seat(id);
                return cluster;
            }
        }
        panic!("no leader within {ELECTION_TICKS_MAX} ticks");
    }

    fn turn(&mut self, at: usize) {
        let seat = &mut self.members[at];
        while let Some(message) = seat.inbox.pop_front() {
            seat.node.handle_incoming(message);
        }
        seat.node.take_outgoing_messages(&mut self.outbox);
        seat.apply();
        for message in self.outbox.drain(..) {
            self.members[self::seat(message.get_receiver())].inbox.push_back(message);
        }
    }
}

impl crate::Cluster for Cluster {
    fn propose(&mut self, command: Vec<u8>) {
        let command = Command(Bytes::from(command));
        assert!(self.members[self.leader].node.append(command).is_ok(), "it leads");
    }

    fn settle(&mut self) {
        self.turn(self.leader);
        while let Some(at) = self.members.iter().position(|seat| !seat.inbox.is_empty()) {
            self.turn(at);
        }
    }

    fn tick(&mut self) {
        for at in 0..self.members.len() {
            self.members[at].node.tick();
            self.turn(at);
        }
        self.settle();
    }

    fn applied(&self) -> u64 {
        let sums = self.members.iter().map(|seat| (seat.applied as u64, black_box(seat.sum)));
        sums.min().map_or(0, |(applied, _)| applied)
    }
}

impl Seat {
    fn new(pid: u64, nodes: Vec<u64>) -> Self {
        let cluster = ClusterConfig { configuration_id: 1, nodes, ..ClusterConfig::default() };
        let server = ServerConfig { pid, ..ServerConfig::default() };
        let node = cluster.build_for_server(server, MemoryStorage::default());
        let node = node.expect("settings that work together");
        Self { node, inbox: VecDeque::new(), applied: 0, sum: 0 }
    }

    /// Reads what was decided since the last time.
    fn apply(&mut self) {
        if self.node.get_decided_idx() <= self.applied {
            return;
        }
        for entry in self.node.read_decided_suffix(self.applied).into_iter().flatten() {
            if let LogEntry::Decided(command) = entry {
                self.applied += 1;
                self.sum += first_byte(&command.0);
            }
        }
    }
}
