//! The same random configurations, acknowledgements and votes to Holm and to crate `raft`: equal
//! answers.
#![forbid(unsafe_code)]

mod adapter;

use adapter::{Ids, configuration, member};
use holm_raft_core::quorum;
use holm_raft_core::{ChangeError, Configuration, Index, Leave, NodeId, Standing, Step};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use raft::eraftpb::{ConfChangeSingle, ConfChangeType};
use raft::{Changer, ProgressTracker};

/// Ids are drawn from so few that the halves of a joint configuration often overlap.
const IDS: std::ops::RangeInclusive<u64> = 1..=9;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn both_commit_the_same_index(
        incoming in btree_set(IDS, 1..=9),
        outgoing in btree_set(IDS, 0..=9),
        matched in btree_map(IDS, 0_u64..6, 0..=9),
    ) {
        let at = |id: u64| matched.get(&id).copied().unwrap_or(0);
        let holm = quorum::committed(&configuration(&incoming, &outgoing), |id| Index(at(id.0)));
        let mut tracker = tracker(&incoming, &outgoing);
        for (id, progress) in tracker.iter_mut() {
            progress.matched = at(*id);
        }
        prop_assert_eq!(holm.0, tracker.maximal_committed_index().0);
    }

    #[test]
    fn both_judge_a_vote_alike(
        incoming in btree_set(IDS, 1..=9),
        outgoing in btree_set(IDS, 0..=9),
        votes in btree_map(IDS, any::<bool>(), 0..=9),
    ) {
        let given = votes.iter().map(|(id, vote)| (NodeId(*id), *vote)).collect();
        let holm = quorum::tally(&configuration(&incoming, &outgoing), &given);
        let mut tracker = tracker(&incoming, &outgoing);
        for (id, vote) in &votes {
            tracker.record_vote(*id, *vote);
        }
        prop_assert_eq!(adapter::name(holm), tracker.tally_votes().2.to_string());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Holm goes through a joint configuration by itself, whenever the other crate insists on one,
    /// and refuses a change that changes nothing.
    #[test]
    fn both_change_the_configuration_alike(
        voters in btree_set(IDS, 1..=5),
        changes in vec(vec((0..3_u8, IDS), 1..=5), 1..=8),
    ) {
        let mut holm = configuration(&voters, &Ids::new());
        let mut theirs = tracker(&voters, &Ids::new());
        for change in changes {
            let (steps, singles): (Vec<Step>, Vec<ConfChangeSingle>) =
                change.into_iter().map(|(what, id)| step(what, id)).unzip();
            let simple = Changer::new(&theirs).simple(&singles);
            match holm.change(&steps, Leave::Automatic) {
                Ok(new) if new.is_joint() => {
                    prop_assert!(simple.is_err());
                    let (configuration, changes) =
                        Changer::new(&theirs).enter_joint(true, &singles).expect("as in Holm");
                    theirs.apply_conf(configuration, changes, 1);
                    prop_assert_eq!(ids(&new), ids_of(&theirs));
                    prop_assert_eq!(new.change(&steps, Leave::Asked), Err(ChangeError::Joint));
                    holm = new.left().expect("it is joint");
                    let (configuration, changes) =
                        Changer::new(&theirs).leave_joint().expect("it is joint");
                    theirs.apply_conf(configuration, changes, 1);
                }
                Ok(new) => {
                    let (configuration, changes) = simple.expect("as in Holm");
                    theirs.apply_conf(configuration, changes, 1);
                    holm = new;
                }
                Err(ChangeError::Nothing) => {
                    let (configuration, changes) = simple.expect("it does not mind");
                    theirs.apply_conf(configuration, changes, 1);
                }
                Err(ChangeError::NoVoters) => {
                    prop_assert!(simple.is_err());
                    prop_assert!(Changer::new(&theirs).enter_joint(true, &singles).is_err());
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
            prop_assert_eq!(ids(&holm), ids_of(&theirs));
        }
    }
}

/// New voters, old voters while joint, learners, and voters that become learners.
fn ids(configuration: &Configuration) -> [Ids; 4] {
    let with = |wanted: Standing| {
        let members = configuration.members().filter(move |(_, standing)| *standing == wanted);
        members.map(|(member, _)| member.id.node.0).collect()
    };
    let old = configuration.old_voters().filter(|_| configuration.is_joint());
    [
        configuration.new_voters().map(|node| node.0).collect(),
        old.map(|node| node.0).collect(),
        with(Standing::Learner),
        with(Standing::Demoted),
    ]
}

/// The same of crate `raft`.
fn ids_of(tracker: &ProgressTracker) -> [Ids; 4] {
    let state = tracker.conf().to_conf_state();
    [state.voters, state.voters_outgoing, state.learners, state.learners_next]
        .map(|ids| ids.into_iter().collect())
}

fn step(what: u8, id: u64) -> (Step, ConfChangeSingle) {
    match what {
        0 => (Step::Voter(member(id)), single(ConfChangeType::AddNode, id)),
        1 => (Step::Learner(member(id)), single(ConfChangeType::AddLearnerNode, id)),
        _ => (Step::Remove(NodeId(id)), single(ConfChangeType::RemoveNode, id)),
    }
}

/// What crate `raft` keeps for a leader of that configuration.
fn tracker(incoming: &Ids, outgoing: &Ids) -> ProgressTracker {
    let start = if outgoing.is_empty() { incoming } else { outgoing };
    let mut tracker = ProgressTracker::new(1);
    for id in start {
        let change = [single(ConfChangeType::AddNode, *id)];
        let (configuration, changes) = Changer::new(&tracker).simple(&change).expect("one voter");
        tracker.apply_conf(configuration, changes, 1);
    }
    if !outgoing.is_empty() {
        let added = incoming.iter().map(|id| single(ConfChangeType::AddNode, *id));
        let removed = outgoing.difference(incoming);
        let removed = removed.map(|id| single(ConfChangeType::RemoveNode, *id));
        let steps: Vec<_> = added.chain(removed).collect();
        let joint = Changer::new(&tracker).enter_joint(true, &steps);
        let (configuration, changes) = joint.expect("voters remain");
        tracker.apply_conf(configuration, changes, 1);
    }
    tracker
}

fn single(what: ConfChangeType, node_id: u64) -> ConfChangeSingle {
    let mut change = ConfChangeSingle::default();
    change.set_change_type(what);
    change.node_id = node_id;
    change
}
