//! Real processes: a follower that slept is brought up to date. By the log, as long as that reaches
//! back; else by a snapshot that is streamed to it, and goes on where it was when its links are cut
//! in mid-stream.

use crate::gate::{Gate, Way};
use crate::looking::{STUCK, until};
use axum::http::{Method, StatusCode};
use holm::Status;
use holm::server::client::Ask;
use holm::server::cluster::{Cluster, Plan, free_ports};
use holm::topology::{Island, Link, Member, Topology};
use std::collections::BTreeMap;
use std::path::Path;

/// The member that sleeps.
const SLEEPER: u64 = 3;
/// Values that don't compress: the snapshot is as large as they are together.
const VALUES: u64 = 24;
const VALUE_BYTES: usize = 512 << 10;
const STATE_BYTES: u64 = VALUES * VALUE_BYTES as u64;

/// Marsaglia's xorshift: nothing that compresses, and never the same for two numbers.
fn value(number: u64) -> Vec<u8> {
    let mut state = number + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..VALUE_BYTES / 8).flat_map(|_| next()).collect()
}

async fn put(cluster: &Cluster, path: String, body: Vec<u8>) {
    let ask = Ask { method: Method::PUT, key: Some(path.clone()), path, body: body.into() };
    let all = cluster.endpoints();
    let answer = cluster.client().ask_until_answered(&all[..2], &ask, STUCK).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

/// Members 1 and 2 dial member 3 through a gate; it dials nobody.
async fn start(gate: &Gate, listens: String, settings: &str) -> Cluster {
    let ports = free_ports(2).unwrap();
    let address = |id: u64| match id {
        SLEEPER => gate.address().to_owned(),
        _ => format!("127.0.0.1:{}", ports[usize::try_from(id).unwrap() - 1]),
    };
    let island = |id: u64| format!("island-{id}");
    let link = |to| Link { from: island(SLEEPER), to: island(to), dial: false };
    let topology = Topology {
        islands: (1..=3).map(|id| Island { name: island(id) }).collect(),
        members: (1..=3).map(|id| Member::new(id, island(id), Some(address(id)))).collect(),
        links: vec![link(1), link(2)],
    };
    let listens = BTreeMap::from([(SLEEPER, listens)]);
    let plan = Plan { topology, listens, settings: settings.into() };
    Cluster::start_as(Path::new(env!("CARGO_BIN_EXE_holm")), plan, STUCK).await.unwrap()
}

/// How many bytes a member has received from the others since it started.
fn received(status: &Status) -> u64 {
    status.members.iter().map(|member| member.received_bytes).sum()
}

fn reaches_nobody(status: &Status) -> Option<()> {
    let mut others = status.members.iter().filter(|member| member.node != SLEEPER);
    others.all(|member| member.reached == "not connected").then_some(())
}

async fn holds(cluster: &Cluster, path: &str, expected: &[u8]) {
    let ask = Ask::get(format!("{path}?consistency=local"));
    let answer = cluster.ask(SLEEPER, &ask, STUCK).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, expected), "{path}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_snapshot_that_is_cut_twice_in_mid_stream_goes_on_where_it_was() {
    let port = free_ports(1).unwrap()[0];
    let listens = format!("127.0.0.1:{port}");
    let gate = Gate::to(listens.clone(), Way::Open).await;
    // Three seconds for the whole of it; pieces of which at most a MiB is under way.
    let settings = "snapshot_entries = 10\nsnapshot_bytes_per_second = 4194304";
    let mut cluster = start(&gate, listens, settings).await;
    put(&cluster, "/v1/kv/first".into(), b"1".to_vec()).await;
    cluster.kill(SLEEPER).unwrap();
    for number in 0..VALUES {
        put(&cluster, format!("/v1/kv/key-{number}"), value(number)).await;
    }
    for number in 0..20 {
        put(&cluster, format!("/v1/kv/small-{number}"), b"2".to_vec()).await;
    }
    let leader = cluster.leader(STUCK).await.unwrap();
    let snapshot = |status: &Status| (status.snapshot > VALUES).then_some(status.commit);
    let commit = until(&cluster, leader, snapshot).await;

    cluster.restart(SLEEPER).unwrap();
    // Once nothing arrives any more, without a word, and once the connections break.
    for (part, cut) in [(4, Way::Silent), (7, Way::Shut)] {
        let wanted = STATE_BYTES * part / 10;
        let far = |status: &Status| (received(status) >= wanted).then_some(status.applied);
        let applied = until(&cluster, SLEEPER, far).await;
        assert!(applied < VALUES, "it is cut in mid-stream: {applied} are applied");
        gate.turn(cut);
        until(&cluster, SLEEPER, reaches_nobody).await;
        let files = cluster.files_of(SLEEPER).unwrap();
        assert!(files.iter().any(|(name, _)| name.starts_with("receiving-")), "{files:?}");
        gate.turn(Way::Open);
    }
    let status = cluster.caught_up(SLEEPER, commit, STUCK).await.unwrap();
    // Had it begun anew each time, that would be 1.7 times the state.
    let received = received(&status);
    assert!(received < STATE_BYTES * 14 / 10, "{received} bytes for a state of {STATE_BYTES}");
    assert!(status.snapshot > VALUES, "it has installed the leader's: {}", status.snapshot);
    for number in 0..VALUES {
        holds(&cluster, &format!("/v1/kv/key-{number}"), &value(number)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_trails_by_less_than_a_snapshot_s_distance_is_sent_entries_alone() {
    let port = free_ports(1).unwrap()[0];
    let listens = format!("127.0.0.1:{port}");
    let gate = Gate::to(listens.clone(), Way::Open).await;
    let mut cluster = start(&gate, listens, "snapshot_entries = 40").await;
    // Beyond the second snapshot the log is compacted; it begins behind the first.
    for number in 0..100 {
        put(&cluster, format!("/v1/kv/key-{number}"), b"1".to_vec()).await;
    }
    let commit = cluster.status(1).await.unwrap().commit;
    let status = cluster.caught_up(SLEEPER, commit, STUCK).await.unwrap();
    cluster.kill(SLEEPER).unwrap();
    let slept_at = status.applied;
    // Others take a snapshot, or two, meanwhile.
    for number in 0..39 {
        put(&cluster, format!("/v1/kv/later-{number}"), b"2".to_vec()).await;
    }
    let leader = cluster.leader(STUCK).await.unwrap();
    let taken = |status: &Status| (status.snapshot > slept_at).then_some(status.commit);
    let commit = until(&cluster, leader, taken).await;
    cluster.restart(SLEEPER).unwrap();
    cluster.caught_up(SLEEPER, commit, STUCK).await.unwrap();
    holds(&cluster, "/v1/kv/later-38", b"2").await;
    let log = std::fs::read_to_string(cluster.folder().join(format!("node{SLEEPER}.log"))).unwrap();
    assert!(!log.contains("installing the leader's snapshot"), "{log}");
}
