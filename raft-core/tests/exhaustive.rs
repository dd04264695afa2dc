//! The real core, explored exhaustively within bounds: every order of deliveries, losses,
//! repetitions, syncs, time-outs and crashes that two or three members can go through, with figure
//! 3 of the paper looked at in each state.
//!
//! The bounds here fit an ordinary `cargo test`. Larger ones take minutes, and gigabytes:
//! `HOLM_EXHAUSTIVE=large cargo test --release -p holm-raft-core --test exhaustive -- --nocapture`.

#[path = "exhaustive/cluster.rs"]
mod cluster;
#[path = "exhaustive/marks.rs"]
mod marks;
#[path = "exhaustive/member.rs"]
mod member;
#[path = "exhaustive/safety.rs"]
mod safety;
#[path = "exhaustive/steps.rs"]
mod steps;

use cluster::{Bounds, Exploration, Stale, Start};
use holm_raft_core::{HardState, Term};
use member::PreVotes;
use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};
use steps::Steps;

/// Two threads explore at once; more would not be had where this is usually run.
const THREADS: usize = 2;

/// Beyond so many steps something is counted as a difference that is none.
const STEPS_MAX: usize = 200_000_000;

/// The bounds of an ordinary run, or the larger ones.
fn bounds(ordinary: Bounds, large: Bounds) -> Bounds {
    match std::env::var("HOLM_EXHAUSTIVE").as_deref() {
        Ok("large") => large,
        Ok(other) => panic!("HOLM_EXHAUSTIVE={other} is unknown; leave it out, or set it to large"),
        Err(_) => ordinary,
    }
}

fn explore(name: &str, start: Start, bounds: Bounds) {
    let checker = Exploration { start, bounds: bounds.clone(), steps: Steps::default() }
        .checker()
        .threads(THREADS)
        .target_state_count(STEPS_MAX)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{name}: {} states, {} steps between them ({} of the cores), at most {} one after another; \
         {bounds:?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.model().steps.count(),
        checker.max_depth(),
    );
    for (property, path) in checker.discoveries() {
        let found = checker.discovery_classification(property);
        if matches!(found, DiscoveryClassification::Counterexample) {
            println!("{property} does not hold after these steps:");
            for (cluster, action) in path.into_vec() {
                for member in &cluster.members {
                    println!("      {}", member.status);
                }
                if let Some(action) = action {
                    println!("  {}", cluster.tell(action));
                }
            }
        }
    }
    assert!(checker.state_count() < STEPS_MAX, "no end in sight: what may `marks` leave out?");
    checker.assert_properties();
}

/// Bounds within which nothing happens: what each test begins from.
fn least(members: usize) -> Bounds {
    Bounds {
        term: 3,
        proposals: 0,
        crashes: 0,
        heartbeats: 0,
        writes: 1,
        pre_votes: PreVotes::Given,
        stale: Stale::Lost,
        candidates: (0..members).collect(),
    }
}

#[test]
fn two_members_are_safe() {
    let ordinary = Bounds { proposals: 1, crashes: 1, heartbeats: 1, ..least(2) };
    let large = Bounds { term: 4, writes: 2, stale: Stale::Answered, ..ordinary.clone() };
    explore("two members", Start::Formed(2), bounds(ordinary, large));
}

#[test]
fn two_members_are_safe_with_real_pre_votes() {
    let asked = Bounds { pre_votes: PreVotes::Asked, ..least(2) };
    let ordinary = Bounds { crashes: 1, ..asked };
    let large = Bounds { proposals: 1, writes: 2, stale: Stale::Answered, ..ordinary.clone() };
    explore("two members, pre-votes asked", Start::Formed(2), bounds(ordinary, large));
}

#[test]
fn three_members_are_safe() {
    let ordinary = least(3);
    let large = Bounds { stale: Stale::Answered, proposals: 1, ..ordinary.clone() };
    explore("three members", Start::Formed(3), bounds(ordinary, large));
}

#[test]
fn three_members_are_safe_through_a_crash() {
    let ordinary = Bounds { crashes: 1, candidates: vec![0, 1], ..least(3) };
    let large = Bounds { candidates: vec![0, 1, 2], ..ordinary.clone() };
    explore("three members, a crash", Start::Formed(3), bounds(ordinary, large));
}

/// From figure 8 (b) on: the first member led term 2 and the third term 3, and neither replicated
/// its entry. Two elections later, the older one may be on a majority and yet be overwritten.
#[test]
fn three_members_are_safe_where_older_terms_are_on_a_majority() {
    let hard_state = HardState { term: Term(3), vote: None };
    let logs = [vec![2], vec![], vec![3]];
    let start = Start::Logs(logs.into_iter().map(|terms| (hard_state, terms)).collect());
    // The second has nothing that the others lack: it votes.
    let ordinary = Bounds { term: 5, candidates: vec![0, 2], ..least(3) };
    let large = Bounds { candidates: vec![0, 1, 2], ..ordinary.clone() };
    explore("three members, figure 8", start, bounds(ordinary, large));
}
