//! Committed never changes (paper §5.4, figure 3; TLA+ `LogInv`): what one member knows to be
//! committed is what every other knows to be committed, and nobody who holds it drops it.

use super::shadow::{Chain, Shadow};
use super::{Check, Violation, ensure};
use holm_raft_core::{Index, Persist, Term};

/// What is committed, by index.
#[derive(Debug, Default)]
pub struct Committed {
    /// What stands for all entries up to each index, from 1, and the term of whoever knew first.
    known: Vec<(Chain, Term)>,
}

impl Committed {
    const NAME: &str = "committed never changes";

    /// Up to where something is committed.
    #[must_use]
    pub fn last(&self) -> Index {
        Index(self.known.len() as u64)
    }

    /// What stands for all entries up to an index.
    #[must_use]
    pub fn chain(&self, index: Index) -> Option<Chain> {
        if index.0 == 0 {
            return Some(Chain::default());
        }
        self.at(index).map(|(chain, _)| chain)
    }

    fn at(&self, index: Index) -> Option<(Chain, Term)> {
        self.known.get(usize::try_from(index.0.checked_sub(1)?).ok()?).copied()
    }

    /// The last index that was committed in a term before this one.
    #[must_use]
    pub fn last_before(&self, term: Term) -> Index {
        let before = self.known.iter().rposition(|(_, committed)| *committed < term);
        Index(before.map_or(0, |at| at as u64 + 1))
    }

    /// A member of this term, with this log, knows all from the first index to the last to be
    /// committed.
    ///
    /// # Errors
    /// If something else is.
    pub fn commits(&mut self, (from, to): (Index, Index), term: Term, log: &Shadow) -> Check {
        for index in (from.0..=to.0).map(Index) {
            let Some(chain) = log.chain(index) else {
                if index < log.start.index {
                    continue;
                }
                let last = log.last();
                let says = format!("a member commits {index}, and its log ends with {last}");
                return Err(Violation { checker: Self::NAME, says });
            };
            match self.at(index) {
                Some((known, by)) => ensure((known == chain).into(), Self::NAME, || {
                    format!("entry {index}, committed in term {by}, is another in term {term}")
                })?,
                None if self.last().next() == index => self.known.push((chain, term)),
                None => {}
            }
        }
        Ok(())
    }

    /// A member with this log is about to write this.
    ///
    /// # Errors
    /// If that drops what is committed.
    pub fn writes(&self, persist: &Persist, log: &Shadow) -> Check {
        let Some(from) = persist.truncate else { return Ok(()) };
        let holds = log.chain(from).is_some() && log.chain(from) == self.chain(from);
        ensure((!holds).into(), Self::NAME, || {
            format!("entry {from} is committed, and a member that holds it drops it")
        })
    }
}
