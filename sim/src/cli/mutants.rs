//! The mutation table: each known bug of the core and of the log, switched on; by which checker it
//! is caught, and in how many seeds. Without any, all are green. One that no seed reaches is
//! *unreached*, and not caught.

use super::Ended;
use super::core::quiet;
use holm_raft_core as raft;
use holm_sim::core_world::{self, Mode, Outcome, Tracing};
use holm_wal as wal;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// The first seeds lie so far apart.
const APART: u64 = 1_000_000;
/// How many bugs are hunted at once.
const THREADS: usize = 2;

#[derive(Clone, Copy)]
enum Bug {
    None,
    Core(raft::Mutation),
    Wal(wal::Mutation),
}

/// How a hunt from several first seeds ended.
struct Found {
    /// In how many seeds, for each start; less than there are starts if one was in vain.
    seeds: Vec<u64>,
    /// By which checkers, how often.
    checkers: BTreeMap<&'static str, u64>,
    reached: u64,
}

impl Bug {
    fn name(self) -> (String, &'static str) {
        match self {
            Self::None => ("(none)".to_owned(), ""),
            Self::Core(bug) => (format!("{bug:?}"), "core"),
            Self::Wal(bug) => (format!("{bug:?}"), "log"),
        }
    }

    fn run(self, seed: u64) -> (Outcome, u64) {
        let run = || core_world::run(seed, Mode::Within, Tracing::Off);
        match self {
            Self::None => (run(), 0),
            Self::Core(bug) => {
                let (outcome, times) = raft::with_mutation(Some(bug), run);
                (outcome, times.reached)
            }
            Self::Wal(bug) => wal::with_mutation(Some(bug), run),
        }
    }

    fn hunt(self, seeds: u64, starts: u64) -> Found {
        let mut found = Found { seeds: Vec::new(), checkers: BTreeMap::new(), reached: 0 };
        for start in 0..starts {
            let caught = (0..seeds).find_map(|nth| {
                let (outcome, reached) = self.run(start * APART + nth);
                found.reached += reached;
                outcome.violation.map(|violation| (nth + 1, violation.checker))
            });
            let Some((nth, checker)) = caught else { break };
            found.seeds.push(nth);
            *found.checkers.entry(checker).or_default() += 1;
        }
        found.seeds.sort_unstable();
        found
    }
}

pub(super) fn table(seeds: u64, starts: u64, only: &str) -> Ended {
    quiet();
    let core = raft::Mutation::ALL.iter().map(|bug| Bug::Core(*bug));
    let log = wal::Mutation::ALL.iter().map(|bug| Bug::Wal(*bug));
    let all = std::iter::once(Bug::None).chain(core).chain(log);
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
                    let starts = if matches!(bug, Bug::None) { 1 } else { starts };
                    if done.send((*bug, bug.hunt(seeds, starts))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        for (bug, found) in hunts {
            let row = row(&found, starts, seeds);
            let (name, of) = bug.name();
            all_caught &= matches!(bug, Bug::None) == found.seeds.is_empty()
                && (matches!(bug, Bug::None) || found.seeds.len() as u64 == starts);
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
