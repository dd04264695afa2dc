//! Section 5, what its text promises beyond figures 2 and 3.

use crate::harness::{Cluster, ids};
use std::collections::BTreeSet;

/// §5.1: "Current terms are exchanged whenever servers communicate; if one server's current term is
/// smaller than the other's, then it updates its current term to the larger value."
#[test]
fn the_smaller_term_gives_way() {
    let cluster = Cluster::of("nodes 3; elect 1; load 2 term=9 1; tick 1 3; stabilize");
    assert_eq!((cluster.status(1).term.0, cluster.status(1).role), (9, "follower"));
}

/// §5.1: "If a server receives a request with a stale term number, it rejects the request."
#[test]
fn every_request_of_an_older_term_is_rejected() {
    let requests = [
        ("vote last=9@3", "voted term=5 refused"),
        ("pre-vote last=9@3", "pre-voted term=5 refused"),
        ("append prev=1@1 commit=0 2@4:a", "heartbeat-ack term=5 round=0"),
        ("heartbeat round=3 commit=0", "heartbeat-ack term=5 round=3"),
        ("snapshot last=3@3", "heartbeat-ack term=5 round=0"),
        ("propose boot=1 number=1 a", "proposed term=5 boot=1 number=1 refused"),
        ("read boot=1 number=1", "read-at term=5 boot=1 number=1 refused"),
    ];
    let mut cluster = Cluster::of("nodes 3; load 2 term=5 1; silence 2");
    for (request, answer) in requests {
        let said = cluster.run(&format!("send 1->2 term=4 {request}"));
        assert_eq!(said.trim(), format!("2->1 {answer}"));
    }
    assert_eq!((cluster.log(2), cluster.hard_state(2).vote), (ids("1@1"), None));
}

/// §5.2: "When servers start up, they begin as followers."
#[test]
fn a_member_starts_as_a_follower() {
    let mut cluster = Cluster::of("nodes 3; elect 1");
    cluster.run("crash 1; restart 1");
    assert_eq!(cluster.status(1).role, "follower");
    assert_eq!(Cluster::of("nodes 1 unformed").status(1).role, "follower");
}

/// §5.2: "A server remains in follower state as long as it receives valid RPCs from a leader or
/// candidate."
#[test]
fn messages_of_an_older_term_do_not_keep_a_follower() {
    let mut cluster = Cluster::of("nodes 3; load 3 term=5 1; tick 3 10");
    cluster.run("send 1->3 term=4 heartbeat round=1 commit=0; tick 3 20");
    assert_eq!(cluster.status(3).role, "pre-candidate");
}

/// §5.2: "If the term in the RPC is smaller than the candidate's current term, then the candidate
/// rejects the RPC and continues in candidate state."
#[test]
fn a_candidate_does_not_yield_to_an_older_term() {
    let mut cluster = Cluster::of("nodes 3; silence 2 3; campaign 1; deliver 1 2; deliver 2 1");
    assert_eq!(cluster.status(1).role, "candidate");
    let said = cluster.run("send 3->1 term=1 append prev=1@1 commit=0");
    assert_eq!(said.trim(), "1->3 heartbeat-ack term=2 round=0");
    assert_eq!(cluster.status(1).role, "candidate");
}

/// §5.2: "if many followers become candidates at the same time, votes could be split so that no
/// candidate obtains a majority. When this happens, each candidate will time out and start a new
/// election by incrementing its term".
#[test]
fn a_split_vote_ends_with_a_new_term() {
    let mut cluster = Cluster::of("nodes 4; silence 3 4; campaign 1; campaign 2");
    cluster.run("deliver * * pre-vote; deliver * * pre-voted; deliver 1 3; deliver 2 4");
    cluster.run("deliver 3 1; deliver 4 2; stabilize");
    let roles: Vec<&str> = (1..=4).map(|node| cluster.status(node).role).collect();
    assert_eq!(roles, ["follower"; 4], "two votes each");
    cluster.run("campaign 1; stabilize");
    assert_eq!((cluster.status(1).role, cluster.status(1).term.0), ("leader", 3));
}

/// §5.2: "election timeouts are chosen randomly from a fixed interval (e.g., 150-300ms)."
#[test]
fn time_outs_are_spread_over_one_to_two_of_the_shortest() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut cluster = Cluster::of(&format!("nodes 2 seed={seed}"));
        let ticks = (1..=40).find(|_| {
            cluster.run("tick 1");
            cluster.status(1).role == "pre-candidate"
        });
        seen.extend(ticks);
    }
    assert_eq!(seen, (15..30).collect::<BTreeSet<u32>>());
}

/// §5.3: "If followers crash or run slowly, or if network packets are lost, the leader retries
/// AppendEntries RPCs indefinitely (even after it has responded to the client) until all followers
/// eventually store all log entries."
#[test]
fn a_follower_that_was_away_gets_everything_in_the_end() {
    let mut cluster = Cluster::of("nodes 3; elect 1; isolate 3; propose 1 a b; stabilize; calm 40");
    assert_eq!((cluster.state(1), cluster.state(3)), ("a b", ""));
    cluster.run("heal; calm 60");
    let leader = (1..=3).find(|node| cluster.status(*node).role == "leader").expect("a leader");
    assert_eq!((cluster.state(3), cluster.log(3)), ("a b", cluster.log(leader)));
}

/// §5.3: "This also commits all preceding entries in the leader's log, including entries created by
/// previous leaders."
#[test]
fn a_commit_covers_all_entries_before_it() {
    let mut cluster = Cluster::of("nodes 3; load 1 term=4 1 2 3 4; elect 1");
    assert_eq!(cluster.status(1).committed.0, 5);
    assert_eq!(cluster.state(3), "t2 t3 t4");
    cluster.run("stabilize");
}

/// §5.3: "The leader keeps track of the highest index it knows to be committed, and it includes
/// that index in future AppendEntries RPCs (including heartbeats) so that the other servers
/// eventually find out."
#[test]
fn appends_and_heartbeats_carry_the_commit_index() {
    let mut cluster = Cluster::of("nodes 3; elect 1; propose 1 a; stabilize");
    assert!(
        cluster.run("propose 1 b").contains("1->2 append term=2 prev=3@2 entries=[4@2] commit=3")
    );
    assert!(cluster.run("tick 1 3").contains("1->2 heartbeat term=2 round=2 commit=3"));
}

/// §5.3: "the leader handles inconsistencies by forcing the followers' logs to duplicate its own.
/// This means that conflicting entries in follower logs will be overwritten with entries from the
/// leader's log."
#[test]
fn a_leader_makes_all_logs_equal_its_own() {
    let mut cluster = Cluster::of("nodes 3; load 1 term=6 1 4 5 6; load 2 term=6 1 2 3 3 3");
    cluster.run("load 3 term=6 1 4; elect 1");
    for node in 1..=3 {
        assert_eq!(cluster.log(node), ids("1@1 2@4 3@5 4@6 5@7"));
    }
}

/// §5.3: "with this approach, one AppendEntries RPC will be required for each term with conflicting
/// entries, rather than one RPC per entry."
#[test]
fn refusals_are_no_more_than_the_terms_in_conflict() {
    let log = |term: &str, count: usize| format!(" {term}").repeat(count);
    let mut cluster = Cluster::of("nodes 2");
    // 120 entries of terms 2, 4 and 6 here, and of terms 3, 5 and 7 at the leader.
    let (other, leader) = (["2", "4", "6"], ["3", "5", "7"]);
    let logs = |terms: [&str; 3]| terms.map(|term| log(term, 40)).concat();
    cluster.run(&format!("load 1 term=7 1{}; load 2 term=7 1{}", logs(leader), logs(other)));
    cluster.run("silence 2; campaign 1; deliver; deliver; deliver; deliver; drop * * heartbeat");
    let refused = |_: &usize| {
        let refused = cluster.run("deliver").contains("rejected");
        if refused {
            cluster.run("deliver");
        }
        refused
    };
    let refusals = (1..=7).take_while(refused).count();
    assert!((1..=6).contains(&refusals), "{refusals} refusals");
    assert_eq!(cluster.log(2), cluster.log(1));
}

/// §5.3: "in the normal case a new entry can be replicated with a single round of RPCs to a
/// majority of the cluster; and a single slow follower will not impact performance."
#[test]
fn one_round_to_a_majority_commits() {
    let cluster = Cluster::of("nodes 3; elect 1; crash 3; propose 1 a; deliver 1 2; deliver 2 1");
    assert_eq!(cluster.state(1), "a");
}

/// §5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the
/// candidate."
#[test]
fn a_more_up_to_date_voter_refuses() {
    let mut cluster = Cluster::of("nodes 3; load 3 term=4 1 2 4; silence 3");
    assert!(cluster.run("send 1->3 term=5 vote last=2@4").contains("refused"), "shorter");
    assert!(cluster.run("send 1->3 term=6 vote last=9@3").contains("refused"), "older");
}

/// §5.4.1: "If the logs have last entries with different terms, then the log with the later term is
/// more up-to-date."
#[test]
fn the_later_last_term_is_more_up_to_date_however_long_the_log() {
    let mut cluster = Cluster::of("nodes 3; load 3 term=4 1 3 3 3; silence 3");
    assert!(cluster.run("send 1->3 term=5 vote last=2@4").contains("granted"));
}

/// §5.4.1: "If the logs end with the same term, then whichever log is longer is more up-to-date."
#[test]
fn of_logs_that_end_in_one_term_the_longer_is_more_up_to_date() {
    let mut cluster = Cluster::of("nodes 3; load 3 term=4 1 4 4; silence 3");
    assert!(cluster.run("send 1->3 term=5 vote last=4@4").contains("granted"));
    assert!(cluster.run("send 2->3 term=6 vote last=2@4").contains("refused"));
}

/// §5.4.2: "Raft never commits log entries from previous terms by counting replicas. Only log
/// entries from the leader's current term are committed by counting replicas".
#[test]
fn an_entry_of_an_older_term_is_not_committed_by_counting() {
    let mut cluster = older_entry_on_all();
    assert_eq!(cluster.status(1).followers[&2.into()].matched.0, 2);
    assert_eq!(cluster.status(1).followers[&3.into()].matched.0, 2);
    assert_eq!(cluster.status(1).committed.0, 0);
    // §5.4.2: "once an entry from the current term has been committed in this way, then all prior
    // entries are committed indirectly because of the Log Matching Property."
    cluster.run("deliver 1 2; deliver 2 1");
    assert_eq!(cluster.status(1).committed.0, 3);
}

/// §5.5: "If a server crashes after completing an RPC but before responding, then it will receive
/// the same RPC again after it restarts. Raft RPCs are idempotent, so this causes no harm."
#[test]
fn requests_may_be_repeated_across_a_crash() {
    let mut cluster =
        Cluster::of("nodes 3; slow 3; send 1->3 term=2 append prev=1@1 commit=0 2@2:a");
    cluster.run("crash 3 1; restart 3; fast 3");
    let said = cluster.run("send 1->3 term=2 append prev=1@1 commit=0 2@2:a");
    assert!(said.contains("3->1 appended term=2 matched=2"), "{said}");
    assert_eq!(cluster.log(3), ids("1@1 2@2"));
}

/// §5.6: "safety must not depend on timing: the system must not produce incorrect results just
/// because some event happens more quickly or slowly than expected."
#[test]
fn messages_of_an_earlier_term_that_come_late_do_no_harm() {
    let mut cluster = Cluster::of("nodes 3; elect 1; cut 1->3; propose 1 a; deliver 1 2");
    // The answer of 2 stays in flight until 1 leads again, in a later term.
    cluster.run("crash 1; restart 1; heal; silence 1; campaign 2; drop * * pre-vote");
    cluster.run("send 3->2 term=3 pre-voted granted; send 3->2 term=3 voted granted");
    assert_eq!(cluster.status(2).role, "leader");
    cluster.run("stabilize; propose 2 b; stabilize");
    for node in 1..=3 {
        assert_eq!(cluster.state(node), "a b");
    }
}

/// Member 1 leads in term 4 with entry 2 of term 2 on all, and its own entry 3 in flight.
fn older_entry_on_all() -> Cluster {
    let mut cluster =
        Cluster::of("nodes 3 entries=1; load 1 term=3 1 2; load 2 term=3 1; load 3 term=3 1");
    cluster.run("silence 2 3; campaign 1; deliver; deliver; deliver; deliver; drop * * heartbeat");
    cluster.run("deliver; deliver; deliver; deliver");
    cluster
}
