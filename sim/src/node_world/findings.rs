//! What a run has come to so far: what happened in it, by word, and the first promise that was
//! broken. A run has its thread for itself, so both are kept by the thread: a state machine, which
//! knows nobody, can report as well.

use crate::checkers::{Check, Violation};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What a run has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// What happened, and how often.
    pub(super) happened: BTreeMap<&'static str, u64>,
    /// The first promise that was broken.
    pub(super) violation: Option<Violation>,
}

std::thread_local! {
    static FINDINGS: RefCell<Findings> = RefCell::default();
}

/// Something happened.
pub(super) fn happened(word: &'static str) {
    happened_often(word, 1);
}

/// Something happened so many times.
pub(super) fn happened_often(word: &'static str, times: u64) {
    if times > 0 {
        FINDINGS.with_borrow_mut(|found| *found.happened.entry(word).or_default() += times);
    }
}

/// How often that has happened.
pub(super) fn times(word: &'static str) -> u64 {
    FINDINGS.with_borrow(|found| found.happened.get(word).copied().unwrap_or(0))
}

/// Keeps what a check says, if nothing was wrong before.
pub(super) fn note(check: Check) {
    let Err(violation) = check else { return };
    tracing::error!(checker = violation.checker, "{}", violation.says);
    FINDINGS.with_borrow_mut(|found| _ = found.violation.get_or_insert(violation));
}

/// A promise is broken.
pub(super) fn broken(checker: &'static str, says: String) {
    note(Err(Violation { checker, says }));
}

/// Whether a promise was broken: nothing more needs to be done then.
pub(super) fn any_broken() -> bool {
    FINDINGS.with_borrow(|found| found.violation.is_some())
}

/// All of it.
pub(super) fn all() -> Findings {
    FINDINGS.with_borrow(Clone::clone)
}
