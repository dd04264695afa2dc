//! What a transport is told when it starts: `Config`, its peers, limits and times, and the `Error`
//! that says what is wrong with them.

use crate::epoch::Epoch;
use crate::keys::{KeyPair, KeyRing, PublicKey};
use crate::network::{Listener, Network};
use holm_raft_core::{MemberId, NodeId};
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

/// What a transport is told when it starts.
#[derive(Debug)]
pub struct Config {
    /// The cluster's name, the same on all members: 1 to [`Config::CLUSTER_BYTES_MAX`] bytes.
    pub cluster: String,
    /// Which recovery of the cluster this member belongs to.
    pub epoch: Epoch,
    /// Who this member is.
    pub me: MemberId,
    /// Where peers connect, already bound; nothing for a member that only dials.
    pub listener: Option<Listener>,
    /// Opens connections.
    pub network: Arc<dyn Network>,
    /// The other members, each once.
    pub peers: Vec<Peer>,
    /// Bounds on what is kept and carried.
    pub limits: Limits,
    /// Deadlines and intervals.
    pub timing: Timing,
    /// Whether this member passes on what others send each other.
    pub relaying: Relaying,
    /// What is drawn comes from this: keys of one use, challenges, the name of this start. Nobody
    /// may guess it, and it must differ at each start.
    pub seed: [u8; 32],
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
    /// The key by which it is known; needed where links are sealed.
    pub key: Option<PublicKey>,
}

/// Who opens the connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial {
    /// This member dials (the peer may do so too).
    Dial,
    /// This member waits until the peer dials.
    Wait,
}

/// Whether a member passes on what others send each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relaying {
    /// It does, within `relay_bytes_per_second` and `relay_queue_bytes_max`.
    #[default]
    On,
    /// It does not.
    Off,
}

/// How links are secured.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all: frames carry a checksum, in the clear, and a peer is who it says it is.
    Insecure,
    /// By a handshake (Noise, pattern XXpsk0) in which both ends show that they know the cluster's
    /// secret and hold the key by which the other knows them. Frames are sealed from end to end.
    Sealed {
        /// This member's key.
        pair: KeyPair,
        /// The cluster's secrets: the first begins handshakes, any is accepted.
        /// [`Transport::change_ring`](crate::Transport::change_ring) exchanges them.
        ring: KeyRing,
    },
}

/// Bounds on what is kept and carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame that is sent or accepted, in bytes; 1 KiB to 16 MiB, and the same on all
    /// members. What is longer goes in several frames, and urgent ones in between. Default:
    /// 128 KiB.
    pub frame_bytes_max: usize,
    /// The longest message that is sent or accepted, in bytes; the same on all members. Default:
    /// 64 MiB.
    pub message_bytes_max: usize,
    /// The longest note, in bytes. Default: 64 KiB.
    pub note_bytes_max: usize,
    /// The most messages and notes that wait for one link, in each class. Default: 4,096.
    pub queue_frames_max: usize,
    /// The most bytes that wait for one link, in each class; at least `message_bytes_max` and a
    /// little. Default: 128 MiB.
    pub queue_bytes_max: usize,
    /// Bytes after which waiting frames are no longer gathered into the same write. Default:
    /// 128 KiB.
    pub write_batch_bytes: usize,
    /// The most frames that wait to be received from the transport, over all peers. Default:
    /// 4,096.
    pub inbound_frames_max: usize,
    /// The most accepted connections whose ends don't know each other yet. When another one
    /// arrives, the oldest is dropped. Default: 64.
    pub handshakes_max: usize,
    /// The most of those from one address; at most `handshakes_max`. Default: 16.
    pub handshakes_per_address_max: usize,
    /// How often one address may connect in a second, after a burst of as many. Default: 32.
    pub handshakes_per_second: NonZeroU32,
    /// How many bytes a second this member passes on from one member to another, after a burst of
    /// as many. Default: 16 MiB.
    pub relay_bytes_per_second: NonZeroU64,
    /// The most bytes that wait to be passed on from one member to another. Default: 4 MiB.
    pub relay_queue_bytes_max: usize,
    /// The most members that may pass a frame on; `None`: as many as there are peers. Default:
    /// `None`.
    pub hops_max: Option<u8>,
    /// How many bytes of snapshots a second are written to one link; `None`: as fast as it takes
    /// them. Default: `None`.
    pub snapshot_bytes_per_second: Option<NonZeroU64>,
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
    /// Links are sealed, and nobody says by which key a peer is known.
    #[error("peer {node} has no key, and links are sealed; give it its `key`")]
    NoKey {
        /// The peer.
        node: NodeId,
    },
    /// Two members are known by one key.
    #[error("peer {node} has the key of another member; give each its own")]
    KeyTwice {
        /// The peer.
        node: NodeId,
    },
    /// Secrets were given to a transport whose links are insecure.
    #[error("links are insecure and use no secrets; start with sealed links to use some")]
    Insecure,
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
        check_peers(self.me.node, self.security.own_key(), &self.peers)?;
        self.limits.check()?;
        self.timing.check()
    }
}

impl Security {
    /// The key by which the others know this member, where links are sealed.
    pub(crate) const fn own_key(&self) -> Option<PublicKey> {
        match self {
            Self::Insecure => None,
            Self::Sealed { pair, .. } => Some(pair.public()),
        }
    }
}

/// Whether these peers can be those of member `me`, which is known by `own`, or whose links are
/// insecure.
pub(crate) fn check_peers(me: NodeId, own: Option<PublicKey>, peers: &[Peer]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    let mut keys: BTreeSet<_> = own.into_iter().collect();
    for Peer { node, address, dial, key } in peers {
        let node = *node;
        if node == me {
            return Err(Error::Myself { node });
        }
        if !seen.insert(node) {
            return Err(Error::Twice { node });
        }
        if *dial == Dial::Dial && address.is_none() {
            return Err(Error::NoAddress { node });
        }
        match key {
            Some(key) if !keys.insert(*key) => return Err(Error::KeyTwice { node }),
            None if own.is_some() => return Err(Error::NoKey { node }),
            _ => (),
        }
    }
    Ok(())
}

impl Limits {
    /// The smallest `frame_bytes_max`, in bytes.
    pub const FRAME_BYTES_LEAST: usize = 1 << 10;
    /// The largest `frame_bytes_max`, in bytes.
    pub const FRAME_BYTES_MOST: usize = 16 << 20;
    /// The largest `message_bytes_max`, in bytes.
    pub const MESSAGE_BYTES_MOST: usize = 1 << 30;

    fn check(&self) -> Result<(), Error> {
        let frames = Self::FRAME_BYTES_LEAST..=Self::FRAME_BYTES_MOST;
        let message = 1..=Self::MESSAGE_BYTES_MOST;
        let queued = self.message_bytes_max.max(self.note_bytes_max);
        let queued = queued.saturating_add(crate::frame::OVERHEAD_BYTES_MAX);
        let most = usize::MAX >> 4;
        let one = 1..=most;
        let rows = [
            ("frame_bytes_max", self.frame_bytes_max, frames, "give it 1 KiB to 16 MiB"),
            ("message_bytes_max", self.message_bytes_max, message.clone(), "give it 1 to 1 GiB"),
            ("note_bytes_max", self.note_bytes_max, message, "give it 1 to 1 GiB"),
            ("queue_frames_max", self.queue_frames_max, one.clone(), "give it at least 1"),
            (
                "queue_bytes_max",
                self.queue_bytes_max,
                queued..=most,
                "give it at least message_bytes_max and note_bytes_max, and a little more",
            ),
            ("write_batch_bytes", self.write_batch_bytes, one.clone(), "give it at least 1"),
            ("inbound_frames_max", self.inbound_frames_max, one.clone(), "give it at least 1"),
            ("handshakes_max", self.handshakes_max, one, "give it at least 1"),
            (
                "handshakes_per_address_max",
                self.handshakes_per_address_max,
                1..=self.handshakes_max,
                "give it 1 to handshakes_max",
            ),
            (
                "relay_queue_bytes_max",
                self.relay_queue_bytes_max,
                self.frame_bytes_max..=most,
                "give it at least frame_bytes_max",
            ),
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
            frame_bytes_max: 128 << 10,
            message_bytes_max: 64 << 20,
            note_bytes_max: 64 << 10,
            queue_frames_max: 4096,
            queue_bytes_max: 128 << 20,
            write_batch_bytes: 128 << 10,
            inbound_frames_max: 4096,
            handshakes_max: 64,
            handshakes_per_address_max: 16,
            handshakes_per_second: NonZeroU32::MIN.saturating_add(31),
            relay_bytes_per_second: NonZeroU64::MIN.saturating_add((16 << 20) - 1),
            relay_queue_bytes_max: 4 << 20,
            hops_max: None,
            snapshot_bytes_per_second: None,
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
