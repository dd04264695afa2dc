//! The library on the bad day: a backup becomes a new cluster, and where a majority is lost one
//! member goes on alone, until others that were wiped are let in again.

use crate::counter::Counter;
use crate::local::open;
use holm::members::{Change, NotChanged};
use holm::{Backup, Config, Consistency, Edges, Error, Listen, Node};
use holm::{ReadOptions, RecoverError, Recovery, RestoreError, Security, Start};
use holm::{Storage, restore, topology::Topology};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);
/// Long enough for members of this process to find each other, if there are any.
const PATIENCE: Duration = Duration::from_millis(300);

/// Empty storages of a new cluster.
async fn empty() -> Vec<(Config, Edges)> {
    let configs = Config::local_cluster(3).await.unwrap();
    let joins = |config| (Config { start: Start::Join, ..config }, Edges::in_memory());
    configs.into_iter().map(joins).collect()
}

#[tokio::test]
async fn a_backup_of_any_member_becomes_a_cluster_that_goes_on_where_it_was() {
    let nodes = open::<Counter>(|config| config.snapshot_entries = 10).await;
    let mut files = Vec::new();
    for number in 1..=30 {
        nodes[0].propose(1).await.unwrap();
        if number % 10 == 0 {
            let backup = nodes[number / 10 - 1].backup(ReadOptions::default()).await.unwrap();
            files.push(backup.file().clone());
        }
    }
    for (file, expected) in files.into_iter().zip([10, 20, 30]) {
        let backup = Backup::read(file).unwrap();
        assert_eq!(backup.head().members().collect::<Vec<_>>(), [1, 2, 3]);
        let members = empty().await;
        let restored = restore(&backup, "local", &members).await.unwrap();
        assert_eq!((&*restored.cluster, restored.members), ("local", vec![1, 2, 3]));
        let again = restore(&backup, "local", &members).await.unwrap_err();
        assert!(matches!(again, RestoreError::NotEmpty { node: 1 }), "{again}");
        let mut new = Vec::new();
        for (config, edges) in members {
            new.push(Node::open_with(config, edges, Counter::default()).await.unwrap());
        }
        for node in &new {
            assert_eq!(node.read(|sum| sum.0).await.unwrap(), expected);
        }
        assert_eq!(new[1].client().propose(5).await.unwrap().reply, expected + 5);
    }
    assert_eq!(nodes[2].propose(1).await.unwrap().reply, 31, "the old one goes on");
}

#[tokio::test]
async fn a_backup_without_a_majority_is_what_the_member_has_applied() {
    let nodes = open::<Counter>(|config| config.request_timeout = Duration::from_secs(2)).await;
    let index = nodes[0].propose(7).await.unwrap().index;
    nodes[2].read_from(index, |_| ()).await.unwrap();
    for lost in &nodes[..2] {
        lost.shutdown().await;
    }
    let options = |consistency| ReadOptions { consistency, ..ReadOptions::default() };
    let refused = nodes[2].backup(options(Consistency::Linearizable)).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    let backup = nodes[2].backup(options(Consistency::Local)).await.unwrap();
    assert!(backup.index() >= index);
    let other = restore(&backup, "lagoon", &empty().await).await.unwrap_err();
    assert!(matches!(other, RestoreError::Cluster { .. }), "{other}");
}

fn directory(folder: &Path, node: u64) -> PathBuf {
    folder.join(node.to_string())
}

/// A member of the old cluster, where the others look for it.
fn again(folder: &Path, topology: &Topology, node: u64) -> Config {
    let config = Config::new("local", node, topology.clone(), Security::Insecure);
    let address = topology.member(node).unwrap().address.clone();
    Config {
        storage: Storage::Disk(directory(folder, node)),
        listen: address.map(Listen::Address),
        request_timeout: Duration::from_secs(30),
        ..config
    }
}

#[tokio::test]
async fn a_member_goes_on_alone_until_one_that_was_wiped_is_let_in_and_votes() {
    let folder = tempfile::tempdir().unwrap();
    let configs = Config::local_cluster(3).await.unwrap();
    let topology = configs[0].topology.clone();
    let mut nodes = Vec::new();
    for mut config in configs {
        config.storage = Storage::Disk(directory(folder.path(), config.node));
        nodes.push(Node::open(config, Counter::default()).await.unwrap());
    }
    let index = nodes[0].propose(5).await.unwrap().index;
    for node in &nodes {
        node.read_from(index, |_| ()).await.unwrap();
    }
    let last = nodes.remove(0);
    last.shutdown().await;
    let plan = async |members: &[u64]| {
        let edges = Edges::in_directory(&directory(folder.path(), 1)).unwrap();
        Recovery::plan(again(folder.path(), &topology, 1), edges, members, PATIENCE).await
    };
    // The other two are a majority without it, and with it.
    let refused = plan(&[1, 2]).await.err().expect("they are there");
    assert!(matches!(refused, RecoverError::Quorum { .. }), "{refused}");
    for node in nodes.drain(..) {
        node.shutdown().await;
    }
    let unknown = plan(&[1, 4]).await.err().expect("there is no such member");
    assert!(matches!(unknown, RecoverError::NoSuchMember { node: 4, .. }), "{unknown}");
    let recovery = plan(&[1, 2]).await.unwrap();
    let prospect = recovery.prospect();
    assert_eq!((&prospect.waits_for[..], &prospect.drops[..]), (&[2][..], &[3][..]));
    recovery.carry_out().await.unwrap();

    let alone = Node::open(again(folder.path(), &topology, 1), Counter::default()).await.unwrap();
    assert_eq!(alone.propose(1).await.unwrap().reply, 6);
    std::fs::remove_dir_all(directory(folder.path(), 2)).unwrap();
    let wiped = Node::open(again(folder.path(), &topology, 2), Counter::default()).await.unwrap();
    let reached = |status: &holm::Status| {
        status.members.iter().any(|it| it.node == 2 && it.reached != "not connected")
    };
    alone.status().wait_for(reached).await.unwrap();
    alone.change_members(Change::Readmit { node: 2 }, None).await.unwrap();
    wiped.status().wait_for(|status| status.leader == Some(1)).await.unwrap();
    let promoted = async {
        loop {
            match alone.change_members(Change::Promote { node: 2 }, None).await {
                Ok(_) => break,
                // It has not caught up yet.
                Err(NotChanged::Refused(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    tokio::time::timeout(STUCK, promoted).await.expect("it catches up");
    assert_eq!(wiped.propose(1).await.unwrap().reply, 7);
    // Two vote now: without the second nothing is promised.
    wiped.shutdown().await;
    let brief = holm::ProposeOptions { key: None, timeout: Some(Duration::from_millis(300)) };
    assert!(alone.propose_with(1, brief).await.is_err());
}
