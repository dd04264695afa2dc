//! The first words on a connection that is not sealed by a handshake: the [`Opening`] of whoever
//! accepted it, sealed or not, and the [`Hello`] of each end where links are insecure.
//!
//! ```text
//!  0            8              10             11      12              28
//! ┌────────────┬──────────────┬──────────────┬───────┬───────────────┐
//! │ "holmpeer" │ protocol     │ links: u8    │ 0 u8  │ challenge     │   opening
//! │            │ u16 = 2      │ 0 insecure,  │       │ 16 bytes      │
//! │            │              │ 1 sealed     │       │               │
//! └────────────┴──────────────┴──────────────┴───────┴───────────────┘
//!  0            8              10      12            20          28       29
//! ┌────────────┬──────────────┬───────┬─────────────┬───────────┬────────┬──────────────┐
//! │ "holmpeer" │ protocol     │ epoch │ incarnation │ start     │ length │ cluster name │   hello
//! │            │ u16 = 2      │ u16   │ u64         │ u64       │ u8     │ UTF-8        │
//! └────────────┴──────────────┴───────┴─────────────┴───────────┴────────┴──────────────┘
//! ```
//! A hello's sender and the member it wants are its frame's source and destination. Its epoch is
//! folded: 0 for none, 65535 for a member whose storage is empty.

use crate::config::Config;
use crate::frame::FrameError;
use crate::secure::handshake::{self, Challenge, Why};
use crate::shared::Shared;
use crate::status::Refusal;
use bytes::{Buf, BufMut, BytesMut};
use holm_raft_core::Incarnation;

/// The longest body of a frame before both ends know each other, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 256;
const MAGIC: &[u8; 8] = b"holmpeer";
/// What this build speaks.
pub(crate) const PROTOCOL: u16 = 2;
const HELLO_FIXED_BYTES: usize = 29;

/// What whoever accepted a connection says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) links: Links,
    /// Never the same twice, so that nobody gets anywhere with what he has recorded.
    pub(crate) challenge: Challenge,
}

/// How links are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Insecure,
    Sealed,
}

/// Who is at one end of an insecure connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The incarnation of the frame's source.
    pub(crate) incarnation: Incarnation,
    /// Names the start of its transport.
    pub(crate) start: u64,
    /// The cluster it belongs to.
    pub(crate) cluster: String,
    /// Which recovery of it, in short.
    pub(crate) epoch: u16,
}

/// A refusal and its particulars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) why: Refusal,
    pub(crate) detail: String,
}

impl Refused {
    pub(crate) fn new(why: Refusal, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into() }
    }
}

impl From<FrameError> for Refused {
    fn from(error: FrameError) -> Self {
        let why = match error {
            FrameError::Version(_) => Refusal::Version,
            FrameError::Tampered => Refusal::Tampered,
            _ => Refusal::Garbage,
        };
        Self::new(why, error.to_string())
    }
}

impl From<handshake::Refused> for Refused {
    fn from(refused: handshake::Refused) -> Self {
        let why = match refused.why {
            Why::Garbage => Refusal::Garbage,
            Why::Version => Refusal::Version,
            Why::Cluster => Refusal::Cluster,
            Why::Secret => Refusal::Secret,
            Why::Destination | Why::Introduction => Refusal::Destination,
        };
        Self::new(why, refused.detail)
    }
}

impl Opening {
    pub(crate) fn put(self, out: &mut BytesMut) {
        out.put_slice(MAGIC);
        out.put_u16_le(PROTOCOL);
        out.put_u8(match self.links {
            Links::Insecure => 0,
            Links::Sealed => 1,
        });
        out.put_u8(0);
        out.put_slice(&self.challenge.0);
    }

    pub(crate) fn take(mut body: &[u8]) -> Result<Self, Refused> {
        take_protocol(&mut body)?;
        let garbage = || Refused::new(Refusal::Garbage, "its opening contradicts itself");
        if body.len() != 2 + Challenge::BYTES {
            return Err(garbage());
        }
        let links = match (body.get_u8(), body.get_u8()) {
            (0, 0) => Links::Insecure,
            (1, 0) => Links::Sealed,
            _ => return Err(garbage()),
        };
        Ok(Self { links, challenge: Challenge(body.try_into().map_err(|_| garbage())?) })
    }
}

impl Hello {
    /// This member's.
    pub(crate) fn of(shared: &Shared) -> Self {
        let Shared { me, start, cluster, .. } = shared;
        let epoch = shared.epoch().short();
        Self { incarnation: me.incarnation, start: *start, cluster: cluster.clone(), epoch }
    }

    pub(crate) fn put(&self, out: &mut BytesMut) {
        out.put_slice(MAGIC);
        out.put_u16_le(PROTOCOL);
        out.put_u16_le(self.epoch);
        out.put_u64_le(self.incarnation.0);
        out.put_u64_le(self.start);
        out.put_u8(u8::try_from(self.cluster.len()).expect("checked at start"));
        out.put_slice(self.cluster.as_bytes());
    }

    pub(crate) fn take(mut body: &[u8]) -> Result<Self, Refused> {
        let garbage = |detail: &str| Refused::new(Refusal::Garbage, detail);
        let whole = body.len();
        take_protocol(&mut body)?;
        if whole < HELLO_FIXED_BYTES {
            return Err(garbage("its hello ends too early"));
        }
        let epoch = body.get_u16_le();
        let incarnation = Incarnation(body.get_u64_le());
        let start = body.get_u64_le();
        let length = usize::from(body.get_u8());
        if length != body.len() || length > Config::CLUSTER_BYTES_MAX {
            return Err(garbage("its hello contradicts itself"));
        }
        let cluster =
            std::str::from_utf8(body).map_err(|_| garbage("its cluster's name is no text"))?;
        Ok(Self { incarnation, start, cluster: cluster.to_owned(), epoch })
    }
}

/// Takes the magic and the protocol's version.
fn take_protocol(body: &mut &[u8]) -> Result<(), Refused> {
    let after = body.strip_prefix(&MAGIC[..]).filter(|rest| rest.len() >= 2);
    let Some(mut rest) = after else {
        return Err(Refused::new(Refusal::Garbage, "its first words are none of Holm's"));
    };
    let protocol = rest.get_u16_le();
    if protocol != PROTOCOL {
        let detail = format!("it speaks protocol {protocol}, this build {PROTOCOL}");
        return Err(Refused::new(Refusal::Version, detail));
    }
    *body = rest;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Vec<u8> {
        let hello = Hello {
            incarnation: Incarnation(3),
            start: 9,
            cluster: "islands".to_owned(),
            epoch: 0x0102,
        };
        let mut out = BytesMut::new();
        hello.put(&mut out);
        assert_eq!(Hello::take(&out), Ok(hello));
        out.to_vec()
    }

    fn refusal(bytes: &[u8]) -> Refusal {
        Hello::take(bytes).expect_err("spoilt").why
    }

    #[test]
    fn a_hello_is_taken_whole_or_refused_by_its_reason() {
        let whole = hello();
        for length in 0..whole.len() {
            assert_eq!(refusal(&whole[..length]), Refusal::Garbage);
        }
        let spoilt = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x80;
            refusal(&bytes)
        };
        assert_eq!(spoilt(0), Refusal::Garbage, "magic");
        assert_eq!(spoilt(8), Refusal::Version, "protocol");
        assert_eq!(spoilt(28), Refusal::Garbage, "length");
        assert_eq!(spoilt(29), Refusal::Garbage, "not UTF-8");
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(refusal(&longer), Refusal::Garbage, "trailing byte");
    }

    #[test]
    fn an_opening_is_taken_whole_or_refused_by_its_reason() {
        let opening = Opening { links: Links::Sealed, challenge: Challenge([7; Challenge::BYTES]) };
        let mut out = BytesMut::new();
        opening.put(&mut out);
        assert_eq!(Opening::take(&out), Ok(opening));
        let why = |bytes: &[u8]| Opening::take(bytes).expect_err("spoilt").why;
        for length in 0..out.len() {
            assert_eq!(why(&out[..length]), Refusal::Garbage);
        }
        let spoilt = |at: usize| {
            let mut bytes = out.to_vec();
            bytes[at] ^= 0x80;
            why(&bytes)
        };
        assert_eq!(spoilt(0), Refusal::Garbage, "magic");
        assert_eq!(spoilt(8), Refusal::Version, "protocol");
        assert_eq!(spoilt(10), Refusal::Garbage, "links");
        assert_eq!(spoilt(11), Refusal::Garbage, "reserved");
    }
}
