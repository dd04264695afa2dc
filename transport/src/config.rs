//! What a transport is told when it starts: `Config`, its peers, limits and times, and the `Error`
//! that says what is wrong with them.

use holm_raft_core::{MemberId, NodeId};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::net::TcpListener;

/// What a transport is told when it starts.
#[derive(Debug)]
pub struct Config {
    /// The cluster's name, the same on all members: 1 to [`Config::CLUSTER_BYTES_MAX`] bytes.
    pub cluster: String,
    /// Who this member is.
    pub me: MemberId,
    /// Where peers connect, already bound; nothing for a member that only dials.
    pub listener: Option<TcpListener>,
    /// The other members, each once.
    pub peers: Vec<Peer>,
    /// Bounds on what is kept and carried.
    pub limits: Limits,
    /// Deadlines and intervals.
    pub timing: Timing,
    /// Seeds the jitter of reconnects and names this start; should differ at each start.
    pub seed: u64,
    /// How links are secured. Logged at start while it is insecure.
    pub security: Security,
}

/// Another member, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub node: NodeId,
    /// Its `host:port`, resolved again at each dial. Needed to dial it.
    pub address: Option<String>,
    /// Whether this member dials it.
    pub dial: Dial,
}

/// Who opens the connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial {
    /// This member dials (the peer may do so too).
    Dial,
    /// This member waits until the peer dials.
    Wait,
}

/// How links are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all: frames carry a checksum, in the clear, and a peer is who it says it is.
    Insecure,
}

/// Bounds on what is kept and carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame that is sent or accepted, in bytes; 1 KiB to 1 GiB, and the same on all
    /// members. A piece of a snapshot is one frame. Default: 64 MiB.
    pub frame_bytes_max: usize,
    /// The longest note, in bytes; it must fit a frame. Default: 64 KiB.
    pub note_bytes_max: usize,
    /// The most frames that wait for one peer, in each of the two classes. Default: 4,096.
    pub queue_frames_max: usize,
    /// The most bytes that wait for one peer, in each class; at least `frame_bytes_max`. Default:
    /// 128 MiB.
    pub queue_bytes_max: usize,
    /// Bytes after which waiting frames are no longer gathered into the same write; a longer frame
    /// is written alone. Default: 256 KiB.
    pub write_batch_bytes: usize,
    /// The most frames that wait to be received from the transport, over all peers. Default:
    /// 4,096.
    pub inbound_frames_max: usize,
    /// The most accepted connections that have not said a valid hello yet. When another one
    /// arrives, the oldest is dropped. Default: 64.
    pub handshakes_max: usize,
}

/// Deadlines and intervals. All are above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For name resolution and connecting. Default: 1 s.
    pub connect_timeout: Duration,
    /// For the other end's hello, and for a duplicate to be drained. Default: 1 s.
    pub hello_timeout: Duration,
    /// The longest wait before the first redial; doubles at each failure. Default: 20 ms.
    pub backoff_min: Duration,
    /// Where the doubling ends. Default: 1 s.
    pub backoff_max: Duration,
    /// Time between pings. Default: 500 ms.
    pub keepalive_interval: Duration,
    /// A link on which nothing arrives for so long is dead; above `keepalive_interval`, which is
    /// the same on all members. Default: 2 s.
    pub keepalive_timeout: Duration,
}

/// What is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The cluster's name is empty or too long.
    #[error("the cluster's name has {bytes} bytes; give it 1 to {}", Config::CLUSTER_BYTES_MAX)]
    Cluster {
        /// Its length.
        bytes: usize,
    },
    /// This member is among its own peers.
    #[error("member {node} is listed as a peer of itself; list the other members only")]
    Myself {
        /// This member.
        node: NodeId,
    },
    /// A peer is listed twice.
    #[error("peer {node} is listed twice; list each peer once")]
    Twice {
        /// The peer.
        node: NodeId,
    },
    /// A peer is to be dialled, but nobody says where.
    #[error("peer {node} is to be dialled but has no address; give it one, or wait for its dial")]
    NoAddress {
        /// The peer.
        node: NodeId,
    },
    /// A limit or a time is out of its bounds.
    #[error("{name} is {value}; {mend}")]
    Bound {
        /// The field's name.
        name: &'static str,
        /// Its value, with its unit.
        value: String,
        /// What it may be.
        mend: &'static str,
    },
}

impl Config {
    /// The longest name of a cluster, in bytes.
    pub const CLUSTER_BYTES_MAX: usize = 64;

    pub(crate) fn check(&self) -> Result<(), Error> {
        let bytes = self.cluster.len();
        if bytes == 0 || bytes > Self::CLUSTER_BYTES_MAX {
            return Err(Error::Cluster { bytes });
        }
        let mut seen = BTreeSet::new();
        for peer in &self.peers {
            let node = peer.node;
            if node == self.me.node {
                return Err(Error::Myself { node });
            }
            if !seen.insert(node) {
                return Err(Error::Twice { node });
            }
            if peer.dial == Dial::Dial && peer.address.is_none() {
                return Err(Error::NoAddress { node });
            }
        }
        self.limits.check()?;
        self.timing.check()
    }
}

impl Limits {
    /// The smallest `frame_bytes_max`, in bytes.
    pub const FRAME_BYTES_LEAST: usize = 1 << 10;
    /// The largest `frame_bytes_max`, in bytes: the length of a frame is a `u32`.
    pub const FRAME_BYTES_MOST: usize = 1 << 30;

    fn check(&self) -> Result<(), Error> {
        let frames = Self::FRAME_BYTES_LEAST..=Self::FRAME_BYTES_MOST;
        let note_max = self.frame_bytes_max.saturating_sub(crate::frame::HEAD_BYTES);
        let most = usize::MAX >> 4;
        let one = 1..=most;
        let rows = [
            ("frame_bytes_max", self.frame_bytes_max, frames, "give it 1 KiB to 1 GiB"),
            ("note_bytes_max", self.note_bytes_max, 0..=note_max, "a note must fit a frame"),
            ("queue_frames_max", self.queue_frames_max, one.clone(), "give it at least 1"),
            (
                "queue_bytes_max",
                self.queue_bytes_max,
                self.frame_bytes_max..=most,
                "give it at least frame_bytes_max",
            ),
            ("write_batch_bytes", self.write_batch_bytes, one.clone(), "give it at least 1"),
            ("inbound_frames_max", self.inbound_frames_max, one.clone(), "give it at least 1"),
            ("handshakes_max", self.handshakes_max, one, "give it at least 1"),
        ];
        for (name, value, bounds, mend) in rows {
            if !bounds.contains(&value) {
                return Err(Error::Bound { name, value: value.to_string(), mend });
            }
        }
        Ok(())
    }
}

impl Timing {
    fn check(&self) -> Result<(), Error> {
        let rows = [
            ("connect_timeout", self.connect_timeout, Duration::ZERO),
            ("hello_timeout", self.hello_timeout, Duration::ZERO),
            ("backoff_min", self.backoff_min, Duration::ZERO),
            ("backoff_max", self.backoff_max, Duration::ZERO),
            ("keepalive_interval", self.keepalive_interval, Duration::ZERO),
            ("keepalive_timeout", self.keepalive_timeout, self.keepalive_interval),
        ];
        for (name, value, above) in rows {
            if value <= above {
                let mend = if above.is_zero() {
                    "give it more than zero"
                } else {
                    "give it more than keepalive_interval"
                };
                return Err(Error::Bound { name, value: format!("{value:?}"), mend });
            }
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 64 << 20,
            note_bytes_max: 64 << 10,
            queue_frames_max: 4096,
            queue_bytes_max: 128 << 20,
            write_batch_bytes: 256 << 10,
            inbound_frames_max: 4096,
            handshakes_max: 64,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            hello_timeout: Duration::from_secs(1),
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_secs(1),
            keepalive_interval: Duration::from_millis(500),
            keepalive_timeout: Duration::from_secs(2),
        }
    }
}
