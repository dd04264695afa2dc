//! Leader Completeness (paper §5.4, figure 3; TLA+ `LeaderCompletenessInv`; the thesis' Theorem 1):
//! whoever leads in a term holds all that was *committed* in the terms before, whatever term it was
//! created in.

use super::committed::Committed;
use super::shadow::Shadow;
use super::{Check, ensure};
use holm_raft_core::{MemberId, Term};

const NAME: &str = "leader completeness";

/// A member begins to lead.
///
/// # Errors
/// If its log lacks something.
pub fn leads(term: Term, me: MemberId, log: &Shadow, committed: &Committed) -> Check {
    let index = committed.last_before(term).max(log.start.index.min(committed.last()));
    let (held, known) = (log.chain(index), committed.chain(index));
    ensure((held == known).into(), NAME, || {
        format!("{me} leads in term {term} and does not hold what is committed up to {index}")
    })
}
