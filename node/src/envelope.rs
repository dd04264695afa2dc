//! A command as it stands in the log: `Envelope` says who proposed it and, if it is to take effect
//! once however often it is proposed, how a retry is recognised.
//!
//! ```text
//!  0         1         2           10           18
//! ┌─────────┬─────────┬───────────┬────────────┬───────────────────────────────┬─────────┐
//! │ version │ once    │ boot      │ number     │ 0 anyway: nothing             │ command │
//! │ u8 = 1  │ u8 0–3  │ u64       │ u64        │ 1 key: retention in ms u64,   │ bytes   │
//! │         │         │           │            │   fingerprint [u8; 16],       │         │
//! │         │         │           │            │   key length u8, key          │         │
//! │         │         │           │            │ 2 session: its index, number, │         │
//! │         │         │           │            │   answered, u64 each          │         │
//! │         │         │           │            │ 3 opens one: retention u64;   │         │
//! │         │         │           │            │   there is no command         │         │
//! └─────────┴─────────┴───────────┴────────────┴───────────────────────────────┴─────────┘
//! ```

use crate::sessions::Place;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Boot, Index, RequestNumber};

const VERSION: u8 = 1;

/// A command with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The proposing node's boot, and its number for the proposal: where the reply is waited for.
    pub(crate) boot: Boot,
    pub(crate) number: RequestNumber,
    pub(crate) once: Once,
    /// The command, encoded with postcard.
    pub(crate) command: Bytes,
}

/// What keeps a command from taking effect twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Once {
    /// Nothing does.
    Anyway,
    /// A key of the caller's.
    Keyed(Key),
    /// Its place in a session.
    InSession(Place),
    /// It opens a session, which is kept for so long after each command, in milliseconds of log
    /// time. That may happen twice: a session that nobody uses expires.
    OpensSession { retention: u64 },
}

impl Once {
    /// Whether it may be proposed again while its outcome is unknown.
    pub(crate) const fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Anyway)
    }
}

/// How a retry is recognised by the key that its caller gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Chosen by the caller, 1 to [`Key::BYTES_MAX`] bytes.
    pub(crate) bytes: Bytes,
    /// Of the command, so that a key is not used for another one.
    pub(crate) fingerprint: [u8; 16],
    /// For how long the reply is kept, in milliseconds of log time.
    pub(crate) retention: u64,
}

impl Key {
    pub(crate) const BYTES_MAX: usize = 128;
}

impl Envelope {
    /// What an envelope adds to a command at most, in bytes.
    pub(crate) const OVERHEAD_MAX: usize = 18 + 25 + Key::BYTES_MAX;

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(Self::OVERHEAD_MAX + self.command.len());
        bytes.put_u8(VERSION);
        bytes.put_u8(match self.once {
            Once::Anyway => 0,
            Once::Keyed(_) => 1,
            Once::InSession(_) => 2,
            Once::OpensSession { .. } => 3,
        });
        bytes.put_u64_le(self.boot.0);
        bytes.put_u64_le(self.number.0);
        match &self.once {
            Once::Anyway => {}
            Once::Keyed(key) => {
                bytes.put_u64_le(key.retention);
                bytes.put_slice(&key.fingerprint);
                bytes.put_u8(u8::try_from(key.bytes.len()).expect("checked where keys are taken"));
                bytes.put_slice(&key.bytes);
            }
            Once::InSession(place) => {
                for part in [place.session.0, place.number, place.answered] {
                    bytes.put_u64_le(part);
                }
            }
            Once::OpensSession { retention } => bytes.put_u64_le(*retention),
        }
        bytes.put_slice(&self.command);
        bytes.freeze()
    }

    /// The envelope in these bytes, or `None` if this build can't read them.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let once = bytes.try_get_u8().ok()?;
        let boot = Boot(bytes.try_get_u64_le().ok()?);
        let number = RequestNumber(bytes.try_get_u64_le().ok()?);
        let once = match once {
            0 => Once::Anyway,
            1 => Once::Keyed(Self::decode_key(&mut bytes)?),
            2 => Once::InSession(Place {
                session: Index(bytes.try_get_u64_le().ok()?),
                number: bytes.try_get_u64_le().ok()?,
                answered: bytes.try_get_u64_le().ok()?,
            }),
            3 => Once::OpensSession { retention: bytes.try_get_u64_le().ok()? },
            _ => return None,
        };
        if matches!(once, Once::OpensSession { .. }) && !bytes.is_empty() {
            return None;
        }
        Some(Self { boot, number, once, command: bytes })
    }

    fn decode_key(bytes: &mut Bytes) -> Option<Key> {
        let retention = bytes.try_get_u64_le().ok()?;
        let mut fingerprint = [0; 16];
        bytes.try_copy_to_slice(&mut fingerprint).ok()?;
        let length = usize::from(bytes.try_get_u8().ok()?);
        if length == 0 || length > Key::BYTES_MAX || length > bytes.remaining() {
            return None;
        }
        Some(Key { bytes: bytes.split_to(length), fingerprint, retention })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_survives_its_bytes() {
        let key = Key { bytes: Bytes::from_static(b"k"), fingerprint: [7; 16], retention: 9 };
        let place = Place { session: Index(3), number: 5, answered: 4 };
        for once in [Once::Anyway, Once::Keyed(key), Once::InSession(place)] {
            let command = Bytes::from_static(b"command");
            let envelope = Envelope { boot: Boot(1), number: RequestNumber(2), once, command };
            assert_eq!(Envelope::decode(envelope.encode()), Some(envelope));
        }
        let once = Once::OpensSession { retention: 9 };
        let command = Bytes::new();
        let opens = Envelope { boot: Boot(1), number: RequestNumber(2), once, command };
        assert_eq!(Envelope::decode(opens.encode()), Some(opens.clone()));
        let with = Envelope { command: Bytes::from_static(b"command"), ..opens };
        assert_eq!(Envelope::decode(with.encode()), None, "opening one is all that it does");
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_not_read() {
        let key = Key { bytes: Bytes::from_static(b"key"), fingerprint: [7; 16], retention: 9 };
        let envelope = Envelope {
            boot: Boot(1),
            number: RequestNumber(2),
            once: Once::Keyed(key),
            command: Bytes::new(),
        };
        let bytes = envelope.encode();
        for length in 0..bytes.len() {
            assert_eq!(Envelope::decode(bytes.slice(..length)), None, "{length} bytes");
        }
        for (at, value) in [(0, 2), (1, 4)] {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            assert_eq!(Envelope::decode(changed.into()), None, "byte {at} is {value}");
        }
    }
}
