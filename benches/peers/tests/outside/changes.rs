//! The cases about configuration changes: which configuration follows from which steps.

use crate::adapter::member;
use crate::data;
use datadriven::{TestCase, walk};
use holm_raft_core::{ChangeError, Configuration, Leave, NodeId, Standing, Step};
use std::collections::BTreeMap;
use std::fmt::Write;

const CASES: usize = 55;

/// How often Holm answered otherwise on purpose. These cases are answered as the file expects it,
/// and asserted to differ in this way and no other.
#[derive(Debug, Default, PartialEq)]
struct Differences {
    /// A change that changes nothing is accepted there and refused here: it would be an entry, and
    /// a wait for its commit, for nothing, and most likely a mistake.
    nothing: usize,
    /// Several voters at once are an error there unless a joint configuration is asked for. Holm
    /// goes through a joint configuration by itself whenever it takes one.
    joint_by_itself: usize,
    /// A joint configuration can be asked for there though at most one voter changes. Holm has no
    /// such configuration: both halves would be the same, or one step apart, which is safe as it
    /// is (thesis §4.1). What the file does from there until it leaves is counted here too.
    joint_without_need: usize,
    /// Id 0 means there that a step was decided against. In Holm ids count from 1.
    zero: usize,
}

#[test]
fn changes_agree_with_the_outside_cases() {
    let mut cases = 0;
    let mut differences = Differences::default();
    walk(&data("confchange"), |file| {
        let mut cluster = Cluster::default();
        file.run(|case| {
            cases += 1;
            cluster.run(case, &mut differences)
        });
    });
    assert_eq!(cases, CASES);
    let expected = Differences { nothing: 7, joint_by_itself: 3, joint_without_need: 5, zero: 3 };
    assert_eq!(differences, expected);
}

/// The configuration so far, and what the files print beside it.
#[derive(Default)]
struct Cluster {
    configuration: Configuration,
    /// In which case each member came, counted from 0.
    since: BTreeMap<u64, usize>,
    cases: usize,
    /// Whether the file is in a joint configuration that Holm does not have.
    theirs: Theirs,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Theirs {
    #[default]
    AsHere,
    Joint,
}

impl Cluster {
    fn run(&mut self, case: &mut TestCase, differences: &mut Differences) -> String {
        let leave = match case.args.remove("autoleave").unwrap_or_default().first() {
            Some(value) if value == "true" => Leave::Automatic,
            _ => Leave::Asked,
        };
        case.expect_empty().expect("nothing else is said");
        let steps: Vec<Step> =
            case.input.split_whitespace().filter_map(|word| step(word, differences)).collect();
        let mut answer = if self.theirs == Theirs::Joint {
            differences.joint_without_need += 1;
            self.run_theirs(&case.directive)
        } else {
            self.run_both(&case.directive, &steps, leave, differences)
        };
        self.cases += 1;
        if !answer.ends_with('\n') {
            answer.push('\n');
        }
        answer
    }

    fn run_both(
        &mut self,
        directive: &str,
        steps: &[Step],
        leave: Leave,
        differences: &mut Differences,
    ) -> String {
        let changed = match directive {
            "leave-joint" => self.configuration.left(),
            _ => self.configuration.change(steps, leave),
        };
        match (directive, changed) {
            ("simple", Ok(new)) if new.is_joint() => {
                differences.joint_by_itself += 1;
                "more than one voter changed without entering joint config".into()
            }
            ("enter-joint", Ok(new)) if !new.is_joint() => {
                differences.joint_without_need += 1;
                assert!(self.configuration.is_empty(), "the files have no other such case");
                "can't make a zero-voter config joint".into()
            }
            (_, Ok(new)) => self.become_configuration(new),
            ("simple", Err(ChangeError::Nothing)) => {
                differences.nothing += 1;
                self.show()
            }
            ("enter-joint", Err(ChangeError::Nothing)) => {
                differences.joint_without_need += 1;
                if self.configuration.is_empty() {
                    return "can't make a zero-voter config joint".into();
                }
                self.theirs = Theirs::Joint;
                self.show()
            }
            ("simple", Err(ChangeError::Joint)) => {
                "can't apply simple config change in joint config".into()
            }
            ("enter-joint", Err(ChangeError::Joint)) => "config is already joint".into(),
            (_, Err(ChangeError::NotJoint)) => "can't leave a non-joint config".into(),
            (_, Err(ChangeError::NoVoters)) => "removed all voters".into(),
            (directive, Err(error)) => panic!("{directive} {steps:?}: {error}"),
        }
    }

    /// What the file expects where Holm cannot be.
    fn run_theirs(&mut self, directive: &str) -> String {
        match directive {
            "enter-joint" => "config is already joint".into(),
            "leave-joint" => {
                self.theirs = Theirs::AsHere;
                self.show()
            }
            other => panic!("the files have no {other} here"),
        }
    }

    fn become_configuration(&mut self, new: Configuration) -> String {
        self.configuration = new;
        let members: Vec<u64> = self.configuration.members().map(|(m, _)| m.id.node.0).collect();
        self.since.retain(|id, _| members.contains(id));
        for id in members {
            self.since.entry(id).or_insert(self.cases);
        }
        self.show()
    }

    fn show(&self) -> String {
        let with = |wanted: &[Standing]| {
            let members = self.configuration.members();
            let members = members.filter(|(_, standing)| wanted.contains(standing));
            let ids: Vec<String> = members.map(|(m, _)| m.id.node.to_string()).collect();
            format!("({})", ids.join(" "))
        };
        let mut text = format!("voters={}", with(&[Standing::Voter, Standing::Incoming]));
        if self.configuration.is_joint() {
            let old = [Standing::Voter, Standing::Outgoing, Standing::Demoted];
            write!(text, "&&{}", with(&old)).expect("a string takes all");
        } else if self.theirs == Theirs::Joint {
            write!(text, "&&{}", with(&[Standing::Voter])).expect("a string takes all");
        }
        for (name, standing) in
            [("learners", Standing::Learner), ("learners_next", Standing::Demoted)]
        {
            let ids = with(&[standing]);
            if ids != "()" {
                write!(text, " {name}={ids}").expect("a string takes all");
            }
        }
        if self.configuration.is_joint() && self.configuration.leave() == Leave::Automatic {
            text.push_str(" autoleave");
        }
        text.push('\n');
        for (member, standing) in self.configuration.members() {
            let id = member.id.node.0;
            let learner = if *standing == Standing::Learner { " learner" } else { "" };
            let since = self.since[&id];
            writeln!(text, "{id}: StateProbe match=0 next={since}{learner}")
                .expect("a string takes all");
        }
        text
    }
}

/// `v3`, `l3` or `r3`.
fn step(word: &str, differences: &mut Differences) -> Option<Step> {
    let (letter, id) = word.split_at(1);
    let id: u64 = id.parse().expect("an id");
    if id == 0 {
        differences.zero += 1;
        return None;
    }
    Some(match letter {
        "v" => Step::Voter(member(id)),
        "l" => Step::Learner(member(id)),
        "r" => Step::Remove(NodeId(id)),
        other => panic!("unknown step {other}"),
    })
}
