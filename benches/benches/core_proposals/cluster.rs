//! A cluster of cores in memory, on one thread: `Cluster`. Every message passes through its
//! receiver's queue, every entry through its member's log, and every member applies all of them.
//! Writes are durable at once, and nothing is encoded: what is measured is the core.

use bytes::Bytes;
use holm_raft_core::{
    Body, Boot, Config, Configuration, Entry, EntryKind, Event, Incarnation, Index, Member,
    MemberId, Message, NodeId, Outbound, Raft, Ready, RequestNumber, Restored, Term,
};
use std::collections::VecDeque;
use std::hint::black_box;

/// Milliseconds of the clock a tick.
const TICK_MS: u64 = 10;
/// Within how many ticks a leader has to be elected.
const ELECTION_TICKS_MAX: u32 = 10_000;

/// A cluster with a leader, between two moments of rest.
pub(crate) struct Cluster {
    members: Vec<Seat>,
    leader: usize,
    now: u64,
    requests: u64,
}

/// One member and what is around its core.
struct Seat {
    me: MemberId,
    raft: Raft,
    /// The entries from index 1 on.
    log: Vec<Entry>,
    inbox: VecDeque<Message>,
    /// How many commands were applied.
    applied: u64,
    /// What they add up to: applying reads every command.
    sum: u64,
}

impl Cluster {
    /// `members` members that have elected a leader and are at rest.
    pub(crate) fn new(members: u64) -> Self {
        let ids: Vec<MemberId> =
            (1..=members).map(|node| MemberId::new(NodeId(node), Incarnation(node))).collect();
        let voters = ids.iter().map(|&id| Member { id, info: Bytes::new() });
        let configuration = Configuration::new(voters);
        let seat = |&me| Seat::new(me, configuration.clone());
        let members = ids.iter().map(seat).collect();
        let mut cluster = Self { members, leader: 0, now: 0, requests: 0 };
        cluster.settle();
        for _ in 0..ELECTION_TICKS_MAX {
            cluster.tick();
            let leads = |seat: &Seat| seat.raft.leader() == Some(seat.me);
            if let Some(at) = cluster.members.iter().position(leads) {
                cluster.leader = at;
                return cluster;
            }
        }
        panic!("no leader within {ELECTION_TICKS_MAX} ticks");
    }

    /// Proposes a command at the leader. It travels with the next [`Self::settle`].
    pub(crate) fn propose(&mut self, command: Vec<u8>) {
        self.requests += 1;
        let number = RequestNumber(self.requests);
        let data = Bytes::from(command);
        self.members[self.leader].raft.handle(Event::Propose { number, data });
    }

    /// Lets everything happen that follows from what was proposed, ticked and sent.
    pub(crate) fn settle(&mut self) {
        self.turn(self.leader);
        while let Some(at) = self.members.iter().position(|seat| !seat.inbox.is_empty()) {
            self.turn(at);
        }
    }

    /// Time passes for every member; then all that follows from it happens.
    pub(crate) fn tick(&mut self) {
        self.now += TICK_MS;
        for at in 0..self.members.len() {
            self.members[at].raft.handle(Event::Tick { now: self.now });
            self.turn(at);
        }
        self.settle();
    }

    /// How many commands every member has applied.
    pub(crate) fn applied(&self) -> u64 {
        let sums = self.members.iter().map(|seat| (seat.applied, black_box(seat.sum)));
        sums.min().map_or(0, |(applied, _)| applied)
    }

    /// One member handles all that waits for it, then does what its core asks for.
    fn turn(&mut self, at: usize) {
        let seat = &mut self.members[at];
        while let Some(message) = seat.inbox.pop_front() {
            seat.raft.handle(Event::Message(message));
        }
        loop {
            let seat = &mut self.members[at];
            let Ready { persist, send, committed, proposals, .. } = seat.raft.ready();
            let mut then = Vec::new();
            let mut written = None;
            if let Some(mut persist) = persist {
                assert_eq!(persist.truncate, None, "one leader, no conflicts");
                seat.log.append(&mut persist.entries);
                written = Some(persist.number);
                then = persist.then;
            }
            black_box(proposals);
            if let Some(range) = committed {
                seat.apply(*range.start(), *range.end());
            }
            for outbound in send {
                let message = self.members[at].fill(outbound);
                self.post(message);
            }
            // Nothing follows from a ready without a write.
            let Some(number) = written else { return };
            self.members[at].raft.handle(Event::Persisted(number));
            for message in then {
                self.post(message);
            }
        }
    }

    fn post(&mut self, message: Message) {
        let at = usize::try_from(message.to.node.0 - 1).expect("few members");
        self.members[at].inbox.push_back(message);
    }
}

impl Seat {
    fn new(me: MemberId, configuration: Configuration) -> Self {
        let config = Config::new(me, Boot(1), me.node.0);
        let mut raft = Raft::new(config, Restored::default()).expect("the defaults work");
        raft.handle(Event::Form(configuration));
        Self { me, raft, log: Vec::new(), inbox: VecDeque::new(), applied: 0, sum: 0 }
    }

    fn apply(&mut self, first: Index, last: Index) {
        for entry in &self.log[slot(first)..=slot(last)] {
            if entry.kind == EntryKind::Command {
                self.applied += 1;
                self.sum += u64::from(entry.data.first().copied().unwrap_or(0));
            }
        }
    }

    fn fill(&self, outbound: Outbound) -> Message {
        match outbound {
            Outbound::Message(message) => message,
            Outbound::Entries { to, term, prev, last, commit } => {
                let entries = self.log[slot(prev.index.next())..slot(last.index.next())].to_vec();
                self.message(to, term, Body::Append { prev, entries, commit })
            }
            other => unreachable!("nobody lags behind the log: {other:?}"),
        }
    }

    fn message(&self, to: MemberId, term: Term, body: Body) -> Message {
        Message { from: self.me, to, term, body }
    }
}

/// Where the entry at `index` stands in the log.
fn slot(index: Index) -> usize {
    usize::try_from(index.0 - 1).expect("the log fits the memory")
}
