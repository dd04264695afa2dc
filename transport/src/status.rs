//! What a transport shows: `PeerStatus`, and the reasons for which frames are `Lost` and
//! connections refused (`Refusal`).

use crate::frame::FrameError;
use holm_raft_core::{MemberId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How it stands with one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub node: NodeId,
    /// The incarnation it is in, while it is reached.
    pub member: Option<MemberId>,
    /// How it is reached.
    pub reached: Reached,
    /// For how long `reached` has been as it is.
    pub held: Duration,
    /// The latest ping's time there and back, the way it is reached.
    pub round_trip: Option<Duration>,
    /// What was written to its link since start, also what it was to pass on; and what was put
    /// into the links of others for it.
    pub sent: Traffic,
    /// What was received from its link since start, or through others.
    pub received: Traffic,
    /// Frames lost since start, by reason; a reason that never occurred is absent.
    pub lost: BTreeMap<Lost, u64>,
    /// Dials that failed since start.
    pub dials_failed: u64,
    /// Connections closed since start because another one to the same peer stood.
    pub duplicates: u64,
    /// Why the latest dial or connection ended, in words.
    pub last_error: Option<String>,
}

/// How a peer is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reached {
    /// Over a connection that this member dialled.
    Direct,
    /// Over a connection that the peer dialled.
    Inbound,
    /// Through other members, of which this is the next: there is no link of its own.
    Via(NodeId),
    /// Not at all.
    #[default]
    Not,
}

/// An amount that went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames of all kinds.
    pub frames: u64,
    /// Their bytes, heads included.
    pub bytes: u64,
}

/// Whom one member has live links to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// The member.
    pub node: NodeId,
    /// Whom it has live links to, as it says.
    pub links: BTreeSet<NodeId>,
    /// How long ago it said so; nothing for this member itself.
    pub age: Option<Duration>,
}

/// Why a message or a note was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Lost {
    /// No such peer was given at start. Counted nowhere but with the caller.
    #[error("the peer is unknown to this transport; list it at start")]
    Unknown,
    /// The peer is not reached at the moment.
    #[error("no way to the peer; it is being dialled, or waited for")]
    NoLink,
    /// The peer is reached in another incarnation than the one addressed.
    #[error("the peer is there in another incarnation than the one addressed")]
    OtherIncarnation,
    /// Too much waits for the peer already.
    #[error("the peer's queue is full; it takes frames more slowly than they are sent")]
    QueueFull,
    /// The frame or note would be longer than the limits allow.
    #[error("longer than frame_bytes_max or note_bytes_max; raise it on all members")]
    TooLong,
    /// The connection ended while the frame waited or was being written.
    #[error("the connection ended before the frame was written")]
    LinkEnded,
    /// Received, but too much waited already to be taken from the transport.
    #[error("received, but inbound_frames_max frames waited already")]
    InboundFull,
    /// Received, but not from the connection's member, or not for this one.
    #[error("received, but not from the member at the other end, or not for this member")]
    Misaddressed,
    /// Received, but no message this build knows, or a frame out of place.
    #[error("received, but not understood; do both ends run the same version?")]
    Malformed,
    /// Received in pieces, of which one was missing.
    #[error("received in pieces, and one was missing")]
    Gap,
    /// Received, but its checksum or its seal does not vouch for it.
    #[error("received, but altered on its way; is somebody in between?")]
    Tampered,
    /// Received a second time.
    #[error("received a second time, or too late to know; is somebody in between?")]
    Repeated,
    /// Received through others, in a session that is over or not there yet.
    #[error("received through others, but there is no such session with its sender")]
    NoSession,
    /// To be passed on, but more members have done so already than may.
    #[error("not passed on: it has been passed on as often as it may")]
    HopsUsedUp,
    /// To be passed on, but this member passes nothing on.
    #[error("not passed on: this member passes nothing on (`relay = false`)")]
    RelayingOff,
    /// To be passed on, but there is no way, or only back.
    #[error("not passed on: there is no way to the member it is for")]
    NoWay,
    /// To be passed on, but these two members have had their share.
    #[error("not passed on: these two members send more than relay_bytes_per_second")]
    OverRate,
}

impl Lost {
    /// The reason in snake case, as a label of a metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NoLink => "no_link",
            Self::OtherIncarnation => "other_incarnation",
            Self::QueueFull => "queue_full",
            Self::TooLong => "too_long",
            Self::LinkEnded => "link_ended",
            Self::InboundFull => "inbound_full",
            Self::Misaddressed => "misaddressed",
            Self::Malformed => "malformed",
            Self::Gap => "gap",
            Self::Tampered => "tampered",
            Self::Repeated => "repeated",
            Self::NoSession => "no_session",
            Self::HopsUsedUp => "hops_used_up",
            Self::RelayingOff => "relaying_off",
            Self::NoWay => "no_way",
            Self::OverRate => "over_rate",
        }
    }

    /// Whether no accident explains it, so that somebody should hear of it.
    pub(crate) const fn is_hostile(self) -> bool {
        matches!(self, Self::Tampered | Self::Repeated | Self::Misaddressed | Self::Malformed)
    }

    /// What a frame that is none counts as.
    pub(crate) const fn of(error: &FrameError) -> Self {
        match error {
            FrameError::Tampered | FrameError::Checksum { .. } => Self::Tampered,
            _ => Self::Malformed,
        }
    }
}

/// Why a connection was refused before it counted as a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// What it sent is no hello.
    Garbage,
    /// It speaks another version.
    Version,
    /// It belongs to another cluster.
    Cluster,
    /// It was left behind when the cluster was recovered, or this member was.
    Epoch,
    /// It wanted another member.
    Destination,
    /// It says it is a member that is not among the peers.
    Stranger,
    /// It ended, or said nothing for too long, before its hello.
    Silent,
    /// It was the oldest of too many whose ends don't know each other yet, or came too often.
    Crowded,
    /// Its peer's earlier connections were not dealt with yet.
    Busy,
    /// One end's links are sealed, the other's are not.
    Security,
    /// It does not know the cluster's secret.
    Secret,
    /// It shows another key than the member it says it is.
    Key,
    /// What it said was altered on its way.
    Tampered,
}

impl Refusal {
    /// The reason in snake case, as a label of a metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Version => "version",
            Self::Cluster => "cluster",
            Self::Epoch => "epoch",
            Self::Destination => "destination",
            Self::Stranger => "stranger",
            Self::Silent => "silent",
            Self::Crowded => "crowded",
            Self::Busy => "busy",
            Self::Security => "security",
            Self::Secret => "secret",
            Self::Key => "key",
            Self::Tampered => "tampered",
        }
    }
}

/// Counts by reason.
#[derive(Clone, Debug)]
pub(crate) struct Counts<R>(BTreeMap<R, u64>);

impl<R: Ord> Default for Counts<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Ord + Copy> Counts<R> {
    /// Counts `by` more, and says whether this is worth a line in the log: the first is, then the
    /// one at which the count has doubled, so that nobody can fill the log.
    pub(crate) fn count(&mut self, reason: R, by: u64) -> Worth {
        if by == 0 {
            return Worth::Nothing;
        }
        let total = self.0.entry(reason).or_default();
        let before = *total;
        *total += by;
        if before == 0 || before.ilog2() < total.ilog2() {
            Worth::Line(*total)
        } else {
            Worth::Nothing
        }
    }

    pub(crate) fn by_reason(&self) -> BTreeMap<R, u64> {
        self.0.clone()
    }
}

/// What a count is worth in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// A line that names the total so far.
    Line(u64),
    /// Nothing.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_logged_at_the_first_and_whenever_it_has_doubled() {
        let mut counts = Counts::default();
        let lines: Vec<u64> =
            (1..=100).filter(|_| counts.count(Refusal::Garbage, 1) != Worth::Nothing).collect();
        assert_eq!(lines, [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(counts.by_reason(), BTreeMap::from([(Refusal::Garbage, 100)]));
    }
}
