//! The state has a task of its own: however slow it is, the member goes on; and readers choose how
//! new what they see has to be.

use crate::local::open;
use holm::{Consistency, Error, Index, Node, ReadOptions, Seen, StateMachine, Stop};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Adds up, and takes its time for it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Sum(u64);

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Command {
    Add(u64),
    AddSlowly(u64),
    AddVerySlowly(u64),
    Panic,
}

const SLOW: Duration = Duration::from_millis(100);
/// Longer than one attempt at a read lasts.
const VERY_SLOW: Duration = Duration::from_millis(1_200);

impl StateMachine for Sum {
    type Command = Command;
    type Reply = u64;
    type Snapshot = Self;

    fn apply(&mut self, command: Command) -> u64 {
        match command {
            Command::Add(add) => self.0 += add,
            Command::AddSlowly(add) => {
                std::thread::sleep(SLOW);
                self.0 += add;
            }
            Command::AddVerySlowly(add) => {
                std::thread::sleep(VERY_SLOW);
                self.0 += add;
            }
            Command::Panic => panic!("a command that can't be applied"),
        }
        self.0
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

/// Proposes them all at once, on each member in turn.
async fn propose_all(nodes: &[Node<Sum>], commands: usize, command: Command) {
    let propose = |nth: usize| {
        let node = nodes[nth % nodes.len()].clone();
        tokio::task::spawn(async move { node.propose(command).await })
    };
    let proposals: Vec<_> = (0..commands).map(propose).collect();
    for proposal in proposals {
        if let Err(error) = proposal.await.unwrap() {
            let all: Vec<_> = nodes.iter().map(|node| node.status().borrow().clone()).collect();
            panic!("{error}; the members are {all:#?}");
        }
    }
}

async fn a_slow_apply_delays_neither_heartbeats_nor_appends() {
    // 300 ms and more without a sign of life would begin an election.
    let nodes = open::<Sum>(|config| config.election_ticks = 30).await;
    nodes[0].propose(Command::Add(1)).await.unwrap();
    let elections = || nodes.iter().map(|node| node.status().borrow().elections).sum::<u64>();
    let before = elections();
    propose_all(&nodes, 30, Command::AddSlowly(1)).await;
    assert_eq!(elections(), before, "somebody missed the leader while the state was busy");
    assert_eq!(nodes[2].read(|sum| sum.0).await.unwrap(), 31);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_apply_delays_neither_heartbeats_nor_appends_on_several_threads() {
    a_slow_apply_delays_neither_heartbeats_nor_appends().await;
}

#[tokio::test]
async fn a_slow_apply_delays_neither_heartbeats_nor_appends_on_one_thread() {
    a_slow_apply_delays_neither_heartbeats_nor_appends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_confirmed_while_the_state_is_busy_is_answered_when_it_no_longer_is() {
    let nodes = open::<Sum>(|_| ()).await;
    let before = nodes[0].propose(Command::Add(1)).await.unwrap().index.0;
    let slow = nodes[0].clone();
    let slow = tokio::task::spawn(async move { slow.propose(Command::AddVerySlowly(1)).await });
    nodes[2].status().wait_for(|status| status.commit > before).await.unwrap();
    assert_eq!(nodes[2].read(|sum| sum.0).await.unwrap(), 2);
    slow.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_slow_state_machine_are_bounded() {
    let nodes = open::<Sum>(|config| config.waiting_requests_max = 5).await;
    nodes[0].propose(Command::Add(1)).await.unwrap();
    let propose = || {
        let node = nodes[0].clone();
        tokio::task::spawn(async move { node.propose(Command::AddSlowly(1)).await })
    };
    let proposals: Vec<_> = (0..50).map(|_| propose()).collect();
    let (mut applied, mut busy) = (0, 0);
    for proposal in proposals {
        match proposal.await.unwrap() {
            Ok(_) => applied += 1,
            Err(Error::Busy { limit: "waiting_requests_max" }) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(applied >= 5 && busy >= 20, "{applied} applied, {busy} refused");
    assert_eq!(nodes[0].read(|sum| sum.0).await.unwrap(), 1 + applied);
}

#[tokio::test]
async fn a_panic_in_apply_stops_the_member_and_is_told() {
    let nodes = open::<Sum>(|_| ()).await;
    let proposed = nodes[0].propose(Command::Panic).await.unwrap_err();
    assert!(matches!(proposed, Error::Stopped { .. }), "{proposed}");
    for node in nodes {
        let Stop::Fault(why) = node.stopped().await else { panic!("it goes on") };
        assert!(why.contains("the state machine panicked"), "{why}");
    }
}

#[tokio::test]
async fn a_read_from_an_index_sees_what_was_written_elsewhere_up_to_it() {
    let nodes = open::<Sum>(|_| ()).await;
    for (nth, writer) in nodes.iter().enumerate() {
        let written = writer.propose(Command::Add(1)).await.unwrap();
        for reader in &nodes {
            let seen = reader.read_from(written.index, |sum| sum.0).await.unwrap();
            assert_eq!(seen.value, nth as u64 + 1);
            assert!(seen.index >= written.index);
        }
    }
    let options = ReadOptions {
        consistency: Consistency::From(Index(1_000)),
        timeout: Some(Duration::from_millis(100)),
    };
    let early = nodes[0].read_with(options, |sum| sum.0).await.unwrap_err();
    assert!(matches!(early, Error::Unavailable { .. }), "{early}");
}

#[tokio::test]
async fn a_read_by_lease_sees_what_was_written_before_it_on_any_member() {
    let nodes = open::<Sum>(|_| ()).await;
    for written in 1..=20 {
        nodes[0].propose(Command::Add(1)).await.unwrap();
        for reader in &nodes {
            assert_eq!(reader.read_lease(|sum| sum.0).await.unwrap(), written);
        }
    }
    let Seen { value, index } = nodes[0].read_local(|sum| sum.0).await.unwrap();
    assert_eq!(value, 20);
    assert!(index.0 > 20, "{index}");
}

#[tokio::test]
async fn a_snapshot_is_taken_after_so_many_bytes_though_entries_are_few() {
    let nodes = open::<Sum>(|config| config.snapshot_log_bytes = 2_000).await;
    for _ in 0..40 {
        nodes[0].propose(Command::Add(1)).await.unwrap();
    }
    let mut status = nodes[0].status();
    let taken = status.wait_for(|status| status.snapshot > 0).await.unwrap().snapshot;
    assert!(taken < 40, "{taken}");
}
