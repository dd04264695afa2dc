//! Long messages and notes travel in pieces, so that urgent frames wait for one of them at most:
//! [`Rope`] is a body that is to be cut, [`Assembly`] puts the pieces together again.
//!
//! ```text
//!  0            4             8            12
//! ┌────────────┬─────────────┬────────────┬───────┐
//! │ number u32 │ offset u32  │ whole u32  │ bytes │   the body of a frame with the flag `PIECE`
//! └────────────┴─────────────┴────────────┴───────┘
//! ```
//! The number is the body's own, the offset says where the bytes belong, and `whole` how many the
//! body has. Pieces come in order; one that is missing costs its body.

use crate::outgoing::Sink;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;

/// The bytes that stand before a piece.
pub(crate) const PIECE_HEAD_BYTES: usize = 12;

/// A body whose long parts are shared, not copied.
#[derive(Debug, Default)]
pub(crate) struct Rope {
    parts: VecDeque<Bytes>,
    fields: BytesMut,
    bytes: usize,
}

impl Sink for Rope {
    fn fields(&mut self) -> &mut BytesMut {
        &mut self.fields
    }

    fn data(&mut self, data: &Bytes) {
        self.close();
        self.bytes += data.len();
        self.parts.push_back(data.clone());
    }
}

impl Rope {
    /// What `body` puts.
    pub(crate) fn of(body: impl FnOnce(&mut dyn Sink)) -> Self {
        let mut rope = Self::default();
        body(&mut rope);
        rope.close();
        rope
    }

    /// How many bytes are left.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn close(&mut self) {
        if !self.fields.is_empty() {
            self.bytes += self.fields.len();
            self.parts.push_back(self.fields.split().freeze());
        }
    }

    /// Moves up to so many bytes from the front into `out`; returns how many.
    pub(crate) fn take(&mut self, bytes_max: usize, out: &mut dyn Sink) -> usize {
        let mut room = bytes_max;
        while room > 0
            && let Some(part) = self.parts.front_mut()
        {
            let taken = part.split_to(room.min(part.len()));
            room -= taken.len();
            out.data(&taken);
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
        self.bytes -= bytes_max - room;
        bytes_max - room
    }
}

/// Where a piece belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u32,
    pub(crate) offset: u32,
    pub(crate) whole: u32,
}

impl Place {
    pub(crate) fn put(self, out: &mut BytesMut) {
        out.put_u32_le(self.number);
        out.put_u32_le(self.offset);
        out.put_u32_le(self.whole);
    }

    fn take(piece: &mut BytesMut) -> Option<Self> {
        (piece.len() > PIECE_HEAD_BYTES).then(|| Self {
            number: piece.get_u32_le(),
            offset: piece.get_u32_le(),
            whole: piece.get_u32_le(),
        })
    }
}

/// What became of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// More have to follow.
    More,
    /// It was the last: the whole body.
    Whole(BytesMut),
    /// It does not follow the piece before: what was there is dropped.
    Gap,
    /// It is none, or of a body longer than is allowed.
    Malformed,
}

/// Puts pieces together: of one body at a time.
#[derive(Debug)]
pub(crate) struct Assembly {
    bytes_max: usize,
    number: u32,
    whole: usize,
    found: BytesMut,
}

impl Assembly {
    /// Of bodies with at most so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, number: 0, whole: 0, found: BytesMut::new() }
    }

    /// For tests: the bytes that wait for those that follow.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> usize {
        self.found.len()
    }

    /// Takes the next piece. Memory grows with what has arrived, not with what `whole` promises.
    pub(crate) fn join(&mut self, mut piece: BytesMut) -> Joined {
        let Some(Place { number, offset, whole }) = Place::take(&mut piece) else {
            return Joined::Malformed;
        };
        let (offset, whole) = (widen(offset), widen(whole));
        if whole > self.bytes_max || piece.len() > whole.saturating_sub(offset) {
            return Joined::Malformed;
        }
        if offset == 0 {
            // What stood there is a body of which the rest was lost.
            (self.number, self.whole, self.found) = (number, whole, BytesMut::new());
        }
        if (self.number, self.whole, self.found.len()) != (number, whole, offset) {
            self.found = BytesMut::new();
            return Joined::Gap;
        }
        self.found.put_slice(&piece);
        if self.found.len() < whole {
            return Joined::More;
        }
        Joined::Whole(std::mem::take(&mut self.found))
    }
}

fn widen(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(parts: &[Vec<u8>], piece: usize) -> Vec<BytesMut> {
        let mut rope = Rope::of(|sink| {
            for part in parts {
                sink.fields().put_slice(&part[..part.len() / 2]);
                sink.data(&Bytes::copy_from_slice(&part[part.len() / 2..]));
            }
        });
        let whole = u32::try_from(rope.bytes()).expect("short");
        let (mut pieces, mut offset) = (Vec::new(), 0);
        while rope.bytes() > 0 {
            let mut out = BytesMut::new();
            Place { number: 7, offset, whole }.put(&mut out);
            offset += u32::try_from(rope.take(piece, &mut out)).expect("short");
            pieces.push(out);
        }
        pieces
    }

    proptest! {
        #[test]
        fn what_was_cut_is_joined_to_the_same_bytes(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..9),
            piece in 1_usize..60,
        ) {
            let whole = parts.concat();
            let mut assembly = Assembly::new(1024);
            let mut joined = Joined::More;
            for piece in cut(&parts, piece) {
                prop_assert_eq!(joined, Joined::More);
                joined = assembly.join(piece);
            }
            if !whole.is_empty() {
                prop_assert_eq!(joined, Joined::Whole(BytesMut::from(&whole[..])));
            }
        }

        #[test]
        fn a_missing_piece_costs_its_body_and_no_other(
            missing in 0_usize..5,
            length in 41_usize..50,
        ) {
            let body = vec![vec![3; length]];
            let pieces = cut(&body, 10);
            prop_assert_eq!(pieces.len(), 5);
            let mut assembly = Assembly::new(1024);
            for (at, piece) in pieces.iter().enumerate().filter(|(at, _)| *at != missing) {
                let joined = assembly.join(piece.clone());
                let expected = if at < missing { Joined::More } else { Joined::Gap };
                prop_assert_eq!(joined, expected);
            }
            let joined: Vec<_> = pieces.into_iter().map(|piece| assembly.join(piece)).collect();
            prop_assert_eq!(joined.last(), Some(&Joined::Whole(BytesMut::from(&body[0][..]))));
        }
    }

    #[test]
    fn a_promise_beyond_the_bound_or_the_body_is_refused_and_takes_no_room() {
        let piece = |offset, whole, bytes: usize| {
            let mut out = BytesMut::new();
            Place { number: 1, offset, whole }.put(&mut out);
            out.put_bytes(0, bytes);
            out
        };
        let mut assembly = Assembly::new(100);
        assert_eq!(assembly.join(piece(0, 101, 10)), Joined::Malformed, "too long");
        assert_eq!(assembly.join(piece(0, 9, 10)), Joined::Malformed, "more than the whole");
        assert_eq!(assembly.join(piece(0, 10, 0)), Joined::Malformed, "an empty piece");
        assert_eq!(assembly.join(BytesMut::new()), Joined::Malformed, "no place");
        assert_eq!(assembly.join(piece(u32::MAX, 10, 1)), Joined::Malformed);
        assert_eq!(assembly.join(piece(0, 100, 1)), Joined::More);
        assert!(assembly.found.capacity() < 100);
    }
}
