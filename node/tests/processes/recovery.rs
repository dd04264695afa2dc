//! Real processes whose majority is lost for good: one of those that are left goes on by `holm
//! recover`, with all that it holds; an old member that comes back is refused; what speaks against
//! a recovery is told by name, and changes nothing.

use axum::http::StatusCode;
use holm::Status;
use holm::server::client::Ask;
use holm::server::cluster::Cluster;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_holm");
/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);

fn recover(cluster: &Cluster, id: u64, words: &[&str]) -> Output {
    let config = cluster.folder().join(format!("node{id}")).join("holm.toml");
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("HOLM_")) {
            command.env_remove(name);
        }
    }
    command.arg("recover").arg("--config").arg(config).args(words).output().expect("it ran")
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

async fn add(cluster: &Cluster, id: u64, by: i64) -> i64 {
    let ask = Ask::add("hits", by, Some(holm::server::client::random_key()));
    let endpoint = [cluster.endpoint(id).clone()];
    let answer = cluster.client().ask_until_answered(&endpoint, &ask, STUCK).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json::<serde_json::Value>().unwrap()["value"].as_i64().unwrap()
}

/// What a member's log holds, as `holm inspect wal` prints it.
fn log_of(cluster: &Cluster, id: u64) -> String {
    let mut command = Command::new(PROGRAM);
    let output = command.args(["inspect", "wal"]).arg(cluster.data_of(id)).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

/// Waits until member 1's status is as wanted.
async fn until(cluster: &Cluster, wanted: impl Fn(&Status) -> bool) {
    let start = Instant::now();
    loop {
        let status = cluster.status(1).await;
        if status.as_ref().is_some_and(&wanted) {
            return;
        }
        assert!(start.elapsed() < STUCK, "it does not get there: {status:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_goes_on_alone_and_the_old_ones_that_come_back_are_refused() {
    let mut cluster = Cluster::start(Path::new(PROGRAM), 3, "", STUCK).await.unwrap();
    assert_eq!(add(&cluster, 1, 5).await, 5);
    let commit = cluster.status(1).await.unwrap().commit;
    for id in 1..=3 {
        cluster.caught_up(id, commit, STUCK).await.unwrap();
    }

    // What speaks against it. While it runs, its storage is in use.
    let refused = recover(&cluster, 1, &["--members", "1", "--yes"]);
    assert!(said(&refused).contains("is in use"), "{}", said(&refused));
    cluster.kill(1).unwrap();
    for (members, more, expected) in [
        // The others are there.
        ("1,2,3", "--yes", "a majority is there: 1, "),
        ("1,9", "--yes", "member 9 does not exist; there are 1, 2, 3"),
        ("2,3", "--yes", "member 1, on whose storage this runs, is not among the members"),
    ] {
        let refused = recover(&cluster, 1, &["--members", members, more]);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).contains(expected), "{expected}: {}", said(&refused));
    }
    cluster.kill(2).unwrap();
    cluster.kill(3).unwrap();
    let before = log_of(&cluster, 1);
    let unsure = recover(&cluster, 1, &["--members", "1,2", "--wait", "500ms"]);
    assert_eq!(unsure.status.code(), Some(1), "{}", said(&unsure));
    for expected in [
        "member 1 goes on as its only voter",
        "LOST is whatever the others acknowledged",
        "To come back wiped, as learners: 2. No members any more: 3.",
        "nothing was changed; to do it, say --yes",
    ] {
        assert!(said(&unsure).contains(expected), "{expected}: {}", said(&unsure));
    }
    assert_eq!(log_of(&cluster, 1), before, "nothing was changed");

    let done = recover(&cluster, 1, &["--members", "1,2", "--wait", "500ms", "--yes"]);
    assert!(done.status.success(), "{}", said(&done));
    let files = cluster.files_of(1).unwrap();
    let note = files.iter().find(|(name, _)| name.starts_with("recovery-")).expect("written down");
    let note = fs::read_to_string(cluster.data_of(1).join(&note.0)).unwrap();
    assert!(note.contains("member 1 goes on as its only voter"), "{note}");
    cluster.restart(1).unwrap();
    assert_eq!(add(&cluster, 1, 1).await, 6, "all that it held, and more");

    // One that was left behind is of another epoch, and one that was dropped a stranger, whatever
    // they hold.
    for (id, reason) in [(2, "epoch"), (3, "stranger")] {
        cluster.restart(id).unwrap();
        until(&cluster, |status| status.refused.contains_key(reason)).await;
    }
    let reached = |status: &Status| status.members.iter().any(|it| it.reached == "direct");
    assert!(!reached(&cluster.status(1).await.unwrap()), "it talks to nobody");
    // Wiped it is heard, and waits to be let in.
    cluster.kill(2).unwrap();
    fs::remove_dir_all(cluster.data_of(2)).unwrap();
    cluster.restart(2).unwrap();
    until(&cluster, |status| {
        status.members.iter().any(|it| it.node == 2 && it.reached != "not connected")
    })
    .await;
    assert_eq!(cluster.status(2).await.unwrap().role, "waiting");
    assert_eq!(add(&cluster, 1, 1).await, 7);
}
