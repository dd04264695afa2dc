//! What the log's recent entries weigh, without one number for each: `Weights` keeps sums at a few
//! indexes. Limits in bytes are judged by it; it rounds up, by at most one step.

use crate::types::Index;
use alloc::collections::VecDeque;

/// The least weight between two marks, in bytes.
const STEP_BYTES: u64 = 16 << 10;
/// The most marks that are kept: entries before the first count as weightless.
const MARKS_MAX: usize = 1024;

/// Invariant: the marks ascend in index and in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Weights {
    marks: VecDeque<Mark>,
}

/// All entries up to `index` weigh `sum`, counted from some beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Mark {
    index: Index,
    sum: u64,
}

impl Weights {
    /// The entry at `index` was appended.
    pub(crate) fn append(&mut self, index: Index, weight: u64) {
        let count = self.marks.len();
        let last = self.marks.back().copied().unwrap_or(Mark { index: index.prev(), sum: 0 });
        let before = count.checked_sub(2).and_then(|at| self.marks.get(at)).copied();
        let sum = last.sum + weight;
        // The last mark moves on until it is a step away from the one before.
        if before.is_some_and(|before| last.sum - before.sum < STEP_BYTES) {
            self.marks.pop_back();
        } else if count == 0 {
            self.marks.push_back(last);
        } else if count == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { index, sum });
    }

    /// The entries from `from` on are gone.
    pub(crate) fn truncate(&mut self, from: Index) {
        while self.marks.back().is_some_and(|mark| mark.index >= from) {
            let mark = self.marks.pop_back().expect("looked at above");
            // What is left of the last step still counts as all of it.
            let cut = self.marks.back().is_some_and(|before| before.index < from.prev());
            if cut {
                self.marks.push_back(Mark { index: from.prev(), sum: mark.sum });
            }
        }
    }

    /// What all entries weigh, counted from some beginning: it grows with what is appended.
    pub(crate) fn total(&self) -> u64 {
        self.marks.back().map_or(0, |mark| mark.sum)
    }

    /// What the entries after `after` up to `to` weigh, at most.
    pub(crate) fn between(&self, after: Index, to: Index) -> u64 {
        let at_most = self.marks.partition_point(|mark| mark.index < to);
        let at_least = self.marks.partition_point(|mark| mark.index <= after);
        let high = self.marks.get(at_most).or(self.marks.back()).map_or(0, |mark| mark.sum);
        let first = self.marks.front().map_or(0, |mark| mark.sum);
        let low = at_least.checked_sub(1).map_or(first, |at| self.marks[at].sum);
        high.saturating_sub(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn a_range_weighs_what_its_entries_do_rounded_up_by_two_steps_at_most(
            weights in proptest::collection::vec(32_u64..5_000, 1..400),
            cut in 0..400_usize,
            more in proptest::collection::vec(32_u64..5_000, 0..100),
            ends in (0..500_u64, 0..500_u64),
        ) {
            let mut known = Weights::default();
            let mut all: Vec<u64> = Vec::new();
            for weight in &weights {
                all.push(*weight);
                known.append(Index(all.len() as u64), *weight);
            }
            if cut < all.len() && cut > 0 {
                known.truncate(Index(cut as u64 + 1));
                all.truncate(cut);
            }
            for weight in &more {
                all.push(*weight);
                known.append(Index(all.len() as u64), *weight);
            }
            let last = all.len() as u64;
            let (after, to) = (ends.0.min(ends.1).min(last), ends.0.max(ends.1).min(last));
            let range = usize::try_from(after).unwrap()..usize::try_from(to).unwrap();
            let exact: u64 = all[range].iter().sum();
            let told = known.between(Index(after), Index(to));
            prop_assert!(told >= exact, "{} of {}", told, exact);
            // A truncation inside a step keeps that step's whole weight.
            prop_assert!(told <= exact + 3 * (STEP_BYTES + 5_000), "{} of {}", told, exact);
        }
    }

    #[test]
    fn memory_stays_bounded_and_old_entries_count_as_weightless() {
        let mut known = Weights::default();
        for index in 1..=100_000 {
            known.append(Index(index), 4096);
        }
        assert!(known.marks.len() <= MARKS_MAX);
        assert!(known.between(Index(0), Index(100)) < 2 * STEP_BYTES);
        assert!(known.between(Index(99_000), Index(100_000)) >= 4096 * 1000);
    }
}
