//! A node's settings: `Config`.

use crate::security::Security;
use crate::topology::{Island, Member, Topology};
use holm_transport::{KeyRing, Limits, Listener};
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;

/// What a node is told when it is opened.
#[derive(Debug)]
pub struct Config {
    /// The cluster's name, the same on all members, 1 to 64 bytes.
    pub cluster: String,
    /// This member's number in the topology.
    pub node: u64,
    /// Who there is, and who may dial whom. Counts when the cluster is formed; afterwards the
    /// replicated configuration wins.
    pub topology: Topology,
    /// How links between members are secured.
    pub security: Security,
    /// What the keys of sessions are wrapped under. `None`: the secrets of
    /// [`security`](Self::security), where links are sealed; without any there are no sessions.
    /// [`Node::change_secrets`](crate::Node::change_secrets) changes these as well.
    pub session_secrets: Option<KeyRing>,
    /// Where this member accepts the others; `None`: it only dials.
    pub listen: Option<Listen>,
    /// Where the log is.
    pub storage: Storage,
    /// Whether a cluster may be formed of which most voters have their log in memory. Default:
    /// false.
    pub allow_memory_majority: bool,
    /// What to do when the storage is empty.
    pub start: Start,
    /// The length of a tick. Default: 10 ms.
    pub tick: Duration,
    /// The shortest election time-out, in ticks; each is drawn from this up to twice this.
    /// Default: 15.
    pub election_ticks: u32,
    /// Between two heartbeats, in ticks. Default: 3.
    pub heartbeat_ticks: u32,
    /// How long a proposal or a read waits unless it says otherwise. Default: 5 s.
    pub request_timeout: Duration,
    /// For how long the reply to a command with a key is kept, in log time. Default: 10 min.
    pub idempotency_retention: Duration,
    /// After how many applied entries a snapshot is taken. Default: 50,000.
    pub snapshot_entries: u64,
    /// After how many bytes of applied entries a snapshot is taken, though they are fewer. Each
    /// entry counts 64 bytes besides its data. Default: 64 MiB.
    pub snapshot_log_bytes: u64,
    /// The most bytes of a snapshot in one message to a follower. Default: 256 KiB.
    pub snapshot_chunk_bytes: u64,
    /// The longest frame between members, in bytes, the same on all of them: what is longer is cut,
    /// and urgent messages go in between. At most
    /// [`relay_queue_bytes_max`](Self::relay_queue_bytes_max). Default: 128 KiB.
    pub frame_bytes_max: usize,
    /// The most bytes a second that a leader sends of snapshots, to each member. Default: `None`,
    /// no bound.
    pub snapshot_bytes_per_second: Option<u64>,
    /// The most bytes a second that this member passes on for each pair of others that have no
    /// link. Default: 16 MiB.
    pub relay_bytes_per_second: u64,
    /// The most bytes that wait here to be passed on, for each such pair. Default: 4 MiB.
    pub relay_queue_bytes_max: usize,
    /// The size of a log segment, in bytes. Default: 64 MiB.
    pub segment_bytes: u64,
    /// How much of the log is read when the node opens. Default: all of it.
    pub verify_log: VerifyLog,
    /// The longest command, encoded, in bytes. Default: 4 MiB.
    pub command_bytes_max: usize,
    /// The most proposals and reads that wait for an answer. Default: 16,384.
    pub waiting_requests_max: usize,
    /// The most bytes of commands, encoded, whose callers wait for an answer; at least
    /// [`command_bytes_max`](Self::command_bytes_max). Default: 64 MiB.
    pub waiting_bytes_max: usize,
    /// The most proposals and reads that wait for the driver. Default: 4,096.
    pub inbox_requests_max: usize,
}

/// Where a member accepts the others.
#[derive(Debug)]
pub enum Listen {
    /// Bind this `host:port` when the node opens.
    Address(String),
    /// Use this listener, bound already.
    Bound(Listener),
}

/// Where a member's log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In files in this directory.
    Disk(PathBuf),
    /// In memory: lost with the process, and with it the member's identity.
    Memory,
}

/// How much of the log is read and checked when a node opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "server", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum VerifyLog {
    /// Every record, so that damage is found, and repaired from the others, before the member
    /// votes.
    #[default]
    All,
    /// The end, and of full segments only a table of contents, which is written from then on:
    /// quick, whatever the log's size. Damage to the rest shows when it is read, and stops the
    /// node; it is repaired when the node is opened with [`All`](Self::All).
    Tail,
}

/// What to do when the storage is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Wait to be added to a cluster; never vote.
    Join,
    /// Form the cluster with the other members of the topology. Refused when the storage is not
    /// empty, or when a member that can be reached has formed it already.
    Bootstrap,
}

impl Config {
    /// The bounds of [`snapshot_chunk_bytes`](Self::snapshot_chunk_bytes): a piece has to fit a
    /// frame.
    pub const SNAPSHOT_CHUNK_BYTES: RangeInclusive<u64> = 1..=16 << 20;
    /// The bounds of [`frame_bytes_max`](Self::frame_bytes_max), in bytes (1 KiB to 16 MiB).
    pub const FRAME_BYTES: RangeInclusive<usize> =
        Limits::FRAME_BYTES_LEAST..=Limits::FRAME_BYTES_MOST;
    /// The bounds of [`snapshot_bytes_per_second`](Self::snapshot_bytes_per_second) and
    /// [`relay_bytes_per_second`](Self::relay_bytes_per_second) (64 KiB to 1 TiB).
    pub const BYTES_PER_SECOND: RangeInclusive<u64> = 64 << 10..=1 << 40;
    /// The bounds of [`relay_queue_bytes_max`](Self::relay_queue_bytes_max), in bytes (64 KiB to
    /// 1 GiB).
    pub const RELAY_QUEUE_BYTES: RangeInclusive<usize> = 64 << 10..=1 << 30;

    /// A member with the default settings and its log in memory.
    #[must_use]
    pub fn new(
        cluster: impl Into<String>,
        node: u64,
        topology: Topology,
        security: Security,
    ) -> Self {
        Self {
            cluster: cluster.into(),
            node,
            topology,
            security,
            session_secrets: None,
            listen: None,
            storage: Storage::Memory,
            allow_memory_majority: false,
            start: Start::Join,
            tick: Duration::from_millis(10),
            election_ticks: 15,
            heartbeat_ticks: 3,
            request_timeout: Duration::from_secs(5),
            idempotency_retention: Duration::from_secs(600),
            snapshot_entries: 50_000,
            snapshot_log_bytes: 64 << 20,
            snapshot_chunk_bytes: 256 << 10,
            frame_bytes_max: 128 << 10,
            snapshot_bytes_per_second: None,
            relay_bytes_per_second: 16 << 20,
            relay_queue_bytes_max: 4 << 20,
            segment_bytes: 64 << 20,
            verify_log: VerifyLog::All,
            command_bytes_max: 4 << 20,
            waiting_requests_max: 16_384,
            waiting_bytes_max: 64 << 20,
            inbox_requests_max: 4_096,
        }
    }

    pub(crate) fn session_secrets(&self) -> Option<&KeyRing> {
        let sealed = match &self.security {
            Security::Sealed { ring, .. } => Some(ring),
            Security::Insecure => None,
        };
        self.session_secrets.as_ref().or(sealed)
    }

    /// The longest note between nodes: the longest command fits one, for repairs.
    pub(crate) fn note_bytes_max(&self) -> usize {
        let limits = Limits::default();
        let wanted = self.command_bytes_max.saturating_add(4096);
        wanted.clamp(limits.note_bytes_max, limits.message_bytes_max / 2)
    }

    /// The settings of `members` members of a new cluster on this machine, listening on free
    /// loopback ports, with their logs in memory: for examples and tests.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn local_cluster(members: u64) -> io::Result<Vec<Self>> {
        let mut listeners = Vec::new();
        let mut topology = Topology::default();
        topology.islands.push(Island { name: "local".into() });
        for id in 1..=members {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            let address = Some(listener.local_addr()?.to_string());
            topology.members.push(Member::new(id, "local", address));
            listeners.push(listener);
        }
        let config = |(node, listener)| Self {
            listen: Some(Listen::Bound(Box::new(listener))),
            start: Start::Bootstrap,
            allow_memory_majority: true,
            ..Self::new("local", node, topology.clone(), Security::Insecure)
        };
        Ok((1..).zip(listeners).map(config).collect())
    }

    /// Whether the settings can work together.
    ///
    /// # Errors
    /// A sentence that names the first that can't, and the mend.
    pub fn check(&self) -> Result<(), String> {
        self.topology.check().map_err(|error| error.to_string())?;
        let Some(me) = self.topology.member(self.node) else {
            return Err(format!(
                "node {} is not among the members of the topology; add it",
                self.node
            ));
        };
        if me.address.is_some() && self.listen.is_none() {
            return Err(format!(
                "member {} has an address in the topology but does not listen; set listen, or \
                 remove the address",
                self.node
            ));
        }
        self.security.check(&self.topology, self.node).map_err(|error| error.to_string())?;
        if self.tick < Duration::from_millis(1) {
            return Err("tick must be at least 1 ms".into());
        }
        for (name, is_zero) in [
            ("snapshot_entries", self.snapshot_entries == 0),
            ("waiting_requests_max", self.waiting_requests_max == 0),
            ("inbox_requests_max", self.inbox_requests_max == 0),
        ] {
            if is_zero {
                return Err(format!("{name} must be at least 1"));
            }
        }
        if self.snapshot_log_bytes == 0 {
            return Err("snapshot_log_bytes must be at least 1".into());
        }
        let chunk = Self::SNAPSHOT_CHUNK_BYTES;
        if !chunk.contains(&self.snapshot_chunk_bytes) {
            let (low, high) = (chunk.start(), chunk.end());
            return Err(format!("snapshot_chunk_bytes must be from {low} to {high}"));
        }
        self.check_links()?;
        if self.waiting_bytes_max < self.command_bytes_max {
            return Err(format!(
                "waiting_bytes_max is {}, and a command may have command_bytes_max = {} bytes; \
                 raise the one or lower the other",
                self.waiting_bytes_max, self.command_bytes_max
            ));
        }
        let entry_bytes = u64::try_from(self.command_bytes_max).unwrap_or(u64::MAX);
        if entry_bytes.saturating_add(4096) > self.segment_bytes {
            return Err(format!(
                "a command of command_bytes_max = {entry_bytes} bytes does not fit a segment of \
                 segment_bytes = {}; raise one or lower the other",
                self.segment_bytes
            ));
        }
        Ok(())
    }

    /// Whether the bounds on links are within theirs.
    fn check_links(&self) -> Result<(), String> {
        let (frame, queue) = (self.frame_bytes_max, self.relay_queue_bytes_max);
        within("frame_bytes_max", frame, &Self::FRAME_BYTES, "bytes")?;
        within("relay_queue_bytes_max", queue, &Self::RELAY_QUEUE_BYTES, "bytes")?;
        if queue < frame {
            return Err(format!(
                "relay_queue_bytes_max is {queue}, and a frame may have frame_bytes_max = {frame} \
                 bytes; raise the one or lower the other"
            ));
        }
        let (rates, unit) = (Self::BYTES_PER_SECOND, "bytes a second");
        within("relay_bytes_per_second", self.relay_bytes_per_second, &rates, unit)?;
        let snapshots = self.snapshot_bytes_per_second;
        snapshots.map_or(Ok(()), |rate| within("snapshot_bytes_per_second", rate, &rates, unit))
    }
}

fn within<T: PartialOrd + Display>(
    name: &str,
    value: T,
    bounds: &RangeInclusive<T>,
    unit: &str,
) -> Result<(), String> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (low, high) = (bounds.start(), bounds.end());
    Err(format!("{name} is {value}; give it {low} to {high} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Config);

    #[tokio::test]
    async fn each_bound_on_links_and_queues_is_told_by_its_name_and_the_mend() {
        let told = async |spoil: Spoil| {
            let mut config = Config::local_cluster(1).await.expect("a port").remove(0);
            config.check().expect("the defaults are sound");
            spoil(&mut config);
            config.check().expect_err("this is wrong")
        };
        let cases: [(Spoil, &str); 11] = [
            (
                |config| config.frame_bytes_max = 1023,
                "frame_bytes_max is 1023; give it 1024 to 16777216 bytes",
            ),
            (
                |config| config.frame_bytes_max = (16 << 20) + 1,
                "frame_bytes_max is 16777217; give it 1024 to 16777216 bytes",
            ),
            (
                |config| config.relay_queue_bytes_max = 65_535,
                "relay_queue_bytes_max is 65535; give it 65536 to 1073741824 bytes",
            ),
            (
                |config| config.relay_queue_bytes_max = 65_536,
                "relay_queue_bytes_max is 65536, and a frame may have frame_bytes_max = 131072 \
                 bytes; raise the one or lower the other",
            ),
            (
                |config| config.relay_bytes_per_second = 0,
                "relay_bytes_per_second is 0; give it 65536 to 1099511627776 bytes a second",
            ),
            (
                |config| config.snapshot_bytes_per_second = Some(0),
                "snapshot_bytes_per_second is 0; give it 65536 to 1099511627776 bytes a second",
            ),
            (
                |config| config.snapshot_bytes_per_second = Some((1 << 40) + 1),
                "snapshot_bytes_per_second is 1099511627777; give it 65536 to 1099511627776 bytes \
                 a second",
            ),
            (|config| config.snapshot_entries = 0, "snapshot_entries must be at least 1"),
            (|config| config.waiting_requests_max = 0, "waiting_requests_max must be at least 1"),
            (|config| config.inbox_requests_max = 0, "inbox_requests_max must be at least 1"),
            (
                |config| config.waiting_bytes_max = 4095,
                "waiting_bytes_max is 4095, and a command may have command_bytes_max = 4194304 \
                 bytes; raise the one or lower the other",
            ),
        ];
        for (spoil, expected) in cases {
            assert_eq!(told(spoil).await, expected);
        }
    }

    #[tokio::test]
    async fn the_ends_of_each_bound_are_good() {
        let mut config = Config::local_cluster(1).await.expect("a port").remove(0);
        config.relay_queue_bytes_max = 1 << 30;
        for rate in [64 << 10, 1 << 40] {
            config.relay_bytes_per_second = rate;
            config.snapshot_bytes_per_second = Some(rate);
            assert_eq!(config.check(), Ok(()));
        }
        for frame in [1 << 10, 16 << 20] {
            config.frame_bytes_max = frame;
            assert_eq!(config.check(), Ok(()));
        }
        (config.frame_bytes_max, config.relay_queue_bytes_max) = (64 << 10, 64 << 10);
        assert_eq!(config.check(), Ok(()));
    }
}
