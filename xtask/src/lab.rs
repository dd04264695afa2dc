//! The lab: the members of a topology file as real `holm` processes, each in a network namespace of
//! its own, on islands between which only those may dial whom the file lets. It cuts islands from
//! each other, and looks whether the members find each other through others and go on. It needs
//! root and iproute2, and says so where it can't be run. Whatever ends it, what it made is removed.

mod checks;
mod guard;
mod map;
mod members;
mod network;

use crate::wal::not_run;
use crate::{cargo, output, root, run};
use checks::Checks;
use clap::Args;
use guard::Guard;
use map::Map;
use members::Members;
use network::{Fence, Network, Quality};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The topology that is used if none is given.
const OWN: &str = "xtask/src/lab/lab.toml";

#[derive(Args)]
pub(crate) struct LabArgs {
    /// The topology, without keys; addresses are IPv4. By default five members on three islands
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Build it, say how to look at it, and leave it until Ctrl-C; check nothing
    #[arg(long)]
    hold: bool,
    /// How late everything arrives that leaves an island, in milliseconds (needs netem)
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u32,
    /// How much of what leaves an island is lost (needs netem)
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    loss_percent: u8,
}

/// Runs it where this is root and there is what it needs.
pub(crate) fn lab(args: &LabArgs) -> Result<ExitCode, String> {
    if output("id", &["-u"])? != "0" {
        return Ok(not_run("lab", "network namespaces are made by root only"));
    }
    if let Err(why) = output("ip", &["-V"]).and_then(|_| output("tc", &["-V"])) {
        return Ok(not_run("lab", &format!("iproute2 is not installed ({why})")));
    }
    run(cargo(&["build", "--quiet", "-p", "holm", "--bin", "holm"]))?;
    let program = std::env::current_exe().map_err(|error| format!("xtask: {error}"))?;
    let program = program.with_file_name("holm");

    let spaces = format!("holm-lab-{}-", std::process::id());
    let folder = std::env::temp_dir().join(spaces.trim_end_matches('-'));
    let mut guard = Guard::over(&spaces, &folder)?;
    let mut network = Network::new(&spaces);
    if let Err(why) = network.open() {
        return Ok(not_run("lab", &format!("this kernel makes no network namespace here ({why})")));
    }
    let quality = Quality { delay_ms: args.delay_ms, loss_percent: args.loss_percent };
    let asked = quality != Quality::default();
    if asked && !network.has_netem() {
        return Ok(not_run("lab", "this kernel has no netem: nothing can be made late or lossy"));
    }
    let own = root().join(OWN);
    let map = init(&program, args.topology.as_deref().unwrap_or(&own), &folder)?;
    network.build(&map, quality)?;
    println!(
        "lab  {} members on {} islands, in the namespaces {spaces}…",
        map.members.len(),
        map.islands.len()
    );
    println!(
        "     who may not dial is kept from it by {}",
        match network.fence() {
            Fence::Nft => "nftables",
            Fence::Routing => "rules of routing: nft is not installed",
        }
    );
    println!(
        "     ways between islands: {}",
        match asked {
            true => format!("{} ms late, {}% lost", args.delay_ms, args.loss_percent),
            false => "as fast and good as the machine's".into(),
        }
    );
    let members = Members::start(&program, &folder, (&map, &network), &mut guard)?;
    if args.hold {
        return hold(&map, &network, &program);
    }
    let done = Checks::of(&map, &mut network, &members).run();
    done.map_err(|error| format!("{error}\n{}", members.logs()))?;
    drop(guard);
    let left = output("ip", &["netns", "list"])?;
    if left.lines().any(|space| space.starts_with(&spaces)) {
        return Err(format!("something is left of {spaces}…: {left}"));
    }
    println!("ok   taken down");
    Ok(ExitCode::SUCCESS)
}

/// The map of a topology, with keys and a configuration for each member in the folder.
fn init(program: &Path, topology: &Path, folder: &Path) -> Result<Map, String> {
    let mut command = Command::new(program);
    command.args(["init", "--cluster", "lab", "--topology"]).arg(topology);
    command.arg("--dir").arg(folder);
    let done = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).trim().to_owned());
    }
    Map::read(&folder.join("topology.toml"))
}

/// Says how to look at the lab, and stays until it is ended by a signal.
fn hold(map: &Map, network: &Network, program: &Path) -> Result<ExitCode, String> {
    println!("     Ctrl-C takes it down. Meanwhile, for example:");
    for member in &map.members {
        let space = network.member(member.id);
        println!(
            "     ip netns exec {space} {} status   # on {}",
            program.display(),
            member.island
        );
    }
    println!("     {}", network.how_to_cut(map));
    loop {
        std::thread::park();
    }
}
