//! What a handle learns of its member.

use crate::store::Store;
use crate::{Config, Node};

#[tokio::test]
async fn whoever_waits_for_a_leader_is_told_when_a_lone_member_leads() {
    let config = Config::local_cluster(1).await.unwrap().remove(0);
    let node = Node::open(config, Store::default()).await.unwrap();
    let mut status = node.status();
    while status.borrow_and_update().leader.is_none() {
        let led = std::pin::pin!(node.led.notified());
        // What is told at the same time is heard first.
        tokio::select! {
            biased;
            () = led => {}
            _ = status.wait_for(|status| status.leader.is_some()) => panic!("nobody was told"),
        }
    }
    node.shutdown().await;
}
