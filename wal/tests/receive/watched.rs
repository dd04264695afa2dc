//! A disk that tells of each operation before it happens, so that a test can put something else in
//! between.

use bytes::Bytes;
use holm_wal::{Disk, Done, File, Job};
use std::io;
use std::sync::Arc;

/// What is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Rename,
    Remove,
    Write,
    Sync,
    SyncDirectory,
}

type Before = Arc<dyn Fn(Operation) + Send + Sync>;

struct Watched {
    inner: Arc<dyn Disk>,
    before: Before,
}

struct WatchedFile {
    inner: Arc<dyn File>,
    before: Before,
}

/// The same disk, watched.
pub(crate) fn watched(
    inner: Arc<dyn Disk>,
    before: impl Fn(Operation) + Send + Sync + 'static,
) -> Arc<dyn Disk> {
    Arc::new(Watched { inner, before: Arc::new(before) })
}

impl Watched {
    fn file(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(WatchedFile { inner, before: Arc::clone(&self.before) })
    }
}

impl Disk for Watched {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        (self.before)(Operation::Create);
        Ok(self.file(self.inner.create(name, bytes)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.inner.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        (self.before)(Operation::Rename);
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        (self.before)(Operation::Remove);
        self.inner.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn sync_directory(&self) -> io::Result<()> {
        (self.before)(Operation::SyncDirectory);
        self.inner.sync_directory()
    }

    fn run(&self, job: Job, done: Done) {
        self.inner.run(job, done);
    }
}

impl File for WatchedFile {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn write(&self, offset: u64, slices: &[&[u8]]) -> io::Result<()> {
        (self.before)(Operation::Write);
        self.inner.write(offset, slices)
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.inner.read(offset, len)
    }

    fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.copy_to(offset, buffer)
    }

    fn reclaim(&self) -> bool {
        self.inner.reclaim()
    }

    fn sync(&self) -> io::Result<()> {
        (self.before)(Operation::Sync);
        self.inner.sync()
    }
}
