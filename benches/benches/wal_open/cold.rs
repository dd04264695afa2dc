//! A cold page cache without being root: `forget` drops the pages of a log's files, and
//! `fetched_bytes` shows afterwards whether they were gone.

use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Has the kernel drop what it holds of the folder's segments, which must not be mapped by anybody,
/// and returns how many bytes they have. What is dirty is never dropped, so it is synced before.
pub(crate) fn forget(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = File::open(entry.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        if entry.file_name().to_string_lossy().starts_with("segment-") {
            bytes += file.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// How many bytes this process has had fetched from block devices since it began.
pub(crate) fn fetched_bytes() -> io::Result<u64> {
    let told = fs::read_to_string("/proc/self/io")?;
    let line = told.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    line.and_then(|bytes| bytes.parse().ok())
        .ok_or_else(|| io::Error::other("/proc/self/io says nothing of read_bytes"))
}
