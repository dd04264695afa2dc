//! What the driver does with snapshots: takes one of its own state, stores one that its leader
//! sends in pieces and installs it once it is whole, and sends its own in pieces to whoever the log
//! no longer reaches. All that takes as long as a disk runs beside the driver, but for the moment
//! in which a received one takes the place of the state.

use super::disk::{DiskEvent, run_job};
use super::{Driver, log_failed};
use crate::StateMachine;
use crate::backup::Copied;
use crate::measures::Measures;
use crate::replica::Frozen;
use crate::stop::Stop;
use holm_raft_core::{
    Body, Chunk, EntryId, Event, LogStart, MemberId, Message, NodeId, SnapshotId,
};
use holm_raft_core::{SnapshotMeta, Term};
use holm_wal::{Snapshot, Snapshots};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use tokio::sync::oneshot;

/// How many ticks pass before a snapshot that did not fit on the disk is tried again.
const RETRY_TICKS: u64 = 100;

/// The snapshots of a node: those on its disk, and those on their way to and from it.
pub(crate) struct SnapshotTraffic {
    pub(super) files: Snapshots,
    /// The newest durable one.
    pub(super) newest: Option<Snapshot>,
    /// Of the own state: being frozen, or on its way to the disk.
    taking: Take,
    /// No other is taken before this tick, for the disk was full.
    not_before: u64,
    /// Pieces of a leader's that wait for the disk; the core bounds them.
    arriving: Vec<Chunk>,
    store: Store,
    /// What each follower is being sent, kept until it has it, whatever is newest meanwhile. One a
    /// follower at most.
    leaving: BTreeMap<NodeId, Snapshot>,
}

/// Whether a snapshot of the own state is being taken: one at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Idle,
    /// Of the state up to this entry.
    Busy(EntryId),
}

/// Whether pieces are being stored right now: one job at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Idle,
    Busy,
}

impl SnapshotTraffic {
    pub(crate) fn new(files: Snapshots, newest: Option<Snapshot>) -> Self {
        let (arriving, leaving) = (Vec::new(), BTreeMap::new());
        let (taking, store) = (Take::Idle, Store::Idle);
        Self { files, newest, taking, not_before: 0, arriving, store, leaving }
    }

    /// The index of the newest durable one; 0 if there is none.
    pub(super) fn index(&self) -> u64 {
        self.newest.as_ref().map_or(0, |snapshot| snapshot.meta.last.index.0)
    }

    /// The piece that the core names; of the newest snapshot, if the one it names is gone.
    fn piece(&mut self, to: NodeId, named: Option<SnapshotId>, offset: u64, max: u64) -> Chunk {
        let known = self.leaving.get(&to).filter(|snapshot| Some(snapshot.id()) == named);
        if let Some(snapshot) = known {
            return snapshot.chunk(offset, max);
        }
        let newest = self.newest.clone().expect("the log is compacted only behind a snapshot");
        // A follower may have begun with another leader, or boot, what is newest here.
        let offset = if Some(newest.id()) == named { offset } else { 0 };
        let piece = newest.chunk(offset, max);
        self.leaving.insert(to, newest);
        piece
    }
}

impl<S: StateMachine> Driver<S> {
    /// Takes a snapshot when enough was applied since the last one.
    pub(super) fn take_snapshot(&mut self) -> Result<(), Stop> {
        let handed = self.applying.handed;
        let since = handed.0.saturating_sub(self.snapshots.index());
        let enough = since >= self.config.snapshot_entries
            || self.applying.bytes_since_snapshot >= self.config.snapshot_log_bytes;
        let due = since > 0 && enough && self.ticks >= self.snapshots.not_before;
        if self.snapshots.taking != Take::Idle || !due {
            return Ok(());
        }
        let entry = self.wal.entry(handed).map_err(|error| log_failed(&error))?;
        self.snapshots.taking = Take::Busy(entry.id);
        self.applying.freeze(self.raft.snapshot_meta(&entry));
        Ok(())
    }

    /// Copies the state as far as it was handed over.
    pub(super) fn copy(
        &mut self,
        reply: oneshot::Sender<Option<Copied<S::Snapshot>>>,
    ) -> Result<(), Stop> {
        let handed = self.applying.handed;
        if self.raft.configuration_at(handed).1.is_empty() {
            // Whoever no longer listens has given it up.
            let _ = reply.send(None);
            return Ok(());
        }
        let newest = self.snapshots.newest.as_ref().map(|snapshot| &snapshot.meta);
        let meta = match newest.filter(|meta| meta.last.index == handed) {
            // The log may begin behind it.
            Some(meta) => meta.clone(),
            None => {
                let entry = self.wal.entry(handed).map_err(|error| log_failed(&error))?;
                self.raft.snapshot_meta(&entry)
            }
        };
        self.applying.copy(meta, reply);
        Ok(())
    }

    /// The state is frozen: it is encoded and written beside the driver.
    pub(super) fn save_snapshot(&mut self, meta: SnapshotMeta, state: Frozen<S::Snapshot>) {
        let make = move || {
            let unreadable = |error| io::Error::new(ErrorKind::InvalidData, error);
            state.encode().map(|data| Snapshot::new(meta, data)).map_err(unreadable)
        };
        let tell = self.reports(DiskEvent::SnapshotSaved);
        let job = self.snapshots.files.save_job_of(make);
        self.edges.disk.run(self.measures.timed(Measures::snapshot_saves, job), tell);
    }

    /// The log may begin behind the snapshot before this one: should this one rot, that one and
    /// the log still make a whole.
    pub(super) fn snapshot_saved(&mut self, result: io::Result<()>) -> Result<(), Stop> {
        let taken = std::mem::replace(&mut self.snapshots.taking, Take::Idle);
        let Take::Busy(last) = taken else { unreachable!("only one is under way") };
        if let Err(error) = &result
            && matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        {
            // Those before it are as they were, and so is the log.
            tracing::warn!(node = self.config.node, %last, %error, "no room for a snapshot");
            self.snapshots.not_before = self.ticks + RETRY_TICKS;
            return Ok(());
        }
        result.map_err(|error| snapshot_failed(&error))?;
        let saved = self.snapshots.files.saved().expect("the job has saved it");
        if self.snapshots.index() >= saved.meta.last.index.0 {
            return Ok(());
        }
        tracing::info!(node = self.config.node, last = %saved.meta.last, "took a snapshot");
        if let Some(older) = self.snapshots.newest.replace(saved) {
            let start = LogStart { id: older.meta.last, time: older.meta.time };
            self.raft.handle(Event::Compact(start));
        }
        Ok(())
    }

    /// Stores pieces of a leader's snapshot, all that wait in one job.
    pub(super) fn store(&mut self, chunks: Vec<Chunk>) {
        self.snapshots.arriving.extend(chunks);
        if self.snapshots.store == Store::Busy || self.snapshots.arriving.is_empty() {
            return;
        }
        let chunks = std::mem::take(&mut self.snapshots.arriving);
        self.snapshots.store = Store::Busy;
        let tell = self.reports(DiskEvent::ChunksStored);
        self.edges.disk.run(self.snapshots.files.store_job(chunks), tell);
    }

    pub(super) fn chunks_stored(&mut self, result: io::Result<()>) -> Result<(), Stop> {
        result.map_err(|error| receiving_failed(&error))?;
        self.snapshots.store = Store::Idle;
        if let Some(why) = self.snapshots.files.refused() {
            tracing::warn!(node = self.config.node, why, "the leader's snapshot was not kept");
        }
        // What is stored is void where a transfer that begins anew waits behind it.
        let superseded = self.snapshots.arriving.iter().any(|chunk| chunk.offset == 0);
        if let Some((snapshot, stored)) = self.snapshots.files.stored()
            && !superseded
        {
            self.raft.handle(Event::Stored { snapshot, stored });
        }
        self.store(Vec::new());
        Ok(())
    }

    /// The leader's snapshot, which is stored whole, replaces the state. Its file is durable before
    /// the log forgets what it stands for: a crash between the two finds both.
    pub(super) async fn install(&mut self, meta: &SnapshotMeta) -> Result<(), Stop> {
        let job = self.snapshots.files.finish_job(meta.last);
        run_job(&self.edges.disk, job).await.map_err(|error| receiving_failed(&error))?;
        let snapshot = self.snapshots.files.received().expect("the job has completed it");
        let (last, bytes) = (snapshot.meta.last, snapshot.data.len());
        tracing::info!(node = self.config.node, %last, bytes, "installing the leader's snapshot");
        self.measures.snapshot_installed();
        self.tail.clear();
        self.applying.restore(snapshot.clone());
        self.waiting.skipped(last);
        self.snapshots.newest = Some(snapshot);
        self.serve_reads();
        Ok(())
    }

    pub(super) fn send_piece(
        &mut self,
        (to, term): (MemberId, Term),
        named: Option<SnapshotId>,
        offset: u64,
        bytes_max: u64,
    ) {
        let chunk = self.snapshots.piece(to.node, named, offset, bytes_max);
        if named.is_none() {
            let last = chunk.meta.last;
            tracing::info!(node = self.config.node, %to, %last, "offering a snapshot");
        }
        let body = Body::Snapshot(chunk.into());
        self.send_message(Message { from: self.me, to, term, body });
    }

    /// Forgets what was sent to followers that have it, or are not led any more.
    pub(super) fn forget_sent_snapshots(&mut self) {
        if !self.snapshots.leaving.is_empty() {
            let installing: Vec<NodeId> = self.raft.installing().collect();
            self.snapshots.leaving.retain(|node, _| installing.contains(node));
        }
    }
}

/// A snapshot of the own state could not be kept: it can't be encoded, or the disk failed.
fn snapshot_failed(error: &io::Error) -> Stop {
    if error.kind() == ErrorKind::InvalidData {
        return Stop::Fault(error.to_string());
    }
    Stop::Disk(format!("saving a snapshot failed ({error}); check the disk, then restart"))
}

/// A leader's snapshot was not stored, or reads differently than it came: its sum was right then.
fn receiving_failed(error: &io::Error) -> Stop {
    Stop::Disk(format!(
        "keeping the leader's snapshot failed ({error}); check the disk, then restart"
    ))
}
