//! Which way a write takes into a mapped file: `Pages` keeps count of what was written since the
//! file's last sync. A sync makes the map's pages read-only, so that the first store into each
//! meets a page fault again, and the sync after that has to take the page from the map once more.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

/// From how many bytes on a write goes through the kernel, in bytes: it spares the page faults that
/// stores meet on pages which a sync has written back, one for each 4 KiB. The call itself costs
/// less than two of those.
const VECTORED_BYTES_MIN: usize = 16 << 10;
/// How many writes after a sync go through the kernel, however small they are. So many calls cost
/// about what one fault does: who syncs often never meets one, and who does not pays for it once.
const CALLS_AFTER_SYNC: u32 = 3;
/// After how many stored bytes without a sync pages are brought in ahead, in bytes. What is brought
/// in and not written to makes the next sync larger by [`AHEAD_BYTES`] at most, an eighth of this.
const STORED_BYTES_MIN: usize = 512 << 10;
/// How much is brought in at once, in bytes: a third less work for the kernel than one fault for
/// each page, and nearly all that larger pieces would save.
const AHEAD_BYTES: usize = 64 << 10;
/// How far ahead of the stores a thread of the disk brings pages in at most, in bytes: time for it
/// to be woken before what is there is used up.
const LEAD_BYTES_MAX: usize = 512 << 10;
/// What part of what was stored since the last sync may be brought in and not be written to.
const LEAD_PART: usize = 8;

/// A way into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A system call, into the page cache that the map shows.
    Kernel,
    Store,
    /// A store, when so many bytes from the write's first one on are brought in.
    StoreBehind(usize),
    /// A store; and it is time that a thread of the disk brings more pages in.
    StoreAndAsk,
}

/// Which ways a disk's files take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ways {
    #[default]
    Cheapest,
    /// Each page as the first store into it meets it.
    #[cfg(feature = "floors")]
    StoresAlone,
}

/// What was written since the last sync. Hints, for speed alone: a sync on another thread may come
/// between any two of them.
#[derive(Debug, Default)]
pub(super) struct Pages {
    ways: Ways,
    calls: AtomicU32,
    stored: AtomicUsize,
    /// Up to which offset pages are brought in, or somebody is at it.
    ahead: AtomicUsize,
    /// Up to which offset was written last.
    end: AtomicUsize,
    /// Whether a thread was asked to bring pages in, and is not done.
    asked: AtomicBool,
}

impl Pages {
    pub(super) fn new(ways: Ways) -> Self {
        Self { ways, ..Self::default() }
    }

    /// The way for a write of so many bytes at this offset, which is counted.
    pub(super) fn way(&self, offset: u64, len: usize) -> Way {
        if self.ways != Ways::Cheapest {
            return Way::Store;
        }
        if len >= VECTORED_BYTES_MIN {
            return Way::Kernel;
        }
        let calls = self.calls.load(Relaxed);
        if calls < CALLS_AFTER_SYNC {
            self.calls.store(calls + 1, Relaxed);
            return Way::Kernel;
        }
        let stored = self.stored.load(Relaxed);
        self.stored.store(stored.saturating_add(len), Relaxed);
        let end = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(len);
        if stored < STORED_BYTES_MIN {
            return Way::Store;
        }
        self.end.store(end, Relaxed);
        let ahead = self.ahead.load(Relaxed);
        if end > ahead {
            self.ahead.store(end.saturating_add(AHEAD_BYTES - len), Relaxed);
            return Way::StoreBehind(AHEAD_BYTES);
        }
        let lead = lead(stored);
        let due = lead >= 2 * AHEAD_BYTES && ahead - end <= lead / 2;
        if !due || self.asked.load(Relaxed) {
            return Way::Store;
        }
        self.asked.store(true, Relaxed);
        Way::StoreAndAsk
    }

    /// What whoever was asked to bring pages in does next: so many bytes from this offset on. If
    /// that is nothing, he is done, and may be asked again.
    pub(super) fn piece_ahead(&self) -> Option<(u64, usize)> {
        let (stored, end) = (self.stored.load(Relaxed), self.end.load(Relaxed));
        let from = self.ahead.load(Relaxed);
        if stored < STORED_BYTES_MIN || from < end || from - end + AHEAD_BYTES > lead(stored) {
            self.asked.store(false, Relaxed);
            return None;
        }
        self.ahead.store(from + AHEAD_BYTES, Relaxed);
        Some((from as u64, AHEAD_BYTES))
    }

    /// Takes note that nobody could be asked.
    #[cold]
    pub(super) fn not_asked(&self) {
        self.asked.store(false, Relaxed);
    }

    /// Takes note that a sync begins.
    pub(super) fn synced(&self) {
        self.calls.store(0, Relaxed);
        self.stored.store(0, Relaxed);
        self.ahead.store(0, Relaxed);
    }
}

/// How far ahead of the stores pages are brought in once so many bytes are stored.
fn lead(stored: usize) -> usize {
    (stored / LEAD_PART).min(LEAD_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 1 << 10;

    fn ways(pages: &Pages, offsets: std::ops::Range<u64>) -> Vec<Way> {
        offsets.step_by(SMALL).map(|offset| pages.way(offset, SMALL)).collect()
    }

    #[test]
    fn the_first_writes_after_a_sync_and_large_ones_are_calls() {
        let pages = Pages::default();
        for _ in 0..2 {
            let calls = [Way::Kernel; CALLS_AFTER_SYNC as usize];
            assert_eq!(ways(&pages, 0..3 << 10), calls);
            assert_eq!(ways(&pages, 3 << 10..5 << 10), [Way::Store; 2]);
            assert_eq!(pages.way(5 << 10, VECTORED_BYTES_MIN), Way::Kernel);
            pages.synced();
        }
    }

    #[test]
    fn a_long_run_of_stores_has_its_pages_brought_in_ahead_once_each() {
        let pages = Pages::default();
        let before = 3 * SMALL + STORED_BYTES_MIN;
        let stores = ways(&pages, 0..before as u64);
        assert!(!stores.iter().any(|way| matches!(way, Way::StoreBehind(_))), "a short run");
        let (from, to) = (before as u64, (before + 4 * AHEAD_BYTES) as u64);
        let stores = ways(&pages, from..to);
        let brought = stores.iter().filter(|way| matches!(way, Way::StoreBehind(_)));
        assert_eq!(brought.count(), 4, "one for each so many bytes");
        assert_eq!(stores.first(), Some(&Way::StoreBehind(AHEAD_BYTES)));
        pages.synced();
        let stores = ways(&pages, to..to + before as u64);
        assert!(!stores.iter().any(|way| matches!(way, Way::StoreBehind(_))), "a new run");
    }

    /// A run in which whoever is asked brings pages in at once: how often somebody was asked, and
    /// how far ahead of what was written pages were at most, in bytes.
    fn run(pages: &Pages, bytes: u64) -> (usize, usize) {
        let (mut asked, mut ahead_max) = (0, 0);
        for offset in (0..bytes).step_by(SMALL) {
            let way = pages.way(offset, SMALL);
            if way == Way::StoreAndAsk {
                asked += 1;
                while pages.piece_ahead().is_some() {}
            }
            let (stored, end) = (pages.stored.load(Relaxed), usize::try_from(offset).unwrap());
            let ahead = pages.ahead.load(Relaxed).saturating_sub(end + SMALL);
            assert!(ahead <= (stored / 8).max(AHEAD_BYTES), "an eighth of {stored}: {ahead}");
            ahead_max = ahead_max.max(ahead);
        }
        (asked, ahead_max)
    }

    #[test]
    fn in_a_long_run_somebody_is_asked_for_pages_and_stays_within_an_eighth_of_it() {
        let pages = Pages::default();
        let (asked, ahead_max) = run(&pages, 16 << 20);
        assert!(ahead_max > LEAD_BYTES_MAX / 2 && ahead_max <= LEAD_BYTES_MAX, "{ahead_max}");
        // Half of the lead is used up in between.
        assert!((1..(16 << 20) / AHEAD_BYTES / 2).contains(&asked), "{asked}");
        pages.synced();
        assert_eq!(pages.piece_ahead(), None, "a new run");
        assert_eq!(run(&pages, STORED_BYTES_MIN as u64), (0, 0));
    }

    #[test]
    fn who_is_late_is_not_waited_for_nor_asked_twice() {
        let pages = Pages::default();
        let stores = ways(&pages, 0..16 << 20);
        let asked = stores.iter().filter(|way| **way == Way::StoreAndAsk);
        assert_eq!(asked.count(), 1);
        let brought = stores.iter().filter(|way| matches!(way, Way::StoreBehind(_)));
        assert_eq!(brought.count(), ((16 << 20) - STORED_BYTES_MIN) / AHEAD_BYTES);
        pages.not_asked();
        let stores = ways(&pages, 16 << 20..17 << 20);
        assert_eq!(stores.iter().filter(|way| **way == Way::StoreAndAsk).count(), 1);
    }
}
