//! Exactly once: `Retries` remembers the replies to commands that carried a key. It is part of the
//! replicated state: every member fills it from the same log and forgets by log time, so all give
//! the same answer to the same retry.

use crate::envelope::Key;
use holm_raft_core::{Index, LogTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most keys that are remembered at a time. Part of the replicated behaviour: not a setting.
pub(crate) const IDEMPOTENCY_KEYS_MAX: usize = 250_000;

/// The most bytes that are remembered at a time: of keys, their replies, and
/// [`REMEMBERED_BYTES`] each.
pub(crate) const IDEMPOTENCY_BYTES_MAX: u64 = 64 << 20;
/// What a key weighs besides itself and its reply.
const REMEMBERED_BYTES: u64 = 64;

/// Invariants: `expiry` names exactly the keys of `replies`; `bytes` is what they weigh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Replies", into = "Replies")]
pub(crate) struct Retries {
    replies: Replies,
    expiry: BTreeSet<(u64, Vec<u8>)>,
    bytes: u64,
}

/// What snapshots carry.
type Replies = BTreeMap<Vec<u8>, Remembered>;

impl From<Replies> for Retries {
    fn from(replies: Replies) -> Self {
        let expiry = replies.iter().map(|(key, known)| (known.expires, key.clone())).collect();
        let bytes = replies.iter().map(|(key, known)| weight(key, known)).sum();
        Self { replies, expiry, bytes }
    }
}

impl From<Retries> for Replies {
    fn from(retries: Retries) -> Self {
        retries.replies
    }
}

/// The reply to a command that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    fingerprint: [u8; 16],
    /// Encoded with postcard.
    pub(crate) reply: Vec<u8>,
    /// Where the command was applied.
    pub(crate) index: u64,
    /// From when on it is forgotten, in log time.
    expires: u64,
}

fn weight(key: &[u8], known: &Remembered) -> u64 {
    (key.len() + known.reply.len()) as u64 + REMEMBERED_BYTES
}

/// What the table says to a command with a key.
pub(crate) enum Verdict<'a> {
    /// It is new: apply it, then remember the reply.
    New,
    /// It was applied already: this was the reply.
    Again(&'a Remembered),
    /// The key belongs to another command.
    Reused,
    /// This bound is reached by what is remembered.
    Full { limit: &'static str },
}

impl Retries {
    /// Forgets what has expired, and says what to do with a command under `key`.
    pub(crate) fn ask(&mut self, key: &Key, now: LogTime) -> Verdict<'_> {
        self.expire(now);
        match self.replies.get(&key.bytes[..]) {
            Some(known) if known.fingerprint == key.fingerprint => Verdict::Again(known),
            Some(_) => Verdict::Reused,
            None if self.replies.len() >= IDEMPOTENCY_KEYS_MAX => {
                Verdict::Full { limit: "idempotency_keys_max" }
            }
            None if self.bytes >= IDEMPOTENCY_BYTES_MAX => {
                Verdict::Full { limit: "idempotency_bytes_max" }
            }
            None => Verdict::New,
        }
    }

    pub(crate) fn remember(&mut self, key: &Key, now: LogTime, reply: Vec<u8>, index: Index) {
        let expires = now.0.saturating_add(key.retention);
        let remembered =
            Remembered { fingerprint: key.fingerprint, reply, index: index.0, expires };
        self.bytes += weight(&key.bytes, &remembered);
        self.replies.insert(key.bytes.to_vec(), remembered);
        self.expiry.insert((expires, key.bytes.to_vec()));
    }

    fn expire(&mut self, now: LogTime) {
        while let Some((expires, _)) = self.expiry.first()
            && *expires <= now.0
        {
            let (_, key) = self.expiry.pop_first().expect("looked at above");
            let known = self.replies.remove(&key).expect("expiry names what there is");
            self.bytes -= weight(&key, &known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn key(name: &'static str, fingerprint: u8) -> Key {
        Key { bytes: Bytes::from(name), fingerprint: [fingerprint; 16], retention: 100 }
    }

    #[test]
    fn a_retry_gets_the_first_reply_and_another_command_none() {
        let mut retries = Retries::default();
        assert!(matches!(retries.ask(&key("a", 1), LogTime(5)), Verdict::New));
        retries.remember(&key("a", 1), LogTime(5), vec![42], Index(7));
        let Verdict::Again(known) = retries.ask(&key("a", 1), LogTime(104)) else { panic!() };
        assert_eq!((known.reply.as_slice(), known.index), (&[42][..], 7));
        assert!(matches!(retries.ask(&key("a", 2), LogTime(104)), Verdict::Reused));
        assert!(matches!(retries.ask(&key("b", 1), LogTime(104)), Verdict::New));
    }

    #[test]
    fn a_key_is_forgotten_after_its_retention_in_log_time() {
        let mut retries = Retries::default();
        retries.remember(&key("a", 1), LogTime(5), vec![1], Index(1));
        assert!(matches!(retries.ask(&key("a", 1), LogTime(104)), Verdict::Again(_)));
        assert!(matches!(retries.ask(&key("a", 1), LogTime(105)), Verdict::New));
        assert_eq!(retries, Retries::default(), "nothing is left of it");
    }

    fn numbered(number: usize) -> Key {
        Key { bytes: format!("{number:08}").into(), fingerprint: [1; 16], retention: 100 }
    }

    #[test]
    fn keys_are_bounded_in_number_and_those_known_are_answered_still() {
        let mut retries = Retries::default();
        for number in 0..IDEMPOTENCY_KEYS_MAX {
            retries.remember(&numbered(number), LogTime(1), vec![1], Index(1));
        }
        let limit = "idempotency_keys_max";
        let verdict = retries.ask(&numbered(IDEMPOTENCY_KEYS_MAX), LogTime(1));
        assert!(matches!(verdict, Verdict::Full { limit: named } if named == limit));
        assert!(matches!(retries.ask(&numbered(0), LogTime(1)), Verdict::Again(_)));
        assert!(matches!(retries.ask(&numbered(0), LogTime(101)), Verdict::New), "all expired");
        assert_eq!(retries, Retries::default());
    }

    #[test]
    fn replies_are_bounded_in_bytes_and_room_comes_back_as_they_expire() {
        let mut retries = Retries::default();
        let reply = vec![0; 1 << 20];
        for (number, now) in (0..64).zip(1..) {
            assert!(matches!(retries.ask(&numbered(number), LogTime(now)), Verdict::New));
            retries.remember(&numbered(number), LogTime(now), reply.clone(), Index(1));
        }
        let limit = "idempotency_bytes_max";
        let verdict = retries.ask(&numbered(64), LogTime(64));
        assert!(matches!(verdict, Verdict::Full { limit: named } if named == limit));
        let bytes = postcard::to_stdvec(&retries).unwrap();
        let mut restored: Retries = postcard::from_bytes(&bytes).unwrap();
        assert!(matches!(restored.ask(&numbered(64), LogTime(64)), Verdict::Full { .. }));
        assert!(matches!(restored.ask(&numbered(64), LogTime(101)), Verdict::New));
    }

    #[test]
    fn a_restored_table_forgets_at_the_same_time() {
        let mut retries = Retries::default();
        retries.remember(&key("a", 1), LogTime(5), vec![1], Index(1));
        let bytes = postcard::to_stdvec(&retries).unwrap();
        let mut restored: Retries = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(restored, retries);
        assert!(matches!(restored.ask(&key("a", 1), LogTime(104)), Verdict::Again(_)));
        assert!(matches!(restored.ask(&key("a", 1), LogTime(105)), Verdict::New));
    }
}
