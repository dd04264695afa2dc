//! The bytes of each kind of frame in version 2, as they were when that version was made. They
//! must decode, and encode to the same bytes, for as long as version 2 is spoken.

use super::Raw;
use crate::connection::CLOSE_DUPLICATE;
use crate::frame::{Flags, Frame, FrameError, Head, Kind};
use crate::hello::{Hello, Links, Opening};
use crate::incoming::Incoming;
use crate::message;
use crate::pieces::Place;
use crate::secure::handshake::Challenge;
use bytes::{BufMut, Bytes, BytesMut};
use holm_raft_core::{
    Ballot, Body, Boot, Cause, Chunk, Configuration, Entry, EntryId, EntryKind, Incarnation, Index,
    LogTime, Member, MemberId, Message, NodeId, RequestNumber, SnapshotMeta, Term,
};
use std::fmt::Write;

const GOLDEN: &str = include_str!("../../tests/golden/v2.txt");
const FROM: MemberId = MemberId::new(NodeId(1), Incarnation(0x1111));
const TO: MemberId = MemberId::new(NodeId(2), Incarnation(0x2222));

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Term(term), Index(index))
}

fn bodies() -> Vec<(&'static str, Body)> {
    let (boot, number) = (Boot(0xb007), RequestNumber(4));
    let entry = |index, kind, data: &'static [u8]| Entry {
        id: id(index, 5),
        time: LogTime(1500),
        kind,
        data: Bytes::from_static(data),
    };
    let entries = vec![
        entry(6, EntryKind::Noop, b""),
        entry(7, EntryKind::Command, b"command"),
        entry(8, EntryKind::Configuration, b"\x01\0\0\0"),
    ];
    let info = Bytes::from_static(b"info");
    let meta = SnapshotMeta {
        last: id(9, 4),
        time: LogTime(1200),
        configuration: Configuration::new([Member { id: FROM, info }]),
        configuration_index: Index(1),
    };
    let (length, checksum, offset) = (1_000_000, 0xc4ec, 999_995);
    let data = Bytes::from_static(b"state");
    let chunk = Chunk { meta, length, checksum, offset, data };
    let snapshot = chunk.id();
    vec![
        ("pre-vote", Body::PreVote { last: id(5, 2) }),
        ("pre-voted", Body::PreVoted(Ballot::Granted)),
        ("vote", Body::Vote { last: id(5, 2), cause: Cause::Timeout }),
        ("vote-transfer", Body::Vote { last: id(5, 2), cause: Cause::Transfer }),
        ("voted", Body::Voted(Ballot::Refused)),
        ("append", Body::Append { prev: id(5, 2), entries, commit: Index(4) }),
        ("appended", Body::Appended { matched: Index(7) }),
        ("rejected", Body::Rejected { prev: Index(5), hint: id(3, 2) }),
        ("heartbeat", Body::Heartbeat { round: 17, commit: Index(4) }),
        ("heartbeat-ack", Body::HeartbeatAck { round: 17 }),
        ("snapshot", Body::Snapshot(chunk.into())),
        ("received", Body::Received { snapshot, stored: 262_144 }),
        ("propose", Body::Propose { boot, number, data: Bytes::from_static(b"command") }),
        ("proposed", Body::Proposed { boot, number, appended: Some(id(8, 5)) }),
        ("proposed-refused", Body::Proposed { boot, number, appended: None }),
        ("read", Body::Read { boot, number }),
        ("read-at", Body::ReadAt { boot, number, index: Some(Index(8)) }),
        ("read-at-refused", Body::ReadAt { boot, number, index: None }),
        ("timeout-now", Body::TimeoutNow),
        ("committed", Body::Committed { commit: Index(4) }),
    ]
}

fn frames() -> Vec<(&'static str, Frame)> {
    let frame = |kind, body: &[u8]| Frame {
        head: Head::new(kind, FROM.node, TO.node),
        body: BytesMut::from(body),
    };
    let mut hello = BytesMut::new();
    Hello { incarnation: FROM.incarnation, start: 0x57a7, cluster: "islands".to_owned(), epoch: 0 }
        .put(&mut hello);
    let mut opening = BytesMut::new();
    Opening { links: Links::Sealed, challenge: Challenge([0xc4; 16]) }.put(&mut opening);
    let stamp = 1_000_000_u64.to_le_bytes();
    let mut piece = BytesMut::new();
    Place { number: 3, offset: 65_536, whole: 65_540 }.put(&mut piece);
    piece.put_slice(b"tail");
    let whole = frame(Kind::Note, &piece);
    let piece = Frame { head: whole.head.with(Flags::PIECE), ..whole };
    let relayed = frame(Kind::Relayed, &[&[Kind::Note.code(), 0][..], b"note"].concat());
    let relayed = Frame { head: Head { hops: 2, ..relayed.head.with(Flags::URGENT) }, ..relayed };
    let mut frames = vec![
        ("opening", frame(Kind::Hello, &opening)),
        ("hello", frame(Kind::Hello, &hello)),
        ("welcome", frame(Kind::Welcome, &hello)),
        ("note-piece", piece),
        ("note-relayed", relayed),
        ("note", frame(Kind::Note, b"note")),
        ("ping", frame(Kind::Ping, &stamp)),
        ("pong", frame(Kind::Pong, &stamp)),
        ("close-duplicate", frame(Kind::Close, &[CLOSE_DUPLICATE])),
    ];
    for (name, body) in bodies() {
        let mut out = BytesMut::new();
        message::put(&Message { from: FROM, to: TO, term: Term(5), body }, &mut out);
        frames.push((name, frame(Kind::Message, &out)));
    }
    frames
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).expect("hex").try_into().expect("a digit")).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn frames_of_version_2_keep_their_bytes() {
    let written: String = frames().into_iter().fold(String::new(), |mut text, (name, frame)| {
        let out = Raw::bytes(frame.head, &frame.body);
        writeln!(text, "{name} {}", hex(&out)).expect("a string takes all");
        text
    });
    assert_eq!(written, GOLDEN);
}

#[test]
fn the_bytes_of_version_2_decode_to_the_same_frames_and_messages() {
    let mut messages = bodies().into_iter();
    for ((name, frame), line) in frames().into_iter().zip(GOLDEN.lines()) {
        let (golden_name, bytes) = line.split_once(' ').expect("a name and bytes");
        assert_eq!(golden_name, name);
        let mut incoming = Incoming::new(1024);
        incoming.buffer().put_slice(&unhex(bytes));
        let decoded = incoming.next().expect("valid").expect("whole");
        assert_eq!(decoded, frame, "{name}");
        if decoded.head.kind == Kind::Message {
            let message = message::take(FROM.node, TO.node, decoded.body.freeze()).expect("valid");
            let (_, body) = messages.next().expect("as many as in the file");
            assert_eq!(message, Message { from: FROM, to: TO, term: Term(5), body }, "{name}");
        }
    }
    assert_eq!(GOLDEN.lines().count(), frames().len());
    assert_eq!(messages.next(), None);
}

#[test]
fn frames_of_version_1_are_refused_by_its_name() {
    for line in include_str!("../../tests/golden/v1.txt").lines() {
        let (_, bytes) = line.split_once(' ').expect("a name and bytes");
        let mut incoming = Incoming::new(1024);
        incoming.buffer().put_slice(&unhex(bytes));
        assert_eq!(incoming.next(), Err(FrameError::Version(1)));
    }
}
