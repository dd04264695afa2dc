//! The lab: the members of a topology file as real `holm` processes, each in a network namespace of
//! its own, on islands between which only those may dial whom the file lets. It cuts islands from
//! each other, and looks whether the members find each other through others and go on. It needs
//! root and iproute2, and says so where it can't be run. Whatever ends it, what it made is removed.

mod checks;
mod guard;
mod map;
mod members;
mod network;
mod partitions;

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
    /// Instead: the four partial partitions, with members that relay and with members that don't
    #[arg(long, conflicts_with_all = ["topology", "hold"])]
    partitions: bool,
    /// How late everything arrives that leaves an island, in milliseconds (needs netem)
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u32,
    /// How much of what leaves an island is lost (needs netem)
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=100))]
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
    let program = built()?;
    let quality = Quality { delay_ms: args.delay_ms, loss_percent: args.loss_percent };
    let spaces = format!("holm-lab-{}-", std::process::id());
    if let Some(why) = lacks(&spaces, quality)? {
        return Ok(not_run("lab", &why));
    }
    if args.partitions {
        partitions::run(|name, topology| {
            let spaces = format!("{spaces}{name}-");
            let file = folder(&spaces)?.with_extension("toml");
            std::fs::write(&file, topology).map_err(|e| format!("{}: {e}", file.display()))?;
            let lab = Lab::up(&program, &file, &spaces, quality);
            std::fs::remove_file(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            lab
        })?;
    } else {
        let topology = args.topology.clone().unwrap_or_else(|| root().join(OWN));
        let mut lab = Lab::up(&program, &topology, &spaces, quality)?;
        lab.tell(&spaces, quality);
        if args.hold {
            return hold(&lab.map, &lab.network, &program);
        }
        let done = Checks::of(&lab.map, &mut lab.network, &lab.members).run();
        done.map_err(|error| format!("{error}\n{}", lab.members.logs()))?;
    }
    let left = output("ip", &["netns", "list"])?;
    if left.lines().any(|space| space.starts_with(&spaces)) {
        return Err(format!("something is left of {spaces}…: {left}"));
    }
    println!("ok   taken down");
    Ok(ExitCode::SUCCESS)
}

/// The `holm` beside this xtask, built.
fn built() -> Result<PathBuf, String> {
    let xtask = std::env::current_exe().map_err(|error| format!("xtask: {error}"))?;
    let mut command = cargo(&["build", "--quiet", "-p", "holm", "--bin", "holm"]);
    if xtask.parent().is_some_and(|folder| folder.ends_with("release")) {
        command.arg("--release");
    }
    run(command)?;
    Ok(xtask.with_file_name("holm"))
}

/// Where the members of these namespaces have their files; only the folder above is made.
fn folder(spaces: &str) -> Result<PathBuf, String> {
    let labs = root().join("target/lab");
    std::fs::create_dir_all(&labs).map_err(|error| format!("{}: {error}", labs.display()))?;
    Ok(labs.join(spaces.trim_end_matches('-')))
}

/// What the kernel lacks for a lab of this quality.
fn lacks(spaces: &str, quality: Quality) -> Result<Option<String>, String> {
    let spaces = format!("{spaces}probe-");
    let _guard = Guard::over(&spaces, &folder(&spaces)?)?;
    let network = Network::new(&spaces);
    if let Err(why) = network.open() {
        return Ok(Some(format!("this kernel makes no network namespace here ({why})")));
    }
    let netem = quality == Quality::default() || network.has_netem();
    Ok((!netem).then(|| "this kernel has no netem: nothing can be made late or lossy".into()))
}

/// Members that run, and what is around them. The guard goes last, and takes all else with it.
struct Lab {
    members: Members,
    network: Network,
    map: Map,
    _guard: Guard,
}

impl Lab {
    /// The members of a topology file, in namespaces whose names begin so.
    fn up(program: &Path, topology: &Path, spaces: &str, quality: Quality) -> Result<Self, String> {
        let folder = folder(spaces)?;
        let mut guard = Guard::over(spaces, &folder)?;
        let network = Network::new(spaces);
        let map = init(program, topology, &folder)?;
        network.open()?;
        network.build(&map, quality)?;
        let members = Members::start(program, &folder, (&map, &network), &mut guard)?;
        Ok(Self { members, network, map, _guard: guard })
    }

    fn tell(&self, spaces: &str, quality: Quality) {
        let (members, islands) = (self.map.members.len(), self.map.islands.len());
        println!("lab  {members} members on {islands} islands, in the namespaces {spaces}…");
        let fence = match self.network.fence() {
            Fence::Nft => "nftables",
            Fence::Routing => "rules of routing: nft is not installed",
        };
        println!("     who may not dial is kept from it by {fence}");
        if quality == Quality::default() {
            println!("     ways between islands are as fast and good as the machine's");
        } else {
            let Quality { delay_ms, loss_percent } = quality;
            println!("     what leaves an island is {delay_ms} ms late, {loss_percent}% are lost");
        }
    }
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
