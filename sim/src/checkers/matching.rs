//! Log Matching (paper §5.3, figure 3; TLA+ `LogMatchingInv`; the thesis' Lemma 8): two logs that
//! hold an entry of the same index and term are equal up to there. And what a leader does with its
//! own log: Leader Append-Only (paper §5.3; the thesis' Lemma 3).

use super::shadow::{Chain, Shadow};
use super::{Check, ensure};
use holm_raft_core::{Persist, Term};

/// What stands for each entry id, with all before it.
#[derive(Debug, Default)]
pub struct LogMatching {
    /// By index, for each term in which there was such an entry.
    chains: Vec<Vec<(Term, Chain)>>,
}

impl LogMatching {
    const NAME: &str = "log matching";

    /// A member has written these entries.
    ///
    /// # Errors
    /// If one of them has the id of another, or follows on others.
    pub fn written(&mut self, persist: &Persist, log: &Shadow) -> Check {
        for entry in &persist.entries {
            let index = usize::try_from(entry.id.index.0).expect("entries are in memory");
            if self.chains.len() <= index {
                self.chains.resize_with(index + 1, Vec::new);
            }
            let chain = log.chain(entry.id.index).expect("it was just written");
            let known = &mut self.chains[index];
            match known.iter().rev().find(|(term, _)| *term == entry.id.term) {
                Some((_, before)) => ensure((*before == chain).into(), Self::NAME, || {
                    format!("two logs hold {}, and differ at it or before", entry.id)
                })?,
                None => known.push((entry.id.term, chain)),
            }
        }
        Ok(())
    }

    /// A leader writes this.
    ///
    /// # Errors
    /// If it drops entries of its own.
    pub fn leader_writes(&self, persist: &Persist) -> Check {
        ensure(persist.truncate.is_none().into(), "leader append-only", || {
            format!("a leader drops its entries from {:?} on", persist.truncate)
        })
    }
}
