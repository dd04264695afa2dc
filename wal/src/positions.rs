//! Where each entry lies, by its place in the log: `Positions`, 12 bytes an entry. In blocks, so
//! that growing never copies what is there, and a compacted prefix gives its memory back.

use std::collections::VecDeque;

/// Where an entry's record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The segment's number.
    pub(crate) segment: u32,
    /// The record's offset in it, in bytes.
    pub(crate) offset: u32,
    /// The length of the entry's data, in bytes.
    pub(crate) length: u32,
}

const _: () = assert!(size_of::<Location>() == 12);

/// Locations in a block: 12 KiB, below what an allocator fetches from the system one by one.
const BLOCK: usize = 1024;

/// A queue of locations.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    /// Blocks that are full, and lie before the last one.
    full: VecDeque<Vec<Location>>,
    /// How many of the first block's are dropped.
    dropped: usize,
    /// The last block. Empty only where nothing is held, and apart from the others because each
    /// append adds to it.
    last: Vec<Location>,
}

impl Positions {
    pub(crate) fn len(&self) -> usize {
        self.full.len() * BLOCK + self.last.len() - self.dropped
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    pub(crate) fn get(&self, at: usize) -> Option<Location> {
        let at = at.checked_add(self.dropped)?;
        self.full.get(at / BLOCK).unwrap_or(&self.last).get(self.in_block(at)?).copied()
    }

    /// Which one of its block's it is; nothing beyond the last block.
    fn in_block(&self, at: usize) -> Option<usize> {
        (at / BLOCK <= self.full.len()).then_some(at % BLOCK)
    }

    #[inline]
    pub(crate) fn push(&mut self, location: Location) {
        if self.last.len().is_multiple_of(BLOCK) {
            self.begin_block();
        }
        self.last.push(location);
    }

    /// Pushes all of these, a block at a time.
    pub(crate) fn extend(&mut self, mut locations: &[Location]) {
        while !locations.is_empty() {
            if self.last.len().is_multiple_of(BLOCK) {
                self.begin_block();
            }
            let room = BLOCK - self.last.len();
            let (fitting, rest) = locations.split_at(room.min(locations.len()));
            self.last.extend_from_slice(fitting);
            locations = rest;
        }
    }

    #[cold]
    fn begin_block(&mut self) {
        let block = std::mem::replace(&mut self.last, Vec::with_capacity(BLOCK));
        if !block.is_empty() {
            self.full.push_back(block);
        }
    }

    /// Keeps the first so many.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        if len == 0 {
            self.clear();
            return;
        }
        let end = self.dropped + len;
        while end <= self.full.len() * BLOCK {
            self.last = self.full.pop_back().expect("there is one");
        }
        self.last.truncate(end - self.full.len() * BLOCK);
    }

    /// Drops the first so many.
    pub(crate) fn drop_front(&mut self, count: usize) {
        if count >= self.len() {
            self.clear();
            return;
        }
        self.dropped += count;
        while self.dropped >= BLOCK {
            self.full.pop_front();
            self.dropped -= BLOCK;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.full.clear();
        self.last.clear();
        self.dropped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn location(offset: u32) -> Location {
        Location { segment: 1, offset, length: 0 }
    }

    proptest! {
        #[test]
        fn blocks_are_what_a_queue_would_be(
            steps in proptest::collection::vec((0_u8..5, 0_usize..3000), 1..40),
        ) {
            let (mut positions, mut queue) = (Positions::default(), VecDeque::new());
            let mut next = 0;
            for (what, count) in steps {
                match what {
                    0 => positions.truncate(count),
                    1 => positions.drop_front(count),
                    2 => {
                        let more: Vec<_> = (next..).take(count).map(location).collect();
                        positions.extend(&more);
                    }
                    _ => {}
                }
                match what {
                    0 => queue.truncate(count),
                    1 => drop(queue.drain(..count.min(queue.len()))),
                    _ => for _ in 0..count {
                        if what != 2 {
                            positions.push(location(next));
                        }
                        queue.push_back(location(next));
                        next += 1;
                    },
                }
                prop_assert_eq!(positions.len(), queue.len());
                prop_assert_eq!(positions.is_empty(), queue.is_empty());
                let len = queue.len();
                for at in [0, 1, count, len / 2, len.saturating_sub(1), len] {
                    prop_assert_eq!(positions.get(at), queue.get(at).copied());
                }
                let blocks = len / BLOCK + 2;
                prop_assert!(positions.full.len() < blocks, "dropped blocks are given back");
            }
        }
    }
}
