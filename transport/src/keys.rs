//! The keys of a cluster: `KeyPair`, of which each member has one of its own and shows the
//! `PublicKey`, and the secrets that all members share (`Secret`, `KeyRing`).
//!
//! Private parts are wiped from memory when they are dropped, print as `..`, and leave only by
//! `reveal`. Each kind has a text form that begins with its name and ends with a checksum, so that
//! one is not taken for another, and a mistyped one is found.

mod ring;
mod text;

pub use ring::{KeyRing, RingError, Secret, SecretId};
pub use text::{KeyError, Kind};

use crate::secure::curve;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, Zeroizing};

/// The bytes of each key and of each secret.
pub const KEY_BYTES: usize = 32;

/// A member's own key: whoever holds its private part is that member.
#[derive(Clone, Debug)]
pub struct KeyPair {
    private: PrivateKey,
    public: PublicKey,
}

impl KeyPair {
    /// Draws a new one from `entropy`, which fills what it is given with bytes that nobody can
    /// guess.
    #[must_use]
    pub fn generate(entropy: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        entropy(&mut bytes[..]);
        Self::of(PrivateKey(bytes))
    }

    /// The pair that `private` belongs to.
    #[must_use]
    pub fn of(private: PrivateKey) -> Self {
        let public = PublicKey(curve::public(private.bytes()));
        Self { private, public }
    }

    /// A pair that is none, for tests of what happens to those who show one.
    #[cfg(test)]
    pub(crate) const fn forged(private: PrivateKey, public: [u8; KEY_BYTES]) -> Self {
        Self { private, public: PublicKey(public) }
    }

    /// The part that others know this member by.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) const fn public_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.public.0
    }

    /// The part that never leaves its member.
    #[must_use]
    pub const fn private(&self) -> &PrivateKey {
        &self.private
    }
}

/// What others know a member by: 32 bytes, written `holm-public-…`, also by serde.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::write(Kind::Public, &self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text::read(Kind::Public, text).map(|bytes| Self(*bytes))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Whatever it is, it may be a private key that was put here by mistake.
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map_err(D::Error::custom)
    }
}

/// The part of a [`KeyPair`] that never leaves its member. Wiped when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<[u8; KEY_BYTES]>);

impl PrivateKey {
    /// Its text, `holm-private-…`, to be written to a file that only this member reads.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        text::write(Kind::Private, &self.0)
    }

    pub(crate) const fn bytes(&self) -> &Zeroizing<[u8; KEY_BYTES]> {
        &self.0
    }
}

impl From<[u8; KEY_BYTES]> for PrivateKey {
    fn from(mut bytes: [u8; KEY_BYTES]) -> Self {
        let key = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        key
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text::read(Kind::Private, text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entropy for a test: a count.
    fn counted(out: &mut [u8]) {
        out.iter_mut().zip(1..).for_each(|(byte, count)| *byte = count);
    }

    #[test]
    fn a_pair_is_the_one_of_its_private_key() {
        let pair = KeyPair::generate(&mut counted);
        let again = KeyPair::of(pair.private().reveal().parse().unwrap());
        assert_eq!(pair.public(), again.public());
        assert_ne!(pair.public().0, **pair.private().bytes());
    }

    #[test]
    fn a_public_key_is_that_of_the_standard() {
        // RFC 7748, section 6.1: Alice's pair.
        let private = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2,
            0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5,
            0x1d, 0xb9, 0x2c, 0x2a,
        ];
        let public = [
            0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e,
            0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e,
            0xaa, 0x9b, 0x4e, 0x6a,
        ];
        assert_eq!(KeyPair::of(PrivateKey::from(private)).public().0, public);
    }

    #[test]
    fn what_is_private_does_not_print() {
        let pair = KeyPair::generate(&mut counted);
        let public = pair.public();
        assert_eq!(
            format!("{pair:?}"),
            format!("KeyPair {{ private: PrivateKey(..), public: {public} }}")
        );
    }

    #[test]
    fn a_public_key_is_its_text_to_serde() {
        let key = KeyPair::generate(&mut counted).public();
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, format!("\"{key}\""));
        assert_eq!(serde_json::from_str::<PublicKey>(&text).unwrap(), key);
        let error = serde_json::from_str::<PublicKey>("\"holm-secret-\"").unwrap_err();
        assert!(error.to_string().contains("a public key is wanted"), "{error}");
    }
}
