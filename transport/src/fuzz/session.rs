//! The body of the fuzz target `transport_session`: a member that has come in by a right handshake,
//! and passes on what another one says, does whatever it likes. Nothing panics, what is held stays
//! within its bounds, and nothing is handed up but what was said, by whom it was said, and once.

use super::attacked::{FAR, HONEST, HOSTILE, Link, ME, limits, member};
use super::far::{Far, changed};
use super::input::Input;
use crate::config::{Limits, Relaying};
use crate::deliver::{Heard, hear};
use crate::frame::{Flags, Frame, Head, Kind};
use crate::line::{Line, Who};
use crate::message;
use crate::pieces::{Assembly, Place};
use crate::queue::Load;
use crate::relayed::Sessions;
use crate::routing::record::{Age, Record};
use crate::shared::Shared;
use crate::status::Reached;
use crate::tend::settle;
use crate::transport::Inbound;
use bytes::{BufMut, Bytes, BytesMut};
use holm_raft_core::{Body, Incarnation, MemberId, Message, NodeId, Term};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The most steps of an input, and the most frames that the hostile one keeps each way.
const STEPS_MAX: usize = 512;
const KEPT_MAX: usize = 64;
/// The most that an empty read buffer may have room for.
const READ_BYTES_MAX: usize = 2 * (64 << 10);

/// How far an input got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Handed up from the other end of the hostile link itself.
    pub(crate) direct: usize,
    /// Handed up from the member beyond.
    pub(crate) beyond: usize,
    /// Arrived at the member beyond.
    pub(crate) away: usize,
    /// The member beyond came up.
    pub(crate) ups: usize,
    /// Sessions that were nearly worn out, and were followed by another one.
    pub(crate) renewed: usize,
    /// Links that ended by what was said on them.
    pub(crate) ended: usize,
    /// Frames that were lost, for whatever reason.
    pub(crate) lost: u64,
}

/// Takes each byte as a step, with the bytes after it as its particulars.
///
/// # Panics
/// When a promise is broken.
pub fn fuzz_session(data: &[u8]) {
    session_held(data);
}

pub(crate) fn session_held(data: &[u8]) -> Depth {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let (shared, inbound) = member();
        let line = |of: MemberId| shared.line(of.node).expect("a member");
        let lines = [line(HOSTILE), line(HONEST), line(FAR)];
        let mut world = World::new(&shared, &lines, inbound).await;
        let mut input = Input::of(data);
        for _ in 0..STEPS_MAX {
            let Some(step) = input.step() else { break };
            world.step(step, &mut input).await;
            world.check();
        }
        let depth = world.depth();
        drop(world);
        drop(shared);
        let held = lines.map(|line| Arc::downgrade(&line));
        let all_gone = held.iter().all(|line| line.strong_count() == 0);
        assert!(all_gone, "the members hold each other when nobody holds them any more");
        depth
    })
}

struct World<'a> {
    shared: &'a Shared,
    inbound: mpsc::Receiver<Inbound>,
    hostile: &'a Arc<Line>,
    honest: &'a Arc<Line>,
    beyond: &'a Arc<Line>,
    link: Link<'a>,
    /// How many there have been.
    links: u8,
    far: Far,
    /// What the hostile one can pass on to this member, and to the one beyond.
    here: Vec<Frame>,
    away: Vec<Frame>,
    /// Who is up.
    up: BTreeSet<MemberId>,
    /// What the honest two have said, each note once, and what this member has said to the far one.
    said: BTreeSet<(MemberId, Bytes)>,
    notes: u64,
    /// The number of the latest honest record.
    record: u64,
    worn: bool,
    depth: Depth,
}

impl<'a> World<'a> {
    async fn new(
        shared: &'a Shared,
        [hostile, honest, beyond]: &'a [Arc<Line>; 3],
        inbound: mpsc::Receiver<Inbound>,
    ) -> Self {
        let link = Link::new(shared, hostile, 0);
        let mut world = Self {
            shared,
            inbound,
            hostile,
            honest,
            beyond,
            link,
            links: 0,
            far: Far::new(0),
            here: Vec::new(),
            away: Vec::new(),
            up: BTreeSet::new(),
            said: BTreeSet::new(),
            notes: 0,
            record: 0,
            worn: false,
            depth: Depth::default(),
        };
        world.link_up((HOSTILE, 1), hostile).await;
        world.link_up((HONEST, 1), honest).await;
        world
    }

    async fn link_up(&mut self, who: Who, line: &Arc<Line>) {
        line.linked(who, Reached::Inbound);
        line.announce().await;
        self.shared.link_up(who);
    }

    /// The link of the hostile member ends, and it comes back with another one.
    async fn link_anew(&mut self) {
        self.depth.ended += 1;
        self.shared.link_down(self.hostile, "it ended");
        settle(self.shared, self.hostile).await;
        self.links = self.links.wrapping_add(1);
        self.link = Link::new(self.shared, self.hostile, self.links);
        self.link_up((HOSTILE, 1), self.hostile).await;
    }

    /// These bytes arrive on the hostile link.
    async fn arrives(&mut self, bytes: &[u8]) {
        self.link.incoming.buffer().put_slice(bytes);
        loop {
            let heard = match self.link.incoming.next() {
                Ok(None) => return,
                Ok(Some(frame)) => {
                    let assembly = &mut self.link.assembly;
                    hear(self.shared, self.hostile, HOSTILE, assembly, frame)
                }
                Err(_) => Heard::Last("no frame"),
            };
            if heard != Heard::More {
                return self.link_anew().await;
            }
        }
    }

    async fn says(&mut self, head: Head, body: &[u8]) {
        let room = limits().frame_bytes_max - crate::frame::OVERHEAD_BYTES_MAX;
        let bytes = self.link.sealed(head, &body[..body.len().min(room)]);
        self.arrives(&bytes).await;
    }

    async fn step(&mut self, step: u8, input: &mut Input<'_>) {
        match step % 21 {
            step @ 0..8 => self.speaks(step, input).await,
            step => self.goes_on(step, input).await,
        }
    }

    /// The hostile member says something for itself.
    async fn speaks(&mut self, step: u8, input: &mut Input<'_>) {
        let own = |kind| Head::new(kind, HOSTILE.node, ME.node);
        match step {
            0 => {
                let head = own(input.one_of(&Kind::ALL)).with(input.flags());
                self.says(head, input.bytes()).await;
            }
            1 => {
                let (kind, flags) = (input.one_of(&Kind::ALL), input.flags());
                let (source, destination) = (input.node(), input.node());
                let (hops, group) = (input.byte(), u64::from(input.byte() % 8 == 7));
                let head = Head { kind, flags, hops, group, source, destination };
                self.says(head, input.bytes()).await;
            }
            2 => self.arrives(input.bytes()).await,
            3 => self.out_of_turn(input.byte()).await,
            4 => self.says_message(input).await,
            5 => self.tells(input).await,
            6 => self.says_piece(input).await,
            _ => self.tells_the_truth().await,
        }
    }

    /// The others do something, or frames of theirs are passed on.
    async fn goes_on(&mut self, step: u8, input: &mut Input<'_>) {
        match step {
            8 => {
                let note = self.note(FAR);
                if let Some(frame) = self.far.says(&note) {
                    self.said.insert((FAR, note));
                    keep(&mut self.here, frame);
                }
            }
            9 | 10 if self.here.is_empty() => (),
            9 => {
                let Frame { head, body } = self.here[input.index(self.here.len())].clone();
                self.says(head, &body).await;
            }
            10 => self.alters(input).await,
            11 => {
                let frames = self.far.attempts(self.shared.now());
                frames.into_iter().for_each(|frame| keep(&mut self.here, frame));
            }
            12 => self.time_passes(input.byte()).await,
            13 => {
                let note = self.note(ME);
                if self.beyond.send(Load::Note(note.clone())).is_ok() {
                    self.said.insert((ME, note));
                }
            }
            14 => self.collects(),
            15 | 16 if self.away.is_empty() => (),
            15 => {
                let frame = self.away[input.index(self.away.len())].clone();
                self.arrives_far(frame);
            }
            16 => {
                let genuine = self.away[input.index(self.away.len())].clone();
                let frame = changed(&genuine, input.byte(), input.byte());
                let before = self.depth.away;
                self.arrives_far(frame.clone());
                let hops = Head { hops: genuine.head.hops, ..frame.head };
                let same = (hops, &frame.body) == (genuine.head, &genuine.body);
                assert!(same || self.depth.away == before, "{frame:?} was {genuine:?}");
            }
            17 => {
                let note = self.note(HONEST);
                self.said.insert((HONEST, note.clone()));
                let head = Head::new(Kind::Note, HONEST.node, ME.node);
                let frame = Frame { head, body: BytesMut::from(&note[..]) };
                let mut assembly = Assembly::new(limits().message_bytes_max);
                let heard = hear(self.shared, self.honest, HONEST, &mut assembly, frame);
                assert_eq!(heard, Heard::More);
            }
            18 => self.far = Far::new(self.far.start + 1),
            20 => self.beyond.relayed.sessions(Sessions::wear_out),
            _ => self.greets().await,
        }
    }
}

/// What is done in a step.
impl World<'_> {
    /// A note that nobody has said before.
    fn note(&mut self, by: MemberId) -> Bytes {
        self.notes += 1;
        [&by.node.0.to_le_bytes()[..], &self.notes.to_le_bytes()].concat().into()
    }

    /// A frame that is not the next one: left out, repeated, or altered.
    async fn out_of_turn(&mut self, how: u8) {
        if !self.link.incoming.buffer().is_empty() {
            // Behind a part of something else there are no frames.
            self.link_anew().await;
        }
        let head = Head::new(Kind::Note, HOSTILE.node, ME.node);
        let handed_up = self.depth.direct;
        let mut bytes = self.link.sealed(head, b"out of turn");
        match how % 3 {
            0 => bytes = self.link.sealed(head, b"out of turn"),
            1 => {
                self.arrives(&bytes).await;
                self.handed_up();
                assert_eq!(self.depth.direct, handed_up + 1, "the first time");
            }
            _ => {
                let at = usize::from(how / 3) % bytes.len();
                bytes[at] ^= 1 << (how % 8);
                // What is left of a frame whose length was altered has to arrive, too.
                bytes.extend_from_slice(&[0; 2048]);
            }
        }
        let (ended, handed_up) = (self.depth.ended, self.depth.direct);
        self.arrives(&bytes).await;
        self.handed_up();
        assert!(self.depth.ended > ended && self.depth.direct == handed_up, "{how}");
    }

    async fn says_message(&mut self, input: &mut Input<'_>) {
        let from = input.one_of(&[HOSTILE, HOSTILE, HONEST, FAR, ME]);
        let to = input.one_of(&[ME, ME, ME, MemberId::new(ME.node, Incarnation(1)), FAR]);
        let body = Body::HeartbeatAck { round: input.byte().into() };
        let mut out = BytesMut::new();
        message::put(&Message { from, to, term: Term(1), body }, &mut out);
        let source = input.one_of(&[HOSTILE.node, HOSTILE.node, from.node]);
        self.says(Head::new(Kind::Message, source, to.node), &out).await;
    }

    async fn alters(&mut self, input: &mut Input<'_>) {
        self.handed_up();
        let genuine = self.here[input.index(self.here.len())].clone();
        let frame = changed(&genuine, input.byte(), input.byte());
        let before = self.depth.beyond;
        self.says(frame.head, &frame.body).await;
        self.handed_up();
        let hops = Head { hops: genuine.head.hops, ..frame.head };
        let same = (hops, &frame.body) == (genuine.head, &genuine.body);
        assert!(same || self.depth.beyond == before, "{frame:?} was {genuine:?}");
    }

    async fn time_passes(&mut self, eights: u8) {
        tokio::time::advance(Duration::from_millis(u64::from(eights) * 8)).await;
        if self.shared.now() >= self.shared.routing().table.deadline() {
            self.shared.refresh_routes();
        }
        for line in self.shared.lines() {
            settle(self.shared, &line).await;
            self.handed_up();
        }
    }

    /// The hostile member reads what waits for it, and keeps what it can pass on.
    fn collects(&mut self) {
        let Link { feed, out, hears, .. } = &mut self.link;
        loop {
            feed.fill(out);
            if out.bytes() == 0 {
                break;
            }
            hears.buffer().put(out.unwritten());
            out.clear(usize::MAX);
            feed.written();
            while let Some(frame) = hears.next().expect("what a member seals opens") {
                assert_eq!(frame.head.group, 0);
                if frame.head.destination == FAR.node {
                    assert!(frame.head.hops <= 3, "as many as there are others");
                    keep(&mut self.away, frame);
                }
            }
        }
    }

    /// The member beyond gets a frame, and answers.
    fn arrives_far(&mut self, frame: Frame) {
        let (answer, note) = self.far.hears(&frame, self.shared.now());
        answer.into_iter().for_each(|frame| keep(&mut self.here, frame));
        if let Some(note) = note {
            assert!(self.said.remove(&(ME, note.clone())), "{note:?} was not said, or twice");
            self.depth.away += 1;
        }
    }

    /// A record, as it likes.
    async fn tells(&mut self, input: &mut Input<'_>) {
        let node = input.node();
        let incarnation = input.one_of(&[HOSTILE, HONEST, FAR, ME]).incarnation;
        let start = input.one_of(&[1, self.far.start, 9]);
        let relaying = input.one_of(&[Relaying::On, Relaying::Off]);
        let number = input.one_of(&[1, 2, 3, 1 << 32, u64::MAX - 1, u64::MAX]);
        let age = Age(input.one_of(&[0, 100, 4999, 5000, u32::MAX]));
        let mask = input.byte();
        let neighbours = (0..8).filter(|bit| mask >> bit & 1 == 1).map(NodeId);
        let neighbours = neighbours.filter(|other| *other != node).collect();
        let mut record = BytesMut::new();
        Record { node, incarnation, start, number, relaying, neighbours, age }.put(&mut record);
        self.says(Head::new(Kind::Route, HOSTILE.node, ME.node), &record).await;
    }

    /// What is true of the links, so that there is a way.
    async fn tells_the_truth(&mut self) {
        self.record += 1;
        let rows =
            [(HOSTILE, 1, vec![ME.node, FAR.node]), (FAR, self.far.start, vec![HOSTILE.node])];
        for (MemberId { node, incarnation }, start, neighbours) in rows {
            let (number, relaying, age) = (self.record, Relaying::On, Age(0));
            let neighbours = neighbours.into_iter().collect();
            let mut record = BytesMut::new();
            Record { node, incarnation, start, number, relaying, neighbours, age }.put(&mut record);
            self.says(Head::new(Kind::Route, HOSTILE.node, ME.node), &record).await;
        }
    }

    async fn says_piece(&mut self, input: &mut Input<'_>) {
        let bytes = input.bytes();
        let offset = input.one_of(&[0, 4, 8, 255, 4096, u32::MAX]);
        let whole = input.one_of(&[8, 12, 255, 300, 4096, 4097, u32::MAX]);
        let mut body = BytesMut::new();
        Place { number: input.byte().into(), offset, whole }.put(&mut body);
        body.put_slice(bytes);
        let kind = input.one_of(&[Kind::Note, Kind::Message, Kind::Ping]);
        self.says(Head::new(kind, HOSTILE.node, ME.node).with(Flags::PIECE), &body).await;
    }

    /// The hostile member passes on a whole handshake, and all that waits.
    async fn greets(&mut self) {
        self.tells_the_truth().await;
        for _ in 0..4 {
            self.time_passes(25).await;
            self.collects();
            for frame in std::mem::take(&mut self.away) {
                self.arrives_far(frame);
            }
            for Frame { head, body } in std::mem::take(&mut self.here) {
                self.says(head, &body).await;
                self.handed_up();
            }
        }
    }

    /// Takes what is handed up, and holds it against what was said.
    fn handed_up(&mut self) {
        while let Ok(inbound) = self.inbound.try_recv() {
            match inbound {
                Inbound::Note { from, note } => self.notes_of(from, note),
                Inbound::Message(Message { from, to, .. }) => {
                    assert_eq!((from, to), (HOSTILE, ME), "as itself, to this incarnation");
                    self.depth.direct += 1;
                }
                Inbound::Up { peer } => {
                    assert!([HOSTILE, HONEST, FAR].contains(&peer), "{peer} is nobody");
                    assert!(self.up.insert(peer), "{peer} is up already");
                    self.depth.ups += usize::from(peer == FAR);
                }
                Inbound::Down { peer } => assert!(self.up.remove(&peer), "{peer} is not up"),
            }
        }
    }

    fn notes_of(&mut self, from: MemberId, note: Bytes) {
        assert!(note.len() <= limits().note_bytes_max, "{} bytes", note.len());
        if from == HOSTILE {
            // It is a member: as itself it may say anything.
            self.depth.direct += 1;
            return;
        }
        assert!(
            self.said.remove(&(from, note.clone())),
            "{from} did not say it, or once: {note:?}"
        );
        self.depth.beyond += usize::from(from == FAR);
    }

    /// What must hold after each step.
    fn check(&mut self) {
        self.handed_up();
        let Limits { queue_frames_max, queue_bytes_max, .. } = limits();
        for line in [self.hostile, self.honest, self.beyond] {
            for (frames, bytes) in line.queue.held() {
                assert!(frames <= queue_frames_max && bytes <= queue_bytes_max, "{bytes} bytes");
            }
        }
        assert!(self.link.assembly.held() <= limits().message_bytes_max);
        let buffer = self.link.incoming.buffer();
        assert!(buffer.capacity() <= READ_BYTES_MAX, "{} bytes", buffer.capacity());
        assert!(self.shared.matrix().len() <= 4, "a record of nobody");
        let session = |sessions: &mut Sessions| sessions.who().map(|_| sessions.is_worn());
        let worn = self.beyond.relayed.sessions(session);
        self.depth.renewed += usize::from(self.worn && worn == Some(false));
        self.worn = worn == Some(true);
    }

    fn depth(&self) -> Depth {
        let lost = |line: &Arc<Line>| line.status().lost.into_values().sum::<u64>();
        let lost = [self.hostile, self.honest, self.beyond].map(lost).into_iter().sum();
        Depth { lost, ..self.depth }
    }
}

fn keep(kept: &mut Vec<Frame>, frame: Frame) {
    if kept.len() < KEPT_MAX {
        kept.push(frame);
    }
}
