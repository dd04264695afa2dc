//! The whole node's world on the command line.

use super::{Ended, How, compare};
use holm_sim::Report;
use std::ops::Range;
use std::process::ExitCode;

pub(super) fn run(seed: u64, how: &How) -> Ended {
    let report = report(seed, how)?;
    print!("{}", report.trace);
    println!("{report}");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn sweep(seeds: Range<u64>, how: &How) -> Ended {
    let mut failing = Vec::new();
    let mut acknowledged = 0;
    for seed in seeds.clone() {
        match report(seed, how) {
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
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("failing seeds: {}", failing.join(" ")))
}

fn report(seed: u64, how: &How) -> Result<Report, String> {
    let report = once(seed)?;
    if how.twice {
        compare(seed, &report.trace, &once(seed)?.trace)?;
    }
    Ok(report)
}

#[cfg(madsim)]
fn once(seed: u64) -> Result<Report, String> {
    // What broke is printed by the panic itself.
    let broken = |_| format!("seed {seed}: a promise was broken; the message is above");
    std::panic::catch_unwind(|| holm_sim::node_world::run(seed)).map_err(broken)
}

#[cfg(not(madsim))]
fn once(_: u64) -> Result<Report, String> {
    Err("the node's world needs --cfg madsim; run it with `cargo sim`".to_owned())
}
