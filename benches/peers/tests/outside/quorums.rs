//! The cases about quorums: which index is committed, and how a vote stands.

use crate::adapter::{self, Ids, configuration};
use crate::data;
use datadriven::{TestCase, TestFile, walk, walk_exclusive};
use holm_raft_core::quorum::{self, Tally};
use holm_raft_core::{Configuration, Index, NodeId};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Cases about group commit: entries that count only once members of two groups hold them. Holm
/// counts members alone: an embedder that wants entries on two islands makes members there voters.
const GROUP_COMMIT: (&str, usize) = ("joint_group_commit.txt", 14);
const QUORUM_CASES: usize = 127;

/// Where Holm answers otherwise on purpose.
#[derive(Default)]
struct Differences {
    /// A configuration without voters. There, everything commits and every vote is won, so that it
    /// can stand for the missing half of a joint one. In Holm a half that isn't there is not
    /// asked, and a configuration without voters is a member's that waits to be added: nothing
    /// commits, no vote is won.
    nobody: usize,
}

#[test]
fn quorums_agree_with_the_outside_cases() {
    let mut differences = Differences::default();
    let mut cases = 0;
    let mut skipped = 0;
    let is_skipped = |file: &TestFile| Path::new(&file.filename).ends_with(GROUP_COMMIT.0);
    walk(&data("quorum"), |file| {
        if is_skipped(file) {
            skipped += count(file.clone());
        }
    });
    walk_exclusive(
        &data("quorum"),
        |file| {
            file.run(|case| {
                cases += 1;
                quorum_case(case, &mut differences)
            });
        },
        is_skipped,
    );
    assert_eq!(cases, QUORUM_CASES);
    assert_eq!(skipped, GROUP_COMMIT.1);
    assert_eq!(differences.nobody, 3);
}

/// How many cases a file has. An error, other than a wrong answer, does not stop the run.
fn count(mut file: TestFile) -> usize {
    let mut cases = 0;
    file.run(|_| {
        cases += 1;
        Err::<String, _>("only counted")
    });
    cases
}

fn quorum_case(case: &mut TestCase, differences: &mut Differences) -> String {
    let ids = |values: Option<Vec<String>>| -> Ids {
        let values = values.unwrap_or_default();
        values.iter().filter(|id| *id != "zero").map(|id| id.parse().expect("an id")).collect()
    };
    let order: Vec<u64> = {
        let written = |name| case.args.get(name).cloned().unwrap_or_default();
        let both = written("cfg").into_iter().chain(written("cfgj"));
        let mut order: Vec<u64> = Vec::new();
        for id in both.filter_map(|id| id.parse().ok()) {
            if !order.contains(&id) {
                order.push(id);
            }
        }
        order
    };
    let incoming = ids(case.args.remove("cfg"));
    let outgoing = ids(case.args.remove("cfgj"));
    let given = case.args.remove("idx").or_else(|| case.args.remove("votes")).unwrap_or_default();
    case.expect_empty().expect("nothing else is said");
    assert_eq!(given.len(), order.len(), "one value a voter");
    let given: BTreeMap<u64, String> =
        order.into_iter().zip(given).filter(|(_, value)| value != "_").collect();

    let plain = configuration(&incoming, &outgoing);
    let swapped = configuration(&outgoing, &incoming);
    let (holm, theirs) = match case.directive.as_str() {
        "committed" => {
            let given = given.iter().map(|(id, index)| (*id, index.parse().expect("an index")));
            let matched: BTreeMap<u64, u64> = given.collect();
            let index = committed(&plain, &matched);
            assert_eq!(index, committed(&swapped, &matched), "the halves are equal in rights");
            let voters: Ids = incoming.union(&outgoing).copied().collect();
            let table = table(&voters, &matched);
            (format!("{table}{index}\n"), "<empty majority quorum>∞\n")
        }
        "vote" => {
            let votes = given.iter().map(|(id, vote)| (NodeId(*id), vote == "y")).collect();
            let tally = quorum::tally(&plain, &votes);
            assert_eq!(tally, quorum::tally(&swapped, &votes), "the halves are equal in rights");
            (format!("{}\n", adapter::name(tally)), "VoteWon\n")
        }
        other => panic!("unknown directive {other}"),
    };
    if incoming.is_empty() && outgoing.is_empty() {
        differences.nobody += 1;
        assert!(holm.ends_with("0\n") || holm == format!("{}\n", adapter::name(Tally::Open)));
        return theirs.to_owned();
    }
    holm
}

fn committed(configuration: &Configuration, matched: &BTreeMap<u64, u64>) -> u64 {
    let at = |node: NodeId| Index(matched.get(&node.0).copied().unwrap_or(0));
    quorum::committed(configuration, at).0
}

/// What the files show above an index: each voter's own, and, for the first of those that have the
/// same, how many have less.
fn table(voters: &Ids, matched: &BTreeMap<u64, u64>) -> String {
    let width = voters.len();
    let mut text = format!("{:width$}    idx\n", "");
    for id in voters {
        let Some(own) = matched.get(id) else {
            writeln!(text, "?{:width$} {:>5}    (id={id})", "", 0).expect("a string takes all");
            continue;
        };
        let of = |other: &u64| matched.get(other).copied().unwrap_or(0);
        let less = voters.iter().filter(|other| of(other) < *own).count();
        let is_first = voters.iter().find(|other| of(other) == *own) == Some(id);
        let bar = if is_first { less } else { 0 };
        let (bar, rest) = ("x".repeat(bar), width - bar);
        writeln!(text, "{bar}>{:rest$} {own:>5}    (id={id})", "").expect("a string takes all");
    }
    text
}
