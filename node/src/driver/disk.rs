//! What the driver does with its disk: writes, syncs off its path, releases what a write held back
//! once it is durable, saves and installs snapshots.

use super::{Driver, log_failed};
use crate::StateMachine;
use crate::stop::Stop;
use holm_raft_core::{Event, LogStart, Message, Persist, WriteNumber};
use holm_wal::{Batch, Disk, Job, Snapshot};
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Something that a disk's own thread reports.
pub(crate) enum DiskEvent {
    Synced(io::Result<()>),
    SnapshotSaved(io::Result<()>),
}

/// Messages that speak for a write.
pub(crate) struct Held {
    write: WriteNumber,
    messages: Vec<Message>,
}

impl<S: StateMachine> Driver<S> {
    /// Writes what the core asks for, and keeps back what may be said only once it is durable.
    pub(super) async fn persist(&mut self, persist: Persist) -> Result<(), Stop> {
        if let Some(snapshot) = persist.snapshot {
            self.install(Snapshot::new(snapshot.meta, snapshot.data)).await?;
        }
        let batch = Batch {
            hard_state: persist.hard_state,
            compact: persist.compact,
            truncate: persist.truncate,
            entries: &persist.entries,
        };
        let number = self.wal.append(&batch).map_err(|error| log_failed(&error))?;
        assert_eq!(number, persist.number, "the core and the log count the same writes");
        self.held.push_back(Held { write: number, messages: persist.then });
        Ok(())
    }

    /// A snapshot from the leader replaces the state. Its file is durable before the log forgets
    /// what it stands for: a crash between the two finds both.
    async fn install(&mut self, snapshot: Snapshot) -> Result<(), Stop> {
        let last = snapshot.meta.last;
        tracing::info!(node = self.config.node, %last, bytes = snapshot.data.len(), "installing");
        let job = self.snapshots.save_job(&snapshot);
        run_job(&self.edges.disk, job).await.map_err(|error| snapshot_failed(&error))?;
        self.replica.restore(&snapshot.data).map_err(|error| Self::unreadable(&error))?;
        self.applied = last.index;
        self.waiting.skipped(last.index);
        self.newest = Some(snapshot);
        self.serve_reads();
        Ok(())
    }

    /// Starts a sync, if there is something to sync and none is under way.
    pub(super) fn start_sync(&mut self) {
        if let Some(job) = self.wal.begin_sync() {
            let events = self.disk_events.0.clone();
            let tell = move |result| {
                let _ = events.send(DiskEvent::Synced(result));
            };
            self.edges.disk.run(job.into_job(), Box::new(tell));
        }
    }

    pub(super) fn disk_event(&mut self, event: DiskEvent) -> Result<(), Stop> {
        match event {
            DiskEvent::Synced(result) => {
                self.wal.finish_sync(result).map_err(|error| log_failed(&error))?;
                self.acknowledge();
                self.start_sync();
            }
            DiskEvent::SnapshotSaved(result) => {
                result.map_err(|error| snapshot_failed(&error))?;
                self.snapshot_saved();
            }
        }
        Ok(())
    }

    /// Tells the core what is durable, and lets out what was held back for it.
    pub(super) fn acknowledge(&mut self) {
        let durable = self.wal.durable();
        if durable <= self.acknowledged {
            return;
        }
        self.acknowledged = durable;
        while self.held.front().is_some_and(|held| held.write <= durable) {
            let held = self.held.pop_front().expect("looked at above");
            for message in held.messages {
                self.send_message(&message);
            }
        }
        self.raft.handle(Event::Persisted(durable));
    }

    /// Takes a snapshot when enough was applied since the last one.
    pub(super) fn take_snapshot(&mut self) -> Result<(), Stop> {
        let newest = self.newest.as_ref().map_or(0, |snapshot| snapshot.meta.last.index.0);
        if self.saving.is_some() || self.applied.0 - newest < self.config.snapshot_entries {
            return Ok(());
        }
        let entry = self.wal.entry(self.applied).map_err(|error| log_failed(&error))?;
        let meta = self.raft.snapshot_meta(&entry);
        let data = self.replica.freeze().map_err(|error| Self::unreadable(&error))?;
        let snapshot = Snapshot::new(meta, data);
        let events = self.disk_events.0.clone();
        let tell = move |result| {
            let _ = events.send(DiskEvent::SnapshotSaved(result));
        };
        self.edges.disk.run(self.snapshots.save_job(&snapshot), Box::new(tell));
        self.saving = Some(snapshot);
        Ok(())
    }

    /// The log may begin behind the snapshot before this one: should this one rot, that one and
    /// the log still make a whole.
    fn snapshot_saved(&mut self) {
        let saved = self.saving.take().expect("only one is under way");
        if self.newest.as_ref().is_some_and(|newest| newest.meta.last >= saved.meta.last) {
            return;
        }
        tracing::info!(node = self.config.node, last = %saved.meta.last, "took a snapshot");
        if let Some(older) = self.newest.replace(saved) {
            let start = LogStart { id: older.meta.last, time: older.meta.time };
            self.raft.handle(Event::Compact(start));
        }
    }
}

fn run_job(disk: &Arc<dyn Disk>, job: Job) -> impl Future<Output = io::Result<()>> + use<> {
    let (done, finished) = oneshot::channel();
    let tell = move |result| {
        // The receiver is gone only if the driver is.
        let _ = done.send(result);
    };
    disk.run(job, Box::new(tell));
    async { finished.await.unwrap_or_else(|_| Err(io::Error::other("the disk's thread ended"))) }
}

fn snapshot_failed(error: &io::Error) -> Stop {
    Stop::Disk(format!("saving a snapshot failed ({error}); check the disk, then restart"))
}
