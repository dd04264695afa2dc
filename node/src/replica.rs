//! The replicated state: `Replica` is the embedder's state machine with the tables of retries and
//! sessions beside it, applied, frozen and restored together. A state without its tables would
//! apply a retry twice.

use crate::digest::digest;
use crate::envelope::{Envelope, Key, Once};
use crate::machine::StateMachine;
use crate::mutation::{Mutation, on};
use crate::retries::{self, Retries};
use crate::sessions::{self, Sessions};
use bytes::Bytes;
use holm_raft_core::{Index, LogTime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Read;

/// A state machine and what is remembered of retries.
pub(crate) struct Replica<S> {
    pub(crate) state: S,
    retries: Retries,
    sessions: Sessions,
}

/// What a command led to.
pub(crate) enum Outcome<R> {
    /// It was applied at `index`, now or when it came first.
    Applied { reply: R, index: Index },
    /// Its key belongs to another command: it was not applied.
    KeyReused,
    /// Too many keys are remembered: it was not applied.
    KeysFull,
    /// A session was opened.
    Opened { session: Index },
    /// Its session is not known: it was not applied.
    SessionExpired,
    /// Its client has been answered already, or waits no longer: it was not applied.
    Late,
    /// There are too many sessions, or too many unacknowledged replies: it was not applied.
    SessionsFull,
}

/// Bytes that this build can't read, though they were committed: it must not go on, or it would
/// silently become another state than its peers'.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the command at index {index} can't be decoded ({why}); run the build that wrote it")]
    Command { index: Index, why: String },
    #[error("the snapshot can't be decoded ({why}); run the build that wrote it")]
    Snapshot { why: String },
    #[error("the state can't be encoded ({why})")]
    Encode { why: String },
}

/// The state and its tables as they were at some index. Its bytes:
///
/// ```text
///  0         1              9
/// ┌─────────┬──────────────┬──────────────────────────────────────────────┐
/// │ version │ length       │ retries, sessions, state; with postcard,     │
/// │ u8 = 2  │ u64, plain   │ compressed with zstd                         │
/// └─────────┴──────────────┴──────────────────────────────────────────────┘
/// ```
#[derive(Serialize, Deserialize)]
pub(crate) struct Frozen<T> {
    retries: Retries,
    sessions: Sessions,
    state: T,
}

const VERSION: u8 = 2;
/// Where zstd is quick, and most of what it saves is saved.
const LEVEL: i32 = 1;

impl<T: Serialize> Frozen<T> {
    /// Its bytes, equal for equal states under the same build. Takes as long as the state is large.
    pub(crate) fn encode(&self) -> Result<Bytes, Unreadable> {
        let unreadable = |why: String| Unreadable::Encode { why };
        let plain = postcard::to_stdvec(self).map_err(|error| unreadable(error.to_string()))?;
        let mut bytes = vec![VERSION];
        bytes.extend((plain.len() as u64).to_le_bytes());
        zstd::stream::copy_encode(&plain[..], &mut bytes, LEVEL)
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(bytes.into())
    }
}

impl<T: DeserializeOwned> Frozen<T> {
    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let unreadable = |why: String| Unreadable::Snapshot { why };
        match bytes.first() {
            Some(&VERSION) => {}
            found => {
                let found = found.copied().unwrap_or(0);
                return Err(unreadable(format!("version {found}, this build reads {VERSION}")));
            }
        }
        let header = bytes[1..].split_first_chunk();
        let (length, packed) = header.ok_or_else(|| unreadable("it is cut short".to_owned()))?;
        let length = u64::from_le_bytes(*length);
        // One byte more than there may be shows that there are more.
        let mut plain = Vec::new();
        zstd::stream::read::Decoder::new(packed)
            .and_then(|decoder| decoder.take(length.saturating_add(1)).read_to_end(&mut plain))
            .map_err(|error| unreadable(error.to_string()))?;
        if plain.len() as u64 != length {
            return Err(unreadable(format!("it has {} bytes of {length}", plain.len())));
        }
        postcard::from_bytes(&plain).map_err(|error| unreadable(error.to_string()))
    }
}

impl<S: StateMachine> Replica<S> {
    pub(crate) fn new(state: S) -> Self {
        Self { state, retries: Retries::default(), sessions: Sessions::default() }
    }

    /// Applies a committed command, unless it was applied before.
    pub(crate) fn apply(
        &mut self,
        envelope: &Envelope,
        index: Index,
        now: LogTime,
    ) -> Result<Outcome<S::Reply>, Unreadable> {
        let known = match &envelope.once {
            Once::Anyway => None,
            Once::OpensSession { retention } => {
                let opened = self.sessions.open(index, now, *retention);
                let opened = opened.then_some(Outcome::Opened { session: index });
                return Ok(opened.unwrap_or(Outcome::SessionsFull));
            }
            Once::Keyed(key) => match self.retries.ask(key, now) {
                retries::Verdict::New => None,
                retries::Verdict::Reused => return Ok(Outcome::KeyReused),
                retries::Verdict::Full => return Ok(Outcome::KeysFull),
                retries::Verdict::Again(known) => Some((&known.reply, known.index)),
            },
            Once::InSession(place) => match self.sessions.ask(place, now) {
                sessions::Verdict::New => None,
                sessions::Verdict::Expired => return Ok(Outcome::SessionExpired),
                sessions::Verdict::Late => return Ok(Outcome::Late),
                sessions::Verdict::Full => return Ok(Outcome::SessionsFull),
                sessions::Verdict::Again(known) => Some((&known.reply, known.index)),
            },
        };
        let unreadable =
            |error: postcard::Error| Unreadable::Command { index, why: error.to_string() };
        if let Some((reply, first)) = known {
            let reply = postcard::from_bytes(reply).map_err(unreadable)?;
            return Ok(Outcome::Applied { reply, index: Index(first) });
        }
        let command = postcard::from_bytes(&envelope.command).map_err(unreadable)?;
        let reply = self.state.apply(command);
        let bytes = || postcard::to_stdvec(&reply).map_err(unreadable);
        match &envelope.once {
            Once::Keyed(key) => self.retries.remember(key, now, bytes()?, index),
            Once::InSession(_) if on(Mutation::SessionWithoutReplies) => {}
            Once::InSession(place) => self.sessions.remember(place, bytes()?, index),
            Once::Anyway | Once::OpensSession { .. } => {}
        }
        Ok(Outcome::Applied { reply, index })
    }

    /// The state and its tables, frozen as they are now.
    pub(crate) fn freeze(&self) -> Frozen<S::Snapshot> {
        let (retries, sessions) = (self.retries.clone(), self.sessions.clone());
        Frozen { retries, sessions, state: self.state.snapshot() }
    }

    /// Becomes what was frozen.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        let frozen = Frozen::<S::Snapshot>::decode(bytes)?;
        self.state = S::restore(frozen.state);
        if !on(Mutation::SnapshotWithoutRetries) {
            self.retries = frozen.retries;
        }
        if !on(Mutation::SnapshotWithoutSessions) {
            self.sessions = frozen.sessions;
        }
        Ok(())
    }
}

/// A key for a command: the command's fingerprint keeps the key from being used for another.
pub(crate) fn key(bytes: Bytes, command: &[u8], retention: u64) -> Key {
    Key { bytes, fingerprint: digest(command), retention }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_raft_core::{Boot, RequestNumber};

    #[derive(Clone, Serialize, Deserialize)]
    struct Sum(i64);

    impl StateMachine for Sum {
        type Command = i64;
        type Reply = i64;
        type Snapshot = Self;

        fn apply(&mut self, add: i64) -> i64 {
            self.0 += add;
            self.0
        }

        fn snapshot(&self) -> Self {
            self.clone()
        }

        fn restore(snapshot: Self) -> Self {
            snapshot
        }
    }

    fn add(number: i64, name: &'static str) -> Envelope {
        let command = Bytes::from(postcard::to_stdvec(&number).unwrap());
        let once = Once::Keyed(key(Bytes::from(name), &command, 1000));
        Envelope { boot: Boot(1), number: RequestNumber(1), once, command }
    }

    fn reply(outcome: Outcome<i64>) -> (i64, u64) {
        let Outcome::Applied { reply, index } = outcome else { panic!("not applied") };
        (reply, index.0)
    }

    #[test]
    fn a_retry_after_a_snapshot_is_still_applied_once() {
        let mut replica = Replica::new(Sum(0));
        let first = replica.apply(&add(5, "k"), Index(3), LogTime(1)).unwrap();
        assert_eq!(reply(first), (5, 3));
        let mut other = Replica::new(Sum(0));
        other.restore(&replica.freeze().encode().unwrap()).unwrap();
        let again = other.apply(&add(5, "k"), Index(9), LogTime(2)).unwrap();
        assert_eq!(reply(again), (5, 3));
        assert_eq!(other.state.0, 5);
        let reused = other.apply(&add(6, "k"), Index(10), LogTime(3)).unwrap();
        assert!(matches!(reused, Outcome::KeyReused));
        assert_eq!(other.state.0, 5);
    }

    #[test]
    fn a_snapshot_of_garbage_changes_nothing_and_says_so() {
        let mut replica = Replica::new(Sum(7));
        for garbage in [&[][..], &[9, 9, 9], &[255; 40], &[2; 9], &[2; 40]] {
            assert!(replica.restore(garbage).is_err());
        }
        let whole = replica.freeze().encode().unwrap();
        for at in 0..whole.len() {
            assert!(replica.restore(&whole[..at]).is_err(), "{at} bytes of {}", whole.len());
        }
        let mut longer = whole.to_vec();
        longer[1] -= 1;
        let error = replica.restore(&longer).unwrap_err().to_string();
        assert!(error.contains("it has 3 bytes of 2"), "{error}");
        assert_eq!(replica.state.0, 7);
        assert!(replica.restore(&whole).is_ok());
    }
}
