//! What is measured: the `Subject`s, what each can do, and how its processes are started.

use crate::load::Work;
use crate::outside::Speech;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// A bare round trip and a bare sync
    Floor,
    /// Holm, embedded; proposals at the leader
    Holm,
    /// Holm, embedded; proposals at a follower
    HolmFollower,
    /// Holm, embedded, its log in memory
    HolmMemory,
    /// Holm, embedded, its links sealed, as `holm init` sets them up
    HolmSealed,
    /// Holm's binary over HTTP
    HolmHttp,
    /// openraft with a file log, embedded
    Openraft,
    /// openraft over a TCP connection a client
    OpenraftTcp,
    /// etcd over gRPC, a connection a client
    Etcd,
    /// Redis, one process, `appendfsync always`
    Redis,
}

/// Where clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clients {
    /// In the leader's process.
    InLeader,
    /// In a follower's process.
    InFollower,
    /// Outside, and speak so to the leader.
    Outside(Speech),
}

/// The programs that are run.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) own: PathBuf,
    pub(crate) holm: Option<PathBuf>,
    pub(crate) etcd: Option<PathBuf>,
    pub(crate) redis: Option<PathBuf>,
    /// The threads of the runtimes of the embedded members; 0: one, the current one.
    pub(crate) workers: usize,
}

/// What a member is started with.
pub(crate) struct Start<'a> {
    pub(crate) id: u64,
    pub(crate) dir: &'a Path,
    pub(crate) members: &'a [u16],
    pub(crate) clients: &'a [u16],
    pub(crate) no_snapshots: bool,
    pub(crate) again: bool,
}

impl Subject {
    pub(crate) const ALL: [Self; 10] = [
        Self::Floor,
        Self::Holm,
        Self::HolmSealed,
        Self::HolmFollower,
        Self::Openraft,
        Self::HolmHttp,
        Self::OpenraftTcp,
        Self::Etcd,
        Self::Redis,
        Self::HolmMemory,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Holm => "holm, embedded, leader",
            Self::HolmFollower => "holm, embedded, follower",
            Self::HolmMemory => "holm, embedded, in memory",
            Self::HolmSealed => "holm, embedded, sealed",
            Self::HolmHttp => "holm over HTTP",
            Self::Openraft => "openraft 0.10, embedded",
            Self::OpenraftTcp => "openraft 0.10 over TCP",
            Self::Etcd => "etcd over gRPC",
            Self::Redis => "Redis alone",
        }
    }

    pub(crate) const fn clients(self) -> Clients {
        match self {
            Self::Floor | Self::Holm | Self::HolmMemory | Self::HolmSealed | Self::Openraft => {
                Clients::InLeader
            }
            Self::HolmFollower => Clients::InFollower,
            Self::HolmHttp => Clients::Outside(Speech::Http),
            Self::OpenraftTcp => Clients::Outside(Speech::Frames),
            Self::Etcd => Clients::Outside(Speech::Grpc),
            Self::Redis => Clients::Outside(Speech::Resp),
        }
    }

    pub(crate) const fn members(self) -> u64 {
        if matches!(self, Self::Redis) { 1 } else { 3 }
    }

    pub(crate) const fn does(self, work: Work) -> bool {
        match work {
            Work::Put => true,
            Work::Add => !matches!(self, Self::Floor | Self::Etcd | Self::HolmSealed),
            Work::Read => !matches!(self, Self::Floor | Self::Redis),
        }
    }

    /// Why it can't be measured here, if it can't.
    pub(crate) fn missing(self, programs: &Programs) -> Option<&'static str> {
        match self {
            Self::HolmHttp if programs.holm.is_none() => Some("name the holm binary by --holm"),
            Self::Etcd if programs.etcd.is_none() => {
                Some("install etcd-server, or name the binary by ETCD")
            }
            Self::Redis if programs.redis.is_none() => {
                Some("install redis-server, or name the binary by REDIS_SERVER")
            }
            _ => None,
        }
    }

    /// Starts one member.
    pub(crate) fn command(self, programs: &Programs, start: &Start<'_>) -> Command {
        let at = usize::try_from(start.id - 1).unwrap_or(0);
        match self {
            Self::HolmHttp => holm_serve(programs, start, at),
            Self::Etcd => etcd(programs, start, at),
            Self::Redis => redis(programs, start, at),
            _ => self.own(programs, start, at),
        }
    }

    fn own(self, programs: &Programs, start: &Start<'_>, at: usize) -> Command {
        let kind = match self {
            Self::Floor => "floor",
            Self::Openraft | Self::OpenraftTcp => "openraft",
            _ => "holm",
        };
        let mut command = Command::new(&programs.own);
        let ports: Vec<String> = start.members.iter().map(ToString::to_string).collect();
        command.args(["member", kind, "--id", &start.id.to_string()]);
        command.args(["--ports", &ports.join(","), "--clients", &start.clients[at].to_string()]);
        command.arg("--dir").arg(start.dir);
        command.args(["--workers", &programs.workers.to_string()]);
        for (flag, is_on) in [
            ("--memory", self == Self::HolmMemory),
            ("--sealed", self == Self::HolmSealed),
            ("--no-snapshots", start.no_snapshots),
            ("--again", start.again),
        ] {
            if is_on {
                command.arg(flag);
            }
        }
        command
    }
}

fn holm_serve(programs: &Programs, start: &Start<'_>, at: usize) -> Command {
    let mut text = format!(
        "cluster = \"bench\"\nnode = {}\ndata_dir = \"data\"\ninsecure = true\n\
         listen = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:{}\"\n",
        start.id, start.members[at], start.clients[at]
    );
    if start.no_snapshots {
        text += "snapshot_entries = 1000000000\nsnapshot_log_bytes = 1099511627776\n";
    }
    text += "[[islands]]\nname = \"loopback\"\n";
    for (id, port) in (1..).zip(start.members) {
        text += &format!(
            "[[members]]\nid = {id}\nisland = \"loopback\"\naddress = \"127.0.0.1:{port}\"\n"
        );
    }
    let file = start.dir.join("holm.toml");
    // If it can't be written, holm says that it can't be read.
    let _ = std::fs::write(&file, text);
    let mut command = Command::new(programs.holm.as_deref().unwrap_or(Path::new("holm")));
    command.arg("serve").arg("--config").arg(file).arg("--stop-with-stdin");
    if !start.again {
        command.arg("--bootstrap");
    }
    command
}

fn etcd(programs: &Programs, start: &Start<'_>, at: usize) -> Command {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (peer, client) = (url(start.members[at]), url(start.clients[at]));
    let members: Vec<String> = (1..)
        .zip(start.members)
        .map(|(id, port): (u64, _)| format!("m{id}={}", url(*port)))
        .collect();
    let mut command = Command::new(programs.etcd.as_deref().unwrap_or(Path::new("etcd")));
    command.arg("--data-dir").arg(start.dir.join("data"));
    command.args(["--name", &format!("m{}", start.id), "--logger", "zap"]);
    command.args(["--log-level", "error", "--log-outputs", "stderr"]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--initial-cluster", &members.join(",")]);
    command.args(["--initial-cluster-state", "new", "--quota-backend-bytes", "8589934592"]);
    command
}

fn redis(programs: &Programs, start: &Start<'_>, at: usize) -> Command {
    let mut command = Command::new(programs.redis.as_deref().unwrap_or(Path::new("redis-server")));
    command.args(["--port", &start.clients[at].to_string(), "--bind", "127.0.0.1"]);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
    command.arg("--dir").arg(start.dir).args(["--loglevel", "warning"]);
    command
}
