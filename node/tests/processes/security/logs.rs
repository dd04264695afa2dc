//! What members say of themselves at the level `trace`: never a secret, and never what is written.

use super::member::{folder, keep};
use super::{STUCK, drawn, entry, with};
use axum::http::Method;
use holm::server::client::{Ask, Client, Endpoint};
use holm::server::cluster::Cluster;
use std::fs;
use std::path::Path;

#[tokio::test]
async fn no_token_secret_key_or_payload_is_in_the_log_at_any_level() {
    let (token, unknown) = (drawn(), drawn());
    // The members' level is that of who starts them.
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_holm");
    let script = format!("#!/bin/sh\nHOLM_LOG=trace exec {program} \"$@\"\n");
    let program = keep(&folder, "holm", &script, 0o700);
    // A cluster that asks for tokens does not tell its own client who leads.
    let mut cluster = Cluster::start(Path::new(&program), 3, "", STUCK).await.expect("a cluster");
    let payload = "a-payload-that-nobody-should-read";
    let put = |client: Client, endpoint: Endpoint| async move {
        let put = Ask {
            method: Method::PUT,
            path: "/v1/kv/a-name-that-nobody-should-read".into(),
            key: Some("an-idempotency-key".into()),
            body: payload.into(),
        };
        client.ask(&endpoint, &put, STUCK).await.expect("an answer").status
    };
    let leader = cluster.leader(STUCK).await.expect("a leader");
    for id in cluster.ids().collect::<Vec<_>>() {
        assert_eq!(put(with(&token), cluster.endpoint(id).clone()).await, 200);
    }
    cluster.kill(leader).expect("killed");
    cluster.leader(STUCK).await.expect("another leader");
    let guarded = super::Member::start(&entry("somebody", "write", &token)).await;
    assert_eq!(put(with(&token), guarded.endpoint.clone()).await, 200);
    assert_eq!(put(with(&unknown), guarded.endpoint.clone()).await, 401);
    let logs: Vec<String> = cluster
        .ids()
        .map(|id| cluster.folder().join(format!("node{id}.log")))
        .map(|path| fs::read_to_string(path).expect("a log"))
        .chain([guarded.log()])
        .collect();
    let mut secrets = vec![token.reveal(), unknown.reveal(), payload];
    secrets.extend(["a-name-that-nobody-should-read", "an-idempotency-key"]);
    let files: Vec<String> = cluster
        .ids()
        .flat_map(|id| ["secrets", "member.key"].map(|name| format!("node{id}/{name}")))
        .map(|name| fs::read_to_string(cluster.folder().join(name)).expect("written"))
        .collect();
    let lines = files.iter().flat_map(|file| file.lines());
    secrets.extend(lines.filter(|line| !line.starts_with('#') && !line.is_empty()));
    assert_eq!(secrets.len(), 5 + 6, "a secret and a key for each member");
    for log in &logs {
        for secret in &secrets {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
    assert!(logs[0].contains("DEBUG"), "it says more than usual:\n{}", logs[0]);
    let of_the_leader = &logs[usize::try_from(leader).expect("small") - 1];
    let roles = of_the_leader.lines().filter(|line| line.contains(" leader term=")).count();
    assert_eq!(roles, 1, "one line for one change of role:\n{of_the_leader}");
}
