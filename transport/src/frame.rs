//! A frame's head, and what can be wrong with a frame. [`Outgoing`](crate::outgoing::Outgoing)
//! makes frames, [`Incoming`](crate::incoming::Incoming) cuts them out of a byte stream.
//!
//! ```text
//!  0            4            8         9      10     11     12       20       28          36
//! ┌────────────┬────────────┬─────────┬──────┬──────┬──────┬────────┬────────┬───────────┬──────┐
//! │ length u32 │ crc32 u32  │ version │ kind │flags │ hops │ group  │ source │destination│ body │
//! │            │            │ u8 = 2  │ u8   │ u8   │ u8   │ u64    │ u64    │ u64       │      │
//! └────────────┴────────────┴─────────┴──────┴──────┴──────┴────────┴────────┴───────────┴──────┘
//!  0            4         5      6      7      8        16       24          32
//! ┌────────────┬─────────┬──────┬──────┬──────┬────────┬────────┬───────────┬──────┬────────────┐
//! │ length u32 │ version │ kind │flags │ hops │ group  │ source │destination│ body │ tag, 16 B  │
//! │            │ ◂──────────────────────── sealed ──────────────────────────────▸ │            │
//! └────────────┴──────────────────────────────────────────────────────────────────┴────────────┘
//! ```
//! The first form is checked: its checksum covers all that follows the checksum. The second is
//! sealed, on a connection whose two ends have authenticated each other: the tag vouches for the
//! length, too, and for the place of the frame among those of the connection. All numbers are
//! little-endian. The length counts all that follows it.

use bytes::{Buf, BufMut, BytesMut};
use holm_raft_core::NodeId;

/// The bytes of a frame's length, which it does not count.
pub(crate) const LENGTH_BYTES: usize = 4;
/// The bytes of a checksum.
pub(crate) const CHECKSUM_BYTES: usize = 4;
/// The bytes of a seal's tag.
pub(crate) const TAG_BYTES: usize = 16;
/// The most bytes that a frame has beside its body.
pub(crate) const OVERHEAD_BYTES_MAX: usize = LENGTH_BYTES + Head::BYTES + TAG_BYTES;
/// The format this build speaks.
pub(crate) const VERSION: u8 = 2;

/// What stands before a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// What the body is.
    pub(crate) kind: Kind,
    /// How it is to be taken.
    pub(crate) flags: Flags,
    /// How many members may still pass the frame on.
    pub(crate) hops: u8,
    /// The group it belongs to. 0 today: there is one.
    pub(crate) group: u64,
    /// The member that made it.
    pub(crate) source: NodeId,
    /// The member it is for.
    pub(crate) destination: NodeId,
}

/// A frame that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What stands before the body.
    pub(crate) head: Head,
    /// What it carries: still this frame's own, so that a seal within can be opened in place.
    pub(crate) body: BytesMut,
}

/// What a frame's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first words on a connection, each way.
    Hello,
    /// The other end has taken the connection up.
    Welcome,
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
    /// Whom a member reaches directly.
    Route,
    /// Something for a member that others pass on.
    Relayed,
    /// The handshake of two members that others pass on.
    Greeting,
}

/// How a frame's body is to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

/// Why bytes are not a frame. There is no going on after it: the boundaries are lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {length} bytes, {max} are allowed")]
    Long { length: usize, max: usize },
    #[error("a frame of {length} bytes, {least} are the least")]
    Short { length: usize, least: usize },
    #[error("a frame whose checksum is {computed:08x}, not {stored:08x} as it says")]
    Checksum { stored: u32, computed: u32 },
    #[error("a frame that its seal does not vouch for: altered, repeated or out of place")]
    Tampered,
    #[error("a frame of format version {0}, this build speaks {VERSION}")]
    Version(u8),
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    #[error("a frame with unknown flags {0:#010b}")]
    Flags(u8),
}

impl Flags {
    /// None.
    pub(crate) const NONE: Self = Self(0);
    /// The body is a piece of a longer one.
    pub(crate) const PIECE: Self = Self(1);
    /// It overtakes what is not urgent.
    pub(crate) const URGENT: Self = Self(2);
    const KNOWN: u8 = Self::PIECE.0 | Self::URGENT.0;

    /// Whether all of `other` are set.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// On the wire.
    pub(crate) const fn code(self) -> u8 {
        self.0
    }

    pub(crate) fn from_code(code: u8) -> Result<Self, FrameError> {
        if code & !Self::KNOWN == 0 { Ok(Self(code)) } else { Err(FrameError::Flags(code)) }
    }
}

impl Head {
    /// Its bytes.
    pub(crate) const BYTES: usize = 28;

    /// For a frame that goes to the other end of a connection, and no further.
    pub(crate) fn new(kind: Kind, source: NodeId, destination: NodeId) -> Self {
        Self { kind, flags: Flags::NONE, hops: 0, group: 0, source, destination }
    }

    pub(crate) fn with(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn put(self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u8(self.kind.code());
        out.put_u8(self.flags.code());
        out.put_u8(self.hops);
        out.put_u64_le(self.group);
        out.put_u64_le(self.source.0);
        out.put_u64_le(self.destination.0);
    }

    /// The head at the start of `bytes`, which are at least as many as a head has.
    pub(crate) fn take(mut bytes: &[u8]) -> Result<Self, FrameError> {
        let version = bytes.get_u8();
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let code = bytes.get_u8();
        Ok(Self {
            kind: Kind::from_code(code).ok_or(FrameError::Kind(code))?,
            flags: Flags::from_code(bytes.get_u8())?,
            hops: bytes.get_u8(),
            group: bytes.get_u64_le(),
            source: NodeId(bytes.get_u64_le()),
            destination: NodeId(bytes.get_u64_le()),
        })
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Hello,
        Self::Message,
        Self::Note,
        Self::Ping,
        Self::Pong,
        Self::Close,
        Self::Welcome,
        Self::Route,
        Self::Relayed,
        Self::Greeting,
    ];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Message => 2,
            Self::Note => 3,
            Self::Ping => 4,
            Self::Pong => 5,
            Self::Close => 6,
            Self::Welcome => 7,
            Self::Route => 8,
            Self::Relayed => 9,
            Self::Greeting => 10,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}
