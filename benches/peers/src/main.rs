//! Holm's core next to other consensus crates doing the same work in the same run: proposals that
//! three members commit and apply in a second of processor time, one at a time and in batches, and
//! ticks a second of an idle cluster of five. The subjects take turns; medians of several rounds.
//!
//! `cargo xtask peers`; with `NAME BATCH` or `NAME ticks`, only that once, for a profiler.
#![forbid(unsafe_code)]

#[path = "../../benches/core_proposals/stopwatch.rs"]
mod stopwatch;

use holm_peers::{Subject, subjects};
use stopwatch::Stopwatch;

const ROUNDS: usize = 5;
const BATCHES: [u32; 2] = [1, 64];
const PROPOSALS: u32 = 128_000;
const PAYLOAD_BYTES: usize = 128;
const TICKS: u32 = 100_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if let Some(name) = arguments.next() {
        return profile(&name, arguments.next().as_deref());
    }
    let subjects = subjects();
    println!("one thread, its processor time, in-memory logs; {ROUNDS} rounds in turn, medians");
    println!("load average at the start: {}\n", load());
    print!("{:<34}", "");
    for subject in &subjects {
        print!("{:>16}", subject.name);
    }
    println!();
    for batch in BATCHES {
        let rates = measure(&subjects, |subject| proposals(subject, batch));
        row(&format!("proposals/s, 3 members, by {batch}"), &rates);
    }
    row("cluster ticks/s, 5 members", &measure(&subjects[..2], ticks));
    println!("\nload average at the end: {}", load());
}

/// Each subject's median rate. They take turns, so that what slows the machine slows them all.
fn measure(subjects: &[Subject], run: impl Fn(&Subject) -> f64) -> Vec<f64> {
    let mut rates = vec![Vec::new(); subjects.len()];
    for _ in 0..ROUNDS {
        for (subject, rates) in subjects.iter().zip(&mut rates) {
            rates.push(run(subject));
        }
    }
    rates.into_iter().map(median).collect()
}

fn proposals(subject: &Subject, batch: u32) -> f64 {
    let mut cluster = (subject.start)(3);
    let stopwatch = Stopwatch::start();
    for _ in 0..PROPOSALS / batch {
        for _ in 0..batch {
            cluster.propose(vec![7; PAYLOAD_BYTES]);
        }
        cluster.settle();
    }
    let rate = stopwatch.rate(PROPOSALS);
    let applied = cluster.applied();
    assert_eq!(applied, u64::from(PROPOSALS), "{}: all apply every command", subject.name);
    rate
}

fn ticks(subject: &Subject) -> f64 {
    let mut cluster = (subject.start)(5);
    let stopwatch = Stopwatch::start();
    for _ in 0..TICKS {
        cluster.tick();
    }
    stopwatch.rate(TICKS)
}

fn profile(name: &str, what: Option<&str>) {
    let subjects = subjects();
    let Some(subject) = subjects.iter().find(|subject| subject.name.starts_with(name)) else {
        eprintln!("no subject {name}; there are {}", subjects.map(|each| each.name).join(", "));
        std::process::exit(2);
    };
    if what == Some("ticks") {
        return println!("{}: {:.0} cluster ticks/s", subject.name, ticks(subject));
    }
    let batch = what.and_then(|batch| batch.parse().ok()).filter(|batch| *batch > 0).unwrap_or(1);
    println!("{}: {:.0} proposals/s by {batch}", subject.name, proposals(subject, batch));
}

fn row(what: &str, rates: &[f64]) {
    print!("{what:<34}");
    for rate in rates {
        print!("{rate:>16.0}");
    }
    println!();
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// The machine's own word for how busy it is.
fn load() -> String {
    let known = std::fs::read_to_string("/proc/loadavg").ok();
    let known = known.and_then(|text| text.split(' ').next().map(str::to_owned));
    known.unwrap_or_else(|| "unknown".into())
}
