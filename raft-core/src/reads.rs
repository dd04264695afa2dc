//! Linearizable reads without writing to the log (thesis §6.4): `ReadQueue` holds a leader's reads
//! until a heartbeat round that began after they arrived is answered by a majority.

use crate::types::{Boot, Index, MemberId, RequestNumber};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Who reads. Named by member, incarnation, boot and number, so that none is taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    /// A caller of this very core.
    Own(RequestNumber),
    /// A follower, for a caller of its own.
    Member { member: MemberId, boot: Boot, number: RequestNumber },
}

/// Reads that wait: first for a round to begin, then for that round to be confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ReadQueue {
    waiting: Vec<Reader>,
    confirming: VecDeque<Round>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    number: u64,
    /// The commit index when the round began: no read in it was asked for later.
    index: Index,
    readers: Vec<Reader>,
}

impl ReadQueue {
    pub(crate) fn push(&mut self, reader: Reader) {
        self.waiting.push(reader);
    }

    /// Whether a round should begin for the sake of reads. One at a time: those that arrive
    /// meanwhile share the next.
    pub(crate) fn wants_round(&self) -> bool {
        !self.waiting.is_empty() && self.confirming.is_empty()
    }

    /// A round begins: it serves all reads that wait now.
    pub(crate) fn begin(&mut self, number: u64, index: Index) {
        if !self.waiting.is_empty() {
            let readers = core::mem::take(&mut self.waiting);
            self.confirming.push_back(Round { number, index, readers });
        }
    }

    /// Whether reads wait for a round to be confirmed.
    pub(crate) fn is_confirming(&self) -> bool {
        !self.confirming.is_empty()
    }

    /// A majority answered round `number` or a later one: these reads may be served.
    pub(crate) fn confirmed(&mut self, number: u64) -> Vec<(Reader, Index)> {
        let mut served = Vec::new();
        while self.confirming.front().is_some_and(|round| round.number <= number) {
            let round = self.confirming.pop_front().expect("looked at above");
            served.extend(round.readers.into_iter().map(|reader| (reader, round.index)));
        }
        served
    }

    /// Leadership ended: nobody is served.
    pub(crate) fn into_readers(self) -> Vec<Reader> {
        let confirming = self.confirming.into_iter().flat_map(|round| round.readers);
        confirming.chain(self.waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_serves_only_reads_that_arrived_before_it_began() {
        let mut reads = ReadQueue::default();
        reads.push(Reader::Own(RequestNumber(1)));
        assert!(reads.wants_round());
        reads.begin(4, Index(7));
        reads.push(Reader::Own(RequestNumber(2)));
        assert!(!reads.wants_round(), "one round at a time");
        assert_eq!(reads.confirmed(3), []);
        assert_eq!(reads.confirmed(4), [(Reader::Own(RequestNumber(1)), Index(7))]);
        assert!(reads.wants_round());
    }
}
