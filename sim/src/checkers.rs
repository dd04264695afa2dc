//! What must hold, whatever happens: one file for each invariant, with its section in the paper
//! (Ongaro and Ousterhout 2014) or the thesis (Ongaro 2014), and its name in the TLA+
//! specifications (`raft.tla` of the thesis has the protocol; the names are those of the invariants
//! in etcd's `etcdraft.tla`, or of the thesis' proof where that has none). From outside, over what
//! clients saw: `linearizable`, `exactly_once`, `fresh_reads`.

pub mod answers;
pub mod committed;
pub mod completeness;
pub mod configuration;
pub mod durable;
pub mod election;
pub mod exactly_once;
pub mod fresh_reads;
pub mod leases;
pub mod linearizable;
pub mod machine;
pub mod matching;
pub mod monotonic;
pub mod quorum;
pub mod rounds;
pub mod shadow;
pub mod strangers;
pub mod votes;

use std::fmt;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which checker says so.
    pub checker: &'static str,
    /// What it saw.
    pub says: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.says)
    }
}

/// What a check comes to.
pub type Check = Result<(), Violation>;

/// Whether something holds, and what to say if it does not.
///
/// # Errors
/// If it does not hold.
pub fn ensure(holds: Holds, checker: &'static str, says: impl FnOnce() -> String) -> Check {
    match holds {
        Holds::Yes => Ok(()),
        Holds::No => Err(Violation { checker, says: says() }),
    }
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// All checkers of a core's world.
#[derive(Debug, Default)]
pub struct Checkers {
    /// One leader a term.
    pub election: election::ElectionSafety,
    /// One vote a term.
    pub votes: votes::OneVote,
    /// Votes for those who hold enough.
    pub up_to_date: answers::UpToDate,
    /// What leases stand on.
    pub leases: leases::Leases,
    /// Reads wait for rounds.
    pub rounds: rounds::Rounds,
    /// Equal ids, equal histories.
    pub matching: matching::LogMatching,
    /// What is committed, for ever.
    pub committed: committed::Committed,
    /// One state for each index.
    pub machine: machine::StateMachineSafety,
    /// Reads see what was applied before.
    pub fresh_reads: fresh_reads::FreshReads,
    /// Retries count once.
    pub exactly_once: exactly_once::ExactlyOnce,
    /// What clients saw.
    pub history: linearizable::History,
}
