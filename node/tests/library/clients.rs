//! Clients with a session of their own: whatever happens on the way, each of their commands takes
//! effect once.

use crate::local::open;
use holm::{Error, StateMachine};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Adds up, and counts how often it was asked to.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Sum {
    sum: u64,
    times: u64,
}

impl StateMachine for Sum {
    type Command = u64;
    type Reply = u64;
    type Snapshot = Self;

    fn apply(&mut self, add: u64) -> u64 {
        self.sum += add;
        self.times += 1;
        self.sum
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

#[tokio::test]
async fn a_client_counts_on_any_member_across_snapshots_and_many_at_once() {
    let nodes = open::<Sum>(|config| config.snapshot_entries = 50).await;
    let clients: Vec<_> = nodes.iter().map(|node| Arc::new(node.client())).collect();
    let propose = |nth: usize| {
        let client = Arc::clone(&clients[nth % clients.len()]);
        tokio::task::spawn(async move { client.propose(1).await.unwrap() })
    };
    // More at once than a session keeps replies for.
    let proposals: Vec<_> = (0..1_200).map(propose).collect();
    let mut replies = Vec::new();
    for proposal in proposals {
        replies.push(proposal.await.unwrap().reply);
    }
    replies.sort_unstable();
    assert_eq!(replies, (1..=1_200).collect::<Vec<_>>());
    assert_eq!(nodes[1].read(|sum| sum.times).await.unwrap(), 1_200);
}

#[tokio::test]
async fn a_client_goes_on_while_leaders_stop_and_nothing_counts_twice() {
    let mut nodes = open::<Sum>(|_| ()).await;
    nodes[0].client().propose(0).await.unwrap();
    let leader = nodes[0].status().borrow().leader.unwrap();
    let leader = nodes.remove(usize::try_from(leader).unwrap() - 1);
    let client = Arc::new(nodes[0].client());
    let propose = |_| {
        let client = Arc::clone(&client);
        tokio::task::spawn(async move { client.propose(1).await.unwrap() })
    };
    let proposals: Vec<_> = (0..200).map(propose).collect();
    leader.shutdown().await;
    for proposal in proposals {
        proposal.await.unwrap();
    }
    assert_eq!(nodes[1].read(|sum| sum.sum).await.unwrap(), 200);
}

#[tokio::test]
async fn a_client_whose_session_has_expired_opens_another_one() {
    let nodes =
        open::<Sum>(|config| config.idempotency_retention = Duration::from_millis(50)).await;
    let client = nodes[0].client();
    for expected in 1..=3 {
        assert_eq!(client.propose(1).await.unwrap().reply, expected);
        // Log time goes on while there are entries.
        let until = tokio::time::Instant::now() + Duration::from_millis(150);
        while tokio::time::Instant::now() < until {
            nodes[1].propose(0).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_command_that_waited_too_long_is_unknown_or_never_was() {
    let nodes = open::<Sum>(|_| ()).await;
    let client = nodes[0].client();
    client.propose(1).await.unwrap();
    for other in &nodes[1..] {
        other.shutdown().await;
    }
    let lost = client.propose_within(Duration::from_millis(200), 1).await.unwrap_err();
    assert!(matches!(lost, Error::Unknown { .. } | Error::Unavailable { .. }), "{lost}");
}
