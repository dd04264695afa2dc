//! The mutation table: each known bug, switched on, must be found by the scenarios or by random
//! histories; without any, all are green. Printed for each: the check that found it, the history's
//! seed, and how many events the cores took until then.

use super::tests::schedule;
use super::{fuzz_events, known_bugs, scenarios};
use crate::mutation::{self, Mutation};
use std::any::Any;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::string::{String, ToString};
use std::vec::Vec;

/// How many random histories are tried before a bug counts as not found.
const HISTORIES: u64 = 3_000;

/// How a hunt ended.
enum Found {
    /// A check found it, after so many events that cores took.
    By { check: String, events: u64 },
    /// The place was reached so often, and nothing came of it; never, and nothing is shown.
    Not { reached: u64 },
}

fn hunt(mutation: Option<Mutation>, histories: u64) -> Found {
    let mut reached = 0;
    for (name, scenario) in scenarios::ALL.into_iter().chain(known_bugs::ALL) {
        let (outcome, times) =
            mutation::with(mutation, || catch_unwind(AssertUnwindSafe(scenario)));
        reached += times.reached;
        if let Err(panic) = outcome {
            let check = std::format!("{name}: {}", first_line(&*panic));
            return Found::By { check, events: times.events };
        }
    }
    for seed in 0..histories {
        let data = schedule(seed, 1500, [0, 100, 180, 230][usize::try_from(seed / 8 % 4).unwrap()]);
        let (outcome, times) =
            mutation::with(mutation, || catch_unwind(AssertUnwindSafe(|| fuzz_events(&data))));
        reached += times.reached;
        if let Err(panic) = outcome {
            let check = std::format!("history, seed {seed}: {}", first_line(&*panic));
            return Found::By { check, events: times.events };
        }
    }
    Found::Not { reached }
}

/// What a check said.
fn first_line(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<String>().cloned();
    let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    message.unwrap_or_default().lines().next().unwrap_or_default().to_string()
}

#[test]
fn every_known_bug_is_found_and_without_one_all_is_green() {
    // Found bugs panic on this thread, by the thousand; the other tests' messages are wanted.
    let (hook, quiet) = (take_hook(), std::thread::current().id());
    set_hook(Box::new(move |info| {
        if std::thread::current().id() != quiet {
            hook(info);
        }
    }));
    let control = hunt(None, 1_000);
    let found: Vec<(Mutation, Found)> = Mutation::ALL
        .iter()
        .map(|mutation| (*mutation, hunt(Some(*mutation), HISTORIES)))
        .collect();
    let _ = take_hook();
    if let Found::By { check, .. } = control {
        panic!("nothing is switched on, and yet: {check}");
    }
    let mut missed = Vec::new();
    for (mutation, found) in found {
        match found {
            Found::By { check, events } => std::println!("{mutation:?}: {check} ({events} events)"),
            Found::Not { reached: 0 } => missed.push(std::format!("{mutation:?}: unreached")),
            Found::Not { reached } => missed.push(std::format!("{mutation:?}: {reached} times")),
        }
    }
    assert!(missed.is_empty(), "not caught, and how often each was reached: {missed:#?}");
}
