//! What a core is told when it is made: `Config` (who it is, its time-outs, its limits) and
//! `Restored` (what its disk holds).

use crate::configuration::Configuration;
use crate::progress::Window;
use crate::sending::Pieces;
use crate::snapshot::{Partial, SnapshotMeta};
use crate::types::{Boot, EntryId, HardState, Index, LogTime, MemberId};
use alloc::vec::Vec;
use core::fmt;

/// A core's settings. The same for all members, but for `me`, `boot` and `seed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Who this core speaks for.
    pub me: MemberId,
    /// Which start of the node this is; tells its requests from those of an earlier start.
    pub boot: Boot,
    /// Decides the election time-outs, and nothing else. One seed, one history.
    pub seed: u64,
    /// The shortest election time-out, in ticks; each is drawn from this up to twice this.
    pub election_ticks: u32,
    /// Between two heartbeats of a leader, in ticks. Less than `election_ticks`.
    pub heartbeat_ticks: u32,
    /// The most entries in one [`Outbound::Entries`](crate::Outbound::Entries).
    pub append_entries_max: u64,
    /// The most unanswered appends to one follower.
    pub inflight_appends_max: usize,
    /// The most bytes of entries in appends to one follower that are not answered yet; one entry
    /// may always be under way.
    pub inflight_bytes_max: u64,
    /// The most bytes of entries that are not committed yet: what is proposed beyond is refused.
    pub uncommitted_bytes_max: u64,
    /// The most bytes of a snapshot's data in one message.
    pub snapshot_chunk_bytes: u64,
    /// The most bytes of a snapshot under way to one follower, and the most that a follower has
    /// in hand for its disk. At least one piece may always be.
    pub snapshot_inflight_bytes_max: u64,
    /// How many bytes of entries a leader may take on, and keep, while a follower installs a
    /// snapshot that they follow on, before it drops them and the follower has to start over.
    pub install_log_bytes_max: u64,
    /// The most proposals, and the most reads, passed on to the leader and not answered yet.
    pub forwarded_requests_max: usize,
    /// Whether members ask before they campaign (thesis §9.6), so that one that was cut off does
    /// not disturb the others when it comes back. Needs `check_quorum`: without it a leader that
    /// only some can hear keeps those from electing another, for ever.
    pub pre_vote: Switch,
    /// Whether a leader that hears no majority for an election time-out steps down, and members
    /// that hear a leader take no part in replacing it (thesis §6.2, §4.2.3).
    pub check_quorum: Switch,
    /// After how many ticks an own write that is not durable makes a leader hand over: a disk that
    /// hangs must not hold the cluster by heartbeats. At least `election_ticks`.
    pub stalled_write_ticks: u32,
    /// How many entries a learner may be behind and still count as caught up.
    pub caught_up_entries: u64,
    /// The length of a tick in milliseconds: what leases are measured in.
    pub tick_millis: u64,
    /// By how much the rates of two members' clocks may differ, in thousandths. A lease is that
    /// much shorter than the shortest election time-out. Less than 1000.
    pub clock_drift_permille: u64,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Switch {
    pub(crate) const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

impl Config {
    /// The defaults: with a tick of 10 ms, an election time-out of 150 to 300 ms (paper §5.6) and
    /// a heartbeat every 30 ms.
    #[must_use]
    pub const fn new(me: MemberId, boot: Boot, seed: u64) -> Self {
        Self {
            me,
            boot,
            seed,
            election_ticks: 15,
            heartbeat_ticks: 3,
            append_entries_max: 1024,
            inflight_appends_max: 64,
            inflight_bytes_max: 8 << 20,
            uncommitted_bytes_max: 64 << 20,
            snapshot_chunk_bytes: 256 << 10,
            snapshot_inflight_bytes_max: 1 << 20,
            install_log_bytes_max: 1 << 30,
            forwarded_requests_max: 65_536,
            pre_vote: Switch::On,
            check_quorum: Switch::On,
            stalled_write_ticks: 100,
            caught_up_entries: 128,
            tick_millis: 10,
            clock_drift_permille: 100,
        }
    }

    pub(crate) const fn window(&self) -> Window {
        Window {
            appends_max: self.inflight_appends_max,
            entries_max: self.append_entries_max,
            bytes_max: self.inflight_bytes_max,
        }
    }

    pub(crate) const fn pieces(&self) -> Pieces {
        Pieces {
            bytes_max: self.snapshot_chunk_bytes,
            inflight_max: self.snapshot_inflight_bytes_max,
        }
    }

    /// How long a lease is, in milliseconds.
    pub(crate) const fn lease_millis(&self) -> u64 {
        let patience = (self.election_ticks as u64 - 1).saturating_mul(self.tick_millis);
        let kept = 1000 - self.clock_drift_permille;
        patience / 1000 * kept + patience % 1000 * kept / 1000
    }

    /// Whether the settings can work together.
    ///
    /// # Errors
    /// Names the first setting that can't.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.me.node.0 == 0 {
            return Err(ConfigError::NodeZero);
        }
        if self.heartbeat_ticks == 0 || self.election_ticks <= self.heartbeat_ticks {
            return Err(ConfigError::HeartbeatTooSlow {
                heartbeat_ticks: self.heartbeat_ticks,
                election_ticks: self.election_ticks,
            });
        }
        if self.election_ticks > u32::MAX / 2 {
            return Err(ConfigError::ElectionTooSlow { election_ticks: self.election_ticks });
        }
        if self.append_entries_max == 0
            || self.inflight_appends_max == 0
            || self.snapshot_chunk_bytes == 0
        {
            return Err(ConfigError::NothingMayBeSent);
        }
        if self.pre_vote.is_on() && !self.check_quorum.is_on() {
            return Err(ConfigError::PreVoteAlone);
        }
        if self.stalled_write_ticks < self.election_ticks {
            return Err(ConfigError::StallTooShort {
                stalled_write_ticks: self.stalled_write_ticks,
            });
        }
        if self.tick_millis == 0 || self.clock_drift_permille >= 1000 {
            return Err(ConfigError::NoLease);
        }
        Ok(())
    }
}

/// Why a [`Config`] is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Node ids count from 1.
    NodeZero,
    /// A follower must hear several heartbeats within an election time-out.
    HeartbeatTooSlow {
        /// What was set.
        heartbeat_ticks: u32,
        /// What was set.
        election_ticks: u32,
    },
    /// Twice the time-out must fit 32 bits.
    ElectionTooSlow {
        /// What was set.
        election_ticks: u32,
    },
    /// `append_entries_max`, `inflight_appends_max` or `snapshot_chunk_bytes` is 0.
    NothingMayBeSent,
    /// Pre-votes without check-quorum leave a partitioned cluster without a leader.
    PreVoteAlone,
    /// A write may take an election time-out.
    StallTooShort {
        /// What was set.
        stalled_write_ticks: u32,
    },
    /// `tick_millis` is 0, or clocks would drift apart faster than time passes.
    NoLease,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeZero => write!(f, "node id 0 is reserved; choose one from 1"),
            Self::HeartbeatTooSlow { heartbeat_ticks, election_ticks } => write!(
                f,
                "a heartbeat every {heartbeat_ticks} ticks does not fit an election time-out of \
                 {election_ticks}; choose at least 1 tick, and less than the time-out"
            ),
            Self::ElectionTooSlow { election_ticks } => {
                write!(f, "an election time-out of {election_ticks} ticks is too long; halve it")
            }
            Self::NothingMayBeSent => write!(
                f,
                "append_entries_max, inflight_appends_max and snapshot_chunk_bytes must be at least \
                 1, or nothing is sent"
            ),
            Self::PreVoteAlone => write!(
                f,
                "pre_vote without check_quorum leaves a partitioned cluster without a leader; \
                 switch both on or pre_vote off"
            ),
            Self::StallTooShort { stalled_write_ticks } => write!(
                f,
                "stalled_write_ticks of {stalled_write_ticks} is less than an election time-out; \
                 choose at least election_ticks"
            ),
            Self::NoLease => {
                write!(f, "tick_millis must be at least 1 and clock_drift_permille less than 1000")
            }
        }
    }
}

impl core::error::Error for ConfigError {}

/// What a node's disk holds when it starts; empty for a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Restored {
    /// The latest durable term and vote.
    pub hard_state: HardState,
    /// The log begins after this entry.
    pub start: EntryId,
    /// The first entry of each run of equal terms after `start`, ascending.
    pub terms: Vec<EntryId>,
    /// The last entry; `start` if there is none after it.
    pub last: Index,
    /// The log time of the last entry.
    pub last_time: LogTime,
    /// The configuration entries of the log, ascending.
    pub configurations: Vec<(Index, Configuration)>,
    /// What the log weighs: the entries up to these indexes so many bytes (see
    /// [`Entry::weight`](crate::Entry::weight)), both ascending, from any beginning. What is left
    /// out counts as weightless, so limits in bytes are not kept for it.
    pub weights: Vec<(Index, u64)>,
    /// The snapshot that the state machine was restored from.
    pub snapshot: Option<SnapshotMeta>,
    /// What is kept of a snapshot that had not arrived whole.
    pub receiving: Option<Partial>,
}
