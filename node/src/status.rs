//! What a node shows of itself: `Status`.

use crate::members::IncarnationNumber;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// This member's number.
    pub node: u64,
    /// Which of this number's data directories it is.
    pub incarnation: IncarnationNumber,
    /// Whether this member has a replicated configuration.
    pub formed: bool,
    /// Which recovery of the cluster that belongs to: 16 hexadecimal digits, zeros if there was
    /// none. Members of two epochs refuse each other. None while it is not formed.
    pub epoch: Option<String>,
    /// `waiting` (an empty storage, to be added), `forming`, `follower`, `pre-candidate`,
    /// `candidate`, `leader` or `stopped`.
    pub role: String,
    /// Its term.
    pub term: u64,
    /// The leader it knows of in that term.
    pub leader: Option<u64>,
    /// Up to which index it knows the log to be committed.
    pub commit: u64,
    /// Up to which index it has applied the log.
    pub applied: u64,
    /// Its log's last index.
    pub last: u64,
    /// The members.
    pub members: Vec<MemberStatus>,
    /// Who has live links to whom: this member, and those of whom it has heard.
    pub links: Vec<LinksStatus>,
    /// Connections refused since it started, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The ids of the secrets that it accepts; it begins connections with the first. None if links
    /// are insecure.
    pub secrets: Vec<String>,
    /// The last index in its newest snapshot, 0 if there is none.
    pub snapshot: u64,
    /// The log's size, in bytes.
    pub log_bytes: u64,
    /// How its disk does.
    pub disk: DiskStatus,
    /// Proposals made here since it started.
    pub proposals: u64,
    /// Elections that it began since it started.
    pub elections: u64,
    /// Messages that its core dropped since it started.
    pub messages_dropped: u64,
    /// Why it stopped, if it did.
    pub stopped: Option<String>,
}

/// How a member's disk does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Whether something is wrong with it.
    pub state: DiskState,
    /// For how long, in milliseconds; 0 if nothing is.
    pub for_ms: u64,
}

/// What may be wrong with a disk that has not failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskState {
    /// Nothing.
    #[default]
    Ok,
    /// A write has not become durable within an election time-out. A leader with such a disk hands
    /// over after four of them.
    Stalled,
    /// It has no room: the member takes no proposals and acknowledges nothing new.
    Full,
}

impl fmt::Display for DiskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            DiskState::Ok => write!(f, "ok"),
            DiskState::Stalled => write!(f, "stalled for {} ms", self.for_ms),
            DiskState::Full => write!(f, "full for {} ms", self.for_ms),
        }
    }
}

/// A member, as another one sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its number.
    pub node: u64,
    /// Its island.
    pub island: String,
    /// Where it accepts the others.
    pub address: Option<String>,
    /// The highest index known to be durable there, as the present leader knows or said last.
    pub matched: Option<u64>,
    /// How many entries it was behind the leader's last then.
    pub trails: Option<u64>,
    /// `self`, `direct` (this member dialled), `inbound` (it did), `via N` (through member N), or
    /// `not connected`, as seen from here.
    pub reached: String,
    /// How many of a million keys it owns, on average, by the committed configuration.
    pub owns_ppm: u32,
    /// The latest time there and back, in microseconds, the way it is reached.
    pub round_trip_us: Option<u64>,
    /// Bytes written to the link with it since start, and those handed to others for it.
    pub sent_bytes: u64,
    /// Bytes received from its link since start, and those that others passed on from it.
    pub received_bytes: u64,
    /// Frames lost since start, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Why the latest attempt to connect or connection ended, in words.
    pub last_error: Option<String>,
}

/// Whom a member has live links to, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinksStatus {
    /// Its number.
    pub node: u64,
    /// The numbers of those at the other ends.
    pub links: Vec<u64>,
}
