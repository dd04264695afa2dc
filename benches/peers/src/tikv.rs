//! Crate `raft` over its own `MemStorage`: `Cluster`. Pre-vote, check-quorum and the time-outs are
//! set as Holm has them; appends that wait for the same follower are merged, as Holm merges them.

use crate::{Cluster as _, first_byte, seat};
use raft::eraftpb::{Entry, EntryType, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use std::collections::VecDeque;
use std::hint::black_box;

pub(crate) struct Cluster {
    members: Vec<Seat>,
    leader: usize,
}

struct Seat {
    node: RawNode<MemStorage>,
    inbox: VecDeque<Message>,
    applied: u64,
    sum: u64,
}

impl Cluster {
    pub(crate) fn new(members: u64) -> Self {
        let voters: Vec<u64> = (1..=members).collect();
        let members = voters.iter().map(|id| Seat::new(*id, voters.clone())).collect();
        let mut cluster = Self { members, leader: 0 };
        cluster.members[0].node.campaign().expect("a voter may campaign");
        cluster.settle();
        assert_eq!(cluster.members[0].node.raft.state, StateRole::Leader, "nobody else campaigns");
        cluster
    }

    fn turn(&mut self, at: usize) {
        let seat = &mut self.members[at];
        while let Some(message) = seat.inbox.pop_front() {
            seat.node.step(message).expect("a message of a member");
        }
        while self.members[at].node.has_ready() {
            self.act(at);
        }
    }

    /// What the crate's documentation asks of a driver, in its order.
    fn act(&mut self, at: usize) {
        let seat = &mut self.members[at];
        let mut ready = seat.node.ready();
        let mut send = ready.take_messages();
        seat.apply(ready.take_committed_entries());
        if !ready.entries().is_empty() {
            seat.node.store().wl().append(ready.entries()).expect("entries follow one another");
        }
        if let Some(hard_state) = ready.hs() {
            seat.node.store().wl().set_hardstate(hard_state.clone());
        }
        send.append(&mut ready.take_persisted_messages());
        let mut light = seat.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            seat.node.store().wl().mut_hard_state().set_commit(commit);
        }
        send.append(&mut light.take_messages());
        seat.apply(light.take_committed_entries());
        seat.node.advance_apply();
        for message in send {
            self.members[self::seat(message.to)].inbox.push_back(message);
        }
    }
}

impl crate::Cluster for Cluster {
    fn propose(&mut self, command: Vec<u8>) {
        let leader = &mut self.members[self.leader].node;
        leader.propose(Vec::new(), command).expect("it leads");
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
        let sums = self.members.iter().map(|seat| (seat.applied, black_box(seat.sum)));
        sums.min().map_or(0, |(applied, _)| applied)
    }
}

impl Seat {
    fn new(id: u64, voters: Vec<u64>) -> Self {
        let config = Config {
            id,
            election_tick: 15,
            heartbeat_tick: 3,
            max_inflight_msgs: 64,
            max_size_per_msg: 1 << 20,
            check_quorum: true,
            pre_vote: true,
            batch_append: true,
            ..Config::default()
        };
        let storage = MemStorage::new_with_conf_state((voters, vec![]));
        let quiet = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, storage, &quiet).expect("settings that work together");
        Self { node, inbox: VecDeque::new(), applied: 0, sum: 0 }
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty() {
                self.applied += 1;
                self.sum += first_byte(&entry.data);
            }
        }
    }
}
