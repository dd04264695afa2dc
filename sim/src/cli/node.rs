//! The whole node's world on the command line.

use super::{Ended, How, compare};
use holm_sim::Report;
use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;

/// So many seeds must a sweep have before it fails for what never happened.
const SEEDS_FOR_COVERAGE: u64 = 100;

pub(super) fn run(seed: u64, how: &How) -> Ended {
    let report = report(seed, how)?;
    print!("{}", report.trace);
    for (word, times) in &report.happened {
        println!("{times:>8} {word}");
    }
    println!("{report}");
    Ok(if report.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(super) fn sweep(seeds: Range<u64>, how: &How) -> Ended {
    let (mut failing, mut acknowledged) = (Vec::new(), 0);
    let mut happened: BTreeMap<&'static str, u64> =
        Report::EXPECTED.into_iter().map(|word| (word, 0)).collect();
    for seed in seeds.clone() {
        match report(seed, how) {
            Ok(report) => {
                println!("{report}");
                acknowledged += report.acknowledged;
                for (word, times) in report.happened {
                    *happened.entry(word).or_default() += times;
                }
                if report.violation.is_some() {
                    failing.push(seed.to_string());
                }
            }
            Err(error) => {
                eprintln!("{error}");
                failing.push(seed.to_string());
            }
        }
    }
    let count = seeds.end - seeds.start;
    for (word, times) in &happened {
        println!("{times:>8} {word}");
    }
    println!("{count} seeds, {acknowledged} acknowledged, {} failing", failing.len());
    if !failing.is_empty() {
        return Err(format!("failing seeds: {}", failing.join(" ")));
    }
    let missing: Vec<_> = happened.iter().filter(|(_, times)| **times == 0).collect();
    if count >= SEEDS_FOR_COVERAGE && !missing.is_empty() {
        return Err(format!("never happened in {count} seeds: {missing:?}"));
    }
    Ok(ExitCode::SUCCESS)
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
    Ok(holm_sim::node_world::run(seed))
}

#[cfg(not(madsim))]
fn once(_: u64) -> Result<Report, String> {
    Err("the node's world needs --cfg madsim; run it with `cargo sim`".to_owned())
}
