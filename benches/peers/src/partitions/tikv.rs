//! Crate `raft` as a cluster's member: [`TikvRaft`]. Pre-vote, check-quorum and the time-outs are
//! set as Holm has them. It draws its time-outs itself, anew in each run.

use crate::cluster::{ELECTION_TICKS, Member};
use raft::eraftpb::{Entry, EntryType, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

/// A node over the crate's own storage.
pub(crate) struct TikvRaft {
    node: RawNode<MemStorage>,
    committed: Option<[u8; 8]>,
}

impl TikvRaft {
    /// Member `id` of so many.
    pub(crate) fn new(id: u64, members: u64) -> Self {
        let ticks = |ticks: u64| usize::try_from(ticks).expect("few ticks");
        let config = Config {
            id,
            election_tick: ticks(ELECTION_TICKS),
            heartbeat_tick: 3,
            max_inflight_msgs: 64,
            max_size_per_msg: 1 << 20,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let voters: Vec<u64> = (1..=members).collect();
        let storage = MemStorage::new_with_conf_state((voters, vec![]));
        let quiet = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, storage, &quiet).expect("settings that work together");
        Self { node, committed: None }
    }

    fn apply(&mut self, entries: &[Entry]) {
        let commands =
            entries.iter().filter(|entry| entry.get_entry_type() == EntryType::EntryNormal);
        let last =
            commands.filter_map(|entry| <[u8; 8]>::try_from(&entry.data[..]).ok()).next_back();
        self.committed = last.or(self.committed);
    }

    /// What the crate's documentation asks of a driver, in its order.
    fn act(&mut self) -> Vec<Message> {
        let mut ready = self.node.ready();
        let mut send = ready.take_messages();
        self.apply(&ready.take_committed_entries());
        if !ready.entries().is_empty() {
            self.node.store().wl().append(ready.entries()).expect("entries follow one another");
        }
        if let Some(hard_state) = ready.hs() {
            self.node.store().wl().set_hardstate(hard_state.clone());
        }
        send.append(&mut ready.take_persisted_messages());
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.node.store().wl().mut_hard_state().set_commit(commit);
        }
        send.append(&mut light.take_messages());
        self.apply(&light.take_committed_entries());
        self.node.advance_apply();
        send
    }
}

impl Member for TikvRaft {
    type Message = Message;

    fn tick(&mut self, _now: u64) {
        self.node.tick();
    }

    fn handle(&mut self, message: Message) {
        self.node.step(message).expect("a message of a member");
    }

    fn propose(&mut self, _number: u64, command: [u8; 8]) {
        self.node.propose(Vec::new(), command.to_vec()).expect("it leads");
    }

    fn settle(&mut self) -> Vec<(u64, Message)> {
        let mut sent = Vec::new();
        while self.node.has_ready() {
            sent.extend(self.act().into_iter().map(|message| (message.to, message)));
        }
        sent
    }

    fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    fn term(&self) -> u64 {
        self.node.raft.term
    }

    fn last(&self) -> u64 {
        self.node.raft.raft_log.last_index()
    }

    fn committed(&self) -> Option<[u8; 8]> {
        self.committed
    }

    fn told(&self) -> String {
        let raft = &self.node.raft;
        format!("{} {:?} term={} last={}", raft.id, raft.state, raft.term, self.last())
    }
}
