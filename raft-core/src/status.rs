//! What can be seen of a core: `Status` with its one-line `Display`, and the counters of messages
//! that were dropped, by reason.

use crate::entry::Entry;
use crate::raft::Raft;
use crate::role::Role;
use crate::snapshot::SnapshotMeta;
use crate::types::{EntryId, Index, MemberId, NodeId, Term};
use alloc::collections::BTreeMap;
use core::fmt;

/// A core at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// Who it is.
    pub me: MemberId,
    /// `follower`, `pre-candidate`, `candidate` or `leader`.
    pub role: &'static str,
    /// Its term.
    pub term: Term,
    /// The leader of that term, if it is known.
    pub leader: Option<MemberId>,
    /// The log begins after this entry.
    pub start: EntryId,
    /// The log's last entry.
    pub last: EntryId,
    /// Up to where the log is durable here.
    pub durable: Index,
    /// Up to where it is known to be committed.
    pub committed: Index,
    /// Up to where it was handed out to be applied.
    pub handed: Index,
    /// What a leader knows of the other members, learners too; empty elsewhere.
    pub followers: BTreeMap<NodeId, FollowerStatus>,
    /// How many elections this core began.
    pub elections: u64,
    /// Messages that were dropped, by reason.
    pub dropped: Dropped,
}

/// What of a [`Status`] costs nothing to tell: for whoever looks after each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Glance {
    /// As in [`Status`].
    pub role: &'static str,
    /// As in [`Status`].
    pub term: Term,
    /// As in [`Status`].
    pub leader: Option<MemberId>,
    /// As in [`Status`].
    pub start: EntryId,
    /// As in [`Status`].
    pub last: EntryId,
    /// As in [`Status`].
    pub durable: Index,
    /// As in [`Status`].
    pub committed: Index,
    /// As in [`Status`].
    pub handed: Index,
}

/// What a leader knows of a follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FollowerStatus {
    /// The highest index known to be durable there.
    pub matched: Index,
    /// `probe`, `replicate` or `snapshot`.
    pub state: &'static str,
}

/// How many messages were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dropped {
    /// For another member, or another incarnation of this one.
    pub misdirected: u64,
    /// Answers from somebody who is no member now.
    pub stranger: u64,
    /// What no correct member sends.
    pub impossible: u64,
    /// Answers to what was asked in an earlier term or role.
    pub outdated: u64,
    /// Entries that came while the disk was full, beyond what is kept in memory.
    pub full: u64,
}

/// Why a message is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Misdirected,
    Stranger,
    Impossible,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.misdirected + self.stranger + self.impossible + self.outdated + self.full
    }

    pub(crate) const fn count(&mut self, reason: Reason) {
        match reason {
            Reason::Misdirected => self.misdirected += 1,
            Reason::Stranger => self.stranger += 1,
            Reason::Impossible => self.impossible += 1,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} term={} leader=", self.me.node, self.role, self.term)?;
        match self.leader {
            Some(leader) => write!(f, "{}", leader.node)?,
            None => write!(f, "-")?,
        }
        write!(f, " log=({}, {}]", self.start, self.last)?;
        write!(f, " durable={} commit={}", self.durable, self.committed)?;
        write!(f, " handed={}", self.handed)?;
        for (node, follower) in &self.followers {
            write!(f, " {node}:{}={}", follower.state, follower.matched)?;
        }
        Ok(())
    }
}

impl Raft {
    /// This core at this moment. O(members).
    #[must_use]
    pub fn status(&self) -> Status {
        let followers = match &self.role {
            Role::Leader(leader) => leader
                .followers
                .iter()
                .map(|(node, progress)| {
                    let (matched, state) = (progress.matched, progress.name());
                    (*node, FollowerStatus { matched, state })
                })
                .collect(),
            _ => BTreeMap::new(),
        };
        Status {
            me: self.core.config.me,
            role: self.role.name(),
            term: self.core.term,
            leader: self.leader(),
            start: self.core.log.start(),
            last: self.core.log.last(),
            durable: self.core.log.durable(),
            committed: self.core.log.committed(),
            handed: self.core.log.handed(),
            followers,
            elections: self.core.elections,
            dropped: self.core.dropped,
        }
    }

    /// Whether the disk had no room for what it was last asked to write, and the write waits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.core.writes.is_full()
    }

    /// The entry at this index, if it has not been handed out to be written, or was refused by a
    /// full disk.
    #[must_use]
    pub fn unwritten(&self, index: Index) -> Option<&Entry> {
        self.core.writes.waiting(index)
    }

    /// This core at this moment, but for its followers. O(1), without an allocation.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let log = &self.core.log;
        Glance {
            role: self.role.name(),
            term: self.core.term,
            leader: self.leader(),
            start: log.start(),
            last: log.last(),
            durable: log.durable(),
            committed: log.committed(),
            handed: log.handed(),
        }
    }

    /// The configuration in force: the latest one in the log, committed or not.
    #[must_use]
    pub fn configuration(&self) -> &crate::Configuration {
        self.core.membership.current()
    }

    /// What a snapshot of the state after `last`, an entry that was applied, stands for.
    #[must_use]
    pub fn snapshot_meta(&self, last: &Entry) -> SnapshotMeta {
        let (configuration_index, configuration) = self.configuration_at(last.id.index);
        SnapshotMeta {
            last: last.id,
            time: last.time,
            configuration: configuration.clone(),
            configuration_index,
        }
    }

    /// The configuration in force at `index`, and the index of the entry that set it: what a
    /// snapshot of the state at `index` has to carry.
    #[must_use]
    pub fn configuration_at(&self, index: Index) -> (Index, &crate::Configuration) {
        let (set_at, configuration) = self.core.membership.at(index);
        (*set_at, configuration)
    }
}
