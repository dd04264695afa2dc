//! Sections 6 (what it says of elections), 7 (log compaction) and 8 (clients).

use crate::harness::{Cluster, ids};

/// §6: "if a server receives a RequestVote RPC within the minimum election timeout of hearing from
/// a current leader, it does not update its term or grant its vote."
#[test]
fn who_hears_a_leader_neither_votes_nor_moves_its_term() {
    let mut cluster = Cluster::of("nodes 3; elect 1; tick 2 14");
    assert_eq!(cluster.run("send 3->2 term=9 vote last=9@8"), "");
    assert_eq!(cluster.status(2).term.0, 2);
    cluster.run("tick 2; send 3->2 term=9 vote last=9@8");
    assert_eq!(cluster.status(2).term.0, 9, "after the minimum election time-out");
}

/// §7: "each server takes snapshots independently, covering just the committed entries in its log."
#[test]
fn each_member_compacts_by_itself_and_no_further_than_it_applied() {
    let mut cluster = Cluster::of("nodes 3; elect 1; propose 1 a; stabilize; propose 1 b");
    cluster.run("snapshot 1; snapshot 2");
    assert_eq!((cluster.log(1), cluster.log(2)), (ids("4@2"), ids("")));
    assert_eq!(cluster.log(3), ids("1@1 2@2 3@2"));
    cluster.run("stabilize");
    assert_eq!(cluster.state(3), "a b");
}

/// §7: "the last included index ... and the last included term ... are preserved to support the
/// AppendEntries consistency check for the first log entry following the snapshot".
#[test]
fn the_entry_before_the_log_still_answers_the_consistency_check() {
    let mut cluster = Cluster::of("nodes 3; elect 1; propose 1 a; stabilize; snapshot 2");
    assert_eq!(cluster.log(2), ids(""));
    let said = cluster.run("send 1->2 term=2 append prev=3@2 commit=3 4@2:b");
    assert!(said.contains("2->1 appended term=2 matched=4"), "{said}");
}

/// §7: "the snapshot also includes the latest configuration in the log as of last included index."
#[test]
fn a_snapshot_brings_the_configuration() {
    let mut cluster = Cluster::of("nodes 3 unformed; form 1 2; elect 1; snapshot 1");
    cluster.run("wipe 3; send 1->3 term=2 snapshot last=2@2; campaign 3");
    assert_eq!(cluster.status(3).role, "pre-candidate", "it knows the members now");
}

/// §7: "the leader must occasionally send snapshots to followers that lag behind. This happens when
/// the leader has already discarded the next log entry that it needs to send to a follower."
#[test]
fn a_follower_that_needs_a_discarded_entry_gets_the_snapshot() {
    let mut cluster =
        Cluster::of("nodes 3; elect 1; isolate 3; propose 1 a; stabilize; snapshot 1");
    cluster.run("heal; calm 10");
    assert_eq!((cluster.state(3), cluster.log(3)), ("a", ids("")));
    assert_eq!(cluster.status(3).start, cluster.status(1).start);
}

/// §7: "Usually the snapshot will contain new information not already in the recipient's log. In
/// this case, the follower discards its entire log; it is all superseded by the snapshot and may
/// possibly have uncommitted entries that conflict with the snapshot."
#[test]
fn a_snapshot_with_news_replaces_the_log() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=3 1 2 2 2 2");
    cluster.run("send 1->2 term=4 snapshot last=4@3");
    assert_eq!((cluster.log(2), cluster.state(2)), (ids(""), "forged"));
    assert_eq!(cluster.status(2).committed.0, 4);
}

/// §7: "If instead the follower receives a snapshot that describes a prefix of its log (due to
/// retransmission or by mistake), then log entries covered by the snapshot are deleted but entries
/// following the snapshot are still valid and must be retained."
#[test]
fn a_snapshot_of_a_prefix_keeps_what_follows_it() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=3 1 2 2 2 2");
    cluster.run("send 1->2 term=4 snapshot last=3@2");
    assert!(cluster.log(2).ends_with(&ids("4@2 5@2")), "{:?}", cluster.log(2));
    assert_eq!((cluster.status(2).committed.0, cluster.state(2)), (3, "t2 t2"));
}

/// Figure 13, rule 1: "Reply immediately if term < currentTerm".
#[test]
fn a_snapshot_of_an_older_term_is_not_taken() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=5 1");
    let said = cluster.run("send 1->2 term=4 snapshot last=3@3");
    assert_eq!(said.trim(), "2->1 heartbeat-ack term=5 round=0");
    assert_eq!(cluster.log(2), ids("1@1"));
}

/// Figure 13, rule 8: "Reset state machine using snapshot contents".
#[test]
fn a_state_machine_is_as_the_snapshot_says() {
    let mut cluster =
        Cluster::of("nodes 3; elect 1; isolate 3; propose 1 a b; stabilize; snapshot 1");
    cluster.run("heal; calm 10; propose 1 c; stabilize");
    assert_eq!(cluster.state(3), "a b c");
}

/// §8: "If the client's first choice is not the leader, that server will reject the client's
/// request and supply information about the most recent leader it has heard from". Here it passes
/// the request on to that leader.
#[test]
fn a_follower_knows_the_leader_and_passes_requests_on() {
    let mut cluster = Cluster::of("nodes 3; elect 1");
    assert_eq!(cluster.status(3).leader.map(|leader| leader.node.0), Some(1));
    let said = cluster.run("propose 3 a; stabilize");
    assert!(said.contains("3 proposal 1 is appended as 3@2"), "{said}");
    assert_eq!(cluster.state(3), "a");
}

/// §8: "each leader commit a blank no-op entry into the log at the start of its term."
#[test]
fn a_leader_begins_its_term_with_an_empty_entry() {
    let mut cluster = Cluster::of("nodes 3; elect 1; crash 1; elect 2");
    assert!(cluster.run("log 2").contains("2@2 noop, 3@3 noop"));
    assert_eq!(cluster.status(2).committed.0, 3);
}

/// §8: "a leader must check whether it has been deposed before processing a read-only request ...
/// Raft handles this by having the leader exchange heartbeat messages with a majority of the
/// cluster before responding to read-only requests."
#[test]
fn a_read_waits_for_a_majority_to_answer_a_heartbeat() {
    let mut cluster = Cluster::of("nodes 5; elect 1");
    let said = cluster.run("read 1; deliver 1 2; deliver 2 1");
    assert!(!said.contains("served"), "2 of 5: {said}");
    assert!(cluster.run("deliver 1 3; deliver 3 1").contains("1 read 1 is served at 2"), "3 of 5");
}

/// The same sentences: a deposed leader serves nothing.
#[test]
fn a_deposed_leader_serves_no_read() {
    let mut cluster = Cluster::of("nodes 3; elect 1; isolate 1; elect 2; propose 2 a; stabilize");
    let said = cluster.run("read 1; tick 1 30");
    assert!(said.contains("1 read 2 is refused") && !said.contains("served"), "{said}");
}

/// §8: "a leader must have the latest information on which entries are committed", which it has
/// only once it committed an entry of its own term.
#[test]
fn a_new_leader_serves_no_read_before_it_has_committed() {
    let mut cluster = Cluster::of("nodes 3; silence 2 3; campaign 1; deliver; deliver; deliver");
    cluster.run("deliver; read 1");
    assert_eq!((cluster.status(1).role, cluster.status(1).committed.0), ("leader", 0));
    let said = cluster.run("deliver * * heartbeat; deliver * * heartbeat-ack");
    assert!(!said.contains("served"), "{said}");
    assert!(cluster.run("stabilize").contains("1 read 1 is served at 2"));
}
