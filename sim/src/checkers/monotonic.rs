//! Terms and commits never fall (paper §5.1, §5.3; TLA+ `MonotonicTerm`, `MonotonicCommitIndex` of
//! the specifications that have them as properties): within a boot neither does what is applied,
//! and no entry is from a term beyond the member's.

use super::{Check, ensure};
use holm_raft_core::{Glance, MemberId};

const NAME: &str = "terms and commits never fall";

/// A member, before and after an event.
///
/// # Errors
/// If something fell.
pub fn moves(me: MemberId, before: &Glance, after: &Glance) -> Check {
    let rises = after.term >= before.term
        && after.committed >= before.committed
        && after.handed >= before.handed
        && after.start.index >= before.start.index;
    ensure(rises.into(), NAME, || format!("{me} was at {before:?} and is at {after:?}"))?;
    let bounded = after.handed <= after.committed && after.committed <= after.last.index;
    ensure(bounded.into(), NAME, || format!("{me} is ahead of its own log: {after:?}"))?;
    ensure((after.last.term <= after.term).into(), NAME, || {
        format!("{me} holds an entry from a later term: {after:?}")
    })
}
