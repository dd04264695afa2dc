//! The log's *shape*: `Log` knows which term stands at which index, how far the log is durable,
//! committed and handed out to be applied; it holds no bytes. Memory: 16 bytes for each run of
//! equal terms, whatever the log's length.

use crate::mutation::{self, Mutation};
use crate::types::{EntryId, Index, LogTime, Term};
use alloc::vec::Vec;

/// Invariants, asserted by [`Log::check`]:
/// `start ≤ handed ≤ committed ≤ last`, `durable ≤ last`; the runs ascend in index and in term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    start: EntryId,
    runs: Vec<EntryId>,
    last: Index,
    last_time: LogTime,
    durable: Index,
    committed: Index,
    handed: Index,
}

impl Log {
    pub(crate) fn restore(
        start: EntryId,
        terms: Vec<EntryId>,
        last: Index,
        last_time: LogTime,
        applied: Index,
    ) -> Self {
        let mut log = Self { start, runs: terms, last, last_time, ..Self::default() };
        log.durable = last;
        log.committed = applied;
        log.handed = applied;
        log.check();
        log
    }

    pub(crate) const fn start(&self) -> EntryId {
        self.start
    }

    pub(crate) const fn last_time(&self) -> LogTime {
        self.last_time
    }

    pub(crate) const fn durable(&self) -> Index {
        self.durable
    }

    pub(crate) const fn committed(&self) -> Index {
        self.committed
    }

    /// Up to where entries were handed out to be applied.
    pub(crate) const fn handed(&self) -> Index {
        self.handed
    }

    /// The id of the last entry, or where the log starts if there is none.
    pub(crate) fn last(&self) -> EntryId {
        self.id(self.last).expect("the last index is within the log")
    }

    /// The term at an index from `start` to `last`.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        if index == self.start.index {
            return Some(self.start.term);
        }
        if index < self.start.index || index > self.last {
            return None;
        }
        // Most questions are about the end of the log.
        if let Some(last) = self.runs.last()
            && last.index <= index
        {
            return Some(last.term);
        }
        let after = self.runs.partition_point(|first| first.index <= index);
        Some(self.runs[after - 1].term)
    }

    /// The id of the entry at an index from `start` to `last`.
    pub(crate) fn id(&self, index: Index) -> Option<EntryId> {
        Some(EntryId::new(self.term(index)?, index))
    }

    pub(crate) fn contains(&self, id: EntryId) -> bool {
        self.term(id.index) == Some(id.term)
    }

    /// The highest entry at or before `at.index` whose term is not above `at.term`, but not before
    /// the log's start: what skips a whole term per round trip when logs disagree (§5.3).
    pub(crate) fn at_or_below(&self, at: EntryId) -> EntryId {
        let mut index = at.index.min(self.last).max(self.start.index);
        while let Some(id) = self.id(index) {
            if id.term <= at.term || index == self.start.index {
                return id;
            }
            let after = self.runs.partition_point(|first| first.index <= index);
            index = self.runs[after - 1].index.prev().max(self.start.index);
        }
        self.start
    }

    /// Appends the entry `id`, not durable yet.
    pub(crate) fn append(&mut self, id: EntryId, time: LogTime) {
        assert_eq!(id.index, self.last.next(), "entries follow one another");
        let before = self.last();
        assert!(id.term >= before.term, "terms never fall within a log: {before} then {id}");
        assert!(time >= self.last_time, "log time never falls");
        if id.term > before.term || self.runs.is_empty() {
            self.runs.push(id);
        }
        self.last = id.index;
        self.last_time = time;
    }

    /// Drops the entries from `from` on. The entry that replaces it brings its own log time.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(from > self.committed, "a committed entry is never dropped: {from}");
        assert!(from <= self.last, "there is nothing to drop at {from}");
        self.last = from.prev();
        self.runs.retain(|first| first.index < from);
        self.durable = self.durable.min(self.last);
        self.last_time = LogTime(0);
    }

    /// Drops the entries up to `to`, which were handed out before.
    pub(crate) fn compact(&mut self, to: EntryId) {
        assert!(to.index <= self.handed, "only what was applied is compacted: {to}");
        assert!(self.contains(to), "the log is compacted at an entry of its own: {to}");
        if to.index == self.last {
            self.runs.clear();
        } else {
            let next = self.id(to.index.next()).expect("there is a next entry");
            self.runs.retain(|first| first.index > next.index);
            self.runs.insert(0, next);
        }
        self.start = to;
    }

    /// Replaces the whole log by a snapshot up to `to`, not durable yet.
    pub(crate) fn reset(&mut self, to: EntryId, time: LogTime) {
        assert!(to.index > self.committed, "a snapshot of {to} would undo a commit");
        *self = Self {
            start: to,
            last: to.index,
            last_time: time,
            committed: to.index,
            handed: to.index,
            ..Self::default()
        };
    }

    pub(crate) fn commit(&mut self, to: Index) {
        assert!(to <= self.last, "nothing beyond the log is committed: {to}");
        self.committed = self.committed.max(to);
    }

    pub(crate) fn persisted(&mut self, to: Index) {
        assert!(to <= self.last, "nothing beyond the log is durable: {to}");
        self.durable = self.durable.max(to);
    }

    /// What may be applied now: committed, durable here, and not handed out before.
    pub(crate) fn hand_out(&mut self) -> Option<core::ops::RangeInclusive<Index>> {
        let first = self.handed.next();
        let beyond = mutation::on(Mutation::ApplyBeyondDurable);
        let last = if beyond { self.committed } else { self.committed.min(self.durable) };
        if first > last {
            return None;
        }
        self.handed = last;
        Some(first..=last)
    }

    pub(crate) fn check(&self) {
        assert!(self.start.index <= self.handed, "applied from the start on");
        assert!(self.handed <= self.committed, "only committed entries are applied");
        assert!(self.committed <= self.last, "only entries of the log are committed");
        assert!(self.durable <= self.last, "only entries of the log are durable");
        for pair in self.runs.windows(2) {
            assert!(pair[0].index < pair[1].index && pair[0].term < pair[1].term, "runs ascend");
        }
        if let Some(first) = self.runs.first() {
            assert!(first.index == self.start.index.next() && first.term >= self.start.term);
        } else {
            assert_eq!(self.last, self.start.index, "a log without runs is empty");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u64, term: u64) -> EntryId {
        EntryId::new(Term(term), Index(index))
    }

    fn log_of(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for (index, term) in (1..).zip(terms) {
            log.append(id(index, *term), LogTime(index));
        }
        log
    }

    #[test]
    fn each_index_has_its_term() {
        let log = log_of(&[1, 1, 2, 5, 5]);
        let terms: Vec<_> = (0..7).map(|index| log.term(Index(index)).map(|term| term.0)).collect();
        assert_eq!(terms, [Some(0), Some(1), Some(1), Some(2), Some(5), Some(5), None]);
    }

    #[test]
    fn a_hint_skips_whole_terms() {
        let log = log_of(&[1, 1, 4, 4, 4, 6, 6]);
        assert_eq!(log.at_or_below(id(7, 5)), id(5, 4));
        assert_eq!(log.at_or_below(id(7, 3)), id(2, 1));
        assert_eq!(log.at_or_below(id(9, 9)), id(7, 6));
        assert_eq!(log.at_or_below(id(2, 0)), EntryId::ZERO);
    }

    #[test]
    fn truncation_takes_back_durability() {
        let mut log = log_of(&[1, 1, 2, 2]);
        log.persisted(Index(4));
        log.truncate(Index(2));
        assert_eq!((log.last(), log.durable()), (id(1, 1), Index(1)));
        log.append(id(2, 3), LogTime(9));
        assert_eq!(log.term(Index(2)), Some(Term(3)));
        log.check();
    }

    #[test]
    fn compaction_keeps_the_terms_behind_it() {
        let mut log = log_of(&[1, 1, 2, 2, 3]);
        log.persisted(Index(5));
        log.commit(Index(4));
        assert_eq!(log.hand_out(), Some(Index(1)..=Index(4)));
        log.compact(id(3, 2));
        log.check();
        assert_eq!((log.term(Index(2)), log.term(Index(3))), (None, Some(Term(2))));
        assert_eq!((log.term(Index(4)), log.term(Index(5))), (Some(Term(2)), Some(Term(3))));
        log.commit(Index(5));
        assert_eq!(log.hand_out(), Some(Index(5)..=Index(5)));
        log.compact(id(5, 3));
        log.check();
    }

    #[test]
    fn nothing_is_handed_out_beyond_the_own_durable_end() {
        let mut log = log_of(&[1, 1, 1]);
        log.commit(Index(3));
        assert_eq!(log.hand_out(), None);
        log.persisted(Index(2));
        assert_eq!(log.hand_out(), Some(Index(1)..=Index(2)));
    }
}
