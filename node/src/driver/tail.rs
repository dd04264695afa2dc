//! The end of the log as it was just written: `Tail` keeps the newest entries, so that they are
//! sent and applied without being read from the log again, which costs an allocation, a lock and
//! a checksum each time.

use holm_raft_core::{Entry, Index};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// The most entries that are kept. Their data may be parts of read buffers of the transport, which
/// live for as long.
const TAIL_ENTRIES_MAX: usize = 2048;
/// The most bytes that they weigh together.
const TAIL_BYTES_MAX: u64 = 1 << 20;

/// The newest entries of the log that are not handed over to be applied yet; fewer, if they are
/// many. Invariants: they follow one another; `bytes` is what they weigh.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    entries: VecDeque<Entry>,
    bytes: u64,
}

impl Tail {
    /// The log was cut from `truncate` on, and these entries were appended to it.
    pub(super) fn wrote(&mut self, truncate: Option<Index>, entries: Vec<Entry>) {
        let cut = truncate.or(entries.first().map(|entry| entry.id.index));
        while let (Some(cut), Some(last)) = (cut, self.entries.back())
            && last.id.index >= cut
        {
            self.bytes -= last.weight();
            self.entries.pop_back();
        }
        for entry in entries {
            let follows = |last: &Entry| last.id.index.next() == entry.id.index;
            if !self.entries.back().is_none_or(follows) {
                self.clear();
            }
            self.bytes += entry.weight();
            self.entries.push_back(entry);
            while self.entries.len() > TAIL_ENTRIES_MAX || self.bytes > TAIL_BYTES_MAX {
                self.forget_first();
            }
        }
    }

    /// What stands up to here is not needed any more.
    pub(super) fn forget_to(&mut self, index: Index) {
        while self.entries.front().is_some_and(|first| first.id.index <= index) {
            self.forget_first();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.entries.pop_front() {
            self.bytes -= first.weight();
        }
    }

    /// The entries in the range from its first one on, as long as they weigh no more than
    /// `bytes_max` together, but at least one; none if the first is not kept.
    pub(super) fn entries(&self, range: RangeInclusive<Index>, bytes_max: u64) -> Vec<Entry> {
        let (first, last) = range.into_inner();
        let kept = self.entries.front().map_or(Index(u64::MAX), |entry| entry.id.index);
        let skipped = first.0.checked_sub(kept.0).and_then(|count| usize::try_from(count).ok());
        let Some(skipped) = skipped.filter(|skipped| *skipped < self.entries.len()) else {
            return Vec::new();
        };
        let wanted = usize::try_from((last.0 + 1).saturating_sub(first.0)).unwrap_or(usize::MAX);
        let mut room = bytes_max;
        let fits = |(at, entry): &(usize, &Entry)| {
            let fits = *at == 0 || entry.weight() <= room;
            room = room.saturating_sub(entry.weight());
            fits
        };
        let wanted = self.entries.range(skipped..).take(wanted).enumerate();
        wanted.take_while(fits).map(|(_, entry)| entry.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_raft_core::{EntryId, EntryKind, LogTime, Term};

    fn entry(index: u64, term: u64, bytes: usize) -> Entry {
        let id = EntryId { term: Term(term), index: Index(index) };
        Entry { id, time: LogTime(0), kind: EntryKind::Command, data: vec![0; bytes].into() }
    }

    fn entries(range: RangeInclusive<u64>, term: u64) -> Vec<Entry> {
        range.map(|index| entry(index, term, 10)).collect()
    }

    fn kept(tail: &Tail, first: u64, last: u64) -> Vec<(u64, u64)> {
        let found = tail.entries(Index(first)..=Index(last), u64::MAX);
        found.iter().map(|entry| (entry.id.index.0, entry.id.term.0)).collect()
    }

    #[test]
    fn what_was_written_is_given_back_until_it_is_cut_or_forgotten() {
        let mut tail = Tail::default();
        tail.wrote(None, entries(5..=9, 1));
        assert_eq!(kept(&tail, 5, 7), [(5, 1), (6, 1), (7, 1)]);
        assert_eq!(kept(&tail, 8, 20), [(8, 1), (9, 1)]);
        assert_eq!(kept(&tail, 4, 9), [], "the first one is not kept");
        tail.wrote(Some(Index(7)), entries(7..=8, 2));
        assert_eq!(kept(&tail, 5, 9), [(5, 1), (6, 1), (7, 2), (8, 2)]);
        tail.wrote(Some(Index(8)), Vec::new());
        tail.forget_to(Index(5));
        assert_eq!(kept(&tail, 6, 9), [(6, 1), (7, 2)]);
        tail.wrote(None, entries(20..=21, 3));
        assert_eq!(kept(&tail, 6, 9), [], "the log has begun anew behind them");
        assert_eq!(kept(&tail, 20, 21), [(20, 3), (21, 3)]);
        tail.forget_to(Index(30));
        assert_eq!((tail.bytes, tail.entries.len()), (0, 0));
    }

    #[test]
    fn a_message_takes_as_much_as_it_may_and_at_least_one() {
        let mut tail = Tail::default();
        tail.wrote(None, entries(1..=5, 1));
        let weight = entry(1, 1, 10).weight();
        let found = |bytes_max| tail.entries(Index(1)..=Index(5), bytes_max).len();
        assert_eq!([found(0), found(2 * weight), found(3 * weight - 1)], [1, 2, 2]);
    }

    #[test]
    fn it_is_bounded_in_entries_and_in_bytes() {
        let mut tail = Tail::default();
        tail.wrote(None, entries(1..=TAIL_ENTRIES_MAX as u64 + 3, 1));
        assert_eq!(kept(&tail, 3, 3), []);
        assert_eq!(kept(&tail, 4, 4), [(4, 1)]);
        let large = entry(TAIL_ENTRIES_MAX as u64 + 4, 1, 1 << 20);
        tail.wrote(None, vec![large]);
        assert_eq!((tail.bytes, tail.entries.len()), (0, 0), "one alone is too much");
    }
}
