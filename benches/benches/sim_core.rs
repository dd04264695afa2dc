//! How quick the simulator's core world is, with all its checkers on: events a second of one core
//! by the number of members, seeds a minute as a sweep runs them, and how much memory a member
//! takes. Medians of rounds in which all numbers of members take turns; one thread, and its own
//! processor time.
//!
//! `cargo bench -p holm-benches --bench sim_core`: also draws the first as a plot, into the target
//! folder. `--memory MEMBERS` prints what a process that ran one cluster took at most; the bench
//! runs itself like that.
#![forbid(unsafe_code)]

#[path = "core_proposals/stopwatch.rs"]
mod stopwatch;

use holm_benches::plot::{Titles, line};
use holm_sim::core_world::happening::Happening;
use holm_sim::core_world::plan::{Link, Plan, Settings};
use holm_sim::core_world::random::Random;
use holm_sim::core_world::{Mode, Tracing, replay, run};
use std::error::Error;
use std::path::Path;
use std::process::Command;
use stopwatch::Stopwatch;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MEMBERS: [u64; 9] = [3, 5, 7, 11, 15, 21, 31, 41, 51];
const ROUNDS: usize = 5;
/// How many simulated microseconds have faults.
const FAULTS_END: u64 = 10_000_000;
/// How many seeds are swept in a round.
const SEEDS: u32 = 400;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--memory") {
        let members = arguments.get(at + 1).ok_or("--memory MEMBERS")?.parse()?;
        return memory(members);
    }
    println!("core world, one thread, all checkers on; medians of {ROUNDS} rounds\n");
    let mut rates = vec![Vec::new(); MEMBERS.len()];
    let mut sweeps = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (nth, members) in MEMBERS.into_iter().enumerate() {
            rates[nth].push(events_a_second(members)?);
        }
        let (events, seeds) = sweep()?;
        sweeps.0.push(events);
        sweeps.1.push(seeds);
    }
    println!("{:>8} {:>12} {:>16}", "members", "events/s", "bytes a member");
    let mut points = Vec::new();
    for (members, rates) in MEMBERS.into_iter().zip(rates) {
        let (rate, bytes) = (median(rates), bytes_a_member(members)?);
        println!("{members:>8} {rate:>12.0} {bytes:>16.0}");
        points.push((number(members), rate));
    }
    let (events, seeds) = (median(sweeps.0), median(sweeps.1));
    println!("\nseeds 0..{SEEDS}, as drawn: {events:.0} events/s, {seeds:.0} seeds a minute");
    let titles = Titles { up: "events a second", right: "members" };
    let plot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim_core.svg");
    std::fs::write(&plot, line(titles, &points))?;
    println!("\nplot: {}", plot.display());
    Ok(())
}

/// One island in which all are linked and vote, with six clients that ask for something each 5 ms
/// or so, while each second somebody loses power, is cut off, or has a disk that hangs.
fn plan(members: u64) -> Plan {
    let mut random = Random::new(members, 9);
    let settings = Settings {
        seed: members,
        members,
        voters: members,
        faults_end: FAULTS_END,
        loss: 1_000,
        ..Settings::default()
    };
    let mut happenings = Vec::new();
    for time in (1_000_000..FAULTS_END).step_by(1_000_000) {
        let (member, lasting) = (random.between(1, members), random.between(50_000, 500_000));
        happenings.push((
            time,
            match random.below(3) {
                0 => Happening::PowerCut { member, lasting },
                1 => Happening::Isolate { member, lasting },
                _ => Happening::Stall { member, lasting },
            },
        ));
    }
    for client in 1..=6 {
        let mut time = 500_000;
        while time < FAULTS_END {
            let (key, at) = (random.below(settings.keys), random.between(1, members));
            happenings.push((
                time,
                match random.below(3) {
                    0 => Happening::Put { client, key, value: time, at },
                    1 => Happening::AddTo { client, key, value: 1, at },
                    _ => Happening::Read { client, key, at },
                },
            ));
            time += random.between(1_000, 9_000);
        }
    }
    happenings.sort();
    let pairs = (1..=members).flat_map(|from| (from + 1..=members).map(move |to| (from, to)));
    let links = pairs.map(|(from, to)| Link { from, to, low: 100, high: 1_000 });
    let islands = (0..members).map(|_| 1).collect();
    Plan { settings, islands, links: links.collect(), happenings }
}

fn events_a_second(members: u64) -> Result<f64> {
    let plan = plan(members);
    let watch = Stopwatch::start();
    let outcome = replay(plan, Tracing::Off);
    match outcome.violation {
        Some(violation) => Err(format!("{members} members: {violation}").into()),
        None => Ok(watch.rate(u32::try_from(outcome.events)?)),
    }
}

/// Events a second and seeds a minute of what a sweep runs.
fn sweep() -> Result<(f64, f64)> {
    let (watch, mut events) = (Stopwatch::start(), 0);
    for seed in 0..u64::from(SEEDS) {
        let outcome = run(seed, Mode::Within, Tracing::Off);
        if let Some(violation) = outcome.violation {
            return Err(format!("seed {seed}: {violation}").into());
        }
        events += outcome.events;
    }
    let seeds = watch.rate(SEEDS);
    let events = u32::try_from(events)?;
    Ok((f64::from(events) / f64::from(SEEDS) * seeds, seeds * 60.0))
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
    events_a_second(members)?;
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
