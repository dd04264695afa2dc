//! Claims on real processes: a holder is stopped by SIGSTOP, another takes over, and the first one,
//! which knows nothing of it, is refused when it wakes.

use axum::http::Method;
use holm::server::client::{Answer, Ask};
use holm::server::cluster::Cluster;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);

async fn ask(cluster: &Cluster, member: u64, method: &str, path: &str, body: &str) -> Answer {
    let method: Method = method.parse().unwrap();
    let ask = Ask { method, path: path.into(), key: None, body: body.to_owned().into() };
    let endpoint = [cluster.endpoint(member).clone()];
    cluster.client().ask_until_answered(&endpoint, &ask, STUCK).await.unwrap()
}

fn number(answer: &Answer, field: &str) -> u64 {
    answer.json::<Value>().unwrap()[field].as_u64().unwrap_or_else(|| panic!("{answer:?}"))
}

fn fenced(token: u64) -> String {
    format!("/v1/kv/outcome?claim=approval&token={token}")
}

/// Has a member claim the key, once `before` does not hold it any more, and write its own number in
/// the claim's name before that is over; returns the claim's token.
async fn claimed_and_used(cluster: &Cluster, member: u64, before: u64) -> u64 {
    loop {
        let claim = "/v1/claims/approval?time_ms=2000";
        let claimed = ask(cluster, member, "PUT", claim, "").await;
        match claimed.status.as_u16() {
            200 => assert_eq!(number(&claimed, "member"), member),
            409 => {
                assert_eq!(number(&claimed, "member"), before);
                continue;
            }
            other => panic!("{other}: {claimed:?}"),
        }
        let token = number(&claimed, "token");
        let used = ask(cluster, member, "PUT", &fenced(token), &member.to_string()).await;
        if used.status == 200 {
            return token;
        }
        assert_eq!(used.status, 412, "{used:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_was_stopped_is_refused_when_it_wakes() {
    let program = Path::new(env!("CARGO_BIN_EXE_holm"));
    let mut cluster = Cluster::start(program, 3, "", STUCK).await.unwrap();
    let leader = cluster.leader(STUCK).await.unwrap();
    let others: Vec<u64> = cluster.ids().filter(|id| *id != leader).collect();
    let (first, second) = (others[0], others[1]);
    let token = claimed_and_used(&cluster, first, first).await;
    cluster.pause(first).unwrap();
    let later = claimed_and_used(&cluster, second, first).await;
    assert!(later > token);

    cluster.go_on(first).unwrap();
    let woken = ask(&cluster, first, "GET", "/v1/claims/approval", "").await;
    assert_eq!(woken.status, 412, "by its own clock: {woken:?}");
    for member in [first, second, leader] {
        let late = ask(&cluster, member, "PUT", &fenced(token), "late").await;
        assert_eq!(late.status, 412, "{late:?}");
        let value = ask(&cluster, member, "GET", "/v1/kv/outcome", "").await;
        assert_eq!(value.body, second.to_string());
        let found = ask(&cluster, member, "GET", "/v1/rendezvous/approval", "").await;
        let found: Value = found.json().unwrap();
        assert_eq!(found["configuration"], 1, "{found}");
    }
    let unfenced = ask(&cluster, first, "PUT", "/v1/kv/outcome?claim=approval", "late").await;
    assert_eq!(unfenced.status, 400, "a token is missing: {unfenced:?}");
    // Whoever holds it renews it for whatever time, under its token.
    for time in [60_000, 2_000, 30_000] {
        let claim = format!("/v1/claims/approval?time_ms={time}");
        let renewed = ask(&cluster, second, "PUT", &claim, "").await;
        assert_eq!(renewed.status, 200, "{renewed:?}");
        let told = (number(&renewed, "member"), number(&renewed, "left_ms"));
        assert!(told.0 == second && told.1 > 2_000, "{told:?}");
    }
    assert_eq!(ask(&cluster, second, "DELETE", "/v1/claims/approval", "").await.status, 200);
    assert_eq!(ask(&cluster, second, "GET", "/v1/claims/approval", "").await.status, 412);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_says_alike_where_a_key_is() {
    let program = Path::new(env!("CARGO_BIN_EXE_holm"));
    let cluster = Cluster::start(program, 3, "", STUCK).await.unwrap();
    // Known everywhere once each has answered a read.
    for member in 1..=3 {
        assert_eq!(ask(&cluster, member, "GET", "/v1/counters/n", "").await.status, 200);
    }
    for member in 1..=3 {
        let endpoint = cluster.endpoint(member).to_string();
        let told = Command::new(program)
            .args(["rendezvous", "where", "host-1", "-o", "json", "--endpoint", &endpoint])
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(told["order"], serde_json::json!([1, 3, 2]), "at {member}: {told}");
        let status = cluster.status(member).await.unwrap();
        assert!(status.members.iter().all(|known| known.owns_ppm == 333_333), "{status:?}");
    }
}
