//! What members measure of their own work, with disks and without a majority.

use crate::local::open;
use holm::{Distribution, Error, Node, ProposeOptions, StateMachine, Storage};
use std::time::Duration;

struct Nothing;

impl StateMachine for Nothing {
    type Command = ();
    type Reply = ();
    type Snapshot = ();

    fn apply(&mut self, (): ()) {}

    fn snapshot(&self) {}

    fn restore((): ()) -> Self {
        Self
    }
}

impl Default for Nothing {
    fn default() -> Self {
        Self
    }
}

fn count(distribution: &Distribution) -> u64 {
    distribution.counts.iter().sum()
}

#[tokio::test]
async fn a_member_measures_turns_syncs_applies_snapshots_and_pings() {
    let folder = tempfile::tempdir().unwrap();
    let nodes: Vec<Node<Nothing>> = open(|config| {
        config.storage = Storage::Disk(folder.path().join(config.node.to_string()));
        config.snapshot_entries = 5;
    })
    .await;
    for _ in 0..20 {
        nodes[0].propose(()).await.unwrap();
    }
    let mut status = nodes[0].status();
    let pinged = |status: &holm::Status| {
        let others = status.members.iter().filter(|member| member.node != 1);
        status.snapshot > 0 && others.clone().all(|member| member.round_trip_us.is_some())
    };
    status.wait_for(pinged).await.unwrap();
    let measured = nodes[0].measures();
    assert!(measured.leader_changes >= 1);
    assert_eq!((measured.proposals_pending, measured.proposals_failed), (0, 0));
    assert!(measured.turn_inputs.sum >= 20 && count(&measured.turns) > 0);
    assert_eq!(count(&measured.turn_inputs), count(&measured.turns), "one of each a turn");
    assert!(count(&measured.applies) > 0);
    assert!(count(&measured.syncs) > 0 && measured.syncs.sum > 0, "a disk takes its time");
    assert!(count(&measured.snapshot_saves) > 0);
    assert_eq!(measured.round_trips.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert!(measured.round_trips.values().all(|trips| count(trips) > 0));
}

#[tokio::test]
async fn a_proposal_without_a_majority_is_pending_and_then_has_failed() {
    let mut nodes: Vec<Node<Nothing>> = open(|_| ()).await;
    nodes[0].propose(()).await.unwrap();
    for node in nodes.drain(1..) {
        node.shutdown().await;
    }
    let options = ProposeOptions { timeout: Some(Duration::from_millis(300)), key: None };
    let proposing = nodes[0].propose_with((), options);
    let mut proposing = std::pin::pin!(proposing);
    let begun = std::future::poll_fn(|cx| std::task::Poll::Ready(proposing.as_mut().poll(cx)));
    assert!(begun.await.is_pending());
    assert_eq!(nodes[0].measures().proposals_pending, 1);
    let error = proposing.await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. } | Error::Unknown { .. }), "{error}");
    let measured = nodes[0].measures();
    assert_eq!((measured.proposals_pending, measured.proposals_failed), (0, 1));
}
