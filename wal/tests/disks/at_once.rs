//! A real disk whose jobs are done when they are given, on the caller's thread: what they leave
//! can be looked at, and they take no time from what is measured. The log's tests and benches
//! share it.

use holm_wal::{Disk, Done, File, Job, RealDisk};
use std::io;
use std::sync::Arc;

pub(crate) struct AtOnce(pub(crate) RealDisk);

impl Disk for AtOnce {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        self.0.create(name, bytes)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.0.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }

    fn run(&self, job: Job, done: Done) {
        done(job());
    }
}
