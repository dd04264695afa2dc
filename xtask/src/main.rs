//! `cargo xtask …`: what is too long or too special for `cargo test`.

mod flakey;
mod lab;
mod wal;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Long or special runs.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fuzz each target in turn (needs a nightly toolchain and cargo-fuzz, which it installs).
    Fuzz {
        /// Only this target.
        target: Option<String>,
        /// How long for each target, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Run many seeds in both of the simulator's worlds.
    Campaign {
        /// How many seeds of the core's world; 0: leave it out.
        #[arg(long, default_value_t = 10_000)]
        core: u64,
        /// How many seeds of the node's world; 0: leave it out.
        #[arg(long, default_value_t = 1_000)]
        node: u64,
    },
    /// Explore the core exhaustively within larger bounds: minutes, and gigabytes.
    Exhaustive,
    /// Mutate the core's counting, progress, membership and snapshots, and fail if its tests do not
    /// notice one (half an hour; installs cargo-mutants).
    Mutants,
    /// Run other consensus crates' test data against the core, the same random inputs to both, and
    /// openraft's suite for logs against the log.
    Outside,
    /// Measure the core next to other consensus crates, in one run.
    Peers,
    /// Count the ticks from a partial partition to the next commit, with relaying and without, next
    /// to another core.
    Partitions,
    /// Count flushes, writes and bytes of durable appends at the block device (exit code 3 where
    /// it can't be counted).
    WalDevice {
        /// Which device: the one under this directory, by default the target folder.
        directory: Option<PathBuf>,
    },
    /// Run the log's format and simulated disk under Miri (exit code 3 where it is not installed).
    Miri,
    /// Cut the power of a device under the log (needs root and dm-flakey; else exit code 3).
    Flakey,
    /// Real processes on islands that are network namespaces, cut from each other (needs root and
    /// iproute2; else exit code 3).
    Lab(lab::LabArgs),
    /// Measure whole clusters, as processes on this machine, next to other crates and databases, in
    /// one run (a quarter of an hour).
    Cluster {
        /// Handed on to the bench: `--help` says what there is.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Mixed load over real processes with random kills, each key's history held against
    /// linearizability (code 1, and the operation that can't be explained, if one is not).
    Load {
        /// How long.
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// What operations and kills are drawn from; drawn itself if it is left out.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measure sealed sessions next to other sealed tokens, in one run; and tickets.
    SessionPeers,
    /// Measure the log next to other logs, in one run (several minutes, and 4 GiB of disk).
    LogPeers {
        /// Less of everything: half a minute, for a first look.
        #[arg(long)]
        quick: bool,
        /// Where the logs are put: its disk is measured. By default the target folder.
        directory: Option<PathBuf>,
    },
}

/// The fuzz targets; a test holds them against the folder.
const FUZZ_TARGETS: [&str; 10] = [
    "core_events",
    "core_forged",
    "node_points",
    "node_sessions",
    "transport_frames",
    "transport_handshake",
    "transport_records",
    "transport_session",
    "wal_operations",
    "wal_recovery",
];

/// A workspace of its own: ordinary builds do not compile the peers.
const PEERS: &str = "benches/peers/Cargo.toml";
/// The same.
const CLUSTER: &str = "benches/cluster/Cargo.toml";

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Fuzz { target, seconds } => fuzz(target.as_deref(), seconds),
        Task::Campaign { core, node } => campaign(core, node),
        Task::Exhaustive => exhaustive(),
        Task::Mutants => mutants(),
        Task::Outside => {
            run(cargo(&["test", "--release", "--workspace", "--manifest-path", PEERS]))
        }
        Task::Peers => run(cargo(&["run", "--release", "--manifest-path", PEERS])),
        Task::Partitions => {
            run(cargo(&["run", "--release", "--manifest-path", PEERS, "--bin", "partitions"]))
        }
        Task::WalDevice { directory } => return ended(wal::device(directory.as_deref())),
        Task::Miri => return ended(wal::miri()),
        Task::Flakey => return ended(flakey::flakey()),
        Task::Lab(args) => return ended(lab::lab(&args)),
        Task::Cluster { arguments } => cluster(&arguments),
        Task::Load { minutes, seed } => load(minutes, seed),
        Task::SessionPeers => {
            run(cargo(&["run", "--release", "--manifest-path", PEERS, "-p", "holm-session-peers"]))
        }
        Task::LogPeers { quick, directory } => {
            log_peers(quick.then_some("--quick"), directory.as_deref())
        }
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

fn ended(done: Result<ExitCode, String>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(only: Option<&str>, seconds: u64) -> Result<(), String> {
    if let Some(target) = only
        && !FUZZ_TARGETS.contains(&target)
    {
        return Err(format!("no target {target}; there are {}", FUZZ_TARGETS.join(", ")));
    }
    install("fuzz")?;
    let limit = format!("-max_total_time={seconds}");
    for target in FUZZ_TARGETS.into_iter().filter(|target| only.is_none_or(|only| only == *target))
    {
        // What is found goes to the first folder; the kept corpus is read only.
        let (found, kept) = (format!("target/fuzz/{target}"), format!("fuzz/corpus/{target}"));
        std::fs::create_dir_all(root().join(&found)).map_err(|e| format!("{found}: {e}"))?;
        run(cargo(&["+nightly", "fuzz", "run", target, &found, &kept, "--", &limit]))?;
    }
    Ok(())
}

fn exhaustive() -> Result<(), String> {
    let tests = ["test", "--release", "-p", "holm-raft-core", "--test", "exhaustive"];
    let mut command = cargo(&[&tests[..], &["--", "--nocapture", "--test-threads", "1"]].concat());
    command.env("HOLM_EXHAUSTIVE", "large");
    run(command)
}

/// What is mutated, and what may survive, stands in `.cargo/mutants.toml`. The quick tests find
/// most mutants, unoptimized; what they miss is tried again with the histories.
fn mutants() -> Result<(), String> {
    install("mutants")?;
    let found = root().join("target/mutants");
    if found.exists() {
        std::fs::remove_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    }
    std::fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    let common = ["mutants", "-p", "holm-raft-core", "-o", "target/mutants", "--timeout", "120"];
    let tests = ["--", "--lib", "--test", "scripts", "--test", "paper", "--", "--skip"];
    let mut quick = cargo(&[&common[..], &tests, &["fuzzing"]].concat());
    quick.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
    // It fails with 2 if some survive and with 3 if some ran too long: what else is no answer.
    run_but(quick, &[2, 3])?;
    run(cargo(&[&common[..], &["--iterate"], &tests, &["every_known_bug"]].concat()))
}

/// Installs `cargo NAME`, unless it is there.
fn install(name: &str) -> Result<(), String> {
    let installed = cargo(&[name, "--version"]).output().is_ok_and(|o| o.status.success());
    let package = format!("cargo-{name}");
    if installed { Ok(()) } else { run(cargo(&["install", "--locked", &package])) }
}

fn campaign(core: u64, node: u64) -> Result<(), String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    if core > 0 {
        let world = ["run", "--release", "-p", "holm-sim", "--", "sweep", "--world", "core"];
        let seeds = format!("0..{core}");
        run(cargo(&[&world[..], &["--seeds", &seeds, "--jobs", &jobs]].concat()))?;
    }
    if node > 0 {
        let seeds = format!("0..{node}");
        run(cargo(&["sim", "sweep", "--seeds", &seeds, "--jobs", &jobs]))?;
    }
    Ok(())
}

/// The bench runs Holm's binary, as it is shipped, beside what it embeds itself.
fn cluster(arguments: &[OsString]) -> Result<(), String> {
    run(cargo(&["build", "--release", "--locked", "-p", "holm"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let built = ["run", "--release", "--manifest-path", CLUSTER, "--", "run"];
    let mut command = cargo(&built);
    command.arg("--directory").arg(&target).arg("--holm").arg(target.join("release/holm"));
    command.args(arguments);
    run(command)
}

fn load(minutes: f64, seed: Option<u64>) -> Result<(), String> {
    run(cargo(&["build", "--release", "-p", "holm"]))?;
    let mut command = cargo(&["run", "--release", "-p", "holm-benches", "--example", "load", "--"]);
    command.arg("--minutes").arg(minutes.to_string());
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    run(command)
}

fn log_peers(effort: Option<&str>, directory: Option<&Path>) -> Result<(), String> {
    let run_it = ["run", "--release", "--manifest-path", PEERS, "-p", "holm-log-peers", "--"];
    let mut command = cargo(&run_it);
    command.args(effort);
    if let Some(directory) = directory {
        let absolute = std::path::absolute(directory);
        command.arg(absolute.map_err(|error| format!("{}: {error}", directory.display()))?);
    }
    run(command)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace")
}

/// `cargo` as rustup's proxy, so that `+nightly` works, in the workspace.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    command
}

fn run(command: Command) -> Result<(), String> {
    run_but(command, &[])
}

/// Runs it; it may also end with one of these codes.
fn run_but(mut command: Command, codes: &[i32]) -> Result<(), String> {
    eprintln!("xtask: {command:?}");
    let status = command.status().map_err(|error| format!("{command:?} did not start: {error}"))?;
    let borne = status.code().is_some_and(|code| codes.contains(&code));
    if status.success() || borne { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

/// Runs it to its end; what it printed.
fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|error| format!("{program} did not start: {error}"))?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{program} {}: {why}", arguments.join(" ")));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fuzz_target_in_the_folder_is_run() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/fuzz_targets");
        let files = std::fs::read_dir(folder).unwrap();
        let name =
            |file: std::fs::DirEntry| file.path().file_stem().unwrap().to_str().unwrap().to_owned();
        let mut found: Vec<String> = files.map(|file| name(file.unwrap())).collect();
        found.sort();
        assert_eq!(found, FUZZ_TARGETS);
    }
}
