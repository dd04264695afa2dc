//! What waits to be written to one peer: a `Queue` with two bounded classes, urgent before bulk,
//! and the number that the latest ping wants back.

use crate::config::Limits;
use crate::frame::{self, Head, Kind};
use crate::message::{self, Class};
use crate::status::Lost;
use bytes::{BufMut, Bytes, BytesMut};
use holm_raft_core::{MemberId, Message, NodeId};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What waits to be written to one peer. Empty while the peer is not reached.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// Something to be written.
#[derive(Debug)]
pub(crate) enum Item {
    /// A message of the core; its data is shared, not copied, until it is written.
    Message(Message),
    /// A note of the node above.
    Note(Bytes),
    /// The answer to a ping.
    Pong(u64),
}

#[derive(Debug, Default)]
struct Waiting {
    /// The member that is reached.
    member: Option<MemberId>,
    /// Only the latest ping is answered, so that a flood of them queues nothing.
    pong: Option<u64>,
    urgent: Lane,
    bulk: Lane,
}

/// One class: its items, and their frames' bytes.
#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<(Item, usize)>,
    bytes: usize,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, waiting: Mutex::default(), wake: Notify::new() }
    }

    /// Queues a message for the member it is addressed to, or says why it is lost.
    pub(crate) fn send(&self, message: &Message) -> Result<(), Lost> {
        let bytes = frame::HEAD_BYTES + message::length(message);
        if bytes > self.limits.frame_bytes_max {
            return Err(Lost::TooLong);
        }
        let mut waiting = self.lock();
        let member = waiting.member.ok_or(Lost::NoLink)?;
        if member != message.to {
            return Err(Lost::OtherIncarnation);
        }
        let lane = match message::class(&message.body) {
            Class::Urgent => &mut waiting.urgent,
            Class::Bulk => &mut waiting.bulk,
        };
        lane.push(bytes, &self.limits, || Item::Message(message.clone()))?;
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues a note for whichever incarnation is reached, or says why it is lost.
    pub(crate) fn tell(&self, note: Bytes) -> Result<(), Lost> {
        if note.len() > self.limits.note_bytes_max {
            return Err(Lost::TooLong);
        }
        let mut waiting = self.lock();
        waiting.member.ok_or(Lost::NoLink)?;
        let bytes = frame::HEAD_BYTES + note.len();
        waiting.bulk.push(bytes, &self.limits, || Item::Note(note))?;
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// Has this ping answered before all else.
    pub(crate) fn answer(&self, ping: u64) {
        self.lock().pong = Some(ping);
        self.wake.notify_one();
    }

    /// The member is reached: what is sent from now on waits for it.
    pub(crate) fn open(&self, member: MemberId) {
        self.lock().member = Some(member);
    }

    /// Nobody is reached any more. Returns how many items are lost by that.
    pub(crate) fn close(&self) -> usize {
        let waiting = std::mem::take(&mut *self.lock());
        waiting.urgent.items.len() + waiting.bulk.items.len()
    }

    /// Until something waits. Only one caller at a time is woken.
    pub(crate) async fn waits(&self) {
        while self.lock().is_empty() {
            self.wake.notified().await;
        }
    }

    /// Moves to `batch` what waits, the urgent first, until its frames have reached so many bytes.
    pub(crate) fn drain(&self, batch: &mut Vec<Item>, batch_bytes: usize) {
        let mut waiting = self.lock();
        batch.extend(waiting.pong.take().map(Item::Pong));
        let mut bytes = 0;
        while bytes < batch_bytes {
            let next = waiting.urgent.pop().or_else(|| waiting.bulk.pop());
            let Some((item, more)) = next else { break };
            bytes += more;
            batch.push(item);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.pong.is_none() && self.urgent.items.is_empty() && self.bulk.items.is_empty()
    }
}

impl Lane {
    fn push(
        &mut self,
        bytes: usize,
        limits: &Limits,
        item: impl FnOnce() -> Item,
    ) -> Result<(), Lost> {
        let fits = self.bytes.saturating_add(bytes) <= limits.queue_bytes_max;
        if self.items.len() >= limits.queue_frames_max || !fits {
            return Err(Lost::QueueFull);
        }
        self.bytes += bytes;
        self.items.push_back((item(), bytes));
        Ok(())
    }

    fn pop(&mut self) -> Option<(Item, usize)> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some((item, bytes))
    }
}

impl Item {
    /// Appends the item as a frame from `me` to `peer`.
    pub(crate) fn put(&self, me: NodeId, peer: NodeId, out: &mut BytesMut) {
        let head = |kind| Head::new(kind, me, peer);
        match self {
            Self::Message(message) => {
                frame::put(out, head(Kind::Message), |out| message::put(message, out));
            }
            Self::Note(note) => frame::put(out, head(Kind::Note), |out| out.put_slice(note)),
            Self::Pong(ping) => frame::put(out, head(Kind::Pong), |out| out.put_u64_le(*ping)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_raft_core::{Body, Cause, EntryId, Incarnation, Term};

    const PEER: MemberId = MemberId::new(NodeId(2), Incarnation(7));

    fn queue(frames: usize, bytes: usize) -> Queue {
        let queue = Queue::new(Limits {
            frame_bytes_max: 1024,
            note_bytes_max: 64,
            queue_frames_max: frames,
            queue_bytes_max: bytes,
            ..Limits::default()
        });
        queue.open(PEER);
        queue
    }

    fn vote(to: MemberId) -> Message {
        let from = MemberId::new(NodeId(1), Incarnation(1));
        Message {
            from,
            to,
            term: Term(3),
            body: Body::Vote { last: EntryId::ZERO, cause: Cause::Timeout },
        }
    }

    #[test]
    fn the_urgent_overtake_the_bulk_and_the_latest_pong_both() {
        let queue = queue(8, 4096);
        queue.tell(Bytes::from_static(b"slow")).expect("room");
        queue.send(&vote(PEER)).expect("room");
        queue.answer(1);
        queue.answer(2);
        let mut batch = Vec::new();
        queue.drain(&mut batch, usize::MAX);
        assert!(matches!(batch[..], [Item::Pong(2), Item::Message(_), Item::Note(_)]));
    }

    #[test]
    fn each_class_is_bounded_in_frames_and_in_bytes() {
        let by_frames = queue(2, 4096);
        let note = || Bytes::from_static(&[0; 64]);
        assert_eq!(
            [(); 3].map(|()| by_frames.tell(note())),
            [Ok(()), Ok(()), Err(Lost::QueueFull)]
        );
        assert_eq!(by_frames.send(&vote(PEER)), Ok(()), "the other class has room");
        let by_bytes = queue(8, 200);
        assert_eq!([(); 3].map(|()| by_bytes.tell(note())), [Ok(()), Ok(()), Err(Lost::QueueFull)]);
        by_bytes.drain(&mut Vec::new(), 1);
        assert_eq!(by_bytes.tell(note()), Ok(()), "what was drained made room");
    }

    #[test]
    fn what_cannot_arrive_is_refused_by_its_reason() {
        let queue = queue(8, 4096);
        assert_eq!(queue.tell(Bytes::from_static(&[0; 65])), Err(Lost::TooLong));
        let before = MemberId::new(PEER.node, Incarnation(6));
        assert_eq!(queue.send(&vote(before)), Err(Lost::OtherIncarnation));
        queue.send(&vote(PEER)).expect("room");
        assert_eq!(queue.close(), 1);
        assert_eq!(queue.send(&vote(PEER)), Err(Lost::NoLink));
        assert_eq!(queue.tell(Bytes::new()), Err(Lost::NoLink));
    }

    #[test]
    fn a_batch_ends_once_its_bytes_are_reached() {
        let queue = queue(8, 4096);
        for _ in 0..3 {
            queue.tell(Bytes::from_static(&[0; 64])).expect("room");
        }
        let mut batch = Vec::new();
        queue.drain(&mut batch, 101);
        assert_eq!(batch.len(), 2);
    }
}
