//! The mutation table: each known bug, switched on, must be found by histories that are cut, or by
//! damage that must be told; without any, all are green.

use super::crash::{Ended, live};
use super::damage;
use crate::disk::sim::Lie;
use crate::mutation::{self, Mutation};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

/// How many random histories are tried, each with all its cuts, before a bug counts as not found.
const HISTORIES: u64 = 400;

/// Which check found it, or how often the place was reached in vain.
enum Found {
    By(String),
    Not { reached: u64 },
}

fn hunt(mutation: Option<Mutation>, histories: u64) -> Found {
    let mut reached = 0;
    for seed in 0..histories {
        let data = super::random_bytes(seed, 500);
        let mut attempt = |run: &dyn Fn() -> Result<Ended, String>| {
            let (outcome, times) = mutation::with(mutation, || catch_unwind(AssertUnwindSafe(run)));
            reached += times;
            match outcome {
                Ok(result) => result,
                Err(panic) => {
                    let message = panic.downcast_ref::<String>().cloned();
                    let message =
                        message.or_else(|| panic.downcast_ref::<&str>().map(|m| (*m).into()));
                    Err(format!("panicked: {}", message.unwrap_or_default()))
                }
            }
        };
        for cut in 0.. {
            match attempt(&|| live(&data, cut, Lie::None).map(|outcome| outcome.first)) {
                Ok(Ended::Cut) => {}
                Ok(Ended::Whole) => break,
                Err(error) => return Found::By(format!("history {seed}, cut {cut}: {error}")),
            }
        }
        if let Err(error) = attempt(&|| damage::tell(seed).map(|()| Ended::Whole)) {
            return Found::By(format!("damage {seed}: {error}"));
        }
    }
    Found::Not { reached }
}

#[test]
fn every_known_bug_is_found_and_without_one_all_is_green() {
    // Found bugs panic on this thread; the other tests' messages are wanted.
    let (hook, quiet) = (take_hook(), std::thread::current().id());
    set_hook(Box::new(move |info| {
        if std::thread::current().id() != quiet {
            hook(info);
        }
    }));
    let control = hunt(None, 60);
    let found: Vec<_> = Mutation::ALL
        .iter()
        .map(|mutation| (*mutation, hunt(Some(*mutation), HISTORIES)))
        .collect();
    drop(take_hook());
    if let Found::By(what) = control {
        panic!("without a mutation: {what}");
    }
    let mut missed = Vec::new();
    for (mutation, found) in found {
        match found {
            Found::By(what) => println!("{mutation:?}: {what}"),
            Found::Not { reached } => missed.push((mutation, reached)),
        }
    }
    assert!(missed.is_empty(), "not found (and how often reached): {missed:?}");
}
