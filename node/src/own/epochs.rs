//! Revocations as they are replicated: `Epochs` knows of each subject whose sessions were revoked
//! the index of the entry that did it, its *epoch*. A session that was sealed under an earlier one
//! is refused.
//!
//! Epochs are indices of the log, so that they rise even where a subject was forgotten: once
//! nothing can be left that was sealed before.

use holm_raft_core::{Index, LogTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most subjects that are remembered as revoked. Part of the replicated behaviour: not a
/// setting.
pub(crate) const REVOKED_SUBJECTS_MAX: usize = 100_000;

/// Names a subject: a hash of its bytes, so that subjects are neither in a log nor in a snapshot.
/// Short, for it is in each token. Two subjects of the same name would be revoked together; to find
/// one that has another's name takes 2⁶⁴ trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Subject(pub(crate) [u8; 8]);

/// What it led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Revoked,
    /// Too many are remembered.
    Full,
}

/// Invariant: `expiry` names exactly the subjects, by when they are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Known", into = "Known")]
pub(crate) struct Epochs {
    known: Known,
    expiry: BTreeSet<(u64, Subject)>,
}

/// What snapshots carry: the epoch, and when it is forgotten, in log time.
type Known = BTreeMap<Subject, (u64, u64)>;

impl From<Known> for Epochs {
    fn from(known: Known) -> Self {
        let expiry = known.iter().map(|(subject, (_, until))| (*until, *subject)).collect();
        Self { known, expiry }
    }
}

impl From<Epochs> for Known {
    fn from(epochs: Epochs) -> Self {
        epochs.known
    }
}

impl Epochs {
    /// What was sealed for the subject before this entry is void; that is remembered for `kept`
    /// milliseconds of log time.
    pub(super) fn revoke(
        &mut self,
        subject: Subject,
        index: Index,
        now: LogTime,
        kept: u64,
    ) -> Reply {
        self.expire(now);
        let before = self.known.get(&subject).copied();
        if before.is_none() && self.known.len() >= REVOKED_SUBJECTS_MAX {
            return Reply::Full;
        }
        if let Some((_, until)) = before {
            self.expiry.remove(&(until, subject));
        }
        let until = now.0.saturating_add(kept);
        self.known.insert(subject, (index.0, until));
        self.expiry.insert((until, subject));
        Reply::Revoked
    }

    /// The subject's epoch; 0 if nothing is left that it was revoked for.
    pub(crate) fn of(&self, subject: Subject) -> u64 {
        self.known.get(&subject).map_or(0, |(epoch, _)| *epoch)
    }

    pub(super) fn expire(&mut self, now: LogTime) {
        while let Some((until, subject)) = self.expiry.first().copied()
            && until <= now.0
        {
            self.expiry.pop_first();
            self.known.remove(&subject);
        }
    }

    pub(super) fn due(&self) -> Option<LogTime> {
        self.expiry.first().map(|(until, _)| LogTime(*until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(number: u32) -> Subject {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        Subject(bytes)
    }

    #[test]
    fn an_epoch_rises_and_is_forgotten_when_nothing_is_left_of_before() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.of(subject(1)), 0);
        epochs.revoke(subject(1), Index(5), LogTime(0), 100);
        epochs.revoke(subject(1), Index(9), LogTime(50), 100);
        assert_eq!((epochs.of(subject(1)), epochs.of(subject(2))), (9, 0));
        let bytes = postcard::to_stdvec(&epochs).unwrap();
        let mut restored: Epochs = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(restored, epochs);
        restored.expire(LogTime(149));
        assert_eq!(restored.of(subject(1)), 9);
        restored.expire(LogTime(150));
        assert_eq!(restored, Epochs::default());
    }

    #[test]
    fn subjects_are_bounded_and_one_that_is_known_can_be_revoked_again() {
        let mut epochs = Epochs::default();
        for number in 0..u32::try_from(REVOKED_SUBJECTS_MAX).unwrap() {
            let revoked = epochs.revoke(subject(number), Index(1), LogTime(0), 100);
            assert_eq!(revoked, Reply::Revoked);
        }
        let full = epochs.revoke(subject(u32::MAX), Index(2), LogTime(0), 100);
        assert_eq!(full, Reply::Full);
        assert_eq!(epochs.revoke(subject(7), Index(3), LogTime(0), 100), Reply::Revoked);
        assert_eq!(epochs.of(subject(7)), 3);
    }
}
