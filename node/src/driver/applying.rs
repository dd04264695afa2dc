//! The driver's side of applying: `Applying` hands committed entries to the task that owns the
//! state (`applier.rs`), a bounded number of bytes ahead of it, together with whoever waits for
//! them here, and hears how far it is.

use super::{Driver, Serve, log_failed};
use crate::StateMachine;
use crate::applier::{Applier, Batch, Command, Common, Report, Work};
use crate::backup::Copied;
use crate::edges::Clock;
use crate::envelope::Envelope;
use crate::measures::Measures;
use crate::replica::Replica;
use crate::stop::Stop;
use holm_raft_core::{Entry, EntryKind, Index, LogTime, SnapshotMeta, Term};
use holm_wal::Snapshot;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How many bytes of entries may be handed over and not applied; one batch may go beyond it.
const AHEAD_BYTES_MAX: u64 = 4 << 20;
/// How many bytes are handed over at a time.
const BATCH_BYTES_MAX: u64 = 256 << 10;
/// What an entry weighs besides its data.
const ENTRY_BYTES: u64 = 64;

/// How far the state is.
pub(crate) struct Applying<S: StateMachine> {
    /// All up to here is committed, and may be handed over.
    committed: Index,
    /// All up to here is handed over.
    pub(super) handed: Index,
    /// Of what term that is, as far as it was handed over in this start.
    handed_term: Term,
    /// All up to here is applied.
    pub(super) applied: Index,
    /// What is handed over and not applied.
    ahead_bytes: u64,
    /// What was handed over since the newest snapshot was asked for.
    pub(super) bytes_since_snapshot: u64,
    work: mpsc::UnboundedSender<Work<S>>,
    pub(super) reports: mpsc::UnboundedReceiver<Report<S>>,
    common: Common,
    task: JoinHandle<()>,
}

impl<S: StateMachine> Applying<S> {
    /// Starts the task that owns the state, which stands for all up to an index.
    pub(crate) fn start(
        replica: Replica<S>,
        applied: Index,
        clock: Arc<dyn Clock>,
        measures: Arc<Measures>,
    ) -> Self {
        let (work, works) = mpsc::unbounded_channel();
        let (reporting, reports) = mpsc::unbounded_channel();
        let common = Common::default();
        let applier = Applier {
            replica,
            applied,
            work: works,
            reports: reporting,
            common: common.clone(),
            clock,
            measures,
        };
        let task = tokio::task::spawn(applier.run());
        Self {
            committed: applied,
            handed: applied,
            handed_term: Term(0),
            applied,
            ahead_bytes: 0,
            bytes_since_snapshot: 0,
            work,
            reports,
            common,
            task,
        }
    }

    /// Whether something was handed over that is not applied.
    pub(super) fn is_behind(&self) -> bool {
        self.applied < self.handed
    }

    /// How many callers wait for what was handed over.
    pub(super) fn callers(&self) -> usize {
        self.common.callers.load(Ordering::Relaxed)
    }

    /// Shows the state, once all that was handed over is applied.
    pub(super) fn read(&self, serve: Serve<S>) {
        self.common.callers.fetch_add(1, Ordering::Relaxed);
        self.give(Work::Read(serve));
    }

    pub(super) fn freeze(&mut self, meta: SnapshotMeta) {
        self.bytes_since_snapshot = 0;
        self.give(Work::Freeze(meta));
    }

    /// Copies the state, once all that was handed over is applied.
    pub(super) fn copy(
        &self,
        meta: SnapshotMeta,
        reply: oneshot::Sender<Option<Copied<S::Snapshot>>>,
    ) {
        self.give(Work::Copy(meta, reply));
    }

    /// The state is replaced by a snapshot's.
    pub(super) fn restore(&mut self, snapshot: Snapshot) {
        (self.committed, self.handed) = (snapshot.meta.last.index, snapshot.meta.last.index);
        self.bytes_since_snapshot = 0;
        self.give(Work::Restore(snapshot));
    }

    fn give(&self, work: Work<S>) {
        // If its task has ended, so have its reports, and the driver stops by that.
        let _ = self.work.send(work);
    }

    /// Leaves what is not begun, and waits for what is.
    pub(crate) async fn stop(self) {
        self.common.stopping.store(true, Ordering::Relaxed);
        drop(self.work);
        drop(self.reports);
        // A panic was reported by the panic's own message.
        let _ = self.task.await;
    }
}

impl<S: StateMachine> Driver<S> {
    /// Everything up to here may be applied.
    pub(super) fn committed(&mut self, to: Index) -> Result<(), Stop> {
        self.applying.committed = to;
        self.hand_over()
    }

    /// Hands over what is committed, as far as there is room.
    fn hand_over(&mut self) -> Result<(), Stop> {
        while self.applying.handed < self.applying.committed
            && self.applying.ahead_bytes < AHEAD_BYTES_MAX
        {
            let range = self.applying.handed.next()..=self.applying.committed;
            let mut entries = self.tail.entries(range.clone(), BATCH_BYTES_MAX);
            if entries.is_empty() {
                let read = self.wal.entries(range, BATCH_BYTES_MAX);
                entries = read.map_err(|error| log_failed(&error))?;
            }
            self.hand_batch(entries)?;
            self.tail.forget_to(self.applying.handed);
        }
        self.serve_reads();
        Ok(())
    }

    fn hand_batch(&mut self, entries: Vec<Entry>) -> Result<(), Stop> {
        let commands = Vec::with_capacity(entries.len());
        let mut batch = Batch { commands, to: Index(0), time: LogTime(0), bytes: 0 };
        for entry in entries {
            let index = entry.id.index;
            assert_eq!(index, self.applying.handed.next(), "applied in order, each once");
            batch.bytes += ENTRY_BYTES + entry.data.len() as u64;
            (batch.to, batch.time) = (index, entry.time);
            self.applying.handed = index;
            if entry.id.term > self.applying.handed_term {
                self.applying.handed_term = entry.id.term;
                self.waiting.outlived(entry.id.term);
            }
            if entry.kind == EntryKind::Command {
                batch.commands.push(self.command(entry)?);
            }
        }
        self.applying.ahead_bytes += batch.bytes;
        self.applying.bytes_since_snapshot += batch.bytes;
        self.applying.give(Work::Apply(batch));
        Ok(())
    }

    fn command(&mut self, entry: Entry) -> Result<Command<S>, Stop> {
        let index = entry.id.index;
        let unreadable = || {
            let why = "it can't be decoded; run the build that wrote it";
            Stop::Fault(format!("the command at index {index} is of another format: {why}"))
        };
        let envelope = Envelope::decode(entry.data).ok_or_else(unreadable)?;
        let here = envelope.boot == self.boot;
        let reply = if here { self.waiting.take(envelope.number) } else { None };
        if reply.is_some() {
            self.applying.common.callers.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Command { index, time: entry.time, envelope, reply })
    }

    /// The state's task says something.
    pub(super) fn report(&mut self, report: Report<S>) -> Result<(), Stop> {
        match report {
            Report::Applied { to, bytes } => {
                self.applying.applied = self.applying.applied.max(to);
                self.applying.ahead_bytes -= bytes;
                self.hand_over()
            }
            Report::Frozen { meta, state } => {
                self.save_snapshot(meta, *state);
                Ok(())
            }
            Report::Failed(error) => Err(Stop::Fault(error.to_string())),
        }
    }
}
