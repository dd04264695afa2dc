//! The bytes of the handshake and of the first sealed frames, as they were when version 1 of the
//! handshake was made: with the same entropy they come again, to the last bit.

use super::golden::{hex, unhex};
use super::{CLUSTER, Raw, pair, secret};
use crate::epoch::Epoch;
use crate::frame::{Flags, Frame, Head, Kind};
use crate::hello::{Links, Opening};
use crate::incoming::Incoming;
use crate::keys::KeyRing;
use crate::outgoing::Outgoing;
use crate::relayed::Session;
use crate::secure::handshake::{
    Challenge, Established, Initiator, Introduction, Party, Responder, Via,
};
use crate::secure::random::Random;
use bytes::{BufMut, BytesMut};
use holm_raft_core::{Incarnation, MemberId, NodeId};
use std::fmt::Write;
use zeroize::Zeroizing;

const GOLDEN: &str = include_str!("../../tests/golden/handshake-v1.txt");
const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const EXCHANGE: u64 = 0xe8c4;

fn party(node: NodeId) -> Party {
    let (ring, pair) = (KeyRing::of(secret(1)), pair(node.0));
    Party { cluster: CLUSTER.to_owned(), features: 5, ring, pair }
}

fn own(node: NodeId) -> Introduction {
    Introduction {
        node,
        incarnation: Incarnation(node.0 * 100),
        start: 0x57a7 + node.0,
        epoch: Epoch::FIRST,
    }
}

fn random(seed: u8) -> Random {
    Random::new(Zeroizing::new([seed; 32]))
}

/// The three messages, and what the initiator and the responder end with.
fn handshake(via: Via) -> ([Vec<u8>; 3], [Established; 2]) {
    let (mut at_one, mut at_two) = (random(0x11), random(0x22));
    let (initiator, first) = Initiator::begin(&party(ONE), via, own(ONE), TWO, &mut at_one);
    let accepted = Responder::accept(&party(TWO), via, own(TWO), &first, &mut at_two);
    let (responder, second) = accepted.expect("genuine");
    let (third, one) = initiator.finish(&second).expect("genuine");
    let two = responder.finish(&third).expect("genuine");
    ([first.to_vec(), second.to_vec(), third.to_vec()], [one, two])
}

/// The first frame that this side seals on a connection.
fn first_frame(of: Established, head: Head, body: &[u8]) -> Vec<u8> {
    let mut out = Outgoing::default();
    out.seal(of.seal);
    out.put(head, |sink| sink.fields().put_slice(body));
    let mut bytes = Vec::new();
    bytes.put(out.unwritten());
    bytes
}

/// The first frame that this side seals for the other one, where others pass it on; here on an
/// outer link whose key is all sevens.
fn first_relayed(of: Established, from: NodeId, to: NodeId, body: &[u8]) -> Frame {
    use crate::secure::seal::{Open, Seal};
    let relayed = crate::relayed::Relayed::new(crate::Limits::default());
    let who = (MemberId::new(to, Incarnation(to.0 * 100)), 0x57a7 + to.0);
    relayed.sessions(|sessions| sessions.begin(Session::new(EXCHANGE, who, of)));
    let (mut out, mut incoming) = (Outgoing::default(), Incoming::new(1024));
    out.seal(Seal::new(&[7; 32]));
    incoming.open(Open::new(&[7; 32]));
    let head = Head { hops: 2, ..Head::new(Kind::Relayed, from, to) };
    let put = |sink: &mut dyn crate::outgoing::Sink| sink.fields().put_slice(body);
    relayed.put(&mut out, head, (Kind::Note, Flags::NONE), put).expect("a session");
    incoming.buffer().put(out.unwritten());
    incoming.next().expect("sealed").expect("whole")
}

fn written() -> String {
    let challenge = Challenge::draw(&mut random(0x33));
    let mut opening = BytesMut::new();
    Opening { links: Links::Sealed, challenge }.put(&mut opening);
    let hello = |from, to, body: &[u8]| Raw::bytes(Head::new(Kind::Hello, from, to), body).to_vec();
    let ([first, second, third], [at_one, at_two]) = handshake(Via::Direct(challenge));
    let ping = 1_000_000_u64.to_le_bytes();
    let mut lines = vec![
        ("opening", hello(TWO, NodeId(0), &opening)),
        ("first", hello(ONE, TWO, &first)),
        ("second", hello(TWO, ONE, &second)),
        ("third", hello(ONE, TWO, &third)),
        ("welcome", first_frame(at_two, Head::new(Kind::Welcome, TWO, ONE), b"")),
        ("ping", first_frame(at_one, Head::new(Kind::Ping, ONE, TWO), &ping)),
    ];
    let ([first, second, third], [at_one, at_two]) = handshake(Via::Relayed);
    let greeting = |from, to, stage: u8, message: &[u8]| {
        let head = Head { hops: 2, ..Head::new(Kind::Greeting, from, to).with(Flags::URGENT) };
        Raw::bytes(head, &[&EXCHANGE.to_le_bytes()[..], &[stage], message].concat()).to_vec()
    };
    lines.push(("greeting-first", greeting(ONE, TWO, 1, &first)));
    lines.push(("greeting-second", greeting(TWO, ONE, 2, &second)));
    lines.push(("greeting-third", greeting(ONE, TWO, 3, &third)));
    for (name, established, from, to) in
        [("relayed-there", at_one, ONE, TWO), ("relayed-back", at_two, TWO, ONE)]
    {
        let frame = first_relayed(established, from, to, b"note");
        lines.push((name, Raw::bytes(frame.head, &frame.body).to_vec()));
    }
    lines.into_iter().fold(String::new(), |mut text, (name, bytes)| {
        writeln!(text, "{name} {}", hex(&bytes)).expect("a string takes all");
        text
    })
}

#[test]
fn with_the_same_entropy_the_handshake_and_the_first_frames_keep_their_bytes() {
    let (written, mut golden) = (written(), GOLDEN.lines());
    for line in written.lines() {
        assert_eq!(Some(line), golden.next());
    }
    assert_eq!(golden.next(), None);
}

/// The kept frame of this name, whose checksum holds.
fn kept(name: &str) -> Frame {
    let line = GOLDEN.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let mut incoming = Incoming::new(1024);
    incoming.buffer().put_slice(&unhex(line.expect("kept")));
    incoming.next().expect("valid").expect("whole")
}

#[test]
fn a_responder_of_today_ends_the_kept_handshake_and_opens_the_kept_frames() {
    let opening = Opening::take(&kept("opening").body).expect("an opening");
    let via = Via::Direct(opening.challenge);
    for (via, names) in [
        (via, ["first", "second", "third"]),
        (Via::Relayed, ["greeting-first", "greeting-second", "greeting-third"]),
    ] {
        let skipped = if via == Via::Relayed { 9 } else { 0 };
        let [first, second, third] = names.map(|name| kept(name).body.split_off(skipped));
        let accepted = Responder::accept(&party(TWO), via, own(TWO), &first, &mut random(0x22));
        let (responder, answer) = accepted.expect("genuine");
        assert_eq!(answer[..], second[..]);
        let found = responder.finish(&third).expect("genuine");
        assert_eq!((found.introduction, found.key), (own(ONE), pair(1).public()));
        if via == Via::Relayed {
            let who = (MemberId::new(ONE, Incarnation(100)), 0x57a8);
            let relayed = crate::relayed::Relayed::new(crate::Limits::default());
            relayed.sessions(|sessions| sessions.begin(Session::new(EXCHANGE, who, found)));
            let Frame { head, body } = kept("relayed-there");
            let (inner, from) = relayed.open(head, body).expect("sealed for it");
            assert_eq!((inner.kind, &inner.body[..], from), (Kind::Note, &b"note"[..], who));
        } else {
            let line = GOLDEN.lines().find_map(|line| line.strip_prefix("ping "));
            let mut incoming = Incoming::new(1024);
            incoming.open(found.open);
            incoming.buffer().put_slice(&unhex(line.expect("kept")));
            let ping = incoming.next().expect("sealed").expect("whole");
            assert_eq!(ping.head, Head::new(Kind::Ping, ONE, TWO));
            assert_eq!(ping.body[..], 1_000_000_u64.to_le_bytes());
        }
    }
}
