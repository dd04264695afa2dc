//! How fast the protocol core is by itself: proposals that three cores commit and apply in a
//! second of processor time, one at a time and in batches, and ticks a second of an idle cluster of
//! five. One thread, in-memory logs, nothing is encoded. Medians of several rounds.
//!
//! `cargo bench -p holm-benches --bench core_proposals`. Next to other crates, in the same run:
//! `cargo xtask peers`.
#![forbid(unsafe_code)]

mod cluster;
mod stopwatch;

use cluster::Cluster;
use stopwatch::Stopwatch;

const ROUNDS: usize = 5;
const BATCHES: [u32; 2] = [1, 64];
const PROPOSALS: u32 = 128_000;
const PAYLOAD_BYTES: usize = 128;
const TICKS: u32 = 200_000;

fn main() {
    println!("one thread, its processor time, in-memory logs, medians of {ROUNDS} rounds\n");
    for batch in BATCHES {
        let rate = median(std::array::from_fn(|_| proposals(batch)));
        println!("3 members, {PAYLOAD_BYTES} B, batches of {batch:>2}  {rate:>12.0} proposals/s");
    }
    let rate = median(std::array::from_fn(|_| ticks()));
    println!("5 members, idle                {rate:>12.0} cluster ticks/s");
}

fn proposals(batch: u32) -> f64 {
    let mut cluster = Cluster::new(3);
    let stopwatch = Stopwatch::start();
    for _ in 0..PROPOSALS / batch {
        for _ in 0..batch {
            cluster.propose(vec![7; PAYLOAD_BYTES]);
        }
        cluster.settle();
    }
    let rate = stopwatch.rate(PROPOSALS);
    assert_eq!(cluster.applied(), u64::from(PROPOSALS), "every member has applied every command");
    rate
}

fn ticks() -> f64 {
    let mut cluster = Cluster::new(5);
    let stopwatch = Stopwatch::start();
    for _ in 0..TICKS {
        cluster.tick();
    }
    stopwatch.rate(TICKS)
}

fn median(mut rates: [f64; ROUNDS]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}
