//! The mutation table: each known bug, switched on, must be found by the scenarios or by random
//! histories; without any, all are green.

use super::tests::schedule;
use super::{fuzz_events, known_bugs, scenarios};
use crate::mutation::{self, Mutation};
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::string::{String, ToString};
use std::vec::Vec;

/// How many random histories are tried before a bug counts as not found.
const HISTORIES: u64 = 3_000;

const TABLE: [Mutation; 22] = [
    Mutation::VoteSentBeforeItIsDurable,
    Mutation::VoteNotWritten,
    Mutation::DoubleVote,
    Mutation::VoteClearedOnSameTermStepDown,
    Mutation::NoUpToDateCheck,
    Mutation::IdsComparedTheWrongWayRound,
    Mutation::OlderTermCommit,
    Mutation::QuorumOffByOne,
    Mutation::JointQuorumOverTheUnion,
    Mutation::ChangeBeforeOwnTermCommit,
    Mutation::TruncateWithoutConflict,
    Mutation::AckByIndex,
    Mutation::AckBeforeDurable,
    Mutation::ApplyBeyondDurable,
    Mutation::ReadBeforeOwnTermCommit,
    Mutation::ReadRoundReused,
    Mutation::LeaseKeptOnTransfer,
    Mutation::AnswersFromAnyIncarnation,
    Mutation::SnapshotLosesConfiguration,
    Mutation::SnapshotOffByOne,
    Mutation::LearnerCounts,
    Mutation::HeartbeatCommitNotClipped,
];

/// Which check found it, or how often the place was reached in vain.
enum Found {
    By(String),
    Not { reached: u64 },
}

fn hunt(mutation: Option<Mutation>, histories: u64) -> Found {
    let mut reached = 0;
    for (name, scenario) in scenarios::ALL.into_iter().chain(known_bugs::ALL) {
        let (outcome, times) =
            mutation::with(mutation, || catch_unwind(AssertUnwindSafe(scenario)));
        reached += times;
        if outcome.is_err() {
            return Found::By(name.to_string());
        }
    }
    for seed in 0..histories {
        let data = schedule(seed, 1500, [0, 100, 180, 230][usize::try_from(seed / 8 % 4).unwrap()]);
        let (outcome, times) =
            mutation::with(mutation, || catch_unwind(AssertUnwindSafe(|| fuzz_events(&data))));
        reached += times;
        if let Err(panic) = outcome {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            let line = message.unwrap_or_default().lines().next().unwrap_or_default().to_string();
            return Found::By(std::format!("history {seed}: {line}"));
        }
    }
    Found::Not { reached }
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
    let found: Vec<(Mutation, Found)> =
        TABLE.into_iter().map(|mutation| (mutation, hunt(Some(mutation), HISTORIES))).collect();
    let _ = take_hook();
    assert!(matches!(control, Found::Not { .. }), "the control run is green");
    let mut missed = Vec::new();
    for (mutation, found) in found {
        match found {
            Found::By(what) => std::println!("{mutation:?}: {what}"),
            Found::Not { reached } => missed.push((mutation, reached)),
        }
    }
    assert!(missed.is_empty(), "not found, and how often they were reached: {missed:?}");
}
