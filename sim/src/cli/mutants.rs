//! The mutation table: each known bug switched on, in the core's world those of the core and of the
//! log, in the node's those of the transport and of the node; by which checker it is caught, and in
//! how many seeds. Without any, all are green. One that no seed reaches is *unreached*, and not
//! caught.

mod bugs;

use super::one::quiet;
use super::{Ended, World};
use bugs::Bug;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// The first seeds lie so far apart.
const APART: u64 = 1_000_000;
/// How many bugs are hunted at once.
const THREADS: usize = 2;

/// How a hunt from several first seeds ended.
struct Found {
    /// In how many seeds, for each start; less than there are starts if one was in vain.
    seeds: Vec<u64>,
    /// By which checkers, how often.
    checkers: BTreeMap<&'static str, u64>,
    reached: u64,
}

fn hunt(bug: Bug, seeds: u64, starts: u64) -> Found {
    let mut found = Found { seeds: Vec::new(), checkers: BTreeMap::new(), reached: 0 };
    for start in 0..starts {
        let caught = (0..seeds).find_map(|nth| {
            let (checker, reached) = bug.run(start * APART + nth);
            found.reached += reached;
            checker.map(|checker| (nth + 1, checker))
        });
        let Some((nth, checker)) = caught else { break };
        found.seeds.push(nth);
        *found.checkers.entry(checker).or_default() += 1;
    }
    found.seeds.sort_unstable();
    found
}

/// Which bugs are hunted in a world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hunt {
    /// Those that it was made for.
    AtHome,
    /// All that it can have.
    Everywhere,
}

pub(super) fn table(world: World, hunted: Hunt, (seeds, starts): (u64, u64), only: &str) -> Ended {
    quiet();
    let all = bugs::all(world, hunted)?.into_iter();
    let bugs: Vec<Bug> =
        all.filter(|bug| bug.name().0.to_lowercase().contains(&only.to_lowercase())).collect();
    let (next, (done, hunts)) = (AtomicUsize::new(0), mpsc::channel());
    let mut all_caught = true;
    println!("| bug | of | caught by (of {starts} starts) | seeds: median | most |");
    println!("|---|---|---|---:|---:|");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (done, next, bugs) = (done.clone(), &next, &bugs);
            scope.spawn(move || {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let starts = if bug.is_none() { 1 } else { starts };
                    if done.send((*bug, hunt(*bug, seeds, starts))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        for (bug, found) in hunts {
            let (name, of) = bug.name();
            let row = if bug.is_none() && found.seeds.is_empty() {
                format!("nothing in {seeds} seeds | - | -")
            } else {
                row(&found, starts, seeds)
            };
            all_caught &= bug.is_none() == found.seeds.is_empty()
                && (bug.is_none() || found.seeds.len() as u64 == starts);
            println!("| {name} | {of} | {row} |");
        }
    });
    if all_caught {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("not all are caught within {seeds} seeds, or something is where there is no bug"))
}

fn row(found: &Found, starts: u64, seeds: u64) -> String {
    let checkers: Vec<String> =
        found.checkers.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let caught = found.seeds.len() as u64;
    let says = if caught == 0 && found.reached == 0 {
        format!("unreached in {seeds} seeds")
    } else if caught < starts {
        format!("{}; not in {seeds} seeds from another start", checkers.join(", "))
    } else {
        checkers.join(", ")
    };
    let median = found.seeds.get(found.seeds.len() / 2).map_or("-".to_owned(), u64::to_string);
    let most = found.seeds.last().map_or("-".to_owned(), u64::to_string);
    format!("{says} | {median} | {most}")
}
