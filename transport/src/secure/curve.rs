//! X25519: `public`, the key that belongs to a private one, and `agree`, the exchange. Each costs
//! far more than anything else of a handshake: who has not shown the secret must not cause one.

use orion::hazardous::ecc::x25519::{PrivateKey, PublicKey, key_agreement};
use zeroize::Zeroizing;

/// The public key of `private`.
pub(crate) fn public(private: &[u8; 32]) -> [u8; 32] {
    count();
    let private = PrivateKey::try_from(private).expect("32 bytes");
    let public = PublicKey::try_from(&private).expect("every private key has one");
    public.as_ref().try_into().expect("32 bytes")
}

/// What the holders of both keys have in common; nothing where `public` is a point of low order,
/// with which anybody has the same in common.
pub(crate) fn agree(private: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    count();
    let private = PrivateKey::try_from(private).expect("32 bytes");
    let shared = key_agreement(&private, &PublicKey::from(*public)).ok()?;
    let mut common = Zeroizing::new([0; 32]);
    common.copy_from_slice(shared.unprotected_as_ref());
    Some(common)
}

#[cfg(not(test))]
const fn count() {}

#[cfg(test)]
fn count() {
    tests::OPERATIONS.with(|operations| operations.set(operations.get() + 1));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        pub(super) static OPERATIONS: Cell<u64> = const { Cell::new(0) };
    }

    /// How many operations `work` costs.
    pub(crate) fn operations_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
        let before = OPERATIONS.get();
        let done = work();
        (done, OPERATIONS.get() - before)
    }

    #[test]
    fn both_sides_have_the_same_in_common() {
        let ((), operations) = operations_of(|| {
            let (a, b) = ([1; 32], [2; 32]);
            assert_eq!(agree(&a, &public(&b)), agree(&b, &public(&a)));
        });
        assert_eq!(operations, 4);
    }

    #[test]
    fn points_of_low_order_are_refused() {
        // RFC 7748 has no list; these are 0, 1, p - 1, p, p + 1, and the two of order eight.
        let mut high = [[0xff; 32]; 3];
        for (key, least) in high.iter_mut().zip([0xec, 0xed, 0xee]) {
            key[0] = least;
            key[31] = 0x7f;
        }
        let mut one = [0; 32];
        one[0] = 1;
        let eight = [
            [
                0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f,
                0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16,
                0x5f, 0x49, 0xb8, 0x00,
            ],
            [
                0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83,
                0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd,
                0xd0, 0x9f, 0x11, 0x57,
            ],
        ];
        for low in high.into_iter().chain(eight).chain([one, [0; 32]]) {
            assert_eq!(agree(&[7; 32], &low), None, "{low:02x?}");
            let mut unmasked = low;
            unmasked[31] |= 0x80;
            assert_eq!(agree(&[7; 32], &unmasked), None, "{unmasked:02x?}");
        }
    }
}
