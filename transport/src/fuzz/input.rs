//! What an input of `transport_session` says: steps, and the particulars of each. An [`Input`] that
//! has come to its end says 0.

use crate::frame::Flags;
use bytes::Buf;
use holm_raft_core::NodeId;

/// What an input has left.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) const fn of(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// The next step, if there is one.
    pub(super) fn step(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    /// The next byte; 0 where there is none.
    pub(super) fn byte(&mut self) -> u8 {
        self.0.try_get_u8().unwrap_or(0)
    }

    /// As many bytes as the next byte says.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// One of these.
    pub(super) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    /// A place among so many.
    pub(super) fn index(&mut self, of: usize) -> usize {
        usize::from(self.byte()) % of
    }

    pub(super) fn node(&mut self) -> NodeId {
        NodeId(u64::from(self.byte() % 6))
    }

    pub(super) fn flags(&mut self) -> Flags {
        Flags::from_code(self.byte() % 4).expect("two are known")
    }
}
