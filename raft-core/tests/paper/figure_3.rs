//! Figure 3, the five properties that hold at all times. The harness asserts them after each step;
//! here each is put to the test by what would break it.

use crate::harness::{Cluster, ids};

/// "Election Safety: at most one leader can be elected in a given term. §5.2"
#[test]
fn a_term_has_at_most_one_leader() {
    // Both campaign in term 2; member 3 has one vote, and the requests arrive in either order.
    for (first, second) in [(1, 2), (2, 1)] {
        let mut cluster = Cluster::of("nodes 3; silence 3; campaign 1; campaign 2");
        cluster.run("deliver * * pre-vote; deliver * * pre-voted");
        assert_eq!([cluster.status(1).role, cluster.status(2).role], ["candidate"; 2]);
        cluster.run(&format!("deliver {first} 3; deliver {second} 3; deliver 3; stabilize"));
        assert_eq!((cluster.status(first).role, cluster.status(first).term.0), ("leader", 2));
        assert_eq!(cluster.status(second).role, "follower");
    }
}

/// "Leader Append-Only: a leader never overwrites or deletes entries in its log; it only appends
/// new entries. §5.3"
#[test]
fn a_leader_only_appends() {
    let mut cluster = Cluster::of("nodes 3; elect 1; propose 1 a; stabilize; propose 1 b");
    let before = cluster.log(1);
    cluster.run("send 2->1 term=2 append prev=2@2 commit=2 3@2:other");
    cluster.run("send 2->1 term=2 rejected prev=3 hint=0@0; stabilize; propose 1 c");
    assert!(cluster.log(1).starts_with(&before));
    assert_eq!(cluster.log(1), ids("1@1 2@2 3@2 4@2 5@2"));
}

/// "Log Matching: if two logs contain an entry with the same index and term, then the logs are
/// identical in all entries up through the given index. §5.3"
#[test]
fn an_entry_is_taken_only_behind_the_one_it_follows() {
    let mut cluster = Cluster::of("nodes 3; load 1 term=5 1 2 4; load 2 term=5 1 3; silence 2 3");
    cluster.run("campaign 1; stabilize; propose 1 a; stabilize");
    for node in 1..=3 {
        assert_eq!(cluster.log(node), ids("1@1 2@2 3@4 4@6 5@6"));
    }
}

/// "Leader Completeness: if a log entry is committed in a given term, then that entry will be
/// present in the logs of the leaders for all higher-numbered terms. §5.4"
#[test]
fn whoever_lacks_a_committed_entry_does_not_lead() {
    let mut cluster = Cluster::of("nodes 3; elect 1; isolate 3; propose 1 a; stabilize; crash 1");
    assert_eq!(cluster.state(2), "a", "committed by 1 and 2");
    cluster.run("heal; silence 2; campaign 3; stabilize; campaign 3; stabilize");
    assert_ne!(cluster.status(3).role, "leader");
    cluster.run("campaign 2; stabilize");
    assert_eq!(cluster.status(2).role, "leader");
    assert_eq!(cluster.state(3), "a");
}

/// "State Machine Safety: if a server has applied a log entry at a given index to its state
/// machine, no other server will ever apply a different log entry for the same index. §5.4.3"
#[test]
fn an_applied_entry_is_never_another_elsewhere() {
    let mut cluster = Cluster::of("nodes 3; elect 1; propose 1 a; stabilize; isolate 1");
    cluster.run("propose 1 lost; elect 2; propose 2 b; stabilize; heal; tick 2 3; stabilize");
    for node in 1..=3 {
        assert_eq!(cluster.state(node), "a b");
    }
}
