//! What the log needs of a disk: `Disk`, a directory of files of fixed sizes, and `File`. The real
//! one is in `real` (over `map`), the one that keeps nothing in `memory`, and the one that loses by
//! a seed what was not synced in `sim`.

mod jobs;
pub(crate) mod look;
mod map;
pub(crate) mod memory;
mod pages;
pub(crate) mod real;
#[cfg(any(test, feature = "sim"))]
pub(crate) mod sim;

use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// Work that may take as long as a disk takes.
pub type Job = Box<dyn FnOnce() -> io::Result<()> + Send>;
/// Who wants to know how a [`Job`] ended. Called once, on whatever thread the disk has; it must not
/// block.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// How long what was synced stays on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// Also after the process has ended, and after a crash.
    ForGood,
    /// Until the process ends.
    AsLongAsTheProcess,
}

/// A directory of files. Names are plain file names.
///
/// What is written is durable after [`File::sync`]; what was created, renamed or removed is durable
/// after [`Disk::sync_directory`]. Neither implies the other.
pub trait Disk: Send + Sync {
    /// How long what was synced stays there.
    fn lasts(&self) -> Lasts {
        Lasts::ForGood
    }

    /// Makes a file of so many zero bytes, with all its space allocated: no later write to it can
    /// fail for want of space. Its content is durable; its name is after
    /// [`sync_directory`](Self::sync_directory).
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `StorageFull` where the file does not fit (nothing is
    /// left of it then); whatever else the disk reports.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>>;

    /// Opens a file that exists.
    ///
    /// # Errors
    /// `NotFound`, and whatever else the disk reports.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name, replacing what had it. After a crash either name's old or new
    /// meaning may hold until the directory is synced.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. `Bytes` that were read from it stay readable.
    ///
    /// # Errors
    /// `NotFound`, and whatever else the disk reports.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// All file names, sorted.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes durable which names there are and what they mean.
    ///
    /// # Errors
    /// Whatever the disk reports. Like a failed [`File::sync`], never to be retried.
    fn sync_directory(&self) -> io::Result<()>;

    /// Runs the job where blocking does no harm, then hands its outcome to `done`.
    fn run(&self, job: Job, done: Done);
}

/// A file of fixed size.
pub trait File: Send + Sync {
    /// The file's size, in bytes.
    fn len(&self) -> u64;

    /// Whether the file has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the slices one after the other from `offset` on.
    ///
    /// # Errors
    /// `InvalidInput` beyond the file's end, or below the end of what [`read`](Self::read) has
    /// ever handed out (what was read never changes); whatever else the disk reports.
    fn write(&self, offset: u64, slices: &[&[u8]]) -> io::Result<()>;

    /// So many bytes from `offset` on, without a copy where the disk can: they are never written
    /// again, for as long as the file is open.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the file's end; whatever else the disk reports.
    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes>;

    /// Like [`read`](Self::read), but a copy, which stands in the way of no later write, and for
    /// which a failing disk is an error and never a signal. Recovery reads this way.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn copy(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            return Err(unexpected_end());
        }
        let mut bytes = vec![0; len];
        self.copy_to(offset, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Like [`copy`](Self::copy), into a buffer of the caller's, all of which is filled.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// So many bytes from `offset` on will be copied soon: a disk that can fetches them meanwhile.
    /// It changes nothing but how long that takes, so it has no error.
    fn will_copy(&self, _offset: u64, _len: u64) {}

    /// Gives up what was said of bytes that were read: from now on all may be written again, as if
    /// nothing had been read. `false`, and nothing is changed, while any of those `Bytes` is held.
    fn reclaim(&self) -> bool;

    /// Makes all durable that was written before.
    ///
    /// # Errors
    /// Whatever the disk reports. After an error nobody knows what is durable, and a second sync
    /// may succeed without the data: never retry.
    fn sync(&self) -> io::Result<()>;
}

/// The part of a file of `len` bytes that starts at `offset` and has `bytes` bytes, if it lies
/// within.
pub(crate) fn within(len: usize, offset: u64, bytes: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(bytes)?;
    (end <= len).then_some(start..end)
}

/// How many bytes the slices have together.
pub(crate) fn total(slices: &[&[u8]]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

pub(crate) fn beyond_end() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a write beyond the end of the file")
}

pub(crate) fn written_over() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a write over bytes that were read")
}

pub(crate) fn unexpected_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a read beyond the end of the file")
}
