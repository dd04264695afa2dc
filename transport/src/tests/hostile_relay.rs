//! A hostile member between two others that have no link of their own: whatever it alters or
//! repeats of what it passes on is found and counted, and nothing but what was said arrives.

use super::*;
use crate::frame::Flags;
use crate::routing::record::{Age, Record};
use crate::{Lost, Reached};
use tokio::sync::{mpsc, watch};

const RELAY: MemberId = MemberId::new(NodeId(2), Incarnation(200));
/// The members on its two sides.
const SIDES: [NodeId; 2] = [NodeId(1), NodeId(3)];
/// Sealed frames longer than this are meddled with: notes of the tests, and no pings.
const LONG_BYTES: usize = 60;

/// What the relay does with what it is to pass on.
#[derive(Clone, Copy, Debug)]
enum Meddle {
    Honest,
    Change(fn(&mut Frame)),
    Repeat(usize),
    /// Passes it on behind the next one.
    Hold,
}

/// The relay, from outside.
struct Relay {
    meddle: watch::Sender<Meddle>,
    /// Tells of each frame that was meddled with.
    met: mpsc::UnboundedReceiver<()>,
}

impl Relay {
    /// Connects to members 1 and 3 as member 2, and passes on what they send each other, but for
    /// so many messages of their handshakes, which it spoils.
    async fn between(addresses: [&str; 2], spoils: usize) -> Self {
        let [one, three] = addresses;
        let ends = [
            Raw::sealed(one, RELAY, 1, member(1)).await,
            Raw::sealed(three, RELAY, 1, member(3)).await,
        ];
        let (meddle, meddles) = watch::channel(Meddle::Honest);
        let (meets, met) = mpsc::unbounded_channel();
        let work = Work { ends, number: 0, held: None, spoils, meddles, meets };
        tokio::task::spawn(work.go_on());
        Self { meddle, met }
    }

    fn turns(&self, meddle: Meddle) {
        self.meddle.send_replace(meddle);
    }

    async fn has_met(&mut self) {
        within(self.met.recv()).await.expect("it is at work");
    }
}

/// The relay, from inside.
struct Work {
    ends: [Raw; 2],
    /// Of its latest record.
    number: u64,
    held: Option<Frame>,
    spoils: usize,
    meddles: watch::Receiver<Meddle>,
    meets: mpsc::UnboundedSender<()>,
}

impl Work {
    async fn go_on(mut self) {
        self.tell().await;
        loop {
            let [one, three] = &mut self.ends;
            let (frame, at) = tokio::select! {
                frame = one.next() => (frame, 0),
                frame = three.next() => (frame, 1),
            };
            let Some(frame) = frame else { return };
            let (here, beyond) = (SIDES[at], SIDES[1 - at]);
            match frame.head.kind {
                Kind::Ping => {
                    self.ends[at].say(RELAY.node, here, Kind::Pong, &frame.body).await;
                    self.tell().await;
                }
                Kind::Route => {
                    self.ends[1 - at].say(RELAY.node, beyond, Kind::Route, &frame.body).await;
                }
                Kind::Greeting | Kind::Relayed if frame.head.destination == beyond => {
                    for Frame { head, body } in self.meddled(frame) {
                        self.ends[1 - at].say_frame(head, &body).await;
                    }
                }
                _ => (),
            }
        }
    }

    /// Tells both sides that it has links to both.
    async fn tell(&mut self) {
        self.number += 1;
        let MemberId { node, incarnation } = RELAY;
        let (neighbours, number) = (SIDES.into(), self.number);
        let (relaying, age) = (Relaying::On, Age(0));
        let mut record = BytesMut::new();
        Record { node, incarnation, start: 1, number, relaying, neighbours, age }.put(&mut record);
        for (end, side) in self.ends.iter_mut().zip(SIDES) {
            end.say(node, side, Kind::Route, &record).await;
        }
    }

    fn meddled(&mut self, mut frame: Frame) -> Vec<Frame> {
        frame.head.hops -= 1;
        if frame.head.kind == Kind::Greeting {
            if self.spoils > 0 {
                self.spoils -= 1;
                *frame.body.last_mut().expect("bytes") ^= 1;
            }
            return vec![frame];
        }
        if frame.body.len() < LONG_BYTES {
            return vec![frame];
        }
        let frames = match *self.meddles.borrow() {
            Meddle::Honest => return [frame].into_iter().chain(self.held.take()).collect(),
            Meddle::Change(change) => {
                change(&mut frame);
                vec![frame]
            }
            Meddle::Repeat(times) => vec![frame; times],
            Meddle::Hold => {
                self.held = Some(frame);
                Vec::new()
            }
        };
        self.meets.send(()).expect("the test goes on");
        frames
    }
}

/// Members 1 and 3, in touch through this relay.
async fn through_a_relay(spoils: usize) -> (End, End, Relay) {
    let ((port_1, at_1), (port_3, at_3)) = (port().await, port().await);
    let mut one = End::start(sealed_config(member(1), Some(port_1), vec![awaited(2), awaited(3)]));
    let mut three =
        End::start(sealed_config(member(3), Some(port_3), vec![awaited(1), awaited(2)]));
    let relay = Relay::between([&at_1, &at_3], spoils).await;
    one.sees_all_up(&[RELAY, three.me]).await;
    three.sees_all_up(&[RELAY, one.me]).await;
    assert_eq!(one.peer(3).reached, Reached::Via(RELAY.node));
    (one, three, relay)
}

fn long_note(number: u64) -> Bytes {
    [&number.to_le_bytes()[..], &[7; 100]].concat().into()
}

/// What member 3 has counted, with those that it holds responsible: the source or the relay.
fn lost(three: &End) -> Vec<(u64, Lost, u64)> {
    let of = |node: u64| {
        let counts = three.peer(node).lost.into_iter();
        counts.map(move |(reason, count)| (node, reason, count)).collect::<Vec<_>>()
    };
    [of(1), of(2)].concat()
}

/// What is altered, who is held responsible, for what, and how it is done.
type Case = (&'static str, u64, Lost, fn(&mut Frame));

#[tokio::test]
async fn whatever_a_relay_alters_is_counted_by_its_reason_and_does_not_arrive() {
    let (log, _guard) = Log::begin();
    let (mut one, mut three, mut relay) = through_a_relay(0).await;
    let cases: [Case; 14] = [
        ("the last bit", 1, Lost::Tampered, |frame| *frame.body.last_mut().unwrap() ^= 1),
        ("a byte within", 1, Lost::Tampered, |frame| frame.body[40] ^= 0x80),
        ("the kind within", 1, Lost::Tampered, |frame| frame.body[16] ^= 1),
        ("its number", 1, Lost::Tampered, |frame| frame.body[9] ^= 1),
        ("a number that no key has", 1, Lost::Tampered, |frame| frame.body[15] ^= 1),
        ("its end", 1, Lost::Tampered, |frame| frame.body.truncate(60)),
        ("all but its names", 1, Lost::Malformed, |frame| frame.body.truncate(16)),
        ("whether it is urgent", 1, Lost::Tampered, |frame| frame.head.flags = Flags::URGENT),
        ("its exchange", 1, Lost::NoSession, |frame| frame.body[0] ^= 1),
        ("its source, to the relay", 2, Lost::NoSession, |frame| frame.head.source = RELAY.node),
        ("its source, to nobody", 2, Lost::Misaddressed, |frame| frame.head.source = NodeId(9)),
        ("whom it is for", 2, Lost::Misaddressed, |frame| frame.head.destination = NodeId(9)),
        ("its group", 2, Lost::Misaddressed, |frame| frame.head.group = 1),
        ("its kind", 2, Lost::Misaddressed, |frame| frame.head.kind = Kind::Note),
    ];
    for (number, (what, who, reason, change)) in (0..).zip(cases) {
        let before = lost(&three);
        relay.turns(Meddle::Change(change));
        one.transport.tell(NodeId(3), long_note(number)).expect("a way");
        relay.has_met().await;
        relay.turns(Meddle::Honest);
        let after = long_note(1000 + number);
        one.transport.tell(NodeId(3), after.clone()).expect("a way");
        assert_eq!(three.next().await, Inbound::Note { from: one.me, note: after }, "{what}");
        let mut new: Vec<_> = lost(&three);
        new.retain(|count| !before.contains(count));
        assert!(
            matches!(&new[..], [(node, why, _)] if (*node, *why) == (who, reason)),
            "{what}: {new:?}"
        );
    }
    assert_eq!(three.peer(1).lost[&Lost::Tampered], 7);
    // At 1, 2 and 4.
    assert_eq!(log.lines_with("reason=\"tampered\""), 3);
    one.talks_with(&mut three).await;
    assert_eq!(three.peer(1).reached, Reached::Via(RELAY.node), "the session goes on");
    assert!(one.inbound.is_empty() && three.inbound.is_empty());
}

#[tokio::test]
async fn whatever_a_relay_repeats_arrives_once_and_is_counted() {
    let (log, _guard) = Log::begin();
    let (mut one, mut three, mut relay) = through_a_relay(0).await;
    for (number, times) in (0..).zip([5, 2, 1, 0]) {
        let before = three.peer(1).lost.get(&Lost::Repeated).copied().unwrap_or_default();
        relay.turns(Meddle::Repeat(times));
        let note = long_note(number);
        one.transport.tell(NodeId(3), note.clone()).expect("a way");
        relay.has_met().await;
        relay.turns(Meddle::Honest);
        let after = long_note(1000 + number);
        one.transport.tell(NodeId(3), after.clone()).expect("a way");
        if times > 0 {
            assert_eq!(three.next().await, Inbound::Note { from: one.me, note });
        }
        assert_eq!(three.next().await, Inbound::Note { from: one.me, note: after });
        let repeated = three.peer(1).lost.get(&Lost::Repeated).copied().unwrap_or_default();
        let expected = u64::try_from(times.saturating_sub(1)).expect("few");
        assert_eq!(repeated - before, expected);
    }
    assert_eq!(lost(&three), [(1, Lost::Repeated, 5)]);
    // At 1, 2 and 4.
    assert_eq!(log.lines_with("reason=\"repeated\""), 3);
    one.talks_with(&mut three).await;
}

#[tokio::test]
async fn what_a_relay_holds_back_arrives_late_and_nothing_is_lost() {
    let (mut one, mut three, mut relay) = through_a_relay(0).await;
    relay.turns(Meddle::Hold);
    one.transport.tell(NodeId(3), long_note(1)).expect("a way");
    relay.has_met().await;
    relay.turns(Meddle::Honest);
    one.transport.tell(NodeId(3), long_note(2)).expect("a way");
    for number in [2, 1] {
        let note = long_note(number);
        assert_eq!(three.next().await, Inbound::Note { from: one.me, note });
    }
    assert!(lost(&three).is_empty());
    one.talks_with(&mut three).await;
}

#[tokio::test]
async fn two_members_find_each_other_though_a_relay_spoils_their_first_handshakes() {
    let (mut one, mut three, _relay) = through_a_relay(3).await;
    let refused = [&one, &three].map(|end| end.transport.refused());
    assert_eq!(refused.iter().flat_map(|counts| counts.values()).sum::<u64>(), 3, "{refused:?}");
    one.talks_with(&mut three).await;
}
