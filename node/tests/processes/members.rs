//! Members of real processes come, go and are replaced while clients write: whatever was answered
//! is there at the end, once, and few attempts fail on the way.

use axum::http::StatusCode;
use holm::members::{Members, Standing, StorageKind};
use holm::server::client::{Ask, Client, Endpoint};
use holm::server::cluster::{Cluster, free_ports};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(120);
const CLIENTS: u64 = 4;
/// How many attempts of each client may fail for each member that stops: the one that was under way
/// there, and one more at somebody who is about to stop, too.
const FAILED_MAX: u64 = 2;

fn holm(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
    command.args(words).stdin(Stdio::null()).output().expect("it ran")
}

/// Runs a client command at one member; it has to succeed. Returns what it printed.
fn told(at: &Endpoint, words: &[&str]) -> String {
    let (at, timeout) = (at.to_string(), "60s");
    let words = [words, &["--endpoint", &at, "--timeout", timeout]].concat();
    let output = holm(&words);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

async fn members(client: &Client, at: &Endpoint) -> Option<Members> {
    let ask = Ask::get("/v1/members");
    client.ask(at, &ask, Duration::from_secs(5)).await.ok()?.json()
}

/// Looks at the members until they are as they are to be.
async fn until(at: &Endpoint, is: impl Fn(&Members) -> bool) -> Members {
    let (start, client) = (Instant::now(), Client::new());
    loop {
        let seen = members(&client, at).await;
        if let Some(seen) = seen.as_ref().filter(|seen| is(seen)) {
            return seen.clone();
        }
        assert!(start.elapsed() < STUCK, "the members stay {seen:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn votes(members: &Members, node: u64) -> bool {
    let voter =
        |member: &holm::members::Member| member.node == node && member.standing == Standing::Voter;
    members.members.iter().any(voter)
}

/// Clients that add to one counter, each addition under a key of its own. One whose attempt fails
/// turns to another member.
struct Clients {
    endpoints: Arc<Mutex<Vec<Endpoint>>>,
    stops: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(endpoints: Vec<Endpoint>) -> Self {
        let mut clients = Self {
            endpoints: Arc::new(Mutex::new(endpoints)),
            stops: Arc::default(),
            answered: Arc::default(),
            failed: Arc::default(),
            tasks: Vec::new(),
        };
        for name in 0..CLIENTS {
            let (endpoints, stops) = (Arc::clone(&clients.endpoints), Arc::clone(&clients.stops));
            let answered = Arc::clone(&clients.answered);
            let failed = Arc::clone(&clients.failed);
            clients.tasks.push(tokio::spawn(async move {
                let (client, mut at) = (Client::new(), name);
                for number in 0.. {
                    if stops.load(Ordering::Relaxed) {
                        return;
                    }
                    let ask = Ask::add("hits", 1, Some(format!("client-{name}-{number}")));
                    loop {
                        let endpoint = {
                            let known = endpoints.lock().unwrap();
                            known[usize::try_from(at).unwrap() % known.len()].clone()
                        };
                        match client.ask(&endpoint, &ask, Duration::from_secs(20)).await {
                            Ok(answer) if answer.status == StatusCode::OK => break,
                            _ => at += 1,
                        }
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        clients
    }

    /// Waits until so many more additions were answered.
    async fn go_on(&self) {
        let (start, before) = (Instant::now(), self.answered.load(Ordering::Relaxed));
        while self.answered.load(Ordering::Relaxed) < before + 20 * CLIENTS {
            assert!(start.elapsed() < STUCK, "nothing is answered any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn turn_to(&self, endpoints: Vec<Endpoint>) {
        *self.endpoints.lock().unwrap() = endpoints;
    }

    /// How many additions were answered, once all is said; at most so many attempts have failed.
    async fn stop(self, failed_max: u64) -> i64 {
        self.stops.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a client ends when it is told to");
        }
        let failed = self.failed.load(Ordering::Relaxed);
        assert!(failed <= failed_max, "{failed} attempts have failed, {failed_max} may");
        i64::try_from(self.answered.load(Ordering::Relaxed)).unwrap()
    }
}

async fn counted(at: &Endpoint) -> i64 {
    let ask = Ask::get("/v1/counters/hits");
    let answer =
        Client::new().ask_until_answered(std::slice::from_ref(at), &ask, STUCK).await.unwrap();
    answer.json::<serde_json::Value>().unwrap()["value"].as_i64().unwrap()
}

/// A member's process that the cluster does not know of.
struct Joined {
    child: Child,
    http: Endpoint,
}

impl Joined {
    /// Joins by a ticket and one address, and runs.
    fn start(cluster: &Cluster, by: &Endpoint, ask: &str, secrets: &Path) -> Self {
        let ticket = told(by, &["members", "invite"]);
        let ports = free_ports(2).unwrap();
        let at = |port: u16| format!("127.0.0.1:{port}");
        let (address, http) = (at(ports[0]), at(ports[1]));
        let folder = cluster.folder().join(format!("joined-{}", ports[0]));
        let dir = folder.to_str().unwrap();
        let secrets = secrets.to_str().unwrap();
        let output = holm(&[
            "join",
            "--ticket",
            &ticket,
            "--member",
            ask,
            "--secret-file",
            secrets,
            "--dir",
            dir,
            "--address",
            &address,
            "--http",
            &http,
            "--timeout",
            "60s",
        ]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        Self::serve(&folder, Endpoint::parse(&http).unwrap())
    }

    /// Runs what a folder holds.
    fn serve(folder: &Path, http: Endpoint) -> Self {
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
        command.args(["serve", "--stop-with-stdin", "--config"]).arg(folder.join("holm.toml"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn();
        Self { child: child.unwrap(), http }
    }

    /// Waits until it has ended by itself, and says with which code. Waiting for the child would
    /// close its standard input, at whose end it stops.
    async fn ended(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < STUCK, "it goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the topology says of where member `id` accepts others.
fn address(cluster: &Cluster, id: u64) -> String {
    let text = fs::read_to_string(cluster.folder().join("topology.toml")).unwrap();
    let topology = holm::topology::Topology::parse(&text).unwrap();
    topology.member(id).unwrap().address.clone().unwrap()
}

async fn cluster() -> Cluster {
    let program = Path::new(env!("CARGO_BIN_EXE_holm"));
    // Frequent snapshots, so that whoever comes later is sent one.
    let settings = "snapshot_entries = 100\nsegment_bytes = 8388608";
    Cluster::start(program, 3, settings, STUCK).await.unwrap()
}

fn data_of(cluster: &Cluster, id: u64) -> PathBuf {
    cluster.folder().join(format!("node{id}/data"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_wiped_and_replaced_under_load() {
    let mut cluster = cluster().await;
    let clients = Clients::start(cluster.endpoints());
    clients.go_on().await;
    let wiped = 1 + cluster.leader(STUCK).await.unwrap() % 3;
    let others: Vec<_> = cluster.ids().filter(|id| *id != wiped).collect();
    let at = others.iter().map(|id| cluster.endpoint(*id).clone()).collect::<Vec<_>>();
    clients.turn_to(at.clone());
    cluster.kill(wiped).unwrap();
    fs::remove_dir_all(data_of(&cluster, wiped)).unwrap();
    cluster.restart(wiped).unwrap();
    clients.go_on().await;
    let anew = |seen: &Members| {
        seen.members.iter().any(|member| member.reached == "in another incarnation")
    };
    let leader = cluster.leader(STUCK).await.unwrap();
    until(cluster.endpoint(leader), anew).await;
    told(&at[0], &["members", "replace", &wiped.to_string()]);
    let back = until(cluster.endpoint(wiped), |seen| votes(seen, wiped)).await;
    assert_eq!(back.members.len(), 3);
    clients.go_on().await;
    let expected = clients.stop(CLIENTS * FAILED_MAX).await;
    assert_eq!(counted(cluster.endpoint(wiped)).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_are_replaced_one_by_one_until_none_of_the_first_is_left() {
    let cluster = cluster().await;
    let clients = Clients::start(cluster.endpoints());
    let secrets = cluster.secrets_of(1);
    let (mut endpoints, mut joined) = (cluster.endpoints(), Vec::<Joined>::new());
    for old in 1..=3_u64 {
        // Each joins by the one that is to leave next, which may lead.
        let by = cluster.endpoint(old).clone();
        let new = Joined::start(&cluster, &by, &address(&cluster, old), &secrets);
        until(&new.http, |seen| votes(seen, old + 3)).await;
        endpoints.push(new.http.clone());
        endpoints.retain(|endpoint| *endpoint != by);
        clients.turn_to(endpoints.clone());
        joined.push(new);
        clients.go_on().await;
        told(&joined.last().unwrap().http, &["members", "remove", &old.to_string()]);
        let start = Instant::now();
        while cluster.status(old).await.is_some() {
            assert!(start.elapsed() < STUCK, "member {old} goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        clients.go_on().await;
    }
    let left = until(&joined[0].http, |seen| seen.members.len() == 3).await;
    assert_eq!(left.members.iter().map(|member| member.node).collect::<Vec<_>>(), [4, 5, 6]);
    // Whoever leads is removed last.
    let leader = left.leader.expect("they write");
    let at = usize::try_from(leader - 4).unwrap();
    let stays = joined[(at + 1) % 3].http.clone();
    told(&stays, &["members", "remove", &leader.to_string()]);
    assert_eq!(joined[at].ended().await, Some(4));
    endpoints.retain(|endpoint| *endpoint != joined[at].http);
    clients.turn_to(endpoints);
    clients.go_on().await;
    let expected = clients.stop(4 * CLIENTS * FAILED_MAX).await;
    assert_eq!(counted(&stays).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_in_memory_is_killed_under_load_and_comes_back_as_a_learner_then_a_voter() {
    let mut cluster = cluster().await;
    let leader = cluster.leader(STUCK).await.unwrap();
    let [first, second] = [1 + leader % 3, 1 + (leader + 1) % 3];
    let at = cluster.endpoint(leader).clone();
    let replace = |id: u64, incarnation: String| {
        let words = ["members", "replace", &id.to_string(), "--memory", "--incarnation"];
        let at = at.to_string();
        holm(&[&words[..], &[&incarnation, "--endpoint", &at, "--timeout", "60s"]].concat())
    };
    let (disk, memory) = ("data_dir = \"data\"", "storage = \"memory\"");
    let keep = |cluster: &Cluster, id: u64, [from, to]: [&str; 2]| {
        let config = cluster.folder().join(format!("node{id}/holm.toml"));
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace(from, to)).unwrap();
    };
    for id in [first, second] {
        cluster.kill(id).unwrap();
        keep(&cluster, id, [disk, memory]);
        cluster.restart(id).unwrap();
        let status = cluster.caught_up(id, 0, STUCK).await.unwrap();
        let output = replace(id, status.incarnation.to_string());
        let said = String::from_utf8(output.stderr).unwrap();
        if id == first {
            assert!(output.status.success(), "{said}");
            until(&at, |seen| votes(seen, first)).await;
        } else {
            assert_eq!(output.status.code(), Some(1));
            assert!(
                said.contains("make 2 of 3 voters keep nothing over a restart; give"),
                "{said}"
            );
        }
    }
    // The second one goes on from its disk, as if nothing had been.
    cluster.kill(second).unwrap();
    keep(&cluster, second, [memory, disk]);
    cluster.restart(second).unwrap();
    let of = |seen: &Members, id: u64| {
        seen.members.iter().find(|member| member.node == id).expect("a member").clone()
    };
    let linked =
        |seen: &Members| ["direct", "inbound"].contains(&of(seen, second).reached.as_str());
    let before = until(&at, linked).await;
    assert_eq!(of(&before, first).storage, StorageKind::Memory);

    let clients = Clients::start(vec![at.clone(), cluster.endpoint(second).clone()]);
    clients.go_on().await;
    cluster.kill(first).unwrap();
    clients.go_on().await;
    cluster.restart(first).unwrap();
    let incarnation = of(&before, first).incarnation;
    let back = |seen: &Members| votes(seen, first) && of(seen, first).incarnation != incarnation;
    let after = until(&at, back).await;
    assert!(after.index >= before.index + 2, "once as a learner, once as a voter");
    clients.go_on().await;
    let expected = clients.stop(CLIENTS * FAILED_MAX).await;
    assert_eq!(counted(cluster.endpoint(first)).await, expected);
}

/// Starts what a folder holds, and waits until it has ended: with which code, and what it said.
async fn comes_back(folder: &Path, http: &Endpoint) -> (Option<i32>, String) {
    let code = Joined::serve(folder, http.clone()).ended().await;
    (code, fs::read_to_string(folder.join("log")).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_down_when_it_was_removed_or_replaced_learns_it_and_ends_with_code_4() {
    let mut cluster = cluster().await;
    let leader = cluster.leader(STUCK).await.unwrap();
    let away = 1 + leader % 3;
    let (at, http) = (cluster.endpoint(leader).clone(), cluster.endpoint(away).clone());
    let folder = cluster.folder().join(format!("node{away}"));
    let (data, aside) = (data_of(&cluster, away), folder.join("aside"));
    // Another incarnation gets its place, while the first one's disk is elsewhere.
    cluster.kill(away).unwrap();
    fs::rename(&data, &aside).unwrap();
    cluster.restart(away).unwrap();
    let anew = |seen: &Members| {
        let mut found = seen.members.iter();
        found.any(|member| member.node == away && member.reached == "in another incarnation")
    };
    until(&at, anew).await;
    told(&at, &["members", "replace", &away.to_string()]);
    until(&at, |seen| votes(seen, away)).await;
    cluster.kill(away).unwrap();
    let second = folder.join("second");
    fs::rename(&data, &second).unwrap();
    fs::rename(&aside, &data).unwrap();
    let (code, said) = comes_back(&folder, &http).await;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("has its place; this storage is of no use any more"), "{said}");

    told(&at, &["members", "remove", &away.to_string()]);
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&second, &data).unwrap();
    let (code, said) = comes_back(&folder, &http).await;
    assert_eq!(code, Some(4), "{said}");
    let expected = format!("member {away} was removed from the cluster: it is not among");
    assert!(said.contains(&expected), "{said}");
}
