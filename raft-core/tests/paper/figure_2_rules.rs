//! Figure 2, the box Rules for Servers: all servers, followers, candidates, leaders.

use crate::harness::{Cluster, ids};

/// All servers: "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to
/// state machine (§5.3)".
#[test]
fn what_is_committed_is_applied_in_order() {
    let mut cluster = Cluster::of("nodes 3; elect 1; propose 1 a b; propose 1 c; stabilize");
    for node in 1..=3 {
        assert_eq!(cluster.state(node), "a b c");
        assert_eq!(cluster.status(node).handed, cluster.status(node).committed);
    }
    assert_eq!(cluster.run("stabilize"), "", "each once");
}

/// All servers: "If RPC request or response contains term T > currentTerm: set currentTerm = T,
/// convert to follower (§5.1)".
#[test]
fn a_leader_that_sees_a_later_term_follows() {
    for message in ["heartbeat round=1 commit=0", "heartbeat-ack round=0", "voted refused"] {
        let mut cluster = Cluster::of("nodes 3; elect 1");
        cluster.run(&format!("send 2->1 term=9 {message}"));
        assert_eq!(
            (cluster.status(1).role, cluster.status(1).term.0),
            ("follower", 9),
            "{message}"
        );
    }
}

/// The same rule, of a candidate.
#[test]
fn a_candidate_that_sees_a_later_term_follows() {
    let mut cluster = candidate();
    cluster.run("send 2->1 term=9 voted refused");
    assert_eq!((cluster.status(1).role, cluster.status(1).term.0), ("follower", 9));
}

/// Followers: "Respond to RPCs from candidates and leaders".
#[test]
fn a_follower_answers_candidates_and_leaders() {
    let mut cluster = Cluster::of("nodes 3; silence 3");
    assert!(cluster.run("send 1->3 term=2 vote last=1@1").contains("3->1 voted"));
    assert!(cluster.run("send 1->3 term=2 heartbeat round=1 commit=0").contains("heartbeat-ack"));
    assert!(cluster.run("send 1->3 term=2 append prev=1@1 commit=0").contains("3->1 appended"));
}

/// Followers: "If election timeout elapses without receiving AppendEntries RPC from current leader
/// or granting vote to candidate: convert to candidate".
#[test]
fn a_follower_that_hears_nothing_campaigns() {
    let mut cluster = Cluster::of("nodes 3; tick 3 14");
    assert_eq!(cluster.status(3).role, "follower", "not before the shortest time-out");
    cluster.run("tick 3 16");
    assert_eq!(cluster.status(3).role, "pre-candidate", "after the longest time-out");
}

/// The same rule: hearing the leader resets the time-out.
#[test]
fn a_follower_that_hears_its_leader_does_not_campaign() {
    let mut cluster = Cluster::of("nodes 3; elect 1");
    for _ in 0..10 {
        cluster.run("tick 3 14; send 1->3 term=2 append prev=1@1 commit=0");
        assert_eq!(cluster.status(3).role, "follower");
    }
}

/// The same rule: so does a granted vote.
#[test]
fn a_follower_that_granted_its_vote_waits() {
    for seed in 0..20 {
        let mut cluster = Cluster::of(&format!("nodes 3 seed={seed}; load 3 term=2 1; tick 3 14"));
        let said = cluster.run("send 1->3 term=2 vote last=1@1; tick 3 14");
        assert!(said.contains("granted"), "{said}");
        assert_eq!(cluster.status(3).role, "follower", "seed {seed}");
    }
}

/// Candidates: "On conversion to candidate, start election: Increment currentTerm; Vote for self;
/// Reset election timer; Send RequestVote RPCs to all other servers".
#[test]
fn a_candidate_votes_for_itself_in_the_next_term_and_asks_all() {
    let cluster = candidate();
    let asked: Vec<u64> = cluster.flying().iter().map(|message| message.to.node.0).collect();
    assert_eq!(asked, [2, 3, 4, 5]);
    assert_eq!((cluster.status(1).role, cluster.status(1).term.0), ("candidate", 2));
    assert_eq!(cluster.hard_state(1).vote.map(|vote| vote.node.0), Some(1));
}

/// Candidates: "If votes received from majority of servers: become leader".
#[test]
fn a_majority_of_votes_makes_a_leader() {
    let mut cluster = candidate();
    cluster.run("send 2->1 term=2 voted granted");
    assert_eq!(cluster.status(1).role, "candidate", "2 of 5");
    cluster.run("send 3->1 term=2 voted granted");
    assert_eq!(cluster.status(1).role, "leader", "3 of 5");
}

/// Candidates: "If AppendEntries RPC received from new leader: convert to follower".
#[test]
fn a_candidate_that_hears_the_new_leader_follows_it() {
    let mut cluster = candidate();
    cluster.run("send 4->1 term=2 append prev=1@1 commit=0 2@2:a");
    assert_eq!(cluster.status(1).role, "follower");
    assert_eq!(cluster.status(1).leader.map(|leader| leader.node.0), Some(4));
    assert_eq!(cluster.log(1), ids("1@1 2@2"));
}

/// Candidates: "If election timeout elapses: start new election".
#[test]
fn a_candidate_without_a_decision_tries_again_in_a_later_term() {
    let mut cluster = candidate();
    cluster.run("drop 1; campaign 1; stabilize");
    assert_eq!((cluster.status(1).role, cluster.status(1).term.0), ("leader", 3));
}

/// Leaders: "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server;
/// repeat during idle periods to prevent election timeouts (§5.2)".
#[test]
fn a_leader_keeps_telling_that_it_leads() {
    let mut cluster = candidate();
    cluster.run("drop 1; send 2->1 term=2 voted granted");
    let said = cluster.run("send 3->1 term=2 voted granted");
    for to in 2..=5 {
        assert!(said.contains(&format!("1->{to} heartbeat term=2 round=1")), "{said}");
    }
    cluster.run("stabilize; calm 200");
    assert_eq!((cluster.status(1).role, cluster.status(1).term.0), ("leader", 2));
}

/// Leaders: "If command received from client: append entry to local log, respond after entry
/// applied to state machine (§5.3)".
#[test]
fn a_command_is_appended_at_the_leader_and_applied_once_committed() {
    let mut cluster = Cluster::of("nodes 3; elect 1");
    let said = cluster.run("propose 1 a");
    assert!(said.contains("1 proposal 1 is appended as 3@2"), "{said}");
    assert_eq!((cluster.log(1), cluster.state(1)), (ids("1@1 2@2 3@2"), ""));
    cluster.run("stabilize");
    assert_eq!(cluster.state(1), "a");
}

/// Leaders: "If last log index >= nextIndex for a follower: send AppendEntries RPC with log entries
/// starting at nextIndex".
#[test]
fn a_follower_is_sent_all_that_follows_what_was_sent() {
    let mut cluster = Cluster::of("nodes 2; elect 1");
    assert!(cluster.run("propose 1 a").contains("prev=2@2 entries=[3@2]"));
    assert!(cluster.run("propose 1 b c").contains("prev=3@2 entries=[4@2 5@2]"));
}

/// Leaders: "If successful: update nextIndex and matchIndex for follower (§5.3)".
#[test]
fn an_acknowledgement_moves_what_is_known_of_the_follower() {
    let mut cluster = Cluster::of("nodes 2; elect 1; propose 1 a; deliver 1 2; deliver 2 1");
    assert_eq!(cluster.status(1).followers[&2.into()].matched.0, 3);
    cluster.run("stabilize");
    assert!(cluster.run("propose 1 b").contains("prev=3@2 entries=[4@2]"));
}

/// Leaders: "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry
/// (§5.3)".
#[test]
fn a_refused_append_is_retried_further_back() {
    let mut cluster =
        Cluster::of("nodes 2; elect 1; propose 1 a; drop 1; propose 1 b; deliver 1 2");
    let said = cluster.run("deliver 2 1");
    assert!(said.contains("1->2 append term=2 prev=2@2 entries=[3@2 4@2]"), "{said}");
}

/// Leaders: "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
/// log[N].term == currentTerm: set commitIndex = N (§5.3, §5.4)".
#[test]
fn a_majority_commits_an_entry_of_the_leaders_term() {
    let mut cluster = Cluster::of("nodes 5; elect 1; propose 1 a; deliver 1 2; deliver 2 1");
    assert_eq!(cluster.status(1).committed.0, 2, "2 of 5");
    cluster.run("deliver 1 3; deliver 3 1");
    assert_eq!(cluster.status(1).committed.0, 3, "3 of 5");
}

/// Member 1 of 5 is a candidate in term 2, its requests in flight.
fn candidate() -> Cluster {
    let mut cluster = Cluster::of("nodes 5; silence 2 3 4 5; campaign 1; drop 1");
    cluster.run("send 2->1 term=2 pre-voted granted; send 3->1 term=2 pre-voted granted");
    assert_eq!(cluster.status(1).role, "candidate");
    cluster
}
