//! What a member's claim to a key weighs: `Draw`, made of a published hash (XXH64) and integers, so
//! that it is the same on every machine and in every language.

use std::cmp::Ordering;
use xxhash_rust::xxh64::xxh64;

/// How many binary digits a logarithm has behind the point.
const DIGITS: u32 = 32;

/// The key's bytes with room for a member's number behind them.
pub(super) struct Hasher {
    bytes: Vec<u8>,
}

impl Hasher {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(key.len() + size_of::<u64>());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&[0; size_of::<u64>()]);
        Self { bytes }
    }

    /// XXH64, seed 0, of the key's bytes and the member's number as 8 bytes, little-endian.
    pub(super) fn hash(&mut self, member: u64) -> u64 {
        let number = self.bytes.len() - size_of::<u64>();
        self.bytes[number..].copy_from_slice(&member.to_le_bytes());
        xxh64(&self.bytes, 0)
    }
}

/// A member's lot for one key: the lowest `cost / weight` wins, then the highest hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    cost: u64,
    weight: u64,
    hash: u64,
}

impl Draw {
    pub(super) fn new(hash: u64, weight: u16) -> Self {
        Self { cost: cost(hash), weight: weight.into(), hash }
    }

    /// Whose lot is better comes first. Total and without rounding: both costs are below 2^39, and
    /// both weights below 2^16.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let (own, others) = (self.cost * other.weight, other.cost * self.weight);
        own.cmp(&others).then(other.hash.cmp(&self.hash))
    }
}

/// -log2(hash / 2^64) in units of 2^-32, digit by digit: from 1 to 2^38, and lower for a higher
/// hash.
fn cost(hash: u64) -> u64 {
    let hash = hash.max(1);
    let shift = hash.leading_zeros();
    let whole = u64::from(63 - shift);
    // In [2^63, 2^64), which stands for [1, 2).
    let mut mantissa = hash << shift;
    let mut log = whole;
    for _ in 0..DIGITS {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let digit = square >> 127;
        log = log << 1 | u64::from(digit == 1);
        let scaled = square >> (63 + digit);
        mantissa = u64::try_from(scaled).expect("below 2^64: the digit took what is above");
    }
    (64 << DIGITS) - log
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_is_xxh64_of_the_key_and_the_members_number() {
        // As `printf 'KEY\x01\0\0\0\0\0\0\0' | xxhsum -H1` prints them.
        for (key, member, expected) in [
            (&b""[..], 1, 0x9f29_cb17_a2a4_9995),
            (b"host-1", 1, 0xf42e_3d34_01c7_3ed3),
            (b"host-1", 2, 0x4750_1f68_d982_ab5b),
            (
                b"a key that is longer than the thirty-two bytes of a lane",
                258,
                0xa210_d842_5bb4_2a34,
            ),
        ] {
            assert_eq!(Hasher::new(key).hash(member), expected, "{key:?} at {member}");
        }
        // The hash's own vectors: of nothing, and of `abc`.
        assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
    }

    #[test]
    fn a_cost_is_the_logarithm_digit_by_digit() {
        for (hash, expected) in [
            (0, 64 << 32),
            (1, 64 << 32),
            (2, 63 << 32),
            (1 << 63, 1 << 32),
            (3 << 62, 0x6a3f_e5c7),
            (u64::MAX, 1),
            (0x0123_4567_89ab_cdef, 0x7_d053_f6d3),
        ] {
            assert_eq!(cost(hash), expected, "of {hash:#x}");
        }
    }

    proptest! {
        #[test]
        fn a_higher_hash_never_costs_more(one: u64, other: u64) {
            prop_assert!(cost(one.max(other)) <= cost(one.min(other)));
        }

        #[test]
        fn a_cost_is_near_the_logarithm(hash in 1_u64..) {
            #[expect(clippy::cast_precision_loss, reason = "near is all that is asked")]
            let (exact, found) = (64.0 - (hash as f64).log2(), cost(hash) as f64 / 2_f64.powi(32));
            prop_assert!((exact - found).abs() < 1e-6, "{exact} and {found}");
        }

        #[test]
        fn with_equal_weights_the_highest_hash_wins(one: u64, other: u64, weight in 1_u16..) {
            let order = Draw::new(one, weight).compare(&Draw::new(other, weight));
            prop_assert_eq!(order, other.cmp(&one));
        }
    }
}
