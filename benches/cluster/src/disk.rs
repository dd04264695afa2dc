//! A bare file to append to, as floor and peers use it: `Bare`, whose blocks were written before,
//! so that an append costs one `pwrite` and one `fdatasync`, and nothing else.

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate, fdatasync};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the file ends, it begins again: nobody reads it back.
const FILE_BYTES: u64 = 64 << 20;
/// Zeroes are written in the page cache's smallest unit: after large writes it holds the file in
/// large ones, and each small append would be written back as a large one.
const PAGE_BYTES: usize = 4 << 10;

/// A file that is appended to.
pub(crate) struct Bare {
    file: File,
    at: u64,
}

impl Bare {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES)?;
        let page = [0; PAGE_BYTES];
        for at in (0..FILE_BYTES).step_by(PAGE_BYTES) {
            file.write_all_at(&page, at)?;
        }
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        Ok(Self { file, at: 0 })
    }

    /// Appends; durable on return.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.at.saturating_add(length) > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at += length;
        fdatasync(&self.file)?;
        Ok(())
    }
}
