//! Mixed load over real processes with random kills (`cargo xtask load`): clients add, put, delete
//! and read over HTTP, at any member, while members are killed and frozen; what each client saw is
//! recorded, and afterwards each key's history is held against linearizability. Exit code 1 with
//! the operation that can't be explained.

mod clients;
mod nemesis;
mod random;
mod verdict;

use clap::Parser;
use clients::{Clients, Seen};
use holm::server::cluster::Cluster;
use random::Random;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const MEMBERS: usize = 3;
/// When something that must happen counts as not happening: long, for a machine that does much else
/// meanwhile is not what is tested.
pub(crate) const STUCK: Duration = Duration::from_secs(300);
/// So that logs are compacted, and snapshots are sent, all the time.
const SETTINGS: &str = "snapshot_entries = 2000\nidempotency_retention_s = 60";
const REPORT_PAUSE: Duration = Duration::from_secs(10);

/// Mixed load over real processes with random kills, and a linearizability check
#[derive(Parser)]
struct Args {
    /// How long
    #[arg(long, default_value_t = 10.0, value_parser = minutes)]
    minutes: f64,
    /// How many clients ask at once
    #[arg(long, default_value_t = 24)]
    clients: u64,
    /// What operations and kills are drawn from; drawn itself if it is left out
    #[arg(long)]
    seed: Option<u64>,
    /// The `holm` binary [beside this program, as cargo puts it]
    #[arg(long)]
    program: Option<PathBuf>,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.01..=1440.0).contains(&minutes) => Ok(minutes),
        _ => Err("give minutes from 0.01 to 1440".into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<ExitCode, String> {
    let program = args.program.clone().map_or_else(beside, Ok)?;
    let seed = args.seed.map_or_else(drawn, Ok)?;
    let long = Duration::from_secs_f64(args.minutes * 60.0);
    let told = |error: holm::server::cluster::ClusterError| error.to_string();
    let mut cluster = Cluster::start(&program, MEMBERS, SETTINGS, STUCK).await.map_err(told)?;
    println!("{MEMBERS} members, {} clients, {} s, seed {seed}", args.clients, long.as_secs());
    let (begun, mut random) = (Instant::now(), Random::new(seed));
    let clients = Clients::start(&cluster.endpoints(), args.clients, &mut random);
    let mut nemesis = nemesis::Nemesis::default();
    let mut reported = Instant::now();
    while begun.elapsed() < long {
        nemesis.strike(&mut cluster, &mut random).await.map_err(told)?;
        clients.check()?;
        if reported.elapsed() > REPORT_PAUSE {
            reported = Instant::now();
            eprintln!("{} s: {nemesis}, {}", begun.elapsed().as_secs(), clients.counts());
        }
    }
    let seen = clients.stop().await?;
    let end = cluster.leader(STUCK).await.map_err(told);
    end.map_err(|error| format!("no leader after the last kill: {error}"))?;
    println!("{nemesis}, in {} s", begun.elapsed().as_secs());
    Ok(judged(&seen))
}

fn judged(seen: &Seen) -> ExitCode {
    let verdict = verdict::of(seen);
    println!("{verdict}");
    if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Cargo puts examples into a folder beside the binaries.
fn beside() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("the own program: {error}"))?;
    let folder = own.parent().and_then(|folder| folder.parent());
    let program = folder.map(|folder| folder.join("holm"));
    program.filter(|program| program.exists()).ok_or_else(|| {
        "there is no `holm` beside this program; build it (cargo build --release -p holm), or say \
         --program"
            .into()
    })
}

fn drawn() -> Result<u64, String> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| format!("a seed can't be drawn: {error}"))?;
    Ok(u32::from_le_bytes(bytes).into())
}
