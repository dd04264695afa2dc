//! Known bugs of Raft implementations, each of which can be switched on in this crate's own tests:
//! `Mutation`. Whatever checks the core must find each of them (see `fuzzing::mutations`). Outside
//! of tests [`on`] is always false, and nothing of this is compiled in.

/// A bug, by what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    VoteSentBeforeItIsDurable,
    VoteNotWritten,
    DoubleVote,
    VoteClearedOnSameTermStepDown,
    NoUpToDateCheck,
    IdsComparedTheWrongWayRound,
    OlderTermCommit,
    QuorumOffByOne,
    JointQuorumOverTheUnion,
    ChangeBeforeOwnTermCommit,
    TruncateWithoutConflict,
    AckByIndex,
    AckBeforeDurable,
    ApplyBeyondDurable,
    ReadBeforeOwnTermCommit,
    ReadRoundReused,
    LeaseKeptOnTransfer,
    AnswersFromAnyIncarnation,
    SnapshotLosesConfiguration,
    SnapshotOffByOne,
    LearnerCounts,
    HeartbeatCommitNotClipped,
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
    use core::cell::Cell;

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
