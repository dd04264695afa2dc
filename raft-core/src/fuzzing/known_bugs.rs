//! Schedules from the literature that a correct core survives, each built step by step so that the
//! bug it is known for would show.

use super::cluster::Cluster;
use crate::{Body, EntryId, Event, Index, Leave, Member, Message, RequestNumber, Step, Term};
use bytes::Bytes;
use std::vec::Vec;

/// Members that ask nobody before they campaign, and appends of one entry each.
const EAGER: u64 = 5;

/// `voters` of `count` members have formed a cluster and committed its configuration.
fn formed(count: u64, voters: u64) -> (Cluster, usize) {
    let mut cluster = Cluster::new(count, voters, EAGER);
    cluster.settle(100);
    let leader = cluster.leader().expect("somebody leads");
    (cluster, leader)
}

fn others(cluster: &Cluster, leader: usize) -> Vec<usize> {
    (0..cluster.nodes.len()).filter(|at| *at != leader).collect()
}

fn term(cluster: &Cluster, at: usize) -> Term {
    cluster.nodes[at].raft.status().term
}

fn leads(cluster: &Cluster, at: usize) -> bool {
    cluster.nodes[at].raft.status().role == "leader"
}

/// `at` campaigns in a term that is new to `voters`, none of whom hears a leader.
fn campaign(cluster: &mut Cluster, at: usize, voters: &[usize]) {
    for voter in voters {
        cluster.wait(*voter, 15);
        while leads(cluster, *voter) {
            cluster.tick(*voter);
        }
    }
    loop {
        // A member whose last vote for itself is not durable waits for that first.
        cluster.acknowledge(at);
        cluster.lose_all();
        cluster.hurry(at);
        if voters.iter().all(|voter| term(cluster, *voter) < term(cluster, at)) {
            break;
        }
    }
    cluster.acknowledge(at);
}

/// `at` campaigns in a new term and gets the votes of `voters`; nobody else hears of it.
fn elect(cluster: &mut Cluster, at: usize, voters: &[usize]) {
    campaign(cluster, at, voters);
    for voter in voters {
        cluster.pass(at, *voter, |_| true);
        cluster.acknowledge(*voter);
        cluster.pass(*voter, at, |_| true);
    }
    assert!(leads(cluster, at), "{cluster:?}");
    cluster.acknowledge(at);
    cluster.lose_all();
}

pub(super) fn figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting() {
    let (mut cluster, one) = formed(3, 3);
    let [two, three] = others(&cluster, one)[..] else { unreachable!() };
    cluster.propose(one);
    cluster.acknowledge(one);
    let early = cluster.nodes[one].raft.status().last;
    elect(&mut cluster, three, &[two]);
    cluster.wait(one, 40);
    elect(&mut cluster, one, &[two]);
    // The entry of the first term reaches a majority; the one of this term, behind it, does not.
    for _ in 0..12 {
        cluster.tick(one);
        let behind = cluster.nodes[two].raft.status().last < early;
        cluster.pass(one, two, |_| behind);
        cluster.acknowledge(two);
        cluster.pass(two, one, |_| true);
    }
    assert_eq!(cluster.nodes[two].raft.status().last, early, "{cluster:?}");
    cluster.lose_all();
    cluster.wait(three, 40);
    elect(&mut cluster, three, &[two]);
    cluster.settle(100);
    assert!(cluster.agrees());
}

pub(super) fn a_vote_that_is_not_durable_is_not_counted() {
    let (mut cluster, old) = formed(3, 3);
    let [first, voter] = others(&cluster, old)[..] else { unreachable!() };
    campaign(&mut cluster, first, &[voter]);
    let contested = term(&cluster, first);
    cluster.pass(first, voter, |_| true);
    cluster.pass(voter, first, |_| true);
    // The power fails before the vote is on the disk: the voter may vote again.
    cluster.crash(voter, 0);
    cluster.lose_all();
    cluster.wait(old, 16);
    cluster.wait(voter, 15);
    while term(&cluster, old) < contested {
        cluster.acknowledge(old);
        cluster.hurry(old);
    }
    cluster.lose_all();
    cluster.acknowledge(old);
    cluster.pass(old, voter, |_| true);
    cluster.acknowledge(voter);
    cluster.pass(voter, old, |_| true);
    cluster.settle(100);
    assert!(cluster.agrees());
}

/// `first` leads in a new term by the vote of `voter`, of which `count` writes are durable.
fn elect_by_one(cluster: &mut Cluster, first: usize, voter: usize, count: usize) {
    campaign(cluster, first, &[voter]);
    cluster.acknowledge(voter);
    cluster.pass(first, voter, |_| true);
    for _ in 0..count {
        cluster.acknowledge_oldest(voter);
    }
    cluster.pass(voter, first, |_| true);
    assert!(leads(cluster, first), "one vote in its term is enough: {cluster:?}");
    cluster.acknowledge(first);
}

/// `second` asks `voter`, whose power just failed, for its vote in the term that `first` leads.
fn ask_again(cluster: &mut Cluster, second: usize, voter: usize, first: usize) {
    cluster.crash(voter, 0);
    cluster.lose_all();
    cluster.wait(second, 16);
    cluster.wait(voter, 15);
    while term(cluster, second) < term(cluster, first) {
        cluster.acknowledge(second);
        cluster.hurry(second);
    }
    cluster.lose_all();
    cluster.acknowledge(second);
    cluster.pass(second, voter, |_| true);
    cluster.acknowledge(voter);
    cluster.pass(voter, second, |_| true);
}

pub(super) fn a_vote_binds_whoever_comes_back_after_a_crash() {
    let (mut cluster, old) = formed(3, 3);
    let [first, voter] = others(&cluster, old)[..] else { unreachable!() };
    elect_by_one(&mut cluster, first, voter, 1);
    ask_again(&mut cluster, old, voter, first);
    cluster.settle(100);
    assert!(cluster.agrees());
}

pub(super) fn a_vote_binds_whoever_has_followed_its_candidate_since() {
    let (mut cluster, old) = formed(3, 3);
    let [first, voter] = others(&cluster, old)[..] else { unreachable!() };
    elect_by_one(&mut cluster, first, voter, 2);
    // It hears that its candidate leads, and nothing that would make its log the longer one.
    for _ in 0..4 {
        cluster.tick(first);
        cluster.pass(first, voter, |body| matches!(body, Body::Heartbeat { .. }));
        cluster.acknowledge(voter);
    }
    ask_again(&mut cluster, old, voter, first);
    cluster.settle(100);
    assert!(cluster.agrees());
}

pub(super) fn a_voter_that_restarts_keeps_the_promise_that_a_lease_stands_on() {
    let (mut cluster, leader) = formed(3, 3);
    let [voter, other] = others(&cluster, leader)[..] else { unreachable!() };
    cluster.lose_all();
    // A round that the voter answers: from now on there is a lease.
    cluster.run_between(leader, voter, 3);
    cluster.crash(voter, 0);
    cluster.lose_all();
    cluster.nodes[other].raft.set_election_timeout(1);
    cluster.tick(other);
    cluster.acknowledge(other);
    cluster.pass(other, voter, |_| true);
    cluster.acknowledge(voter);
    cluster.pass(voter, other, |_| true);
    cluster.propose(other);
    cluster.run_between(other, voter, 2);
    cluster.read_by_lease(leader);
    assert_eq!(cluster.outcome().leased, 1, "the lease still runs: {cluster:?}");
    cluster.settle(100);
    assert!(cluster.agrees());
}

pub(super) fn a_wiped_member_never_helps_to_lose_what_it_acknowledged() {
    let (mut cluster, leader) = formed(3, 3);
    let [wiped, behind] = others(&cluster, leader)[..] else { unreachable!() };
    cluster.lose_all();
    cluster.propose(leader);
    cluster.run_between(leader, wiped, 4);
    let committed = cluster.last_committed();
    assert!(cluster.nodes[behind].raft.status().last.index < committed, "{cluster:?}");
    cluster.wipe(wiped);
    assert_eq!(cluster.outcome().wiped, 1);
    campaign(&mut cluster, behind, &[wiped]);
    cluster.pass(behind, wiped, |_| true);
    cluster.acknowledge(wiped);
    cluster.pass(wiped, behind, |_| true);
    cluster.settle(100);
    cluster.replace_all();
    assert!(cluster.agrees());
    assert_eq!((cluster.outcome().replaced, cluster.outcome().returned), (1, 1));
}

pub(super) fn a_transfer_never_goes_on_with_the_bytes_of_another_snapshot() {
    let (mut cluster, one) = formed(3, 3);
    let [two, lagging] = others(&cluster, one)[..] else { unreachable!() };
    cluster.cut = Some(cluster.nodes[lagging].me);
    cluster.propose(one);
    cluster.run(10);
    assert_eq!(cluster.nodes[one].applied, cluster.nodes[two].applied);
    // Both freeze the same state, into other bytes.
    cluster.snapshot_of(one, 1);
    cluster.snapshot_of(two, 2);
    cluster.lose_all();
    // Two of the three pieces of the first one arrive.
    let first_two = |body: &Body| !matches!(body, Body::Snapshot(chunk) if chunk.end() > 8);
    for _ in 0..30 {
        cluster.tick(one);
        cluster.pass(one, lagging, first_two);
        cluster.acknowledge(lagging);
        cluster.pass(lagging, one, |_| true);
    }
    let arrived = cluster.nodes[lagging].durable.partial.as_ref().map(|(part, _)| part.stored);
    assert_eq!(arrived, Some(8), "{cluster:?}");
    let to = cluster.nodes[two].me.node;
    cluster.handle(one, Event::Transfer { to });
    cluster.run(5);
    assert!(leads(&cluster, two), "{cluster:?}");
    cluster.settle(100);
    assert!(cluster.agrees());
}

pub(super) fn an_acknowledged_write_says_nothing_of_what_took_its_place() {
    let (mut cluster, one) = formed(5, 5);
    let [two, three, four, five] = others(&cluster, one)[..] else { unreachable!() };
    // An entry of the first leader is on its way to the disk of the third member.
    cluster.propose(one);
    cluster.pass(one, three, |_| true);
    let replaced = cluster.nodes[three].raft.status().last;
    elect(&mut cluster, two, &[four, five]);
    // Another one takes its place: first on the others, who commit it, then there.
    cluster.run_between(two, four, 6);
    cluster.run_between(two, five, 6);
    assert!(cluster.nodes[two].raft.status().committed >= replaced.index, "{cluster:?}");
    cluster.lose_all();
    for _ in 0..12 {
        cluster.tick(two);
        cluster.pass(two, three, |_| true);
        cluster.pass(three, two, |_| true);
        cluster.run_between(two, four, 1);
        cluster.run_between(two, five, 1);
    }
    assert_ne!(cluster.nodes[three].raft.status().last, replaced, "{cluster:?}");
    cluster.acknowledge_oldest(three);
    cluster.settle(60);
    assert!(cluster.agrees());
}

pub(super) fn no_member_changes_the_configuration_before_it_has_committed_in_its_term() {
    let (mut cluster, one) = formed(5, 4);
    let [two, three, four] = others(&cluster, one)[..3] else { unreachable!() };
    let add = |cluster: &mut Cluster, at: usize, step: Step| {
        let (number, leave) = (RequestNumber(900), Leave::Automatic);
        let event = Event::Change { number, expected: None, steps: [step].into(), leave };
        cluster.handle(at, event);
    };
    let fifth = Member { id: cluster.nodes[4].me, info: Bytes::new() };
    add(&mut cluster, one, Step::Learner(fifth.clone()));
    cluster.settle(20);
    // The first leader lets the fifth member in as a voter, and nobody hears of it but that one.
    add(&mut cluster, one, Step::Voter(fifth));
    cluster.acknowledge(one);
    for _ in 0..30 {
        cluster.tick(one);
        cluster.pass(one, 4, |_| true);
        cluster.acknowledge(4);
        cluster.pass(4, one, |_| true);
    }
    cluster.lose_all();
    // The second removes the first one, without having committed anything in its own term.
    elect(&mut cluster, two, &[three, four]);
    let removal = Step::Remove(cluster.nodes[one].me.node);
    add(&mut cluster, two, removal);
    cluster.acknowledge(two);
    cluster.run_between(two, three, 10);
    // The first one comes back with the votes of those that know nothing of its removal.
    cluster.lose_all();
    cluster.wait(one, 40);
    cluster.wait(4, 15);
    campaign(&mut cluster, one, &[4, four]);
    for voter in [4, four] {
        cluster.pass(one, voter, |_| true);
        cluster.acknowledge(voter);
        cluster.pass(voter, one, |_| true);
    }
    cluster.settle(100);
    assert!(cluster.agrees());
}

pub(super) fn an_answer_of_another_incarnation_counts_for_nothing() {
    let (mut cluster, leader) = formed(3, 3);
    let [two, three] = others(&cluster, leader)[..] else { unreachable!() };
    cluster.cut = Some(cluster.nodes[two].me);
    cluster.lose_all();
    cluster.propose(leader);
    cluster.acknowledge(leader);
    let EntryId { term, index } = cluster.nodes[leader].raft.status().last;
    let committed = cluster.nodes[leader].raft.status().committed;
    let mut from = cluster.nodes[three].me;
    from.incarnation.0 += 1;
    let to = cluster.nodes[leader].me;
    let message = Message { from, to, term, body: Body::Appended { matched: index } };
    cluster.handle(leader, Event::Message(message));
    let status = cluster.nodes[leader].raft.status();
    assert_eq!((status.committed, status.dropped.stranger), (committed, 1));
    assert_ne!(status.committed, Index(0));
}

/// All of them, by name, for the mutation table.
pub(super) const ALL: [(&str, fn()); 10] = [
    (
        "figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting",
        figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting,
    ),
    ("a_vote_that_is_not_durable_is_not_counted", a_vote_that_is_not_durable_is_not_counted),
    (
        "a_vote_binds_whoever_comes_back_after_a_crash",
        a_vote_binds_whoever_comes_back_after_a_crash,
    ),
    (
        "a_vote_binds_whoever_has_followed_its_candidate_since",
        a_vote_binds_whoever_has_followed_its_candidate_since,
    ),
    (
        "a_voter_that_restarts_keeps_the_promise_that_a_lease_stands_on",
        a_voter_that_restarts_keeps_the_promise_that_a_lease_stands_on,
    ),
    (
        "a_wiped_member_never_helps_to_lose_what_it_acknowledged",
        a_wiped_member_never_helps_to_lose_what_it_acknowledged,
    ),
    (
        "a_transfer_never_goes_on_with_the_bytes_of_another_snapshot",
        a_transfer_never_goes_on_with_the_bytes_of_another_snapshot,
    ),
    (
        "an_acknowledged_write_says_nothing_of_what_took_its_place",
        an_acknowledged_write_says_nothing_of_what_took_its_place,
    ),
    (
        "no_member_changes_the_configuration_before_it_has_committed_in_its_term",
        no_member_changes_the_configuration_before_it_has_committed_in_its_term,
    ),
    (
        "an_answer_of_another_incarnation_counts_for_nothing",
        an_answer_of_another_incarnation_counts_for_nothing,
    ),
];

#[test]
fn schedules_of_known_bugs_do_no_harm() {
    for (_, schedule) in ALL {
        schedule();
    }
}
