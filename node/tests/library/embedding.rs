//! The library as an embedder uses it: three members in one process, on loopback, with their logs
//! in memory or in a directory.

use crate::counter::Counter;
use crate::local::open;
use holm::{Config, Error, Node, ProposeOptions, Security, Stop, Storage};
use std::time::Duration;

type Nodes = Vec<Node<Counter>>;

async fn until_a_leader(node: &Node<Counter>) -> u64 {
    let mut status = node.status();
    let seen = status.wait_for(|status| status.leader.is_some()).await.unwrap();
    seen.leader.unwrap()
}

fn at(nodes: &Nodes, node: u64) -> &Node<Counter> {
    &nodes[usize::try_from(node).unwrap() - 1]
}

#[tokio::test]
async fn every_member_takes_proposals_and_serves_linearizable_reads() {
    let nodes = open::<Counter>(|_| ()).await;
    for (node, expected) in nodes.iter().zip(1..) {
        assert_eq!(node.propose(1).await.unwrap().reply, expected);
        for other in &nodes {
            assert_eq!(other.read(|counter| counter.0).await.unwrap(), expected);
        }
    }
    for node in nodes {
        assert_eq!(node.shutdown().await, Stop::Shutdown);
    }
}

#[tokio::test]
async fn every_member_tells_how_far_all_are() {
    let nodes = open::<Counter>(|_| ()).await;
    let index = nodes[0].propose(1).await.unwrap().index.0;
    let caught_up = |member: &holm::MemberStatus| {
        member.matched.is_some_and(|matched| matched >= index) && member.trails == Some(0)
    };
    for node in &nodes {
        let mut status = node.status();
        status.wait_for(|status| status.members.iter().all(caught_up)).await.unwrap();
    }
}

#[tokio::test]
async fn a_retry_under_its_key_is_applied_once_whichever_member_takes_it() {
    let nodes = open::<Counter>(|_| ()).await;
    let options = || ProposeOptions { key: Some("key-1".into()), timeout: None };
    let first = nodes[0].propose_with(5, options()).await.unwrap();
    for node in &nodes {
        assert_eq!(node.propose_with(5, options()).await.unwrap(), first);
        assert_eq!(node.propose_with(6, options()).await, Err(Error::KeyReused));
    }
    assert_eq!(nodes[2].read(|counter| counter.0).await.unwrap(), 5);
}

#[tokio::test]
async fn the_members_left_elect_another_leader_and_lose_nothing() {
    let mut nodes = open::<Counter>(|_| ()).await;
    nodes[0].propose(7).await.unwrap();
    let leader = until_a_leader(&nodes[0]).await;
    let stopped = nodes.remove(usize::try_from(leader).unwrap() - 1);
    stopped.shutdown().await;
    // With a key, what was under way to the stopped leader is safely proposed again.
    for (node, expected) in nodes.iter().zip([8, 9]) {
        let key = Some(format!("key {expected}").into());
        let options = ProposeOptions { key, timeout: None };
        assert_eq!(node.propose_with(1, options).await.unwrap().reply, expected);
    }
    let error = stopped.propose(1).await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
}

#[tokio::test]
async fn a_leader_that_is_stopped_hands_over_first_and_answers_what_it_took() {
    let nodes = open::<Counter>(|_| ()).await;
    let leader = until_a_leader(&nodes[0]).await;
    nodes[0].propose(1).await.unwrap();
    let leader = at(&nodes, leader).clone();
    let propose = |_| {
        let leader = leader.clone();
        tokio::task::spawn(async move { leader.propose(1).await })
    };
    let proposals: Vec<_> = (0..50).map(propose).collect();
    tokio::task::yield_now().await;
    assert_eq!(leader.shutdown().await, Stop::Shutdown);
    let last = leader.status().borrow().clone();
    assert_ne!(last.leader, Some(last.node), "it still led when it stopped");
    for proposal in proposals {
        match proposal.await.unwrap() {
            // Taken before the stop, or refused after it.
            Ok(_) | Err(Error::Stopped { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    let other = nodes.iter().find(|node| node.status().borrow().node != last.node).unwrap();
    assert!(other.propose(0).await.is_ok());
}

#[tokio::test]
async fn without_a_quorum_nothing_is_promised() {
    let nodes = open::<Counter>(|config| config.request_timeout = Duration::from_millis(300)).await;
    let leader = until_a_leader(&nodes[0]).await;
    for node in nodes.iter().filter(|node| node.status().borrow().node != leader) {
        node.shutdown().await;
    }
    let alone = at(&nodes, leader);
    let mut status = alone.status();
    let outcome = alone.propose(1).await.unwrap_err();
    assert!(matches!(outcome, Error::Unknown { .. } | Error::Unavailable { .. }), "{outcome}");
    status.wait_for(|status| status.leader.is_none()).await.unwrap();
    let outcome = alone.propose(1).await.unwrap_err();
    assert!(matches!(outcome, Error::Unavailable { .. }), "{outcome}");
    let outcome = alone.read(|counter| counter.0).await.unwrap_err();
    assert!(matches!(outcome, Error::Unavailable { .. }), "{outcome}");
}

#[tokio::test]
async fn a_member_with_an_empty_storage_and_no_bootstrap_waits_and_never_votes() {
    let mut configs = Config::local_cluster(2).await.unwrap();
    let mut second = configs.pop().unwrap();
    second.start = holm::Start::Join;
    let first = Node::open(configs.pop().unwrap(), Counter::default()).await.unwrap();
    let second = Node::open(second, Counter::default()).await.unwrap();
    let mut status = first.status();
    // Both reach each other, and still nothing is formed.
    let met =
        |status: &holm::Status| status.members.iter().any(|member| member.reached == "direct");
    let seen = status.wait_for(met).await.unwrap().clone();
    assert_eq!((seen.role.as_str(), seen.formed, seen.leader), ("forming", false, None));
    assert_eq!(second.status().borrow().role, "waiting");
    let timeout = Some(Duration::from_millis(200));
    let refused = first.propose_with(1, ProposeOptions { key: None, timeout }).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn a_wiped_member_is_not_let_back_in_by_forming_the_cluster_again() {
    let mut configs = Config::local_cluster(3).await.unwrap();
    let topology = configs[0].topology.clone();
    let folder = tempfile::tempdir().unwrap();
    let mut third = configs.pop().unwrap();
    third.storage = Storage::Disk(folder.path().join("first"));
    let wiped = Node::open(third, Counter::default()).await.unwrap();
    let mut nodes = Vec::new();
    for mut config in configs {
        config.request_timeout = Duration::from_secs(30);
        nodes.push(Node::open(config, Counter::default()).await.unwrap());
    }
    nodes[0].propose(7).await.unwrap();
    let mut status = wiped.status();
    status.wait_for(|status| status.formed).await.unwrap();
    wiped.shutdown().await;
    drop(wiped);

    // It comes back empty, in another incarnation.
    let mut again = Config::new("local", 3, topology.clone(), Security::Insecure);
    again.storage = Storage::Disk(folder.path().join("second"));
    again.listen = topology.member(3).unwrap().address.clone().map(holm::Listen::Address);
    again.start = holm::Start::Bootstrap;
    let again = Node::open(again, Counter::default()).await.unwrap();
    let Stop::Refused(why) = again.stopped().await else { panic!("it was let in") };
    assert!(why.contains("was formed already"), "{why}");
    // Should the one that was stopped have led: with a key, the proposal is safely made again.
    let options = ProposeOptions { key: Some("key 8".into()), timeout: None };
    assert_eq!(nodes[1].propose_with(1, options).await.unwrap().reply, 8);
}

#[tokio::test]
async fn a_member_that_slept_through_a_compaction_is_sent_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let directory = |node: u64| Storage::Disk(folder.path().join(node.to_string()));
    let mut configs = Config::local_cluster(3).await.unwrap();
    let mut sleeper = configs.pop().unwrap();
    let open = |mut config: Config| {
        config.storage = directory(config.node);
        config.snapshot_entries = 20;
        config.request_timeout = Duration::from_secs(30);
        config.segment_bytes = 1 << 20;
        config.command_bytes_max = 1 << 10;
        Node::open(config, Counter::default())
    };
    let topology = sleeper.topology.clone();
    let mut nodes = Vec::new();
    for config in configs {
        nodes.push(open(config).await.unwrap());
    }
    sleeper.storage = directory(3);
    let third = open(sleeper).await.unwrap();
    nodes[0].propose(1).await.unwrap();
    third.shutdown().await;
    drop(third);
    // Should the one that sleeps have led: with a key, a proposal is safely made again.
    for number in 0..100 {
        let key = Some(format!("key {number}").into());
        nodes[0].propose_with(1, ProposeOptions { key, timeout: None }).await.unwrap();
    }
    let address = topology.member(3).unwrap().address.clone().unwrap();
    let mut again = Config::new("local", 3, topology, Security::Insecure);
    again.listen = Some(holm::Listen::Address(address));
    let third = open(again).await.unwrap();
    let mut status = third.status();
    status.wait_for(|status| status.applied >= 101 && status.snapshot > 20).await.unwrap();
    assert_eq!(third.read(|counter| counter.0).await.unwrap(), 101);
}

#[tokio::test]
async fn all_members_find_their_state_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let configs = |start: holm::Start| {
        let folder = folder.path().to_owned();
        async move {
            let mut configs = Config::local_cluster(3).await.unwrap();
            for config in &mut configs {
                config.storage = Storage::Disk(folder.join(config.node.to_string()));
                config.start = start;
                config.request_timeout = Duration::from_secs(30);
            }
            configs
        }
    };
    let open_all = |configs: Vec<Config>| async move {
        let mut nodes = Vec::new();
        for config in configs {
            nodes.push(Node::open(config, Counter::default()).await.unwrap());
        }
        nodes
    };
    let first = configs(holm::Start::Bootstrap).await;
    let topology = first[0].topology.clone();
    let nodes = open_all(first).await;
    nodes[1].propose(41).await.unwrap();
    for node in &nodes {
        node.shutdown().await;
    }
    drop(nodes);

    // Formed members are not formed again.
    let refused = Node::open(configs(holm::Start::Bootstrap).await.remove(0), Counter(0)).await;
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("start without --bootstrap"), "{message}");

    let mut again = configs(holm::Start::Join).await;
    for config in &mut again {
        let member = topology.member(config.node).unwrap();
        config.topology = topology.clone();
        config.listen = Some(holm::Listen::Address(member.address.clone().unwrap()));
    }
    let nodes = open_all(again).await;
    assert_eq!(nodes[2].propose(1).await.unwrap().reply, 42);
}
