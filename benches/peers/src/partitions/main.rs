//! Partial partitions: the ticks from a cut to the next commit, of Holm's core with and without
//! relaying and of crate `raft`, in the scenarios of `raft-core/tests/partitions`, whose code runs
//! here unchanged.
//!
//! `cargo xtask partitions`.
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../../raft-core/tests/partitions/cluster.rs"]
mod cluster;
#[path = "../../../../raft-core/tests/partitions/holm.rs"]
mod holm;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../../raft-core/tests/partitions/scenarios.rs"]
mod scenarios;
mod tikv;
#[path = "../../../../raft-core/tests/partitions/ways.rs"]
mod ways;

use cluster::{Cluster, ELECTION_TICKS, Member};
use holm::Holm;
use holm_raft_core::Switch;
use scenarios::{SCENARIOS, Scenario, spread};
use std::collections::BTreeSet;
use tikv::TikvRaft;

const SEEDS: u64 = 50;
/// What does not commit within this counts as never: more than 1,000 election time-outs.
const NEVER_TICKS: u64 = 20_000;
/// The transport's bound on finding out that a link has fallen silent, 2 seconds.
const SILENT_TICKS: u64 = 200;

/// When members begin to relay, in ticks after the cut.
type Relays = Option<u64>;

fn main() {
    println!(
        "ticks from the cut to the first commit of a command proposed after it, {SEEDS} seeds; \
         an election time-out is {ELECTION_TICKS} to {} ticks\n",
        2 * ELECTION_TICKS
    );
    let holm = |scenario: &Scenario, relays: Relays| {
        measure(scenario, relays, |node, members, seed| Holm::new(node, members, seed, Switch::On))
    };
    println!("| scenario | subject | ticks to the next commit | who led then |");
    println!("|---|---|---|---|");
    for scenario in &SCENARIOS {
        let late = format!("Holm, relaying from {SILENT_TICKS} ticks on");
        row(scenario, "Holm, relaying", &holm(scenario, Some(0)));
        row(scenario, &late, &holm(scenario, Some(SILENT_TICKS)));
        row(scenario, "Holm, nobody relays", &holm(scenario, None));
        let raft = measure(scenario, None, |node, members, _| TikvRaft::new(node, members));
        row(scenario, "raft 0.7, nobody relays", &raft);
    }
}

/// What became of a scenario.
#[derive(Default)]
struct Outcome {
    ticks: Vec<u64>,
    never: u64,
    leaders: BTreeSet<u64>,
}

fn measure<M: Member>(
    scenario: &Scenario,
    relays: Relays,
    start: impl Fn(u64, u64, u64) -> M,
) -> Outcome {
    let mut outcome = Outcome::default();
    for seed in 0..SEEDS {
        let mut cluster: Cluster<M> =
            scenario.happens(seed, |node| start(node, scenario.members, seed));
        if let Some(after) = relays {
            cluster.ways.relay_after(after);
        }
        match cluster.ticks_to_commit(NEVER_TICKS) {
            Some(ticks) => outcome.ticks.push(ticks),
            None => outcome.never += 1,
        }
        outcome.leaders.extend(cluster.leader());
    }
    outcome
}

fn row(scenario: &Scenario, subject: &str, outcome: &Outcome) {
    let ticks = match outcome.never {
        0 => spread(outcome.ticks.clone()),
        SEEDS => format!("never within {NEVER_TICKS}"),
        never => format!("{}; {never} times never", spread(outcome.ticks.clone())),
    };
    let leaders: Vec<String> = outcome.leaders.iter().map(u64::to_string).collect();
    let leaders = if leaders.is_empty() { "nobody".into() } else { leaders.join(", ") };
    println!("| {} | {subject} | {ticks} | {leaders} |", scenario.name);
}
