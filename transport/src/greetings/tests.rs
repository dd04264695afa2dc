//! The handshake of two members that others pass on, whatever those do to its messages. An `End` is
//! what one of the two has of it.

use super::*;
use crate::config::Limits;
use crate::epoch::Epoch;
use crate::frame::{Flags, Frame, Head, Kind};
use crate::incoming::Incoming;
use crate::keys::{KeyPair, KeyRing, Secret};
use crate::outgoing::Outgoing;
use crate::relayed::{Inner, Relayed};
use crate::secure::seal::{Open, Seal};
use crate::status::Lost;
use bytes::BufMut;
use holm_raft_core::{Incarnation, MemberId};
use zeroize::Zeroizing;

const LINK: [u8; 32] = [7; 32];
const START: Duration = Duration::ZERO;

/// One of two members, and its sessions with the other one.
pub(crate) struct End {
    pub(crate) who: Who,
    party: Party,
    random: Random,
    pub(crate) relayed: Relayed,
}

impl End {
    /// A member in this start.
    pub(crate) fn new(node: u8, start: u64) -> Self {
        let id = MemberId::new(NodeId(node.into()), Incarnation(u64::from(node) * 100));
        let party = Party {
            cluster: "islands".to_owned(),
            features: 0,
            ring: KeyRing::of(Secret::generate(&mut |bytes| bytes.fill(1))),
            pair: pair(id.node),
        };
        let seed = u8::try_from(start).expect("small").wrapping_mul(16) ^ node;
        let random = Random::new(Zeroizing::new([seed; 32]));
        Self { who: (id, start), party, random, relayed: Relayed::new(Limits::default()) }
    }

    fn node(&self) -> NodeId {
        self.who.0.node
    }

    /// Begins, or goes on, if it is time.
    pub(crate) fn attempts(&mut self, with: &End, now: Duration) -> Option<Bytes> {
        let own = own(self.who, &self.party, &mut self.random, now);
        self.relayed.sessions(|sessions| sessions.greetings.attempt(own, with.node()))
    }

    /// A message of the handshake has come from `from`.
    fn hears(&mut self, from: &End, body: &[u8], now: Duration) -> Result<Reply, Refused> {
        let own = own(self.who, &self.party, &mut self.random, now);
        let (node, key) = (from.node(), pair(from.node()).public());
        let judge = |found: &Established| {
            let Introduction { incarnation, start, .. } = found.introduction;
            assert_eq!((found.introduction.node, found.key), (node, key), "who it is");
            Ok((MemberId::new(node, incarnation), start))
        };
        self.relayed.sessions(|sessions| sessions.greeted(own, body, judge))
    }

    /// The answer to a message of the handshake.
    fn answers(&mut self, from: &End, body: &[u8], now: Duration) -> Bytes {
        match self.hears(from, body, now).expect("genuine") {
            Reply::Greeting(body) => body,
            other => panic!("{other:?} is no answer"),
        }
    }

    /// Seals a note for the other member.
    pub(crate) fn seals(&self, to: &End, note: &[u8]) -> Result<Frame, Lost> {
        let head = Head::new(Kind::Relayed, self.node(), to.node());
        let mut link = Outgoing::default();
        link.seal(Seal::new(&LINK));
        let put = |sink: &mut dyn crate::outgoing::Sink| sink.fields().put_slice(note);
        self.relayed.put(&mut link, Head { hops: 3, ..head }, (Kind::Note, Flags::NONE), put)?;
        let mut incoming = Incoming::new(1 << 20);
        incoming.open(Open::new(&LINK));
        incoming.buffer().put(link.unwritten());
        Ok(incoming.next().expect("sealed by the link").expect("whole"))
    }

    /// Opens a frame from the other member.
    pub(crate) fn opens(&self, frame: &Frame) -> Result<(Vec<u8>, Who), Lost> {
        let Frame { head, body } = frame.clone();
        let (Inner { kind, flags, body }, who) = self.relayed.open(head, body)?;
        assert_eq!((kind, flags), (Kind::Note, Flags::NONE));
        Ok((body.to_vec(), who))
    }

    /// What it seals opens at the other end.
    fn is_heard_by(&self, other: &End, note: &[u8]) {
        let frame = self.seals(other, note).expect("a session");
        assert_eq!(other.opens(&frame), Ok((note.to_vec(), self.who)));
    }
}

fn pair(node: NodeId) -> KeyPair {
    let byte = u8::try_from(node.0).expect("few members");
    KeyPair::generate(&mut |bytes| bytes.fill(byte))
}

fn own<'a>(
    (member, start): Who,
    party: &'a Party,
    random: &'a mut Random,
    now: Duration,
) -> Own<'a> {
    let MemberId { node, incarnation } = member;
    Own { party, own: Introduction { node, incarnation, start, epoch: Epoch::FIRST }, random, now }
}

pub(crate) fn ends() -> [End; 2] {
    [End::new(1, 1), End::new(3, 1)]
}

/// A handshake that nothing happens to, up to what confirms it.
pub(crate) fn greet(one: &mut End, other: &mut End, now: Duration) {
    let first = one.attempts(other, now).expect("it is time");
    let second = other.answers(one, &first, now);
    let third = one.answers(other, &second, now);
    assert_eq!(other.hears(one, &third, now), Ok(Reply::Welcome));
    other.is_heard_by(one, b"welcome");
}

fn both_talk(one: &End, other: &End) {
    for note in [&b"a note"[..], b"another", b""] {
        one.is_heard_by(other, note);
        other.is_heard_by(one, note);
    }
}

#[test]
fn a_handshake_that_nothing_happens_to_takes_three_messages() {
    let [mut one, mut three] = ends();
    assert_eq!(one.seals(&three, b"too early").map(drop), Err(Lost::NoLink));
    greet(&mut one, &mut three, START);
    both_talk(&one, &three);
    let again = [&one, &three].map(|end| end.relayed.sessions(|sessions| sessions.who()));
    assert_eq!(again, [Some(three.who), Some(one.who)]);
}

/// Which message never arrives, at its first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    First,
    Second,
    Third,
    Welcome,
}

#[test]
fn whichever_message_is_lost_the_handshake_goes_on_at_the_next_attempt() {
    for missing in [Missing::First, Missing::Second, Missing::Third, Missing::Welcome] {
        let [mut one, mut three] = ends();
        let first = one.attempts(&three, START).expect("it is time");
        assert_eq!(one.attempts(&three, START), None, "an answer may still come");
        let second = (missing != Missing::First).then(|| three.answers(&one, &first, START));
        let second = second.filter(|_| missing != Missing::Second);
        let third = second.map(|second| one.answers(&three, &second, START));
        if let Some(third) = third.filter(|_| missing != Missing::Third) {
            assert_eq!(three.hears(&one, &third, START), Ok(Reply::Welcome));
        }
        // What stands at one end alone seals nothing at the other.
        let early = one.seals(&three, b"early").map(drop);
        assert_eq!(early, Err(Lost::NoLink), "{missing:?}: not confirmed yet");
        let again = one.relayed.sessions(|sessions| sessions.greetings.due_at());
        assert_eq!(again, PATIENCE);
        let body = one.attempts(&three, again).expect("it is time");
        let reply = three.hears(&one, &body, again).expect("genuine");
        if matches!(missing, Missing::First | Missing::Second) {
            let Reply::Greeting(second) = reply else { panic!("{missing:?}: {reply:?}") };
            let third = one.answers(&three, &second, again);
            assert_eq!(three.hears(&one, &third, again), Ok(Reply::Welcome));
        } else {
            assert_eq!(reply, Reply::Welcome, "{missing:?}: the third came again");
        }
        three.is_heard_by(&one, b"welcome");
        both_talk(&one, &three);
    }
}

#[test]
fn whatever_comes_twice_changes_nothing() {
    let [mut one, mut three] = ends();
    let first = one.attempts(&three, START).expect("it is time");
    let second = three.answers(&one, &first, START);
    assert_eq!(three.hears(&one, &first, START), Ok(Reply::Nothing), "too soon for another");
    let third = one.answers(&three, &second, START);
    assert_eq!(one.hears(&three, &second, START), Ok(Reply::Nothing));
    for _ in 0..3 {
        assert_eq!(three.hears(&one, &third, START), Ok(Reply::Welcome));
    }
    three.is_heard_by(&one, b"welcome");
    assert_eq!(one.hears(&three, &second, START), Ok(Reply::Nothing));
    both_talk(&one, &three);
    // Even later, when a first message may be taken again: the session stands all the same.
    let later = START + BETWEEN_FIRSTS;
    let _ = three.answers(&one, &first, later);
    assert_eq!(three.hears(&one, &third, later), Ok(Reply::Welcome));
    both_talk(&one, &three);
}

#[test]
fn a_third_message_is_sent_a_few_times_and_then_all_begins_anew() {
    let [mut one, mut three] = ends();
    let first = one.attempts(&three, START).expect("it is time");
    let second = three.answers(&one, &first, START);
    let third = one.answers(&three, &second, START);
    let mut now = START;
    let mut waits = Vec::new();
    for _ in 1..THIRDS_MAX {
        let due = one.relayed.sessions(|sessions| sessions.greetings.due_at());
        waits.push(due - now);
        now = due;
        assert_eq!(one.attempts(&three, now), Some(third.clone()));
    }
    assert_eq!(waits, [PATIENCE, PATIENCE * 2, PATIENCE * 4]);
    now = one.relayed.sessions(|sessions| sessions.greetings.due_at());
    let anew = one.attempts(&three, now).expect("it is time");
    assert_eq!(anew[8], 1, "a first message");
    assert_ne!(anew[..8], first[..8], "of another exchange");
    for _ in 0..20 {
        now = one.relayed.sessions(|sessions| sessions.greetings.due_at());
        one.attempts(&three, now).expect("it is time");
    }
    let due = one.relayed.sessions(|sessions| sessions.greetings.due_at());
    assert_eq!(due - now, PATIENCE_MAX);
}

#[test]
fn two_that_begin_at_once_end_with_sessions_that_both_open() {
    // Every order in which the six messages can arrive that has each after what it answers.
    for order in 0..20_u32 {
        let [mut one, mut three] = ends();
        let mut mail = [one.attempts(&three, START), three.attempts(&one, START)];
        for turn in 0..6 {
            // Which of the two exchanges goes on; the other one, where this one is over.
            let wanted = usize::from(order >> turn & 1 == 1);
            let at = if mail[wanted].is_some() { wanted } else { 1 - wanted };
            let Some(body) = mail[at].take() else { break };
            // The messages of exchange 0 go from one to three, but for the second; those of
            // exchange 1 the other way.
            let to_three = (at == 0) == (body[8] != 2);
            let (from, to) = if to_three { (&mut one, &mut three) } else { (&mut three, &mut one) };
            match to.hears(from, &body, START).expect("genuine") {
                Reply::Greeting(body) => mail[at] = Some(body),
                Reply::Welcome => to.is_heard_by(from, b"welcome"),
                Reply::Nothing => panic!("order {order}, turn {turn}: passed over"),
            }
        }
        assert_eq!(mail, [None, None], "order {order}");
        both_talk(&one, &three);
    }
}

#[test]
fn what_another_start_has_sealed_is_refused_once_the_member_was_started_anew() {
    let [mut one, mut three] = ends();
    greet(&mut one, &mut three, START);
    let late = three.seals(&one, b"late").expect("a session");
    let mut anew = End::new(3, 2);
    let lost = one.seals(&anew, b"to the start before").expect("a session");
    assert_eq!(anew.opens(&lost), Err(Lost::NoSession));
    // Its record says that it was started anew.
    one.relayed.sessions(|sessions| sessions.keep_only(anew.who));
    assert_eq!(one.seals(&anew, b"nothing yet").map(drop), Err(Lost::NoLink));
    assert_eq!(one.opens(&late), Err(Lost::NoSession));
    greet(&mut one, &mut anew, PATIENCE);
    both_talk(&one, &anew);
    assert_eq!(one.opens(&late), Err(Lost::NoSession), "of the start before");
}

#[test]
fn a_handshake_under_way_with_the_start_before_ends_in_nothing() {
    let [mut one, mut three] = ends();
    let first = one.attempts(&three, START).expect("it is time");
    let second = three.answers(&one, &first, START);
    let third = one.answers(&three, &second, START);
    let mut anew = End::new(3, 2);
    one.relayed.sessions(|sessions| sessions.keep_only(anew.who));
    assert_eq!(anew.hears(&one, &third, START), Ok(Reply::Nothing));
    // No patience is lost: the next attempt is due at once.
    greet(&mut one, &mut anew, START);
    both_talk(&one, &anew);
}

#[test]
fn what_is_no_message_is_refused_and_does_not_keep_the_genuine_one_out() {
    let [mut one, mut three] = ends();
    let first = one.attempts(&three, START).expect("it is time");
    let stranger = |body: &[u8], three: &mut End, from: &End| {
        let refused = three.hears(from, body, START).map(drop).expect_err("it is none");
        assert!(matches!(refused.why, Refusal::Garbage | Refusal::Secret), "{refused:?}");
    };
    for length in 0..first.len() {
        stranger(&first[..length], &mut three, &one);
    }
    for stage in [0, 4, u8::MAX] {
        stranger(&[&first[..8], &[stage], &first[9..]].concat(), &mut three, &one);
    }
    let mut forged = first.to_vec();
    *forged.last_mut().expect("bytes") ^= 1;
    stranger(&forged, &mut three, &one);
    let second = three.answers(&one, &first, START);
    let other_exchange = [&[0; 8], &second[8..]].concat();
    assert_eq!(one.hears(&three, &other_exchange, START), Ok(Reply::Nothing));
    let third = one.answers(&three, &second, START);
    let other_exchange = [&[0; 8], &third[8..]].concat();
    assert_eq!(three.hears(&one, &other_exchange, START), Ok(Reply::Nothing));
    assert_eq!(three.hears(&one, &third, START), Ok(Reply::Welcome));
    three.is_heard_by(&one, b"welcome");
    both_talk(&one, &three);
}

/// A handshake up to its third message, which is to come from the first of the two.
fn up_to_the_third() -> ([End; 2], Bytes) {
    let [mut one, mut three] = ends();
    let first = one.attempts(&three, START).expect("it is time");
    let second = three.answers(&one, &first, START);
    let third = one.answers(&three, &second, START);
    ([one, three], third)
}

fn altered(third: &[u8], at: usize) -> Vec<u8> {
    let mut altered = third.to_vec();
    altered[at] ^= 1;
    altered
}

#[test]
fn a_third_message_that_was_altered_does_not_keep_the_genuine_one_out() {
    let length = up_to_the_third().1.len();
    for at in HEAD_BYTES..length {
        let ([one, mut three], third) = up_to_the_third();
        let refused = three.hears(&one, &altered(&third, at), START).map(drop);
        let why = refused.expect_err("it is none").why;
        assert_eq!(why, Refusal::Garbage, "byte {at}");
        assert_eq!(three.hears(&one, &third, START), Ok(Reply::Welcome), "byte {at}");
        three.is_heard_by(&one, b"welcome");
        both_talk(&one, &three);
    }
}

#[test]
fn nobody_makes_a_member_compute_for_ever_by_altered_third_messages() {
    let ([one, mut three], third) = up_to_the_third();
    for _ in 0..THIRDS_MAX {
        three.hears(&one, &altered(&third, HEAD_BYTES), START).map(drop).expect_err("it is none");
    }
    assert_eq!(three.hears(&one, &third, START), Ok(Reply::Nothing));
}

#[test]
fn whoever_is_judged_to_be_another_gets_no_session() {
    let [mut one, mut three] = ends();
    let first = one.attempts(&three, START).expect("it is time");
    let second = three.answers(&one, &first, START);
    let third = one.answers(&three, &second, START);
    let refused = Refused::new(Refusal::Key, "another key");
    let own = own(three.who, &three.party, &mut three.random, START);
    let judged = three.relayed.sessions(|sessions| {
        let judge = |_: &Established| Err(refused.clone());
        sessions.greeted(own, &third, judge)
    });
    assert_eq!(judged, Err(refused));
    assert_eq!(three.seals(&one, b"nothing").map(drop), Err(Lost::NoLink));
    assert_eq!(one.seals(&three, b"nothing").map(drop), Err(Lost::NoLink));
}
