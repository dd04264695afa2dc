//! What the log's entries weigh, without one number for each: `Weights` keeps sums at some indexes,
//! close together at the log's end and ever further apart towards its beginning. Limits in bytes
//! are judged by it; it rounds against whoever asks, by at most one step at each end.

use crate::types::Index;
use alloc::vec::Vec;

/// The most marks that are kept.
const MARKS_MAX: usize = 1024;
/// Marks stand no further apart than such a part of their distance from the log's end. Thinned out
/// to that, some 40 · ln(n / 20) of them are left of n entries: 985 of 10^12.
const STEP: u64 = 20;

/// Invariant: the marks ascend in index and in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Weights {
    marks: Vec<Mark>,
}

/// All entries up to `index` weigh `sum`, counted from some beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Mark {
    index: Index,
    sum: u64,
}

impl Weights {
    /// What a log on a disk weighs: up to these indexes so many bytes, both ascending. What is not
    /// told counts as weightless.
    pub(crate) fn restore(sums: &[(Index, u64)]) -> Self {
        let mark = |(index, sum): &(Index, u64)| Mark { index: *index, sum: *sum };
        let mut weights = Self { marks: sums.iter().map(mark).collect() };
        weights.thin_out();
        weights
    }

    /// Drops each mark without which its neighbours are not too far apart.
    fn thin_out(&mut self) {
        let Some(last) = self.marks.last().copied() else { return };
        let mut kept = Vec::from([last]);
        for pair in self.marks.windows(2).rev() {
            let [older, mark] = [pair[0].index.0, pair[1].index.0];
            let newer = kept.last().map_or(mark, |kept| kept.index.0);
            if mark < newer && (newer - older) * STEP > last.index.0 - older {
                kept.push(pair[1]);
            }
        }
        // The first is where all is counted from.
        kept.extend(self.marks.first().filter(|first| first.index < last.index));
        kept.reverse();
        self.marks = kept;
    }

    /// The entry at `index` was appended.
    pub(crate) fn append(&mut self, index: Index, weight: u64) {
        if self.marks.len() == MARKS_MAX {
            self.thin_out();
        }
        if self.marks.is_empty() {
            self.marks.push(Mark { index: index.prev(), sum: 0 });
        }
        let sum = self.total() + weight;
        self.marks.push(Mark { index, sum });
    }

    /// The entries from `from` on are gone.
    pub(crate) fn truncate(&mut self, from: Index) {
        let kept = self.marks.partition_point(|mark| mark.index < from);
        let cut = self.marks.get(kept).copied();
        self.marks.truncate(kept);
        // What is left of a step that is cut still counts as all of it.
        if let Some(cut) = cut
            && self.marks.last().is_some_and(|before| before.index < from.prev())
        {
            self.marks.push(Mark { index: from.prev(), sum: cut.sum });
        }
    }

    /// What all entries weigh, counted from some beginning: it grows with what is appended.
    pub(crate) fn total(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.sum)
    }

    /// What the entries after `after` up to `to` weigh, at most.
    pub(crate) fn between(&self, after: Index, to: Index) -> u64 {
        let at = self.marks.partition_point(|mark| mark.index < to);
        let high = self.marks.get(at).map_or(self.total(), |mark| mark.sum);
        high.saturating_sub(self.up_to(after))
    }

    /// Up to where the entries after `after` surely weigh no more than `bytes`.
    pub(crate) fn reach(&self, after: Index, bytes: u64) -> Index {
        let most = self.up_to(after).saturating_add(bytes);
        let beyond = self.marks.partition_point(|mark| mark.sum <= most);
        match beyond.checked_sub(1) {
            Some(at) => self.marks[at].index,
            None => after,
        }
    }

    /// What the entries up to `index` weigh, at least, counted from the same beginning.
    fn up_to(&self, index: Index) -> u64 {
        let beyond = self.marks.partition_point(|mark| mark.index <= index);
        let at = self.marks.get(beyond.saturating_sub(1));
        at.map_or(0, |mark| mark.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_range_weighs_what_its_entries_do_rounded_up_by_the_steps_at_its_ends(
            weights in proptest::collection::vec(32_u64..5_000, 1..4_000),
            cut in 0..4_000_usize,
            more in proptest::collection::vec(32_u64..5_000, 0..100),
            ends in (0..4_000_u64, 0..4_000_u64),
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
            let weigh = |after: Index, to: Index| -> u64 {
                let range = usize::try_from(after.0).unwrap()..usize::try_from(to.0).unwrap();
                all[range].iter().sum()
            };
            let exact = weigh(Index(after), Index(to));
            let told = known.between(Index(after), Index(to));
            // A step of 4,000 entries has 200 of them; what was cut, and the two ends.
            prop_assert!(told >= exact && told <= exact + 3 * 200 * 5_000, "{} of {}", told, exact);
            let reach = known.reach(Index(after), exact);
            if reach > Index(after) {
                prop_assert!(weigh(Index(after), reach) <= exact);
            }
            let restored: Vec<(Index, u64)> =
                (1..=last).map(|to| (Index(to), weigh(Index(0), Index(to)))).collect();
            let told = Weights::restore(&restored).between(Index(after), Index(to));
            // Up to the first index that is told nothing is known.
            prop_assert!(told >= exact || after == 0, "{} of {}", told, exact);
        }
    }

    #[test]
    fn the_newest_entries_are_weighed_exactly_and_all_of_them_are_counted() {
        let mut known = Weights::default();
        for index in 1..=1_000_000 {
            known.append(Index(index), 4096);
        }
        assert!(known.marks.len() <= MARKS_MAX);
        assert_eq!(known.between(Index(999_985), Index(999_995)), 10 * 4096);
        assert_eq!(known.reach(Index(999_990), 10_000), Index(999_992));
        assert_eq!(known.reach(Index(999_990), 1_000), Index(999_990), "not even one");
        assert_eq!(known.between(Index(0), Index(1_000_000)), 1_000_000 * 4096);
        let half = known.between(Index(500_000), Index(1_000_000));
        assert!((500_000 * 4096..530_000 * 4096).contains(&half), "{half}");
    }
}
