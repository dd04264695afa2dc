//! Messages that nobody said: `fuzz_forged` puts forged ones (of every kind, from members,
//! strangers and other incarnations) and damaged ones in front of three cores that really work
//! meanwhile, and so come to lead, replicate, install and change their members: only there has a
//! message something to hurt. Nothing is asserted *between* the cores: whoever speaks in a leader's
//! name can make them disagree, which Raft does not defend against; `fuzz_events` has the
//! cross-checks, and no forgery. What is asserted must hold for whatever arrives: no core panics,
//! each keeps its own invariants (`Raft::check`, after each event), applies in order and each entry
//! once, and asks nothing of its disk that a disk refuses, also when it starts again from what that
//! holds.

use super::forge::Forge;
use super::node::{Node, TICK_MILLIS};
use crate::configuration::Configuration;
use crate::{
    Entry, Event, Incarnation, Leave, Member, MemberId, Message, NodeId, RequestNumber, Status,
    Step,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::vec::Vec;

/// What became of the forged messages of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forged {
    /// How many were put in front of a core.
    pub forged: u64,
    /// How many were for another member, or another incarnation.
    pub misdirected: u64,
    /// How many were answers from somebody who is no member.
    pub stranger: u64,
    /// How many no correct member can have sent, by a look at them or at what the core knows.
    pub impossible: u64,
    /// Those that got past that first look, by what they are.
    pub admitted: BTreeMap<&'static str, u64>,
    /// Terms that began at some core.
    pub terms: u64,
    /// Snapshots that were installed.
    pub installed: u64,
    /// Entries that were applied.
    pub applied: u64,
    /// Members that crashed and came back.
    pub crashes: u64,
}

/// Runs the steps that `data` encodes: a byte for what happens, one for where, and as many as a
/// forged message takes.
///
/// # Panics
/// When a core does, or asks for what can't be done.
pub fn fuzz_forged(data: &[u8]) -> Forged {
    let mut dice = Forge::new(data);
    let mut cluster = Cluster::new(u64::from(dice.byte()));
    while dice.is_left() {
        cluster.step(&mut dice);
    }
    cluster.outcome
}

struct Cluster {
    nodes: Vec<Node>,
    /// The last entry that each applied: what a snapshot of its state ends with.
    last_applied: Vec<Option<Entry>>,
    network: Vec<Message>,
    now: u64,
    requests: u64,
    outcome: Forged,
}

const MEMBERS: u64 = 3;
const MESSAGES_MAX: usize = 64;

impl Cluster {
    fn new(seed: u64) -> Self {
        let id = |node| MemberId::new(NodeId(node), Incarnation(node * 1000));
        let members = (1..=MEMBERS).map(|node| Member { id: id(node), info: Bytes::new() });
        let configuration = Configuration::new(members);
        let nodes: Vec<Node> = (1..=MEMBERS).map(|node| Node::new(id(node), seed)).collect();
        let mut cluster = Self {
            last_applied: nodes.iter().map(|_| None).collect(),
            nodes,
            network: Vec::new(),
            now: 0,
            requests: 0,
            outcome: Forged::default(),
        };
        // One of them is left out: an empty core must bear everything as well.
        let formed = if seed.is_multiple_of(4) { 2 } else { 3 };
        for at in 0..formed {
            cluster.handle(at, Event::Form(configuration.clone()));
            cluster.acknowledge(at, usize::MAX);
        }
        cluster
    }

    fn step(&mut self, dice: &mut Forge<'_>) {
        let (what, whom) = (dice.byte(), usize::from(dice.byte()));
        let at = whom % self.nodes.len();
        match what {
            0..90 => self.forge(at, dice),
            90..105 => self.damage(whom, dice),
            105..135 => self.tick(at, 1),
            135..175 => self.deliver(whom),
            175..195 => self.acknowledge(at, usize::MAX),
            195..205 => self.acknowledge(at, 1),
            205..215 => self.propose(at),
            215..220 => self.read(at),
            220..224 => self.crash(at, whom),
            224..230 => self.snapshot(at, whom),
            230..234 => self.change(at, whom),
            234..236 => self.handle(at, Event::Transfer { to: NodeId(u64::from(dice.byte() % 5)) }),
            236..242 => self.tick(at, 31),
            242.. => self.settle(),
        }
    }

    fn forge(&mut self, at: usize, dice: &mut Forge<'_>) {
        let other = usize::from(dice.byte()) % self.nodes.len();
        let message = dice.message(&self.nodes[at], &self.nodes[other]);
        self.put(at, message);
    }

    /// A message that is under way arrives with another sender, term or receiver.
    fn damage(&mut self, which: usize, dice: &mut Forge<'_>) {
        if self.network.is_empty() {
            return;
        }
        let mut message = self.network[which % self.network.len()].clone();
        let Some(at) = self.receiver(&message) else { return };
        dice.damage(&mut message, &self.nodes[at]);
        self.put(at, message);
    }

    /// Puts a forged message in front of a core, and counts what becomes of it.
    fn put(&mut self, at: usize, message: Message) {
        let name = message.body.name();
        let admitted = self.nodes[at].raft.core.admit(&message).is_ok();
        let before = self.nodes[at].raft.status().dropped;
        self.outcome.forged += 1;
        if admitted {
            *self.outcome.admitted.entry(name).or_default() += 1;
        }
        self.handle(at, Event::Message(message));
        let after = self.nodes[at].raft.status().dropped;
        self.outcome.misdirected += after.misdirected - before.misdirected;
        self.outcome.stranger += after.stranger - before.stranger;
        self.outcome.impossible += after.impossible - before.impossible;
    }

    fn receiver(&self, message: &Message) -> Option<usize> {
        self.nodes.iter().position(|node| node.me.node == message.to.node)
    }

    fn tick(&mut self, at: usize, times: u64) {
        for _ in 0..times {
            self.now += TICK_MILLIS;
            self.handle(at, Event::Tick { now: self.now });
        }
    }

    fn deliver(&mut self, which: usize) {
        if !self.network.is_empty() {
            let message = self.network.remove(which % self.network.len());
            if let Some(at) = self.receiver(&message) {
                self.handle(at, Event::Message(message));
            }
        }
    }

    fn acknowledge(&mut self, at: usize, count: usize) {
        let (said, last) = self.nodes[at].persist(count);
        self.network.extend(said);
        if let Some(number) = last {
            self.handle(at, Event::Persisted(number));
        }
        if let Some((snapshot, stored)) = self.nodes[at].store(count) {
            self.handle(at, Event::Stored { snapshot, stored });
        }
    }

    fn propose(&mut self, at: usize) {
        let number = self.next_request();
        self.handle(at, Event::Propose { number, data: Bytes::from_static(b"12345678") });
    }

    fn read(&mut self, at: usize) {
        let (number, now) = (self.next_request(), self.now);
        self.handle(at, Event::ReadByLease { number, now });
    }

    fn next_request(&mut self) -> RequestNumber {
        self.requests += 1;
        RequestNumber(self.requests)
    }

    fn crash(&mut self, at: usize, luck: usize) {
        self.outcome.crashes += 1;
        self.nodes[at].crash(luck);
        self.last_applied[at] = None;
        self.act(at);
    }

    fn snapshot(&mut self, at: usize, padding: usize) {
        if let Some(entry) = &self.last_applied[at] {
            let start = self.nodes[at].freeze(entry, padding % 8);
            self.handle(at, Event::Compact(start));
        }
    }

    fn change(&mut self, at: usize, whom: usize) {
        let member = self.nodes[whom / 3 % self.nodes.len()].as_member();
        let node = member.id.node;
        let step = [Step::Voter(member.clone()), Step::Learner(member), Step::Remove(node)];
        let steps = step[whom / 9 % 3..][..1].to_vec();
        let (number, leave) = (self.next_request(), Leave::Automatic);
        self.handle(at, Event::Change { number, expected: None, steps, leave });
    }

    /// Everything that is under way arrives, so that cores come to lead and to catch up.
    fn settle(&mut self) {
        for at in 0..self.nodes.len() {
            self.tick(at, 3);
        }
        for _ in 0..40 {
            for at in 0..self.nodes.len() {
                self.acknowledge(at, usize::MAX);
            }
            self.deliver(0);
        }
    }

    fn handle(&mut self, at: usize, event: Event) {
        let term = |status: Status| status.term;
        let before = term(self.nodes[at].raft.status());
        self.nodes[at].raft.handle(event);
        self.outcome.terms += u64::from(term(self.nodes[at].raft.status()) > before);
        self.act(at);
    }

    fn act(&mut self, at: usize) {
        let turn = self.nodes[at].turn();
        self.outcome.applied += turn.applied.len() as u64;
        if turn.installed.is_some() {
            self.outcome.installed += 1;
            self.last_applied[at] = None;
        }
        if let Some(entry) = turn.applied.last() {
            self.last_applied[at] = Some(entry.clone());
        }
        self.network.extend(turn.sent);
        let excess = self.network.len().saturating_sub(MESSAGES_MAX);
        self.network.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn noise(seed: u64, bytes: usize) -> Vec<u8> {
        let mut rng = Rng::new(seed);
        (0..bytes.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).collect()
    }

    fn run(inputs: impl Iterator<Item = Vec<u8>>) -> Forged {
        let mut total = Forged::default();
        for data in inputs {
            let one = fuzz_forged(&data);
            total.forged += one.forged;
            total.misdirected += one.misdirected;
            total.stranger += one.stranger;
            total.impossible += one.impossible;
            total.terms += one.terms;
            total.installed += one.installed;
            total.applied += one.applied;
            total.crashes += one.crashes;
            for (name, count) in one.admitted {
                *total.admitted.entry(name).or_default() += count;
            }
        }
        total
    }

    #[test]
    fn whatever_is_forged_no_core_panics_and_of_each_kind_many_are_looked_at() {
        let total = run((0..300).map(|seed| noise(seed, 6000)));
        let admitted: u64 = total.admitted.values().sum();
        assert!(total.forged > 50_000, "{total:?}");
        assert!(admitted * 4 > total.forged, "most of them stop at the door: {total:?}");
        assert_eq!(total.admitted.len(), super::super::forge::KINDS, "{total:?}");
        assert!(total.admitted.values().all(|count| *count > 300), "{total:?}");
        let dropped = [total.misdirected, total.stranger, total.impossible];
        assert!(dropped.into_iter().all(|count| count > 1_000), "{total:?}");
        let done = [total.terms, total.installed, total.applied, total.crashes];
        assert!(done.into_iter().all(|count| count > 100), "{total:?}");
    }

    #[test]
    fn the_kept_forgeries_do_no_harm() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/core_forged");
        let files = std::fs::read_dir(folder).unwrap();
        let total = run(files.map(|file| std::fs::read(file.unwrap().path()).unwrap()));
        assert!(total.forged > 100 && total.admitted.len() > 10, "{total:?}");
    }
}
