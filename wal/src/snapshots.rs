//! Snapshot files: `Snapshots` saves a snapshot whole or not at all, receives one in pieces, keeps
//! the last two, and finds the newest readable one. `file` has the format, `receive` and `progress`
//! have the transfer in pieces. `docs/wal-format.md` has the diagrams and the crash cases.

mod file;
mod progress;
mod receive;

use crate::disk::{Disk, Job};
use crate::error::Error;
pub use file::Snapshot;
use file::{Unreadable, is_snapshot, is_unfinished, name_of};
use holm_raft_core::{Chunk, EntryId, Index, Partial, SnapshotId};
use receive::{Receiving, Transfer, is_of_a_transfer};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The snapshots on a disk, which may be the log's.
///
/// There may be one save under way and, beside it, one job that stores or finishes.
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    damaged: Vec<String>,
    shared: Arc<Mutex<Shared>>,
}

/// What the jobs share. The lock is held where file names change, never while data are written or
/// synced: a long save must not hold up the thread that the log's syncs need.
struct Shared {
    /// The last entry of the newest snapshot.
    newest: Index,
    /// Files that hold no snapshot, though they have the name of one.
    damaged: Vec<String>,
    transfer: Transfer,
    received: Option<Snapshot>,
    saved: Option<Snapshot>,
}

impl Snapshots {
    /// How many snapshots are kept: the newest, and the one before it in case that is damaged.
    pub const KEPT: usize = 2;

    /// Removes what crashed saves left, and finds the newest snapshot that is whole and what has
    /// arrived of one above it. What is found is durable. Check with
    /// [`Recovered::check_snapshot`](crate::Recovered::check_snapshot) that the log reaches back
    /// to the snapshot.
    ///
    /// # Errors
    /// [`Error::SnapshotDamaged`] if there are snapshots but none is whole; [`Error::Version`] for
    /// one of another version; whatever the disk reports.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Self, Option<Snapshot>, Option<Partial>), Error> {
        let names = disk.list().map_err(Error::io("listing", "the snapshots' directory"))?;
        let ours =
            |name: &String| is_snapshot(name) || is_unfinished(name) || is_of_a_transfer(name);
        if names.iter().any(ours) {
            // A process that died, not its machine, may have left names that are not durable, and
            // the log may be cut, and pieces removed, on the strength of what is found here.
            disk.sync_directory().map_err(Error::io("syncing", "the snapshots' directory"))?;
        }
        let mut damaged = Vec::new();
        let snapshot = newest_whole(&*disk, &names, &mut damaged)?;
        for name in names.iter().filter(|name| is_unfinished(name)) {
            disk.remove(name).map_err(Error::io("removing", name))?;
        }
        let newest = snapshot.as_ref().map_or(Index(0), |snapshot| snapshot.meta.last.index);
        let receiving = Receiving::find(&*disk, &names, newest)?;
        let partial = receiving.as_ref().map(|receiving| receiving.partial().clone());
        let transfer = receiving.map_or(Transfer::None, Transfer::UnderWay);
        let shared =
            Shared { newest, damaged: damaged.clone(), transfer, received: None, saved: None };
        let shared = Arc::new(Mutex::new(shared));
        Ok((Self { disk, damaged, shared }, snapshot, partial))
    }

    /// The file names of damaged snapshots, newest first, that are newer than the one which
    /// [`open`](Self::open) found.
    #[must_use]
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// What to run, with [`Disk::run`], to save the snapshot. When it has succeeded, the snapshot
    /// is durable and replaces all but the one before it; if it fails or is cut off, the others
    /// are as they were. A transfer of a snapshot that is not above it is given up. One at a time.
    #[must_use = "nothing is saved until the job has run"]
    pub fn save_job(&self, snapshot: &Snapshot) -> Job {
        let (disk, shared) = (Arc::clone(&self.disk), Arc::clone(&self.shared));
        let snapshot = snapshot.clone();
        Box::new(move || save(&*disk, &shared, &snapshot))
    }

    /// The same for a snapshot that is made in the job, which may take as long as it likes; when it
    /// has succeeded, [`saved`](Self::saved) has it. If `make` fails, so does the job.
    #[must_use = "nothing is saved until the job has run"]
    pub fn save_job_of(&self, make: impl FnOnce() -> io::Result<Snapshot> + Send + 'static) -> Job {
        let (disk, shared) = (Arc::clone(&self.disk), Arc::clone(&self.shared));
        Box::new(move || {
            let snapshot = make()?;
            save(&*disk, &shared, &snapshot)?;
            lock(&shared).saved = Some(snapshot);
            Ok(())
        })
    }

    /// The snapshot that the last [`save_job_of`](Self::save_job_of) has saved. It is handed out
    /// once.
    #[must_use]
    pub fn saved(&self) -> Option<Snapshot> {
        lock(&self.shared).saved.take()
    }

    /// What to run to store pieces of a snapshot. Each follows the one before it; one that begins
    /// at 0 takes the place of what was stored before. When the job has succeeded, what
    /// [`stored`](Self::stored) says is durable: nothing if the snapshot can't be kept, for which
    /// [`refused`](Self::refused) has the reason: it does not fit on the disk, all of it does not
    /// match its checksum, or there is a newer one meanwhile. Later pieces of it are then passed
    /// over until it is begun anew.
    ///
    /// The job fails for whatever else the disk reports, and then nothing more can be stored until
    /// a restart. One at a time, and none beside a [`finish_job`](Self::finish_job).
    ///
    /// # Panics
    /// The job does, if a piece neither begins a snapshot nor follows what is stored.
    #[must_use = "nothing is stored until the job has run"]
    pub fn store_job(&self, chunks: Vec<Chunk>) -> Job {
        let (disk, shared) = (Arc::clone(&self.disk), Arc::clone(&self.shared));
        Box::new(move || {
            let transfer = lock(&shared).take()?;
            let transfer = transfer.store(&*disk, &chunks)?;
            // A save may have come in between.
            let mut shared = lock(&shared);
            shared.transfer = transfer.outdated_by(&*disk, shared.newest)?;
            Ok(())
        })
    }

    /// What to tell the core when a store job has succeeded: how many bytes of which snapshot are
    /// stored, or that it was given up. `None` if nothing has arrived since the last finish, or
    /// while a job runs.
    #[must_use]
    pub fn stored(&self) -> Option<(SnapshotId, Option<u64>)> {
        lock(&self.shared).transfer.stored()
    }

    /// Why the last snapshot that arrived was given up. It is told once.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        match &mut lock(&self.shared).transfer {
            Transfer::GivenUp { why, .. } => why.take(),
            Transfer::None | Transfer::UnderWay(_) | Transfer::Away => None,
        }
    }

    /// What to run to make the snapshot whose pieces are all stored, and which ends with `last`,
    /// one like any other. When it has succeeded, that is durable, it replaces all but the one
    /// before it, and [`received`](Self::received) has it. If the job is cut off, a restart finds
    /// the snapshot, or all its pieces.
    ///
    /// # Panics
    /// The job does, if not all of that snapshot is stored.
    #[must_use = "nothing is finished until the job has run"]
    pub fn finish_job(&self, last: EntryId) -> Job {
        let (disk, shared) = (Arc::clone(&self.disk), Arc::clone(&self.shared));
        Box::new(move || {
            let mut shared = lock(&shared);
            let Transfer::UnderWay(receiving) = shared.take()? else {
                panic!("snapshot {last} is to be finished, but none is under way");
            };
            let snapshot = receiving.finish(&*disk, &last)?;
            shared.has(&*disk, &last)?;
            shared.transfer = Transfer::None;
            shared.received = Some(snapshot);
            Ok(())
        })
    }

    /// The snapshot that the last finish job has completed. It is handed out once.
    #[must_use]
    pub fn received(&self) -> Option<Snapshot> {
        lock(&self.shared).received.take()
    }
}

impl Shared {
    /// Takes the transfer away for a job, which puts it back if it succeeds.
    fn take(&mut self) -> io::Result<Transfer> {
        match std::mem::replace(&mut self.transfer, Transfer::Away) {
            Transfer::Away => {
                let what = "another job is receiving a snapshot, or one has failed; check the \
                            disk, then restart";
                Err(io::Error::other(what))
            }
            transfer => Ok(transfer),
        }
    }

    /// Counts a snapshot that is now durable, and removes those before it but for one. A damaged
    /// one is not that one.
    fn has(&mut self, disk: &dyn Disk, last: &EntryId) -> io::Result<()> {
        self.newest = self.newest.max(last.index);
        let name = name_of(last);
        self.damaged.retain(|damaged| *damaged != name);
        let mut names = disk.list()?;
        names.retain(|other| is_snapshot(other) && *other <= name);
        let (damaged, whole): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| self.damaged.contains(name));
        let old = whole.len().saturating_sub(Snapshots::KEPT);
        for name in damaged.iter().chain(&whole[..old]) {
            disk.remove(name)?;
        }
        Ok(())
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A job that panicked has left its transfer `Away`, and the rest whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn newest_whole(
    disk: &dyn Disk,
    names: &[String],
    damaged: &mut Vec<String>,
) -> Result<Option<Snapshot>, Error> {
    for name in names.iter().rev().filter(|name| is_snapshot(name)) {
        let file = disk.open(name).map_err(Error::io("opening", name))?;
        match file::read(&*file) {
            Ok(snapshot) => return Ok(Some(snapshot)),
            Err(Unreadable::Io(error)) => return Err(Error::io("reading", name)(error)),
            Err(Unreadable::Version(found)) => {
                return Err(Error::Version { name: name.clone(), found });
            }
            Err(Unreadable::Damaged) => damaged.push(name.clone()),
        }
    }
    match damaged.first() {
        Some(name) => Err(Error::SnapshotDamaged { name: name.clone() }),
        None => Ok(None),
    }
}

fn save(disk: &dyn Disk, shared: &Mutex<Shared>, snapshot: &Snapshot) -> io::Result<()> {
    let id = snapshot.id();
    let name = name_of(&id.last);
    let unfinished = format!("{name}.new");
    match disk.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let header = file::encode_header(&snapshot.meta, id.length, id.checksum)?;
    let file = disk.create(&unfinished, header.len() as u64 + id.length)?;
    file.write(0, &[&header, &snapshot.data])?;
    file.sync()?;
    let mut shared = lock(shared);
    disk.rename(&unfinished, &name)?;
    disk.sync_directory()?;
    shared.has(disk, &id.last)?;
    let transfer = std::mem::replace(&mut shared.transfer, Transfer::Away);
    shared.transfer = transfer.outdated_by(disk, shared.newest)?;
    Ok(())
}
