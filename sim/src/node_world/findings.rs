//! What a run has come to so far: what was reached, the first promise that was broken, and the
//! trace. A run has its thread for itself, so all of it is kept by the thread: a state machine,
//! which knows nobody, can report as well.

use crate::checkers::election::ElectionSafety;
use crate::checkers::{Check, Violation};
use crate::coverage::{Coverage, World};
use crate::outcome::Tracing;
use crate::trace::{Trace, What};
use std::cell::RefCell;
use std::time::Duration;

/// What a run has come to.
#[derive(Default)]
pub(super) struct Findings {
    /// What took effect, and what came of it.
    pub(super) coverage: Coverage,
    /// The first promise that was broken.
    pub(super) violation: Option<Violation>,
    /// What happened, if it is remembered.
    pub(super) trace: Trace,
    /// Who led in which term.
    pub(super) election: ElectionSafety,
    /// Messages that arrived.
    pub(super) messages: u64,
    /// Turns of drivers.
    pub(super) turns: u64,
    /// Up to where anybody has known the log to be committed.
    pub(super) commit: u64,
    /// Operations of clients, and how many of them were answered.
    pub(super) operations: (u64, u64),
    /// Lease reads that were stale, in the mode in which they may be.
    pub(super) stale_leases: u64,
    /// When it ended, in simulated microseconds.
    pub(super) micros: u64,
}

std::thread_local! {
    static FINDINGS: RefCell<Findings> = RefCell::default();
}

/// Begins anew.
pub(super) fn begin(tracing: Tracing) {
    let trace = if tracing == Tracing::Kept { Trace::kept() } else { Trace::default() };
    let coverage = Coverage { world: World::Node, ..Coverage::default() };
    FINDINGS.replace(Findings { coverage, trace, ..Findings::default() });
}

/// All of it.
pub(super) fn take() -> Findings {
    FINDINGS.take()
}

/// Lets somebody look at it and add to it.
pub(super) fn with<T>(change: impl FnOnce(&mut Findings) -> T) -> T {
    FINDINGS.with_borrow_mut(change)
}

/// Simulated microseconds since the run began.
pub(super) fn now() -> u64 {
    let elapsed = madsim::runtime::Handle::try_current()
        .map_or(Duration::ZERO, |_| madsim::time::TimeHandle::current().elapsed());
    u64::try_from(elapsed.as_micros()).expect("runs end before that")
}

/// Notes something in the trace, of which a violation is the end.
pub(super) fn say(what: impl FnOnce() -> What) {
    FINDINGS.with_borrow_mut(|found| {
        if found.trace.is_kept() && found.violation.is_none() {
            found.trace.say(now(), what);
        }
    });
}

/// Notes something that has no kind of its own.
pub(super) fn note(says: impl FnOnce() -> String) {
    say(|| What::Note { says: says() });
}

/// A thing of the schedule takes effect.
pub(super) fn takes_effect(word: &'static str) {
    FINDINGS.with_borrow_mut(|found| found.coverage.happens(word));
}

/// How often one has.
pub(super) fn times_took_effect(word: &'static str) -> u64 {
    FINDINGS.with_borrow(|found| found.coverage.happened.get(word).copied().unwrap_or(0))
}

/// Something came of it.
pub(super) fn happened(name: &'static str) {
    FINDINGS.with_borrow_mut(|found| found.coverage.other(name));
}

/// How often that has happened.
pub(super) fn times(name: &'static str) -> u64 {
    FINDINGS.with_borrow(|found| found.coverage.others.get(name).copied().unwrap_or(0))
}

/// Keeps what a check says, if nothing was wrong before.
pub(super) fn judge(check: Check) {
    let Err(violation) = check else { return };
    FINDINGS.with_borrow_mut(|found| {
        if found.violation.is_none() {
            let Violation { checker, says } = violation.clone();
            found.trace.say(now(), || What::Violation { checker, says });
            found.violation = Some(violation);
        }
    });
}

/// A promise is broken.
pub(super) fn broken(checker: &'static str, says: String) {
    judge(Err(Violation { checker, says }));
}

/// Whether a promise was broken: nothing more needs to be done then.
pub(super) fn any_broken() -> bool {
    FINDINGS.with_borrow(|found| found.violation.is_some())
}
