//! What tests of members in one process begin with: [`open`].

use holm::{Config, Node, StateMachine};
use std::time::Duration;

/// Opens three members of a new cluster on loopback, adjusted. Callers are patient: a machine that
/// does much else meanwhile is not what is tested.
pub(crate) async fn open<S: StateMachine + Default>(adjust: impl Fn(&mut Config)) -> Vec<Node<S>> {
    let mut nodes = Vec::new();
    for mut config in Config::local_cluster(3).await.expect("free ports") {
        config.request_timeout = Duration::from_secs(60);
        adjust(&mut config);
        nodes.push(Node::open(config, S::default()).await.expect("opened"));
    }
    nodes
}
