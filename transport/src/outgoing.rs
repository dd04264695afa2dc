//! Frames on their way out: [`Outgoing`] gathers them, checked or sealed, until they are written.
//! In a checked frame long data are not copied: they stand beside the gathered bytes and leave by
//! the same vectored write. A sealed frame is gathered once and sealed where it lies.

use crate::frame::{CHECKSUM_BYTES, Head, LENGTH_BYTES};
use crate::secure::seal::{Seal, Wear};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io::IoSlice;

/// Data shorter than this, in bytes, are copied: a slice of their own would cost more.
const SHARED_BYTES_MIN: usize = 1 << 10;

/// Frames that are about to be written.
#[derive(Default)]
pub(crate) struct Outgoing {
    shield: Shield,
    gathered: BytesMut,
    /// Data that were not copied, each with its place: so many gathered bytes stand before it.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
}

/// What vouches for frames.
#[derive(Default)]
enum Shield {
    /// A checksum.
    #[default]
    Checked,
    /// A seal, and the number of the next frame.
    Sealed(Seal, u64),
}

/// Where a body is put.
pub(crate) trait Sink {
    /// For what is short.
    fn fields(&mut self) -> &mut BytesMut;
    /// For what may be long, and is shared.
    fn data(&mut self, data: &Bytes);
}

impl Sink for BytesMut {
    fn fields(&mut self) -> &mut BytesMut {
        self
    }

    fn data(&mut self, data: &Bytes) {
        self.put_slice(data);
    }
}

/// The body of a checked frame.
struct Checked<'a>(&'a mut Outgoing);

impl Sink for Checked<'_> {
    fn fields(&mut self) -> &mut BytesMut {
        &mut self.0.gathered
    }

    fn data(&mut self, data: &Bytes) {
        if data.len() < SHARED_BYTES_MIN {
            self.0.gathered.put_slice(data);
        } else {
            self.0.shared_bytes += data.len();
            self.0.shared.push((self.0.gathered.len(), data.clone()));
        }
    }
}

impl Outgoing {
    /// From the next frame on, seals them, counting from 0.
    pub(crate) fn seal(&mut self, seal: Seal) {
        self.shield = Shield::Sealed(seal, 0);
    }

    /// Whether frames are sealed.
    pub(crate) const fn is_sealed(&self) -> bool {
        matches!(self.shield, Shield::Sealed(..))
    }

    /// Whether the key has sealed nearly as much as it may, so that another connection has to
    /// follow.
    pub(crate) fn is_worn(&self) -> bool {
        match &self.shield {
            Shield::Checked => false,
            Shield::Sealed(seal, number) => seal.wear(*number) != Wear::Good,
        }
    }

    /// How many bytes are to be written.
    pub(crate) fn bytes(&self) -> usize {
        self.gathered.len() + self.shared_bytes
    }

    /// Everything has been written. Of a buffer that has grown beyond `keep_bytes` nothing is kept.
    pub(crate) fn clear(&mut self, keep_bytes: usize) {
        self.gathered.clear();
        self.shared.clear();
        self.shared_bytes = 0;
        if self.gathered.capacity() > keep_bytes {
            self.gathered = BytesMut::new();
        }
    }

    /// Appends a frame whose body is what `body` puts.
    pub(crate) fn put(&mut self, head: Head, body: impl FnOnce(&mut dyn Sink)) {
        match self.shield {
            Shield::Checked => self.put_checked(head, body),
            Shield::Sealed(..) => self.put_sealed(head, body),
        }
    }

    fn put_checked(&mut self, head: Head, body: impl FnOnce(&mut dyn Sink)) {
        let (start, shared, before) = (self.gathered.len(), self.shared.len(), self.bytes());
        self.gathered.put_bytes(0, LENGTH_BYTES + CHECKSUM_BYTES);
        head.put(&mut self.gathered);
        body(&mut Checked(self));
        let length = length_field(self.bytes() - before);
        let mut crc = crc32fast::Hasher::new();
        let mut from = start + LENGTH_BYTES + CHECKSUM_BYTES;
        for (at, data) in &self.shared[shared..] {
            crc.update(&self.gathered[from..*at]);
            crc.update(data);
            from = *at;
        }
        crc.update(&self.gathered[from..]);
        let front = &mut self.gathered[start..start + LENGTH_BYTES + CHECKSUM_BYTES];
        front[..LENGTH_BYTES].copy_from_slice(&length);
        front[LENGTH_BYTES..].copy_from_slice(&crc.finalize().to_le_bytes());
    }

    fn put_sealed(&mut self, head: Head, body: impl FnOnce(&mut dyn Sink)) {
        let Shield::Sealed(seal, number) = &mut self.shield else { return };
        let start = self.gathered.len();
        self.gathered.put_bytes(0, LENGTH_BYTES);
        head.put(&mut self.gathered);
        body(&mut self.gathered);
        let length = self.gathered.len() - start + crate::frame::TAG_BYTES;
        let length = length_field(length);
        self.gathered[start..start + LENGTH_BYTES].copy_from_slice(&length);
        let plain = &mut self.gathered[start + LENGTH_BYTES..];
        let tag = seal.seal_in_place(*number, &length, plain);
        *number += 1;
        self.gathered.put_slice(&tag);
    }

    /// All of it, to be written.
    pub(crate) fn unwritten(&self) -> Unwritten<'_> {
        let mut all = Unwritten { outgoing: self, piece: 0, at: 0, left: self.bytes() };
        all.settle();
        all
    }

    /// The stream's pieces, gathered and shared by turns.
    fn piece(&self, number: usize) -> &[u8] {
        let end = |place: usize| self.shared.get(place).map_or(self.gathered.len(), |(at, _)| *at);
        let place = number / 2;
        match self.shared.get(place) {
            Some((_, data)) if number % 2 == 1 => data,
            _ => &self.gathered[place.checked_sub(1).map_or(0, end)..end(place)],
        }
    }
}

/// The length field of a frame with so many bytes.
fn length_field(bytes: usize) -> [u8; LENGTH_BYTES] {
    let counted = u32::try_from(bytes - LENGTH_BYTES);
    counted.expect("bodies are measured before they are queued").to_le_bytes()
}

/// What is still to be written.
pub(crate) struct Unwritten<'a> {
    outgoing: &'a Outgoing,
    /// The first piece that has not been written whole.
    piece: usize,
    /// How much of it has been written.
    at: usize,
    left: usize,
}

impl<'a> Unwritten<'a> {
    /// What is left of the first piece that is not written.
    fn first(&self) -> &'a [u8] {
        let outgoing: &'a Outgoing = self.outgoing;
        &outgoing.piece(self.piece)[self.at..]
    }

    /// Skips what is written, so that the first piece has bytes unless all is written.
    fn settle(&mut self) {
        while self.left > 0 && self.first().is_empty() {
            (self.piece, self.at) = (self.piece + 1, 0);
        }
    }
}

impl Buf for Unwritten<'_> {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        if self.left == 0 { &[] } else { self.first() }
    }

    fn chunks_vectored<'b>(&'b self, slices: &mut [IoSlice<'b>]) -> usize {
        let (mut filled, mut piece, mut left) = (0, self.piece, self.left);
        let mut next = self.chunk();
        while left > 0 && filled < slices.len() {
            if !next.is_empty() {
                slices[filled] = IoSlice::new(next);
                (filled, left) = (filled + 1, left - next.len());
            }
            piece += 1;
            next = if left > 0 { self.outgoing.piece(piece) } else { &[] };
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.left, "no more than there is");
        self.left -= count;
        while count > 0 {
            let here = count.min(self.first().len());
            (self.at, count) = (self.at + here, count - here);
            if self.first().is_empty() && count > 0 {
                (self.piece, self.at) = (self.piece + 1, 0);
            }
        }
        self.settle();
    }
}
