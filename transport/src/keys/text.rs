//! The text form of keys and secrets: a prefix that names the `Kind`, then 32 bytes and a checksum
//! of four in base64url, 48 characters; and `KeyError`, which says why a text is none of them.

use crate::keys::KEY_BYTES;
use crate::secure::hash;
use base64ct::{Base64UrlUnpadded, Encoding};
use std::fmt;
use zeroize::Zeroizing;

const SUM_BYTES: usize = 4;
const CODED_BYTES: usize = KEY_BYTES + SUM_BYTES;
/// Three bytes are four characters, and nothing is left over: there is one text for each key.
const TEXT_BYTES: usize = CODED_BYTES / 3 * 4;

/// What a text may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A member's public key.
    Public,
    /// A member's private key.
    Private,
    /// A secret that all members share.
    Secret,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Public, Self::Private, Self::Secret];

    /// What its text begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Public => "holm-public-",
            Self::Private => "holm-private-",
            Self::Secret => "holm-secret-",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public key",
            Self::Private => "a private key",
            Self::Secret => "a secret",
        })
    }
}

/// Why a text is not the key or secret that is wanted. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is one of another kind.
    #[error("this is {found}, {wanted} is wanted, which begins with {}", wanted.prefix())]
    Kind {
        /// What it should be.
        wanted: Kind,
        /// What it begins as.
        found: Kind,
    },
    /// It begins like none of them.
    #[error("this is no key; {wanted} is wanted, which begins with {}", wanted.prefix())]
    Prefix {
        /// What it should be.
        wanted: Kind,
    },
    /// It is too short or too long.
    #[error(
        "{kind} has {TEXT_BYTES} characters after its prefix, this one {length}; copy it whole"
    )]
    Length {
        /// What it is.
        kind: Kind,
        /// How many bytes follow the prefix.
        length: usize,
    },
    /// A character is wrong, or two are swapped.
    #[error("{kind} does not match its checksum; a character is wrong, copy it again")]
    Checksum {
        /// What it is.
        kind: Kind,
    },
}

pub(super) fn write(kind: Kind, bytes: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let mut coded = Zeroizing::new([0; CODED_BYTES]);
    coded[..KEY_BYTES].copy_from_slice(bytes);
    coded[KEY_BYTES..].copy_from_slice(&sum(kind, bytes));
    let mut room = Zeroizing::new([0; TEXT_BYTES]);
    let text = Base64UrlUnpadded::encode(&coded[..], &mut room[..]).expect("it fits");
    // Made in its full length at once: a string that grows leaves copies behind.
    let mut whole = Zeroizing::new(String::with_capacity(kind.prefix().len() + TEXT_BYTES));
    whole.push_str(kind.prefix());
    whole.push_str(text);
    whole
}

pub(super) fn read(wanted: Kind, text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    let text = text.trim();
    let Some(text) = text.strip_prefix(wanted.prefix()) else {
        let found = Kind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()));
        return Err(match found {
            Some(found) => KeyError::Kind { wanted, found },
            None => KeyError::Prefix { wanted },
        });
    };
    if text.len() != TEXT_BYTES {
        return Err(KeyError::Length { kind: wanted, length: text.len() });
    }
    let wrong = KeyError::Checksum { kind: wanted };
    let mut coded = Zeroizing::new([0; CODED_BYTES]);
    Base64UrlUnpadded::decode(text, &mut coded[..]).map_err(|_| wrong)?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    bytes.copy_from_slice(&coded[..KEY_BYTES]);
    if coded[KEY_BYTES..] != sum(wanted, &bytes) {
        return Err(wrong);
    }
    Ok(bytes)
}

/// Covers the kind as well, so a prefix that was changed by hand is found.
fn sum(kind: Kind, bytes: &[u8; KEY_BYTES]) -> [u8; SUM_BYTES] {
    let whole = hash::of(&[b"holm text", kind.prefix().as_bytes(), bytes]);
    whole[..SUM_BYTES].try_into().expect("four of 64")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; KEY_BYTES] = [9; KEY_BYTES];

    #[test]
    fn another_kind_is_named_and_told_what_is_wanted() {
        let private = write(Kind::Private, &KEY);
        let error = read(Kind::Public, &private).unwrap_err();
        assert_eq!(error, KeyError::Kind { wanted: Kind::Public, found: Kind::Private });
        let said = "this is a private key, a public key is wanted, which begins with holm-public-";
        assert_eq!(error.to_string(), said);
        assert_eq!(read(Kind::Public, "x"), Err(KeyError::Prefix { wanted: Kind::Public }));
        let renamed = private.replace("private", "public");
        assert_eq!(
            read(Kind::Public, &renamed),
            Err(KeyError::Checksum { kind: Kind::Public }),
            "the prefix was changed by hand"
        );
    }

    #[test]
    fn the_text_forms_stay_as_they_are() {
        assert_eq!(
            *write(Kind::Public, &KEY),
            "holm-public-CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkmaZxW"
        );
    }

    proptest! {
        #[test]
        fn every_key_is_read_back_and_no_mistyped_one_is(
            bytes: [u8; KEY_BYTES],
            at in 0..TEXT_BYTES,
            typed in "[A-Za-z0-9_ -]",
        ) {
            for kind in Kind::ALL {
                let text = write(kind, &bytes);
                prop_assert_eq!(*read(kind, &text).unwrap(), bytes);
                prop_assert_eq!(*read(kind, &format!(" {}\n", *text)).unwrap(), bytes);
                let at = kind.prefix().len() + at;
                let mut mistyped = text.to_string();
                mistyped.replace_range(at..=at, &typed);
                if mistyped != *text {
                    prop_assert!(read(kind, &mistyped).is_err(), "{}", mistyped);
                }
                for length in 0..text.len() {
                    prop_assert!(read(kind, &text[..length]).is_err());
                }
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            for kind in Kind::ALL {
                let _ = read(kind, &text);
                let prefixed = kind.prefix().to_owned() + &text;
                prop_assert!(read(kind, &prefixed).is_err());
            }
        }
    }
}
