//! The keys that sessions are sealed with, as they are replicated: `Keys`. Each is wrapped under
//! the cluster's secret, so that no log, snapshot or backup has one in clear; what unwraps them is
//! in `session/ring.rs`.
//!
//! A key is *active* from the entry that adds it on: the newest one seals. The next one makes it
//! *retiring*: what it sealed still opens, until its grace ends. Or it is *revoked*, and opens
//! nothing from that entry on. Numbers are given once.

use holm_raft_core::{Index, LogTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most keys that are known at a time, revoked ones too. Part of the replicated behaviour: not
/// a setting. When there are so many, no key is added until a grace has ended.
pub(crate) const SESSION_KEYS_MAX: usize = 32;

/// A key in the care of the cluster's secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wrapped {
    /// The id of the secret.
    pub(crate) secret: [u8; 8],
    pub(crate) nonce: [u8; 24],
    /// The key, and what proves that it is whole.
    pub(crate) sealed: Vec<u8>,
}

/// For how long keys are good, in milliseconds of log time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// A key seals for so long.
    pub(crate) rotation: u64,
    /// What it sealed opens for so long after that.
    pub(crate) grace: u64,
}

/// What changes the keys. Applied again, each changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// There are to be keys, by this policy. The leader makes them.
    Want(Policy),
    /// This key is not to seal any more, if it does.
    Rotate { key: u32 },
    /// A new key of this number, unless that was given already.
    Add { key: u32, wrapped: Wrapped },
    /// What this key sealed opens nowhere any more.
    Revoke { key: u32 },
    /// The same keys under another secret.
    Rewrap { keys: Vec<(u32, Wrapped)> },
}

/// What it led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    /// There is no such key, or not any more.
    Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keys {
    policy: Option<Policy>,
    /// The number of the newest; 0 if there never was one.
    last: u32,
    /// The newest one is not to seal any more.
    rotate: bool,
    /// The longest grace that there ever was.
    longest: u64,
    known: BTreeMap<u32, Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Nothing if it is revoked.
    pub(crate) wrapped: Option<Wrapped>,
    /// Where it was added, and when in log time.
    pub(crate) index: u64,
    pub(crate) time: u64,
    /// When it is forgotten, in log time; it seals if this is open.
    pub(crate) until: Option<u64>,
}

impl Keys {
    pub(crate) fn apply(&mut self, command: Command, index: Index, now: LogTime) -> Reply {
        self.expire(now);
        match command {
            Command::Want(policy) => {
                self.policy = Some(policy);
                self.longest = self.longest.max(policy.grace);
            }
            Command::Rotate { key } if key == self.last => self.rotate = true,
            Command::Rotate { .. } => {}
            Command::Add { key, wrapped } => self.add(key, wrapped, index, now),
            Command::Revoke { key } => {
                let until = now.0.saturating_add(self.kept());
                let Some(known) = self.known.get_mut(&key) else { return Reply::Unknown };
                known.wrapped = None;
                // It stays known as revoked for as long as there may be something that it sealed.
                known.until = Some(known.until.unwrap_or(until));
            }
            Command::Rewrap { keys } => {
                for (key, wrapped) in keys {
                    let known = self.known.get_mut(&key);
                    if let Some(old) = known.and_then(|known| known.wrapped.as_mut()) {
                        *old = wrapped;
                    }
                }
            }
        }
        Reply::Done
    }

    fn add(&mut self, key: u32, wrapped: Wrapped, index: Index, now: LogTime) {
        if key != self.last.saturating_add(1) || self.known.len() >= SESSION_KEYS_MAX {
            return;
        }
        let until = now.0.saturating_add(self.policy.map_or(0, |policy| policy.grace));
        if let Some(old) = self.known.get_mut(&self.last) {
            old.until = Some(old.until.unwrap_or(until));
        }
        (self.last, self.rotate) = (key, false);
        let wrapped = Some(wrapped);
        self.known.insert(key, Key { wrapped, index: index.0, time: now.0, until: None });
    }

    pub(super) fn expire(&mut self, now: LogTime) {
        self.known.retain(|_, key| key.until.is_none_or(|until| now.0 < until));
    }

    pub(super) fn due(&self) -> Option<LogTime> {
        self.known.values().filter_map(|key| key.until).min().map(LogTime)
    }

    /// The number of a key that the leader is to add, at this log time.
    pub(crate) fn wanted(&self, now: LogTime) -> Option<u32> {
        let policy = self.policy?;
        let seals = |(_, key): (u32, &Key)| {
            !self.rotate && now.0 < key.time.saturating_add(policy.rotation)
        };
        if self.active().is_some_and(seals) { None } else { self.next() }
    }

    /// The number of the next key, if there is room for one.
    pub(crate) fn next(&self) -> Option<u32> {
        (self.known.len() < SESSION_KEYS_MAX).then(|| self.last.saturating_add(1))
    }

    pub(crate) const fn policy(&self) -> Option<Policy> {
        self.policy
    }

    /// The key that seals.
    pub(crate) fn active(&self) -> Option<(u32, &Key)> {
        self.key(self.last).filter(|key| key.wrapped.is_some()).map(|key| (self.last, key))
    }

    pub(crate) fn key(&self, key: u32) -> Option<&Key> {
        self.known.get(&key)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Key)> {
        self.known.iter().map(|(number, key)| (*number, key))
    }

    /// The number of the newest; 0 if there never was one.
    pub(crate) const fn last(&self) -> u32 {
        self.last
    }

    /// Whether no key of this number was ever seen here.
    pub(crate) const fn is_ahead(&self, key: u32) -> bool {
        key > self.last
    }

    /// For how long there may be something that was sealed by now, in milliseconds.
    pub(crate) const fn kept(&self) -> u64 {
        // Members that seal may be ahead of log time by a minute and a half, and not by more.
        self.longest.saturating_add(600_000)
    }

    pub(super) fn is_used(&self) -> bool {
        self.policy.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(secret: u8) -> Wrapped {
        Wrapped { secret: [secret; 8], nonce: [0; 24], sealed: vec![0; 48] }
    }

    fn add(key: u32) -> Command {
        Command::Add { key, wrapped: wrapped(1) }
    }

    fn apply(keys: &mut Keys, command: Command, now: u64) -> Reply {
        keys.apply(command, Index(now), LogTime(now))
    }

    fn wanting() -> Keys {
        let mut keys = Keys::default();
        assert_eq!(keys.wanted(LogTime(0)), None, "nobody wants one");
        apply(&mut keys, Command::Want(Policy { rotation: 100, grace: 50 }), 0);
        assert_eq!(keys.wanted(LogTime(0)), Some(1));
        keys
    }

    fn active(keys: &Keys) -> Option<u32> {
        keys.active().map(|(key, _)| key)
    }

    #[test]
    fn a_key_seals_until_the_next_one_is_added_and_opens_until_its_grace_ends() {
        let mut keys = wanting();
        apply(&mut keys, add(1), 10);
        assert_eq!((active(&keys), keys.due()), (Some(1), None));
        assert_eq!(keys.wanted(LogTime(109)), None);
        assert_eq!(keys.wanted(LogTime(110)), Some(2), "it has sealed for long enough");
        apply(&mut keys, add(2), 120);
        apply(&mut keys, add(2), 121);
        apply(&mut keys, add(4), 122);
        assert_eq!(active(&keys), Some(2), "numbers follow one another, each is given once");
        assert!(keys.key(1).unwrap().wrapped.is_some(), "it opens");
        assert_eq!(keys.due(), Some(LogTime(170)));
        keys.expire(LogTime(170));
        assert_eq!(keys.key(1), None);
        assert!(!keys.is_ahead(1) && keys.is_ahead(3));
    }

    #[test]
    fn a_rotation_is_asked_for_once_of_the_key_that_is_meant() {
        let mut keys = wanting();
        apply(&mut keys, add(1), 10);
        apply(&mut keys, Command::Rotate { key: 1 }, 11);
        assert_eq!(keys.wanted(LogTime(11)), Some(2));
        apply(&mut keys, add(2), 12);
        apply(&mut keys, Command::Rotate { key: 1 }, 13);
        assert_eq!(keys.wanted(LogTime(13)), None, "a late duplicate");
    }

    #[test]
    fn a_revoked_key_is_gone_at_once_and_never_comes_back() {
        let mut keys = wanting();
        apply(&mut keys, add(1), 10);
        assert_eq!(apply(&mut keys, Command::Revoke { key: 2 }, 11), Reply::Unknown);
        assert_eq!(apply(&mut keys, Command::Revoke { key: 1 }, 11), Reply::Done);
        assert_eq!((active(&keys), keys.wanted(LogTime(11))), (None, Some(2)));
        assert_eq!(keys.key(1).unwrap().wrapped, None);
        apply(&mut keys, add(1), 12);
        apply(&mut keys, Command::Rewrap { keys: vec![(1, wrapped(2))] }, 13);
        assert_eq!(keys.key(1).unwrap().wrapped, None);
        apply(&mut keys, add(2), 14);
        assert_eq!(active(&keys), Some(2));
    }

    #[test]
    fn keys_are_bounded_and_wanted_again_when_there_is_room() {
        let mut keys = wanting();
        for key in 1..=40 {
            apply(&mut keys, add(key), 10);
        }
        assert_eq!(keys.known.len(), SESSION_KEYS_MAX);
        apply(&mut keys, Command::Rotate { key: 32 }, 11);
        assert_eq!(keys.wanted(LogTime(11)), None);
        keys.expire(LogTime(60));
        assert_eq!(keys.wanted(LogTime(60)), Some(33));
    }
}
