//! A cluster of cores in memory that people drive by commands: `Cluster` holds the members, what is
//! in flight between them, and the clock. It is deterministic, uses the public interface alone, and
//! asserts figure 3 of the paper after each step, whatever a script does.
//!
//! The commands are in `commands`; what they print is in `describe`.
#![allow(dead_code)] // Each test that includes this module uses its own part of it.

mod changes;
mod commands;
mod describe;
#[path = "../../src/fuzzing/disk.rs"]
mod disk;
mod forge;
mod safety;
mod settings;

use bytes::Bytes;
use disk::{Disk, Snapshot};
use holm_raft_core::{
    Body, Boot, Chunk, Configuration, Entry, EntryId, EntryKind, Event, Fate, HardState,
    Incarnation, Index, LogStart, LogTime, Member, MemberId, Message, NodeId, Outbound, Persist,
    Raft, Ready, RequestNumber, Status, Term,
};
use safety::Safety;
use settings::Settings;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most rounds of deliveries after which a cluster must be quiet.
const ROUNDS_MAX: u32 = 1_000;
/// The most ticks after which a member must have begun a campaign.
const CAMPAIGN_TICKS_MAX: u32 = 100;
const TICK_MILLISECONDS: u64 = 10;

#[derive(Default)]
pub(crate) struct Cluster {
    members: BTreeMap<NodeId, Node>,
    /// What was sent and neither arrived nor was lost, in the order it was sent.
    flying: Vec<Message>,
    /// Links on which whatever is sent is lost, by direction.
    cut: BTreeSet<(NodeId, NodeId)>,
    settings: Settings,
    now: u64,
    requests: u64,
    safety: Safety,
    /// What the current command has made happen so far.
    lines: Vec<String>,
    talk: Talk,
}

/// Whether messages are worth a line.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Talk {
    #[default]
    Shown,
    Hidden,
}

pub(crate) struct Node {
    me: MemberId,
    boots: u64,
    /// Nothing while the member is down.
    raft: Option<Raft>,
    durable: Disk,
    written: Disk,
    pending: VecDeque<Persist>,
    /// Pieces of snapshots that are not stored yet.
    storing: VecDeque<Chunk>,
    speed: Speed,
    room: Room,
    applied: Index,
    /// The state machine: the commands that were applied, one after another.
    state: String,
}

/// When a disk acknowledges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speed {
    /// At once.
    Fast,
    /// When the script says so.
    Slow,
}

/// What a disk has room for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Enough,
    /// Not for entries.
    Little,
    Nothing,
}

impl Room {
    fn refuses(self, persist: &Persist) -> bool {
        match self {
            Self::Enough => false,
            Self::Little => !persist.entries.is_empty(),
            Self::Nothing => true,
        }
    }
}

impl Cluster {
    /// Adds a member with an empty disk.
    fn add(&mut self, node: NodeId) {
        let me = MemberId::new(node, Incarnation(node.0 * 11));
        let mut member = Node {
            me,
            boots: 0,
            raft: None,
            durable: Disk::default(),
            written: Disk::default(),
            pending: VecDeque::new(),
            storing: VecDeque::new(),
            speed: Speed::Fast,
            room: Room::Enough,
            applied: Index(0),
            state: String::new(),
        };
        member.start(&self.settings);
        self.members.insert(node, member);
    }

    fn configuration(&self) -> Configuration {
        let member = |node: &Node| Member { id: node.me, info: Bytes::new() };
        Configuration::new(self.members.values().map(member))
    }

    /// A member as it is; a script names only members there are.
    pub(crate) fn member(&self, node: NodeId) -> &Node {
        &self.members[&node]
    }

    pub(crate) fn status(&self, node: u64) -> Status {
        self.member(NodeId(node)).raft.as_ref().expect("the member runs").status()
    }

    /// The ids of a member's log, as written.
    pub(crate) fn log(&self, node: u64) -> Vec<EntryId> {
        self.member(NodeId(node)).written.entries.iter().map(|entry| entry.id).collect()
    }

    pub(crate) fn hard_state(&self, node: u64) -> HardState {
        self.member(NodeId(node)).durable.hard_state
    }

    pub(crate) fn state(&self, node: u64) -> &str {
        &self.member(NodeId(node)).state
    }

    pub(crate) fn flying(&self) -> &[Message] {
        &self.flying
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.members.keys().copied().collect()
    }

    fn runs(&self, node: NodeId) -> bool {
        self.members[&node].raft.is_some()
    }

    fn next_request(&mut self) -> RequestNumber {
        self.requests += 1;
        RequestNumber(self.requests)
    }

    fn tick(&mut self, node: NodeId) {
        self.now += TICK_MILLISECONDS;
        self.turn(node, [Event::Tick { now: self.now }]);
    }

    /// One turn of a member: some events, then one `Ready`, then what that asks for.
    fn turn(&mut self, node: NodeId, events: impl IntoIterator<Item = Event>) {
        let member = self.members.get_mut(&node).expect("named by a checked command");
        let Some(raft) = &mut member.raft else {
            return;
        };
        for event in events {
            raft.handle(event);
        }
        let mut ready = raft.ready();
        while let Some(persist) = ready.persist.take_if(|persist| member.room.refuses(persist)) {
            self.lines.push(format!("{node} has no room for write {}", persist.number.0));
            raft.handle(Event::Full(persist));
            let again = raft.ready();
            ready.persist = again.persist;
            ready.send.extend(again.send);
            ready.chunks.extend(again.chunks);
        }
        self.act(node, ready);
        self.check(node);
    }

    fn act(&mut self, node: NodeId, ready: Ready) {
        let member = self.members.get_mut(&node).expect("it had a turn");
        let quick = member.speed == Speed::Fast;
        let line = ready.persist.and_then(|persist| member.write(persist));
        self.lines.extend(line);
        if !quick {
            let waits = |chunk: &Chunk| format!("{node} store: {}", describe::piece(chunk));
            self.lines.extend(ready.chunks.iter().map(waits));
        }
        member.storing.extend(ready.chunks);
        let sent: Vec<Message> = ready.send.into_iter().map(|out| member.fill(out)).collect();
        for index in ready.committed.into_iter().flat_map(|range| range.start().0..=range.end().0) {
            let entry = member.apply(Index(index));
            self.lines.push(format!("{node} applies {}", describe::entry(&entry)));
            self.safety.applied(&entry);
        }
        for (number, fate) in ready.proposals {
            let fate = match fate {
                Fate::Appended(id) => format!("is appended as {id}"),
                Fate::Refused => "is refused".into(),
                Fate::Unknown => "has an unknown fate".into(),
            };
            self.lines.push(format!("{node} proposal {number} {fate}"));
        }
        for (number, changed) in ready.changes {
            let fate = match changed {
                Ok(id) => format!("is appended as {id}"),
                Err(error) => format!("is refused: {error}"),
            };
            self.lines.push(format!("{node} change {number} {fate}"));
        }
        for (number, index) in ready.reads {
            let index = index.map_or("is refused".into(), |index| format!("is served at {index}"));
            self.lines.push(format!("{node} read {number} {index}"));
        }
        for message in sent {
            self.send(message);
        }
        if quick {
            self.persist(node, usize::MAX);
            self.store(node, usize::MAX);
        }
    }

    fn send(&mut self, message: Message) {
        let lost = self.cut.contains(&(message.from.node, message.to.node));
        if self.talk == Talk::Shown {
            let fate = if lost { " (lost)" } else { "" };
            self.lines.push(format!("{}{fate}", describe::message(&message)));
        }
        if !lost {
            self.flying.push(message);
        }
    }

    /// A message arrives, if its receiver runs in the incarnation it is for.
    fn arrive(&mut self, message: Message) {
        let to = message.to.node;
        if self.members.contains_key(&to) {
            self.turn(to, [Event::Message(message)]);
        }
    }

    /// The oldest `count` writes become durable, and only now their messages leave.
    fn persist(&mut self, node: NodeId, count: usize) {
        let member = self.members.get_mut(&node).expect("named by a checked command");
        let count = count.min(member.pending.len());
        let writes: Vec<Persist> = member.pending.drain(..count).collect();
        let Some(number) = writes.last().map(|persist| persist.number) else {
            return;
        };
        for persist in writes {
            let member = self.members.get_mut(&node).expect("as above");
            member.durable.write(&persist);
            for message in persist.then {
                self.send(message);
            }
        }
        self.turn(node, [Event::Persisted(number)]);
    }

    /// So many of the pieces of a snapshot that wait become durable.
    fn store(&mut self, node: NodeId, count: usize) {
        let member = self.members.get_mut(&node).expect("named by a checked command");
        let count = count.min(member.storing.len());
        let chunks = member.storing.drain(..count);
        let stored = chunks.map(|chunk| member.durable.store(&chunk)).last();
        if let Some((snapshot, stored)) = stored {
            self.turn(node, [Event::Stored { snapshot, stored }]);
        }
    }

    /// Nothing of a snapshot could be kept.
    fn store_nothing(&mut self, node: NodeId) {
        let member = self.members.get_mut(&node).expect("named by a checked command");
        let waiting = member.storing.drain(..).next().expect("looked at by the command");
        member.durable.partial = None;
        self.turn(node, [Event::Stored { snapshot: waiting.id(), stored: None }]);
    }

    /// Everything in flight arrives, and what follows from it, until nothing is in flight.
    fn stabilize(&mut self) -> Result<(), String> {
        self.talk = Talk::Hidden;
        for _ in 0..ROUNDS_MAX {
            if self.flying.is_empty() {
                return Ok(());
            }
            for message in std::mem::take(&mut self.flying) {
                self.arrive(message);
            }
        }
        Err(format!("messages still fly after {ROUNDS_MAX} rounds"))
    }

    /// Power is cut. The first `survive` writes made it to the disk, but nobody was told.
    fn crash(&mut self, node: NodeId, survive: usize) {
        let member = self.members.get_mut(&node).expect("named by a checked command");
        for persist in std::mem::take(&mut member.pending).into_iter().take(survive) {
            member.durable.write(&persist);
        }
        member.storing.clear();
        member.raft = None;
    }

    fn restart(&mut self, node: NodeId) {
        let member = self.members.get_mut(&node).expect("named by a checked command");
        member.start(&self.settings);
        self.turn(node, []);
    }

    /// The member keeps a snapshot of all it applied and drops the log up to there.
    fn snapshot(&mut self, node: NodeId) -> Result<(), String> {
        let member = self.members.get_mut(&node).expect("named by a checked command");
        let raft = member.raft.as_ref().ok_or("it does not run")?;
        let entry = member.durable.entry(member.applied).ok_or("nothing new is applied")?;
        let meta = raft.snapshot_meta(entry);
        let start = LogStart { id: meta.last, time: meta.time };
        let snapshot = Snapshot { meta, data: Bytes::from(member.state.clone()) };
        member.durable.save(snapshot);
        self.turn(node, [Event::Compact(start)]);
        Ok(())
    }

    /// The member starts with a log of these terms, the first entry being the configuration.
    fn load(&mut self, node: NodeId, terms: &[u64], term: Term) {
        let configuration = self.configuration().encode();
        let entries = (1..).zip(terms).map(|(index, term)| Entry {
            id: EntryId::new(Term(*term), Index(index)),
            time: LogTime(index - 1),
            kind: if index == 1 { EntryKind::Configuration } else { EntryKind::Command },
            data: if index == 1 { configuration.clone() } else { format!("t{term}").into() },
        });
        let hard_state = HardState { term, vote: None };
        let disk = Disk { hard_state, entries: entries.collect(), ..Disk::default() };
        let member = self.members.get_mut(&node).expect("named by a checked command");
        member.durable = disk;
        member.start(&self.settings);
        self.turn(node, []);
    }

    fn check(&mut self, node: NodeId) {
        let member = &self.members[&node];
        if let Some(raft) = &member.raft {
            self.safety.check(&raft.status(), &member.written);
        }
        for other in self.members.values().filter(|other| other.me.node != node) {
            safety::logs_match(&member.written, &other.written);
        }
    }
}

impl Node {
    /// Starts from what is durable.
    fn start(&mut self, settings: &Settings) {
        self.boots += 1;
        self.written = self.durable.clone();
        let snapshot = self.durable.snapshot.as_ref();
        self.applied = snapshot.map_or(Index(0), |snapshot| snapshot.meta.last.index);
        self.state = snapshot.map_or(String::new(), state_of);
        let config = settings.of(self.me, Boot(self.boots));
        let raft = Raft::new(config, self.durable.restored()).expect("settings that work");
        self.raft = Some(raft);
    }

    /// Takes a write. It is worth a line while it waits, or if it is a vote.
    fn write(&mut self, persist: Persist) -> Option<String> {
        let (node, voted) = (self.me.node, self.written.hard_state.vote);
        self.written.write(&persist);
        let mut line = None;
        if let Some(meta) = &persist.snapshot {
            let snapshot = self.durable.install(meta);
            self.applied = meta.last.index;
            self.state = state_of(&snapshot);
            line = Some(format!("{node} installs the snapshot of {}", snapshot.meta.last));
        }
        let vote = persist.hard_state.and_then(|hard_state| hard_state.vote);
        if vote.is_some() && vote != voted {
            line = Some(format!("{node} votes for {}", describe::vote(vote)));
        }
        if self.speed == Speed::Slow {
            line = Some(format!("{node} {}", describe::persist(&persist)));
        }
        self.pending.push_back(persist);
        line
    }

    fn apply(&mut self, index: Index) -> Entry {
        let entry = self.durable.entry(index).expect("what is applied is durable here").clone();
        assert_eq!(index, self.applied.next(), "applied in order, each once");
        self.applied = index;
        if entry.kind == EntryKind::Command {
            let space = if self.state.is_empty() { "" } else { " " };
            self.state += &format!("{space}{}", String::from_utf8_lossy(&entry.data));
        }
        entry
    }

    /// The message that an `Outbound` names, filled from what is written.
    fn fill(&self, outbound: Outbound) -> Message {
        let message = |to, term, body| Message { from: self.me, to, term, body };
        match outbound {
            Outbound::Message(message) => message,
            Outbound::Entries { to, term, prev, last, commit } => {
                let indexes = prev.index.0 + 1..=last.index.0;
                let raft = self.raft.as_ref().expect("it runs");
                let held = |at| raft.unwritten(at).or_else(|| self.written.entry(at));
                let entry = |at| held(Index(at)).cloned().expect("in the log");
                let entries: Vec<Entry> = indexes.map(entry).collect();
                assert_eq!(entries.last().map_or(prev, |entry| entry.id), last, "as named");
                message(to, term, Body::Append { prev, entries, commit })
            }
            Outbound::Snapshot { to, term, snapshot, offset, bytes_max } => {
                let piece = self.durable.piece(snapshot, offset, bytes_max);
                message(to, term, Body::Snapshot(piece.into()))
            }
        }
    }
}

/// Entry ids as scripts write them: `1@1 2@2`.
pub(crate) fn ids(words: &str) -> Vec<EntryId> {
    words.split_whitespace().map(|word| forge::id(word).expect("an entry id")).collect()
}

fn state_of(snapshot: &Snapshot) -> String {
    String::from_utf8_lossy(&snapshot.data).into_owned()
}
