//! A directory that is only looked at: no lock, no map, nothing made and nothing changed.

use crate::disk::{Disk, Done, File, Job};
use bytes::Bytes;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory. Whatever would change it is refused.
pub(crate) struct LookDisk {
    path: PathBuf,
}

struct LookFile {
    file: fs::File,
    len: u64,
}

impl LookDisk {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for LookDisk {
    fn create(&self, _: &str, _: u64) -> io::Result<Arc<dyn File>> {
        refused()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::File::open(self.path.join(name))?;
        let len = file.metadata()?.len();
        Ok(Arc::new(LookFile { file, len }))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_directory(&self) -> io::Result<()> {
        refused()
    }

    fn run(&self, job: Job, done: Done) {
        done(job());
    }
}

impl File for LookFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn write(&self, _: u64, _: &[&[u8]]) -> io::Result<()> {
        refused()
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.copy(offset, len)
    }

    fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn reclaim(&self) -> bool {
        false
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }
}
