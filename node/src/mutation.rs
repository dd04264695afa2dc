//! Known bugs of nodes, each of which can be switched on with the feature `mutations`: `Mutation`.
//! The simulator must find each of them (`cargo sim-mutants`). Otherwise [`on`] is always false,
//! and nothing of this is compiled in.

macro_rules! mutations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A bug, by what goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[$doc])* $name,)*
        }

        #[cfg(feature = "mutations")]
        impl Mutation {
            /// All of them, so that none is forgotten by whoever hunts them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

mutations! {
    /// "message sent before its write is durable"
    SentBeforeDurable,
    /// "driver that applies out of order": of the entries at hand, the second before the first.
    AppliedOutOfOrder,
    /// "retry without its idempotency key"
    RetryWithoutItsKey,
    /// "sync error swallowed"
    SyncErrorSwallowed,
    /// "follower serves a read at its own commit index"
    ReadAtTheOwnCommit,
    /// "snapshot installed without its retry table"
    SnapshotWithoutRetries,
    /// The same without its sessions.
    SnapshotWithoutSessions,
    /// A session's replies are not remembered, so that a retry counts again.
    SessionWithoutReplies,
    /// A member in memory comes back under its old incarnation.
    MemoryComesBackAsBefore,
    /// One that has restarted is never let in again.
    MemoryLeftOutside,
    /// A member takes any configuration without it for its removal, also one from before it came.
    OlderRosterBelieved,
    /// A ticket to join is consumed by whoever comes, however often.
    TicketAdmitsTwice,
    /// "ticket consumed twice"
    TicketForEverybody,
    /// A ticket can be consumed after its time.
    TicketWithoutEnd,
    /// Whoever has consumed a ticket is refused when it asks again.
    TicketRetryRefused,
    /// A snapshot is installed without Holm's own state.
    SnapshotWithoutOwn,
    /// "claim never ends": the log never lets another have the key.
    ClaimNeverEnds,
    /// A claim's holder never looks at its clock.
    ClaimHeldForEver,
    /// A claim counted from its answer instead of before its request.
    ClaimCountedFromItsAnswer,
    /// A fence that lets everything through.
    FenceLetsAll,
    /// "key seals before its entry is committed": the leader's own, from when it is proposed.
    KeySealsBeforeItIsCommitted,
    /// "unknown key refused without catching up"
    UnknownKeyRefused,
    /// "revocation epoch goes back": it is not in snapshots.
    SnapshotWithoutRevocations,
    /// A backup that says another index than that of its state.
    BackupOfAnotherIndex,
    /// A backup without its retry table.
    BackupWithoutRetries,
}

#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub(crate) const fn on(_: Mutation) -> bool {
    false
}

#[cfg(feature = "mutations")]
pub use switched::{on, with};

#[cfg(feature = "mutations")]
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
