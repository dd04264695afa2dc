//! Frames on their way in: [`Incoming`] cuts them out of a byte stream, wherever it was split, and
//! checks or opens each. Bodies are not copied: they are parts of the read buffer.

use crate::frame::{CHECKSUM_BYTES, Frame, FrameError, Head, LENGTH_BYTES, TAG_BYTES};
use crate::secure::seal::Open;
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;

/// The size of a new read buffer, in bytes. A body keeps the whole buffer alive from which it was
/// cut, so a small one may hold up to this much more.
const READ_BYTES: usize = 64 << 10;
/// The same while long frames arrive: so that few of them straddle two buffers, and each read
/// takes what several writes have brought.
const LONG_READ_BYTES: usize = 256 << 10;
/// A frame of so many bytes is long.
const LONG_BYTES: usize = 16 << 10;
/// With less room than this left, in bytes, a new read buffer is begun.
const ROOM_BYTES_MIN: usize = 4 << 10;
/// The most buffers of `LONG_READ_BYTES` that are kept to be read into again.
const SPARE_BUFFERS_MAX: usize = 4;

/// Cuts frames out of a byte stream.
pub(crate) struct Incoming {
    buffer: BytesMut,
    /// The size it was made with.
    buffer_bytes: usize,
    spare: Spare,
    /// The length of the latest frame that has arrived.
    length: usize,
    frame_bytes_max: usize,
    shield: Shield,
}

/// Read buffers of long frames that are full. Each is read into again once nobody holds a body
/// that was cut from it: fresh memory costs more than the reading itself.
#[derive(Default)]
struct Spare(VecDeque<BytesMut>);

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
        Self {
            buffer: BytesMut::new(),
            buffer_bytes: 0,
            spare: Spare::default(),
            length: 0,
            frame_bytes_max,
            shield: Shield::Checked,
        }
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
        let Some(length) = self.stated() else {
            self.make_room(0);
            return Ok(None);
        };
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
        self.length = length;
        let bytes = self.buffer.split_to(length);
        self.shield.take(bytes).map(Some)
    }

    /// The length of the frame of which a part is there, or of its length alone while that has not
    /// come; 0 if none has begun. After `next` said `None`.
    pub(crate) fn begun(&self) -> usize {
        let unstated = if self.buffer.is_empty() { 0 } else { LENGTH_BYTES };
        self.stated().unwrap_or(unstated)
    }

    /// How long the next frame is, as it says itself, once it does.
    fn stated(&self) -> Option<usize> {
        let stored = self.buffer.first_chunk::<LENGTH_BYTES>()?;
        let counted = usize::try_from(u32::from_le_bytes(*stored)).unwrap_or(usize::MAX);
        Some(counted.saturating_add(LENGTH_BYTES))
    }

    /// Makes room for at least so many bytes more. A buffer is read into until little of it is
    /// left, so that the bodies of many small frames share one, and again once nobody holds any.
    fn make_room(&mut self, bytes: usize) {
        let bytes = bytes.max(ROOM_BYTES_MIN);
        if self.buffer.try_reclaim(bytes) {
            return;
        }
        let usual = if self.length < LONG_BYTES { READ_BYTES } else { LONG_READ_BYTES };
        let size = usual.max(self.buffer.len() + bytes);
        let mut fresh = self.spare.take(size).unwrap_or_else(|| BytesMut::with_capacity(size));
        fresh.extend_from_slice(&self.buffer);
        let full = std::mem::replace(&mut self.buffer, fresh);
        if std::mem::replace(&mut self.buffer_bytes, size) == LONG_READ_BYTES {
            self.spare.keep(full);
        }
    }
}

impl Spare {
    /// An empty buffer with exactly this size, if one is free. When smaller ones are wanted again,
    /// nothing is kept any longer.
    fn take(&mut self, size: usize) -> Option<BytesMut> {
        if size != LONG_READ_BYTES {
            self.0.clear();
            return None;
        }
        // The latest first: it is the likeliest to be in the processor's cache.
        let free = self.0.iter_mut().rposition(|buffer| buffer.try_reclaim(size));
        free.and_then(|place| self.0.remove(place))
    }

    /// Keeps a full one. Of too many, the one that has been held longest is let go.
    fn keep(&mut self, mut full: BytesMut) {
        full.clear();
        self.0.push_back(full);
        if self.0.len() > SPARE_BUFFERS_MAX {
            self.0.pop_front();
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
