//! What waits to be written on one peer's link: a [`Queue`] of bounded lanes. Urgent items overtake
//! all others; what this member passes on for others has lanes of its own, so that neither starves
//! the other.

use crate::config::Limits;
use crate::frame::{Head, Kind, OVERHEAD_BYTES_MAX};
use crate::line::Line;
use crate::message::{self, Class};
use crate::status::Lost;
use bytes::Bytes;
use holm_raft_core::{MemberId, Message};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What waits to be written on one link. Empty while there is none.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// Something to be written.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) load: Load,
    /// Who it is for, where that is not the other end of the link.
    pub(crate) beyond: Option<Arc<Line>>,
}

/// What an item carries.
#[derive(Debug)]
pub(crate) enum Load {
    /// A message of the core; its data is shared, not copied, until it is written.
    Message(Message),
    /// A note of the node above.
    Note(Bytes),
    /// A number: a ping, a pong, or the welcome to a session.
    Word(Kind, u64),
    /// Finished bytes, for the other end itself or to be passed on.
    Frame(Head, Bytes),
}

/// Which lane an item waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Small, and awaited.
    Urgent,
    /// In the order in which it was sent.
    Bulk,
    /// Held back to a rate.
    Snapshots,
    /// From others and for others, small and awaited.
    UrgentTransit,
    /// From others and for others.
    Transit,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The member at the other end.
    member: Option<MemberId>,
    /// Only the latest ping is answered, so that a flood of them queues nothing.
    pong: Option<u64>,
    lanes: [Items; 5],
}

/// One lane: its items, and their bytes.
#[derive(Debug, Default)]
struct Items {
    items: VecDeque<(Item, usize)>,
    bytes: usize,
}

impl Load {
    /// The lane it waits in, and how many bytes it takes there.
    fn measure(&self, limits: &Limits) -> Result<(Lane, usize), Lost> {
        let (lane, bytes, most) = match self {
            Self::Message(message) => {
                let lane = match message::class(&message.body) {
                    Class::Urgent => Lane::Urgent,
                    Class::Bulk => Lane::Bulk,
                    Class::Snapshot => Lane::Snapshots,
                };
                (lane, message::length(message), limits.message_bytes_max)
            }
            Self::Note(note) => (Lane::Bulk, note.len(), limits.note_bytes_max),
            Self::Word(..) => (Lane::Urgent, size_of::<u64>(), usize::MAX),
            Self::Frame(_, body) => (Lane::Urgent, body.len(), limits.frame_bytes_max),
        };
        if bytes > most { Err(Lost::TooLong) } else { Ok((lane, bytes + OVERHEAD_BYTES_MAX)) }
    }
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, waiting: Mutex::default(), wake: Notify::new() }
    }

    /// Queues what is for the other end of the link, or says why it is lost. A message is for one
    /// incarnation; all else is for whichever is there.
    pub(crate) fn send(&self, load: Load) -> Result<(), Lost> {
        let (lane, bytes) = load.measure(&self.limits)?;
        let mut waiting = self.lock();
        let member = waiting.member.ok_or(Lost::NoLink)?;
        match &load {
            Load::Message(message) if message.to != member => Err(Lost::OtherIncarnation),
            _ => self.push(&mut waiting, lane, Item { load, beyond: None }, bytes),
        }
    }

    /// Queues what is for a member beyond the other end.
    pub(crate) fn send_beyond(&self, load: Load, beyond: &Arc<Line>) -> Result<(), Lost> {
        let (lane, bytes) = load.measure(&self.limits)?;
        let item = Item { load, beyond: Some(Arc::clone(beyond)) };
        self.push_if_linked(lane, item, bytes)
    }

    /// Queues what is from another member and for another member.
    pub(crate) fn pass_on(&self, lane: Lane, head: Head, body: Bytes) -> Result<(), Lost> {
        let bytes = body.len() + OVERHEAD_BYTES_MAX;
        self.push_if_linked(lane, Item { load: Load::Frame(head, body), beyond: None }, bytes)
    }

    fn push_if_linked(&self, lane: Lane, item: Item, bytes: usize) -> Result<(), Lost> {
        let mut waiting = self.lock();
        waiting.member.ok_or(Lost::NoLink)?;
        self.push(&mut waiting, lane, item, bytes)
    }

    fn push(
        &self,
        waiting: &mut Waiting,
        lane: Lane,
        item: Item,
        bytes: usize,
    ) -> Result<(), Lost> {
        let items = waiting.lane(lane);
        let fits = items.bytes.saturating_add(bytes) <= self.limits.queue_bytes_max;
        if items.items.len() >= self.limits.queue_frames_max || !fits {
            return Err(Lost::QueueFull);
        }
        items.bytes += bytes;
        items.items.push_back((item, bytes));
        self.wake.notify_one();
        Ok(())
    }

    /// Has this ping answered before all else.
    pub(crate) fn answer(&self, ping: u64) {
        self.lock().pong = Some(ping);
        self.wake.notify_one();
    }

    /// There is a link to this member: what is sent from now on waits for it.
    pub(crate) fn open(&self, member: MemberId) {
        self.lock().member = Some(member);
    }

    /// The member at the other end, while there is a link.
    pub(crate) fn member(&self) -> Option<MemberId> {
        self.lock().member
    }

    /// There is no link any more. Returns what is lost by that.
    pub(crate) fn close(&self) -> Vec<Item> {
        let waiting = std::mem::take(&mut *self.lock());
        let lanes = waiting.lanes.into_iter();
        lanes.flat_map(|lane| lane.items).map(|(item, _)| item).collect()
    }

    /// Until something waits in one of these lanes, or a ping wants its answer. Only one caller at
    /// a time is woken.
    pub(crate) async fn waits(&self, lanes: &[Lane]) {
        while !self.lock().waits(lanes) {
            self.wake.notified().await;
        }
    }

    /// The number of the latest ping that has not been answered.
    pub(crate) fn pong(&self) -> Option<u64> {
        self.lock().pong.take()
    }

    /// Takes the next item of a lane.
    pub(crate) fn next(&self, lane: Lane) -> Option<Item> {
        self.lock().lane(lane).pop()
    }

    /// For tests: the items and the bytes in each lane.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> [(usize, usize); 5] {
        let waiting = self.lock();
        [0, 1, 2, 3, 4].map(|at| (waiting.lanes[at].items.len(), waiting.lanes[at].bytes))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Urgent, Self::Bulk, Self::UrgentTransit, Self::Transit, Self::Snapshots];
    /// Those that are not held back to a rate.
    pub(crate) const UNLIMITED: [Self; 4] =
        [Self::Urgent, Self::Bulk, Self::UrgentTransit, Self::Transit];

    const fn place(self) -> usize {
        match self {
            Self::Urgent => 0,
            Self::Bulk => 1,
            Self::Snapshots => 2,
            Self::UrgentTransit => 3,
            Self::Transit => 4,
        }
    }
}

impl Waiting {
    fn lane(&mut self, lane: Lane) -> &mut Items {
        &mut self.lanes[lane.place()]
    }

    fn waits(&self, lanes: &[Lane]) -> bool {
        let filled = |lane: &Lane| !self.lanes[lane.place()].items.is_empty();
        self.pong.is_some() || lanes.iter().any(filled)
    }
}

impl Items {
    fn pop(&mut self) -> Option<Item> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_raft_core::{Body, Cause, EntryId, Incarnation, NodeId, Term};

    const PEER: MemberId = MemberId::new(NodeId(2), Incarnation(7));

    fn queue(frames: usize, bytes: usize) -> Queue {
        let queue = Queue::new(Limits {
            message_bytes_max: 1024,
            note_bytes_max: 64,
            queue_frames_max: frames,
            queue_bytes_max: bytes,
            ..Limits::default()
        });
        queue.open(PEER);
        queue
    }

    fn vote(to: MemberId) -> Load {
        let from = MemberId::new(NodeId(1), Incarnation(1));
        let body = Body::Vote { last: EntryId::ZERO, cause: Cause::Timeout };
        Load::Message(Message { from, to, term: Term(3), body })
    }

    fn note() -> Load {
        Load::Note(Bytes::from_static(&[0; 64]))
    }

    #[test]
    fn each_lane_is_bounded_in_frames_and_in_bytes() {
        let by_frames = queue(2, 4096);
        let full = Err(Lost::QueueFull);
        assert_eq!([(); 3].map(|()| by_frames.send(note())), [Ok(()), Ok(()), full]);
        assert_eq!(by_frames.send(vote(PEER)), Ok(()), "another lane has room");
        let one = 64 + OVERHEAD_BYTES_MAX;
        let by_bytes = queue(8, 2 * one);
        assert_eq!([(); 3].map(|()| by_bytes.send(note())), [Ok(()), Ok(()), full]);
        assert!(by_bytes.next(Lane::Bulk).is_some());
        assert_eq!(by_bytes.send(note()), Ok(()), "what was taken made room");
    }

    #[test]
    fn what_cannot_arrive_is_refused_by_its_reason() {
        let queue = queue(8, 4096);
        let long = Load::Note(Bytes::from_static(&[0; 65]));
        assert_eq!(queue.send(long), Err(Lost::TooLong));
        let before = MemberId::new(PEER.node, Incarnation(6));
        assert_eq!(queue.send(vote(before)), Err(Lost::OtherIncarnation));
        queue.send(vote(PEER)).expect("room");
        assert_eq!(queue.close().len(), 1);
        assert_eq!(queue.send(vote(PEER)), Err(Lost::NoLink));
        assert_eq!(queue.send(Load::Note(Bytes::new())), Err(Lost::NoLink));
    }

    #[test]
    fn only_the_latest_ping_is_answered() {
        let queue = queue(8, 4096);
        queue.answer(1);
        queue.answer(2);
        assert_eq!((queue.pong(), queue.pong()), (Some(2), None));
    }
}
