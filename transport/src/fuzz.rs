//! The body of the fuzz target `transport_frames`: whatever decodes encodes to the same bytes, and
//! nothing panics. That of `transport_session` is in `session`.

mod attacked;
mod far;
mod input;
pub(crate) mod session;

pub use session::fuzz_session;

use crate::frame::{CHECKSUM_BYTES, Frame, Head, Kind, LENGTH_BYTES};
use crate::hello::{Hello, Opening};
use crate::incoming::Incoming;
use crate::message;
use crate::outgoing::Outgoing;
use bytes::{Buf, BufMut, BytesMut};

/// The longest frame that is accepted here, in bytes.
const FRAME_BYTES_MAX: usize = 4096;

/// Takes arbitrary bytes once as a stream as it is, and once as frames in need of a length and a
/// checksum (each two bytes of length, then version, kind, flags, hops, group, source, destination
/// and body), read in pieces.
///
/// # Panics
/// When something that was decoded encodes to other bytes.
pub fn fuzz_frames(data: &[u8]) {
    frames_checked(data);
}

/// How far the input got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Frames past the checksum.
    pub(crate) frames: usize,
    /// Frames whose body was understood as well.
    pub(crate) bodies: usize,
}

pub(crate) fn frames_checked(data: &[u8]) -> Depth {
    let mut raw = Incoming::new(FRAME_BYTES_MAX);
    raw.buffer().put_slice(data);
    while let Ok(Some(frame)) = raw.next() {
        same_again(frame);
    }
    let stream = with_checksums(data);
    let mut incoming = Incoming::new(FRAME_BYTES_MAX);
    let mut depth = Depth::default();
    let piece = usize::from(data.first().copied().unwrap_or_default()) + 1;
    for bytes in stream.chunks(piece) {
        incoming.buffer().put_slice(bytes);
        while let Ok(Some(frame)) = incoming.next() {
            depth.frames += 1;
            depth.bodies += usize::from(same_again(frame));
        }
    }
    depth
}

/// The input cut into frames by the lengths it gives, each with its right length and checksum.
fn with_checksums(mut data: &[u8]) -> BytesMut {
    let mut stream = BytesMut::new();
    while let Ok(length) = data.try_get_u16_le() {
        let (checked, rest) = data.split_at(usize::from(length).min(data.len()));
        data = rest;
        let counted = checked.len() + size_of::<u32>();
        stream.put_u32_le(u32::try_from(counted).expect("a u16 and four"));
        stream.put_u32_le(crc32fast::hash(checked));
        stream.put_slice(checked);
    }
    stream
}

/// Encodes what was decoded and compares; says whether the body was understood.
fn same_again(frame: Frame) -> bool {
    let mut out = Outgoing::default();
    out.put(frame.head, |sink| sink.fields().put_slice(&frame.body));
    let mut again = Incoming::new(FRAME_BYTES_MAX);
    again.buffer().put(out.unwritten());
    assert_eq!(again.next().as_ref(), Ok(&Some(frame.clone())), "a frame changed");
    let bytes = LENGTH_BYTES + CHECKSUM_BYTES + Head::BYTES + frame.body.len();
    assert_eq!(out.bytes(), bytes, "a frame's length is wrong");
    let body = frame.body.clone();
    body_again(frame).is_some_and(|again| {
        assert_eq!(again, body, "a body changed");
        true
    })
}

/// The body decoded and encoded again, if it is one that is understood.
fn body_again(frame: Frame) -> Option<BytesMut> {
    let mut out = BytesMut::new();
    let Frame { head, body } = frame;
    match head.kind {
        Kind::Message => {
            let message = message::take(head.source, head.destination, body.freeze()).ok()?;
            message::put(&message, &mut out);
            assert_eq!(out.len(), message::length(&message), "a message's length is wrong");
        }
        Kind::Hello => match Opening::take(&body) {
            Ok(opening) => opening.put(&mut out),
            Err(_) => Hello::take(&body).ok()?.put(&mut out),
        },
        Kind::Welcome => Hello::take(&body).ok()?.put(&mut out),
        _ => return None,
    }
    Some(out)
}
