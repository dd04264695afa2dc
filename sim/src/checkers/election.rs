//! Election Safety (paper §5.2, figure 3; TLA+ `ElectionSafetyInv`, `MoreThanOneLeaderInv`; the
//! thesis' Lemma 2): at most one leader for each term.

use super::{Check, ensure};
use holm_raft_core::{MemberId, Term};
use std::collections::BTreeMap;

/// Who led in each term.
#[derive(Debug, Default)]
pub struct ElectionSafety {
    leaders: BTreeMap<Term, MemberId>,
}

impl ElectionSafety {
    const NAME: &str = "election safety";

    /// A member leads in a term.
    ///
    /// # Errors
    /// If another does.
    pub fn leads(&mut self, term: Term, me: MemberId) -> Check {
        let known = *self.leaders.entry(term).or_insert(me);
        ensure((known == me).into(), Self::NAME, || {
            format!("both {known} and {me} lead in term {term}")
        })
    }

    /// How many terms had a leader.
    #[must_use]
    pub fn terms(&self) -> u64 {
        self.leaders.len() as u64
    }
}
