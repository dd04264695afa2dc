//! Reads are never stale (thesis §6.4; TLA+ has no name for it): a linearizable read is served at
//! an index that covers all that was applied anywhere before it was asked for.

use super::{Check, Violation};
use holm_raft_core::Index;

/// Up to where something was applied.
#[derive(Debug, Default)]
pub struct FreshReads {
    applied: Index,
    /// How many lease reads were stale, in the mode in which clocks exceed what leases allow for.
    pub stale_leases: u64,
}

/// How a read was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// A round of heartbeats.
    Round,
    /// The leader's lease.
    Lease,
}

impl FreshReads {
    /// The checker's name.
    pub const NAME: &str = "fresh reads";

    /// Somebody has applied all up to here.
    pub fn applied(&mut self, index: Index) {
        self.applied = self.applied.max(index);
    }

    /// Up to where a read that is asked for now has to see.
    #[must_use]
    pub const fn now(&self) -> Index {
        self.applied
    }

    /// A read that had to see all up to `asked` is served at `index`.
    ///
    /// # Errors
    /// If it does not see that.
    pub fn served(&self, by: By, asked: Index, index: Index) -> Check {
        if index >= asked {
            return Ok(());
        }
        let says = format!("a read by {by:?} is served at {index}, and was asked for at {asked}");
        Err(Violation { checker: Self::NAME, says })
    }
}
