//! The state machine of the `holm` binary: [`Store`], with named counters and keys, what may be
//! proposed to it ([`Command`]) and what it answers ([`Reply`]).

use crate::machine::StateMachine;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// Counters (name → `i64`) and keys (key → value and revision).
///
/// Revisions come from one count for the whole store that grows with each change of a key, so a
/// key that is deleted and made again never shows a revision it had before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    counters: BTreeMap<SmolStr, i64>,
    /// Short keys stand in the nodes themselves: most of a lookup is to fetch keys from memory.
    keys: BTreeMap<SmolStr, Versioned>,
    /// The revision of the latest change of any key; 0 before the first.
    revision: u64,
}

/// A key's value and the revision of the change that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// From 1, unique to this change within the store.
    pub revision: u64,
}

/// What may be proposed to a [`Store`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Adds to a counter; one that does not exist counts from 0.
    Add {
        /// The counter's name.
        name: String,
        /// May be negative or 0.
        by: i64,
    },
    /// Writes a key.
    Put {
        /// The key.
        key: String,
        /// Its new value.
        value: Bytes,
        /// Write only if this is the key's revision now (0: only if there is no such key).
        expect: Option<u64>,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: String,
        /// Remove only if this is the key's revision now (0: only if there is no such key, which
        /// removes nothing).
        expect: Option<u64>,
    },
}

/// What a [`Store`] answers. A refusal changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The counter was added to.
    Added {
        /// Its new value.
        value: i64,
    },
    /// Refused: the sum is beyond what an `i64` holds.
    Overflow {
        /// The counter's value, as it was and still is.
        value: i64,
    },
    /// The key was written.
    Put {
        /// The revision of this change.
        revision: u64,
    },
    /// Refused: the key has another revision than the expected one.
    Conflict {
        /// Its revision; 0 if there is no such key.
        revision: u64,
    },
    /// The key was removed.
    Deleted {
        /// The revision of this change.
        revision: u64,
    },
    /// Nothing to remove: there is no such key.
    Missing,
}

impl Store {
    /// A counter's value; 0 if nobody has added to it.
    #[must_use]
    pub fn counter(&self, name: &str) -> i64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// A key's value and revision, if there is such a key.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<&Versioned> {
        self.keys.get(key)
    }

    fn add(&mut self, name: String, by: i64) -> Reply {
        let value = self.counter(&name);
        match value.checked_add(by) {
            Some(sum) => {
                self.counters.insert(name.into(), sum);
                Reply::Added { value: sum }
            }
            None => Reply::Overflow { value },
        }
    }

    fn put(&mut self, key: String, value: Bytes, expect: Option<u64>) -> Reply {
        // Without an expectation the key is looked up once.
        if expect.is_some()
            && let Some(refusal) = self.conflict(&key, expect)
        {
            return refusal;
        }
        let revision = self.next_revision();
        self.keys.insert(key.into(), Versioned { value, revision });
        Reply::Put { revision }
    }

    fn delete(&mut self, key: &str, expect: Option<u64>) -> Reply {
        if let Some(refusal) = self.conflict(key, expect) {
            return refusal;
        }
        match self.keys.remove(key) {
            Some(_) => Reply::Deleted { revision: self.next_revision() },
            None => Reply::Missing,
        }
    }

    fn conflict(&self, key: &str, expect: Option<u64>) -> Option<Reply> {
        let revision = self.keys.get(key).map_or(0, |versioned| versioned.revision);
        let differs = expect.is_some_and(|expect| expect != revision);
        differs.then_some(Reply::Conflict { revision })
    }

    fn next_revision(&mut self) -> u64 {
        self.revision = self.revision.checked_add(1).expect("revisions never run out");
        self.revision
    }
}

impl StateMachine for Store {
    type Command = Command;
    type Reply = Reply;
    type Snapshot = Self;

    fn apply(&mut self, command: Command) -> Reply {
        match command {
            Command::Add { name, by } => self.add(name, by),
            Command::Put { key, value, expect } => self.put(key, value, expect),
            Command::Delete { key, expect } => self.delete(&key, expect),
        }
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

#[cfg(test)]
mod tests;
