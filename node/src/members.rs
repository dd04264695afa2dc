//! Who belongs to a cluster, and how that changes while it runs: [`Members`] as they are at one
//! moment, each [`Change`] of them, and why one is refused ([`Refusal`]). What is done with them is
//! in `driver/membership.rs`.

use crate::error::Error;
use crate::member_info::{MemberInfo, Unknown};
use crate::topology;
use holm_raft_core::{self as raft, Incarnation, Index, MemberId, NodeId};
use holm_transport::Epoch;
use holm_transport::PublicKey;
use holm_wal::Lasts;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// The members at one moment, as the configuration in force names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The index of the log at which they were set: what [`ChangeOptions::expect`] compares. 0: no
    /// cluster has been formed.
    pub index: u64,
    /// Who leads, as far as the asked member knows.
    pub leader: Option<u64>,
    /// All of them, in the order of their numbers.
    pub members: Vec<Member>,
}

/// A member, as the configuration names it and the asked member sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub node: u64,
    /// Which of this number's data directories it is.
    pub incarnation: IncarnationNumber,
    /// What it may do.
    pub standing: Standing,
    /// Its island.
    pub island: String,
    /// Where it accepts the others; none if it only dials.
    pub address: Option<String>,
    /// Whether it passes on what others send each other.
    pub relay: bool,
    /// How many keys it owns, next to the others ([`rendezvous`](crate::rendezvous)).
    pub weight: u16,
    /// What is left of it after a restart.
    pub storage: StorageKind,
    /// The key by which it is known; none where links are insecure.
    pub key: Option<PublicKey>,
    /// The highest index known to be durable there, as the leader knows or said last.
    pub matched: Option<u64>,
    /// How many entries that is behind the leader's last.
    pub trails: Option<u64>,
    /// `self`, `direct`, `inbound`, `via N` or `not connected`, as seen from the asked member.
    pub reached: String,
    /// For how many milliseconds that has been so.
    pub reached_for_ms: u64,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Votes; its durable entries count.
    Voter,
    /// Votes in the new half of a joint configuration: it comes in.
    Incoming,
    /// Votes in the old half of a joint configuration: it goes.
    Outgoing,
    /// Votes in the old half of a joint configuration: it becomes a learner.
    Demoted,
    /// Receives the log, and does not vote until it is promoted.
    Learner,
    /// A learner that becomes a voter by itself, as soon as it has caught up.
    Joining,
}

/// What is left of a member after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// Its log, in a data directory: it goes on as the same incarnation.
    #[default]
    Disk,
    /// Nothing: it is another incarnation, and the leader gives it the place of the one before, as
    /// a learner that votes again once it has caught up.
    Memory,
}

/// An incarnation as people and JSON see it: 16 hexadecimal digits, since a number of 64 bits does
/// not survive every reader of JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncarnationNumber(pub u64);

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A new member. It is a learner at first.
    Add {
        /// Who.
        new: NewMember,
        /// Whether it becomes a voter.
        votes: Votes,
    },
    /// A learner that has caught up votes from now on.
    Promote {
        /// Its number.
        node: u64,
    },
    /// A voter is a learner from now on. A leader hands over once this is committed.
    Demote {
        /// Its number.
        node: u64,
    },
    /// Is no member any more, and stops with [`Stop::Removed`](crate::Stop::Removed). A leader
    /// leaves once its own removal is committed.
    Remove {
        /// Its number.
        node: u64,
    },
    /// Another incarnation of a member takes its place, with all that is said of it here. It is a
    /// learner first, and votes as soon as it has caught up. With the incarnation that is there,
    /// what is said of it changes (address, island, relay, weight), and nothing else.
    Replace {
        /// The new incarnation, and what is said of it from now on.
        new: NewMember,
    },
    /// The incarnation in which this member is connected to the leader takes the place of the
    /// configured one, known by the same key and address: a member whose disk was wiped. It is a
    /// learner first, and votes as soon as it has caught up.
    Readmit {
        /// Its number.
        node: u64,
    },
}

/// A member that comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Sent", try_from = "Sent")]
pub struct NewMember {
    /// The incarnation that its data directory was made with: its log names it at each start while
    /// it waits, and its status.
    pub incarnation: IncarnationNumber,
    /// Who and where it is; all but its number can be another than before.
    pub member: topology::Member,
    /// What is left of it after a restart.
    pub storage: StorageKind,
}

/// A new member on its way to the leader.
#[derive(Serialize, Deserialize)]
struct Sent {
    node: u64,
    incarnation: u64,
    info: Vec<u8>,
}

impl From<NewMember> for Sent {
    fn from(new: NewMember) -> Self {
        let info = new.info().encode().into();
        Self { node: new.member.id, incarnation: new.incarnation.0, info }
    }
}

impl TryFrom<Sent> for NewMember {
    type Error = Unknown;

    fn try_from(sent: Sent) -> Result<Self, Unknown> {
        let info = MemberInfo::decode(&sent.info)?;
        let (storage, member) = (info.storage, info.placed(sent.node));
        Ok(Self { incarnation: IncarnationNumber(sent.incarnation), member, storage })
    }
}

/// Whether a new member becomes a voter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Votes {
    /// As soon as it has caught up.
    #[default]
    OnceCaughtUp,
    /// Only when it is promoted.
    WhenPromoted,
}

/// How a change is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeOptions {
    /// Only if the members are those that were set at this index: [`Members::index`]. `None`:
    /// whichever they are.
    pub expect: Option<Index>,
    /// What is refused otherwise and is to be done all the same.
    pub allow: Vec<Risk>,
    /// How long to wait. `None`: [`Config::request_timeout`](crate::Config::request_timeout).
    pub timeout: Option<Duration>,
}

/// What a change is refused for unless it is said that it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Risk {
    /// Afterwards the voters that can be reached would be no majority: nothing could be committed,
    /// not even a change back.
    NoQuorum,
    /// Afterwards most voters would keep nothing over a restart: when so many of them restart
    /// together, what was acknowledged is lost, and only a recovery helps.
    MemoryMajority,
}

/// Why a change was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The members are others than those expected.
    #[error("the members were changed at index {now}; list them again, and expect that index")]
    Moved {
        /// Where they were set.
        now: u64,
    },
    /// A change is under way: one at a time.
    #[error("another change is under way; wait until it is committed, and list the members again")]
    Pending,
    /// There is no such member.
    #[error("there is no member {node}; list the members, and name one of them")]
    Unknown {
        /// Who was named.
        node: u64,
    },
    /// It is a member already.
    #[error("member {node} is one already; replace it, or choose another number")]
    Already {
        /// Who was named.
        node: u64,
    },
    /// It is what it would become.
    #[error("member {node} is a {} already; there is nothing to change", standing.name())]
    Nothing {
        /// Who was named.
        node: u64,
        /// What it is.
        standing: Standing,
    },
    /// An incarnation keeps its key and its storage.
    #[error(
        "member {node} keeps its key, and its disk or memory, for as long as it is the same \
         incarnation; start it on an empty directory, and replace it by that incarnation"
    )]
    Fixed {
        /// Who was named.
        node: u64,
    },
    /// Nobody would vote.
    #[error("member {node} is the last voter; promote another one first")]
    LastVoter {
        /// Who was named.
        node: u64,
    },
    /// Too few voters would be reached.
    #[error(
        "that would leave {reached} of {voters} voters reachable, which is no majority; start those \
         that are down (members {missing:?}) or remove them first, or force it"
    )]
    NoQuorum {
        /// How many the leader reaches, itself included.
        reached: usize,
        /// How many there would be.
        voters: usize,
        /// Those that are not reached.
        missing: Vec<u64>,
    },
    /// Most voters would keep nothing over a restart.
    #[error(
        "that would make {memory} of {voters} voters keep nothing over a restart; give one of them \
         a disk, or allow a majority in memory"
    )]
    MemoryMajority {
        /// How many keep nothing.
        memory: usize,
        /// How many there would be.
        voters: usize,
    },
    /// It does not hold enough of the log to vote.
    #[error(
        "member {node} has not caught up, and could not vote yet; wait until it trails the leader \
         by little"
    )]
    Behind {
        /// Who was named.
        node: u64,
    },
    /// Nobody of this number but the configured incarnation is connected.
    #[error(
        "member {node} is not connected in another incarnation than the configured one; start it \
         on an empty directory first, or say its new incarnation"
    )]
    NotThere {
        /// Who was named.
        node: u64,
    },
    /// The members would contradict each other.
    #[error("the members would contradict each other: {why}")]
    Contradiction {
        /// What is wrong, and the mend.
        why: String,
    },
    /// It can't lead, since it does not vote.
    #[error("member {node} is a {} and can't lead; promote it first", standing.name())]
    NoVoter {
        /// Who was named.
        node: u64,
        /// What it is.
        standing: Standing,
    },
    /// There is no other voter to lead.
    #[error("member {node} leads, and no other voter can; add or start one first")]
    Alone {
        /// The leader.
        node: u64,
    },
    /// The next leader has not taken over.
    #[error(
        "member {to} did not take over; is it up, and has it caught up? List the members and try \
         again"
    )]
    NotTakenOver {
        /// Who was to lead.
        to: u64,
    },
}

/// Why the members are what they were, or may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// It was refused: nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node could not do it. With [`Error::Unknown`] the change may still take effect: list the
    /// members before it is asked for again.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What is asked of the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    Change {
        change: Change,
        /// Only if the members are those that were set at this index.
        expect: u64,
        allow: Vec<Risk>,
        attempt: Attempt,
    },
    /// Hands over; to whoever is best, if nobody is named.
    Transfer { to: Option<u64> },
}

/// Whether the same was asked before, and may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Attempt {
    First,
    Again,
}

/// What the leader answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// It is committed, at this index.
    Changed { index: u64 },
    /// Leadership is being handed over.
    Transferring { from: u64, to: u64 },
    /// Not done, and never will be.
    Refused(Refusal),
    /// Not begun; it can be asked again.
    NotBegun,
    /// It may or may not be done.
    Unclear,
}

impl Change {
    /// Whom it is about.
    #[must_use]
    pub const fn node(&self) -> u64 {
        match self {
            Self::Add { new, .. } | Self::Replace { new } => new.member.id,
            Self::Promote { node }
            | Self::Demote { node }
            | Self::Remove { node }
            | Self::Readmit { node } => *node,
        }
    }
}

impl NewMember {
    pub(crate) fn id(&self) -> MemberId {
        MemberId::new(NodeId(self.member.id), Incarnation(self.incarnation.0))
    }

    pub(crate) fn info(&self) -> MemberInfo {
        MemberInfo { storage: self.storage, ..MemberInfo::from(&self.member) }
    }

    /// As a configuration of this epoch has it.
    pub(crate) fn configured(&self, epoch: Epoch) -> raft::Member {
        let info = MemberInfo { epoch: epoch.0, ..self.info() };
        raft::Member { id: self.id(), info: info.encode() }
    }
}

impl Member {
    /// What the configuration says of it, but for the epoch.
    pub(crate) fn info(&self) -> MemberInfo {
        MemberInfo {
            address: self.address.clone(),
            island: self.island.clone(),
            key: self.key,
            relay: self.relay,
            weight: self.weight,
            storage: self.storage,
            epoch: 0,
        }
    }
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Incoming => "incoming voter",
            Self::Outgoing => "outgoing voter",
            Self::Demoted => "voter that becomes a learner",
            Self::Learner => "learner",
            Self::Joining => "joining learner",
        }
    }
}

impl From<raft::Standing> for Standing {
    fn from(standing: raft::Standing) -> Self {
        match standing {
            raft::Standing::Voter => Self::Voter,
            raft::Standing::Incoming => Self::Incoming,
            raft::Standing::Outgoing => Self::Outgoing,
            raft::Standing::Demoted => Self::Demoted,
            raft::Standing::Learner => Self::Learner,
            raft::Standing::Joining => Self::Joining,
        }
    }
}

impl From<Lasts> for StorageKind {
    fn from(lasts: Lasts) -> Self {
        match lasts {
            Lasts::ForGood => Self::Disk,
            Lasts::AsLongAsTheProcess => Self::Memory,
        }
    }
}

impl fmt::Display for IncarnationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for IncarnationNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        let wrong = || format!("`{text}` is no incarnation; copy the 16 hexadecimal digits of one");
        number.map(Self).ok_or_else(wrong)
    }
}

impl Serialize for IncarnationNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IncarnationNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
