//! Known bugs of logs, each of which can be switched on in this crate's own tests, and with the
//! feature `mutations`: `Mutation`. The crash test must find each of them (see
//! `fuzzing::mutations`). Otherwise [`on`] is always false, and nothing of this is compiled in.

macro_rules! mutations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A bug, by what goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[$doc])* $name,)*
        }

        #[cfg(any(test, feature = "mutations"))]
        impl Mutation {
            /// All of them, so that none is forgotten by whoever hunts them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

mutations! {
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
    /// Damaged segments are given up though the snapshot does not reach beyond them.
    GivenUpThoughNeeded,
    /// Recovery leaves torn bytes where they are.
    TornTailNotWiped,
    /// The hard state follows the entries that need it.
    HardStateLast,
    /// Segments go before the compaction that frees them is durable.
    RemovedBeforeDurable,
    /// No zeroes follow the last record: old bytes of a recycled file are taken for a torn tail.
    NoEndMark,
}

#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
pub(crate) const fn on(_: Mutation) -> bool {
    false
}

#[cfg(any(test, feature = "mutations"))]
pub use switched::{on, with};

#[cfg(any(test, feature = "mutations"))]
mod switched {
    use super::Mutation;
    use std::cell::Cell;

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
        static REACHED: Cell<u64> = const { Cell::new(0) };
    }

    /// Whether this bug is switched on in this thread.
    #[must_use]
    pub fn on(mutation: Mutation) -> bool {
        let active = ACTIVE.get() == Some(mutation);
        if active {
            REACHED.set(REACHED.get() + 1);
        }
        active
    }

    /// Runs with a bug switched on; also says how often the place was reached.
    pub fn with<T>(mutation: Option<Mutation>, run: impl FnOnce() -> T) -> (T, u64) {
        ACTIVE.set(mutation);
        REACHED.set(0);
        let value = run();
        ACTIVE.set(None);
        (value, REACHED.get())
    }
}
