//! Known bugs of logs, each of which can be switched on in this crate's own tests: `Mutation`. The
//! crash test must find each of them (see `fuzzing::mutations`). Outside of tests [`on`] is always
//! false, and nothing of this is compiled in.

/// A bug, by what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// New segments' names are never made durable.
    NoDirectorySync,
    /// The syncs of files do nothing.
    NoFileSync,
    /// Of several files that are to be synced only the last one is.
    OnlyTheActiveSegmentSynced,
    /// A write counts as durable as soon as it is written.
    AckBeforeSync,
    /// A sync covers what was written while it was under way.
    AckWhatCameDuringASync,
    /// A checksum says nothing of its segment: old records in a recycled file pass for live ones.
    ChecksumWithoutItsSegment,
    /// A recycled file keeps its header until it is used.
    RecycledWithItsHeader,
    /// A spare file that a crash made of a segment keeps the segment's records.
    AdoptedUnwiped,
    /// A file is used again though somebody holds bytes of it.
    RecycledUnderAReader,
    /// A truncation changes the memory alone.
    TruncateInMemoryOnly,
    /// A compaction changes the memory alone.
    CompactInMemoryOnly,
    /// A failed sync is tried again and believed.
    RetryAfterAFailedSync,
    /// Recovery believes what a failed sync left in the page cache.
    RecoveryWithoutRewrite,
    /// Damage below what was durable is cut like a torn tail.
    DamageCut,
    /// Recovery leaves torn bytes where they are.
    TornTailNotWiped,
    /// The hard state follows the entries that need it.
    HardStateLast,
    /// Segments go before the compaction that frees them is durable.
    RemovedBeforeDurable,
    /// No zeroes follow the last record: old bytes of a recycled file are taken for a torn tail.
    NoEndMark,
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn on(_: Mutation) -> bool {
    false
}

#[cfg(test)]
pub(crate) use switched::{on, with};

#[cfg(test)]
mod switched {
    use super::Mutation;
    use std::cell::Cell;

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
        static REACHED: Cell<u64> = const { Cell::new(0) };
    }

    /// Whether this bug is switched on in this thread.
    pub(crate) fn on(mutation: Mutation) -> bool {
        let active = ACTIVE.get() == Some(mutation);
        if active {
            REACHED.set(REACHED.get() + 1);
        }
        active
    }

    /// Runs with a bug switched on; also says how often the place was reached.
    pub(crate) fn with<T>(mutation: Option<Mutation>, run: impl FnOnce() -> T) -> (T, u64) {
        ACTIVE.set(mutation);
        REACHED.set(0);
        let value = run();
        ACTIVE.set(None);
        (value, REACHED.get())
    }
}
