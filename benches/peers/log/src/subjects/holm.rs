//! holm-wal, with its defaults; the thread that appends runs the sync's job itself. Time is taken
//! once the segment that is made ahead is there.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use holm_wal::{Batch, Disk, Identity, Options, RealDisk, Recovered, Wal};
use std::path::Path;
use std::sync::{Arc, Barrier, mpsc};

pub(super) const SUBJECT: Subject = Subject {
    name: "holm-wal",
    syncs: Syncs::AsAsked,
    create: |path, _| {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path)?);
        let mut wal = Wal::create(disk.clone(), Options::default(), Identity::default())?;
        wal.keep_footers();
        settle(&*disk)?;
        Ok(Box::new(Holm { wal, disk, entries: Vec::new() }))
    },
    open: &[
        ("holm-wal", |path| open(path, Wal::open)),
        ("holm-wal, footers", |path| open(path, Wal::open_fast)),
    ],
};

struct Holm {
    wal: Wal,
    disk: Arc<dyn Disk>,
    entries: Vec<Entry>,
}

type Open = fn(Arc<dyn Disk>, Options) -> std::result::Result<(Wal, Recovered), holm_wal::Error>;

fn open(path: &Path, open: Open) -> Result<Box<dyn Log>> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path)?);
    let (wal, _) = open(disk.clone(), Options::default())?;
    Ok(Box::new(Holm { wal, disk, entries: Vec::new() }))
}

/// How many threads a `RealDisk` has for its jobs.
const DISK_THREADS: usize = 5;

/// Waits for the jobs that the disk was given: once each of its threads has met the others in a job
/// of this one, all that were given before are done.
fn settle(disk: &dyn Disk) -> Result<()> {
    let (done, finished) = mpsc::channel();
    let all_here = Arc::new(Barrier::new(DISK_THREADS));
    for _ in 0..DISK_THREADS {
        let (all_here, done) = (Arc::clone(&all_here), done.clone());
        let meet = move || {
            all_here.wait();
            Ok(())
        };
        disk.run(Box::new(meet), Box::new(move |result| drop(done.send(result))));
    }
    for _ in 0..DISK_THREADS {
        finished.recv()??;
    }
    Ok(())
}

impl Log for Holm {
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()> {
        let mut index = self.wal.last().index;
        self.entries.clear();
        for record in records {
            index = index.next();
            self.entries.push(Entry {
                id: EntryId::new(Term(1), index),
                time: LogTime(0),
                kind: EntryKind::Command,
                data: record.clone(),
            });
        }
        self.wal.append(&Batch { entries: &self.entries, ..Batch::default() })?;
        if durability == Durability::Durable {
            let job = self.wal.begin_sync().ok_or("a write waits")?.into_job();
            self.wal.finish_sync(job())?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        settle(&*self.disk)
    }

    fn read(&self, first: u64, count: u64) -> Result<usize> {
        if count == 1 {
            return Ok(self.wal.entry(Index(first))?.data.len());
        }
        let range = Index(first)..=Index(first + count - 1);
        let entries = self.wal.entries(range, u64::MAX)?;
        Ok(entries.iter().map(|entry| entry.data.len()).sum())
    }
}

/// The segments that are full have their footers only once the disk's jobs are done.
impl Drop for Holm {
    fn drop(&mut self) {
        if let Err(error) = settle(&*self.disk) {
            eprintln!("holm-wal: a job of the disk failed: {error}");
        }
    }
}
