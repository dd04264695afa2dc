//! `Random`: a stream of bytes that nobody can guess who does not know its seed, and that is the
//! same again for the same seed.

use crate::secure::hash;
use zeroize::Zeroizing;

const BLOCK_BYTES: usize = 32;

/// Expands 32 bytes that were drawn from the node's source of entropy. One that was read from
/// tells nothing of what it gave before: each block replaces the key that made it.
pub(crate) struct Random {
    key: Zeroizing<[u8; BLOCK_BYTES]>,
}

impl Random {
    pub(crate) const fn new(seed: Zeroizing<[u8; BLOCK_BYTES]>) -> Self {
        Self { key: seed }
    }

    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for piece in out.chunks_mut(BLOCK_BYTES) {
            let block = hash::derive(&self.key, "random block");
            self.key = hash::derive(&self.key, "random key");
            piece.copy_from_slice(&block[..piece.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u8, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        Random::new(Zeroizing::new([seed; BLOCK_BYTES])).fill(&mut out);
        out
    }

    #[test]
    fn a_seed_gives_the_same_bytes_again_and_another_seed_others() {
        assert_eq!(drawn(1, 100), drawn(1, 100));
        assert_ne!(drawn(1, 100), drawn(2, 100));
    }

    #[test]
    fn no_block_comes_twice() {
        let mut random = Random::new(Zeroizing::new([1; BLOCK_BYTES]));
        let mut blocks = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut block = [0; BLOCK_BYTES];
            random.fill(&mut block);
            assert!(blocks.insert(block));
        }
    }
}
