//! Short names for long bytes: `digest`.

use orion::hazardous::hash::blake2::blake2b::Hasher;

/// The first 16 bytes of the BLAKE2b-256 hash of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 16] {
    let hash = Hasher::Blake2b256.digest(bytes).expect("hashing takes any bytes");
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_ref()[..16]);
    short
}
