//! What a node shows of itself: `Status`.

use serde::{Deserialize, Serialize};

/// A node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// This member's number.
    pub node: u64,
    /// Whether this member has a replicated configuration.
    pub formed: bool,
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
    /// The last index in its newest snapshot, 0 if there is none.
    pub snapshot: u64,
    /// The log's size, in bytes.
    pub log_bytes: u64,
    /// Proposals made here since it started.
    pub proposals: u64,
    /// Elections that it began since it started.
    pub elections: u64,
    /// Messages that its core dropped since it started.
    pub messages_dropped: u64,
    /// Why it stopped, if it did.
    pub stopped: Option<String>,
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
    /// `self`, `direct`, `inbound` or `not connected`, as seen from here.
    pub reached: String,
}
