//! How messages are forged: `Forge` draws them from bytes, with fields near what the receiver holds
//! (terms, indexes, offsets, lengths) and at the ends of what a number can be, so that many get
//! past the first look and reach what they could hurt.

use super::disk::Snapshot;
use super::node::Node;
use crate::configuration::{Configuration, Leave};
use crate::{
    Ballot, Body, Boot, Cause, Chunk, Entry, EntryId, EntryKind, Incarnation, Index, LogTime,
    Member, MemberId, Message, NodeId, RequestNumber, SnapshotId, SnapshotMeta, Standing, Status,
    Term,
};
use bytes::Bytes;
use std::vec::Vec;

/// How many kinds of messages there are.
#[cfg(test)]
pub(super) const KINDS: usize = 17;

/// Draws from bytes; zeros, once they are used up.
pub(super) struct Forge<'a> {
    bytes: &'a [u8],
}

impl<'a> Forge<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) const fn is_left(&self) -> bool {
        !self.bytes.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A message to one core, with what another one holds at hand.
    pub(super) fn message(&mut self, to: &Node, other: &Node) -> Message {
        let status = to.raft.status();
        let from = self.sender(to.me, other.me);
        let term = self.term(status.term);
        let body = self.body(&status, term, to, other);
        let to = if self.one_in(16) { self.sender(to.me, other.me) } else { to.me };
        Message { from, to, term, body }
    }

    /// Another sender, receiver or term for a message that somebody said.
    pub(super) fn damage(&mut self, message: &mut Message, to: &Node) {
        match self.byte() % 8 {
            0 => message.to = self.sender(message.to, message.from),
            1..4 => message.from = self.sender(message.to, message.from),
            _ => message.term = self.term(to.raft.status().term),
        }
    }

    fn one_in(&mut self, count: u8) -> bool {
        self.byte().is_multiple_of(count)
    }

    fn sender(&mut self, me: MemberId, other: MemberId) -> MemberId {
        let next = NodeId(me.node.0 % 3 + 1);
        match self.byte() % 16 {
            0 => me,
            1 => MemberId::new(other.node, Incarnation(other.incarnation.0 ^ 1)),
            2 => MemberId::new(NodeId(u64::from(self.byte())), Incarnation(7)),
            3 => MemberId::new(NodeId(u64::MAX), Incarnation(u64::MAX)),
            4 => MemberId::default(),
            5..10 if other.node != me.node => other,
            _ => MemberId::new(next, Incarnation(next.0 * 1000)),
        }
    }

    /// Near `near`, or at an end of what numbers can be.
    fn number(&mut self, near: u64) -> u64 {
        match self.byte() % 24 {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => u64::MAX - 1,
            4 => 1 << 62,
            5 => (1 << 62) + 1,
            6 => u64::from(self.byte()),
            7 => near / 2,
            8..12 => near.wrapping_add(u64::from(self.byte() % 8)),
            12..16 => near.wrapping_sub(u64::from(self.byte() % 8)),
            16..18 => near.wrapping_add(1),
            _ => near,
        }
    }

    /// Most of the time one that is listened to.
    fn term(&mut self, near: Term) -> Term {
        match self.byte() % 16 {
            0 => Term(self.number(near.0)),
            1 => Term(near.0.wrapping_add(1)),
            _ => near.max(Term(1)),
        }
    }

    fn index(&mut self, status: &Status) -> Index {
        let near = [status.last.index, status.committed, status.start.index, status.durable];
        let near = near[usize::from(self.byte()) % near.len()];
        Index(self.number(near.0))
    }

    /// An entry's id: of an entry of the receiver, or nearly.
    fn id(&mut self, status: &Status, term: Term) -> EntryId {
        match self.byte() % 4 {
            0 => status.last,
            1 => status.start,
            2 => EntryId::new(status.last.term, self.index(status)),
            _ => EntryId::new(Term(self.number(term.0)), self.index(status)),
        }
    }

    fn body(&mut self, status: &Status, term: Term, to: &Node, other: &Node) -> Body {
        let boot = Boot(self.number(to.boots));
        let number = RequestNumber(self.number(3));
        match self.byte() % 23 {
            0 => Body::PreVote { last: self.id(status, term) },
            1 => Body::PreVoted(self.ballot()),
            2 => Body::Vote { last: self.id(status, term), cause: self.cause() },
            3 => Body::Voted(self.ballot()),
            4..8 => self.append(status, term, to),
            8 => Body::Appended { matched: self.index(status) },
            9 => Body::Rejected { prev: self.index(status), hint: self.id(status, term) },
            10 => Body::Heartbeat { round: self.number(1), commit: self.index(status) },
            11 => Body::HeartbeatAck { round: self.number(1) },
            12 => Body::TimeoutNow,
            13..16 => Body::Snapshot(self.chunk(status, term, other).into()),
            16 => Body::Received { snapshot: self.snapshot_id(status, to), stored: self.number(4) },
            17 => Body::Propose { boot, number, data: Bytes::from_static(b"forged") },
            18 => Body::Proposed { boot, number, appended: self.maybe(|f| f.id(status, term)) },
            19 => Body::Read { boot, number },
            20 => Body::ReadAt { boot, number, index: self.maybe(|f| f.index(status)) },
            21 => Body::Committed { commit: self.index(status) },
            _ => Body::Appended { matched: status.last.index },
        }
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let is_there = !self.one_in(4);
        is_there.then(|| draw(self))
    }

    fn ballot(&mut self) -> Ballot {
        if self.one_in(4) { Ballot::Refused } else { Ballot::Granted }
    }

    fn cause(&mut self) -> Cause {
        if self.one_in(2) { Cause::Transfer } else { Cause::Timeout }
    }

    fn append(&mut self, status: &Status, term: Term, to: &Node) -> Body {
        let prev = self.id(status, term);
        let mut last = prev;
        let mut time = to.written.entry(status.last.index).map_or(0, |entry| entry.time.0);
        let mut entries = Vec::new();
        for _ in 0..self.byte() % 4 {
            let index = last.index.0.wrapping_add(1);
            let wrong = self.one_in(24);
            let index = if wrong { self.number(index) } else { index };
            let its_term = if self.one_in(3) { Term(self.number(last.term.0)) } else { term };
            if self.one_in(4) {
                time = self.number(time);
            }
            let (kind, data) = self.content();
            last = EntryId::new(its_term, Index(index));
            entries.push(Entry { id: last, time: LogTime(time), kind, data });
        }
        Body::Append { prev, entries, commit: self.index(status) }
    }

    fn content(&mut self) -> (EntryKind, Bytes) {
        match self.byte() % 8 {
            0 => (EntryKind::Noop, Bytes::new()),
            1 => (EntryKind::Noop, Bytes::from_static(b"not empty")),
            2 => (EntryKind::Configuration, Bytes::from_static(&[1, 0, 1])),
            3..5 => (EntryKind::Configuration, self.configuration().encode()),
            _ => (EntryKind::Command, Bytes::from_static(b"forged")),
        }
    }

    /// Of the cluster's members and others, in other standings and incarnations; perhaps nobody.
    fn configuration(&mut self) -> Configuration {
        let mut members = Vec::new();
        for _ in 0..self.byte() % 6 {
            let node = NodeId(u64::from(self.byte() % 5));
            let incarnation = if self.one_in(8) { 7 } else { node.0 * 1000 };
            let id = MemberId::new(node, Incarnation(incarnation));
            let standing = match self.byte() % 12 {
                0 => Standing::Incoming,
                1 => Standing::Outgoing,
                2 => Standing::Demoted,
                3 => Standing::Learner,
                4 => Standing::Joining,
                _ => Standing::Voter,
            };
            members.push((Member { id, info: Bytes::new() }, standing));
        }
        let leave = if self.one_in(2) { Leave::Asked } else { Leave::Automatic };
        Configuration { leave, ..Configuration::with_standings(members) }
    }

    /// A piece of a snapshot that somebody has, or of one that nobody has; whole, or nearly.
    fn chunk(&mut self, status: &Status, term: Term, other: &Node) -> Chunk {
        let invented = |forge: &mut Self| {
            let meta = SnapshotMeta {
                last: EntryId::new(Term(forge.number(term.0)), forge.index(status)),
                time: LogTime(forge.number(9)),
                configuration: forge.configuration(),
                configuration_index: forge.index(status),
            };
            let length = usize::from(forge.byte() % 12);
            Snapshot { meta, data: std::vec![forge.byte(); length].into() }
        };
        let real = self.maybe(|_| other.durable.snapshot.clone()).flatten();
        let snapshot = real.unwrap_or_else(|| invented(self));
        let offset = self.number(0).min(snapshot.data.len() as u64);
        let length = u64::from(self.byte() % 13);
        let mut chunk = snapshot.piece(offset, length);
        match self.byte() % 16 {
            0 => chunk.length = self.number(chunk.length),
            1 => chunk.offset = self.number(chunk.offset),
            2 => chunk.checksum ^= u32::from(self.byte()),
            3 => chunk.data = Bytes::from_static(b"other"),
            4 => chunk.meta.configuration = self.configuration(),
            _ => {}
        }
        chunk
    }

    fn snapshot_id(&mut self, status: &Status, to: &Node) -> SnapshotId {
        let real = self.maybe(|_| to.durable.snapshot.as_ref().map(Snapshot::id)).flatten();
        let mut id = real.unwrap_or_default();
        if self.one_in(4) {
            id.last = self.id(status, status.term);
            id.length = self.number(id.length);
        }
        id
    }
}
