//! What a member tells of itself: a `Record` of its direct live links, how it is written and read,
//! and the `Rank` by which of two records of one member the later is known.
//!
//! ```text
//!  0         1          2       3    4         8        16            24      32       40
//! ┌─────────┬──────────┬───────┬────┬─────────┬────────┬─────────────┬───────┬────────┬─────────┐
//! │ version │ relaying │ count │ 0  │ age u32 │ node   │ incarnation │ start │ number │ nodes   │
//! │ u8 = 1  │ u8       │ u8    │ u8 │ ms      │ u64    │ u64         │ u64   │ u64    │ u64 × n │
//! └─────────┴──────────┴───────┴────┴─────────┴────────┴─────────────┴───────┴────────┴─────────┘
//! ```
//! All numbers are little-endian. Relaying is 1 for on, 0 for off. The neighbours are node ids in
//! ascending order, each once, without the node itself: each record has one encoding, and `take`
//! accepts no other, not a byte more, not a byte less.

use crate::config::Relaying;
use bytes::{Buf, BufMut};
use holm_raft_core::{Incarnation, MemberId, NodeId};
use std::collections::BTreeSet;
use std::time::Duration;

/// The most neighbours that a record lists.
pub(crate) const NEIGHBOURS_MAX: usize = 255;
/// The format this build speaks.
const VERSION: u8 = 1;
/// The bytes before the neighbours.
const HEAD_BYTES: usize = 40;
/// The bytes of a neighbour.
const NODE_BYTES: usize = size_of::<u64>();

/// What a member tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Whose record it is.
    pub(crate) node: NodeId,
    /// The incarnation of its maker.
    pub(crate) incarnation: Incarnation,
    /// Names the start of its maker; drawn, so it does not say which start was first.
    pub(crate) start: u64,
    /// Grows with each record of a start.
    pub(crate) number: u64,
    /// Whether the member carries on the frames of others.
    pub(crate) relaying: Relaying,
    /// To whom the member has a direct live link.
    pub(crate) neighbours: BTreeSet<NodeId>,
    /// For how long the record has been held since it was made, by all that passed it on.
    pub(crate) age: Age,
}

/// The age of a record in milliseconds. Ages add up from holder to holder, so they need no clock
/// that members share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age(pub(crate) u32);

/// Which of two records of one member is later: the greater. The number comes first. What follows
/// only settles ties, which two members under one id, or two starts of one member, can make: any
/// order will do as long as all members use the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank<'a> {
    number: u64,
    incarnation: Incarnation,
    start: u64,
    relaying: Relaying,
    neighbours: &'a BTreeSet<NodeId>,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("a record of {length} bytes, its head alone has {HEAD_BYTES}")]
    Short { length: usize },
    #[error("a record of format version {0}, this build speaks {VERSION}")]
    Version(u8),
    #[error("a record with {left} bytes for its {count} neighbours")]
    Length { count: usize, left: usize },
    #[error("a record whose relaying is {0}, neither on nor off")]
    Relaying(u8),
    #[error("a record whose reserved byte is {0}")]
    Reserved(u8),
    #[error("a record whose neighbours are not in ascending order, or are its own member")]
    Neighbours,
}

impl Record {
    /// Who made it.
    pub(crate) fn member(&self) -> MemberId {
        MemberId::new(self.node, self.incarnation)
    }

    /// Where it stands among the records of its member. The age has no part in it.
    pub(crate) fn rank(&self) -> Rank<'_> {
        Rank {
            number: self.number,
            incarnation: self.incarnation,
            start: self.start,
            relaying: self.relaying,
            neighbours: &self.neighbours,
        }
    }

    /// Appends the record's bytes.
    ///
    /// # Panics
    /// With more than [`NEIGHBOURS_MAX`] neighbours, which its maker prevents.
    pub(crate) fn put(&self, out: &mut impl BufMut) {
        out.put_u8(VERSION);
        out.put_u8(match self.relaying {
            Relaying::Off => 0,
            Relaying::On => 1,
        });
        out.put_u8(u8::try_from(self.neighbours.len()).expect("bounded by its maker"));
        out.put_u8(0);
        out.put_u32_le(self.age.0);
        out.put_u64_le(self.node.0);
        out.put_u64_le(self.incarnation.0);
        out.put_u64_le(self.start);
        out.put_u64_le(self.number);
        for neighbour in &self.neighbours {
            out.put_u64_le(neighbour.0);
        }
    }

    /// The record in these bytes, all of them.
    pub(crate) fn take(mut bytes: &[u8]) -> Result<Self, Unreadable> {
        if let Some(version) = bytes.first().copied().filter(|version| *version != VERSION) {
            return Err(Unreadable::Version(version));
        }
        if bytes.len() < HEAD_BYTES {
            return Err(Unreadable::Short { length: bytes.len() });
        }
        bytes.advance(1);
        let relaying = match bytes.get_u8() {
            0 => Relaying::Off,
            1 => Relaying::On,
            other => return Err(Unreadable::Relaying(other)),
        };
        let count = usize::from(bytes.get_u8());
        let reserved = bytes.get_u8();
        if reserved != 0 {
            return Err(Unreadable::Reserved(reserved));
        }
        let age = Age(bytes.get_u32_le());
        let node = NodeId(bytes.get_u64_le());
        let incarnation = Incarnation(bytes.get_u64_le());
        let start = bytes.get_u64_le();
        let number = bytes.get_u64_le();
        if bytes.len() != count * NODE_BYTES {
            return Err(Unreadable::Length { count, left: bytes.len() });
        }
        let neighbours = take_neighbours(bytes, node)?;
        Ok(Self { node, incarnation, start, number, relaying, neighbours, age })
    }
}

fn take_neighbours(mut bytes: &[u8], of: NodeId) -> Result<BTreeSet<NodeId>, Unreadable> {
    let mut neighbours = BTreeSet::new();
    while bytes.has_remaining() {
        let next = NodeId(bytes.get_u64_le());
        if next == of || neighbours.last().is_some_and(|last| next <= *last) {
            return Err(Unreadable::Neighbours);
        }
        neighbours.insert(next);
    }
    Ok(neighbours)
}

impl Age {
    /// The age of so long, in whole milliseconds.
    pub(crate) fn of(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
    }

    /// How long that is.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
}
