//! Figure 2, the boxes State, AppendEntries RPC and RequestVote RPC: what is kept, and how a
//! receiver answers.

use crate::harness::{Cluster, ids};

/// State: "currentTerm: latest term server has seen (initialized to 0 on first boot, increases
/// monotonically)".
#[test]
fn the_term_begins_at_0_and_only_grows() {
    let mut cluster = Cluster::of("nodes 3 unformed");
    assert_eq!(cluster.status(1).term.0, 0);
    cluster.run("form 1; send 2->1 term=7 heartbeat round=1 commit=0");
    assert_eq!(cluster.status(1).term.0, 7);
    cluster.run("send 3->1 term=6 heartbeat round=1 commit=0; send 3->1 term=5 vote last=9@4");
    assert_eq!(cluster.status(1).term.0, 7);
    cluster.run("crash 1; restart 1");
    assert_eq!(cluster.status(1).term.0, 7);
}

/// State: "votedFor: candidateId that received vote in current term (or null if none)".
#[test]
fn a_new_term_begins_without_a_vote() {
    let mut cluster = Cluster::of("nodes 3; silence 3; send 1->3 term=2 vote last=1@1");
    assert_eq!(cluster.hard_state(3).vote.map(|vote| vote.node.0), Some(1));
    cluster.run("send 2->3 term=3 heartbeat round=1 commit=0");
    assert_eq!((cluster.hard_state(3).term.0, cluster.hard_state(3).vote), (3, None));
}

/// State: "Persistent state on all servers: (Updated on stable storage before responding to RPCs)",
/// here of a vote.
#[test]
fn a_vote_is_durable_before_it_is_told() {
    let mut cluster = Cluster::of("nodes 3; silence 3; slow 3; send 1->3 term=2 vote last=1@1");
    assert!(cluster.flying().is_empty(), "nothing is said before the vote is durable");
    assert_eq!(cluster.hard_state(3).vote, None);
    assert_eq!(cluster.run("persist 3").trim(), "3->1 voted term=2 granted");
    assert_eq!(cluster.hard_state(3).vote.map(|vote| vote.node.0), Some(1));
}

/// The same sentence, of entries and of the term they came in.
#[test]
fn entries_are_durable_before_they_are_acknowledged() {
    let mut cluster = Cluster::of("nodes 3; slow 3");
    cluster.run("send 1->3 term=2 append prev=1@1 commit=0 2@2:a");
    assert!(cluster.flying().is_empty(), "nothing is said before the entry is durable");
    assert!(cluster.run("persist 3").contains("3->1 appended term=2 matched=2"));
    cluster.run("crash 3; restart 3");
    assert_eq!((cluster.log(3), cluster.status(3).term.0), (ids("1@1 2@2"), 2));
}

/// State: "commitIndex: index of highest log entry known to be committed (initialized to 0,
/// increases monotonically)".
#[test]
fn the_commit_index_begins_at_0_and_only_grows() {
    let mut cluster = Cluster::of("nodes 3");
    assert_eq!(cluster.status(2).committed.0, 0);
    cluster.run("send 1->2 term=2 append prev=1@1 commit=2 2@2:a 3@2:b");
    assert_eq!(cluster.status(2).committed.0, 2);
    cluster.run("send 1->2 term=2 append prev=1@1 commit=1");
    assert_eq!(cluster.status(2).committed.0, 2);
}

/// State: "nextIndex: for each server, index of the next log entry to send to that server
/// (initialized to leader last log index + 1)".
#[test]
fn a_leader_first_sends_what_follows_its_log_at_the_election() {
    let mut cluster = Cluster::of("nodes 2; load 1 term=3 1 3 3; silence 2; campaign 1");
    let said = cluster.run("deliver; deliver; deliver; deliver");
    assert!(said.contains("1->2 append term=4 prev=3@3 entries=[4@4] commit=0"), "{said}");
}

/// State: "matchIndex: for each server, index of highest log entry known to be replicated on server
/// (initialized to 0, increases monotonically)".
#[test]
fn a_leader_knows_nothing_of_its_followers_logs_at_first() {
    let mut cluster =
        Cluster::of("nodes 2; silence 2; campaign 1; deliver; deliver; deliver; deliver");
    let matched = |cluster: &Cluster| cluster.status(1).followers[&2.into()].matched.0;
    assert_eq!((cluster.status(1).role, matched(&cluster)), ("leader", 0));
    cluster.run("stabilize; propose 1 a; stabilize");
    assert_eq!(matched(&cluster), 3);
    cluster.run("send 2->1 term=2 appended matched=2");
    assert_eq!(matched(&cluster), 3);
}

/// AppendEntries, receiver 1: "Reply false if term < currentTerm (§5.1)".
#[test]
fn an_append_of_an_older_term_is_refused_with_the_current_one() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=5 1");
    let said = cluster.run("send 1->2 term=4 append prev=1@1 commit=1 2@4:a");
    assert_eq!(said.trim(), "2->1 heartbeat-ack term=5 round=0");
    assert_eq!((cluster.log(2), cluster.status(2).committed.0), (ids("1@1"), 0));
}

/// AppendEntries, receiver 2: "Reply false if log doesn't contain an entry at prevLogIndex whose
/// term matches prevLogTerm (§5.3)".
#[test]
fn an_append_behind_an_entry_that_is_not_held_is_refused() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=5 1 2");
    let said = cluster.run("send 1->2 term=5 append prev=4@3 commit=0 5@3:a");
    assert!(said.contains("2->1 rejected term=5 prev=4 hint=2@2"), "too short: {said}");
    let said = cluster.run("send 1->2 term=5 append prev=2@3 commit=0 3@3:a");
    assert!(said.contains("2->1 rejected term=5 prev=2"), "another term: {said}");
    assert_eq!(cluster.log(2), ids("1@1 2@2"));
}

/// AppendEntries, receiver 3: "If an existing entry conflicts with a new one (same index but
/// different terms), delete the existing entry and all that follow it (§5.3)".
#[test]
fn an_entry_that_conflicts_goes_with_all_that_follow_it() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=5 1 2 2 2 2");
    cluster.run("send 1->2 term=5 append prev=2@2 commit=0 3@4:a");
    assert_eq!(cluster.log(2), ids("1@1 2@2 3@4"));
}

/// The same rule, read the other way: what does not conflict is not deleted.
#[test]
fn entries_that_do_not_conflict_stay() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=5 1 2 2 2 2");
    cluster.run("send 1->2 term=5 append prev=1@1 commit=0");
    assert_eq!(cluster.log(2), ids("1@1 2@2 3@2 4@2 5@2"));
}

/// AppendEntries, receiver 4: "Append any new entries not already in the log".
#[test]
fn only_entries_that_are_not_there_are_written() {
    let mut cluster = Cluster::of("nodes 3; slow 2");
    cluster.run("send 1->2 term=2 append prev=1@1 commit=0 2@2:a");
    let said = cluster.run("send 1->2 term=2 append prev=1@1 commit=0 2@2:a 3@2:b");
    assert!(said.contains("entries=[3@2]"), "{said}");
    assert_eq!(cluster.log(2), ids("1@1 2@2 3@2"));
}

/// AppendEntries, receiver 5: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit,
/// index of last new entry)".
#[test]
fn a_follower_commits_no_further_than_the_append_proves() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=5 1 2 2 2 2");
    cluster.run("send 1->2 term=5 append prev=1@1 commit=4 2@2:t2 3@2:t2");
    assert_eq!(cluster.status(2).committed.0, 3, "the last new entry comes first");
    cluster.run("send 1->2 term=5 append prev=5@2 commit=4");
    assert_eq!(cluster.status(2).committed.0, 4, "the leader's commit index comes first");
}

/// RequestVote, receiver 1: "Reply false if term < currentTerm (§5.1)".
#[test]
fn a_vote_of_an_older_term_is_refused_with_the_current_one() {
    let mut cluster = Cluster::of("nodes 3; load 2 term=5 1; silence 2");
    let said = cluster.run("send 1->2 term=4 vote last=9@3");
    assert_eq!(said.trim(), "2->1 voted term=5 refused");
}

/// RequestVote, receiver 2: "If votedFor is null or candidateId, and candidate's log is at least as
/// up-to-date as receiver's log, grant vote (§5.2, §5.4)".
#[test]
fn a_vote_is_granted_to_the_first_and_to_it_again() {
    let mut cluster = Cluster::of("nodes 3; silence 3");
    assert!(cluster.run("send 1->3 term=2 vote last=1@1").contains("3->1 voted term=2 granted"));
    assert!(cluster.run("send 2->3 term=2 vote last=1@1").contains("3->2 voted term=2 refused"));
    assert!(cluster.run("send 1->3 term=2 vote last=1@1").contains("3->1 voted term=2 granted"));
}

/// The same rule: a free vote is not enough.
#[test]
fn a_free_vote_is_refused_to_a_log_that_is_behind() {
    let mut cluster = Cluster::of("nodes 3; load 3 term=4 1 4; silence 3");
    assert!(cluster.run("send 1->3 term=5 vote last=1@1").contains("3->1 voted term=5 refused"));
    assert!(cluster.run("send 2->3 term=5 vote last=2@4").contains("3->2 voted term=5 granted"));
}
