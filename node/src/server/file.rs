//! The configuration file of `holm serve`: [`ServeConfig`] is what the file, the environment and
//! the flags say together, checked.

mod hosts;
pub(super) mod secrets;
mod serving;
mod written;

pub use serving::{Serving, ServingOverrides};
pub use written::Memory;

use crate::config::{Config, VerifyLog};
use crate::security::{Security, WrongKey};
use crate::topology::{FileError, MEMBER_PORT, Topology, with_port};
use clap::Args;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use written::Written;

/// The longest name of a cluster, in bytes.
pub const CLUSTER_BYTES_MAX: usize = 64;
/// The bounds of `election_timeout_ms`, in milliseconds.
pub const ELECTION_TIMEOUT_MS: RangeInclusive<u64> = 10..=600_000;
/// The bounds of `heartbeat_ms`, in milliseconds.
pub const HEARTBEAT_MS: RangeInclusive<u64> = 1..=300_000;
/// The bounds of `request_timeout_ms`, in milliseconds.
pub const REQUEST_TIMEOUT_MS: RangeInclusive<u64> = 1..=60_000;
/// The bounds of `idempotency_retention_s`, in seconds (up to 30 days).
pub const IDEMPOTENCY_RETENTION_S: RangeInclusive<u64> = 1..=2_592_000;
/// The bounds of `snapshot_entries`, in entries.
pub const SNAPSHOT_ENTRIES: RangeInclusive<u64> = 1..=1_000_000_000;
/// The bounds of `snapshot_log_bytes`, in bytes.
pub const SNAPSHOT_LOG_BYTES: RangeInclusive<u64> = 4_096..=1_099_511_627_776;
/// The bounds of `segment_bytes`, in bytes: a segment holds the longest command, and more.
pub const SEGMENT_BYTES: RangeInclusive<u64> = 8_388_608..=1_073_741_824;

/// What one member is started with.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The cluster's name; members of another cluster are refused.
    pub cluster: String,
    /// This member's number in the topology.
    pub node: u64,
    /// Where the log and the snapshots are.
    pub storage: Storage,
    /// Whether a cluster may be formed of which most voters keep nothing over a restart.
    pub allow_memory_majority: bool,
    /// Where members are accepted, as `host:port`; none for a member that only dials.
    pub listen: Option<String>,
    /// Where HTTP is served, as `host:port`.
    pub http: String,
    /// Whom HTTP serves, and with how much.
    pub serving: Serving,
    /// Islands, members and links.
    pub topology: Topology,
    /// How links between members are secured.
    pub security: Security,
    /// The file that the secrets were read from; none if links are insecure.
    pub secrets: Option<PathBuf>,
    /// Without word from a leader for this long, a member stands for election.
    pub election_timeout: Option<Duration>,
    /// The pause between a leader's signs of life.
    pub heartbeat: Option<Duration>,
    /// How long a request may wait that names no time-out.
    pub request_timeout: Option<Duration>,
    /// How long an idempotency key is remembered, in log time.
    pub idempotency_retention: Option<Duration>,
    /// After how many entries the log is compacted into a snapshot.
    pub snapshot_entries: Option<u64>,
    /// After how many bytes of applied entries a snapshot is taken, though they are fewer.
    pub snapshot_log_bytes: Option<u64>,
    /// The most bytes a second of snapshots to each member; no bound if left out.
    pub snapshot_bytes_per_second: Option<u64>,
    /// The most bytes a second passed on for each pair of others.
    pub relay_bytes_per_second: Option<u64>,
    /// The most bytes that wait to be passed on for each pair of others.
    pub relay_queue_bytes: Option<usize>,
    /// The longest frame between members, in bytes.
    pub frame_bytes_max: Option<usize>,
    /// The size of a log segment, in bytes.
    pub segment_bytes: Option<u64>,
    /// How much of the log is read when the member starts.
    pub verify_log: VerifyLog,
}

/// Where a member keeps what it must not forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Nowhere: a restart is a new incarnation.
    Memory,
    /// In this directory.
    Directory(PathBuf),
}

/// What flags and environment say over the file. A flag wins over its variable.
#[derive(Args, Clone, Debug, Default)]
pub struct Overrides {
    /// The cluster's name
    #[arg(long, env = "HOLM_CLUSTER", value_name = "NAME")]
    pub cluster: Option<String>,
    /// This member's number
    #[arg(long, env = "HOLM_NODE", value_name = "ID")]
    pub node: Option<u64>,
    /// Where the log and the snapshots are
    #[arg(long, env = "HOLM_DATA_DIR", value_name = "DIR", conflicts_with = "storage")]
    pub data_dir: Option<PathBuf>,
    /// "memory": keep nothing on disk
    #[arg(long, env = "HOLM_STORAGE", value_name = "memory")]
    pub storage: Option<Memory>,
    /// Form a cluster though most voters keep nothing over a restart
    #[arg(long, env = "HOLM_ALLOW_MEMORY_MAJORITY")]
    pub allow_memory_majority: bool,
    /// Where to accept members [port 7600 if none is given]
    #[arg(long, env = "HOLM_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where to serve HTTP [port 7680 if none is given]
    #[arg(long, env = "HOLM_HTTP", value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// The topology file, instead of the one in the configuration file
    #[arg(long, env = "HOLM_TOPOLOGY", value_name = "FILE")]
    pub topology: Option<PathBuf>,
    /// The file of the secrets that all members share
    #[arg(long, env = "HOLM_SECRETS", value_name = "FILE")]
    pub secrets: Option<PathBuf>,
    /// The file of this member's private key
    #[arg(long, env = "HOLM_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Milliseconds without a leader before an election
    #[arg(long, env = "HOLM_ELECTION_TIMEOUT_MS", value_name = "MS")]
    pub election_timeout_ms: Option<u64>,
    /// Milliseconds between a leader's heartbeats
    #[arg(long, env = "HOLM_HEARTBEAT_MS", value_name = "MS")]
    pub heartbeat_ms: Option<u64>,
    /// Milliseconds a request may wait that names no time-out
    #[arg(long, env = "HOLM_REQUEST_TIMEOUT_MS", value_name = "MS")]
    pub request_timeout_ms: Option<u64>,
    /// Seconds an idempotency key is remembered
    #[arg(long, env = "HOLM_IDEMPOTENCY_RETENTION_S", value_name = "S")]
    pub idempotency_retention_s: Option<u64>,
    /// Entries after which the log is compacted
    #[arg(long, env = "HOLM_SNAPSHOT_ENTRIES", value_name = "N")]
    pub snapshot_entries: Option<u64>,
    /// After how many bytes of applied entries a snapshot is taken, though they are fewer
    #[arg(long, env = "HOLM_SNAPSHOT_LOG_BYTES", value_name = "BYTES")]
    pub snapshot_log_bytes: Option<u64>,
    /// Bytes a second of snapshots to each member [no bound if left out]
    #[arg(long, env = "HOLM_SNAPSHOT_BYTES_PER_SECOND", value_name = "BYTES")]
    pub snapshot_bytes_per_second: Option<u64>,
    /// Bytes a second passed on for each pair of others
    #[arg(long, env = "HOLM_RELAY_BYTES_PER_SECOND", value_name = "BYTES")]
    pub relay_bytes_per_second: Option<u64>,
    /// Bytes that wait to be passed on for each pair of others
    #[arg(long, env = "HOLM_RELAY_QUEUE_BYTES", value_name = "BYTES")]
    pub relay_queue_bytes: Option<usize>,
    /// Bytes of the longest frame between members, the same on all of them
    #[arg(long, env = "HOLM_FRAME_BYTES_MAX", value_name = "BYTES")]
    pub frame_bytes_max: Option<usize>,
    /// Bytes of a log segment
    #[arg(long, env = "HOLM_SEGMENT_BYTES", value_name = "BYTES")]
    pub segment_bytes: Option<u64>,
    /// How much of the log to read at the start
    #[arg(long, env = "HOLM_VERIFY_LOG", value_name = "all|tail", hide_possible_values = true)]
    pub verify_log: Option<VerifyLog>,
    /// What concerns HTTP
    #[command(flatten)]
    pub serving: ServingOverrides,
}

impl ServeConfig {
    /// Reads the file at `path`, and the topology file it names, and lets `overrides` win.
    ///
    /// # Errors
    /// The first unreadable file, unknown key, missing key or contradiction.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, FileError> {
        let text = read(path)?;
        Self::parse(&text, path, overrides).map_err(|error| match error.file {
            Some(_) => error,
            None => error.in_file(path),
        })
    }

    fn parse(text: &str, path: &Path, overrides: &Overrides) -> Result<Self, FileError> {
        let file: Written = toml::from_str(text).map_err(|error| FileError::toml(text, &error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let topology = file.topology_of(folder, overrides)?;
        let cluster = overrides.cluster.clone().or(file.cluster.clone());
        let cluster = cluster.ok_or_else(|| missing("cluster", "cluster = \"NAME\""))?;
        let (security, secrets) = file.security_of(folder, overrides)?;
        let http = addressed("http", &overrides.http, &file.http, super::HTTP_PORT)?
            .ok_or_else(|| missing("http", "http = \"127.0.0.1:7680\""))?;
        let config = Self {
            cluster,
            node: overrides.node.or(file.node).ok_or_else(|| missing("node", "node = ID"))?,
            storage: file.storage_of(folder, overrides)?,
            allow_memory_majority: overrides.allow_memory_majority || file.allow_memory_majority,
            listen: addressed("listen", &overrides.listen, &file.listen, MEMBER_PORT)?,
            serving: file.serving_of(folder, overrides, &http)?,
            http,
            topology,
            security,
            secrets,
            election_timeout: overrides
                .election_timeout_ms
                .or(file.election_timeout_ms)
                .map(Duration::from_millis),
            heartbeat: overrides.heartbeat_ms.or(file.heartbeat_ms).map(Duration::from_millis),
            request_timeout: overrides
                .request_timeout_ms
                .or(file.request_timeout_ms)
                .map(Duration::from_millis),
            idempotency_retention: overrides
                .idempotency_retention_s
                .or(file.idempotency_retention_s)
                .map(Duration::from_secs),
            snapshot_entries: overrides.snapshot_entries.or(file.snapshot_entries),
            snapshot_log_bytes: overrides.snapshot_log_bytes.or(file.snapshot_log_bytes),
            snapshot_bytes_per_second: overrides
                .snapshot_bytes_per_second
                .or(file.snapshot_bytes_per_second),
            relay_bytes_per_second: overrides
                .relay_bytes_per_second
                .or(file.relay_bytes_per_second),
            relay_queue_bytes: overrides.relay_queue_bytes.or(file.relay_queue_bytes),
            frame_bytes_max: overrides.frame_bytes_max.or(file.frame_bytes_max),
            segment_bytes: overrides.segment_bytes.or(file.segment_bytes),
            verify_log: overrides.verify_log.or(file.verify_log).unwrap_or_default(),
        };
        config.check_bounds()?;
        config.check_against_topology()?;
        Ok(config)
    }

    fn check_bounds(&self) -> Result<(), FileError> {
        check_cluster(&self.cluster)?;
        let millis = |duration: Option<Duration>| {
            duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
        };
        let retention = self.idempotency_retention.map(|duration| duration.as_secs());
        within("election_timeout_ms", millis(self.election_timeout), &ELECTION_TIMEOUT_MS)?;
        within("heartbeat_ms", millis(self.heartbeat), &HEARTBEAT_MS)?;
        within("request_timeout_ms", millis(self.request_timeout), &REQUEST_TIMEOUT_MS)?;
        within("idempotency_retention_s", retention, &IDEMPOTENCY_RETENTION_S)?;
        within("snapshot_entries", self.snapshot_entries, &SNAPSHOT_ENTRIES)?;
        within("snapshot_log_bytes", self.snapshot_log_bytes, &SNAPSHOT_LOG_BYTES)?;
        within("segment_bytes", self.segment_bytes, &SEGMENT_BYTES)?;
        let (snapshots, relay) = (self.snapshot_bytes_per_second, self.relay_bytes_per_second);
        within("snapshot_bytes_per_second", snapshots, &Config::BYTES_PER_SECOND)?;
        within("relay_bytes_per_second", relay, &Config::BYTES_PER_SECOND)?;
        within("relay_queue_bytes", self.relay_queue_bytes, &Config::RELAY_QUEUE_BYTES)?;
        within("frame_bytes_max", self.frame_bytes_max, &Config::FRAME_BYTES)?;
        let unset = Config::new("", self.node, Topology::default(), Security::Insecure);
        let queue = self.relay_queue_bytes.unwrap_or(unset.relay_queue_bytes_max);
        let frame = self.frame_bytes_max.unwrap_or(unset.frame_bytes_max);
        if queue < frame {
            let problem = format!("{queue} is less than frame_bytes_max = {frame}");
            let mend = "raise it, or lower frame_bytes_max";
            return Err(FileError::new("relay_queue_bytes", problem, mend));
        }
        let election = self.election_timeout.unwrap_or(unset.tick * unset.election_ticks);
        let heartbeat = self.heartbeat.unwrap_or(unset.tick * unset.heartbeat_ticks);
        if heartbeat.saturating_mul(2) > election {
            let problem = "is more than half of election_timeout_ms: one late heartbeat would \
                           bring an election";
            let mend = "lower it, or raise election_timeout_ms";
            return Err(FileError::new("heartbeat_ms", problem, mend));
        }
        Ok(())
    }

    fn check_against_topology(&self) -> Result<(), FileError> {
        let Some(own) = self.topology.member(self.node) else {
            let problem = format!("there is no member {} in the topology", self.node);
            let mend = "add a [[members]] entry with this id, or correct it";
            return Err(FileError::new("node", problem, mend));
        };
        self.security.check(&self.topology, self.node).map_err(told)?;
        match (&self.listen, &own.address) {
            (None, Some(address)) => {
                let problem = format!(
                    "is missing, but the topology tells others to dial member {} at {address}",
                    self.node
                );
                let mend =
                    format!("add listen = \"{address}\", or remove member {}'s address", self.node);
                Err(FileError::new("listen", problem, mend))
            }
            (Some(listen), _) if *listen == self.http => {
                let mend = "give members and HTTP a port each";
                Err(FileError::new("http", "is the same address as listen", mend))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a cluster may have this name.
pub(super) fn check_cluster(name: &str) -> Result<(), FileError> {
    let visible = name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > CLUSTER_BYTES_MAX || !visible {
        let problem = format!("a name has 1 to {CLUSTER_BYTES_MAX} visible ASCII characters");
        return Err(FileError::new("cluster", problem, "choose another name"));
    }
    Ok(())
}

/// What is wrong with a key, as of the key that says it in the file.
fn told(wrong: WrongKey) -> FileError {
    match wrong {
        WrongKey::Missing { member } => {
            let problem = "is missing, but links are sealed";
            let mend = "add key = \"holm-public-…\", as the member's `holm keygen` prints it";
            FileError::new(format!("members {member}: key"), problem, mend)
        }
        WrongKey::Other { member, own, named } => {
            let problem =
                format!("belongs to {own}, but the topology gives member {member} {named}");
            FileError::new("key", problem, "name the file of that member's key, or correct it")
        }
    }
}

fn missing(key: &str, example: &str) -> FileError {
    let variable = key.to_uppercase();
    let flag = key.replace('_', "-");
    FileError::new(key, "is missing", format!("add {example} (or --{flag}, or HOLM_{variable})"))
}

fn within<T: PartialOrd + Display>(
    key: &str,
    value: Option<T>,
    bounds: &RangeInclusive<T>,
) -> Result<(), FileError> {
    match value {
        Some(value) if !bounds.contains(&value) => {
            let problem = format!("{value} is out of bounds");
            let mend = format!("choose {} to {}", bounds.start(), bounds.end());
            Err(FileError::new(key, problem, mend))
        }
        _ => Ok(()),
    }
}

fn addressed(
    key: &str,
    overridden: &Option<String>,
    written: &Option<String>,
    port: u16,
) -> Result<Option<String>, FileError> {
    let Some(text) = overridden.as_ref().or(written.as_ref()) else { return Ok(None) };
    with_port(text, port).map(Some).map_err(|problem| FileError::new(key, problem, ""))
}

/// The text of a TOML file that was named.
pub(super) fn read(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|error| {
        let mend = "name a readable TOML file";
        FileError::new("", format!("can't be read: {error}"), mend).in_file(path)
    })
}
