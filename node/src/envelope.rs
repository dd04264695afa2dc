//! A command as it stands in the log: `Envelope` says who proposed it, whose command it is and, if
//! it is to take effect once however often it is proposed, how a retry is recognised.
//!
//! ```text
//!  0         1         2         3           11           19
//! ┌─────────┬─────────┬─────────┬───────────┬────────────┬────────────────────────────┬─────────┐
//! │ version │ body    │ once    │ boot      │ number     │ 0 anyway: nothing          │ command │
//! │ u8 = 2  │ u8 0–2  │ u8 0–4  │ u64       │ u64        │ 1 key: retention in ms     │ bytes   │
//! │         │         │         │           │            │   u64, fingerprint         │         │
//! │         │         │         │           │            │   [u8; 16], key length     │         │
//! │         │         │         │           │            │   u8, key                  │         │
//! │         │         │         │           │            │ 2 session: its index,      │         │
//! │         │         │         │           │            │   number, answered,        │         │
//! │         │         │         │           │            │   u64 each                 │         │
//! │         │         │         │           │            │ 3 opens one: retention     │         │
//! │         │         │         │           │            │   u64; there is no command │         │
//! │         │         │         │           │            │ 4 by itself: nothing       │         │
//! └─────────┴─────────┴─────────┴───────────┴────────────┴────────────────────────────┴─────────┘
//! ```
//!
//! A body of 0 is the state machine's command, of 1 one of Holm's own (`own.rs`), of 2 the state
//! machine's in the name of a claim: before it stand the length of the claim's key (u16), the key,
//! and the token (u64). Version 1 had no body, all of it was the state machine's, and no 4; it is
//! still read.

use crate::rendezvous::{Fence, Placement};
use crate::sessions::Place;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Boot, Index, RequestNumber};

const VERSION: u8 = 2;
/// Written before Holm had commands of its own.
const VERSION_WITHOUT_BODY: u8 = 1;

/// A command with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The proposing node's boot, and its number for the proposal: where the reply is waited for.
    pub(crate) boot: Boot,
    pub(crate) number: RequestNumber,
    pub(crate) once: Once,
    pub(crate) body: Body,
}

/// Whose command it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The state machine's, encoded with postcard.
    Command(Bytes),
    /// One of Holm's own, as [`own::Command`](crate::own::Command) encodes it.
    Own(Bytes),
    /// The state machine's, to be applied only while a claim lasts.
    Fenced(Fence, Bytes),
}

impl Body {
    pub(crate) const fn bytes(&self) -> &Bytes {
        match self {
            Self::Command(bytes) | Self::Own(bytes) | Self::Fenced(_, bytes) => bytes,
        }
    }

    fn put(&self, bytes: &mut BytesMut) {
        if let Self::Fenced(Fence { key, token }, _) = self {
            bytes.put_u16_le(u16::try_from(key.len()).expect("checked where keys are taken"));
            bytes.put_slice(key);
            bytes.put_u64_le(*token);
        }
        bytes.put_slice(self.bytes());
    }

    fn fenced(mut bytes: Bytes) -> Option<Self> {
        let length = usize::from(bytes.try_get_u16_le().ok()?);
        if !(1..=Placement::KEY_BYTES_MAX).contains(&length) || length > bytes.remaining() {
            return None;
        }
        let key = bytes.split_to(length);
        let token = bytes.try_get_u64_le().ok()?;
        Some(Self::Fenced(Fence { key, token }, bytes))
    }
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
    /// The command itself: applied again it changes nothing, and is answered alike.
    ByItself,
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
    pub(crate) const OVERHEAD_MAX: usize = 19 + 25 + Key::BYTES_MAX + 10 + Placement::KEY_BYTES_MAX;

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(Self::OVERHEAD_MAX + self.body.bytes().len());
        bytes.put_u8(VERSION);
        bytes.put_u8(match self.body {
            Body::Command(_) => 0,
            Body::Own(_) => 1,
            Body::Fenced(..) => 2,
        });
        bytes.put_u8(match self.once {
            Once::Anyway => 0,
            Once::Keyed(_) => 1,
            Once::InSession(_) => 2,
            Once::OpensSession { .. } => 3,
            Once::ByItself => 4,
        });
        bytes.put_u64_le(self.boot.0);
        bytes.put_u64_le(self.number.0);
        match &self.once {
            Once::Anyway | Once::ByItself => {}
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
        self.body.put(&mut bytes);
        bytes.freeze()
    }

    /// The envelope in these bytes, or `None` if this build can't read them.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        let body = match bytes.try_get_u8().ok()? {
            VERSION_WITHOUT_BODY => 0,
            VERSION => bytes.try_get_u8().ok()?,
            _ => return None,
        };
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
            4 => Once::ByItself,
            _ => return None,
        };
        let body = match body {
            0 => Body::Command(bytes),
            1 => Body::Own(bytes),
            2 => Body::fenced(bytes)?,
            _ => return None,
        };
        if matches!(once, Once::OpensSession { .. }) && body != Body::Command(Bytes::new()) {
            return None;
        }
        Some(Self { boot, number, once, body })
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

    fn key() -> Key {
        Key { bytes: Bytes::from_static(b"key"), fingerprint: [7; 16], retention: 9 }
    }

    fn of(once: Once, body: Body) -> Envelope {
        Envelope { boot: Boot(1), number: RequestNumber(2), once, body }
    }

    #[test]
    fn an_envelope_survives_its_bytes() {
        let place = Place { session: Index(3), number: 5, answered: 4 };
        for once in [Once::Anyway, Once::Keyed(key()), Once::InSession(place), Once::ByItself] {
            let fence = Fence { key: Bytes::from_static(b"host-1"), token: 7 };
            let bytes = Bytes::from_static(b"command");
            let fenced = Body::Fenced(fence, bytes.clone());
            for body in [Body::Command(bytes.clone()), Body::Own(bytes), fenced] {
                let envelope = of(once.clone(), body);
                assert_eq!(Envelope::decode(envelope.encode()), Some(envelope));
            }
        }
        let opens = Once::OpensSession { retention: 9 };
        let empty = of(opens.clone(), Body::Command(Bytes::new()));
        assert_eq!(Envelope::decode(empty.encode()), Some(empty));
        let with = of(opens.clone(), Body::Command(Bytes::from_static(b"command")));
        assert_eq!(Envelope::decode(with.encode()), None, "opening one is all that it does");
        let own = of(opens, Body::Own(Bytes::new()));
        assert_eq!(Envelope::decode(own.encode()), None, "opening one is no command of Holm's");
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_not_read() {
        let bytes = of(Once::Keyed(key()), Body::Command(Bytes::new())).encode();
        for length in 0..bytes.len() {
            assert_eq!(Envelope::decode(bytes.slice(..length)), None, "{length} bytes");
        }
        for (at, value) in [(0, 0), (0, 3), (1, 3), (2, 5)] {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            assert_eq!(Envelope::decode(changed.into()), None, "byte {at} is {value}");
        }
    }

    #[test]
    fn a_command_in_the_name_of_a_claim_is_read_whole_or_not_at_all() {
        let fence = Fence { key: Bytes::from_static(b"host-1"), token: 7 };
        let envelope = of(Once::Anyway, Body::Fenced(fence, Bytes::from_static(b"c")));
        let bytes = envelope.encode();
        let golden = b"\x06\x00host-1\x07\x00\x00\x00\x00\x00\x00\x00c";
        assert_eq!(&bytes[19..], golden);
        for length in 0..bytes.len() - 1 {
            assert_eq!(Envelope::decode(bytes.slice(..length)), None, "{length} bytes");
        }
        for length in [[0, 0], [1, 1], [15, 0]] {
            let mut changed = bytes.to_vec();
            changed[19..21].copy_from_slice(&length);
            assert_eq!(Envelope::decode(changed.into()), None, "a key of {length:?} bytes");
        }
    }

    #[test]
    fn the_bytes_of_each_version_are_read_as_they_were_meant() {
        let golden = |bytes: &[u8]| Envelope::decode(Bytes::copy_from_slice(bytes));
        // Version 1: without a key, and with one.
        let boot_and_number = [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        let first = [&[1, 0][..], &boot_and_number, b"command"].concat();
        let command = || Body::Command(Bytes::from_static(b"command"));
        assert_eq!(golden(&first), Some(of(Once::Anyway, command())));
        let retention = [9, 0, 0, 0, 0, 0, 0, 0];
        let keyed = [&retention[..], &[7; 16], &[3], b"key"].concat();
        let first = [&[1, 1][..], &boot_and_number, &keyed, b"command"].concat();
        assert_eq!(golden(&first), Some(of(Once::Keyed(key()), command())));
        // Version 2: the same with a body, and one of Holm's own.
        let second = [&[2, 0, 1][..], &boot_and_number, &keyed, b"command"].concat();
        assert_eq!(of(Once::Keyed(key()), command()).encode(), second);
        let own = of(Once::ByItself, Body::Own(Bytes::from_static(b"own")));
        let second = [&[2, 1, 4][..], &boot_and_number, b"own"].concat();
        assert_eq!(own.encode(), second);
        assert_eq!(golden(&second), Some(own));
    }
}
