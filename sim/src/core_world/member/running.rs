//! What is lost with the power: `Running`, a core, its log, its snapshots and its state, and the
//! turn that does what the core asks for. Each step is shown to the checkers.

use super::{Answer, Effects, Stop};
use crate::checkers::committed::Committed;
use crate::checkers::machine::StateMachineSafety;
use crate::checkers::shadow::{Chain, Shadow};
use crate::checkers::{Checkers, answers, configuration, durable, ensure};
use crate::core_world::guest::{Host, State};
use crate::core_world::plan::Settings;
use holm_raft_core::{
    Body, Chunk, Configuration, Entry, EntryId, EntryKind, Event, Fate, Index, LogStart, MemberId,
    Message, NodeId, Outbound, Persist, Raft, Ready, RequestNumber, WriteNumber,
};
use holm_wal::{Batch, Disk, Done, Error, Snapshot, Snapshots, Wal};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

/// A core, and what is around it.
pub(in crate::core_world) struct Running {
    me: MemberId,
    pub(in crate::core_world) raft: Raft,
    pub(in crate::core_world) wal: Wal,
    attached: Arc<dyn Disk>,
    snapshots: Snapshots,
    snapshot_entries: u64,
    /// How many of the last entries are sent from memory.
    recent_entries: u64,
    /// Decides which bytes equal states are frozen to.
    salt: u64,
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
    /// Up to which write the sync that is under way goes.
    syncing: WriteNumber,
    pub(in crate::core_world) applied: Index,
    chain: Chain,
    pub(in crate::core_world) state: State,
    host: Option<Arc<dyn Host>>,
    /// Reads that wait until all up to an index is applied.
    reads: Vec<(Index, RequestNumber)>,
    /// How many writes there were, and how many of them wrote something.
    pub(in crate::core_world) writes: u64,
    /// Whether a batch held a term and entries, since somebody looked.
    pub(super) wrote_mixed: bool,
    batches: u64,
    batches_synced: u64,
    /// How many syncs made something durable.
    pub(in crate::core_world) syncs: u64,
}

/// What a member is made of.
pub(super) struct Making {
    pub(super) me: MemberId,
    pub(super) raft: Raft,
    pub(super) wal: Wal,
    pub(super) attached: Arc<dyn Disk>,
    pub(super) snapshots: Snapshots,
    pub(super) newest: Option<Snapshot>,
    pub(super) host: Option<Arc<dyn Host>>,
}

/// What the disk reports.
enum Finished {
    Sync(io::Result<()>),
    Snapshot(io::Result<()>),
    Chunks(io::Result<()>),
}

/// What a failed disk means: the process ends, and is started again.
fn failed(error: &Error) -> Stop {
    match error {
        Error::Damaged { .. } => Stop::Rotten(error.to_string()),
        _ => Stop::of_disk(error),
    }
}

impl Running {
    pub(super) fn new(
        making: Making,
        settings: &Settings,
        committed: &Committed,
    ) -> Result<Self, Stop> {
        let Making { me, raft, wal, attached, snapshots, newest, host } = making;
        let applied = newest.as_ref().map_or(Index(0), |snapshot| snapshot.meta.last.index);
        let state = match &newest {
            Some(snapshot) => State::thaw(host.as_deref(), &snapshot.data)?,
            None => State::first(host.as_deref())?,
        };
        Ok(Self {
            me,
            raft,
            wal,
            attached,
            snapshots,
            snapshot_entries: settings.snapshot_entries,
            recent_entries: settings.recent_entries,
            salt: settings.frozen_apart * me.node.0,
            newest,
            saving: None,
            arriving: Vec::new(),
            storing: false,
            leaving: BTreeMap::new(),
            finished: Arc::default(),
            held: VecDeque::new(),
            acknowledged: WriteNumber(0),
            syncing: WriteNumber(0),
            applied,
            chain: committed.chain(applied).unwrap_or_default(),
            state,
            host,
            reads: Vec::new(),
            writes: 0,
            wrote_mixed: false,
            batches: 0,
            batches_synced: 0,
            syncs: 0,
        })
    }

    pub(super) fn act(
        &mut self,
        shadow: &mut Shadow,
        effects: &mut Effects,
        checkers: &mut Checkers,
    ) -> Result<(), Stop> {
        let finished = std::mem::take(&mut *self.finished.lock().expect("nobody panicked"));
        for finished in finished {
            self.finish(finished, shadow, checkers)?;
        }
        self.wal.check().map_err(|error| failed(&error))?;
        loop {
            self.acknowledge(shadow, effects)?;
            let ready = self.raft.ready();
            if ready.is_empty() {
                break;
            }
            self.turn(ready, shadow, effects, checkers)?;
        }
        self.take_snapshot(checkers)
    }

    fn turn(
        &mut self,
        ready: Ready,
        shadow: &mut Shadow,
        effects: &mut Effects,
        checkers: &mut Checkers,
    ) -> Result<(), Stop> {
        if let Some(persist) = ready.persist {
            self.persist(persist, shadow, checkers)?;
        }
        self.store(ready.chunks);
        for outbound in ready.send {
            let message = self.fill(outbound, shadow)?;
            answers::leaves(&message, shadow)?;
            effects.messages.push(message);
        }
        if let Some(range) = ready.committed {
            for index in range.start().0..=range.end().0 {
                self.apply(Index(index), shadow, effects, checkers)?;
            }
        }
        for (number, fate) in ready.proposals {
            if fate == Fate::Refused {
                effects.answers.push((number, Answer::Refused));
            }
        }
        for (number, index) in ready.reads {
            match index {
                Some(index) => {
                    effects.confirmed.push(number);
                    self.reads.push((index, number));
                }
                None => effects.answers.push((number, Answer::Refused)),
            }
        }
        effects.changes.extend(ready.changes.into_iter().map(|(_, changed)| changed));
        let applied = self.applied;
        self.reads.retain(|(index, number)| {
            let waits = *index > applied;
            if !waits {
                effects.answers.push((*number, Answer::Read { index: *index }));
            }
            waits
        });
        if let Some(job) = self.wal.begin_sync() {
            self.syncing = WriteNumber(self.writes);
            let done = self.done(Finished::Sync);
            self.attached.run(job.into_job(), done);
        }
        Ok(())
    }

    fn persist(
        &mut self,
        persist: Persist,
        shadow: &mut Shadow,
        checkers: &mut Checkers,
    ) -> Result<(), Stop> {
        if let Some(meta) = &persist.snapshot {
            let finished = (self.snapshots.finish_job(meta.last))();
            finished.map_err(|error| Stop::Disk(error.to_string()))?;
            let snapshot = self.snapshots.received().expect("the job has completed it");
            assert_eq!(snapshot.meta, *meta, "the one that the core has installed");
            self.applied = snapshot.meta.last.index;
            self.chain = checkers.committed.chain(self.applied).unwrap_or_default();
            self.state = State::thaw(self.host.as_deref(), &snapshot.data)?;
            checkers.machine.installed += 1;
            checkers.machine.state(self.me, self.applied, &self.state.machine)?;
            if let Some(frozen) = self.state.guest()? {
                checkers.machine.restored(self.me, self.applied, &frozen)?;
            }
            configuration::installs(self.me, meta, self.raft.configuration_at(self.applied))?;
            self.newest = Some(snapshot);
        }
        let glance = self.raft.glance();
        checkers.committed.writes(&persist, shadow)?;
        for message in &persist.then {
            checkers.up_to_date.will_say(message, shadow)?;
        }
        if glance.role == "leader" && persist.hard_state.is_none() {
            checkers.matching.leader_writes(&persist)?;
            let changes = |entry: &&Entry| entry.kind == EntryKind::Configuration;
            for entry in persist.entries.iter().filter(changes) {
                let before = self.raft.configuration_at(entry.id.index.prev());
                configuration::appends(&glance, shadow, before, entry)?;
            }
        }
        let batch = Batch {
            hard_state: persist.hard_state,
            compact: persist.compact,
            truncate: persist.truncate,
            entries: &persist.entries,
        };
        let known = |id: EntryId| checkers.committed.chain(id.index).unwrap_or_default();
        let number = self.wal.append(&batch).map_err(|error| {
            shadow.attempt(&persist, known);
            failed(&error)
        })?;
        assert_eq!(number, persist.number, "the core and the log count the same writes");
        self.writes = number.0;
        self.wrote_mixed |= persist.hard_state.is_some() && !persist.entries.is_empty();
        self.batches += u64::from(!persist.entries.is_empty() || persist.hard_state.is_some());
        shadow.write(&persist, known);
        checkers.matching.written(&persist, shadow)?;
        self.held.push_back((number, persist.then));
        Ok(())
    }

    fn acknowledge(&mut self, shadow: &Shadow, effects: &mut Effects) -> Result<(), Stop> {
        let durable = self.wal.durable();
        if durable <= self.acknowledged {
            return Ok(());
        }
        self.acknowledged = durable;
        while self.held.front().is_some_and(|(write, _)| *write <= durable) {
            for message in self.held.pop_front().into_iter().flat_map(|(_, then)| then) {
                answers::leaves(&message, shadow)?;
                effects.messages.push(message);
            }
        }
        self.raft.handle(Event::Persisted(durable));
        Ok(())
    }

    fn fill(&mut self, outbound: Outbound, shadow: &Shadow) -> Result<Message, Stop> {
        let (to, term, body) = match outbound {
            Outbound::Message(message) => return Ok(message),
            Outbound::Entries { to, term, prev, last, commit } => {
                let entries = self.entries(prev.index.next(), last.index, shadow)?;
                let found = entries.last().map_or(prev, |entry| entry.id);
                ensure((found == last).into(), "entries as named", || {
                    format!("{} was to send up to {last}, and its log has {found}", self.me)
                })?;
                (to, term, Body::Append { prev, entries, commit })
            }
            Outbound::Snapshot { to, term, snapshot, offset, bytes_max } => {
                let known = self.leaving.get(&to.node).filter(|known| Some(known.id()) == snapshot);
                let (source, offset) = match known.cloned() {
                    Some(known) => (known, offset),
                    None => {
                        let newest = self.newest.clone().expect("compacted behind a snapshot");
                        let offset = if Some(newest.id()) == snapshot { offset } else { 0 };
                        (newest, offset)
                    }
                };
                let chunk = source.chunk(offset, bytes_max);
                self.leaving.insert(to.node, source);
                (to, term, Body::Snapshot(chunk.into()))
            }
        };
        Ok(Message { from: self.me, to, term, body })
    }

    /// Entries to send: the recent tail from memory, as the node's driver captures it; what lies
    /// further back from the log.
    fn entries(&self, from: Index, to: Index, shadow: &Shadow) -> Result<Vec<Entry>, Stop> {
        if from.0 + self.recent_entries > shadow.last().index.0 || from > to {
            return Ok(shadow.entries(from, to).cloned().collect());
        }
        self.wal.entries(from..=to, u64::MAX).map_err(|error| failed(&error))
    }

    fn apply(
        &mut self,
        index: Index,
        shadow: &Shadow,
        effects: &mut Effects,
        checkers: &mut Checkers,
    ) -> Result<(), Stop> {
        ensure((index == self.applied.next()).into(), "applied in order", || {
            format!("{} has applied {} and is handed {index}", self.me, self.applied)
        })?;
        durable::applies(self.me, index, shadow)?;
        let entry = self.wal.entry(index).map_err(|error| failed(&error))?;
        self.applied = index;
        self.chain = self.chain.then(&entry);
        let term = self.raft.glance().term;
        checkers.committed.commits((index, index), term, shadow)?;
        StateMachineSafety::applied(self.me, index, self.chain, &checkers.committed)?;
        checkers.exactly_once.applied(&entry);
        if index > checkers.fresh_reads.now() && entry.kind == EntryKind::Configuration {
            let configuration = Configuration::decode(entry.data.clone()).expect("written here");
            effects.configurations.push((index, configuration));
        }
        checkers.fresh_reads.applied(index);
        if entry.kind == EntryKind::Command
            && let Some((command, applied)) = self.state.apply(&entry.data)?
        {
            if let Some((reply, state)) = &applied.guest {
                checkers.machine.guest(self.me, index, reply, state)?;
            }
            effects.applied.push((command, applied.reply));
        }
        Ok(())
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

    fn take_snapshot(&mut self, checkers: &mut Checkers) -> Result<(), Stop> {
        let newest = self.newest.as_ref().map_or(0, |snapshot| snapshot.meta.last.index.0);
        if self.applied.0 - newest < self.snapshot_entries {
            return Ok(());
        }
        self.snapshot_now(checkers)
    }

    /// Takes a snapshot, unless one is being taken or there is nothing new.
    pub(in crate::core_world) fn snapshot_now(
        &mut self,
        checkers: &mut Checkers,
    ) -> Result<(), Stop> {
        let newest = self.newest.as_ref().map_or(Index(0), |snapshot| snapshot.meta.last.index);
        if self.saving.is_some() || self.applied <= newest {
            return Ok(());
        }
        let entry = self.wal.entry(self.applied).map_err(|error| failed(&error))?;
        let meta = self.raft.snapshot_meta(&entry);
        let data = self.state.freeze(self.salt)?;
        checkers.machine.state(self.me, self.applied, &self.state.machine)?;
        let snapshot = Snapshot::new(meta, data);
        let done = self.done(Finished::Snapshot);
        self.attached.run(self.snapshots.save_job(&snapshot), done);
        self.saving = Some(snapshot);
        Ok(())
    }

    fn finish(
        &mut self,
        finished: Finished,
        shadow: &mut Shadow,
        _checkers: &mut Checkers,
    ) -> Result<(), Stop> {
        let disk = |error: io::Error| Stop::Disk(error.to_string());
        match finished {
            Finished::Sync(result) => {
                let synced = result.is_ok();
                self.wal.finish_sync(result).map_err(|error| failed(&error))?;
                if synced {
                    self.syncs += u64::from(self.batches > self.batches_synced);
                    self.batches_synced = self.batches;
                    shadow.acknowledge(self.syncing);
                }
            }
            Finished::Chunks(result) => {
                result.map_err(disk)?;
                self.stored();
            }
            Finished::Snapshot(result) => {
                result.map_err(disk)?;
                let saved = self.saving.take().expect("one at a time");
                if self.newest.as_ref().is_some_and(|newest| newest.meta.last >= saved.meta.last) {
                    return Ok(());
                }
                if let Some(older) = self.newest.replace(saved) {
                    let start = LogStart { id: older.meta.last, time: older.meta.time };
                    self.raft.handle(Event::Compact(start));
                }
            }
        }
        Ok(())
    }

    fn done(&self, kind: fn(io::Result<()>) -> Finished) -> Done {
        let finished = Arc::clone(&self.finished);
        Box::new(move |result| finished.lock().expect("nobody panicked").push(kind(result)))
    }
}
