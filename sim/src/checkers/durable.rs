//! Durability of acknowledgements (paper figure 2, "updated on stable storage before responding";
//! TLA+ `CommittedIsDurableInv`): whatever a restart finds has all that was acknowledged in the
//! member's name: its entries, its term, and its vote in that term.

use super::shadow::Shadow;
use super::{Check, ensure};
use holm_raft_core::{EntryId, HardState, Index, MemberId};
use holm_wal::Recovered;

const NAME: &str = "durability of acknowledgements";
const WRITTEN: &str = "what a crash leaves is what was written";
const APPLIED: &str = "applied only what is durable";

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

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// By itself, or by a kill: what it wrote is still in the page cache.
    Kill,
    /// With its machine.
    PowerCut,
}

/// How a log was found to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With its last record.
    Whole,
    /// With bytes that were taken for half a record.
    Torn,
}

/// A member finds `found` after a crash, where it had written `before`, and nothing was damaged.
///
/// # Errors
/// If it finds what it never wrote so, or has lost more than the crash can explain.
pub fn was_written(
    me: MemberId,
    before: &Shadow,
    found: &Shadow,
    (crash, tail): (Crash, Tail),
) -> Check {
    let (end, hard_state) = (found.end(), found.hard_state);
    let explained = match crash {
        Crash::Kill => before.ends_with(end, hard_state),
        Crash::PowerCut => before.may_be(end, hard_state),
    };
    ensure(explained.into(), WRITTEN, || {
        format!(
            "{me} had written all up to {} with {:?}, of it durable {:?}, and finds {} with \
             {hard_state:?} after a {crash:?}",
            before.last(),
            before.hard_state,
            before.acked,
            found.last()
        )
    })?;
    let known = found.last().term <= hard_state.term;
    ensure(known.into(), WRITTEN, || {
        format!("{me} finds {} and no term beyond {}", found.last(), hard_state.term)
    })?;
    let killed_whole = crash == Crash::Kill && before.is_whole();
    let nothing_torn = killed_whole || before.is_durable();
    ensure((!nothing_torn || tail == Tail::Whole).into(), WRITTEN, || {
        format!("{me} takes its log's end for torn, where all was written ({crash:?})")
    })
}

/// What opening a log has found, without its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// How it ended.
    pub tail: Tail,
    hard_state: HardState,
    start: EntryId,
    last: EntryId,
}

impl From<&Recovered> for Opened {
    fn from(recovered: &Recovered) -> Self {
        Self {
            tail: if recovered.torn.is_some() { Tail::Torn } else { Tail::Whole },
            hard_state: recovered.hard_state,
            start: recovered.start.id,
            last: recovered.last,
        }
    }
}

/// A log was opened, and opened again.
///
/// # Errors
/// If the second time finds anything else, or anything to mend.
pub fn recovers(me: MemberId, first: &Opened, second: &Opened) -> Check {
    let same = *second == Opened { tail: Tail::Whole, ..*first };
    ensure(same.into(), WRITTEN, || {
        format!("{me} opens its log and finds {first:?}, and then {second:?}")
    })
}

/// A member applies an entry.
///
/// # Errors
/// If that is not durable where it is applied: a restart would find a state without its history.
pub fn applies(me: MemberId, index: Index, log: &Shadow) -> Check {
    let reaches = log.acked.last.index.max(log.acked.start.index);
    ensure((index <= reaches).into(), APPLIED, || {
        format!("{me} applies {index}, and only what is up to {reaches} is durable")
    })
}

fn kept(known: HardState, now: HardState) -> bool {
    let same = now.term == known.term && (known.vote.is_none() || now.vote == known.vote);
    now.term > known.term || same
}
