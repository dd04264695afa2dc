//! Changes of the members, hand-overs, leases and limits, each in a cluster in memory: what is
//! promised of them, one test a promise.

use super::cluster::Cluster;
use crate::{
    ChangeError, Event, Fate, Index, Leave, Member, NodeId, RequestNumber, Standing, Step,
};
use bytes::Bytes;
use std::vec::Vec;

/// All of them, by name, for the mutation table.
pub(super) const ALL: [(&str, fn()); 11] = [
    (
        "a_joint_configuration_is_in_force_at_once_and_ends_by_itself",
        a_joint_configuration_is_in_force_at_once_and_ends_by_itself,
    ),
    (
        "a_joint_configuration_ends_when_asked_if_that_was_wanted",
        a_joint_configuration_ends_when_asked_if_that_was_wanted,
    ),
    (
        "a_removed_leader_leads_until_its_removal_is_committed_and_then_steps_down",
        a_removed_leader_leads_until_its_removal_is_committed_and_then_steps_down,
    ),
    (
        "a_learner_that_is_to_join_votes_once_it_has_caught_up_and_not_before",
        a_learner_that_is_to_join_votes_once_it_has_caught_up_and_not_before,
    ),
    (
        "a_change_is_refused_by_a_follower_and_where_the_configuration_has_moved",
        a_change_is_refused_by_a_follower_and_where_the_configuration_has_moved,
    ),
    (
        "a_leader_hands_over_to_whom_it_is_asked_to_and_takes_no_proposals_meanwhile",
        a_leader_hands_over_to_whom_it_is_asked_to_and_takes_no_proposals_meanwhile,
    ),
    (
        "a_hand_over_that_comes_to_nothing_is_given_up_and_proposals_are_taken_again",
        a_hand_over_that_comes_to_nothing_is_given_up_and_proposals_are_taken_again,
    ),
    (
        "a_lease_serves_at_once_while_it_runs_and_never_after_a_hand_over_began",
        a_lease_serves_at_once_while_it_runs_and_never_after_a_hand_over_began,
    ),
    ("a_lease_ends_with_leadership", a_lease_ends_with_leadership),
    (
        "what_is_not_committed_is_limited_in_bytes_and_a_proposal_beyond_is_refused",
        what_is_not_committed_is_limited_in_bytes_and_a_proposal_beyond_is_refused,
    ),
    ("a_leader_whose_disk_hangs_hands_over", a_leader_whose_disk_hangs_hands_over),
];

/// Five members, of whom three have formed a cluster, with a leader that has committed something.
fn settled() -> (Cluster, usize) {
    let mut cluster = Cluster::new(5, 3, 0);
    cluster.settle(100);
    cluster.propose_everywhere();
    cluster.settle(20);
    let leader = cluster.leader().expect("somebody leads");
    (cluster, leader)
}

fn member(cluster: &Cluster, at: usize) -> Member {
    Member { id: cluster.nodes[at].me, info: Bytes::new() }
}

fn standing(cluster: &Cluster, seen_by: usize, of: usize) -> Option<Standing> {
    cluster.nodes[seen_by].raft.configuration().standing(cluster.nodes[of].me)
}

fn change(cluster: &mut Cluster, at: usize, steps: Vec<Step>, leave: Leave) -> Changed {
    let event = Event::Change { number: RequestNumber(900), expected: None, steps, leave };
    cluster.handle(at, event);
    cluster.changes.last().copied().expect("a change is answered at once")
}

type Changed = Result<crate::EntryId, ChangeError>;

#[test]
fn a_joint_configuration_is_in_force_at_once_and_ends_by_itself() {
    let (mut cluster, leader) = settled();
    for at in [3, 4] {
        let learn = Step::Learner(member(&cluster, at));
        change(&mut cluster, leader, [learn].into(), Leave::Automatic).unwrap();
        cluster.settle(20);
    }
    let steps = [3, 4].map(|at| Step::Voter(member(&cluster, at))).into();
    change(&mut cluster, leader, steps, Leave::Automatic).unwrap();
    assert!(cluster.nodes[leader].raft.configuration().is_joint(), "applied when appended");
    let again = change(&mut cluster, leader, [].into(), Leave::Automatic);
    assert_eq!(again, Err(ChangeError::Pending), "one at a time");
    cluster.settle(20);
    for at in 0..5 {
        let configuration = cluster.nodes[at].raft.configuration();
        assert!(!configuration.is_joint(), "left by itself");
        assert_eq!(configuration.new_voters().count(), 5);
    }
}

#[test]
fn a_joint_configuration_ends_when_asked_if_that_was_wanted() {
    let (mut cluster, leader) = settled();
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    let steps = others.iter().map(|at| Step::Remove(cluster.nodes[*at].me.node)).collect();
    change(&mut cluster, leader, steps, Leave::Asked).unwrap();
    cluster.settle(20);
    assert!(cluster.nodes[leader].raft.configuration().is_joint());
    cluster.handle(leader, Event::LeaveJoint { number: RequestNumber(901) });
    cluster.settle(20);
    assert_eq!(cluster.nodes[leader].raft.configuration().voters().count(), 1);
    let before = cluster.outcome().committed;
    cluster.propose(leader);
    cluster.settle(5);
    assert_eq!(cluster.outcome().committed, before + 1, "one voter commits alone");
}

#[test]
fn a_removed_leader_leads_until_its_removal_is_committed_and_then_steps_down() {
    let (mut cluster, leader) = settled();
    let removal = [Step::Remove(cluster.nodes[leader].me.node)].into();
    let removed_at = change(&mut cluster, leader, removal, Leave::Automatic).unwrap();
    assert_eq!(cluster.nodes[leader].raft.status().role, "leader");
    cluster.settle(100);
    let status = cluster.nodes[leader].raft.status();
    assert_ne!(status.role, "leader");
    assert!(status.committed >= removed_at.index, "it led until then");
    let next = cluster.leader().expect("the others go on");
    assert_ne!(next, leader);
}

#[test]
fn a_learner_that_is_to_join_votes_once_it_has_caught_up_and_not_before() {
    let (mut cluster, leader) = settled();
    cluster.cut = Some(cluster.nodes[3].me);
    let join = [Step::Joining(member(&cluster, 3))].into();
    change(&mut cluster, leader, join, Leave::Automatic).unwrap();
    for _ in 0..200 {
        cluster.propose(leader);
    }
    cluster.run(50);
    assert_eq!(standing(&cluster, leader, 3), Some(Standing::Joining), "it holds nothing yet");
    let ask = [Step::Voter(member(&cluster, 3))].into();
    let asked = change(&mut cluster, leader, ask, Leave::Automatic);
    assert_eq!(asked, Err(ChangeError::Behind(NodeId(4))));
    cluster.settle(60);
    assert_eq!(standing(&cluster, leader, 3), Some(Standing::Voter));
}

#[test]
fn a_change_is_refused_by_a_follower_and_where_the_configuration_has_moved() {
    let (mut cluster, leader) = settled();
    let step: Vec<Step> = [Step::Learner(member(&cluster, 3))].into();
    let follower = (leader + 1) % 3;
    let asked = change(&mut cluster, follower, step.clone(), Leave::Automatic);
    assert_eq!(asked, Err(ChangeError::NotLeader));
    let (number, leave) = (RequestNumber(902), Leave::Automatic);
    let expected = Some(Index(9));
    cluster.handle(leader, Event::Change { number, expected, steps: step, leave });
    assert_eq!(cluster.changes.last(), Some(&Err(ChangeError::Moved(Index(1)))));
}

#[test]
fn a_leader_hands_over_to_whom_it_is_asked_to_and_takes_no_proposals_meanwhile() {
    let (mut cluster, leader) = settled();
    let to = (leader + 1) % 3;
    let term = cluster.nodes[leader].raft.status().term;
    let node = cluster.nodes[to].me.node;
    cluster.cut = Some(cluster.nodes[to].me);
    cluster.propose(leader);
    cluster.handle(leader, Event::Transfer { to: node });
    cluster.propose(leader);
    assert_eq!(cluster.fates.last(), Some(&Fate::Refused), "refused, not lost");
    cluster.cut = None;
    cluster.settle(10);
    let status = cluster.nodes[to].raft.status();
    assert_eq!((status.role, status.term), ("leader", term.next()), "without a pre-vote");
    cluster.propose(to);
    cluster.settle(5);
    assert!(cluster.agrees());
}

#[test]
fn a_hand_over_that_comes_to_nothing_is_given_up_and_proposals_are_taken_again() {
    let (mut cluster, leader) = settled();
    let to = (leader + 1) % 3;
    cluster.cut = Some(cluster.nodes[to].me);
    cluster.propose(leader);
    let node = cluster.nodes[to].me.node;
    cluster.handle(leader, Event::Transfer { to: node });
    cluster.run(20);
    cluster.propose(leader);
    assert!(matches!(cluster.fates.last(), Some(Fate::Appended(_))), "{:?}", cluster.fates.last());
}

#[test]
fn a_lease_serves_at_once_while_it_runs_and_never_after_a_hand_over_began() {
    let (mut cluster, leader) = settled();
    let read = |cluster: &mut Cluster, after: u64| {
        let before = cluster.reads.len();
        let now = cluster.now + after;
        cluster.handle(leader, Event::ReadByLease { number: RequestNumber(903), now });
        cluster.reads.len() > before
    };
    assert!(read(&mut cluster, 0), "a round was just confirmed");
    // 14 ticks of 3 ms.
    assert!(!read(&mut cluster, 42), "it has run out: a round is asked for");
    cluster.settle(5);
    assert!(read(&mut cluster, 0));
    let to = cluster.nodes[(leader + 1) % 3].me.node;
    cluster.cut = Some(cluster.nodes[(leader + 1) % 3].me);
    cluster.handle(leader, Event::Transfer { to });
    assert!(!read(&mut cluster, 0), "the next leader may come forward at any time");
    cluster.run(30);
    assert!(!read(&mut cluster, 0), "in this term there is no lease any more");
}

#[test]
fn a_lease_ends_with_leadership() {
    let (mut cluster, leader) = settled();
    let to = cluster.nodes[(leader + 1) % 3].me.node;
    cluster.handle(leader, Event::Transfer { to });
    cluster.settle(2);
    assert_ne!(cluster.leader(), Some(leader), "handed over");
    let before = cluster.reads.len();
    cluster.handle(leader, Event::ReadByLease { number: RequestNumber(905), now: cluster.now });
    assert_eq!(cluster.reads.len(), before, "it has to ask who leads now");
    cluster.settle(5);
    assert!(cluster.reads.contains(&(RequestNumber(905), Some(cluster.last_committed()))));
}

#[test]
fn what_is_not_committed_is_limited_in_bytes_and_a_proposal_beyond_is_refused() {
    let (mut cluster, leader) = settled();
    for at in (0..3).filter(|at| *at != leader) {
        cluster.lose_all_to(at);
    }
    let number = RequestNumber(904);
    let data = Bytes::from(std::vec![7; 24 << 20]);
    for expected in [true, true, false] {
        cluster.handle(leader, Event::Propose { number, data: data.clone() });
        let appended = matches!(cluster.fates.last(), Some(Fate::Appended(_)));
        assert_eq!(appended, expected, "64 MiB hold two of them");
    }
    cluster.settle(30);
    cluster.handle(leader, Event::Propose { number, data });
    assert!(matches!(cluster.fates.last(), Some(Fate::Appended(_))), "committed, so there is room");
}

#[test]
fn a_leader_whose_disk_hangs_hands_over() {
    let (mut cluster, leader) = settled();
    let hung = Some(leader);
    cluster.propose(leader);
    for _ in 0..150 {
        cluster.now += 10;
        for at in 0..3 {
            cluster.handle(at, Event::Tick { now: cluster.now });
        }
        while cluster.work_but(hung) {}
    }
    let next = cluster.leader().expect("another one leads");
    assert_ne!(next, leader);
}
