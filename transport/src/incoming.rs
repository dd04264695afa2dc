//! Frames on their way in: [`Incoming`] cuts them out of a byte stream, wherever it was split, and
//! checks or opens each. Bodies are not copied: they are parts of the read buffer.

use crate::frame::{CHECKSUM_BYTES, Frame, FrameError, Head, LENGTH_BYTES, TAG_BYTES};
use crate::secure::seal::Open;
use bytes::{Buf, BytesMut};

/// The size of a new read buffer, in bytes, unless a longer frame is on its way. A body keeps the
/// whole buffer alive from which it was cut, so a small one may hold up to this much more.
const READ_BYTES: usize = 64 << 10;
/// With less room than this left, in bytes, a new read buffer is begun.
const ROOM_BYTES_MIN: usize = 4 << 10;

/// Cuts frames out of a byte stream.
pub(crate) struct Incoming {
    buffer: BytesMut,
    frame_bytes_max: usize,
    shield: Shield,
}

/// What vouches for frames.
enum Shield {
    /// A checksum.
    Checked,
    /// A seal, and the number of the next frame.
    Sealed(Open, u64),
}

impl Incoming {
    /// Of checked frames with at most `frame_bytes_max` bytes each, head included.
    pub(crate) fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), frame_bytes_max, shield: Shield::Checked }
    }

    /// From the next frame on, accepts up to so many bytes.
    pub(crate) fn allow(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// From the next frame on, takes sealed ones only, counting from 0.
    pub(crate) fn open(&mut self, open: Open) {
        self.shield = Shield::Sealed(open, 0);
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
        let least = LENGTH_BYTES + Head::BYTES + self.shield.bytes();
        if length < least {
            return Err(FrameError::Short { length, least });
        }
        let missing = length.saturating_sub(self.buffer.len());
        if missing > 0 {
            // Grows with what has arrived, not with what a length promises.
            self.make_room(missing.min(self.buffer.len()));
            return Ok(None);
        }
        let bytes = self.buffer.split_to(length);
        self.shield.take(bytes).map(Some)
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

impl Shield {
    const fn bytes(&self) -> usize {
        match self {
            Self::Checked => CHECKSUM_BYTES,
            Self::Sealed(..) => TAG_BYTES,
        }
    }

    /// The frame in these bytes, which are as many as its length says, and at least the least.
    fn take(&mut self, mut bytes: BytesMut) -> Result<Frame, FrameError> {
        match self {
            Self::Checked => {
                bytes.advance(LENGTH_BYTES);
                let stored = bytes.get_u32_le();
                let computed = crc32fast::hash(&bytes);
                if stored != computed {
                    return Err(FrameError::Checksum { stored, computed });
                }
            }
            Self::Sealed(open, number) => {
                let length = bytes.split_to(LENGTH_BYTES);
                let tag = bytes.split_off(bytes.len() - TAG_BYTES);
                let tag = tag[..].try_into().expect("split so");
                open.open_in_place(*number, &length, &mut bytes, tag)
                    .map_err(|_| FrameError::Tampered)?;
                *number += 1;
            }
        }
        let head = Head::take(&bytes)?;
        bytes.advance(Head::BYTES);
        Ok(Frame { head, body: bytes })
    }
}

#[cfg(test)]
mod tests;
