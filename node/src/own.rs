//! Holm's own replicated state, beside the embedder's: `State` and the `Command`s that change it.
//! They take the same way through the log as an embedder's, are in the same snapshots, and mean the
//! same on each member; what they are for is in the modules below.
//!
//! What is kept is bounded, in number and in bytes, by limits with names. Whatever expires does so
//! by log time, at a command of the part that it belongs to or at a [`Command::Mark`], and so at
//! the same entry everywhere.

mod asking;
pub(crate) mod epochs;
pub(crate) mod keys;
mod shared;
pub(crate) mod tickets;

pub(crate) use shared::{Moment, Shared};

use crate::mutation::{Mutation, on};
use crate::rendezvous::claims::{self, Claims};
use bytes::{BufMut, Bytes, BytesMut};
use epochs::{Epochs, Subject};
use holm_raft_core::{Index, LogTime};
use keys::Keys;
use serde::{Deserialize, Serialize};
use tickets::Tickets;

/// The version of a command's bytes, the first of which it is; postcard follows. New kinds are
/// added at the end, and none is removed: a log is read for as long as it is.
const VERSION: u8 = 1;

/// What changes the own state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Nothing but its own log time: what has expired by then is forgotten.
    Mark,
    Ticket(tickets::Command),
    Key(keys::Command),
    /// What was sealed for this subject before is void.
    Revoke(Subject),
    Claim(claims::Command),
}

/// What a command led to. Remembered with keys and sessions: add at the end, remove nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Marked,
    Ticket(tickets::Reply),
    Key(keys::Reply),
    Revoke(epochs::Reply),
    Claim(claims::Reply),
}

impl Command {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(VERSION);
        bytes.put_slice(&postcard::to_stdvec(self).expect("each part of it can be encoded"));
        bytes.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                let (command, rest) =
                    postcard::take_from_bytes(rest).map_err(|error| error.to_string())?;
                if rest.is_empty() { Ok(command) } else { Err("bytes follow it".to_owned()) }
            }
            Some((other, _)) => Err(format!("version {other}, this build reads {VERSION}")),
            None => Err("it is empty".to_owned()),
        }
    }

    /// Whether applied again it changes nothing and is answered alike. What is not is proposed
    /// under a key. A claim that is made or renewed again may last longer for it, which nobody
    /// relies on.
    pub(crate) const fn is_idempotent(&self) -> bool {
        matches!(self, Self::Mark | Self::Ticket(_) | Self::Key(_) | Self::Claim(_))
    }
}

/// The own state: one part for each purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub(crate) struct State {
    pub(crate) tickets: Tickets,
    pub(crate) keys: Keys,
    pub(crate) epochs: Epochs,
    pub(crate) claims: Claims,
}

/// What snapshots carry: each part that has anything in it, by its number, encoded by itself, so
/// that a part can be added without a new version of all.
type Parts = Vec<(u8, Vec<u8>)>;

const TICKETS: u8 = 1;
const KEYS: u8 = 2;
const EPOCHS: u8 = 3;
const CLAIMS: u8 = 4;

impl State {
    /// Applies the command that is committed at an index, and was appended at log time `now`.
    pub(crate) fn apply(&mut self, command: Command, index: Index, now: LogTime) -> Reply {
        match command {
            Command::Mark => {
                self.tickets.expire(now);
                self.keys.expire(now);
                self.epochs.expire(now);
                self.claims.expire(now);
                Reply::Marked
            }
            Command::Ticket(command) => Reply::Ticket(self.tickets.apply(command, now)),
            Command::Key(command) => Reply::Key(self.keys.apply(command, index, now)),
            Command::Revoke(subject) => {
                Reply::Revoke(self.epochs.revoke(subject, index, now, self.keys.kept()))
            }
            Command::Claim(command) => Reply::Claim(self.claims.apply(command, index, now)),
        }
    }

    /// The log time from which on there is something to forget.
    pub(crate) fn due(&self) -> Option<LogTime> {
        let due = [self.tickets.due(), self.keys.due(), self.epochs.due(), self.claims.due()];
        due.into_iter().flatten().min()
    }

    /// Whether anything in it depends on the time.
    pub(crate) fn needs_time(&self) -> bool {
        self.due().is_some() || self.keys.is_used()
    }
}

impl From<State> for Parts {
    fn from(state: State) -> Self {
        let State { tickets, keys, epochs, claims } = state;
        let mut parts = Self::new();
        let mut add = |number, bytes: Result<Vec<u8>, postcard::Error>| {
            parts.push((number, bytes.expect("each part of it can be encoded")));
        };
        if tickets != Tickets::default() {
            add(TICKETS, postcard::to_stdvec(&tickets));
        }
        if keys != Keys::default() {
            add(KEYS, postcard::to_stdvec(&keys));
        }
        if epochs != Epochs::default() && !on(Mutation::SnapshotWithoutRevocations) {
            add(EPOCHS, postcard::to_stdvec(&epochs));
        }
        if claims != Claims::default() {
            add(CLAIMS, postcard::to_stdvec(&claims));
        }
        parts
    }
}

impl TryFrom<Parts> for State {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        let mut state = Self::default();
        for (number, bytes) in parts {
            let read = match number {
                TICKETS => postcard::from_bytes(&bytes).map(|tickets| state.tickets = tickets),
                KEYS => postcard::from_bytes(&bytes).map(|keys| state.keys = keys),
                EPOCHS => postcard::from_bytes(&bytes).map(|epochs| state.epochs = epochs),
                CLAIMS => postcard::from_bytes(&bytes).map(|claims| state.claims = claims),
                other => return Err(format!("part {other} of Holm's own state is not known")),
            };
            read.map_err(|error| format!("part {number} of Holm's own state: {error}"))?;
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests;
