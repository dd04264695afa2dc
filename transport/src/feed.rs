//! What a link writes next: a [`Feed`] takes items from the link's queue, urgent ones first, cuts
//! the long ones into pieces, and puts them as frames. Between two pieces urgent frames go out, so
//! that they wait for one batch at most.

use crate::frame::{Flags, Head, Kind, OVERHEAD_BYTES_MAX};
use crate::line::Line;
use crate::message;
use crate::outgoing::{Outgoing, Sink};
use crate::pieces::{PIECE_HEAD_BYTES, Place, Rope};
use crate::queue::{Item, Lane, Load};
use crate::relayed::INNER_BYTES_MAX;
use crate::shared::Shared;
use crate::status::Lost;
use bytes::BufMut;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What a frame may need beside the bytes of a message.
const ROOM_BYTES: usize = OVERHEAD_BYTES_MAX + INNER_BYTES_MAX;

/// What one link writes.
pub(crate) struct Feed<'a> {
    shared: &'a Shared,
    line: &'a Line,
    /// A long item of which some pieces have been put.
    cut: Option<Cut>,
    /// How many items have been cut.
    number: u32,
    /// When the next piece of a snapshot may go.
    snapshots_at: Instant,
    /// Frames put since the last `written`, and what is lost if they can't be written.
    put: usize,
}

/// The rest of a long item.
#[derive(Debug)]
struct Cut {
    kind: Kind,
    rope: Rope,
    place: Place,
    beyond: Option<Arc<Line>>,
}

/// Whether something was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Something,
    Nothing,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(shared: &'a Shared, line: &'a Line) -> Self {
        Self { shared, line, cut: None, number: 0, snapshots_at: Instant::now(), put: 0 }
    }

    /// Until there may be something to put.
    pub(crate) async fn waits(&self) {
        if self.cut.is_some() {
            return;
        }
        if Instant::now() >= self.snapshots_at {
            return self.line.queue.waits(&Lane::ALL).await;
        }
        tokio::select! { biased;
            () = self.line.queue.waits(&Lane::UNLIMITED) => (),
            () = sleep_until(self.snapshots_at) => (),
        }
    }

    /// Puts what waits, until it comes to so many bytes: the urgent first, then by turns what is
    /// this member's own and what it passes on.
    pub(crate) fn fill(&mut self, out: &mut Outgoing) {
        let enough = self.shared.limits.write_batch_bytes;
        if let Some(ping) = self.line.queue.pong() {
            self.put_word(out, None, Kind::Pong, ping);
        }
        while out.bytes() < enough
            && let Some(item) = self.urgent()
        {
            self.put_item(out, item, Flags::URGENT);
        }
        while out.bytes() < enough {
            let both = [self.put_own(out), self.put_transit(out)];
            if both == [Put::Nothing; 2] {
                break;
            }
        }
    }

    /// What was put has been written: the number of its frames.
    pub(crate) fn written(&mut self) -> usize {
        std::mem::take(&mut self.put)
    }

    /// Puts a frame for the other end itself.
    pub(crate) fn put_word(
        &mut self,
        out: &mut Outgoing,
        beyond: Option<&Arc<Line>>,
        kind: Kind,
        number: u64,
    ) {
        let put = |sink: &mut dyn Sink| sink.fields().put_u64_le(number);
        self.put_frame(out, beyond, (kind, Flags::NONE), Flags::URGENT, put);
    }

    fn urgent(&self) -> Option<Item> {
        let next = |lane| self.line.queue.next(lane);
        next(Lane::Urgent).or_else(|| next(Lane::UrgentTransit))
    }

    fn put_transit(&mut self, out: &mut Outgoing) -> Put {
        let Some(item) = self.line.queue.next(Lane::Transit) else { return Put::Nothing };
        self.put_item(out, item, Flags::NONE);
        Put::Something
    }

    /// Puts the next piece of an item of which some are gone already; says whether there was one.
    pub(crate) fn put_rest(&mut self, out: &mut Outgoing) -> bool {
        let Some(cut) = self.cut.take() else { return false };
        self.cut = self.put_piece(out, cut);
        true
    }

    fn put_own(&mut self, out: &mut Outgoing) -> Put {
        if let Some(cut) = self.cut.take() {
            self.cut = self.put_piece(out, cut);
            return Put::Something;
        }
        let Some(item) = self.line.queue.next(Lane::Bulk).or_else(|| self.next_of_snapshot())
        else {
            return Put::Nothing;
        };
        self.put_item(out, item, Flags::NONE);
        Put::Something
    }

    /// The next piece of a snapshot, unless it is too early for one.
    fn next_of_snapshot(&mut self) -> Option<Item> {
        let now = Instant::now();
        if now < self.snapshots_at {
            return None;
        }
        let item = self.line.queue.next(Lane::Snapshots)?;
        if let (Some(rate), Load::Message(message)) =
            (self.shared.limits.snapshot_bytes_per_second, &item.load)
        {
            let bytes = u64::try_from(message::length(message)).unwrap_or(u64::MAX);
            let micros = bytes.saturating_mul(1_000_000) / rate;
            self.snapshots_at = now + Duration::from_micros(micros);
        }
        Some(item)
    }

    fn put_item(&mut self, out: &mut Outgoing, item: Item, flags: Flags) {
        let Item { load, beyond } = item;
        let long = |bytes| bytes > self.shared.limits.frame_bytes_max - ROOM_BYTES;
        let beyond = beyond.as_ref();
        match load {
            Load::Frame(head, body) => {
                self.shared.left(head, body.len());
                out.put(head, |sink| sink.data(&body));
                self.put += 1;
            }
            Load::Word(kind, number) => self.put_word(out, beyond, kind, number),
            Load::Message(message) => {
                let put = |sink: &mut dyn Sink| message::put(&message, sink);
                if long(message::length(&message)) {
                    return self.cut(Kind::Message, Rope::of(put), beyond);
                }
                self.put_frame(out, beyond, (Kind::Message, Flags::NONE), flags, put);
            }
            Load::Note(note) => {
                let put = |sink: &mut dyn Sink| sink.data(&note);
                if long(note.len()) {
                    return self.cut(Kind::Note, Rope::of(put), beyond);
                }
                self.put_frame(out, beyond, (Kind::Note, Flags::NONE), flags, put);
            }
        }
    }

    /// From now on, this is what is put by pieces.
    fn cut(&mut self, kind: Kind, rope: Rope, beyond: Option<&Arc<Line>>) {
        self.number = self.number.wrapping_add(1);
        let whole = u32::try_from(rope.bytes()).expect("measured before it was queued");
        let place = Place { number: self.number, offset: 0, whole };
        self.cut = Some(Cut { kind, rope, place, beyond: beyond.cloned() });
    }

    /// Puts one piece; returns what is left.
    fn put_piece(&mut self, out: &mut Outgoing, mut cut: Cut) -> Option<Cut> {
        let room = self.shared.limits.frame_bytes_max - ROOM_BYTES - PIECE_HEAD_BYTES;
        let taken = room.min(cut.rope.bytes());
        let (place, rope) = (cut.place, &mut cut.rope);
        let put = |sink: &mut dyn Sink| {
            place.put(sink.fields());
            rope.take(room, sink);
        };
        self.put_frame(out, cut.beyond.as_ref(), (cut.kind, Flags::PIECE), Flags::NONE, put);
        cut.place.offset += u32::try_from(taken).expect("a part of what was measured");
        (cut.rope.bytes() > 0).then_some(cut)
    }

    /// Puts a frame for the other end, or seals it for the member beyond.
    fn put_frame(
        &mut self,
        out: &mut Outgoing,
        beyond: Option<&Arc<Line>>,
        (kind, flags): (Kind, Flags),
        outer: Flags,
        body: impl FnOnce(&mut dyn Sink),
    ) {
        let me = self.shared.me.node;
        match beyond {
            None => out.put(Head::new(kind, me, self.line.node).with(flags), body),
            Some(line) => {
                let hops = self.shared.hops_max();
                let head = Head { hops, ..Head::new(Kind::Relayed, me, line.node).with(outer) };
                let before = out.bytes();
                if let Err(reason) = line.relayed.put(out, head, (kind, flags), body) {
                    return line.lost(reason, 1);
                }
                line.sent(1, out.bytes() - before);
            }
        }
        self.put += 1;
    }
}

impl Drop for Feed<'_> {
    fn drop(&mut self) {
        let cut = self.cut.iter().len();
        self.line.lost(Lost::LinkEnded, self.put + cut);
    }
}
