//! What the log holds, in memory: the hard state, where the log begins, where each entry lies, and
//! the runs of equal terms. `Table::apply` is the one place that says what a record does; appending
//! and recovery both go through it, so that they can't differ.

use crate::footer::Footer;
use crate::format::{Keeps, Record, State};
use crate::positions::{Location, Positions};
use holm_raft_core::{EntryId, EntryKind, HardState, Index, LogStart, Term};
use std::collections::VecDeque;

/// An index that no entry has, so that there is always a next one.
const NEVER: Index = Index(u64::MAX);

/// The log's shape.
#[derive(Debug)]
pub(crate) struct Table {
    hard_state: HardState,
    start: LogStart,
    /// Entries up to here are not held. Equal to `start`, except while recovery reads the first
    /// segment it has: entries before that were held by segments that are gone, and a compaction
    /// further on must say that they are not missed.
    floor: Index,
    /// From `floor` + 1 on.
    locations: Positions,
    /// The first held entry of each run of equal terms, ascending.
    terms: VecDeque<EntryId>,
    /// The held configuration entries, ascending.
    configurations: VecDeque<Index>,
    /// What [`last`](Self::last) says. Always what the other fields say: kept beside them because
    /// each append asks.
    last: EntryId,
}

impl Table {
    /// What a segment that begins with this state says of the log before it.
    pub(crate) fn new(state: &State) -> Result<Self, &'static str> {
        if state.last < state.start.id.index {
            return Err("the log would end before its start");
        }
        if state.last == NEVER {
            return Err("the log would have no index left");
        }
        let mut table = Self {
            hard_state: state.hard_state,
            start: state.start,
            floor: state.last,
            locations: Positions::default(),
            terms: VecDeque::new(),
            configurations: VecDeque::new(),
            last: state.start.id,
        };
        table.last = table.held_last();
        Ok(table)
    }

    /// Does what the record says; `at` is where an entry's record lies.
    ///
    /// # Errors
    /// When the record contradicts the log before it: then nothing is changed.
    pub(crate) fn apply(&mut self, record: &Record<'_>, at: Location) -> Result<(), &'static str> {
        match *record {
            Record::State(state) if state == self.state() => {}
            Record::State(_) => return Err("a segment's state contradicts the segments before it"),
            Record::HardState(hard_state) => {
                if hard_state.term < self.hard_state.term {
                    return Err("a term goes back");
                }
                self.hard_state = hard_state;
            }
            Record::Compact { start, keeps } => self.compact(start, keeps)?,
            Record::Truncate(index) => self.truncate(index)?,
            Record::Entry { id, kind, .. } => self.push(id, kind, at)?,
            Record::Filler(_) => {}
        }
        debug_assert!(self.check());
        Ok(())
    }

    fn compact(&mut self, start: LogStart, keeps: Keeps) -> Result<(), &'static str> {
        if start.id.index < self.start.id.index {
            return Err("a compaction goes back");
        }
        if start.id.index == NEVER {
            return Err("the log would have no index left");
        }
        if keeps == Keeps::Nothing {
            self.locations.clear();
            self.terms.clear();
            self.configurations.clear();
            self.floor = start.id.index;
        } else if start.id.index > self.last().index {
            return Err("a compaction keeps entries that are not there");
        } else if start.id.index > self.floor {
            let dropped = usize::try_from(start.id.index.0 - self.floor.0).expect("held in memory");
            let first = start.id.index.next();
            self.locations.drop_front(dropped);
            let run = self.terms.partition_point(|run| run.index <= first).saturating_sub(1);
            self.terms.drain(..run);
            if self.locations.is_empty() {
                self.terms.clear();
            } else if let Some(run) = self.terms.front_mut() {
                run.index = first;
            }
            let old = self.configurations.partition_point(|index| *index < first);
            self.configurations.drain(..old);
            self.floor = start.id.index;
        }
        self.start = start;
        self.last = self.held_last();
        Ok(())
    }

    fn truncate(&mut self, index: Index) -> Result<(), &'static str> {
        if index <= self.start.id.index {
            return Err("a truncation reaches behind the log's start");
        }
        self.keep_before(index);
        Ok(())
    }

    fn keep_before(&mut self, index: Index) {
        let keep = usize::try_from(index.prev().0.saturating_sub(self.floor.0));
        self.locations.truncate(keep.unwrap_or(usize::MAX));
        self.terms.truncate(self.terms.partition_point(|run| run.index < index));
        self.configurations.truncate(self.configurations.partition_point(|at| *at < index));
        self.floor = self.floor.min(index.prev());
        self.last = self.held_last();
    }

    /// What [`apply`](Self::apply) does for an entry: the next one, which lies there.
    ///
    /// # Errors
    /// When it does not follow on the entry before it: then nothing is changed.
    #[inline]
    pub(crate) fn push(
        &mut self,
        id: EntryId,
        kind: EntryKind,
        at: Location,
    ) -> Result<(), &'static str> {
        follows(id, self.last)?;
        self.push_checked(id, kind, at);
        Ok(())
    }

    /// The same for an entry that is known to follow.
    #[inline]
    pub(crate) fn push_checked(&mut self, id: EntryId, kind: EntryKind, at: Location) {
        debug_assert_eq!(follows(id, self.last), Ok(()));
        if id.term != self.last.term || self.locations.is_empty() {
            self.terms.push_back(id);
        }
        if kind == EntryKind::Configuration {
            self.configurations.push_back(id.index);
        }
        self.locations.push(at);
        self.last = id;
    }

    /// Does all that a segment's records say, by its footer.
    ///
    /// # Errors
    /// When it contradicts the log before it.
    pub(crate) fn adopt(&mut self, footer: &Footer) -> Result<(), &'static str> {
        let (state, first) = (&footer.state, footer.first);
        if first.0 == 0 || state.hard_state.term < self.hard_state.term {
            return Err("a footer contradicts the segments before it");
        }
        self.hard_state = state.hard_state;
        self.keep_before(first);
        if state.start != self.start {
            let beyond = state.start.id.index > self.last().index;
            self.compact(state.start, if beyond { Keeps::Nothing } else { Keeps::Suffix })?;
        }
        if self.last().index.next() != first {
            // Begun anew: what was there before is not a part of the log any more.
            self.compact(state.start, Keeps::Nothing)?;
        }
        self.extend(footer)?;
        if self.state() == *state { Ok(()) } else { Err("a footer contradicts itself") }
    }

    /// Adds the entries that a footer tells of, all at once.
    fn extend(&mut self, footer: &Footer) -> Result<(), &'static str> {
        let (first, count) = (footer.first.0, footer.places.len() as u64);
        let end = first.checked_add(count).ok_or("the log would have no index left")?;
        let within = |index: &Index| (first..end).contains(&index.0);
        let last = self.last();
        let follows = footer.places.is_empty() || last.index.0 + 1 == first;
        let begun = footer.terms.first().map(|run| run.index.0) == (first < end).then_some(first);
        let terms = footer.terms.iter().all(|run| within(&run.index) && run.term >= last.term)
            && footer.terms.is_sorted_by(|a, b| a.index < b.index && a.term <= b.term);
        let configurations = footer.configurations.iter().all(within)
            && footer.configurations.is_sorted_by(|a, b| a < b);
        if !(follows && begun && terms && configurations) {
            return Err("a footer contradicts itself");
        }
        for run in &footer.terms {
            if self.terms.back().is_none_or(|before| before.term < run.term) {
                self.terms.push_back(*run);
            }
        }
        self.configurations.extend(&footer.configurations);
        self.locations.extend(&footer.places);
        self.last = self.held_last();
        Ok(())
    }

    /// The entries at the log's end that lie in this segment: the first one's index, the next index
    /// if there are none, and where they lie.
    pub(crate) fn places_in(&self, segment: u32) -> (Index, Vec<Location>) {
        let len = self.locations.len();
        let is_there = |at: &usize| self.locations.get(*at).is_some_and(|l| l.segment == segment);
        let from = (0..len).rev().take_while(is_there).last().unwrap_or(len);
        let places = (from..len).filter_map(|at| self.locations.get(at)).collect();
        (Index(self.floor.0 + 1 + from as u64), places)
    }

    /// What a segment that begins now has to say.
    pub(crate) fn state(&self) -> State {
        State { hard_state: self.hard_state, start: self.start, last: self.last().index }
    }

    /// Whether entries behind the start are not there.
    pub(crate) fn has_gap(&self) -> bool {
        self.floor != self.start.id.index
    }

    pub(crate) fn hard_state(&self) -> HardState {
        self.hard_state
    }

    pub(crate) fn start(&self) -> LogStart {
        self.start
    }

    pub(crate) fn terms(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.terms.iter().copied()
    }

    pub(crate) fn configurations(&self) -> impl Iterator<Item = Index> + '_ {
        self.configurations.iter().copied()
    }

    /// The last entry; the start where there is none. Behind a gap its term may be unknown: 0.
    pub(crate) fn last(&self) -> EntryId {
        self.last
    }

    fn held_last(&self) -> EntryId {
        match self.terms.back() {
            Some(run) => EntryId::new(run.term, Index(self.floor.0 + self.locations.len() as u64)),
            None if self.has_gap() => EntryId::new(Term(0), self.floor),
            None => self.start.id,
        }
    }

    /// The term of the entry there, or of the start.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        if index == self.start.id.index {
            return Some(self.start.id.term);
        }
        if index <= self.floor || index > self.last().index {
            return None;
        }
        let run = self.terms.partition_point(|run| run.index <= index).checked_sub(1)?;
        Some(self.terms[run].term)
    }

    /// Where the entry lies.
    pub(crate) fn location(&self, index: Index) -> Option<Location> {
        let at = index.0.checked_sub(self.floor.0)?.checked_sub(1)?;
        self.locations.get(usize::try_from(at).ok()?)
    }

    fn check(&self) -> bool {
        let first = self.floor.next();
        self.floor >= self.start.id.index
            && self.last == self.held_last()
            && self.terms.is_empty() == self.locations.is_empty()
            && self.terms.front().is_none_or(|run| run.index == first)
            && self.configurations.front().is_none_or(|index| *index >= first)
            && self.configurations.back().is_none_or(|index| *index <= self.last().index)
    }
}

/// Whether an entry of this id may stand right behind that one.
///
/// # Errors
/// Why not.
#[inline]
pub(crate) fn follows(id: EntryId, last: EntryId) -> Result<(), &'static str> {
    if id.index.0.checked_sub(1) != Some(last.index.0) || id.index == NEVER {
        return Err("an entry does not follow on the one before it");
    }
    if id.term < last.term {
        return Err("an entry's term is below the one before it");
    }
    Ok(())
}
