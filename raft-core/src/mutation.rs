//! Known bugs of Raft implementations, each of which can be switched on in this crate's own tests,
//! and with the feature `mutations`: `Mutation`. Whatever checks the core must find each of them
//! (see `fuzzing::mutations`). Otherwise [`on`] is always false, and nothing of this is compiled
//! in.

macro_rules! mutations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A bug, by what goes wrong. Each says in quotes which one of the project's list of bugs
        /// that must be caught it is; those without quotes were added.
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
    /// "vote not persisted before it is sent": it leaves before the write that holds it is durable.
    VoteSentBeforeItIsDurable,
    /// "vote not persisted before it is sent": nothing is ever written.
    VoteNotWritten,
    /// "term and vote persisted apart with a crash between"
    TermAndVoteApart,
    /// "double vote"
    DoubleVote,
    /// "vote cleared on same-term step-down"
    VoteClearedOnSameTermStepDown,
    /// "pre-vote reply counted as a vote"
    PreVoteCountsAsVote,
    /// "no up-to-date check"
    NoUpToDateCheck,
    /// "log ids compared the wrong way round"
    IdsComparedTheWrongWayRound,
    /// "older-term commit (figure 8)"
    OlderTermCommit,
    /// "quorum off by one"
    QuorumOffByOne,
    /// "joint quorum counted over the union"
    JointQuorumOverTheUnion,
    /// "configuration applied at apply time"
    #[cfg(any(test, feature = "mutations"))]
    ConfigurationAtApply,
    /// "single-server change before an own-term commit"
    ChangeBeforeOwnTermCommit,
    /// "truncating without a conflict"
    TruncateWithoutConflict,
    /// "acknowledgement by index (append ABA)"
    AckByIndex,
    /// "ack before durable"
    AckBeforeDurable,
    /// "applying beyond the own durable log"
    ApplyBeyondDurable,
    /// "read index before an own-term commit"
    ReadBeforeOwnTermCommit,
    /// "reused read context"
    ReadRoundReused,
    /// "lease not ended on step-down or transfer": on step-down.
    #[cfg(any(test, feature = "mutations"))]
    LeaseKeptOnStepDown,
    /// "lease not ended on step-down or transfer": on transfer.
    LeaseKeptOnTransfer,
    /// A voter that restarts helps a new leader at once, whatever lease it stands for.
    PromiseForgottenOnRestart,
    /// "stale acknowledgement after remove and re-add"
    AnswersFromAnyIncarnation,
    /// "wiped disk votes again": it keeps its identity, and an empty disk votes.
    WipedDiskVotesAgain,
    /// "snapshot that loses the configuration"
    SnapshotLosesConfiguration,
    /// "snapshot off by one at the log's start"
    SnapshotOffByOne,
    /// A piece of a snapshot is taken though what comes before it is not there.
    PieceTakenAtAGap,
    /// A transfer goes on with the bytes of another snapshot of the same entry.
    TransferResumedByEntryAlone,
    /// What was handed out of a snapshot counts as stored, and all of it is installed.
    StoredBeforeDurable,
    /// A snapshot is installed that ends before what is committed.
    InstallBehindCommit,
    /// "learner counted in a quorum"
    LearnerCounts,
    /// A heartbeat's commit index covers what its receiver does not hold.
    HeartbeatCommitNotClipped,
}

#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
pub(crate) const fn on(_: Mutation) -> bool {
    false
}

#[cfg(test)]
pub(crate) use switched::count_event;
#[cfg(any(test, feature = "mutations"))]
#[cfg_attr(
    not(feature = "mutations"),
    allow(unused_imports, reason = "for whoever is outside")
)]
pub use switched::{Times, on, with};

#[cfg(any(test, feature = "mutations"))]
mod switched {
    use super::Mutation;
    use core::cell::Cell;

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
        static REACHED: Cell<u64> = const { Cell::new(0) };
        static EVENTS: Cell<u64> = const { Cell::new(0) };
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

    /// A core takes an event.
    #[cfg(test)]
    pub(crate) fn count_event() {
        EVENTS.set(EVENTS.get() + 1);
    }

    /// How often something happened in a run.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Times {
        /// The place of the bug was reached.
        pub reached: u64,
        /// A core took an event.
        pub events: u64,
    }

    /// Runs with a bug switched on.
    pub fn with<T>(mutation: Option<Mutation>, run: impl FnOnce() -> T) -> (T, Times) {
        ACTIVE.set(mutation);
        REACHED.set(0);
        EVENTS.set(0);
        let value = run();
        ACTIVE.set(None);
        (value, Times { reached: REACHED.get(), events: EVENTS.get() })
    }
}
