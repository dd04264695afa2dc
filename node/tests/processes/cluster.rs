//! Three real processes on loopback with real logs: increments through every member while leaders
//! are killed and a member sleeps; at the end the counter equals the number of keys, everywhere,
//! and still does after all were killed and restarted.

use axum::http::StatusCode;
use holm::server::client::{Answer, Ask, Client, Endpoint};
use holm::server::cluster::Cluster;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const MEMBERS: usize = 3;
const CLIENTS: u64 = 6;
const INCREMENTS: u64 = 100;
/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);

async fn start() -> Cluster {
    let program = Path::new(env!("CARGO_BIN_EXE_holm"));
    // Small segments and frequent snapshots, so that the log rolls and is compacted on the way.
    let settings = "snapshot_entries = 150\nsegment_bytes = 8388608";
    Cluster::start(program, MEMBERS, settings, STUCK).await.unwrap()
}

/// Asks until the answer is neither 503 nor 504 nor a broken connection.
async fn answered(client: &Client, endpoints: &[Endpoint], ask: &Ask) -> Answer {
    client.ask_until_answered(endpoints, ask, STUCK).await.unwrap()
}

fn value(answer: &Answer) -> i64 {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json::<serde_json::Value>().unwrap()["value"].as_i64().unwrap()
}

/// One client's increments, each under a key of its own, beginning at another member each time.
async fn increments(endpoints: Vec<Endpoint>, name: u64, done: Arc<watch::Sender<u64>>) {
    let client = Client::new();
    for number in 0..INCREMENTS {
        let mut endpoints = endpoints.clone();
        endpoints.rotate_left(usize::try_from((name + number) % MEMBERS as u64).unwrap());
        let ask = Ask::add("hits", 1, Some(format!("client-{name}-{number}")));
        value(&answered(&client, &endpoints, &ask).await);
        done.send_modify(|done| *done += 1);
    }
}

async fn check_everywhere(cluster: &mut Cluster, expected: i64) {
    let leader = cluster.leader(STUCK).await.unwrap();
    let read = Ask::get("/v1/counters/hits");
    let endpoint = [cluster.endpoint(leader).clone()];
    assert_eq!(value(&answered(cluster.client(), &endpoint, &read).await), expected);
    let commit = cluster.status(leader).await.unwrap().commit;
    let local = Ask::get("/v1/counters/hits?consistency=local");
    for id in cluster.ids().collect::<Vec<_>>() {
        cluster.caught_up(id, commit, STUCK).await.unwrap();
        let endpoint = [cluster.endpoint(id).clone()];
        let own = value(&answered(cluster.client(), &endpoint, &local).await);
        assert_eq!(own, expected, "member {id}");
        let linearizable = value(&answered(cluster.client(), &endpoint, &read).await);
        assert_eq!(linearizable, expected, "a linearizable read at member {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_increment_counts_once_whoever_is_killed() {
    let mut cluster = start().await;
    let done = Arc::new(watch::Sender::new(0));
    let mut progress = done.subscribe();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| tokio::spawn(increments(cluster.endpoints(), name, Arc::clone(&done))))
        .collect();
    let total = CLIENTS * INCREMENTS;

    // The leader is killed three times in mid-stream, and comes back after some more increments.
    for round in 1..=3 {
        progress.wait_for(|done| *done >= round * total / 8).await.unwrap();
        let leader = cluster.leader(STUCK).await.unwrap();
        cluster.kill(leader).unwrap();
        let at_kill = *progress.borrow();
        progress.wait_for(|done| *done >= at_kill + 20).await.unwrap();
        cluster.restart(leader).unwrap();
        cluster.caught_up(leader, 1, STUCK).await.unwrap();
    }
    // A follower sleeps while the log is compacted past it, and comes back.
    let leader = cluster.leader(STUCK).await.unwrap();
    let sleeper = cluster.ids().find(|id| *id != leader).unwrap();
    cluster.kill(sleeper).unwrap();
    progress.wait_for(|done| *done >= total * 7 / 8).await.unwrap();
    cluster.restart(sleeper).unwrap();

    for client in clients {
        client.await.unwrap();
    }
    let expected = i64::try_from(total).unwrap();
    check_everywhere(&mut cluster, expected).await;

    for id in cluster.ids().collect::<Vec<_>>() {
        cluster.kill(id).unwrap();
    }
    for id in cluster.ids().collect::<Vec<_>>() {
        cluster.restart(id).unwrap();
    }
    check_everywhere(&mut cluster, expected).await;

    // The keys outlived it all: a late retry gets its first answer and counts nothing.
    let late = Ask::add("hits", 1, Some("client-0-0".into()));
    let first = value(&answered(cluster.client(), &cluster.endpoints(), &late).await);
    assert!((1..=expected).contains(&first));
    let reused = Ask::add("hits", 2, Some("client-0-0".into()));
    let refused = answered(cluster.client(), &cluster.endpoints(), &reused).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    check_everywhere(&mut cluster, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_a_member_says_so_and_goes_on_once_there_is_one() {
    let mut cluster = start().await;
    let leader = cluster.leader(STUCK).await.unwrap();
    let all = cluster.endpoints();
    let put = |value: &'static str| Ask {
        method: axum::http::Method::PUT,
        path: "/v1/kv/a%2Fb".into(),
        key: None,
        body: value.into(),
    };
    let written = answered(cluster.client(), &all, &put("one")).await;
    assert_eq!((written.status, written.revision), (StatusCode::OK, Some(1)));
    let others: Vec<u64> = cluster.ids().filter(|id| *id != leader).collect();
    for id in &others {
        cluster.kill(*id).unwrap();
    }
    // A write may be anywhere, so its outcome is unknown, or nobody took it. A read is refused.
    let alone = cluster.endpoint(leader).clone();
    let within = Duration::from_secs(2);
    let write = cluster.client().ask(&alone, &put("two"), within).await.unwrap();
    assert!(write.is_undecided(), "{write:?}");
    let read = cluster.client().ask(&alone, &Ask::get("/v1/kv/a%2Fb"), within).await.unwrap();
    assert_eq!(read.status, StatusCode::SERVICE_UNAVAILABLE);
    let local = Ask::get("/v1/kv/a%2Fb?consistency=local");
    let own = cluster.client().ask(&alone, &local, within).await.unwrap();
    assert_eq!((own.status, &own.body[..]), (StatusCode::OK, &b"one"[..]));

    cluster.restart(others[0]).unwrap();
    let again = answered(cluster.client(), &[alone], &put("three")).await;
    assert_eq!(again.status, StatusCode::OK);
    let read = answered(cluster.client(), &all, &Ask::get("/v1/kv/a%2Fb")).await;
    assert_eq!(&read.body[..], b"three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_compare_and_sets_through_all_members_let_exactly_one_through() {
    let cluster = start().await;
    let won = Arc::new(AtomicU64::new(0));
    let race = |at: usize, expect: u64| {
        let (won, endpoint) = (Arc::clone(&won), cluster.endpoints()[at % MEMBERS].clone());
        let client = cluster.client().clone();
        tokio::spawn(async move {
            let ask = Ask {
                method: axum::http::Method::PUT,
                path: format!("/v1/kv/lock?expect={expect}"),
                key: Some(format!("lock-{expect}-{at}")),
                body: format!("holder {at}").into(),
            };
            let answer = answered(&client, &[endpoint], &ask).await;
            match answer.status {
                StatusCode::OK => won.fetch_add(1, Ordering::Relaxed),
                StatusCode::CONFLICT => 0,
                other => panic!("{other}: {answer:?}"),
            }
        })
    };
    for (round, expect) in (1..=5).zip(0..) {
        let racers: Vec<_> = (0..6).map(|at| race(at, expect)).collect();
        for racer in racers {
            racer.await.unwrap();
        }
        assert_eq!(won.load(Ordering::Relaxed), round, "one winner a round");
    }
}
