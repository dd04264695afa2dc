//! The words of the protocol as types: who (`NodeId`, `Incarnation`, `MemberId`), when (`Term`,
//! `LogTime`), where (`Index`, `EntryId`), and which write (`WriteNumber`). Each is a newtype, so
//! that a term can't be taken for an index.

use core::fmt;

/// An entry's identity: its index and the term of the leader that created it, written `5@2` for
/// index 5 of term 2.
///
/// Two logs that hold the same entry id hold the same entry, and the same entries before it (Log
/// Matching, paper §5.3). The derived order compares the term first: it *is* the rule of §5.4.1 by
/// which a voter judges whether a candidate's log is at least as up to date as its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term in which the entry was created. Compared first.
    pub term: Term,
    /// The entry's position in the log, from 1.
    pub index: Index,
}

impl EntryId {
    /// The position before the first entry of every log.
    pub const ZERO: Self = Self { term: Term(0), index: Index(0) };

    /// The entry id `index@term`.
    #[must_use]
    pub const fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }
    };
}

number! {
    /// A member's number, chosen by whoever writes the topology. Unique in a cluster, from 1.
    NodeId
}

number! {
    /// Drawn when a data directory is made: a wiped disk is another incarnation of the same
    /// `NodeId`, and neither votes nor acknowledges in the name of the one before.
    Incarnation
}

number! {
    /// A term (paper §5.1): at most one leader each. 0 before the first election.
    Term
}

number! {
    /// A position in the log, from 1. 0 is the position before the first entry.
    Index
}

number! {
    /// Numbers the writes a core asks for, from 1. An acknowledgement covers all writes up to its
    /// number; an index would not do, since an index may have been overwritten meanwhile.
    WriteNumber
}

number! {
    /// Milliseconds of leadership so far, as stamped by leaders on their entries: never below the
    /// entry before, and standing still while there is no leader.
    LogTime
}

number! {
    /// Numbers what a caller asks of its own core (a proposal, a read), unique within a boot.
    RequestNumber
}

number! {
    /// Drawn at each start of a node, so that what one boot counted is never taken for another's.
    Boot
}

impl Term {
    /// The term after this one.
    ///
    /// # Panics
    /// At `u64::MAX`: a term a second lasts 584 billion years, so this is a broken invariant.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("terms never run out"))
    }
}

impl Index {
    /// The index after this one.
    ///
    /// # Panics
    /// At `u64::MAX`, as for [`Term::next`].
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("indexes never run out"))
    }

    /// The index before this one; 0 stays 0.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Who a member is: an id *and* an incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId {
    /// The member's number in the topology.
    pub node: NodeId,
    /// Which of this number's data directories speaks.
    pub incarnation: Incarnation,
}

impl MemberId {
    /// The member `node` in its incarnation `incarnation`.
    #[must_use]
    pub const fn new(node: NodeId, incarnation: Incarnation) -> Self {
        Self { node, incarnation }
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:x}", self.node, self.incarnation.0)
    }
}

/// What has to survive a restart for elections to be safe (paper, figure 2: `currentTerm` and
/// `votedFor`). Term and vote are one record: apart, a crash between them could vote twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term seen.
    pub term: Term,
    /// Who got this member's vote in `term`, if anybody.
    pub vote: Option<MemberId>,
}
