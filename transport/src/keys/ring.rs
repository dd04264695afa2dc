//! What all members of a cluster share: `Secret`, what is derived from it, and `KeyRing`, the
//! secrets that are valid at a time, so that one can be exchanged for another without a stop.

use crate::keys::KEY_BYTES;
use crate::keys::text::{self, KeyError, Kind};
use crate::secure::hash;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The secrets that are valid: the first is used when this member begins a handshake, each is
/// accepted when a peer does.
///
/// A secret is exchanged in three steps, each done on all members before the next: append the new
/// one, make it the first, remove the old one.
#[derive(Clone, Debug)]
pub struct KeyRing {
    secrets: Vec<Secret>,
}

impl KeyRing {
    /// The most secrets in a ring.
    pub const SECRETS_MAX: usize = 8;

    /// A ring of one secret.
    #[must_use]
    pub fn of(secret: Secret) -> Self {
        Self { secrets: vec![secret] }
    }

    /// The secret that this member begins handshakes with.
    #[must_use]
    pub fn first(&self) -> &Secret {
        &self.secrets[0]
    }

    /// The secret of this id, if it is valid here.
    #[must_use]
    pub fn find(&self, id: SecretId) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.id() == id)
    }

    /// The ids of all, the first one first.
    pub fn ids(&self) -> impl Iterator<Item = SecretId> {
        self.secrets.iter().map(Secret::id)
    }
}

impl FromStr for KeyRing {
    type Err = RingError;

    /// Reads a file's text: one secret a line; blank lines, and what follows a `#`, say nothing.
    fn from_str(text: &str) -> Result<Self, RingError> {
        let mut found: Vec<(usize, Secret)> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let secret: Secret = text.parse().map_err(|error| RingError::Secret { line, error })?;
            if let Some((first, _)) = found.iter().find(|(_, other)| other.id() == secret.id()) {
                return Err(RingError::Twice { line, first: *first });
            }
            if found.len() == Self::SECRETS_MAX {
                return Err(RingError::TooMany { line });
            }
            found.push((line, secret));
        }
        if found.is_empty() {
            return Err(RingError::Empty);
        }
        Ok(Self { secrets: found.into_iter().map(|(_, secret)| secret).collect() })
    }
}

/// Why a text is no [`KeyRing`]. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// A line is no secret.
    #[error("line {line}: {error}")]
    Secret {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: KeyError,
    },
    /// A secret stands there twice.
    #[error("line {line} repeats the secret of line {first}; remove one of them")]
    Twice {
        /// The second one, counted from 1.
        line: usize,
        /// The first one.
        first: usize,
    },
    /// There are too many.
    #[error("line {line} is one secret too many; keep {} at most", KeyRing::SECRETS_MAX)]
    TooMany {
        /// Where the first one too many stands, counted from 1.
        line: usize,
    },
    /// There is none.
    #[error("there is no secret; write one a line, each begins with {}", Kind::Secret.prefix())]
    Empty,
}

/// 32 bytes that all members of a cluster share, and nobody else knows: without it nobody can
/// speak to a member. Wiped when it is dropped; written `holm-secret-…`.
#[derive(Clone)]
pub struct Secret {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: SecretId,
}

impl Secret {
    /// Draws a new one from `entropy`, which fills what it is given with bytes that nobody can
    /// guess.
    #[must_use]
    pub fn generate(entropy: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        entropy(&mut bytes[..]);
        Self::of(bytes)
    }

    /// What it is called where it must not be shown.
    #[must_use]
    pub const fn id(&self) -> SecretId {
        self.id
    }

    /// Its text, to be written to a file that only members read.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        text::write(Kind::Secret, &self.bytes)
    }

    /// A key for one purpose. Keys of different purposes tell nothing of each other, nor of the
    /// secret.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        hash::derive(&self.bytes, purpose)
    }

    fn of(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        // Not by `derive`: an id is public, and a purpose that has its name must not be.
        let named = hash::of(&[b"holm secret id", &bytes[..]]);
        let id = SecretId(named[..8].try_into().expect("eight of 64"));
        Self { bytes, id }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, ..)", self.id)
    }
}

impl FromStr for Secret {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text::read(Kind::Secret, text).map(Self::of)
    }
}

/// Names a [`Secret`] without telling it: a hash of it, written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId(pub [u8; 8]);

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(number: u8) -> Secret {
        Secret::generate(&mut |out| out.fill(number))
    }

    fn text(numbers: impl IntoIterator<Item = u8>) -> String {
        numbers.into_iter().map(|number| format!("{}\n", *secret(number).reveal())).collect()
    }

    #[test]
    fn a_ring_keeps_the_order_of_its_lines_and_passes_over_comments() {
        let one = secret(1);
        let two = secret(2);
        let lines = format!(
            "# the ring\r\n\r\n  {}  # new\r\n#{}\n{}",
            *two.reveal(),
            *secret(3).reveal(),
            *one.reveal()
        );
        let ring: KeyRing = lines.parse().unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), [two.id(), one.id()]);
        assert_eq!(ring.first().id(), two.id());
        assert_eq!(ring.find(one.id()).unwrap().bytes, one.bytes);
        assert!(ring.find(secret(3).id()).is_none(), "in a comment");
    }

    #[test]
    fn a_ring_that_is_wrong_says_where_and_never_tells_the_secret() {
        let refused = |text: &str| text.parse::<KeyRing>().unwrap_err();
        assert_eq!(refused("# nothing\n"), RingError::Empty);
        assert_eq!(refused(&text([1, 2, 1])), RingError::Twice { line: 3, first: 1 });
        assert_eq!(refused(&text(1..=9)), RingError::TooMany { line: 9 });
        assert_eq!(text(1..=8).parse::<KeyRing>().unwrap().ids().count(), KeyRing::SECRETS_MAX);
        let revealed = text([1]);
        let cut = &revealed[..30];
        let error = refused(&format!("\n{cut}"));
        assert!(matches!(error, RingError::Secret { line: 2, .. }), "{error:?}");
        let said = format!("{error} {error:?}");
        assert!(!said.contains(&cut[Kind::Secret.prefix().len()..]), "{said}");
    }

    #[test]
    fn a_secret_prints_its_id_alone() {
        let secret = secret(1);
        assert_eq!(format!("{secret:?}"), format!("Secret({}, ..)", secret.id()));
        assert_eq!(secret.id().to_string().len(), 16);
    }

    #[test]
    fn each_purpose_of_each_secret_has_its_own_key() {
        let keys =
            [secret(1).derive("a"), secret(1).derive("b"), secret(2).derive("a"), secret(1).bytes];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{at}");
        }
        assert_eq!(secret(1).derive("a"), keys[0], "the same again");
    }
}
