//! The measurements, which only a build with `--cfg madsim` can run.

use holm_benches::plot::{Titles, line};
use holm_sim::node_world::happening::Happening;
use holm_sim::node_world::plan::{Place, Plan, Settings};
use holm_sim::node_world::{replay, run};
use holm_sim::{Mode, Random, Tracing};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::path::Path;
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MEMBERS: [u64; 7] = [3, 5, 7, 11, 15, 31, 51];
const ROUNDS: usize = 3;
/// How many simulated microseconds have clients and faults, with up to `FEW` members. Larger
/// clusters, whose seconds cost more, have less.
const END: u64 = 10_000_000;
const FEW: u64 = 15;
/// How many seeds are swept in a round.
const SEEDS: u32 = 60;

/// Whether anything fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Under {
    Load,
    Faults,
}

pub(crate) fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--memory") {
        let members = arguments.get(at + 1).ok_or("--memory MEMBERS")?.parse()?;
        return memory(members);
    }
    let given: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let seeds_alone = arguments.iter().any(|argument| argument == "seeds");
    println!("node world, one run at a time, all checkers on; medians of {ROUNDS} rounds\n");
    if !seeds_alone {
        by_members(if given.is_empty() { &MEMBERS } else { &given })?;
    }
    if given.is_empty() {
        let rates = (0..ROUNDS).map(|_| sweep()).collect::<Result<Vec<f64>>>()?;
        println!("seeds 0..{SEEDS}, as drawn: {:.0} seeds a minute", median(rates));
    }
    Ok(())
}

fn by_members(all: &[u64]) -> Result<()> {
    let mut rates = vec![(Vec::new(), Vec::new()); all.len()];
    for _ in 0..ROUNDS {
        for (members, (load, faults)) in all.iter().zip(&mut rates) {
            load.push(simulated(*members, Under::Load)?);
            faults.push(simulated(*members, Under::Faults)?);
        }
    }
    println!("{:>8} {:>12} {:>12} {:>16}", "members", "load: s/s", "faults: s/s", "bytes a member");
    let mut points = Vec::new();
    for (members, (load, faults)) in all.iter().zip(rates) {
        let (load, faults, bytes) = (median(load), median(faults), bytes_a_member(*members)?);
        println!("{members:>8} {load:>12.1} {faults:>12.1} {bytes:>16.0}");
        points.push((number(*members), faults));
    }
    let titles = Titles { up: "simulated seconds a second, under faults", right: "members" };
    let plot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim_node.svg");
    std::fs::write(&plot, line(titles, &points))?;
    println!("\nplot: {}\n", plot.display());
    Ok(())
}

/// One island with sealed links and the node's own defaults, and six clients that ask for something
/// each 20 ms or so; with faults, each second somebody loses power, is cut off, or has a disk that
/// hangs.
fn plan(members: u64, under: Under) -> Plan {
    let mut random = Random::new(members, 9);
    let end = END * FEW / members.max(FEW);
    let settings = Settings {
        seed: members,
        members,
        snapshot_entries: 1_000,
        snapshot_chunk_bytes: 1 << 16,
        segment_bytes: 1 << 20,
        faults_end: end,
        ..Settings::default()
    };
    let mut happenings = Vec::new();
    for time in (1_000_000..end).step_by(1_000_000) {
        if under == Under::Load {
            break;
        }
        let (member, lasting) = (random.between(1, members), random.between(50_000, 500_000));
        let fault = match random.below(3) {
            0 => Happening::PowerCut { member, lasting },
            1 => Happening::Isolate { member, lasting },
            _ => Happening::Stall { member, lasting },
        };
        happenings.push((time, fault));
    }
    for client in 1..=6 {
        let mut time = 0;
        while time < end {
            let (key, at) = (random.below(settings.keys), random.between(1, members));
            let value = random.between(1, 99);
            let operation = match random.below(3) {
                0 => Happening::Read { client, key, at },
                _ if key < settings.keys / 2 => Happening::AddTo { client, key, value, at },
                _ => Happening::Put { client, key, value, at },
            };
            happenings.push((time, operation));
            time += random.between(4_000, 36_000);
        }
    }
    happenings.sort();
    let place = Place { island: 1, listens: 1, relays: 1, rate: 1_000_000, ahead: 0 };
    let places = (0..members).map(|_| place).collect();
    Plan { settings, places, closed: Vec::new(), qualities: Vec::new(), happenings }
}

/// Simulated seconds for each second of processor time.
fn simulated(members: u64, under: Under) -> Result<f64> {
    let plan = plan(members, under);
    let before = processor();
    let outcome = replay(plan, Tracing::Off);
    let took = processor() - before;
    match outcome.violation {
        Some(violation) => Err(format!("{members} members: {violation}").into()),
        None => Ok(number(outcome.micros) / 1e6 / took),
    }
}

/// Seeds a minute of what a sweep runs.
fn sweep() -> Result<f64> {
    let before = processor();
    for seed in 0..u64::from(SEEDS) {
        if let Some(violation) = run(seed, Mode::Within, Tracing::Off).violation {
            return Err(format!("seed {seed}: {violation}").into());
        }
    }
    Ok(f64::from(SEEDS) * 60.0 / (processor() - before))
}

/// Seconds of processor time that this process has used, all of its threads together.
fn processor() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // Exact up to 2^53 seconds.
    #[expect(clippy::cast_precision_loss, reason = "a process does not run that long")]
    let seconds = (time.tv_sec as f64, time.tv_nsec as f64);
    seconds.0 + seconds.1 / 1e9
}

/// What another process took for a cluster of so many, by member.
fn bytes_a_member(members: u64) -> Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["--memory", &members.to_string()]).output()?;
    let printed = String::from_utf8(output.stdout)?;
    Ok(printed.trim().parse::<f64>()? / number(members))
}

/// Runs a cluster, and prints how many bytes more the process had at most than before.
fn memory(members: u64) -> Result<()> {
    let kib = |key: &str| -> Result<u64> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find(|line| line.starts_with(key)).ok_or("no such line")?;
        Ok(line.split_whitespace().nth(1).ok_or("no value")?.parse()?)
    };
    let before = kib("VmRSS:")?;
    simulated(members, Under::Load)?;
    println!("{}", (kib("VmHWM:")? - before) * 1_024);
    Ok(())
}

fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
