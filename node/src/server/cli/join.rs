//! `holm join`: asks a cluster to be admitted with a ticket, and writes what `holm serve` needs
//! from then on into a folder. What is there from an attempt that broke off is used again.

use super::{duration, print};
use crate::config::{Config, Storage};
use crate::edges::Edges;
use crate::join::{JoinTicket, join};
use crate::security::Security;
use crate::server::HTTP_PORT;
use crate::server::file::secrets;
use crate::server::setup::{key_pair, key_text, sync_folder, topology_text, write};
use crate::topology::{Island, MEMBER_PORT, Member, Topology, with_port};
use clap::Args;
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const EXAMPLES: &str = "\
Examples:
  holm members invite                                        (on the cluster; prints the ticket)
  holm join --ticket harbour/4/60rk-… --member 10.0.0.1 --secret-file secrets \\
      --address 10.0.0.4 --dir /etc/holm/node4
  holm serve --config /etc/holm/node4/holm.toml";

#[derive(Args)]
pub(super) struct JoinArgs {
    /// The ticket, as `holm members invite` printed it
    #[arg(long, env = "HOLM_JOIN_TICKET", hide_env_values = true, value_name = "TICKET")]
    ticket: JoinTicket,
    /// Where a member accepts others; several are asked in turn [port 7600 if none is given]
    #[arg(long, required = true, value_name = "HOST:PORT", value_delimiter = ',',
          value_parser = member_port)]
    member: Vec<String>,
    /// The file of the secrets that all members share
    #[arg(long, value_name = "FILE", required_unless_present = "insecure")]
    secret_file: Option<PathBuf>,
    /// The cluster's links are not sealed
    #[arg(long, conflicts_with = "secret_file")]
    insecure: bool,
    /// The folder for the configuration, the key and the data; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where the others reach this member [it only dials; port 7600 if none is given]
    #[arg(long, value_name = "HOST:PORT", value_parser = member_port)]
    address: Option<String>,
    /// Where it listens, if that is elsewhere than its address
    #[arg(long, value_name = "HOST:PORT", value_parser = member_port, requires = "address")]
    listen: Option<String>,
    /// Where it serves HTTP [port 7680 if none is given]
    #[arg(long, value_name = "HOST:PORT", value_parser = http_port,
          default_value = "127.0.0.1:7680")]
    http: String,
    /// Its island [that of the member that is asked]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    island: String,
    /// It passes nothing on for others
    #[arg(long)]
    no_relay: bool,
    /// It keeps nothing on disk: each restart is another incarnation
    #[arg(long)]
    memory: bool,
    /// How long to try, such as 10s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    timeout: Duration,
}

fn member_port(text: &str) -> Result<String, String> {
    with_port(text, MEMBER_PORT)
}

fn http_port(text: &str) -> Result<String, String> {
    with_port(text, HTTP_PORT)
}

/// Runs `holm join`.
pub(super) async fn run(args: &JoinArgs) -> Result<(), String> {
    let config_at = args.dir.join("holm.toml");
    let start = format!("start it: holm serve --config {}", config_at.display());
    if config_at.exists() {
        return Err(format!("{} is there: this member has joined; {start}", config_at.display()));
    }
    let security = prepare(args)?;
    let mut own = Member::new(args.ticket.node, &args.island, args.address.clone());
    own.relay = !args.no_relay;
    if let Security::Sealed { pair, .. } = &security {
        own.key = Some(pair.public());
    }
    let islands = vec![Island { name: args.island.clone() }];
    let topology = Topology { islands, members: vec![own], links: Vec::new() };
    let (cluster, node) = (args.ticket.cluster.clone(), args.ticket.node);
    let mut config = Config::new(cluster, node, topology, security);
    let edges = if args.memory {
        Edges::in_memory()
    } else {
        let data = args.dir.join("data");
        config.storage = Storage::Disk(data.clone());
        Edges::in_directory(&data).map_err(|error| error.to_string())?
    };
    let joined = join(&mut config, &edges, &args.ticket, &args.member, args.timeout).await;
    joined.map_err(|error| error.to_string())?;
    let written = write(&args.dir.join("topology.toml"), &topology_text(&config.topology));
    let written = written.and_then(|()| write(&config_at, &config_text(args)));
    written.and_then(|()| sync_folder(&args.dir)).map_err(|error| unwritten(&args.dir, &error))?;
    let cluster = &args.ticket.cluster;
    print(format!("member {node} was admitted to cluster {cluster}; {start}\n").as_bytes())
}

/// The folder with the member's key and the secrets, as they are or made now.
fn prepare(args: &JoinArgs) -> Result<Security, String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&args.dir);
    made.map_err(|error| unwritten(&args.dir, &error))?;
    let Some(secret_file) = &args.secret_file else { return Ok(Security::Insecure) };
    let (key, kept) = (args.dir.join("member.key"), args.dir.join("secrets"));
    if !key.exists() {
        let pair = key_pair().map_err(|error| format!("no key can be drawn: {error}"))?;
        let of = format!("# The private key of member {}, for it alone.\n", args.ticket.node);
        write(&key, &key_text(&of, &pair)).map_err(|error| unwritten(&key, &error))?;
    }
    if !kept.exists() {
        let mend = "name the file of the secrets that all members share";
        let text = secrets::read("--secret-file", secret_file, mend);
        let text = text.map_err(|error| error.to_string())?;
        write(&kept, &text).map_err(|error| unwritten(&kept, &error))?;
    }
    secrets::security(&kept, &key).map_err(|error| error.to_string())
}

fn unwritten(path: &Path, error: &std::io::Error) -> String {
    format!("{} can't be written: {error}; mend that, and join again", path.display())
}

fn config_text(args: &JoinArgs) -> String {
    let quoted = |text: &str| toml::Value::String(text.into());
    let JoinTicket { cluster, node, .. } = &args.ticket;
    let mut text = format!("# Member {node}. The paths are relative to this file.\n");
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all");
    line(format!("cluster = {}\nnode = {node}\ntopology = \"topology.toml\"", quoted(cluster)));
    line(if args.insecure {
        "insecure = true".into()
    } else {
        "secrets = \"secrets\"\nkey = \"member.key\"".into()
    });
    line(if args.memory { "storage = \"memory\"" } else { "data_dir = \"data\"" }.into());
    if let Some(listen) = args.listen.as_ref().or(args.address.as_ref()) {
        line(format!("listen = {}", quoted(listen)));
    }
    line(format!("http = {}", quoted(&args.http)));
    text
}
