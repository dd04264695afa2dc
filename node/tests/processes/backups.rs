//! Real processes: a backup that is made under load becomes a new cluster that holds what the old
//! one held, and nothing of what is no good becomes anything.

use axum::http::StatusCode;
use holm::server::client::{Ask, Client, Endpoint};
use holm::server::cluster::Cluster;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_holm");
/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);
const CLIENTS: u64 = 8;

fn holm(words: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("HOLM_")) {
            command.env_remove(name);
        }
    }
    command.args(words).output().expect("it ran")
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

async fn asked(cluster: &Cluster, ask: &Ask) -> i64 {
    let all = cluster.endpoints();
    let answer = cluster.client().ask_until_answered(&all, ask, STUCK).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json::<serde_json::Value>().unwrap()["value"].as_i64().unwrap_or_default()
}

/// A client that increments until it is told to stop, and tells how often it was answered.
async fn increments(
    endpoints: Vec<Endpoint>,
    name: u64,
    stops: Arc<AtomicBool>,
    answered: Arc<watch::Sender<i64>>,
) {
    let client = Client::new();
    for number in 0.. {
        if stops.load(Ordering::Relaxed) {
            return;
        }
        let ask = Ask::add("hits", 1, Some(format!("client-{name}-{number}")));
        let answer = client.ask_until_answered(&endpoints, &ask, STUCK).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answered.send_modify(|answered| *answered += 1);
    }
}

/// The arguments that name these members' configurations.
fn configs(cluster: &Cluster, ids: &[u64]) -> Vec<String> {
    let config = |id: &u64| cluster.folder().join(format!("node{id}")).join("holm.toml");
    ids.iter().flat_map(|id| ["--config".into(), text(&config(id)).to_owned()]).collect()
}

fn restore(file: &Path, more: &[String]) -> Output {
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    holm(&[&["restore", text(file)][..], &more].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_becomes_a_new_cluster_that_holds_all_that_was_answered_before_it() {
    let settings = "snapshot_entries = 500";
    let mut cluster = Cluster::start(Path::new(PROGRAM), 3, settings, STUCK).await.unwrap();
    for number in 0..50 {
        let put = Ask::put(&format!("key-{number}"), format!("value {number}"), None);
        asked(&cluster, &put).await;
    }
    let stops = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(watch::Sender::new(0));
    let mut progress = answered.subscribe();
    let start =
        |name| tokio::spawn(increments(cluster.endpoints(), name, stops.clone(), answered.clone()));
    let clients: Vec<JoinHandle<()>> = (0..CLIENTS).map(start).collect();
    progress.wait_for(|answered| *answered >= 1_000).await.unwrap();

    // On a follower; while the clients go on.
    let leader = cluster.leader(STUCK).await.unwrap();
    let follower = cluster.endpoint(leader % 3 + 1).to_string();
    let file = cluster.folder().join("harbour.backup");
    let before = *progress.borrow();
    let words = ["backup", text(&file), "--endpoint", &follower].map(String::from);
    let made = tokio::task::spawn_blocking(move || holm(&words.each_ref().map(|word| &word[..])));
    let made = made.await.unwrap();
    assert!(made.status.success(), "{}", said(&made));
    assert!(made.stderr.is_empty(), "a bar is for terminals: {}", said(&made));
    let begun_by_then = *progress.borrow() + i64::try_from(CLIENTS).unwrap();
    progress.wait_for(|answered| *answered >= before + 500).await.expect("they go on");
    stops.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let inspected = holm(&["inspect", "backup", text(&file)]);
    assert!(said(&inspected).starts_with("cluster local up to index "), "{}", said(&inspected));

    // The bad day: all of it is gone, but for the configurations and the backup.
    let ids = [1, 2, 3];
    let mut old = Vec::new();
    for id in ids {
        old.push(cluster.status(id).await.unwrap().incarnation);
        cluster.kill(id).unwrap();
        fs::remove_dir_all(cluster.data_of(id)).unwrap();
    }
    let restored = restore(&file, &configs(&cluster, &ids));
    assert!(restored.status.success(), "{}", said(&restored));
    assert!(said(&restored).contains("of members 1, 2, 3"), "{}", said(&restored));
    for id in ids {
        cluster.restart(id).unwrap();
    }
    let hits = asked(&cluster, &Ask::get("/v1/counters/hits")).await;
    assert!((before..=begun_by_then).contains(&hits), "{before} to {begun_by_then}: {hits}");
    for number in 0..50 {
        let path = format!("/v1/kv/key-{number}");
        let all = cluster.endpoints();
        let answer = cluster.client().ask_until_answered(&all, &Ask::get(path), STUCK).await;
        assert_eq!(answer.unwrap().body, format!("value {number}"));
    }
    for (id, old) in ids.into_iter().zip(old) {
        assert_ne!(cluster.status(id).await.unwrap().incarnation, old, "member {id} is another");
    }
    // What was answered before the backup is remembered, and what comes now counts on.
    let late = Ask::add("hits", 1, Some("client-0-0".into()));
    assert!(asked(&cluster, &late).await <= before, "its first answer");
    assert_eq!(asked(&cluster, &Ask::add("hits", 1, Some("new".into()))).await, hits + 1);
}

/// Whether a member's storage holds anything but the lock.
fn is_empty(cluster: &Cluster, id: u64) -> bool {
    let files = cluster.files_of(id).unwrap_or_default();
    files.iter().all(|(name, _)| name == "lock")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_good_is_refused_by_name_and_changes_nothing() {
    let mut cluster = Cluster::start(Path::new(PROGRAM), 3, "", STUCK).await.unwrap();
    asked(&cluster, &Ask::add("hits", 5, None)).await;
    let good = cluster.folder().join("good");
    let made = holm(&["backup", text(&good), "--endpoint", &cluster.endpoint(1).to_string()]);
    assert!(made.status.success(), "{}", said(&made));
    let again = holm(&["backup", text(&good), "--endpoint", &cluster.endpoint(1).to_string()]);
    assert!(said(&again).contains("is there already"), "{}", said(&again));
    let all = configs(&cluster, &[1, 2, 3]);

    // A member that runs, and one that has stopped and holds something.
    let runs = restore(&good, &all);
    assert!(!runs.status.success() && said(&runs).contains("use"), "{}", said(&runs));
    for id in [1, 2, 3] {
        cluster.kill(id).unwrap();
    }
    let full = restore(&good, &all);
    assert!(said(&full).contains("the storage of member 1 is not empty"), "{}", said(&full));
    for id in [1, 2] {
        fs::remove_dir_all(cluster.data_of(id)).unwrap();
    }
    let full = restore(&good, &all);
    assert!(said(&full).contains("the storage of member 3 is not empty"), "{}", said(&full));
    assert!(is_empty(&cluster, 1) && is_empty(&cluster, 2));
    fs::remove_dir_all(cluster.data_of(3)).unwrap();

    let bytes = fs::read(&good).unwrap();
    let variant = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = cluster.folder().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut altered = bytes.clone();
    let middle = bytes.len() / 2;
    altered[middle] ^= 1;
    let named = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let of_other = [named(&["--of", "lagoon"]), all.clone()].concat();
    let twice = [all.clone(), configs(&cluster, &[2])].concat();
    let missing = named(&["--config", "nowhere.toml"]);
    for (file, more, expected) in [
        (variant("cut", &bytes[..bytes.len() - 1]), &all, "it was cut or added to"),
        (variant("altered", &altered), &all, "the backup was altered"),
        (variant("text", b"a letter to somebody"), &all, "this is no backup of holm"),
        (cluster.folder().join("nothing"), &all, "can't be read"),
        (good.clone(), &of_other, "is of cluster \"local\", not of \"lagoon\""),
        (good.clone(), &twice, "in use"),
    ] {
        let refused = restore(&file, more);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).contains(expected), "{expected}: {}", said(&refused));
        for id in [1, 2, 3] {
            assert!(is_empty(&cluster, id), "member {id} after {expected}");
        }
    }
    let refused = restore(&good, &missing);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    // A cluster of some of them: the others are told of.
    let some = restore(&good, &configs(&cluster, &[2]));
    assert!(said(&some).contains("to be added once it runs: 1, 3"), "{}", said(&some));
    cluster.restart(2).unwrap();
    let two = [cluster.endpoint(2).clone()];
    let read = Ask::get("/v1/counters/hits");
    let answer = cluster.client().ask_until_answered(&two, &read, STUCK).await.unwrap();
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["value"], 5);
}

/// Answers one request after the other with these bytes as a backup, each said to be longer than it
/// is by so much.
fn answers(bodies: Vec<(Vec<u8>, usize)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (body, missing) in bodies {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let length = body.len() + missing;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            // Whoever has seen enough may have gone.
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_breaks_off_or_is_no_good_on_its_way_leaves_no_file() {
    let cluster = Cluster::start(Path::new(PROGRAM), 1, "", STUCK).await.unwrap();
    asked(&cluster, &Ask::add("hits", 5, None)).await;
    let folder = tempfile::tempdir().unwrap();
    let (first, file) = (folder.path().join("first"), folder.path().join("second"));
    let made = holm(&["backup", text(&first), "--endpoint", &cluster.endpoint(1).to_string()]);
    assert!(made.status.success(), "{}", said(&made));
    let whole = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    let cut = whole[..whole.len() - 7].to_vec();
    let letter = b"a letter to somebody".to_vec();
    let at = answers(vec![(cut.clone(), 7), (cut, 0), (altered, 0), (letter, 0), (whole, 0)]);
    for expected in [
        "the answer broke off",
        "it was cut or added to",
        "was altered",
        "this is no backup of holm",
    ] {
        let made = holm(&["backup", text(&file), "--endpoint", &at]);
        assert_eq!(made.status.code(), Some(1), "{}", said(&made));
        assert!(said(&made).contains(expected), "{expected}: {}", said(&made));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{expected}");
    }
    let made = holm(&["backup", text(&file), "--endpoint", &at]);
    assert!(made.status.success(), "{}", said(&made));
    assert!(holm(&["inspect", "backup", text(&file)]).status.success());
}
