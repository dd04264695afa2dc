//! What the tasks of a transport share: `Shared`, who this member is and what it must keep to;
//! and for each peer a `PeerLine`, its queue and what has been seen of it.

use crate::config::{Limits, Peer, Timing};
use crate::queue::Queue;
use crate::status::{Counts, Lost, PeerStatus, Reached, Refusal, Traffic, Worth};
use crate::transport::Inbound;
use bytes::Bytes;
use holm_raft_core::{MemberId, Message, NodeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

/// What all tasks of a transport share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: String,
    pub(crate) me: MemberId,
    /// Names this start: a peer that meets another number knows that the old connections are dead.
    pub(crate) start: u64,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
    pub(crate) peers: BTreeMap<NodeId, Arc<PeerLine>>,
    pub(crate) refused: Mutex<Counts<Refusal>>,
}

/// One peer's queue, and what has been seen of it.
#[derive(Debug)]
pub(crate) struct PeerLine {
    pub(crate) peer: Peer,
    pub(crate) queue: Queue,
    started: Instant,
    seen: Mutex<Seen>,
    inbound: mpsc::Sender<Inbound>,
}

#[derive(Debug)]
struct Seen {
    member: Option<MemberId>,
    reached: Reached,
    since: Instant,
    round_trip: Option<Duration>,
    sent: Traffic,
    received: Traffic,
    lost: Counts<Lost>,
    dials_failed: u64,
    duplicates: u64,
    last_error: Option<String>,
}

impl Shared {
    /// Counts a refused connection and, at times, logs it.
    pub(crate) fn refuse(&self, whom: &str, why: Refusal, detail: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Worth::Line(total) = refused.count(why, 1) {
            let reason = why.name();
            tracing::warn!(whom, reason, total, "connection refused: {detail}");
        }
    }
}

impl PeerLine {
    pub(crate) fn new(peer: Peer, limits: Limits, inbound: mpsc::Sender<Inbound>) -> Self {
        let started = Instant::now();
        let seen = Seen {
            member: None,
            reached: Reached::Not,
            since: started,
            round_trip: None,
            sent: Traffic::default(),
            received: Traffic::default(),
            lost: Counts::default(),
            dials_failed: 0,
            duplicates: 0,
            last_error: None,
        };
        Self { peer, queue: Queue::new(limits), started, seen: Mutex::new(seen), inbound }
    }

    pub(crate) fn send(&self, message: &Message) -> Result<(), Lost> {
        self.queue.send(message).inspect_err(|reason| self.lost(*reason, 1))
    }

    pub(crate) fn tell(&self, note: Bytes) -> Result<(), Lost> {
        self.queue.tell(note).inspect_err(|reason| self.lost(*reason, 1))
    }

    /// Hands a frame up, or loses it when too many wait already.
    pub(crate) fn deliver(&self, inbound: Inbound) {
        match self.inbound.try_send(inbound) {
            // Nobody listens any more: the transport is about to be dropped.
            Ok(()) | Err(TrySendError::Closed(_)) => (),
            Err(TrySendError::Full(_)) => self.lost(Lost::InboundFull, 1),
        }
    }

    /// Hands up that the link came or went. Unlike frames this must not be lost, so it waits for
    /// room, and this peer's link with it.
    pub(crate) async fn announce(&self, inbound: Inbound) {
        // Nobody listens any more: the transport is about to be dropped.
        let _ = self.inbound.send(inbound).await;
    }

    /// Counts lost frames and, at times, logs them.
    pub(crate) fn lost(&self, reason: Lost, frames: usize) {
        let frames = u64::try_from(frames).unwrap_or(u64::MAX);
        if let Worth::Line(total) = self.seen().lost.count(reason, frames) {
            let (peer, name) = (self.peer.node.0, reason.name());
            tracing::debug!(peer, reason = name, total, "frames lost: {reason}");
        }
    }

    pub(crate) fn reached(&self, member: Option<MemberId>, reached: Reached) {
        let mut seen = self.seen();
        if (seen.member, seen.reached) != (member, reached) {
            seen.since = Instant::now();
        }
        (seen.member, seen.reached, seen.round_trip) = (member, reached, None);
    }

    pub(crate) fn sent(&self, frames: usize, bytes: usize) {
        self.seen().sent.add(frames, bytes);
    }

    pub(crate) fn received(&self, frames: usize, bytes: usize) {
        self.seen().received.add(frames, bytes);
    }

    /// What pings are stamped with: the time since this transport started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// A ping stamped so came back. A stamp from the future is none of ours.
    pub(crate) fn pong(&self, stamp: Duration) {
        if let Some(time) = self.age().checked_sub(stamp) {
            self.seen().round_trip = Some(time);
        }
    }

    pub(crate) fn duplicate(&self) {
        self.seen().duplicates += 1;
    }

    pub(crate) fn dial_failed(&self, why: String) {
        let mut seen = self.seen();
        seen.dials_failed += 1;
        seen.last_error = Some(why);
    }

    pub(crate) fn ended(&self, why: String) {
        self.seen().last_error = Some(why);
    }

    pub(crate) fn status(&self) -> PeerStatus {
        let seen = self.seen();
        PeerStatus {
            node: self.peer.node,
            member: seen.member,
            reached: seen.reached,
            held: seen.since.elapsed(),
            round_trip: seen.round_trip,
            sent: seen.sent,
            received: seen.received,
            lost: seen.lost.by_reason(),
            dials_failed: seen.dials_failed,
            duplicates: seen.duplicates,
            last_error: seen.last_error.clone(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traffic {
    fn add(&mut self, frames: usize, bytes: usize) {
        self.frames += u64::try_from(frames).unwrap_or(u64::MAX);
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
}
