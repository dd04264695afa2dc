//! How fast members talk over loopback: notes a second and MB/s of 128 B, 1 KiB and 64 KiB, with
//! insecure and with sealed links, next to what `tokio` itself writes and reads in writes of that
//! size; how long a note takes there and back, directly with relaying on and off, and through
//! another member. Everything in one process, on a runtime with two workers.
//!
//! `cargo bench -p holm-benches --bench transport`: medians of rounds in which the subjects take
//! turns. It fails where insecure links carry less than 70% of what `tokio` does at 64 KiB.
//! For a profiler, `-- NAME BYTES` keeps one subject at work (`-- insecure 65536`).
#![forbid(unsafe_code)]

mod latency;
mod members;
mod plain;
mod speed;

use members::Links;
use speed::{Rate, Subject};
use std::io;
use std::process::ExitCode;
use tokio::runtime::Runtime;

const SIZES: [usize; 3] = [128, 1024, 64 * 1024];
/// What insecure links must reach of the limit at the largest size.
const LEAST: f64 = 0.7;

fn main() -> io::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if let (Some(name), Some(bytes)) = (arguments.next(), arguments.next()) {
        return profile(&runtime, &name, &bytes);
    }
    let reached = speeds(&runtime);
    latencies(&runtime);
    if reached < LEAST {
        eprintln!("insecure links carry {reached:.2} of the limit at 64 KiB; {LEAST} are wanted");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the speeds; returns what insecure links reach of the limit at the largest size.
fn speeds(runtime: &Runtime) -> f64 {
    println!("{:<22}{:>12}{:>10}{:>10}", "", "frames/s", "MB/s", "of limit");
    let mut reached = 0.0;
    for bytes in SIZES {
        let [limit, insecure, sealed] = speed::measure(runtime, bytes);
        for (name, rate) in [("tokio", limit), ("insecure", insecure), ("sealed", sealed)] {
            let Rate { frames, of_limit } = rate;
            let megabytes = frames * f64::from(u32::try_from(bytes).expect("small")) / 1e6;
            let what = format!("{bytes:>6} B, {name}");
            println!("{what:<22}{frames:>12.0}{megabytes:>10.0}{of_limit:>10.2}");
        }
        reached = insecure.of_limit;
    }
    reached
}

fn latencies(runtime: &Runtime) {
    println!("\n128 B there and back, microseconds{:>10}{:>10}", "p50", "p99");
    for links in [Links::Insecure, Links::Sealed] {
        for (way, [middle, late]) in latency::measure(runtime, links) {
            let what = format!("{}, {}", links.name(), way.name());
            println!("{what:<34}{middle:>10.1}{late:>10.1}");
        }
    }
}

fn profile(runtime: &Runtime, name: &str, bytes: &str) -> io::Result<ExitCode> {
    let subject = Subject::ALL.into_iter().find(|subject| subject.name() == name);
    let (Some(subject), Ok(bytes)) = (subject, bytes.parse()) else {
        return Err(io::Error::other("give it tokio, insecure or sealed, and a number of bytes"));
    };
    let rate = speed::one(runtime, subject, bytes, 4 * speed::ROUND_BYTES);
    println!("{name}, {bytes} B: {rate:.0} frames/s");
    Ok(ExitCode::SUCCESS)
}
