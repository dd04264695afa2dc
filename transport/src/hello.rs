//! The first frame each way on a connection: `Hello`, how it is written and read, and `check`,
//! which says whose connection it is or why it is refused.
//!
//! ```text
//!  0            8              10      12            20          28       29
//! ┌────────────┬──────────────┬───────┬─────────────┬───────────┬────────┬──────────────┐
//! │ "holmpeer" │ protocol     │ 0     │ incarnation │ start     │ length │ cluster name │
//! │            │ u16 = 1      │ u16   │ u64         │ u64       │ u8     │ UTF-8        │
//! └────────────┴──────────────┴───────┴─────────────┴───────────┴────────┴──────────────┘
//! ```
//! The sender's node and the node it expects are the frame's source and destination.

use crate::config::Config;
use crate::frame::{Decoder, Frame, FrameError, HEAD_BYTES, Head, Kind, put};
use crate::peer::Shared;
use crate::status::Refusal;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Incarnation, MemberId, NodeId};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest frame before hellos are exchanged, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = HEAD_BYTES + FIXED_BYTES + Config::CLUSTER_BYTES_MAX;
const MAGIC: &[u8; 8] = b"holmpeer";
const PROTOCOL: u16 = 1;
const FIXED_BYTES: usize = 29;

/// Who is at one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The incarnation of the frame's source.
    pub(crate) incarnation: Incarnation,
    /// Names the start of its transport.
    pub(crate) start: u64,
    /// The cluster it belongs to.
    pub(crate) cluster: String,
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
            _ => Refusal::Garbage,
        };
        Self::new(why, error.to_string())
    }
}

/// This member's hello to `peer`, as a frame.
pub(crate) fn frame(shared: &Shared, peer: NodeId) -> Bytes {
    let mut out = BytesMut::new();
    let hello = Hello {
        incarnation: shared.me.incarnation,
        start: shared.start,
        cluster: shared.cluster.clone(),
    };
    let head = Head::new(Kind::Hello, shared.me.node, peer);
    put(&mut out, head, |out| hello.put(out));
    out.freeze()
}

/// Reads the first frame of a connection.
pub(crate) async fn first_frame(
    stream: &mut TcpStream,
    decoder: &mut Decoder,
) -> Result<Frame, Refused> {
    loop {
        if let Some(frame) = decoder.next()? {
            return Ok(frame);
        }
        let refused = |detail: String| Refused::new(Refusal::Silent, detail);
        match stream.read_buf(decoder.buffer()).await {
            Ok(0) => return Err(refused("it closed without a hello".into())),
            Ok(_) => (),
            Err(error) => return Err(refused(format!("it broke before its hello: {error}"))),
        }
    }
}

/// Whose connection this is, by its hello: the member, and the number of its start.
pub(crate) fn check(frame: Frame, shared: &Shared) -> Result<(MemberId, u64), Refused> {
    let Head { kind, source, destination, .. } = frame.head;
    if kind != Kind::Hello {
        return Err(Refused::new(Refusal::Garbage, "its first frame is no hello"));
    }
    let hello = Hello::take(frame.body)?;
    if hello.cluster != shared.cluster {
        let (theirs, ours) = (hello.cluster, &shared.cluster);
        let detail = format!("it belongs to cluster {theirs:?}, this member to {ours:?}");
        return Err(Refused::new(Refusal::Cluster, detail));
    }
    if destination != shared.me.node {
        let detail = format!(
            "member {source} wanted member {destination} and found {}; check the addresses",
            shared.me.node
        );
        return Err(Refused::new(Refusal::Destination, detail));
    }
    if !shared.peers.contains_key(&source) {
        let detail = format!("member {source} is not among this member's peers");
        return Err(Refused::new(Refusal::Stranger, detail));
    }
    Ok((MemberId::new(source, hello.incarnation), hello.start))
}

impl Hello {
    pub(crate) fn put(&self, out: &mut BytesMut) {
        out.put_slice(MAGIC);
        out.put_u16_le(PROTOCOL);
        out.put_u16_le(0);
        out.put_u64_le(self.incarnation.0);
        out.put_u64_le(self.start);
        out.put_u8(u8::try_from(self.cluster.len()).expect("checked at start"));
        out.put_slice(self.cluster.as_bytes());
    }

    pub(crate) fn take(mut body: Bytes) -> Result<Self, Refused> {
        let garbage = |detail: &str| Refused::new(Refusal::Garbage, detail);
        if body.len() < FIXED_BYTES || body.split_to(MAGIC.len()) != MAGIC[..] {
            return Err(garbage("its hello is none of Holm's"));
        }
        let protocol = body.get_u16_le();
        if protocol != PROTOCOL {
            let detail = format!("it speaks protocol {protocol}, this build {PROTOCOL}");
            return Err(Refused::new(Refusal::Version, detail));
        }
        let reserved = body.get_u16_le();
        let incarnation = Incarnation(body.get_u64_le());
        let start = body.get_u64_le();
        let length = usize::from(body.get_u8());
        if reserved != 0 || length != body.len() || length > Config::CLUSTER_BYTES_MAX {
            return Err(garbage("its hello contradicts itself"));
        }
        let cluster =
            std::str::from_utf8(&body).map_err(|_| garbage("its cluster's name is no text"))?;
        Ok(Self { incarnation, start, cluster: cluster.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        let hello = Hello { incarnation: Incarnation(3), start: 9, cluster: "islands".to_owned() };
        let mut out = BytesMut::new();
        hello.put(&mut out);
        assert_eq!(Hello::take(out.clone().freeze()), Ok(hello));
        out.to_vec()
    }

    fn refusal(bytes: Vec<u8>) -> Refusal {
        Hello::take(bytes.into()).expect_err("spoilt").why
    }

    #[test]
    fn a_hello_is_taken_whole_or_refused_by_its_reason() {
        let whole = bytes();
        for length in 0..whole.len() {
            assert_eq!(refusal(whole[..length].to_vec()), Refusal::Garbage);
        }
        let spoilt = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x80;
            refusal(bytes)
        };
        assert_eq!(spoilt(0), Refusal::Garbage, "magic");
        assert_eq!(spoilt(8), Refusal::Version, "protocol");
        assert_eq!(spoilt(10), Refusal::Garbage, "reserved");
        assert_eq!(spoilt(28), Refusal::Garbage, "length");
        assert_eq!(spoilt(29), Refusal::Garbage, "not UTF-8");
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(refusal(longer), Refusal::Garbage, "trailing byte");
    }
}
