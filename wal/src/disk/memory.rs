//! A disk that keeps nothing beyond the process: for tests, and for members that store in memory.

use crate::disk::{Disk, Done, File, Job, Lasts, beyond_end, total, unexpected_end, within};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A disk in memory. Share it by `Arc`: whoever opens it later finds what was written. Syncing does
/// nothing; jobs run at once, on the caller's thread. A file's size counts against memory only as
/// far as it is written.
#[derive(Default)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
}

struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<MemoryFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

impl Disk for MemoryDisk {
    fn lasts(&self) -> Lasts {
        Lasts::AsLongAsTheProcess
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        let mut files = self.files();
        if files.contains_key(name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, name.to_owned()));
        }
        let len = usize::try_from(bytes).map_err(|_| io::ErrorKind::StorageFull)?;
        // The size may be what a peer claims, and `vec!` ends the process where it is too much.
        Vec::<u8>::new().try_reserve_exact(len).map_err(|_| io::ErrorKind::StorageFull)?;
        let file = Arc::new(MemoryFile { bytes: Mutex::new(vec![0; len]) });
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let files = self.files();
        let file = files.get(name).ok_or_else(|| absent(name))?;
        Ok(Arc::clone(file) as Arc<dyn File>)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or_else(|| absent(from))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name).map(drop).ok_or_else(|| absent(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn run(&self, job: Job, done: Done) {
        done(job());
    }
}

impl MemoryFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File for MemoryFile {
    fn len(&self) -> u64 {
        self.bytes().len() as u64
    }

    fn write(&self, offset: u64, slices: &[&[u8]]) -> io::Result<()> {
        let mut bytes = self.bytes();
        let range = within(bytes.len(), offset, total(slices)).ok_or_else(beyond_end)?;
        let mut at = range.start;
        for slice in slices {
            bytes[at..at + slice.len()].copy_from_slice(slice);
            at += slice.len();
        }
        Ok(())
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let bytes = self.bytes();
        let range = within(bytes.len(), offset, len).ok_or_else(unexpected_end)?;
        Ok(Bytes::copy_from_slice(&bytes[range]))
    }

    fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        let range = within(bytes.len(), offset, buffer.len()).ok_or_else(unexpected_end)?;
        buffer.copy_from_slice(&bytes[range]);
        Ok(())
    }

    fn reclaim(&self) -> bool {
        // What was read was copied.
        true
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
