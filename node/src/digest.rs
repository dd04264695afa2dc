//! Hashes: `of`, and `digest`, short names for long bytes.

use orion::hazardous::hash::blake2::blake2b::{Blake2b, Hasher};

/// The first 16 bytes of the BLAKE2b-256 hash of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 16] {
    let hash = Hasher::Blake2b256.digest(bytes).expect("hashing takes any bytes");
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_ref()[..16]);
    short
}

/// The BLAKE2b-256 hash of `parts`, each with its length before it: other parts are another hash,
/// even if together they are the same bytes.
pub(crate) fn of(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Blake2b::new(32).expect("a length that BLAKE2b has");
    for part in parts {
        let length = u64::try_from(part.len()).expect("it is in memory").to_le_bytes();
        state.update(&length).expect("not finished yet");
        state.update(part).expect("not finished yet");
    }
    let hash = state.finalize().expect("not finished yet");
    hash.as_ref().try_into().expect("the length that was asked for")
}
