//! `holm-sim`: runs seeds and says what happened.

use clap::{Args, Parser, Subcommand, ValueEnum};
use holm_sim::Report;
use std::ops::Range;
use std::process::ExitCode;

/// Deterministic simulation of Holm: one seed, one history.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one seed and print its trace.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        #[command(flatten)]
        how: How,
    },
    /// Run a range of seeds and print a line each; exits with 1 and the failing seeds if any fails.
    Sweep {
        /// The seeds, as FIRST..END (END is not run).
        #[arg(long, value_parser = parse_range)]
        seeds: Range<u64>,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Args)]
struct How {
    /// `core` (core and log, quick) or `node` (the whole node; under `cargo sim` only).
    #[arg(long, value_enum, default_value_t = World::DEFAULT)]
    world: World,
    /// Run each seed twice and compare the traces, byte by byte.
    #[arg(long)]
    twice: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum World {
    Core,
    Node,
}

impl World {
    const DEFAULT: Self = if cfg!(madsim) { Self::Node } else { Self::Core };

    fn run(self, seed: u64) -> Result<Report, String> {
        // What broke is printed by the panic itself.
        let broken = |_| format!("seed {seed}: a promise was broken; the message is above");
        match self {
            Self::Core => {
                std::panic::catch_unwind(|| holm_sim::core_world::run(seed)).map_err(broken)
            }
            #[cfg(madsim)]
            Self::Node => {
                std::panic::catch_unwind(|| holm_sim::node_world::run(seed)).map_err(broken)
            }
            #[cfg(not(madsim))]
            Self::Node => {
                Err("the node's world needs --cfg madsim; run it with `cargo sim`".to_owned())
            }
        }
    }
}

impl How {
    fn run(&self, seed: u64) -> Result<Report, String> {
        let report = self.world.run(seed)?;
        if self.twice {
            let again = self.world.run(seed)?;
            if let Some(line) = first_difference(&report.trace, &again.trace) {
                let nth = |trace: &str| trace.lines().nth(line - 1).unwrap_or("(end)").to_owned();
                return Err(format!(
                    "seed {seed}: the second run differs from line {line} on:\n  {}\n  {}",
                    nth(&report.trace),
                    nth(&again.trace)
                ));
            }
        }
        Ok(report)
    }
}

/// The first line in which two texts differ, from 1.
fn first_difference(one: &str, other: &str) -> Option<usize> {
    if one == other {
        return None;
    }
    let equal = one.lines().zip(other.lines()).take_while(|(one, other)| one == other);
    Some(equal.count() + 1)
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text
        .split_once("..")
        .and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?))
        .filter(|range: &Range<u64>| !range.is_empty());
    parsed.ok_or_else(|| format!("`{text}` is no range of seeds; write FIRST..END, as in 0..100"))
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { seed, how } => match how.run(seed) {
            Ok(report) => {
                print!("{}", report.trace);
                println!("{report}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Command::Sweep { seeds, how } => sweep(seeds, &how),
    }
}

fn sweep(seeds: Range<u64>, how: &How) -> ExitCode {
    let mut failing = Vec::new();
    let mut acknowledged = 0;
    for seed in seeds.clone() {
        match how.run(seed) {
            Ok(report) => {
                acknowledged += report.acknowledged;
                println!("{report}");
            }
            Err(error) => {
                eprintln!("{error}");
                failing.push(seed.to_string());
            }
        }
    }
    let count = seeds.end - seeds.start;
    println!("{count} seeds, {acknowledged} acknowledged, {} failing", failing.len());
    if failing.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("failing seeds: {}", failing.join(" "));
    ExitCode::FAILURE
}
