//! BLAKE2b: `of` hashes, and `derive` makes a key for a purpose of another key.

use orion::hazardous::hash::blake2::blake2b::Blake2b;
use orion::hazardous::mac::blake2b::{Blake2b as Keyed, SecretKey};
use zeroize::Zeroizing;

/// The bytes of a hash.
pub(crate) const HASH_BYTES: usize = 64;

/// The hash of `parts`, each with its length before it: other parts are another hash, even if
/// together they are the same bytes.
pub(crate) fn of(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut state = Blake2b::new(HASH_BYTES).expect("a length that BLAKE2b has");
    for part in parts {
        let length = u64::try_from(part.len()).expect("it is in memory").to_le_bytes();
        state.update(&length).expect("not finished yet");
        state.update(part).expect("not finished yet");
    }
    let hash = state.finalize().expect("not finished yet");
    hash.as_ref().try_into().expect("the length that was asked for")
}

/// The key that `purpose` makes of `key`.
pub(crate) fn derive(key: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    let key = SecretKey::try_from(key).expect("a length that BLAKE2b has");
    let mut state = Keyed::new(&key, 32).expect("a length that BLAKE2b has");
    state.update(b"holm derive ").expect("not finished yet");
    state.update(purpose.as_bytes()).expect("not finished yet");
    let tag = state.finalize().expect("not finished yet");
    let mut derived = Zeroizing::new([0; 32]);
    derived.copy_from_slice(tag.unprotected_as_ref());
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_cut_elsewhere_hash_differently() {
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b""]), of(&[]));
    }
}
