//! Real processes that count to 200,000, with a snapshot each 10,000, while members are killed:
//! each increment counts once, and what they keep on their disks stays bounded.

use axum::http::StatusCode;
use holm::server::client::{Ask, Client, Endpoint};
use holm::server::cluster::Cluster;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const MEMBERS: u64 = 3;
const CLIENTS: u64 = 96;
const KILLS: u64 = 6;
const INCREMENTS: u64 = 200_000;
/// So many entries lie between two snapshots.
const DISTANCE: u64 = 10_000;
/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(120);
const SEGMENT_BYTES: u64 = 8 << 20;
/// What an increment takes up in the log at most: a counter's name and a key that are long on
/// purpose, and what stands around them.
const ENTRY_BYTES_MAX: u64 = 640;

/// So that entries are long, and a log that is never compacted is soon too large.
fn counter() -> String {
    "hits".repeat(60)
}

/// Takes the next increment until there are no more, each under a key of its own, at one member
/// after the other until it is answered.
async fn increments(endpoints: Vec<Endpoint>, next: Arc<AtomicU64>, done: Arc<watch::Sender<u64>>) {
    let (client, counter) = (Client::new(), counter());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= INCREMENTS {
            return;
        }
        let mut endpoints = endpoints.clone();
        endpoints.rotate_left(usize::try_from(number % MEMBERS).unwrap());
        let ask = Ask::add(&counter, 1, Some(format!("{number:0>100}")));
        let answer = client.ask_until_answered(&endpoints, &ask, STUCK).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        done.send_modify(|done| *done += 1);
    }
}

/// The log reaches back to the older of two snapshots, which are [`DISTANCE`] entries apart, and a
/// third may be on its way; beside what it holds there are the segment that is written and two that
/// are made ahead or wait to be used again.
fn check_bounds(cluster: &Cluster, id: u64) {
    let files = cluster.files_of(id).unwrap();
    let count = |begins: &str, ends: &str| {
        let ours = |name: &str| name.starts_with(begins) && name.ends_with(ends);
        files.iter().filter(|(name, _)| ours(name)).count()
    };
    let segments = 3 * DISTANCE * ENTRY_BYTES_MAX / SEGMENT_BYTES + 1 + 3;
    assert!(count("segment-", ".wal") as u64 <= segments, "{segments} at most: {files:?}");
    assert!(count("snapshot-", ".holm") <= 3, "two, and one that takes a place: {files:?}");
    assert!(count("snapshot-", ".new") <= 1, "one is under way: {files:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_count_with_kills_counts_once_each_and_the_disks_stay_bounded() {
    let settings = format!("snapshot_entries = {DISTANCE}\nsegment_bytes = {SEGMENT_BYTES}");
    let program = Path::new(env!("CARGO_BIN_EXE_holm"));
    let mut cluster = Cluster::start(program, 3, &settings, STUCK).await.unwrap();
    let (next, done) = (Arc::new(AtomicU64::new(0)), Arc::new(watch::Sender::new(0)));
    let mut progress = done.subscribe();
    let start = |_| tokio::spawn(increments(cluster.endpoints(), next.clone(), done.clone()));
    let clients: Vec<JoinHandle<()>> = (0..CLIENTS).map(start).collect();
    drop(done);

    for round in 1..=KILLS {
        let far = INCREMENTS * round / (KILLS + 1);
        progress.wait_for(|done| *done >= far).await.expect("the clients go on");
        // The leader, and one of the others, in turns.
        let leader = cluster.leader(STUCK).await.unwrap();
        let victim = if round % 2 == 0 { leader } else { leader % MEMBERS + 1 };
        cluster.kill(victim).unwrap();
        let more = (*progress.borrow() + DISTANCE / 2).min(INCREMENTS);
        progress.wait_for(|done| *done >= more).await.expect("two are enough");
        cluster.restart(victim).unwrap();
        cluster.caught_up(victim, far, STUCK).await.unwrap();
        for id in 1..=MEMBERS {
            check_bounds(&cluster, id);
        }
    }
    for client in clients {
        client.await.expect("each increment was answered");
    }
    let leader = cluster.leader(STUCK).await.unwrap();
    let commit = cluster.status(leader).await.unwrap().commit;
    let read = Ask::get(format!("/v1/counters/{}", counter()));
    for id in 1..=MEMBERS {
        let status = cluster.caught_up(id, commit, STUCK).await.unwrap();
        check_bounds(&cluster, id);
        assert!(status.snapshot + 2 * DISTANCE > commit, "{} of {commit}", status.snapshot);
        assert!(status.log_bytes <= 3 * DISTANCE * ENTRY_BYTES_MAX + SEGMENT_BYTES);
        let endpoint = [cluster.endpoint(id).clone()];
        let answer = cluster.client().ask_until_answered(&endpoint, &read, STUCK).await.unwrap();
        let value = answer.json::<serde_json::Value>().unwrap()["value"].as_u64();
        assert_eq!(value, Some(INCREMENTS), "member {id}");
    }
}
