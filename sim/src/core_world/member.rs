//! One member without async: `Member` joins a core to a log on a simulated disk, as the node's
//! driver does, and applies commands to a state that is a number.

use super::ledger::Ledger;
use bytes::Bytes;
use holm_raft_core as raft;
use holm_raft_core::{
    Body, Boot, Chunk, Configuration, Entry, EntryKind, Event, Incarnation, Index, LogStart,
    MemberId, Message, NodeId, Outbound, Persist, Raft, RequestNumber, Restored, Term, WriteNumber,
};
use holm_wal::{Batch, Disk, Done, Identity, Options, SimDisk, Snapshot, Snapshots, Wal};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

/// A disk's work, to be done at a time that the world chooses.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// How many applied entries lie between two snapshots.
const SNAPSHOT_ENTRIES: u64 = 20;

pub(super) struct Member {
    me: MemberId,
    boots: u64,
    disk: SimDisk,
    jobs: Arc<Mutex<Vec<Job>>>,
    running: Option<Running>,
}

/// What is lost with the power.
struct Running {
    me: MemberId,
    raft: Raft,
    wal: Wal,
    attached: Arc<dyn Disk>,
    snapshots: Snapshots,
    newest: Option<Snapshot>,
    saving: Option<Snapshot>,
    /// Pieces of a leader's snapshot that wait for the disk, and whether others are being stored.
    arriving: Vec<Chunk>,
    storing: bool,
    /// What each follower is being sent.
    leaving: BTreeMap<NodeId, Snapshot>,
    finished: Arc<Mutex<Vec<Finished>>>,
    held: VecDeque<(WriteNumber, Vec<Message>)>,
    acknowledged: WriteNumber,
    applied: Index,
    state: u64,
    /// Proposals made here and not answered.
    asked: BTreeSet<RequestNumber>,
}

/// What the disk reports.
enum Finished {
    Sync(io::Result<()>),
    Snapshot(io::Result<()>),
    Chunks(io::Result<()>),
}

impl Member {
    pub(super) fn new(at: usize, seed: u64) -> Self {
        let node = at as u64 + 1;
        let jobs = Arc::new(Mutex::new(Vec::new()));
        let queue = Arc::clone(&jobs);
        let runner = Arc::new(move |job| queue.lock().expect("nobody panicked").push(job));
        let me = MemberId::new(NodeId(node), Incarnation(node * 1000 + 7));
        let mut member =
            Self { me, boots: 0, disk: SimDisk::new(seed, runner), jobs, running: None };
        let identity = Identity { cluster: [7; 16], member: me };
        Wal::create(member.disk.attach(), options(), identity).expect("an empty disk");
        member.start(seed);
        member
    }

    pub(super) const fn me(&self) -> MemberId {
        self.me
    }

    pub(super) fn configured(&self) -> raft::Member {
        raft::Member { id: self.me, info: Bytes::new() }
    }

    /// Switches the member on: it finds what the power cut left.
    pub(super) fn start(&mut self, seed: u64) {
        self.boots += 1;
        let attached = self.disk.attach();
        let (wal, recovered) = Wal::open(Arc::clone(&attached), options())
            .expect("what a power cut leaves can be opened");
        let (snapshots, newest, receiving) =
            Snapshots::open(Arc::clone(&attached)).expect("snapshots are whole or not there");
        recovered.check_snapshot(newest.as_ref().map(|s| &s.meta)).expect("log and snapshot meet");
        let configuration = |entry: &Entry| {
            let configuration = Configuration::decode(entry.data.clone()).expect("written here");
            (entry.id.index, configuration)
        };
        let restored = Restored {
            hard_state: recovered.hard_state,
            start: recovered.start.id,
            terms: recovered.terms,
            last: recovered.last.index,
            last_time: recovered.last_time,
            configurations: recovered.configurations.iter().map(configuration).collect(),
            weights: wal.weights(64),
            snapshot: newest.as_ref().map(|snapshot| snapshot.meta.clone()),
            receiving,
        };
        let config = raft::Config {
            append_entries_max: 8,
            inflight_appends_max: 4,
            snapshot_chunk_bytes: 100,
            snapshot_inflight_bytes_max: 300,
            install_log_bytes_max: 8 << 10,
            ..raft::Config::new(self.me, Boot(self.boots), seed)
        };
        self.running = Some(Running {
            me: self.me,
            raft: Raft::new(config, restored).expect("good settings"),
            wal,
            attached,
            snapshots,
            applied: newest.as_ref().map_or(Index(0), |snapshot| snapshot.meta.last.index),
            state: newest.as_ref().map_or(0, |snapshot| state(&snapshot.data)),
            newest,
            saving: None,
            arriving: Vec::new(),
            storing: false,
            leaving: BTreeMap::new(),
            finished: Arc::default(),
            held: VecDeque::new(),
            acknowledged: WriteNumber(0),
            asked: BTreeSet::new(),
        });
    }

    pub(super) fn power_cut(&mut self) {
        self.running = None;
        self.jobs.lock().expect("nobody panicked").clear();
        self.disk.power_cut();
    }

    pub(super) fn handle(&mut self, event: Event) {
        if let Some(running) = &mut self.running {
            running.raft.handle(event);
        }
    }

    pub(super) fn propose(&mut self, number: RequestNumber) {
        if let Some(running) = &mut self.running {
            running.asked.insert(number);
            let data = Bytes::copy_from_slice(&number.0.to_le_bytes());
            running.raft.handle(Event::Propose { number, data });
        }
    }

    /// Does all that the core asks for; returns what is to be sent.
    pub(super) fn act(&mut self, ledger: &mut Ledger) -> Vec<Message> {
        self.running.as_mut().map_or_else(Vec::new, |running| running.act(ledger))
    }

    /// What the disk has to do since the last call.
    pub(super) fn jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut *self.jobs.lock().expect("nobody panicked"))
    }

    pub(super) fn applied(&self) -> Option<Index> {
        self.running.as_ref().map(|running| running.applied)
    }

    pub(super) fn leads(&self) -> Option<(Term, MemberId)> {
        let status = self.running.as_ref()?.raft.status();
        (status.role == "leader").then_some((status.term, status.me))
    }

    pub(super) fn status(&self) -> String {
        let off = || format!("{} is off", self.me.node);
        self.running.as_ref().map_or_else(off, |running| running.raft.status().to_string())
    }
}

impl Running {
    fn act(&mut self, ledger: &mut Ledger) -> Vec<Message> {
        let mut messages = Vec::new();
        let finished = std::mem::take(&mut *self.finished.lock().expect("nobody panicked"));
        for finished in finished {
            self.finish(finished);
        }
        loop {
            self.acknowledge(&mut messages);
            let ready = self.raft.ready();
            if ready.is_empty() {
                break;
            }
            if let Some(persist) = ready.persist {
                self.persist(persist, ledger);
            }
            self.store(ready.chunks);
            for outbound in ready.send {
                messages.extend(self.fill(outbound));
            }
            for index in ready.committed.into_iter().flat_map(|r| r.start().0..=r.end().0) {
                self.apply(Index(index), ledger);
            }
            if let Some(job) = self.wal.begin_sync() {
                let done = self.done(Finished::Sync);
                self.attached.run(job.into_job(), done);
            }
        }
        self.take_snapshot();
        messages
    }

    fn persist(&mut self, persist: Persist, ledger: &mut Ledger) {
        if let Some(meta) = persist.snapshot {
            (self.snapshots.finish_job(meta.last))().expect("the disk does not fail here");
            let snapshot = self.snapshots.received().expect("the job has completed it");
            assert_eq!(snapshot.meta, meta, "the one that the core has installed");
            self.applied = snapshot.meta.last.index;
            self.state = state(&snapshot.data);
            assert_eq!(snapshot.data, frozen(self.state), "its pieces make up the whole");
            ledger.restored(self.applied, self.state);
            self.newest = Some(snapshot);
        }
        let batch = Batch {
            hard_state: persist.hard_state,
            compact: persist.compact,
            truncate: persist.truncate,
            entries: &persist.entries,
        };
        let number = self.wal.append(&batch).expect("the disk does not fail here");
        assert_eq!(number, persist.number, "the core and the log count the same writes");
        self.held.push_back((number, persist.then));
    }

    fn acknowledge(&mut self, messages: &mut Vec<Message>) {
        let durable = self.wal.durable();
        if durable <= self.acknowledged {
            return;
        }
        self.acknowledged = durable;
        while self.held.front().is_some_and(|(write, _)| *write <= durable) {
            messages.extend(self.held.pop_front().into_iter().flat_map(|(_, then)| then));
        }
        self.raft.handle(Event::Persisted(durable));
    }

    fn fill(&mut self, outbound: Outbound) -> Option<Message> {
        let (to, term, body) = match outbound {
            Outbound::Message(message) => return Some(message),
            Outbound::Entries { to, term, prev, last, commit } => {
                let range = prev.index.next()..=last.index;
                let entries = self.wal.entries(range, u64::MAX).expect("the log holds them");
                assert_eq!(entries.last().map_or(prev, |entry| entry.id), last, "as named");
                (to, term, Body::Append { prev, entries, commit })
            }
            Outbound::Snapshot { to, term, snapshot, offset, bytes_max } => {
                let known = self.leaving.get(&to.node).filter(|known| Some(known.id()) == snapshot);
                let (source, offset) = match known.cloned() {
                    Some(known) => (known, offset),
                    None => (self.newest.clone().expect("compacted behind a snapshot"), 0),
                };
                let chunk = source.chunk(offset, bytes_max);
                self.leaving.insert(to.node, source);
                (to, term, Body::Snapshot(chunk.into()))
            }
        };
        Some(Message { from: self.me, to, term, body })
    }

    fn apply(&mut self, index: Index, ledger: &mut Ledger) {
        assert_eq!(index, self.applied.next(), "applied in order, each once");
        let entry = self.wal.entry(index).expect("the log holds it");
        self.applied = index;
        if entry.kind == EntryKind::Command {
            let number = number(&entry.data);
            self.state = self.state.wrapping_mul(31).wrapping_add(number.0);
            if self.asked.remove(&number) {
                ledger.acknowledged(number);
            }
        }
        ledger.applied(&entry, self.state);
    }

    /// Stores pieces of a leader's snapshot, one job at a time.
    fn store(&mut self, chunks: Vec<Chunk>) {
        self.arriving.extend(chunks);
        if !self.storing && !self.arriving.is_empty() {
            self.storing = true;
            let job = self.snapshots.store_job(std::mem::take(&mut self.arriving));
            self.attached.run(job, self.done(Finished::Chunks));
        }
    }

    fn stored(&mut self) {
        self.storing = false;
        // What is stored is void where a transfer that begins anew waits behind it.
        let superseded = self.arriving.iter().any(|chunk| chunk.offset == 0);
        if let Some((snapshot, stored)) = self.snapshots.stored()
            && !superseded
        {
            self.raft.handle(Event::Stored { snapshot, stored });
        }
        self.store(Vec::new());
    }

    fn take_snapshot(&mut self) {
        let newest = self.newest.as_ref().map_or(0, |snapshot| snapshot.meta.last.index.0);
        if self.saving.is_some() || self.applied.0 - newest < SNAPSHOT_ENTRIES {
            return;
        }
        let entry = self.wal.entry(self.applied).expect("the log holds it");
        let meta = self.raft.snapshot_meta(&entry);
        let snapshot = Snapshot::new(meta, frozen(self.state));
        let done = self.done(Finished::Snapshot);
        self.attached.run(self.snapshots.save_job(&snapshot), done);
        self.saving = Some(snapshot);
    }

    fn finish(&mut self, finished: Finished) {
        match finished {
            Finished::Sync(result) => {
                self.wal.finish_sync(result).expect("the disk does not fail here");
            }
            Finished::Chunks(result) => {
                result.expect("the disk does not fail here");
                self.stored();
            }
            Finished::Snapshot(result) => {
                result.expect("the disk does not fail here");
                let saved = self.saving.take().expect("one at a time");
                if self.newest.as_ref().is_some_and(|newest| newest.meta.last >= saved.meta.last) {
                    return;
                }
                if let Some(older) = self.newest.replace(saved) {
                    let start = LogStart { id: older.meta.last, time: older.meta.time };
                    self.raft.handle(Event::Compact(start));
                }
            }
        }
    }

    fn done(&self, kind: fn(io::Result<()>) -> Finished) -> Done {
        let finished = Arc::clone(&self.finished);
        Box::new(move |result| finished.lock().expect("nobody panicked").push(kind(result)))
    }
}

const fn options() -> Options {
    Options { segment_bytes: 16 << 10 }
}

/// The number in a command's bytes.
pub(super) fn number(data: &[u8]) -> RequestNumber {
    RequestNumber(state(data))
}

fn state(data: &[u8]) -> u64 {
    let (state, _) = data.split_first_chunk().expect("eight bytes");
    u64::from_le_bytes(*state)
}

/// A snapshot of a state: the state, and bytes that follow from it, enough for many pieces.
fn frozen(state: u64) -> Bytes {
    let length = 500 + state % 1_000;
    let step = |offset: u64| state.rotate_left(u32::from(offset.to_le_bytes()[0])) ^ offset;
    (0..length / 8).flat_map(|offset| step(offset).to_le_bytes()).collect()
}
