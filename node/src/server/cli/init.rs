//! `holm init`: writes the files of a new cluster.

use super::{FAILED, USAGE, failed, print};
use crate::server::HTTP_PORT;
use crate::server::file::{check_cluster, read};
use crate::server::setup::{Serves, Setup, sync_folder};
use crate::topology::{FileError, Island, MEMBER_PORT, Member, Topology, with_port};
use clap::{ArgGroup, Args};
use std::fmt::Write as _;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The most members on loopback ports: the next port is that of HTTP.
const LOOPBACK_MEMBERS_MAX: u64 = 79;

pub(super) const EXAMPLES: &str = "\
Examples:
  holm init --members 3 --dir harbour
  holm init --cluster harbour --dir harbour --address 10.0.0.1 --address 10.0.0.2 --address 10.0.0.3
  holm init --topology islands.toml --dir harbour";

#[derive(Args)]
#[command(group(
    ArgGroup::new("who").required(true).multiple(true).args(["members", "address", "topology"])
))]
pub(super) struct InitArgs {
    /// The directory to make; an empty one may be there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How many members: on this machine, unless their addresses are given
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "topology",
        value_parser = clap::value_parser!(u64).range(1..=LOOPBACK_MEMBERS_MAX)
    )]
    members: Option<u64>,
    /// Where a member accepts the others; once for each [port 7600 if none is given]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "topology", value_parser = address)]
    address: Vec<String>,
    /// Take islands, members and links from this topology file, which has no keys yet
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "holm")]
    cluster: String,
}

/// Why nothing was written.
enum Refused {
    Usage(FileError),
    System(String),
}

pub(super) fn run(args: &InitArgs) -> ExitCode {
    match init(args) {
        Ok(told) => match print(told.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(FAILED, &error),
        },
        Err(Refused::Usage(error)) => failed(USAGE, &error),
        Err(Refused::System(error)) => failed(FAILED, &error),
    }
}

/// Writes beside the directory, and renames: whatever interrupts it, the directory is whole or not
/// there.
fn init(args: &InitArgs) -> Result<String, Refused> {
    check_cluster(&args.cluster).map_err(Refused::Usage)?;
    let topology = topology(args).map_err(Refused::Usage)?;
    let dir = &args.dir;
    check_dir(dir).map_err(Refused::Usage)?;
    let unwritten =
        |error: io::Error| Refused::System(format!("{} can't be made: {error}", dir.display()));
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let setup = Setup::sealed(&args.cluster, topology).map_err(unwritten)?;
    let beside = tempfile::Builder::new()
        .prefix(".holm-init-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent);
    let beside = beside.map_err(unwritten)?;
    let serves = |member: &Member| Serves {
        listen: member.address.clone(),
        http: http(setup.topology(), member),
    };
    setup.write(beside.path(), serves, "").map_err(unwritten)?;
    // Over an empty directory alone.
    std::fs::rename(beside.path(), dir).map_err(unwritten)?;
    let _renamed = beside.keep();
    sync_folder(parent).map_err(unwritten)?;
    Ok(told(&setup, dir, &args.cluster))
}

fn topology(args: &InitArgs) -> Result<Topology, FileError> {
    if let Some(path) = &args.topology {
        let in_file = |error: FileError| error.in_file(path);
        let topology = Topology::parse(&read(path)?).map_err(in_file)?;
        if let Some(member) = topology.members.iter().find(|member| member.key.is_some()) {
            let key = format!("members {}: key", member.id);
            let mend = "remove the keys: holm init draws new ones";
            return Err(in_file(FileError::new(key, "is there already", mend)));
        }
        return Ok(topology);
    }
    let count = u64::try_from(args.address.len()).unwrap_or(u64::MAX);
    if let Some(members) = args.members
        && count > 0
        && count != members
    {
        let problem = format!("{count} are given for {members} members");
        return Err(FileError::new("--address", problem, "give each member its own"));
    }
    let loopback = |id| format!("127.0.0.1:{}", u64::from(MEMBER_PORT) + id);
    let addresses = match args.members {
        Some(members) if count == 0 => (1..=members).map(loopback).collect(),
        _ => args.address.clone(),
    };
    let island = "here";
    let member = |(id, address)| Member::new(id, island, Some(address));
    let members = (1..).zip(addresses).map(member).collect();
    let islands = vec![Island { name: island.into() }];
    let topology = Topology { islands, members, links: Vec::new() };
    topology.check().map(|()| topology)
}

fn check_dir(dir: &Path) -> Result<(), FileError> {
    let refused = |problem: &str, mend: &str| {
        Err(FileError::new("--dir", format!("{} {problem}", dir.display()), mend))
    };
    let Ok(real) = dir.canonicalize() else { return Ok(()) };
    let there = std::fs::read_dir(dir).map(|mut entries| entries.next().is_some());
    match there {
        Ok(true) => refused("is not empty", "name one that is not there yet"),
        Ok(false) if std::env::current_dir().is_ok_and(|current| current == real) => {
            refused("is where this command runs", "name one that is not there yet")
        }
        Ok(false) => Ok(()),
        Err(_) => refused("is not a directory", "name one that is not there yet"),
    }
}

/// On loopback, because HTTP is not sealed; a port of its own where members share a machine.
fn http(topology: &Topology, member: &Member) -> String {
    let host = |member: &Member| {
        let address = member.address.as_deref().unwrap_or_default();
        address.rsplit_once(':').map(|(host, _)| host.to_owned())
    };
    let own = host(member);
    let shared = topology.members.iter().filter(|other| host(other) == own).count() > 1;
    let port = match u16::try_from(u64::from(HTTP_PORT).saturating_add(member.id)) {
        Ok(port) if shared && own.is_some() => port,
        _ => HTTP_PORT,
    };
    format!("127.0.0.1:{port}")
}

fn told(setup: &Setup, dir: &Path, cluster: &str) -> String {
    let ids = || setup.topology().members.iter().map(|member| member.id);
    let (shown, count) = (dir.display(), ids().count());
    let mut text = format!(
        "{shown} holds cluster {cluster}: its topology, and for each of {count} members a\n\
         configuration, its private key, and the secret that all of them share.\n\n\
         To form the cluster, start each member once with --bootstrap, and without it from then \
         on:\n"
    );
    for id in ids() {
        let config = Setup::config_of(dir, id);
        let config = config.display();
        writeln!(text, "    holm serve --bootstrap --config {config}").expect("a String grows");
    }
    text.push_str(
        "A member on a machine of its own gets topology.toml and its own folder there, side by \
         side\n(for member 1: topology.toml and node1/), by a way that nobody else reads. Then \
         remove them here.\n",
    );
    text
}

fn address(text: &str) -> Result<String, String> {
    let address = with_port(text, MEMBER_PORT)?;
    if address.ends_with(":0") {
        return Err("port 0 can't be dialled; name the port the member listens on".into());
    }
    Ok(address)
}
