//! What a member's log has to hold, kept beside it: `Shadow`, with a number for each index that
//! stands for all entries up to there, so that two histories are compared by comparing two numbers;
//! and with what was acknowledged, so that what a restart finds can be judged.

use holm_raft_core::{Entry, EntryId, HardState, Index, Persist, Term, WriteNumber};
use std::collections::VecDeque;

/// A number that stands for all entries up to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain(pub u64);

impl Chain {
    /// The chain with one more entry.
    #[must_use]
    pub fn then(self, entry: &Entry) -> Self {
        let mut hash = self.0;
        let mut mix = |word: u64| {
            hash = (hash ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
            hash ^= hash >> 32;
        };
        mix(entry.id.index.0);
        mix(entry.id.term.0);
        mix(entry.time.0);
        mix(u64::from(entry.kind.code()));
        let mut words = entry.data.chunks_exact(8);
        for word in words.by_ref() {
            mix(u64::from_le_bytes(word.try_into().expect("chunks of eight")));
        }
        for byte in words.remainder() {
            mix(u64::from(*byte));
        }
        Self(hash)
    }
}

/// A member's log as it was written.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    /// The log begins after this.
    pub start: EntryId,
    start_chain: Chain,
    entries: VecDeque<(Entry, Chain)>,
    /// As written last.
    pub hard_state: HardState,
    /// What the writes under way do.
    pending: VecDeque<Pending>,
    /// A write that failed, and may have got as far as to its last byte.
    attempted: Option<Box<Pending>>,
    /// How the log on the disk ends, as long as a snapshot that replaces it is not written to it.
    on_disk: Option<(EntryId, Chain)>,
    /// What is acknowledged.
    pub acked: Acked,
}

/// A write that is not acknowledged.
#[derive(Clone, Debug)]
struct Pending {
    number: WriteNumber,
    /// Up to where it leaves the log as it was.
    keeps: Index,
    /// How the log ends after each step of it.
    ends: Vec<(EntryId, Chain)>,
    /// Whether it holds a term or vote as well as entries.
    mixes: bool,
    after: Acked,
}

/// What has to survive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acked {
    /// The write.
    pub number: WriteNumber,
    /// The log's last entry.
    pub last: EntryId,
    /// What stands for all entries up to there.
    pub chain: Chain,
    /// The log begins after this.
    pub start: EntryId,
    /// Term and vote.
    pub hard_state: HardState,
}

impl Shadow {
    /// The log's last entry.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.entries.back().map_or(self.start, |(entry, _)| entry.id)
    }

    /// The log's last entry, and what stands for all up to there.
    #[must_use]
    pub fn end(&self) -> (EntryId, Chain) {
        let last = self.entries.back().map(|(entry, chain)| (entry.id, *chain));
        last.unwrap_or((self.start, self.start_chain))
    }

    /// Whether no write has failed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.attempted.is_none()
    }

    /// Whether all that was written is acknowledged.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.pending.is_empty() && self.attempted.is_none()
    }

    /// Whether a power cut may leave a log that ends so with this term and vote: what is
    /// acknowledged, or a step on the way through the writes that are not. A write's hard state
    /// comes before all else of it.
    #[must_use]
    pub fn may_be(&self, end: (EntryId, Chain), hard_state: HardState) -> bool {
        let Acked { last, chain, hard_state: acked, .. } = self.acked;
        ((last, chain), acked) == (end, hard_state)
            || self
                .under_way()
                .any(|write| write.after.hard_state == hard_state && write.ends.contains(&end))
    }

    /// Whether a kill may leave this: all that was written, and what a write that failed has done.
    #[must_use]
    pub fn ends_with(&self, end: (EntryId, Chain), hard_state: HardState) -> bool {
        let failed = self.attempted.as_ref();
        let whole = self.on_disk.unwrap_or(self.end());
        let ends = whole == end || failed.is_some_and(|write| write.ends.contains(&end));
        let failed = failed.is_some_and(|write| write.after.hard_state == hard_state);
        ends && (self.hard_state == hard_state || failed)
    }

    /// Whether a write is under way that holds a term or vote and entries as well: a power cut may
    /// tear it between them.
    #[must_use]
    pub fn mixes(&self) -> bool {
        self.under_way().any(|write| write.mixes)
    }

    fn under_way(&self) -> impl Iterator<Item = &Pending> {
        self.pending.iter().chain(self.attempted.as_deref())
    }

    fn at(&self, index: Index) -> Option<&(Entry, Chain)> {
        let after = index.0.checked_sub(self.start.index.0 + 1)?;
        self.entries.get(usize::try_from(after).ok()?)
    }

    /// The entry at an index.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.at(index).map(|(entry, _)| entry)
    }

    /// What stands for all entries up to an index, if the log reaches there.
    #[must_use]
    pub fn chain(&self, index: Index) -> Option<Chain> {
        if index == self.start.index {
            return Some(self.start_chain);
        }
        self.at(index).map(|(_, chain)| *chain)
    }

    /// Which terms its entries have, each with the first index of its own.
    #[must_use]
    pub fn terms(&self) -> Vec<(Index, Term)> {
        let (mut runs, mut at) = (Vec::new(), 0);
        while let Some((entry, _)) = self.entries.get(at) {
            let EntryId { term, index } = entry.id;
            runs.push((index, term));
            // A log with a known bug switched on may have terms that fall.
            at = self.entries.partition_point(|(entry, _)| entry.id.term <= term).max(at + 1);
        }
        runs
    }

    /// The last entries from an index on.
    pub fn entries(&self, from: Index, to: Index) -> impl Iterator<Item = &Entry> {
        let skip = from.0.saturating_sub(self.start.index.0 + 1);
        let take = (to.0 + 1).saturating_sub(from.0);
        let (skip, take) = (usize::try_from(skip), usize::try_from(take));
        let (skip, take) = (skip.unwrap_or(usize::MAX), take.unwrap_or(0));
        // A range of a queue, which is not walked up to where it begins.
        let end = skip.saturating_add(take).min(self.entries.len());
        self.entries.range(skip.min(end)..end).map(|(entry, _)| entry)
    }

    /// A write was handed to the log. `known` is the chain up to where a compaction leads, if the
    /// log does not reach there.
    pub fn write(&mut self, persist: &Persist, known: impl FnOnce(EntryId) -> Chain) {
        let mut keeps = self.last().index;
        let mut ends = vec![self.on_disk.take().unwrap_or(self.end())];
        if let Some(hard_state) = persist.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(start) = persist.compact.filter(|start| start.id.index > self.start.index) {
            if self.entry(start.id.index).is_none_or(|entry| entry.id != start.id) {
                keeps = Index(0);
                self.start_chain = known(start.id);
                self.entries.clear();
            } else {
                self.start_chain = self.chain(start.id.index).expect("just looked at");
                let gone = usize::try_from(start.id.index.0 - self.start.index.0);
                self.entries.drain(..gone.expect("entries are in memory"));
            }
            self.start = start.id;
        }
        if let Some(from) = persist.truncate {
            keeps = keeps.min(from.prev());
            let kept = usize::try_from(from.0.saturating_sub(self.start.index.0 + 1));
            self.entries.truncate(kept.unwrap_or(usize::MAX));
        }
        ends.push(self.end());
        for entry in &persist.entries {
            self.push(entry.clone());
            ends.push(self.end());
        }
        self.pending.push_back(Pending {
            number: persist.number,
            keeps,
            ends,
            mixes: persist.hard_state.is_some() && !persist.entries.is_empty(),
            after: Acked {
                number: persist.number,
                last: self.last(),
                chain: self.end().1,
                start: self.start,
                hard_state: self.hard_state,
            },
        });
    }

    /// A write was handed to the log, which has failed by it and is not used any more.
    pub fn attempt(&mut self, persist: &Persist, known: impl FnOnce(EntryId) -> Chain) {
        let mut after = self.clone();
        after.write(persist, known);
        self.attempted = after.pending.pop_back().map(Box::new);
    }

    /// One more entry.
    pub fn push(&mut self, entry: Entry) {
        let before = self.entries.back().map_or(self.start_chain, |(_, chain)| *chain);
        let chain = before.then(&entry);
        self.entries.push_back((entry, chain));
    }

    /// All writes up to this one are durable.
    pub fn acknowledge(&mut self, number: WriteNumber) {
        while let Some(pending) = self.pending.front()
            && pending.number <= number
        {
            self.acked = pending.after;
            self.pending.pop_front();
        }
    }

    /// Up to where the entries that are acknowledged must be found, whichever of the writes under
    /// way have made it.
    #[must_use]
    pub fn floor(&self) -> Index {
        let kept = self.under_way().map(|pending| pending.keeps);
        kept.fold(self.acked.last.index, Ord::min)
    }

    /// A log that a restart found. What was found is durable.
    pub fn restore(&mut self, start: EntryId, chain: Chain, hard_state: HardState) {
        (self.start, self.start_chain, self.hard_state) = (start, chain, hard_state);
        self.entries.clear();
        self.pending.clear();
        (self.attempted, self.on_disk) = (None, None);
    }

    /// A snapshot that was durable before its entries were stands for the log that was found, which
    /// stays on the disk until something is written.
    pub fn replace(&mut self, start: EntryId, chain: Chain) {
        let (end, acked) = (self.end(), self.acked);
        self.restore(start, chain, self.hard_state);
        (self.on_disk, self.acked) = (Some(end), acked);
    }

    /// All that was found is read.
    pub fn restored(&mut self) {
        let ((last, chain), start, hard_state) = (self.end(), self.start, self.hard_state);
        self.acked = Acked { number: WriteNumber(0), last, chain, start, hard_state };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use holm_raft_core::{EntryKind, LogStart, LogTime};

    fn entry(index: u64) -> Entry {
        let id = EntryId::new(Term(1), Index(index));
        Entry { id, time: LogTime(0), kind: EntryKind::Command, data: Bytes::new() }
    }

    fn persist() -> Persist {
        let id = EntryId::new(Term(2), Index(9));
        Persist {
            number: WriteNumber(1),
            hard_state: Some(HardState { term: Term(2), vote: None }),
            compact: Some(LogStart { id, time: LogTime(0) }),
            ..Persist::default()
        }
    }

    #[test]
    fn a_log_that_a_snapshot_replaces_is_found_as_it_was_until_something_is_written() {
        let mut shadow = Shadow::default();
        shadow.push(entry(1));
        shadow.restored();
        let (old, hard_state) = (shadow.end(), shadow.hard_state);
        let new = (EntryId::new(Term(2), Index(9)), Chain(7));
        shadow.replace(new.0, new.1);
        assert!(shadow.ends_with(old, hard_state) && shadow.may_be(old, hard_state));
        assert!(!shadow.ends_with(new, hard_state), "that is written nowhere");

        // A write that fails, and a write, may have got as far as to the hard state alone.
        let next = persist().hard_state.unwrap_or_default();
        shadow.attempt(&persist(), |_| new.1);
        assert!(shadow.ends_with(old, hard_state) && shadow.ends_with(old, next));
        shadow.write(&persist(), |_| new.1);
        assert!(shadow.may_be(old, hard_state) && shadow.may_be(old, next));
        assert!(shadow.may_be(new, next) && shadow.ends_with(new, next));
    }
}
