//! Durability of acknowledgements (paper figure 2, "updated on stable storage before responding";
//! TLA+ `CommittedIsDurableInv`): whatever a restart finds has all that was acknowledged in the
//! member's name: its entries, its term, and its vote in that term.

use super::shadow::Shadow;
use super::{Check, ensure};
use holm_raft_core::{HardState, MemberId};

const NAME: &str = "durability of acknowledgements";

/// A member finds `found` where it had written `before`.
///
/// # Errors
/// If something that was acknowledged is gone.
pub fn finds(me: MemberId, before: &Shadow, found: &Shadow) -> Check {
    let (known, now) = (before.acked.hard_state, found.hard_state);
    ensure(kept(known, now).into(), NAME, || {
        format!("{me} had acknowledged {known:?} and finds {now:?}")
    })?;
    let floor = before.floor();
    let reaches = found.last().index >= floor;
    ensure(reaches.into(), NAME, || {
        format!("{me} had acknowledged all up to {floor} and finds all up to {}", found.last())
    })?;
    let comparable = floor >= found.start.index && floor >= before.start.index;
    let same = !comparable || found.chain(floor) == before.chain(floor);
    ensure(same.into(), NAME, || format!("{me} finds other entries than it wrote up to {floor}"))?;
    let ahead = found.start.index > before.start.index.max(before.last().index);
    ensure((!ahead).into(), NAME, || {
        format!("{me} finds a log that begins after {}, where it never did", found.start)
    })
}

fn kept(known: HardState, now: HardState) -> bool {
    let same = now.term == known.term && (known.vote.is_none() || now.vote == known.vote);
    now.term > known.term || same
}
