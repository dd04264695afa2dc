//! A cluster of cores in memory: `Cluster`, with a network that loses, repeats and reorders, disks
//! that lose what was not acknowledged, and the safety properties.

use super::disk::{Disk, Snapshot};
use crate::{
    Body, Boot, ChangeError, Chunk, Config, Configuration, Entry, EntryId, EntryKind, Event, Fate,
    Incarnation, Index, Leave, LogStart, Member, MemberId, Message, NodeId, Outbound, Persist,
    Raft, RequestNumber, Step, Switch, Term,
};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;
use std::vec::Vec;

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Entries that were committed.
    pub committed: u64,
    /// Terms that had a leader.
    pub leaders: u64,
    /// Members that crashed and came back.
    pub crashes: u64,
    /// Linearizable reads that were served.
    pub reads: u64,
    /// Snapshots that were installed.
    pub installed: u64,
    /// Transfers that went on after a restart.
    pub resumed: u64,
    /// Suffixes that were dropped.
    pub truncated: u64,
    /// Configurations that were appended.
    pub changed: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.committed += other.committed;
        self.leaders += other.leaders;
        self.crashes += other.crashes;
        self.reads += other.reads;
        self.installed += other.installed;
        self.resumed += other.resumed;
        self.truncated += other.truncated;
        self.changed += other.changed;
    }
}

/// Some cores, what is between them, and what was ever committed.
pub(crate) struct Cluster {
    seed: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Vec<Message>,
    /// Who is cut off: what is sent to or by it is lost.
    pub(super) cut: Option<MemberId>,
    /// Everything that was ever applied anywhere: state-machine safety is one value an index.
    pub(super) ledger: BTreeMap<Index, Entry>,
    /// The term of whoever applied each first: it was committed in that term or before.
    committed_by: BTreeMap<Index, Term>,
    leaders: BTreeMap<Term, MemberId>,
    /// The highest index committed when each read was asked for.
    asked: BTreeMap<RequestNumber, Index>,
    pub(super) now: u64,
    requests: u64,
    pub(super) outcome: Outcome,
    /// What became of changes, proposals and reads, in order.
    pub(super) changes: Vec<Result<EntryId, ChangeError>>,
    pub(super) fates: Vec<Fate>,
    pub(super) reads: Vec<(RequestNumber, Option<Index>)>,
}

pub(super) struct Node {
    pub(super) me: MemberId,
    boots: u64,
    pub(super) raft: Raft,
    durable: Disk,
    written: Disk,
    pending: VecDeque<Persist>,
    /// Pieces of snapshots on their way to the disk.
    storing: VecDeque<Chunk>,
    pub(super) applied: Index,
    last_seen_term: Term,
}

const MESSAGES_MAX: usize = 200;

impl Cluster {
    /// The first byte of a step in which a healthy cluster's things happen.
    #[cfg(test)]
    pub(crate) const CALM_STEP: u8 = 255;

    /// `count` members, of whom the first `formed` have just formed a cluster; the others wait to
    /// be added.
    #[must_use]
    pub(crate) fn new(count: u64, formed: u64, seed: u64) -> Self {
        let id = |node| MemberId::new(NodeId(node), Incarnation(node * 11));
        let members = (1..=formed).map(|node| Member { id: id(node), info: Bytes::new() });
        let configuration = Configuration::new(members);
        let nodes = (1..=count).map(|node| {
            let durable = Disk::default();
            let raft = start(id(node), 1, seed, &durable);
            let (me, written, pending) = (id(node), durable.clone(), VecDeque::new());
            let storing = VecDeque::new();
            let applied = Index(0);
            let last_seen_term = Term(0);
            Node { me, boots: 1, raft, durable, written, pending, storing, applied, last_seen_term }
        });
        let mut cluster = Self {
            seed,
            nodes: nodes.collect(),
            network: Vec::new(),
            cut: None,
            ledger: BTreeMap::new(),
            committed_by: BTreeMap::new(),
            leaders: BTreeMap::new(),
            asked: BTreeMap::new(),
            now: 0,
            requests: 0,
            outcome: Outcome::default(),
            changes: Vec::new(),
            fates: Vec::new(),
            reads: Vec::new(),
        };
        for at in 0..usize::try_from(formed).expect("a few") {
            cluster.handle(at, Event::Form(configuration.clone()));
            cluster.acknowledge(at);
        }
        cluster
    }

    /// What happened so far.
    #[must_use]
    pub(crate) fn outcome(&self) -> Outcome {
        let committed = self.ledger.len() as u64;
        Outcome { committed, leaders: self.leaders.len() as u64, ..self.outcome }
    }

    /// One step: `what` happens to the member or message that `whom` picks.
    pub(crate) fn step(&mut self, what: u8, whom: u8) {
        let whom = usize::from(whom);
        let at = whom % self.nodes.len();
        match what {
            0..40 => self.tick(at),
            40..80 => self.deliver(whom, Keep::No),
            80..90 => self.deliver(whom, Keep::Yes),
            90..105 => self.lose(whom),
            105..130 => self.acknowledge(at),
            130..150 => self.acknowledge_oldest(at),
            150..175 => self.propose(at),
            175..185 => self.read(at),
            185..190 => self.crash(at, whom),
            190..195 => self.snapshot(at),
            195..199 => self.change(whom),
            199 => self.transfer(at),
            200..203 => self.cut = Some(self.nodes[at].me),
            203..206 => self.cut_leader(),
            206..208 => self.cut = None,
            208..214 => self.hurry(at),
            214.. => self.calm(at),
        }
    }

    /// A member waits in vain until it campaigns.
    pub(super) fn hurry(&mut self, at: usize) {
        let term = |cluster: &Self| cluster.nodes[at].raft.status().term;
        let before = term(self);
        for _ in 0..40 {
            self.tick(at);
            if term(self) > before {
                break;
            }
        }
    }

    /// The leader is cut off with entries of its own that nobody else will hear of.
    fn cut_leader(&mut self) {
        if let Some(at) = self.leader() {
            self.cut = Some(self.nodes[at].me);
            self.propose(at);
            self.propose(at);
        }
    }

    /// The leader is asked for one or two steps of a change.
    fn change(&mut self, whom: usize) {
        let Some(at) = self.leader() else { return };
        let number = self.next_request();
        let steps = [whom, whom / 7].map(|which| {
            let node = &self.nodes[which % self.nodes.len()];
            let member = Member { id: node.me, info: Bytes::new() };
            match which / self.nodes.len() % 4 {
                0 => Step::Voter(member),
                1 => Step::Learner(member),
                2 => Step::Joining(member),
                _ => Step::Remove(node.me.node),
            }
        });
        let steps = steps[..=whom % 2].to_vec();
        let leave = if whom.is_multiple_of(5) { Leave::Asked } else { Leave::Automatic };
        self.handle(at, Event::Change { number, expected: None, steps, leave });
        if whom.is_multiple_of(3) {
            self.handle(at, Event::LeaveJoint { number });
        }
    }

    fn transfer(&mut self, at: usize) {
        let to = self.nodes[at].me.node;
        if let Some(leader) = self.leader() {
            self.handle(leader, Event::Transfer { to });
        }
    }

    /// Who leads, in the latest term if there are several.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |at: &usize| self.nodes[*at].raft.status().role == "leader";
        let term = |at: &usize| self.nodes[*at].raft.status().term;
        (0..self.nodes.len()).filter(leads).max_by_key(term)
    }

    fn calm(&mut self, at: usize) {
        self.now += 1;
        self.tick(at);
        for _ in 0..6 {
            self.any_work();
        }
    }

    pub(super) fn any_work(&mut self) -> bool {
        self.work_but(None)
    }

    /// What waits is done, but for the disk of `hung`. Returns whether there was anything.
    pub(super) fn work_but(&mut self, hung: Option<usize>) -> bool {
        for at in (0..self.nodes.len()).filter(|at| Some(*at) != hung) {
            self.acknowledge(at);
        }
        if self.network.is_empty() {
            return false;
        }
        self.deliver(0, Keep::No);
        true
    }

    pub(super) fn tick(&mut self, at: usize) {
        self.now += 3;
        self.handle(at, Event::Tick { now: self.now });
    }

    fn deliver(&mut self, which: usize, keep: Keep) {
        if self.network.is_empty() {
            return;
        }
        let which = which % self.network.len();
        let message = match keep {
            Keep::Yes => self.network[which].clone(),
            Keep::No => self.network.remove(which),
        };
        if self.cut.is_some_and(|cut| message.from == cut || message.to == cut) {
            return;
        }
        if let Some(at) = self.nodes.iter().position(|node| node.me == message.to) {
            self.handle(at, Event::Message(message));
        }
    }

    fn lose(&mut self, which: usize) {
        if !self.network.is_empty() {
            let which = which % self.network.len();
            self.network.remove(which);
        }
    }

    pub(super) fn propose(&mut self, at: usize) {
        let number = self.next_request();
        let data = Bytes::copy_from_slice(&number.0.to_le_bytes());
        self.handle(at, Event::Propose { number, data });
    }

    fn read(&mut self, at: usize) {
        let number = self.next_request();
        let committed = self.ledger.last_key_value().map_or(Index(0), |(index, _)| *index);
        self.asked.insert(number, committed);
        self.handle(at, Event::Read { number });
    }

    fn next_request(&mut self) -> RequestNumber {
        self.requests += 1;
        RequestNumber(self.requests)
    }

    /// All writes become durable, and only now their messages leave.
    pub(super) fn acknowledge(&mut self, at: usize) {
        self.acknowledge_some(at, usize::MAX);
    }

    /// The oldest write becomes durable; those behind it are still on their way.
    pub(super) fn acknowledge_oldest(&mut self, at: usize) {
        self.acknowledge_some(at, 1);
    }

    fn acknowledge_some(&mut self, at: usize, count: usize) {
        let node = &mut self.nodes[at];
        let mut last = None;
        for persist in node.pending.drain(..count.min(node.pending.len())) {
            node.durable.write(&persist);
            self.network.extend(persist.then);
            last = Some(persist.number);
        }
        if let Some(number) = last {
            self.handle(at, Event::Persisted(number));
        }
        self.store(at, count);
    }

    /// So many of the pieces of a snapshot that wait become durable.
    fn store(&mut self, at: usize, count: usize) {
        let node = &mut self.nodes[at];
        let mut last = None;
        for chunk in node.storing.drain(..count.min(node.storing.len())) {
            last = Some(node.durable.store(&chunk));
        }
        if let Some((snapshot, stored)) = last {
            self.handle(at, Event::Stored { snapshot, stored });
        }
    }

    /// Power is cut: some of the unacknowledged writes made it, in order, but nothing was said.
    pub(super) fn crash(&mut self, at: usize, luck: usize) {
        self.outcome.crashes += 1;
        let node = &mut self.nodes[at];
        let survive = luck % (node.pending.len() + 1);
        for persist in core::mem::take(&mut node.pending).into_iter().take(survive) {
            node.durable.write(&persist);
        }
        node.storing.clear();
        self.outcome.resumed += u64::from(node.durable.partial.is_some());
        node.boots += 1;
        node.written = node.durable.clone();
        node.raft = start(node.me, node.boots, self.seed, &node.durable);
        node.applied = node.durable.snapshot.as_ref().map_or(Index(0), |s| s.meta.last.index);
        self.act(at);
    }

    /// The member compacts its log behind a snapshot of all it has applied.
    fn snapshot(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(entry) = self.ledger.get(&node.applied) else {
            return;
        };
        let meta = node.raft.snapshot_meta(entry);
        let start = LogStart { id: meta.last, time: meta.time };
        // Some members freeze the same state into the same bytes, others into others.
        let mut data = meta.last.index.0.to_le_bytes().to_vec();
        data.resize(9 + at % 2, 7);
        let snapshot = Snapshot { data: data.into(), meta };
        node.durable.save(snapshot);
        self.handle(at, Event::Compact(start));
    }

    pub(super) fn handle(&mut self, at: usize, event: Event) {
        self.nodes[at].raft.handle(event);
        self.act(at);
    }

    fn act(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let ready = node.raft.ready();
        if let Some(persist) = ready.persist {
            self.outcome.truncated += u64::from(persist.truncate.is_some());
            let changes = |entry: &&Entry| entry.kind == EntryKind::Configuration;
            self.outcome.changed += persist.entries.iter().filter(changes).count() as u64;
            node.written.write(&persist);
            if let Some(meta) = &persist.snapshot {
                self.outcome.installed += 1;
                let snapshot = node.durable.install(meta);
                let index = meta.last.index;
                assert!(snapshot.data.starts_with(&index.0.to_le_bytes()), "its own bytes");
                node.applied = index;
            }
            node.pending.push_back(persist);
        }
        node.storing.extend(ready.chunks);
        let sent: Vec<Message> =
            ready.send.into_iter().filter_map(|outbound| node.fill(outbound)).collect();
        for index in ready.committed.into_iter().flat_map(|range| range.start().0..=range.end().0) {
            let entry = node.durable.entry(Index(index)).expect("applied entries are durable here");
            assert_eq!(Index(index), node.applied.next(), "applied in order, each once");
            node.applied = Index(index);
            let term = node.raft.status().term;
            self.committed_by.entry(Index(index)).or_insert(term);
            let before = self.ledger.entry(Index(index)).or_insert_with(|| entry.clone());
            assert_eq!(before, entry, "state-machine safety (figure 3)");
        }
        self.changes.extend(ready.changes.iter().map(|(_, changed)| *changed));
        self.reads.extend(&ready.reads);
        self.fates.extend(ready.proposals.iter().map(|(_, fate)| *fate));
        for (number, index) in ready.reads {
            if let (Some(asked), Some(index)) = (self.asked.remove(&number), index) {
                self.outcome.reads += 1;
                assert!(index >= asked, "a read misses what was committed before it was asked for");
            }
        }
        self.network.extend(sent);
        self.network.truncate(MESSAGES_MAX);
        self.check(at);
    }

    fn check(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.raft.check();
        let status = node.raft.status();
        assert!(status.term >= node.last_seen_term || node.boots > 1, "terms never fall");
        node.last_seen_term = status.term;
        if status.role == "leader" {
            let me = *self.leaders.entry(status.term).or_insert(status.me);
            assert_eq!(me, status.me, "election safety (figure 3)");
            self.check_completeness(at);
        }
    }

    /// Leader completeness (figure 3): a leader holds everything that was *committed* in the terms
    /// before its own, whatever the term it was created in.
    fn check_completeness(&self, at: usize) {
        let node = &self.nodes[at];
        let term = node.raft.status().term;
        for (index, entry) in self.ledger.iter().rev().take(20) {
            let earlier = self.committed_by[index] < term;
            if earlier && *index > node.written.start.id.index {
                let held = node.written.entry(*index);
                assert_eq!(held, Some(entry), "leader completeness (figure 3)");
            }
        }
    }
}

enum Keep {
    Yes,
    No,
}

impl Node {
    fn fill(&self, outbound: Outbound) -> Option<Message> {
        match outbound {
            Outbound::Message(message) => Some(message),
            Outbound::Entries { to, term, prev, last, commit } => {
                let indexes = prev.index.0 + 1..=last.index.0;
                let entry = |index| self.written.entry(Index(index)).cloned().expect("in the log");
                let entries: Vec<Entry> = indexes.map(entry).collect();
                assert_eq!(entries.last().map_or(prev, |entry| entry.id), last, "as named");
                Some(self.message(to, term, Body::Append { prev, entries, commit }))
            }
            Outbound::Snapshot { to, term, snapshot, offset, bytes_max } => {
                let piece = self.durable.piece(snapshot, offset, bytes_max);
                Some(self.message(to, term, Body::Snapshot(piece.into())))
            }
        }
    }

    fn message(&self, to: MemberId, term: Term, body: Body) -> Message {
        Message { from: self.me, to, term, body }
    }
}

fn start(me: MemberId, boot: u64, seed: u64, disk: &Disk) -> Raft {
    let config = Config {
        // Members that ask nobody before they campaign, and appends of one entry each, make for
        // short leaderships and partial replication.
        pre_vote: if seed & 1 == 0 { Switch::On } else { Switch::Off },
        check_quorum: if seed & 3 == 3 { Switch::Off } else { Switch::On },
        append_entries_max: if seed & 4 == 0 { 3 } else { 1 },
        inflight_appends_max: 3,
        snapshot_chunk_bytes: if seed & 8 == 0 { 4 } else { 64 },
        snapshot_inflight_bytes_max: 8,
        install_log_bytes_max: if seed & 16 == 0 { 200 } else { 1 << 30 },
        ..Config::new(me, Boot(boot), seed ^ (boot << 32) ^ (me.node.0 << 8))
    };
    assert!(disk.start.id.index <= disk.last().index || disk.entries.is_empty());
    Raft::new(config, disk.restored()).expect("a good configuration")
}

impl core::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for node in &self.nodes {
            writeln!(f, "{}", node.raft.status())?;
        }
        let last = self.ledger.last_key_value().map_or(EntryId::ZERO, |(_, entry)| entry.id);
        write!(f, "committed up to {last}, {} messages in flight", self.network.len())
    }
}
