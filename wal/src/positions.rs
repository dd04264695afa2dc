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
    /// Each but the last is full.
    blocks: VecDeque<Vec<Location>>,
    /// How many of the first block's are dropped.
    dropped: usize,
    /// How many are held. Always what the blocks hold without those that are dropped: kept beside
    /// them because each append asks.
    len: usize,
}

impl Positions {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, at: usize) -> Option<Location> {
        let at = at.checked_add(self.dropped)?;
        self.blocks.get(at / BLOCK)?.get(at % BLOCK).copied()
    }

    pub(crate) fn push(&mut self, location: Location) {
        self.len += 1;
        if let Some(block) = self.blocks.back_mut()
            && block.len() < BLOCK
        {
            block.push(location);
            return;
        }
        let mut block = Vec::with_capacity(BLOCK);
        block.push(location);
        self.blocks.push_back(block);
    }

    /// Keeps the first so many.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        let end = self.dropped + len;
        self.len = len;
        self.blocks.truncate(end.div_ceil(BLOCK));
        if let Some(block) = self.blocks.back_mut()
            && !end.is_multiple_of(BLOCK)
        {
            block.truncate(end % BLOCK);
        }
        if len == 0 {
            self.clear();
        }
    }

    /// Drops the first so many.
    pub(crate) fn drop_front(&mut self, count: usize) {
        if count >= self.len() {
            self.clear();
            return;
        }
        self.dropped += count;
        self.len -= count;
        while self.dropped >= BLOCK {
            self.blocks.pop_front();
            self.dropped -= BLOCK;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        (self.dropped, self.len) = (0, 0);
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
            steps in proptest::collection::vec((0_u8..4, 0_usize..3000), 1..40),
        ) {
            let (mut positions, mut queue) = (Positions::default(), VecDeque::new());
            let mut next = 0;
            for (what, count) in steps {
                match what {
                    0 => positions.truncate(count),
                    1 => positions.drop_front(count),
                    _ => {}
                }
                match what {
                    0 => queue.truncate(count),
                    1 => drop(queue.drain(..count.min(queue.len()))),
                    _ => for _ in 0..count {
                        positions.push(location(next));
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
                prop_assert!(positions.blocks.len() <= blocks, "dropped blocks are given back");
            }
        }
    }
}
