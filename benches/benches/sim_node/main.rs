//! How quick the simulator's node world is: simulated seconds for each second of processor time, by
//! the number of members, under load and under faults as well; seeds a minute as a sweep runs them;
//! and how much memory a member takes. Medians of rounds in which all take turns.
//!
//! `cargo sim-bench`: also draws the second as a plot, into the target folder. It needs `--cfg
//! madsim`, which that alias sets. Numbers of members limit it to those, `seeds` to the seeds.
//! `--memory MEMBERS` prints what a process that ran one cluster took at most: the bench runs
//! itself like that.
#![forbid(unsafe_code)]

#[cfg(madsim)]
mod measured;

#[cfg(madsim)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    measured::main()
}

#[cfg(not(madsim))]
fn main() {
    println!("NOT RUN: the node's world needs --cfg madsim; run it with `cargo sim-bench`");
}
