//! Who holds which key, as the log says: `Claims`, part of the replicated state. A claim is a lease
//! (Gray and Cheriton, 1989) that ends by log time unless it is renewed, with a token that grows
//! from each holder of a key to the next.

use super::{ClaimError, Placement};
use crate::mutation::{Mutation, on};
use holm_raft_core::{Index, LogTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most claims at a time. Part of the replicated behaviour: not a setting.
pub(crate) const CLAIMS_MAX: usize = 100_000;
/// The most bytes of keys that are claimed at a time.
pub(crate) const CLAIM_KEYS_BYTES_MAX: usize = 16 << 20;
/// The longest time that a claim is granted for at once, in milliseconds of log time: a day.
pub(crate) const CLAIM_MS_MAX: u64 = 24 * 3_600_000;

/// Invariants: `expiry` names exactly the keys that are held; `bytes` is what they weigh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Held", into = "Held")]
pub(crate) struct Claims {
    held: Held,
    expiry: BTreeSet<(u64, Vec<u8>)>,
    bytes: usize,
}

/// What snapshots carry.
type Held = BTreeMap<Vec<u8>, Holding>;

/// A claim that was granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holding {
    /// Who holds it.
    pub(crate) member: u64,
    /// What the holder drew for this claim: one member makes many, one after the other.
    holder: u64,
    /// The index of the entry that granted it.
    pub(crate) token: u64,
    /// From when on it is over, in log time.
    pub(crate) expires: u64,
}

/// What is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// A key is claimed for so many milliseconds.
    Claim { key: Vec<u8>, member: u64, holder: u64, millis: u64 },
    /// The claim with this token goes on for so many milliseconds from now.
    Renew { key: Vec<u8>, token: u64, millis: u64 },
    /// The claim with this token ends.
    Release { key: Vec<u8>, token: u64 },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is held under this token.
    Granted { token: u64 },
    /// Another holds it, for so many milliseconds unless it is renewed.
    Taken { member: u64, token: u64, millis: u64 },
    /// It is not held under that token any more.
    Gone,
    /// There is no room for another claim.
    Full,
    /// No build proposes this.
    Malformed,
}

impl From<Held> for Claims {
    fn from(held: Held) -> Self {
        let expiry = held.iter().map(|(key, holding)| (holding.expires, key.clone())).collect();
        let bytes = held.keys().map(Vec::len).sum();
        Self { held, expiry, bytes }
    }
}

impl From<Claims> for Held {
    fn from(claims: Claims) -> Self {
        claims.held
    }
}

impl Command {
    fn is_sound(&self) -> bool {
        let (key, millis) = match self {
            Self::Claim { key, millis, .. } | Self::Renew { key, millis, .. } => (key, *millis),
            Self::Release { key, .. } => (key, 1),
        };
        check_key(key).is_ok() && (1..=CLAIM_MS_MAX).contains(&millis)
    }
}

/// Whether this may be claimed.
pub(crate) fn check_key(key: &[u8]) -> Result<(), ClaimError> {
    let bytes = key.len();
    let sound = (1..=Placement::KEY_BYTES_MAX).contains(&bytes);
    if sound { Ok(()) } else { Err(ClaimError::Key { bytes }) }
}

impl Claims {
    /// Applies a command that is committed at this index, whose entry has this time.
    pub(crate) fn apply(&mut self, command: Command, index: Index, now: LogTime) -> Reply {
        if !command.is_sound() {
            return Reply::Malformed;
        }
        self.expire(now);
        match command {
            Command::Claim { key, member, holder, millis } => {
                let new = Holding { member, holder, token: index.0, expires: 0 };
                self.claim(key, new, now, millis)
            }
            Command::Renew { key, token, millis } => match self.held.get(&key) {
                Some(holding) if holding.token == token => {
                    let holding = holding.clone();
                    self.hold(key, holding, now, millis)
                }
                _ => Reply::Gone,
            },
            Command::Release { key, token } => {
                if self.token(&key) == Some(token) {
                    self.remove(&key);
                }
                Reply::Gone
            }
        }
    }

    fn claim(&mut self, key: Vec<u8>, new: Holding, now: LogTime, millis: u64) -> Reply {
        match self.held.get(&key) {
            // It is asked again, by whoever did not hear the answer.
            Some(known) if known.holder == new.holder && known.member == new.member => {
                let known = known.clone();
                self.hold(key, known, now, millis)
            }
            Some(Holding { member, token, expires, .. }) => {
                Reply::Taken { member: *member, token: *token, millis: expires - now.0 }
            }
            None if self.held.len() >= CLAIMS_MAX
                || self.bytes + key.len() > CLAIM_KEYS_BYTES_MAX =>
            {
                Reply::Full
            }
            None => self.hold(key, new, now, millis),
        }
    }

    fn hold(&mut self, key: Vec<u8>, holding: Holding, now: LogTime, millis: u64) -> Reply {
        let token = holding.token;
        self.remove(&key);
        let millis = if on(Mutation::ClaimNeverEnds) { u64::MAX } else { millis };
        // Never shorter than was granted before: its holder may reckon with that.
        let expires = now.0.saturating_add(millis).max(holding.expires);
        self.bytes += key.len();
        self.expiry.insert((expires, key.clone()));
        self.held.insert(key, Holding { expires, ..holding });
        Reply::Granted { token }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some((key, holding)) = self.held.remove_entry(key) {
            self.bytes -= key.len();
            self.expiry.remove(&(holding.expires, key));
        }
    }

    /// Forgets what is over by then.
    pub(crate) fn expire(&mut self, now: LogTime) {
        while let Some((expires, key)) = self.expiry.first()
            && *expires <= now.0
        {
            let key = key.clone();
            self.remove(&key);
        }
    }

    /// The log time from which on there is something to forget.
    pub(crate) fn due(&self) -> Option<LogTime> {
        self.expiry.first().map(|(expires, _)| LogTime(*expires))
    }

    fn token(&self, key: &[u8]) -> Option<u64> {
        self.held.get(key).map(|holding| holding.token)
    }

    /// Whether an entry of this time may have an effect in the name of this claim.
    pub(crate) fn lets(&self, key: &[u8], token: u64, now: LogTime) -> bool {
        self.held.get(key).is_some_and(|held| held.token == token && now.0 < held.expires)
    }

    /// Who holds a key, or held it last: it may be over by now, of which only a later entry tells.
    pub(crate) fn holding(&self, key: &[u8]) -> Option<&Holding> {
        self.held.get(key)
    }

    /// How many are held.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests;
