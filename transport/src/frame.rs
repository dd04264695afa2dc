//! A frame: its head, `put`, which appends one to a buffer, and the `Decoder`, which cuts frames
//! out of a byte stream without copying their bodies.
//!
//! ```text
//!  0            4            8         9      10     11     12       20       28          36
//! ┌────────────┬────────────┬─────────┬──────┬──────┬──────┬────────┬────────┬───────────┬──────┐
//! │ length u32 │ crc32 u32  │ version │ kind │flags │ hops │ group  │ source │destination│ body │
//! │            │            │ u8 = 1  │ u8   │u8 = 0│ u8   │ u64    │ u64    │ u64       │      │
//! └────────────┴────────────┴─────────┴──────┴──────┴──────┴────────┴────────┴───────────┴──────┘
//! ```
//! All numbers are little-endian. The length counts all that follows it; the checksum covers all
//! that follows the checksum.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::NodeId;

/// The bytes of a frame before its body, the length's own four included.
pub(crate) const HEAD_BYTES: usize = 36;
/// The bytes of the length, which it does not count.
const LENGTH_BYTES: usize = 4;
/// Where what the checksum covers begins.
const CHECKED_FROM: usize = 8;
/// The format this build speaks.
pub(crate) const VERSION: u8 = 1;
/// The size of a new read buffer, in bytes, unless a longer frame is on its way. A body keeps the
/// whole buffer alive from which it was cut, so a small one may hold up to this much more.
const READ_BYTES: usize = 64 << 10;
/// With less room than this left, in bytes, a new read buffer is begun.
const ROOM_BYTES_MIN: usize = 4 << 10;

/// A frame that was received. `PartialEq` compares what is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What stands before the body.
    pub(crate) head: Head,
    /// What it carries.
    pub(crate) body: Bytes,
}

/// What stands before a frame's body, beside length, checksum, version and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// What the body is.
    pub(crate) kind: Kind,
    /// How many relays may pass the frame on. 0 today: none.
    pub(crate) hops: u8,
    /// The group it belongs to. 0 today: there is one.
    pub(crate) group: u64,
    /// The member that made it.
    pub(crate) source: NodeId,
    /// The member it is for.
    pub(crate) destination: NodeId,
}

/// What a frame's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who is at this end. The first frame each way, and no later one.
    Hello,
    /// A message of the core.
    Message,
    /// A note of the node above.
    Note,
    /// "Are you there?", with a number to be returned.
    Ping,
    /// The answer to a ping, with its number.
    Pong,
    /// The last frame of this end, with the reason.
    Close,
}

/// Why bytes are not a frame. There is no going on after it: the boundaries are lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {length} bytes, {max} are allowed")]
    Long { length: usize, max: usize },
    #[error("a frame of {length} bytes, its head alone has {HEAD_BYTES}")]
    Short { length: usize },
    #[error("a frame whose checksum is {computed:08x}, not {stored:08x} as it says")]
    Checksum { stored: u32, computed: u32 },
    #[error("a frame of format version {0}, this build speaks {VERSION}")]
    Version(u8),
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    #[error("a frame with unknown flags {0:#010b}")]
    Flags(u8),
}

impl Head {
    pub(crate) fn new(kind: Kind, source: NodeId, destination: NodeId) -> Self {
        Self { kind, hops: 0, group: 0, source, destination }
    }
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Hello, Self::Message, Self::Note, Self::Ping, Self::Pong, Self::Close];

    const fn code(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Message => 2,
            Self::Note => 3,
            Self::Ping => 4,
            Self::Pong => 5,
            Self::Close => 6,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Appends a frame whose body is what `body` appends.
pub(crate) fn put(out: &mut BytesMut, head: Head, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u64_le(0);
    out.put_u8(VERSION);
    out.put_u8(head.kind.code());
    out.put_u8(0);
    out.put_u8(head.hops);
    out.put_u64_le(head.group);
    out.put_u64_le(head.source.0);
    out.put_u64_le(head.destination.0);
    body(out);
    let length = out.len() - start - LENGTH_BYTES;
    let length = u32::try_from(length).expect("frames are measured before they are queued");
    let crc = crc32fast::hash(&out[start + CHECKED_FROM..]);
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    out[start + LENGTH_BYTES..start + CHECKED_FROM].copy_from_slice(&crc.to_le_bytes());
}

/// Cuts frames out of a byte stream, wherever it was split on its way.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    frame_bytes_max: usize,
}

impl Decoder {
    /// Of frames with at most `frame_bytes_max` bytes each, head included.
    pub(crate) fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), frame_bytes_max }
    }

    /// From the next frame on, accepts up to so many bytes.
    pub(crate) fn allow(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// The buffer to append what was read to. After `next` said `None`, it has room.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, or `None` until more bytes are there.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(stored) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            self.make_room(0);
            return Ok(None);
        };
        let counted = usize::try_from(u32::from_le_bytes(*stored)).unwrap_or(usize::MAX);
        let length = counted.saturating_add(LENGTH_BYTES);
        if length > self.frame_bytes_max {
            return Err(FrameError::Long { length, max: self.frame_bytes_max });
        }
        if length < HEAD_BYTES {
            return Err(FrameError::Short { length });
        }
        let missing = length.saturating_sub(self.buffer.len());
        if missing > 0 {
            // Grows with what has arrived, not with what a length promises.
            self.make_room(missing.min(self.buffer.len()));
            return Ok(None);
        }
        parse(self.buffer.split_to(length).freeze()).map(Some)
    }

    /// Makes room for at least so many bytes more. A buffer is read into until little of it is
    /// left, so that the bodies of many small frames share one.
    fn make_room(&mut self, bytes: usize) {
        let room = self.buffer.capacity() - self.buffer.len();
        if room < bytes.max(ROOM_BYTES_MIN) {
            self.buffer.reserve(bytes.max(READ_BYTES));
        }
    }
}

/// The frame in these bytes, which are as many as its length says, and at least a head.
fn parse(mut bytes: Bytes) -> Result<Frame, FrameError> {
    let computed = crc32fast::hash(&bytes[CHECKED_FROM..]);
    bytes.advance(LENGTH_BYTES);
    let stored = bytes.get_u32_le();
    if stored != computed {
        return Err(FrameError::Checksum { stored, computed });
    }
    let version = bytes.get_u8();
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let code = bytes.get_u8();
    let kind = Kind::from_code(code).ok_or(FrameError::Kind(code))?;
    let flags = bytes.get_u8();
    if flags != 0 {
        return Err(FrameError::Flags(flags));
    }
    let head = Head {
        kind,
        hops: bytes.get_u8(),
        group: bytes.get_u64_le(),
        source: NodeId(bytes.get_u64_le()),
        destination: NodeId(bytes.get_u64_le()),
    };
    Ok(Frame { head, body: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame() -> impl Strategy<Value = Frame> {
        let numbers = any::<(u8, u64, u64, u64)>();
        let body = proptest::collection::vec(any::<u8>(), 0..200);
        (0..Kind::ALL.len(), numbers, body).prop_map(|(kind, numbers, body)| {
            let (hops, group, source, destination) = numbers;
            let (source, destination) = (NodeId(source), NodeId(destination));
            let head = Head { kind: Kind::ALL[kind], hops, group, source, destination };
            Frame { head, body: body.into() }
        })
    }

    fn bytes_of(frame: &Frame) -> BytesMut {
        let mut out = BytesMut::new();
        put(&mut out, frame.head, |out| out.put_slice(&frame.body));
        out
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_decodes_to_the_same_frames(
            frames in proptest::collection::vec(frame(), 1..8),
            cuts in proptest::collection::vec(1_usize..50, 1..20),
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
            let mut decoder = Decoder::new(1024);
            let (mut found, mut rest) = (Vec::new(), &stream[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                decoder.buffer().put_slice(piece);
                rest = after;
                while let Some(frame) = decoder.next().expect("whole frames") {
                    found.push(frame);
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, frames);
            prop_assert!(decoder.buffer().is_empty());
        }

        #[test]
        fn a_changed_bit_never_decodes_to_a_frame(frame in frame(), bit in any::<usize>()) {
            let mut bytes = bytes_of(&frame);
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut decoder = Decoder::new(1 << 20);
            decoder.buffer().put_slice(&bytes);
            prop_assert!(!matches!(decoder.next(), Ok(Some(_))));
        }
    }

    #[test]
    fn a_long_promise_is_refused_before_room_is_made_for_it() {
        let mut decoder = Decoder::new(4096);
        decoder.buffer().put_u32_le(u32::MAX);
        let before = decoder.buffer().capacity();
        assert!(matches!(decoder.next(), Err(FrameError::Long { max: 4096, .. })));
        assert_eq!(decoder.buffer().capacity(), before);
    }

    #[test]
    fn room_grows_with_what_arrived_not_with_what_is_promised() {
        let mut decoder = Decoder::new(64 << 20);
        decoder.buffer().put_u32_le(60 << 20);
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.buffer().capacity() <= 2 * READ_BYTES);
    }

    #[test]
    fn small_frames_that_are_kept_share_their_read_buffers() {
        let head = Head::new(Kind::Note, NodeId(1), NodeId(2));
        let (mut decoder, mut kept, mut buffers) = (Decoder::new(4096), Vec::new(), 0);
        for _ in 0..1000 {
            assert_eq!(decoder.next(), Ok(None));
            let before = decoder.buffer().capacity();
            put(decoder.buffer(), head, |out| out.put_slice(&[7; 64]));
            kept.push(decoder.next().expect("valid").expect("whole"));
            buffers += usize::from(decoder.buffer().capacity() > before);
            assert_eq!(decoder.next(), Ok(None));
            buffers += usize::from(decoder.buffer().capacity() > before);
        }
        assert!(buffers <= 1000 * 100 / (READ_BYTES - ROOM_BYTES_MIN) + 1, "{buffers} buffers");
    }

    #[test]
    fn a_body_is_a_slice_of_the_read_buffer() {
        let head = Head::new(Kind::Note, NodeId(1), NodeId(2));
        let mut decoder = Decoder::new(4096);
        put(decoder.buffer(), head, |out| out.put_slice(&[7; 100]));
        let body_at = decoder.buffer()[HEAD_BYTES..].as_ptr();
        let frame = decoder.next().expect("valid").expect("whole");
        assert_eq!(frame.body.as_ptr(), body_at);
    }

    #[test]
    fn short_frames_and_other_versions_kinds_and_flags_are_named() {
        let refused = |spoil: fn(&mut BytesMut)| {
            let head = Head::new(Kind::Ping, NodeId(1), NodeId(2));
            let mut decoder = Decoder::new(4096);
            put(decoder.buffer(), head, |_| ());
            spoil(decoder.buffer());
            let crc = crc32fast::hash(&decoder.buffer()[CHECKED_FROM..]);
            decoder.buffer()[LENGTH_BYTES..CHECKED_FROM].copy_from_slice(&crc.to_le_bytes());
            decoder.next().expect_err("spoilt")
        };
        assert_eq!(refused(|bytes| bytes[0] = 31), FrameError::Short { length: 35 });
        assert_eq!(refused(|bytes| bytes[8] = 2), FrameError::Version(2));
        assert_eq!(refused(|bytes| bytes[9] = 9), FrameError::Kind(9));
        assert_eq!(refused(|bytes| bytes[10] = 1), FrameError::Flags(1));
    }
}
