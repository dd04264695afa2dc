//! The replicated state: `Replica` is the embedder's state machine with the tables of retries and
//! sessions, and Holm's own state, beside it, applied, frozen and restored together. A state
//! without its tables would apply a retry twice.

use crate::digest::digest;
use crate::envelope::{Body, Envelope, Key, Once};
use crate::machine::StateMachine;
use crate::mutation::{Mutation, on};
use crate::own;
use crate::rendezvous::Fence;
use crate::retries::{self, Retries};
use crate::sessions::{self, Sessions};
use bytes::Bytes;
use holm_raft_core::{Index, LogTime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::sync::Arc;

/// A state machine, what is remembered of retries, and what is Holm's own.
pub(crate) struct Replica<S> {
    pub(crate) state: S,
    retries: Retries,
    sessions: Sessions,
    own: Arc<own::Shared>,
}

/// What a command led to.
pub(crate) enum Outcome<R> {
    /// It was applied at `index`, now or when it came first.
    Applied { reply: R, index: Index },
    /// The same of one of Holm's own.
    Own { reply: own::Reply, index: Index },
    /// Its key belongs to another command: it was not applied.
    KeyReused,
    /// Too much is remembered of keys: it was not applied.
    KeysFull { limit: &'static str },
    /// A session was opened.
    Opened { session: Index },
    /// Its session is not known: it was not applied.
    SessionExpired,
    /// Its client has been answered already, or waits no longer: it was not applied.
    Late,
    /// The claim in whose name it is does not last: it was not applied.
    Fenced,
    /// There are too many sessions, or too many unacknowledged replies: it was not applied.
    SessionsFull { limit: &'static str },
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
/// │ version │ length       │ retries, sessions, own, state; with postcard,│
/// │ u8 = 3  │ u64, plain   │ compressed with zstd                         │
/// └─────────┴──────────────┴──────────────────────────────────────────────┘
/// ```
///
/// Version 2 had nothing of Holm's own; it is still read.
#[derive(Serialize, Deserialize)]
pub(crate) struct Frozen<T> {
    retries: Retries,
    sessions: Sessions,
    own: Box<own::State>,
    state: T,
}

/// The same as version 2 had it.
#[derive(Deserialize)]
struct FrozenWithoutOwn<T> {
    retries: Retries,
    sessions: Sessions,
    state: T,
}

impl<T> From<FrozenWithoutOwn<T>> for Frozen<T> {
    fn from(frozen: FrozenWithoutOwn<T>) -> Self {
        let FrozenWithoutOwn { retries, sessions, state } = frozen;
        Self { retries, sessions, own: Box::default(), state }
    }
}

const VERSION: u8 = 3;
/// Written before Holm had a state of its own.
const VERSION_WITHOUT_OWN: u8 = 2;
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
        let version = bytes.first().copied().unwrap_or(0);
        if ![VERSION, VERSION_WITHOUT_OWN].contains(&version) {
            let reads = format!("{VERSION_WITHOUT_OWN} and {VERSION}");
            return Err(unreadable(format!("version {version}, this build reads {reads}")));
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
        let frozen = match version {
            VERSION_WITHOUT_OWN => {
                postcard::from_bytes::<FrozenWithoutOwn<T>>(&plain).map(Self::from)
            }
            _ => postcard::from_bytes(&plain),
        };
        frozen.map_err(|error| unreadable(error.to_string()))
    }
}

impl<S: StateMachine> Replica<S> {
    pub(crate) fn new(state: S, own: Arc<own::Shared>) -> Self {
        Self { state, retries: Retries::default(), sessions: Sessions::default(), own }
    }

    /// All up to here is applied.
    pub(crate) fn reached(&self, index: Index, time: LogTime) {
        self.own.reached(index, time);
    }

    /// Applies a committed command, unless it was applied before.
    pub(crate) fn apply(
        &mut self,
        envelope: &Envelope,
        index: Index,
        now: LogTime,
    ) -> Result<Outcome<S::Reply>, Unreadable> {
        let known = match &envelope.once {
            Once::Anyway | Once::ByItself => None,
            Once::OpensSession { retention } => {
                let opened = self.sessions.open(index, now, *retention);
                let full = |limit| Outcome::SessionsFull { limit };
                return Ok(opened.map_or_else(full, |()| Outcome::Opened { session: index }));
            }
            Once::Keyed(key) => match self.retries.ask(key, now) {
                retries::Verdict::New => None,
                retries::Verdict::Reused => return Ok(Outcome::KeyReused),
                retries::Verdict::Full { limit } => return Ok(Outcome::KeysFull { limit }),
                retries::Verdict::Again(known) => Some((&known.reply, known.index)),
            },
            Once::InSession(place) => match self.sessions.ask(place, now) {
                sessions::Verdict::New => None,
                sessions::Verdict::Expired => return Ok(Outcome::SessionExpired),
                sessions::Verdict::Late => return Ok(Outcome::Late),
                sessions::Verdict::Full { limit } => return Ok(Outcome::SessionsFull { limit }),
                sessions::Verdict::Again(known) => Some((&known.reply, known.index)),
            },
        };
        let unreadable =
            |error: postcard::Error| Unreadable::Command { index, why: error.to_string() };
        if let Some((reply, first)) = known {
            let index = Index(first);
            return match envelope.body {
                Body::Command(_) | Body::Fenced(..) => postcard::from_bytes(reply)
                    .map(|reply| Outcome::Applied { reply, index })
                    .map_err(unreadable),
                Body::Own(_) => postcard::from_bytes(reply)
                    .map(|reply| Outcome::Own { reply, index })
                    .map_err(unreadable),
            };
        }
        match &envelope.body {
            Body::Fenced(fence, _) if !self.lets(fence, now) => Ok(Outcome::Fenced),
            Body::Command(command) | Body::Fenced(_, command) => {
                let command = postcard::from_bytes(command).map_err(unreadable)?;
                let reply = self.state.apply(command);
                self.remember(&envelope.once, now, index, &reply).map_err(unreadable)?;
                Ok(Outcome::Applied { reply, index })
            }
            Body::Own(command) => {
                let command = own::Command::decode(command)
                    .map_err(|why| Unreadable::Command { index, why })?;
                let reply = self.own.apply(command, index, now);
                self.remember(&envelope.once, now, index, &reply).map_err(unreadable)?;
                Ok(Outcome::Own { reply, index })
            }
        }
    }

    fn lets(&self, fence: &Fence, now: LogTime) -> bool {
        let lets = |state: &own::State, _| state.claims.lets(&fence.key, fence.token, now);
        self.own.look(lets) || on(Mutation::FenceLetsAll)
    }

    fn remember(
        &mut self,
        once: &Once,
        now: LogTime,
        index: Index,
        reply: &impl Serialize,
    ) -> Result<(), postcard::Error> {
        let bytes = || postcard::to_stdvec(reply);
        match once {
            Once::Keyed(key) => self.retries.remember(key, now, bytes()?, index),
            Once::InSession(_) if on(Mutation::SessionWithoutReplies) => {}
            Once::InSession(place) => self.sessions.remember(place, bytes()?, index),
            Once::Anyway | Once::ByItself | Once::OpensSession { .. } => {}
        }
        Ok(())
    }

    /// The state and its tables, frozen as they are now.
    pub(crate) fn freeze(&self) -> Frozen<S::Snapshot> {
        let (retries, sessions) = (self.retries.clone(), self.sessions.clone());
        Frozen { retries, sessions, own: Box::new(self.own.freeze()), state: self.state.snapshot() }
    }

    /// The same for a backup.
    pub(crate) fn copy(&self) -> Frozen<S::Snapshot> {
        let mut frozen = self.freeze();
        if on(Mutation::BackupWithoutRetries) {
            frozen.retries = Retries::default();
        }
        frozen
    }

    /// Becomes what was frozen after the entry of this index and log time.
    pub(crate) fn restore(
        &mut self,
        bytes: &[u8],
        index: Index,
        time: LogTime,
    ) -> Result<(), Unreadable> {
        let frozen = Frozen::<S::Snapshot>::decode(bytes)?;
        self.state = S::restore(frozen.state);
        if !on(Mutation::SnapshotWithoutRetries) {
            self.retries = frozen.retries;
        }
        if !on(Mutation::SnapshotWithoutSessions) {
            self.sessions = frozen.sessions;
        }
        let own = if on(Mutation::SnapshotWithoutOwn) { Box::default() } else { frozen.own };
        self.own.restore(*own, index, time);
        Ok(())
    }
}

/// A key for a command: the command's fingerprint keeps the key from being used for another.
pub(crate) fn key(bytes: Bytes, command: &[u8], retention: u64) -> Key {
    Key { bytes, fingerprint: digest(command), retention }
}

/// A key for one of Holm's own. The fingerprint says so: a state machine's command of the same
/// bytes is another command, whose reply is another thing.
pub(crate) fn own_key(bytes: Bytes, command: &[u8], retention: u64) -> Key {
    key(bytes, &[b"holm own ", command].concat(), retention)
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
        let body = Body::Command(command);
        Envelope { boot: Boot(1), number: RequestNumber(1), once, body }
    }

    fn summing(sum: i64) -> Replica<Sum> {
        Replica::new(Sum(sum), own::Shared::in_test())
    }

    fn restore(replica: &mut Replica<Sum>, bytes: &[u8]) -> Result<(), Unreadable> {
        replica.restore(bytes, Index(8), LogTime(1))
    }

    fn reply(outcome: Outcome<i64>) -> (i64, u64) {
        let Outcome::Applied { reply, index } = outcome else { panic!("not applied") };
        (reply, index.0)
    }

    #[test]
    fn a_retry_after_a_snapshot_is_still_applied_once() {
        let mut replica = summing(0);
        let first = replica.apply(&add(5, "k"), Index(3), LogTime(1)).unwrap();
        assert_eq!(reply(first), (5, 3));
        let mut other = summing(0);
        restore(&mut other, &replica.freeze().encode().unwrap()).unwrap();
        let again = other.apply(&add(5, "k"), Index(9), LogTime(2)).unwrap();
        assert_eq!(reply(again), (5, 3));
        assert_eq!(other.state.0, 5);
        let reused = other.apply(&add(6, "k"), Index(10), LogTime(3)).unwrap();
        assert!(matches!(reused, Outcome::KeyReused));
        assert_eq!(other.state.0, 5);
    }

    #[test]
    fn a_snapshot_of_garbage_changes_nothing_and_says_so() {
        let mut replica = summing(7);
        for garbage in [&[][..], &[9, 9, 9], &[255; 40], &[2; 9], &[2; 40]] {
            assert!(restore(&mut replica, garbage).is_err());
        }
        let whole = replica.freeze().encode().unwrap();
        for at in 0..whole.len() {
            assert!(restore(&mut replica, &whole[..at]).is_err(), "{at} bytes of {}", whole.len());
        }
        let mut longer = whole.to_vec();
        longer[1] -= 1;
        let error = restore(&mut replica, &longer).unwrap_err().to_string();
        assert!(error.contains("it has 4 bytes of 3"), "{error}");
        assert_eq!(replica.state.0, 7);
        assert!(restore(&mut replica, &whole).is_ok());
    }

    #[test]
    fn a_snapshot_has_what_is_holms_own_and_one_of_the_version_before_is_read() {
        let mut replica = summing(7);
        let name = own::tickets::Name([1; 32]);
        let purpose = b"join".to_vec();
        let consume = own::tickets::Command::Consume { name, purpose, consumer: vec![1] };
        let purpose = b"join".to_vec();
        let (payload, ttl, void_after) = (vec![5], 100, 100);
        let remembered = 0;
        let issue =
            own::tickets::Command::Issue { name, purpose, payload, ttl, remembered, void_after };
        let envelope = |command: own::tickets::Command| Envelope {
            boot: Boot(1),
            number: RequestNumber(1),
            once: Once::ByItself,
            body: Body::Own(own::Command::Ticket(command).encode()),
        };
        replica.apply(&envelope(issue), Index(1), LogTime(1)).unwrap();
        let mut other = summing(0);
        restore(&mut other, &replica.freeze().encode().unwrap()).unwrap();
        let Outcome::Own { reply, index: Index(9) } =
            other.apply(&envelope(consume), Index(9), LogTime(2)).unwrap()
        else {
            panic!("not applied")
        };
        let consumed = own::tickets::Reply::Consumed { payload: vec![5] };
        assert_eq!(reply, own::Reply::Ticket(consumed));
        assert_eq!(other.state.0, 7);

        // Version 2: no retries, no sessions, the sum 7.
        let mut before = vec![2];
        before.extend(3_u64.to_le_bytes());
        zstd::stream::copy_encode(&[0, 0, 14][..], &mut before, LEVEL).unwrap();
        let mut other = summing(0);
        restore(&mut other, &before).unwrap();
        assert_eq!(other.state.0, 7);
        assert_eq!(other.own.freeze(), own::State::default());
    }

    #[test]
    fn a_key_of_a_command_is_no_key_of_one_of_holms_own() {
        let mut replica = summing(0);
        let command = own::Command::Mark.encode();
        let name = Bytes::from_static(b"k");
        let envelope = |once, body| Envelope {
            boot: Boot(1),
            number: RequestNumber(1),
            once: Once::Keyed(once),
            body,
        };
        let own = envelope(own_key(name.clone(), &command, 9), Body::Own(command.clone()));
        let outcome = replica.apply(&own, Index(1), LogTime(1)).unwrap();
        assert!(matches!(outcome, Outcome::Own { reply: own::Reply::Marked, .. }));
        let again = replica.apply(&own, Index(2), LogTime(1)).unwrap();
        assert!(matches!(again, Outcome::Own { index: Index(1), .. }));
        let same = envelope(key(name, &command, 9), Body::Command(command));
        let outcome = replica.apply(&same, Index(3), LogTime(1)).unwrap();
        assert!(matches!(outcome, Outcome::KeyReused));
    }
}
