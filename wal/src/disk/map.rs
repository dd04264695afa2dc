//! The mapping of a file into memory: the one place of Holm with `unsafe` in it.
//!
//! What makes it sound: `Map::lent` is a mark that rises with each read. Bytes below it may be
//! under shared references (`Lent`) and are never written through this map; bytes at or above it
//! are under no reference, and are written through raw pointers, or by the kernel, only. Both sides
//! move or obey the mark under one lock. The mark falls in `reclaim` alone, when none of those
//! references is left: each holds a clone of the map's `Arc`, which is cloned under that lock only.
//! There is one map a file (see `real`), the file keeps its size (its space is allocated and
//! nothing here truncates), and the directory's lock keeps other instances of Holm out. What
//! remains is an assumption that every user of mapped files makes: no other program writes to or
//! truncates the file meanwhile.
#![allow(unsafe_code)]

use crate::disk::{beyond_end, unexpected_end, within, written_over};
use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw};
use std::fs;
use std::io;
use std::ops::Range;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

/// A whole file in memory, shared and writable.
pub(super) struct Map {
    raw: MmapRaw,
    /// Bytes before this offset may be lent out; see above.
    lent: Mutex<usize>,
}

/// A part of a map that was handed out. Keeps the map alive.
struct Lent {
    map: Arc<Map>,
    range: Range<usize>,
}

impl Map {
    /// Maps the first `len` bytes of the file, which must be there.
    pub(super) fn new(file: &fs::File, len: usize) -> io::Result<Self> {
        let raw = MmapOptions::new().len(len).map_raw(file)?;
        Ok(Self { raw, lent: Mutex::new(0) })
    }

    /// Brings all pages in, ready to be written, in the smallest units the page cache has: see
    /// "large folios" in `docs/wal-format.md`. Kernels before 5.14 can't, and fault pages in later.
    pub(super) fn populate(&self) -> io::Result<()> {
        match self.raw.advise(Advice::PopulateWrite) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    /// Brings in pages that will be written, if there are any: so many bytes from `offset` on.
    #[cold]
    pub(super) fn bring_in(&self, offset: u64, len: usize) {
        let Some(room) = usize::try_from(offset).ok().and_then(|at| self.raw.len().checked_sub(at))
        else {
            return;
        };
        let at = self.raw.len() - room;
        // What can't be brought in now is when it is written.
        let _ = self.raw.advise_range(Advice::PopulateWrite, at, len.min(room));
    }

    /// Stores the slices, which have `len` bytes together, one after the other from `offset` on.
    pub(super) fn write(&self, offset: u64, len: usize, slices: &[&[u8]]) -> io::Result<()> {
        let range = within(self.raw.len(), offset, len).ok_or_else(beyond_end)?;
        // A panic can't happen while the lock is held, and a mark can't be half-moved.
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        if range.start < *lent {
            return Err(written_over());
        }
        let mut at = range.start;
        for slice in slices {
            assert!(slice.len() <= range.end - at, "the slices have more bytes than was said");
            // SAFETY: `at + slice.len() <= range.end <= raw.len()`, so the destination lies in the
            // map, which lives as long as `self`. It starts at or above `lent`, so no reference
            // covers it, and none can come to be while the lock is held; no other writer is inside
            // for the same reason. `slice` can't overlap it: a slice of this map lies below `lent`.
            unsafe {
                let destination = self.raw.as_mut_ptr().add(at);
                std::ptr::copy_nonoverlapping(slice.as_ptr(), destination, slice.len());
            }
            at += slice.len();
        }
        drop(lent);
        Ok(())
    }

    /// A part of the map, which from now on is never written again.
    pub(super) fn lend(self: &Arc<Self>, offset: u64, len: usize) -> io::Result<Bytes> {
        let range = within(self.raw.len(), offset, len).ok_or_else(unexpected_end)?;
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        *lent = range.end.max(*lent);
        // Under the lock: `reclaim` counts the clones.
        let map = Arc::clone(self);
        drop(lent);
        Ok(Bytes::from_owner(Lent { map, range }))
    }

    /// Lets all bytes be written again, unless some of what was lent is still held. The caller has
    /// one clone of the `Arc`, and knows of no other that was not lent.
    pub(super) fn reclaim(self: &Arc<Self>) -> bool {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(self) != 1 {
            return false;
        }
        // Pairs with the release in each dropped clone: its reads happen before writes to come.
        fence(Ordering::Acquire);
        *lent = 0;
        true
    }

    /// Lets `write` put `len` bytes from `offset` on into the file by other means than a store,
    /// under the same conditions as [`write`](Self::write).
    pub(super) fn write_by(
        &self,
        offset: u64,
        len: usize,
        write: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let range = within(self.raw.len(), offset, len).ok_or_else(beyond_end)?;
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        if range.start < *lent {
            return Err(written_over());
        }
        let result = write();
        drop(lent);
        result
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the range lies in the map (`lend` checked it), which `self.map` keeps alive; any
        // byte is a valid `u8`. It lies below `lent`, which does not fall while `self` lives, so no
        // write to it happens after `lend`, and the lock orders those before it.
        unsafe {
            let start = self.map.raw.as_ptr().add(self.range.start);
            std::slice::from_raw_parts(start, self.range.len())
        }
    }
}
