//! What a core is told when it is made: `Config` (who it is, its time-outs, its limits) and
//! `Restored` (what its disk holds).

use crate::configuration::Configuration;
use crate::message::SnapshotMeta;
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
    /// The most proposals, and the most reads, passed on to the leader and not answered yet.
    pub forwarded_requests_max: usize,
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
            forwarded_requests_max: 65_536,
        }
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
        if self.append_entries_max == 0 || self.inflight_appends_max == 0 {
            return Err(ConfigError::NothingMayBeSent);
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
    /// `append_entries_max` or `inflight_appends_max` is 0.
    NothingMayBeSent,
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
                "append_entries_max and inflight_appends_max must be at least 1, or nothing is sent"
            ),
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
    /// The snapshot that the state machine was restored from.
    pub snapshot: Option<SnapshotMeta>,
}
