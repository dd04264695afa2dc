//! The body of the fuzz target `transport_frames`: whatever decodes encodes to the same bytes, and
//! nothing panics.

use crate::frame::{Decoder, Frame, HEAD_BYTES, Kind, put};
use crate::hello::Hello;
use crate::message;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest frame the decoder accepts here, in bytes.
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
    let mut raw = Decoder::new(FRAME_BYTES_MAX);
    raw.buffer().put_slice(data);
    while let Ok(Some(frame)) = raw.next() {
        same_again(&frame);
    }
    let stream = with_checksums(data);
    let mut decoder = Decoder::new(FRAME_BYTES_MAX);
    let mut depth = Depth::default();
    let piece = usize::from(data.first().copied().unwrap_or_default()) + 1;
    for bytes in stream.chunks(piece) {
        decoder.buffer().put_slice(bytes);
        while let Ok(Some(frame)) = decoder.next() {
            depth.frames += 1;
            depth.bodies += usize::from(same_again(&frame));
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
fn same_again(frame: &Frame) -> bool {
    let mut out = BytesMut::new();
    put(&mut out, frame.head, |out| out.put_slice(&frame.body));
    let mut again = Decoder::new(FRAME_BYTES_MAX);
    again.buffer().put_slice(&out);
    assert_eq!(again.next().as_ref(), Ok(&Some(frame.clone())), "a frame changed");
    assert_eq!(out.len(), HEAD_BYTES + frame.body.len(), "a frame's length is wrong");
    body_again(frame).is_some_and(|body| {
        assert_eq!(body, frame.body, "a body changed");
        true
    })
}

/// The body decoded and encoded again, if it is one that is understood.
fn body_again(frame: &Frame) -> Option<Bytes> {
    let mut out = BytesMut::new();
    let body = frame.body.clone();
    match frame.head.kind {
        Kind::Message => {
            let message = message::take(frame.head.source, frame.head.destination, body).ok()?;
            message::put(&message, &mut out);
            assert_eq!(out.len(), message::length(&message), "a message's length is wrong");
        }
        Kind::Hello => Hello::take(body).ok()?.put(&mut out),
        Kind::Note | Kind::Ping | Kind::Pong | Kind::Close => return None,
    }
    Some(out.freeze())
}
