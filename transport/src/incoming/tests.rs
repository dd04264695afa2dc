//! Frames survive any split of their stream, checked and sealed, and nothing else is one.

use super::*;
use crate::frame::{Flags, Kind, VERSION};
use crate::outgoing::Outgoing;
use crate::secure::seal::Seal;
use bytes::{BufMut, Bytes};
use holm_raft_core::NodeId;
use proptest::prelude::*;
use std::collections::BTreeSet;

const KEY: [u8; 32] = [7; 32];

/// How the two ends of a stream are shielded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Checked,
    Sealed,
}

impl How {
    fn ends(self) -> (Outgoing, Incoming) {
        let (mut out, mut incoming) = (Outgoing::default(), Incoming::new(1 << 20));
        if self == Self::Sealed {
            out.seal(Seal::new(&KEY));
            incoming.open(Open::new(&KEY));
        }
        (out, incoming)
    }
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Checked), Just(How::Sealed)]
}

fn frame() -> impl Strategy<Value = Frame> {
    let numbers = any::<(u8, u64, u64, u64)>();
    let body = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => proptest::collection::vec(any::<u8>(), 1000..3000),
    ];
    (0..Kind::ALL.len(), 0..4_u8, numbers, body).prop_map(|(kind, flags, numbers, body)| {
        let (hops, group, source, destination) = numbers;
        let (source, destination) = (NodeId(source), NodeId(destination));
        let flags = Flags::from_code(flags).expect("known");
        let head = Head { kind: Kind::ALL[kind], flags, hops, group, source, destination };
        Frame { head, body: BytesMut::from(&body[..]) }
    })
}

fn put(out: &mut Outgoing, frame: &Frame) {
    let data = Bytes::copy_from_slice(&frame.body);
    out.put(frame.head, |sink| sink.data(&data));
}

fn written(out: &Outgoing) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put(out.unwritten());
    bytes
}

proptest! {
    #[test]
    fn any_split_of_the_stream_decodes_to_the_same_frames(
        how in how(),
        frames in proptest::collection::vec(frame(), 1..8),
        cuts in proptest::collection::vec(1_usize..300, 1..20),
    ) {
        let (mut out, mut incoming) = how.ends();
        frames.iter().for_each(|frame| put(&mut out, frame));
        let stream = written(&out);
        prop_assert_eq!(stream.len(), out.bytes());
        let (mut found, mut rest) = (Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            incoming.buffer().put_slice(piece);
            rest = after;
            while let Some(frame) = incoming.next().expect("whole frames") {
                found.push(frame);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found, frames);
        prop_assert!(incoming.buffer().is_empty());
    }

    #[test]
    fn a_stream_is_written_whole_whatever_is_taken_of_it_at_a_time(
        frames in proptest::collection::vec(frame(), 1..8),
        steps in proptest::collection::vec(1_usize..2000, 1..20),
    ) {
        let (mut out, _) = How::Checked.ends();
        frames.iter().for_each(|frame| put(&mut out, frame));
        let (whole, mut unwritten, mut found) = (written(&out), out.unwritten(), Vec::new());
        for step in steps.iter().cycle() {
            let mut slices = [std::io::IoSlice::new(&[]); 3];
            let filled = unwritten.chunks_vectored(&mut slices);
            let flat: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            prop_assert_eq!(flat.is_empty(), !unwritten.has_remaining());
            if flat.is_empty() {
                break;
            }
            let taken = (*step).min(flat.len());
            found.extend_from_slice(&flat[..taken]);
            unwritten.advance(taken);
        }
        prop_assert_eq!(found, whole);
    }

    #[test]
    fn a_changed_bit_never_decodes_to_a_frame(
        how in how(),
        frame in frame(),
        bit in any::<usize>(),
    ) {
        let (mut out, mut incoming) = how.ends();
        put(&mut out, &frame);
        let mut bytes = written(&out);
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        incoming.buffer().put_slice(&bytes);
        prop_assert!(!matches!(incoming.next(), Ok(Some(_))));
    }
}

#[test]
fn a_sealed_frame_is_taken_once_and_in_its_place() {
    let frame = |body: &[u8]| {
        let head = Head::new(Kind::Note, NodeId(1), NodeId(2));
        Frame { head, body: BytesMut::from(body) }
    };
    let (first, second) = (frame(b"first"), frame(b"second"));
    let bytes = |frames: &[&Frame]| {
        let (mut out, _) = How::Sealed.ends();
        frames.iter().for_each(|frame| put(&mut out, frame));
        written(&out)
    };
    let one = bytes(&[&first]);
    let both = bytes(&[&first, &second]);
    let taken = |stream: &[u8]| {
        let (_, mut incoming) = How::Sealed.ends();
        incoming.buffer().put_slice(stream);
        (incoming.next(), incoming.next())
    };
    assert_eq!(taken(&both), (Ok(Some(first.clone())), Ok(Some(second))));
    let repeated = [&one[..], &one].concat();
    assert_eq!(taken(&repeated), (Ok(Some(first)), Err(FrameError::Tampered)));
    assert_eq!(taken(&both[one.len()..]).0, Err(FrameError::Tampered), "one is missing");
}

#[test]
fn a_long_promise_is_refused_before_room_is_made_for_it() {
    let mut incoming = Incoming::new(4096);
    incoming.buffer().put_u32_le(u32::MAX);
    let before = incoming.buffer().capacity();
    assert!(matches!(incoming.next(), Err(FrameError::Long { max: 4096, .. })));
    assert_eq!(incoming.buffer().capacity(), before);
}

#[test]
fn room_grows_with_what_arrived_not_with_what_is_promised() {
    let mut incoming = Incoming::new(64 << 20);
    incoming.buffer().put_u32_le(60 << 20);
    assert_eq!(incoming.next(), Ok(None));
    assert!(incoming.buffer().capacity() <= 2 * READ_BYTES);
}

#[test]
fn small_frames_that_are_kept_share_their_read_buffers() {
    let head = Head::new(Kind::Note, NodeId(1), NodeId(2));
    let (mut incoming, mut kept, mut buffers) = (Incoming::new(4096), Vec::new(), 0);
    let frame = Frame { head, body: BytesMut::from(&[7; 64][..]) };
    let (mut out, _) = How::Checked.ends();
    put(&mut out, &frame);
    let bytes = written(&out);
    for _ in 0..1000 {
        assert_eq!(incoming.next(), Ok(None));
        let before = incoming.buffer().capacity();
        incoming.buffer().put_slice(&bytes);
        kept.push(incoming.next().expect("valid").expect("whole"));
        buffers += usize::from(incoming.buffer().capacity() > before);
        assert_eq!(incoming.next(), Ok(None));
        buffers += usize::from(incoming.buffer().capacity() > before);
    }
    assert!(buffers <= 1000 * 100 / (READ_BYTES - ROOM_BYTES_MIN) + 1, "{buffers} buffers");
}

/// A stream of long notes, checked, each with its number in all its bytes.
fn long_notes(numbers: impl Iterator<Item = u8>) -> Vec<u8> {
    let (mut out, _) = How::Checked.ends();
    for number in numbers {
        let head = Head::new(Kind::Note, NodeId(1), NodeId(2));
        put(&mut out, &Frame { head, body: BytesMut::from(&[number; 60_000][..]) });
    }
    written(&out)
}

/// Reads all of a stream, as much at a time as there is room for; hands each frame to `take`, and
/// returns where the buffers stood that were begun.
fn read(
    incoming: &mut Incoming,
    mut stream: &[u8],
    mut take: impl FnMut(Frame),
) -> BTreeSet<usize> {
    let mut ends = BTreeSet::new();
    loop {
        while let Some(frame) = incoming.next().expect("whole frames") {
            take(frame);
        }
        if stream.is_empty() {
            return ends;
        }
        let buffer = incoming.buffer();
        let room = buffer.capacity() - buffer.len();
        ends.insert(buffer.as_ptr().addr() + buffer.capacity());
        let (piece, rest) = stream.split_at(room.min(stream.len()));
        buffer.put_slice(piece);
        stream = rest;
    }
}

#[test]
fn long_frames_that_nobody_holds_are_read_into_the_same_few_buffers() {
    let mut incoming = Incoming::new(1 << 20);
    let buffers = read(&mut incoming, &long_notes(0..200), drop);
    // Two of them before the first frame has shown that it is long.
    assert!(buffers.len() <= 2 + 2, "{buffers:?}");
    let mut held = VecDeque::new();
    let buffers = read(&mut incoming, &long_notes(0..200), |frame| {
        held.push_back(frame);
        if held.len() > 8 {
            held.pop_front();
        }
    });
    assert!(buffers.len() <= 1 + SPARE_BUFFERS_MAX, "{buffers:?}");
}

#[test]
fn no_more_than_so_many_buffers_are_kept_and_none_among_small_frames() {
    let (mut incoming, mut held) = (Incoming::new(1 << 20), Vec::new());
    read(&mut incoming, &long_notes(0..100), |frame| held.push(frame));
    assert_eq!(incoming.spare.0.len(), SPARE_BUFFERS_MAX);
    drop(held);
    let (mut out, _) = How::Checked.ends();
    let head = Head::new(Kind::Note, NodeId(1), NodeId(2));
    for _ in 0..(2 * LONG_READ_BYTES / 100) {
        put(&mut out, &Frame { head, body: BytesMut::from(&[7; 64][..]) });
    }
    let mut held = Vec::new();
    read(&mut incoming, &written(&out), |frame| held.push(frame));
    assert_eq!(incoming.spare.0.len(), 0);
    assert_eq!(incoming.buffer_bytes, READ_BYTES);
}

proptest! {
    #[test]
    fn what_is_held_of_long_frames_is_never_read_over(
        holds in proptest::collection::vec(0_usize..40, 1..60),
    ) {
        let mut incoming = Incoming::new(1 << 20);
        let (mut held, mut number) = (Vec::new(), 0_u8);
        read(&mut incoming, &long_notes((0..).take(holds.len())), |frame| {
            held.push((usize::from(number) + holds[usize::from(number)], number, frame));
            held.retain(|(until, _, _)| *until > usize::from(number));
            number += 1;
            for (_, number, Frame { body, .. }) in &held {
                assert!(body.len() == 60_000 && body.iter().all(|byte| byte == number));
            }
        });
        prop_assert_eq!(usize::from(number), holds.len());
    }
}

#[test]
fn a_body_is_a_part_of_the_read_buffer() {
    for how in [How::Checked, How::Sealed] {
        let head = Head::new(Kind::Note, NodeId(1), NodeId(2));
        let (mut out, mut incoming) = how.ends();
        put(&mut out, &Frame { head, body: BytesMut::from(&[7; 100][..]) });
        incoming.buffer().put_slice(&written(&out));
        let from = incoming.buffer().as_ptr_range();
        let frame = incoming.next().expect("valid").expect("whole");
        assert!(from.contains(&frame.body.freeze().as_ptr()), "{how:?}");
    }
}

#[test]
fn short_frames_and_other_versions_kinds_and_flags_are_named() {
    let refused = |spoil: fn(&mut BytesMut)| {
        let head = Head::new(Kind::Ping, NodeId(1), NodeId(2));
        let (mut out, mut incoming) = How::Checked.ends();
        put(&mut out, &Frame { head, body: BytesMut::new() });
        incoming.buffer().put_slice(&written(&out));
        spoil(incoming.buffer());
        let crc = crc32fast::hash(&incoming.buffer()[8..]);
        incoming.buffer()[4..8].copy_from_slice(&crc.to_le_bytes());
        incoming.next().expect_err("spoilt")
    };
    assert_eq!(refused(|bytes| bytes[0] = 31), FrameError::Short { length: 35, least: 36 });
    assert_eq!(refused(|bytes| bytes[8] = VERSION + 1), FrameError::Version(VERSION + 1));
    assert_eq!(refused(|bytes| bytes[9] = 99), FrameError::Kind(99));
    assert_eq!(refused(|bytes| bytes[10] = 4), FrameError::Flags(4));
}
