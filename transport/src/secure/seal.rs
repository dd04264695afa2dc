//! The sealing of bytes after a handshake: `Seal` on the side that sends, `Open` on the side that
//! receives, each with the key of its direction. The cipher is AES-256-GCM, used as Noise uses it
//! (§5.1, §12.4): the number of a message is its nonce.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};

/// The bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;

/// The bytes of one direction's key.
pub(crate) type Key = [u8; 32];

/// Seals what goes out.
///
/// A number must never be used twice: two messages under one number give away both, and the means
/// to forge more. The caller counts, and begins a new handshake when the key is [`Wear::Due`].
pub(crate) struct Seal {
    cipher: Cipher,
    bytes: u64,
}

/// How much of what a key is good for has been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wear {
    /// Enough is left.
    Good,
    /// It is time for a new handshake: an eighth is left.
    Due,
    /// Nothing may be sealed any more.
    Spent,
}

impl Seal {
    /// The most bytes under one key, 256 GiB: they are 2^34 blocks, so what an eavesdropper gains
    /// stays below 2^-60 (NIST SP 800-38D bounds the count; the figure is the square of the blocks
    /// over 2^128).
    pub(crate) const BYTES_MAX: u64 = 1 << 38;
    /// The most numbers under one key.
    pub(crate) const NUMBERS_MAX: u64 = 1 << 32;

    pub(crate) fn new(key: &Key) -> Self {
        Self { cipher: Cipher::new(key), bytes: 0 }
    }

    /// Seals `text` where it is, so that it opens only under the same number and with the same
    /// `clear` bytes beside it, and returns the tag.
    ///
    /// # Panics
    /// When the key is spent.
    pub(crate) fn seal_in_place(
        &mut self,
        number: u64,
        clear: &[u8],
        text: &mut [u8],
    ) -> [u8; TAG_BYTES] {
        assert_ne!(self.wear(number), Wear::Spent, "a spent key seals number {number}");
        let counted = text.len().saturating_add(clear.len());
        self.bytes = self.bytes.saturating_add(u64::try_from(counted).unwrap_or(u64::MAX));
        self.cipher.seal(number, clear, text)
    }

    /// For tests: as if it had sealed so many bytes.
    #[cfg(test)]
    pub(crate) const fn use_up(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// How worn the key is when `number` is the next one.
    pub(crate) const fn wear(&self, number: u64) -> Wear {
        const fn due(max: u64) -> u64 {
            max - max / 8
        }
        if number >= Self::NUMBERS_MAX || self.bytes >= Self::BYTES_MAX {
            Wear::Spent
        } else if number >= due(Self::NUMBERS_MAX) || self.bytes >= due(Self::BYTES_MAX) {
            Wear::Due
        } else {
            Wear::Good
        }
    }
}

/// Opens what comes in.
pub(crate) struct Open {
    cipher: Cipher,
    tampered: u64,
}

/// A message is not what was sealed: its bytes, those beside it, its number or its key differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed message was altered on its way")]
pub(crate) struct Tampered;

impl Open {
    /// After so many tampered messages nothing opens any more: each is a guess at a tag, and
    /// nobody gets enough of them for a guess to be right.
    pub(crate) const TAMPERED_MAX: u64 = 1 << 30;

    pub(crate) fn new(key: &Key) -> Self {
        Self { cipher: Cipher::new(key), tampered: 0 }
    }

    /// Opens `text` where it is. What it holds after a refusal is nothing to be read.
    pub(crate) fn open_in_place(
        &mut self,
        number: u64,
        clear: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Tampered> {
        if number >= Seal::NUMBERS_MAX || self.tampered >= Self::TAMPERED_MAX {
            return Err(Tampered);
        }
        let opened = self.cipher.open(number, clear, text, tag);
        self.tampered += u64::from(opened.is_err());
        opened
    }
}

/// AES-256-GCM with Noise's nonces, for the handshake and for what follows it.
pub(super) struct Cipher(Box<Aes256Gcm>);

impl Cipher {
    pub(super) fn new(key: &Key) -> Self {
        // On the heap, so that no copy of it stays where it was moved from.
        Self(Box::new(Aes256Gcm::new(key.into())))
    }

    pub(super) fn seal(&self, number: u64, clear: &[u8], text: &mut [u8]) -> [u8; TAG_BYTES] {
        let sealed = self.0.encrypt_inout_detached(&nonce(number), clear, text.into());
        sealed.expect("shorter than 64 GiB").into()
    }

    pub(super) fn open(
        &self,
        number: u64,
        clear: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Tampered> {
        let opened = self.0.decrypt_inout_detached(&nonce(number), clear, text.into(), tag.into());
        opened.map_err(|_| Tampered)
    }
}

fn nonce(number: u64) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: Key = [5; 32];

    fn sealed(number: u64, clear: &[u8], text: &[u8]) -> (Vec<u8>, [u8; TAG_BYTES]) {
        let mut bytes = text.to_vec();
        let tag = Seal::new(&KEY).seal_in_place(number, clear, &mut bytes);
        (bytes, tag)
    }

    fn opened(
        number: u64,
        clear: &[u8],
        bytes: &[u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<Vec<u8>, Tampered> {
        let mut text = bytes.to_vec();
        Open::new(&KEY).open_in_place(number, clear, &mut text, tag).map(|()| text)
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_nothing_else_does(
            number in 0..Seal::NUMBERS_MAX,
            clear in proptest::collection::vec(any::<u8>(), 0..40),
            text in proptest::collection::vec(any::<u8>(), 0..300),
            at: prop::sample::Index,
            bit in 0..8_u32,
            other in 0..Seal::NUMBERS_MAX,
        ) {
            let (bytes, tag) = sealed(number, &clear, &text);
            prop_assert_eq!(opened(number, &clear, &bytes, &tag), Ok(text.clone()));
            let flipped = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes
            };
            if number != other {
                prop_assert_eq!(opened(other, &clear, &bytes, &tag), Err(Tampered));
            }
            if !bytes.is_empty() {
                prop_assert_eq!(opened(number, &clear, &flipped(&bytes), &tag), Err(Tampered));
                let cut = &bytes[..bytes.len() - 1];
                prop_assert_eq!(opened(number, &clear, cut, &tag), Err(Tampered));
            }
            if !clear.is_empty() {
                prop_assert_eq!(opened(number, &flipped(&clear), &bytes, &tag), Err(Tampered));
            }
            let wrong: [u8; TAG_BYTES] = flipped(&tag).try_into().unwrap();
            prop_assert_eq!(opened(number, &clear, &bytes, &wrong), Err(Tampered));
            let mut text = bytes;
            let other = Open::new(&[6; 32]).open_in_place(number, &clear, &mut text, &tag);
            prop_assert_eq!(other, Err(Tampered), "another key");
        }
    }

    #[test]
    fn the_cipher_is_that_of_the_standard() {
        // Test case 14 of the GCM specification: a key, a nonce and a block of zeros.
        let mut text = [0; 16];
        let tag = Cipher::new(&[0; 32]).seal(0, &[], &mut text);
        assert_eq!(u128::from_be_bytes(text), 0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18);
        assert_eq!(u128::from_be_bytes(tag), 0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919);
    }

    #[test]
    fn a_number_is_a_nonce_as_noise_has_it() {
        assert_eq!(nonce(0x0102_0304)[..], [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_key_wears_out_by_numbers_and_by_bytes() {
        let mut seal = Seal::new(&KEY);
        assert_eq!(seal.wear(0), Wear::Good);
        assert_eq!(seal.wear(Seal::NUMBERS_MAX / 8 * 7 - 1), Wear::Good);
        assert_eq!(seal.wear(Seal::NUMBERS_MAX / 8 * 7), Wear::Due);
        assert_eq!(seal.wear(Seal::NUMBERS_MAX), Wear::Spent);
        seal.bytes = Seal::BYTES_MAX / 8 * 7 - 1;
        assert_eq!(seal.wear(0), Wear::Good);
        seal.seal_in_place(0, &[], &mut [0]);
        assert_eq!(seal.wear(0), Wear::Due, "the byte was counted");
        seal.bytes = Seal::BYTES_MAX - 1;
        seal.seal_in_place(1, &[0], &mut []);
        assert_eq!(seal.wear(0), Wear::Spent, "the clear byte was counted");
    }

    #[test]
    #[should_panic(expected = "a spent key seals number 4294967296")]
    fn a_spent_key_seals_nothing() {
        Seal::new(&KEY).seal_in_place(Seal::NUMBERS_MAX, &[], &mut []);
    }

    #[test]
    fn whoever_guesses_too_often_gets_no_further_guess() {
        let (bytes, tag) = sealed(0, &[], b"text");
        let mut open = Open::new(&KEY);
        open.tampered = Open::TAMPERED_MAX - 1;
        assert_eq!(open.open_in_place(0, &[], &mut bytes.clone(), &tag), Ok(()));
        assert_eq!(open.open_in_place(1, &[], &mut bytes.clone(), &tag), Err(Tampered));
        assert_eq!(open.open_in_place(0, &[], &mut bytes.clone(), &tag), Err(Tampered));
    }
}
