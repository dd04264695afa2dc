//! A command as it stands in the log: `Envelope` says who proposed it and, if it carries a key, how
//! a retry is recognised.
//!
//! ```text
//!  0         1         2           10           18
//! ┌─────────┬─────────┬───────────┬────────────┬───────────────────────────────┬─────────┐
//! │ version │ keyed   │ boot      │ number     │ if keyed: retention in ms u64,│ command │
//! │ u8 = 1  │ u8 0, 1 │ u64       │ u64        │ fingerprint [u8; 16],         │ bytes   │
//! │         │         │           │            │ key length u8, key            │         │
//! └─────────┴─────────┴───────────┴────────────┴───────────────────────────────┴─────────┘
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Boot, RequestNumber};

const VERSION: u8 = 1;

/// A command with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The proposing node's boot, and its number for the proposal: where the reply is waited for.
    pub(crate) boot: Boot,
    pub(crate) number: RequestNumber,
    /// What makes a retry exactly-once.
    pub(crate) key: Option<Key>,
    /// The command, encoded with postcard.
    pub(crate) command: Bytes,
}

/// How a retry is recognised.
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
        bytes.put_u8(u8::from(self.key.is_some()));
        bytes.put_u64_le(self.boot.0);
        bytes.put_u64_le(self.number.0);
        if let Some(key) = &self.key {
            bytes.put_u64_le(key.retention);
            bytes.put_slice(&key.fingerprint);
            bytes.put_u8(u8::try_from(key.bytes.len()).expect("checked where keys are taken"));
            bytes.put_slice(&key.bytes);
        }
        bytes.put_slice(&self.command);
        bytes.freeze()
    }

    /// The envelope in these bytes, or `None` if this build can't read them.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let keyed = bytes.try_get_u8().ok()?;
        let boot = Boot(bytes.try_get_u64_le().ok()?);
        let number = RequestNumber(bytes.try_get_u64_le().ok()?);
        let key = match keyed {
            0 => None,
            1 => Some(Self::decode_key(&mut bytes)?),
            _ => return None,
        };
        Some(Self { boot, number, key, command: bytes })
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
        for key in [None, Some(key)] {
            let command = Bytes::from_static(b"command");
            let envelope = Envelope { boot: Boot(1), number: RequestNumber(2), key, command };
            assert_eq!(Envelope::decode(envelope.encode()), Some(envelope));
        }
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_not_read() {
        let key = Key { bytes: Bytes::from_static(b"key"), fingerprint: [7; 16], retention: 9 };
        let envelope = Envelope {
            boot: Boot(1),
            number: RequestNumber(2),
            key: Some(key),
            command: Bytes::new(),
        };
        let bytes = envelope.encode();
        for length in 0..bytes.len() {
            assert_eq!(Envelope::decode(bytes.slice(..length)), None, "{length} bytes");
        }
        for (at, value) in [(0, 2), (1, 2)] {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            assert_eq!(Envelope::decode(changed.into()), None, "byte {at} is {value}");
        }
    }
}
