//! One other member, as this one knows it: a [`Line`] is the queue of the link to it, the way to it
//! through others, the session with it, and what has been seen of it.

use crate::config::{Limits, Peer};
use crate::connection::Connection;
use crate::queue::{Item, Load, Queue};
use crate::relayed::{Relayed, Sessions};
use crate::status::{Counts, Lost, PeerStatus, Reached, Traffic, Worth};
use crate::transport::Inbound;
use holm_raft_core::{MemberId, NodeId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// Connections accepted from one peer that its link has not dealt with yet.
const ARRIVALS_MAX: usize = 4;

/// A member in one of its starts.
pub(crate) type Who = (MemberId, u64);

/// One other member.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) node: NodeId,
    /// What waits for the link to it.
    pub(crate) queue: Queue,
    /// The session with it through others.
    pub(crate) relayed: Relayed,
    peer: Mutex<Peer>,
    ways: Mutex<Ways>,
    /// Who has been announced as reached. Held while it is announced, so that nothing overtakes.
    announced: tokio::sync::Mutex<Option<Who>>,
    started: Instant,
    seen: Mutex<Seen>,
    inbound: mpsc::Sender<Inbound>,
    /// Where its link takes up what it has dialled.
    arrivals: mpsc::Sender<Connection>,
    /// Wakes its link when something else is known of it.
    anew: Notify,
}

/// How the member is reached at the moment.
#[derive(Debug, Default)]
struct Ways {
    /// When the next ping through others is due.
    ping_at: Duration,
    /// When something came from it through others, or the way began.
    heard_at: Duration,
    /// Over a link of its own.
    link: Option<(Who, Reached)>,
    /// Through another member, where that works.
    via: Option<Via>,
    /// Why the last link ended.
    ended: Option<String>,
}

/// The way to a member through another one.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    /// The member at the end of the way.
    pub(crate) who: Who,
    /// The one that passes on first: there is a link to it.
    pub(crate) next: Arc<Line>,
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

impl Line {
    pub(crate) fn new(
        peer: Peer,
        limits: Limits,
        started: Instant,
        inbound: mpsc::Sender<Inbound>,
    ) -> (Self, mpsc::Receiver<Connection>) {
        let (arrivals, arrived) = mpsc::channel(ARRIVALS_MAX);
        let seen = Seen {
            member: None,
            reached: Reached::Not,
            since: Instant::now(),
            round_trip: None,
            sent: Traffic::default(),
            received: Traffic::default(),
            lost: Counts::default(),
            dials_failed: 0,
            duplicates: 0,
            last_error: None,
        };
        let line = Self {
            node: peer.node,
            queue: Queue::new(limits),
            relayed: Relayed::new(limits),
            peer: Mutex::new(peer),
            ways: Mutex::default(),
            announced: tokio::sync::Mutex::default(),
            started,
            seen: Mutex::new(seen),
            inbound,
            arrivals,
            anew: Notify::new(),
        };
        (line, arrived)
    }

    /// Hands a connection that it has dialled to its link, unless too many wait there.
    pub(crate) fn arrives(&self, connection: Connection) -> Result<(), ()> {
        self.arrivals.try_send(connection).map_err(|_| ())
    }

    /// Until its link is to begin anew.
    pub(crate) async fn begins_anew(&self) {
        self.anew.notified().await;
    }

    /// What is known of it: where it is, who dials, its key.
    pub(crate) fn peer(&self) -> Peer {
        lock(&self.peer).clone()
    }

    /// This is what is known of it now. If that is something else, its link begins anew.
    pub(crate) fn now_is(&self, peer: Peer) {
        let before = std::mem::replace(&mut *lock(&self.peer), peer.clone());
        if before.key != peer.key {
            self.relayed.sessions(|sessions| *sessions = Sessions::default());
        }
        if before != peer {
            self.anew.notify_one();
        }
    }

    /// Queues a load for it: for its link, or else for the way through others.
    pub(crate) fn send(self: &Arc<Self>, load: Load) -> Result<(), Lost> {
        let sent =
            if self.queue.member().is_some() { self.queue.send(load) } else { self.send_via(load) };
        sent.inspect_err(|reason| self.lost(*reason, 1))
    }

    fn send_via(self: &Arc<Self>, load: Load) -> Result<(), Lost> {
        let Via { who: (member, _), next } = self.via().ok_or(Lost::NoLink)?;
        match &load {
            Load::Message(message) if message.to != member => Err(Lost::OtherIncarnation),
            _ => next.queue.send_beyond(load, self),
        }
    }

    /// The way to it through others, if there is one.
    pub(crate) fn via(&self) -> Option<Via> {
        lock(&self.ways).via.clone()
    }

    /// The way to it through others is this now.
    pub(crate) fn goes_via(&self, via: Option<Via>) {
        let mut ways = lock(&self.ways);
        if ways.via.is_none() {
            ways.heard_at = self.started.elapsed();
        }
        ways.via = via;
    }

    /// Something has come from it through others.
    pub(crate) fn heard(&self) {
        lock(&self.ways).heard_at = self.started.elapsed();
    }

    /// Whether nothing has come from it through others for so long, though there is a way.
    pub(crate) fn is_silent(&self, timeout: Duration) -> bool {
        let ways = lock(&self.ways);
        ways.via.is_some() && self.started.elapsed() >= ways.heard_at + timeout
    }

    /// Pings it through others, if that is due; says when the next one is.
    pub(crate) fn ping(&self, interval: Duration, ping: impl FnOnce()) -> Duration {
        let now = self.started.elapsed();
        let mut ways = lock(&self.ways);
        if now >= ways.ping_at {
            ways.ping_at = now + interval;
            ping();
        }
        ways.ping_at
    }

    /// There is a link to it: what is sent from now on waits for that. A session of another start
    /// is over: a relay may have held back what was sealed in it.
    pub(crate) fn linked(&self, who: Who, reached: Reached) {
        self.relayed.sessions(|sessions| sessions.keep_only(who));
        let mut ways = lock(&self.ways);
        ways.link = Some((who, reached));
        self.queue.open(who.0);
    }

    /// There is no link to it any more. Returns what is lost by that.
    pub(crate) fn unlinked(&self, why: String) -> Vec<Item> {
        {
            let mut ways = lock(&self.ways);
            (ways.link, ways.ended) = (None, Some(why));
        }
        let lost = self.queue.close();
        for item in &lost {
            item.beyond.as_deref().unwrap_or(self).lost(Lost::LinkEnded, 1);
        }
        lost
    }

    /// Announces who is reached, if that has changed: the link counts before the way through
    /// others.
    pub(crate) async fn announce(&self) {
        let mut announced = self.announced.lock().await;
        let (now, reached, ended) = {
            let ways = lock(&self.ways);
            let via = ways.via.as_ref().map(|via| (via.who, Reached::Via(via.next.node)));
            let now = ways.link.or(via);
            let reached = now.map_or(Reached::Not, |(_, reached)| reached);
            (now.map(|(who, _)| who), reached, ways.ended.clone())
        };
        if *announced != now {
            if let Some((peer, _)) = announced.take() {
                let why = ended.unwrap_or_else(|| "no member passes on to it any more".into());
                tracing::info!(%peer, "not reached any more: {why}");
                self.seen().last_error = Some(why);
                self.hand_up(Inbound::Down { peer }).await;
            }
            if let Some((peer, start)) = now {
                tracing::info!(%peer, start, ?reached, "reached");
                self.hand_up(Inbound::Up { peer }).await;
            }
            *announced = now;
        }
        self.reached(now.map(|(member, _)| member), reached);
    }

    /// Unlike frames, this must not be lost, so it waits for room, and whoever announces with it.
    async fn hand_up(&self, inbound: Inbound) {
        // Nobody listens any more: the transport is about to be dropped.
        let _ = self.inbound.send(inbound).await;
    }

    /// Hands a frame up, or loses it when too many wait already.
    pub(crate) fn deliver(&self, inbound: Inbound) {
        match self.inbound.try_send(inbound) {
            // Nobody listens any more: the transport is about to be dropped.
            Ok(()) | Err(TrySendError::Closed(_)) => (),
            Err(TrySendError::Full(_)) => self.lost(Lost::InboundFull, 1),
        }
    }

    /// Counts lost frames and, at times, logs them.
    pub(crate) fn lost(&self, reason: Lost, frames: usize) {
        let frames = u64::try_from(frames).unwrap_or(u64::MAX);
        if let Worth::Line(total) = self.seen().lost.count(reason, frames) {
            let (peer, name) = (self.node.0, reason.name());
            if reason.is_hostile() {
                tracing::warn!(peer, reason = name, total, "frames lost: {reason}");
            } else {
                tracing::debug!(peer, reason = name, total, "frames lost: {reason}");
            }
        }
    }

    fn reached(&self, member: Option<MemberId>, reached: Reached) {
        let mut seen = self.seen();
        if (seen.member, seen.reached) != (member, reached) {
            if let Some(peer) = member.filter(|peer| Some(*peer) == seen.member) {
                tracing::debug!(%peer, ?reached, "reached another way");
            }
            (seen.since, seen.round_trip) = (Instant::now(), None);
            (seen.member, seen.reached) = (member, reached);
        }
    }

    pub(crate) fn sent(&self, frames: usize, bytes: usize) {
        self.seen().sent.add(frames, bytes);
    }

    pub(crate) fn received(&self, frames: usize, bytes: usize) {
        self.seen().received.add(frames, bytes);
    }

    /// What pings are stamped with: the microseconds since this transport started.
    pub(crate) fn stamp(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A ping stamped so came back. A stamp from the future is none of ours.
    pub(crate) fn pong(&self, stamp: u64) {
        if let Some(time) = self.started.elapsed().checked_sub(Duration::from_micros(stamp)) {
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

    pub(crate) fn status(&self) -> PeerStatus {
        let seen = self.seen();
        PeerStatus {
            node: self.node,
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
        lock(&self.seen)
    }
}

/// A panic elsewhere is reported there, and leaves what it held usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traffic {
    fn add(&mut self, frames: usize, bytes: usize) {
        self.frames += u64::try_from(frames).unwrap_or(u64::MAX);
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
}
