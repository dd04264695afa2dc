//! Real processes that are asked for more than they can take: what does not fit is refused as busy
//! by the limit's name, and memory stays bounded.

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use holm::server::client::{Ask, Client, Endpoint};
use holm::server::cluster::Cluster;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);
/// How long a write waits for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// All at once, and so many times.
const CLIENTS: u64 = 256;
const WRITES: u64 = 4;
const VALUE_BYTES: usize = 512 << 10;
/// How much more memory of its own the member may have. All writes together are 512 MiB. What waits
/// is 64 MiB at most (`waiting_bytes_max`), and so is what stands in the log's tail; 128 MiB are on
/// their way from the clients at a time. The rest is what the allocator keeps.
const GROWTH_BYTES_MAX: u64 = 320 << 20;

/// Writes that nobody can take; how often they were refused, by what was told.
async fn write(endpoint: Endpoint, number: u64, value: Bytes) -> Vec<String> {
    let client = Client::new();
    let mut refusals = Vec::new();
    for write in 0..WRITES {
        let path = format!("/v1/kv/key-{number}-{write}");
        let ask = Ask { method: Method::PUT, path, key: None, body: value.clone() };
        let Ok(answer) = client.ask(&endpoint, &ask, PATIENCE).await else { continue };
        assert!(answer.is_undecided(), "nobody can have written it: {}", answer.status);
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            refusals.push(String::from_utf8_lossy(&answer.body).into_owned());
        }
    }
    refusals
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_fits_is_refused_by_the_limits_name_and_memory_stays_bounded() {
    let program = Path::new(env!("CARGO_BIN_EXE_holm"));
    let mut cluster = Cluster::start(program, 3, "", STUCK).await.unwrap();
    let leader = cluster.leader(STUCK).await.unwrap();
    let endpoint = [cluster.endpoint(leader).clone()];
    let small = Ask::add("hits", 1, Some("first".into()));
    cluster.client().ask_until_answered(&endpoint, &small, STUCK).await.unwrap();
    let before = cluster.own_memory_of(leader).unwrap();
    // Nobody answers the leader any more, so nothing gets done.
    let others: Vec<u64> = cluster.ids().filter(|id| *id != leader).collect();
    for id in &others {
        cluster.pause(*id).unwrap();
    }
    let value = Bytes::from(vec![7; VALUE_BYTES]);
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(write(endpoint[0].clone(), number, value.clone()));
    }
    let (mut refusals, mut most) = (Vec::new(), 0);
    while let Some(told) = clients.join_next().await {
        refusals.extend(told.unwrap());
        most = most.max(cluster.own_memory_of(leader).unwrap());
    }
    let busy = refusals.iter().filter(|told| told.contains("busy: waiting_bytes_max is reached"));
    let busy = busy.count();
    assert!(busy > 0, "{refusals:#?}");
    let grown = most.saturating_sub(before);
    assert!(grown <= GROWTH_BYTES_MAX, "{grown} bytes more; {busy} were refused as busy");

    for id in &others {
        cluster.go_on(*id).unwrap();
    }
    let small = Ask::add("hits", 1, Some("second".into()));
    let answer = cluster.client().ask_until_answered(&endpoint, &small, STUCK).await.unwrap();
    let value = answer.json::<serde_json::Value>().unwrap()["value"].as_i64();
    assert_eq!(value, Some(2), "it goes on");
}
