//! A cluster of cores in memory: `Cluster`, with a network that loses, repeats and reorders, disks
//! that lose what was not acknowledged, and the safety properties.

#[cfg(test)]
use super::node::Room;
use super::node::{Node, TICK_MILLIS};
use super::outcome::Outcome;
use crate::configuration::Configuration;
use crate::{
    ChangeError, Entry, EntryId, EntryKind, Event, Fate, Incarnation, Index, Member, MemberId,
    Message, NodeId, RequestNumber, Term,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::vec::Vec;

/// Some cores, what is between them, and what was ever committed.
pub(crate) struct Cluster {
    pub(super) nodes: Vec<Node>,
    pub(super) network: Vec<Message>,
    /// Who is cut off: what is sent to or by it is lost.
    pub(super) cut: Option<MemberId>,
    /// Everything that was ever applied anywhere: state-machine safety is one value an index.
    pub(super) ledger: BTreeMap<Index, Entry>,
    /// The term of whoever applied each first: it was committed in that term or before.
    committed_by: BTreeMap<Index, Term>,
    leaders: BTreeMap<Term, MemberId>,
    /// The latest configuration that was applied anywhere, and the entry that set it.
    pub(super) configuration: (Index, Configuration),
    pub(super) last_seen_terms: Vec<Term>,
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

const MESSAGES_MAX: usize = 200;

impl Cluster {
    /// The first byte of a step in which a healthy cluster's things happen.
    #[cfg(test)]
    pub(crate) const CALM_STEP: u8 = 255;

    /// `count` members, of whom the first `formed` have just formed a cluster; the others wait to
    /// be added.
    #[must_use]
    pub(crate) fn new(count: u64, formed: u64, seed: u64) -> Self {
        let id = |node| MemberId::new(NodeId(node), Self::first_incarnation(NodeId(node)));
        let members = (1..=formed).map(|node| Member { id: id(node), info: Bytes::new() });
        let configuration = Configuration::new(members);
        let nodes: Vec<Node> = (1..=count).map(|node| Node::new(id(node), seed)).collect();
        let mut cluster = Self {
            last_seen_terms: nodes.iter().map(|_| Term(0)).collect(),
            nodes,
            network: Vec::new(),
            cut: None,
            ledger: BTreeMap::new(),
            committed_by: BTreeMap::new(),
            leaders: BTreeMap::new(),
            configuration: (Index(0), configuration.clone()),
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

    /// Who a member is until it loses its disk.
    pub(super) fn first_incarnation(node: NodeId) -> Incarnation {
        Incarnation(node.0 * 1000)
    }

    /// What happened so far.
    #[must_use]
    pub(crate) fn outcome(&self) -> Outcome {
        let committed = self.ledger.len() as u64;
        Outcome { committed, leaders: self.leaders.len() as u64, ..self.outcome }
    }

    /// Whether disks fill up from now on.
    #[cfg(test)]
    pub(super) fn set_room(&mut self, room: Room) {
        self.nodes.iter_mut().for_each(|node| node.room = room);
    }

    /// How many writes full disks have refused.
    #[cfg(test)]
    pub(super) fn refused(&self) -> u64 {
        self.nodes.iter().map(|node| node.refused).sum()
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
            175..182 => self.read(at),
            182..186 => self.read_by_lease(at),
            186..190 => self.crash(at, whom),
            190..195 => self.snapshot(at),
            195..199 => self.change(whom),
            199 => self.transfer(at),
            200..203 => self.cut = Some(self.nodes[at].me),
            203..206 => self.cut_leader(),
            206..208 => self.cut = None,
            208..212 => self.hurry(at),
            212 => self.wipe(at),
            213..216 => _ = self.replace(whom),
            216.. => self.calm(at),
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
        self.now += TICK_MILLIS;
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
        if let Some(at) = self.nodes.iter().position(|node| node.me.node == message.to.node) {
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
        let number = self.ask_to_read();
        self.handle(at, Event::Read { number });
    }

    pub(super) fn read_by_lease(&mut self, at: usize) {
        let number = self.ask_to_read();
        let served = self.outcome.reads;
        self.handle(at, Event::ReadByLease { number, now: self.now });
        self.outcome.leased += self.outcome.reads - served;
    }

    fn ask_to_read(&mut self) -> RequestNumber {
        let number = self.next_request();
        let committed = self.last_committed();
        self.asked.insert(number, committed);
        number
    }

    /// The highest index that was applied anywhere.
    pub(super) fn last_committed(&self) -> Index {
        self.ledger.last_key_value().map_or(Index(0), |(index, _)| *index)
    }

    pub(super) fn next_request(&mut self) -> RequestNumber {
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
        let (said, last) = self.nodes[at].persist(count);
        self.network.extend(said);
        if let Some(number) = last {
            self.handle(at, Event::Persisted(number));
        }
        if let Some((snapshot, stored)) = self.nodes[at].store(count) {
            assert!(stored.is_some(), "the pieces make up the whole");
            self.handle(at, Event::Stored { snapshot, stored });
        }
    }

    pub(super) fn crash(&mut self, at: usize, luck: usize) {
        self.outcome.crashes += 1;
        self.nodes[at].crash(luck);
        self.outcome.resumed += u64::from(self.nodes[at].durable.partial.is_some());
        self.act(at);
    }

    /// The member compacts its log behind a snapshot of all it has applied. Some members freeze
    /// the same state into the same bytes, others into others.
    pub(super) fn snapshot(&mut self, at: usize) {
        self.snapshot_of(at, 1 + at % 2);
    }

    /// The same, with so many bytes that say nothing.
    pub(super) fn snapshot_of(&mut self, at: usize, padding: usize) {
        if let Some(entry) = self.ledger.get(&self.nodes[at].applied) {
            let start = self.nodes[at].freeze(entry, padding);
            self.handle(at, Event::Compact(start));
        }
    }

    pub(super) fn handle(&mut self, at: usize, event: Event) {
        #[cfg(test)]
        crate::mutation::count_event();
        self.nodes[at].raft.handle(event);
        self.act(at);
    }

    pub(super) fn act(&mut self, at: usize) {
        let turn = self.nodes[at].turn();
        self.outcome.truncated += turn.truncated;
        self.outcome.changed += turn.changed;
        if let Some(snapshot) = turn.installed {
            self.outcome.installed += 1;
            let index = snapshot.meta.last.index.0.to_le_bytes();
            assert!(snapshot.data.ends_with(&index), "its own bytes");
        }
        let term = self.nodes[at].raft.status().term;
        for entry in turn.applied {
            let index = entry.id.index;
            self.committed_by.entry(index).or_insert(term);
            if let Some(before) = self.ledger.get(&index) {
                assert_eq!(*before, entry, "state-machine safety (figure 3)");
            } else {
                if entry.kind == EntryKind::Configuration {
                    let configuration = Configuration::decode(entry.data.clone());
                    self.note_configuration((index, configuration.expect("written by a core")));
                }
                self.ledger.insert(index, entry);
            }
        }
        self.changes.extend(turn.ready.changes.iter().map(|(_, changed)| *changed));
        self.reads.extend(&turn.ready.reads);
        self.fates.extend(turn.ready.proposals.iter().map(|(_, fate)| *fate));
        for (number, index) in turn.ready.reads {
            if let (Some(asked), Some(index)) = (self.asked.remove(&number), index) {
                self.outcome.reads += 1;
                assert!(index >= asked, "a read misses what was committed before it was asked for");
            }
        }
        self.network.extend(turn.sent);
        self.network.truncate(MESSAGES_MAX);
        self.check(at);
    }

    fn check(&mut self, at: usize) {
        let status = self.nodes[at].raft.status();
        let seen = core::mem::replace(&mut self.last_seen_terms[at], status.term);
        assert!(status.term >= seen || self.nodes[at].boots > 1, "terms never fall");
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
                let held = node.entry(*index);
                assert_eq!(held, Some(entry), "leader completeness (figure 3)");
            }
        }
    }
}

enum Keep {
    Yes,
    No,
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
