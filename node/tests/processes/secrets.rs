//! The secret that all members share is exchanged on real processes while they run: a member reads
//! its file again at SIGHUP.

use axum::http::StatusCode;
use holm::Status;
use holm::server::client::{Ask, Client};
use holm::server::cluster::Cluster;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);
/// No election comes of a machine that does much else.
const PATIENT: &str = "election_timeout_ms = 5000\nheartbeat_ms = 100";

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_holm"))
}

/// A new secret, as `holm keygen` draws it: its id, and the line of the file.
fn drawn(folder: &Path) -> (String, String) {
    let path = folder.join("new");
    let keygen = Command::new(program()).args(["keygen", "--secret", "--out"]).arg(&path).output();
    let id = String::from_utf8(keygen.unwrap().stdout).unwrap().trim().to_owned();
    (id, line_of(&path))
}

/// The one secret of a file.
fn line_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().find(|line| line.starts_with("holm-secret-")).unwrap().to_owned()
}

/// Puts these lines into a member's file, whole or not at all, as an operator should.
fn put(path: &Path, lines: &[&str]) {
    let beside = path.with_extension("new");
    fs::write(&beside, lines.join("\n")).unwrap();
    fs::set_permissions(&beside, Permissions::from_mode(0o600)).unwrap();
    fs::rename(beside, path).unwrap();
}

/// Looks at a member's status until it is as it is to be.
async fn until(cluster: &Cluster, id: u64, is: impl Fn(&Status) -> bool) -> Status {
    let start = Instant::now();
    loop {
        let status = cluster.status(id).await;
        if let Some(found) = status.as_ref().filter(|status| is(status)) {
            return found.clone();
        }
        assert!(start.elapsed() < STUCK, "member {id} does not get there: {status:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn reaches(status: &Status, other: u64) -> bool {
    status.members.iter().any(|member| member.node == other && member.reached != "not connected")
}

/// A client at each member. Each of its increments is made once, and has to succeed.
struct Clients {
    stops: Arc<AtomicBool>,
    answered: Vec<Arc<AtomicU64>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(cluster: &Cluster) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let mut clients = Self { stops: Arc::clone(&stops), answered: vec![], tasks: vec![] };
        for endpoint in cluster.endpoints() {
            let (stops, answered) = (Arc::clone(&stops), Arc::new(AtomicU64::new(0)));
            clients.answered.push(Arc::clone(&answered));
            clients.tasks.push(tokio::spawn(async move {
                let client = Client::new();
                while !stops.load(Ordering::Relaxed) {
                    let answer = client.ask(&endpoint, &Ask::add("hits", 1, None), STUCK).await;
                    assert_eq!(answer.unwrap().status, StatusCode::OK, "at {endpoint}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        clients
    }

    fn counts(&self) -> Vec<u64> {
        self.answered.iter().map(|answered| answered.load(Ordering::Relaxed)).collect()
    }

    /// Waits until each has succeeded ten times more.
    async fn go_on(&self) {
        let (start, before) = (Instant::now(), self.counts());
        while self.counts().iter().zip(&before).any(|(now, before)| *now < before + 10) {
            let failed = self.tasks.iter().any(JoinHandle::is_finished);
            assert!(!failed && start.elapsed() < STUCK, "{:?}", self.counts());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many increments were made.
    async fn stop(self) -> u64 {
        self.stops.store(true, Ordering::Relaxed);
        let counts = self.answered;
        for task in self.tasks {
            task.await.expect("each increment succeeds");
        }
        counts.iter().map(|answered| answered.load(Ordering::Relaxed)).sum()
    }
}

async fn change(cluster: &Cluster, id: u64, secrets: &[&(String, String)]) {
    let lines: Vec<&str> = secrets.iter().map(|(_, line)| line.as_str()).collect();
    let ids: Vec<String> = secrets.iter().map(|(id, _)| id.clone()).collect();
    put(&cluster.secrets_of(id), &lines);
    cluster.reread_secrets(id).unwrap();
    until(cluster, id, |status| status.secrets == ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_exchanged_on_running_members_and_no_request_fails() {
    let mut cluster = Cluster::start(program(), 3, PATIENT, STUCK).await.unwrap();
    let old_id = until(&cluster, 1, |status| status.secrets.len() == 1).await.secrets.remove(0);
    let old = (old_id, line_of(&cluster.secrets_of(1)));
    let new = drawn(cluster.folder());
    let before = until(&cluster, 1, |status| status.leader.is_some()).await;
    let clients = Clients::start(&cluster);
    for secrets in [&[&old, &new][..], &[&new, &old], &[&new]] {
        for id in 1..=3 {
            change(&cluster, id, secrets).await;
            clients.go_on().await;
        }
    }
    let sum = clients.stop().await;
    let after = until(&cluster, 1, |_| true).await;
    assert_eq!((after.term, after.leader), (before.term, before.leader), "nobody else leads");

    // What knows the old secret alone is let in no more, whatever its key is.
    cluster.kill(3).unwrap();
    put(&cluster.secrets_of(3), &[&old.1]);
    cluster.restart(3).unwrap();
    for id in [1, 2] {
        until(&cluster, id, |status| status.refused.contains_key("secret")).await;
    }
    let outside = until(&cluster, 3, |status| status.refused.contains_key("secret")).await;
    assert!(!reaches(&outside, 1) && !reaches(&outside, 2), "{outside:#?}");
    assert_eq!(outside.leader, None);

    change(&cluster, 3, &[&new]).await;
    until(&cluster, 3, |status| reaches(status, 1) && reaches(status, 2)).await;
    let read = Ask::get("/v1/counters/hits");
    let endpoint = [cluster.endpoint(3).clone()];
    let answer = cluster.client().ask_until_answered(&endpoint, &read, STUCK).await.unwrap();
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["value"].as_u64(), Some(sum));
}

/// Waits until a member's log has so many lines that say this.
async fn logged(log: PathBuf, what: &str, times: usize) {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(&log).unwrap();
        if text.matches(what).count() >= times {
            return;
        }
        assert!(start.elapsed() < STUCK, "no {times} times {what:?} in:\n{text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_secrets_that_is_no_good_changes_nothing() {
    let cluster = Cluster::start(program(), 1, "", STUCK).await.unwrap();
    let path = cluster.secrets_of(1);
    let before = until(&cluster, 1, |status| status.secrets.len() == 1).await.secrets;
    let new = drawn(cluster.folder());
    let spoils: [fn(&Path); 3] = [
        |path| put(path, &["holm-secret-nonsense"]),
        |path| fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for (spoil, times) in spoils.iter().zip(1..) {
        put(&path, &[&new.1]);
        spoil(&path);
        cluster.reread_secrets(1).unwrap();
        let log = cluster.folder().join("node1.log");
        logged(log, "the secrets were not read again, the old ones count", times).await;
        assert_eq!(until(&cluster, 1, |_| true).await.secrets, before);
    }
    change(&cluster, 1, &[&new]).await;
}
