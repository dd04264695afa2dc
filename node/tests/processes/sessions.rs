//! Sessions and tickets on real processes: each is a member with the web application of the
//! example, made of this test's own program; clients speak HTTP, with a cookie jar. Leaders are
//! killed (SIGKILL) and started again while keys rotate.

#[allow(dead_code, reason = "the members here are processes of their own")]
#[path = "../../examples/session_cookie.rs"]
mod example;

use axum::Router;
use axum::extract::Path as InPath;
use axum::http::StatusCode;
use axum::routing::get;
use holm::server::cluster::free_ports;
use holm::session::TicketError;
use holm::store::Store;
use holm::topology::{Island, Member, Topology};
use holm::{Config, KeyRing, Listen, Node, Secret, Security, Start, Storage};
use reqwest::Client;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);
/// The pause before another member is asked.
const PAUSE: Duration = Duration::from_millis(5);
/// Says to a process of this program which member it is: its id, the ports of all, its directory.
const MEMBER: &str = "HOLM_TESTED_MEMBER";
const TICKETS: usize = 1_000;
const CLIENTS: usize = 6;

fn config(told: &str) -> Config {
    let mut words = told.splitn(3, ' ');
    let mut word = || words.next().expect("three words");
    let (id, ports, directory) = (word().parse().expect("an id"), word(), word());
    let island = Island { name: "harbour".into() };
    let mut topology = Topology { islands: vec![island], ..Topology::default() };
    for (id, port) in (1..).zip(ports.split(',')) {
        let address = Some(format!("127.0.0.1:{port}"));
        topology.members.push(Member::new(id, "harbour", address));
    }
    let listen = topology.member(id).and_then(|member| member.address.clone());
    let mut config = Config::new("harbour", id, topology, Security::Insecure);
    let directory = Path::new(directory);
    config.start = if directory.exists() { Start::Join } else { Start::Bootstrap };
    config.storage = Storage::Disk(directory.to_owned());
    config.listen = listen.map(Listen::Address);
    config.request_timeout = STUCK;
    config.snapshot_entries = 100;
    config.session_secrets = Some(KeyRing::of(Secret::generate(&mut |out| out.fill(7))));
    config
}

fn failed(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// One of the processes, until it is killed. Says on which port it serves.
async fn member(told: &str) {
    let node = Node::open(config(told), Store::default()).await.expect("it opens");
    let served = example::app(&node).await.expect("a key").merge(more(node.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("\nserving on {}", listener.local_addr().expect("bound").port());
    axum::serve(listener, served).await.expect("it serves until it is killed");
}

/// What the test asks besides.
fn more(node: Node<Store>) -> Router {
    let (leading, rotating, issuing) = (node.clone(), node.clone(), node.clone());
    let leader = move || {
        let leader = leading.status().borrow().leader;
        async move { leader.unwrap_or_default().to_string() }
    };
    let rotate = move || {
        let keys = rotating.session_keys();
        async move { keys.rotate().await.map(|key| key.to_string()).map_err(failed) }
    };
    let issue = move || {
        let tickets = issuing.tickets("login");
        async move {
            let ticket = tickets.issue(STUCK * 60, b"ada").await.map_err(failed)?;
            Ok::<_, (StatusCode, String)>(ticket.reveal().to_string())
        }
    };
    let consume = move |InPath((text, consumer)): InPath<(String, String)>| {
        let tickets = node.tickets("login");
        async move {
            match tickets.consume(&text, consumer.as_bytes()).await {
                Ok(payload) => Ok(payload),
                Err(TicketError::Refused) => Err((StatusCode::FORBIDDEN, "refused".to_owned())),
                Err(error) => Err(failed(error)),
            }
        }
    };
    Router::new()
        .route("/leader", get(leader))
        .route("/rotate", get(rotate))
        .route("/issue", get(issue))
        .route("/consume/{ticket}/{consumer}", get(consume))
}

/// Three processes of this test's program, and nothing of them when it is dropped.
struct Three {
    test: &'static str,
    folder: tempfile::TempDir,
    /// Where they listen for each other.
    listens: String,
    children: Vec<Killed>,
    /// Where their applications are, for whoever asks.
    served: Served,
}

type Served = Arc<Mutex<Vec<u16>>>;

/// A process that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Killed {
    fn port(&mut self) -> u16 {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let ports = lines.map_while(Result::ok);
        let mut ports = ports.filter_map(|line| Some(line.strip_prefix("serving on ")?.to_owned()));
        ports.next().expect("it says where it serves").parse().unwrap()
    }
}

impl Three {
    /// `test` is the one that becomes a member if it is told so.
    fn start(test: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listens: Vec<String> = free_ports(3).unwrap().iter().map(u16::to_string).collect();
        let (listens, children) = (listens.join(","), Vec::new());
        let mut three = Self { test, folder, listens, children, served: Served::default() };
        // Each serves once there is a key: they wait for each other.
        three.children = (1..=3).map(|id| three.spawn(id)).collect();
        let ports = three.children.iter_mut().map(Killed::port).collect();
        *three.served.lock().unwrap() = ports;
        three
    }

    fn spawn(&self, id: usize) -> Killed {
        let directory = self.folder.path().join(id.to_string());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([self.test, "--exact", "--nocapture"]);
        command.env(MEMBER, format!("{id} {} {}", self.listens, directory.display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Killed(command.spawn().unwrap())
    }

    /// Kills whoever leads, and starts it again once another one leads.
    async fn kill_leader(&mut self, client: &Client) {
        let leader = self.leader(client, 0).await;
        self.children[leader - 1].0.kill().unwrap();
        self.leader(client, leader).await;
        let mut child = self.spawn(leader);
        // It waits for what the process says.
        let started = tokio::task::spawn_blocking(move || (child.port(), child));
        let (port, child) = started.await.unwrap();
        self.children[leader - 1] = child;
        self.served.lock().unwrap()[leader - 1] = port;
    }

    /// Whom a member says to lead, other than `not`.
    async fn leader(&self, client: &Client, not: usize) -> usize {
        for from in 0.. {
            let said = asked(client, &self.served, from, "/leader").await;
            let leader = said.parse().unwrap();
            if leader != 0 && leader != not {
                return leader;
            }
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("it is asked until somebody leads")
    }
}

/// What a member answers; nothing if it is not there.
async fn ask(client: &Client, port: u16, path: &str) -> Option<(u16, String)> {
    let answer = client.get(format!("http://localhost:{port}{path}")).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?))
}

/// What the first member answers that is there, from this one on.
async fn asked(client: &Client, served: &Served, from: usize, path: &str) -> String {
    let begun = Instant::now();
    for member in from.. {
        let port = served.lock().unwrap()[member % 3];
        match ask(client, port, path).await {
            Some((200, said)) => return said,
            // It is gone, or does not know a leader yet.
            Some((503, _)) | None => tokio::time::sleep(PAUSE).await,
            Some((status, said)) => panic!("{path}: {status} {said}"),
        }
        assert!(begun.elapsed() < STUCK, "nobody answers {path}");
    }
    unreachable!("it is asked until it is answered")
}

/// With a cookie jar.
fn client() -> Client {
    Client::builder().cookie_store(true).no_proxy().build().unwrap()
}

/// Rotates keys twelve times, and kills three leaders meanwhile; returns the newest key.
async fn disturb(mut three: Three) -> (Three, u64) {
    let (client, mut key) = (client(), 0);
    for round in 0..12 {
        if round % 4 == 3 {
            three.kill_leader(&client).await;
        }
        let next: u64 = asked(&client, &three.served, round, "/rotate").await.parse().unwrap();
        assert!(next > key, "{next} after {key}");
        key = next;
    }
    (three, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_crosses_processes_while_leaders_are_killed_and_keys_rotate() {
    if let Ok(told) = std::env::var(MEMBER) {
        return member(&told).await;
    }
    const TEST: &str =
        "sessions::a_session_crosses_processes_while_leaders_are_killed_and_keys_rotate";
    let three = Three::start(TEST);
    let (client, served, mut count) = (client(), Arc::clone(&three.served), 0);
    let disturbing = tokio::spawn(disturb(three));
    while !disturbing.is_finished() {
        count += 1;
        let said = asked(&client, &served, count, &format!("/set/{count}")).await;
        assert!(said.ends_with(&format!(" set foo to {count}, change {count}\n")), "{said}");
        let said = asked(&client, &served, count + 1, "/").await;
        assert!(said.ends_with(&format!("foo = {count} after {count} changes\n")), "{said}");
    }
    let (_three, key) = disturbing.await.unwrap();
    assert!(key >= 13 && count > 12, "key {key}, {count} changes");
}

/// Does this for each ticket, many at once; in the order of the tickets.
async fn each<R: Send + 'static, F: Future<Output = R> + Send + 'static>(
    all: impl IntoIterator<Item = usize>,
    work: impl Fn(usize) -> F,
) -> Vec<R> {
    let room = Arc::new(Semaphore::new(20));
    let begun: Vec<_> = all
        .into_iter()
        .map(|nth| {
            let (room, work) = (Arc::clone(&room), work(nth));
            tokio::spawn(async move {
                let _place = room.acquire_owned().await;
                work.await
            })
        })
        .collect();
    let mut done = Vec::new();
    for one in begun {
        done.push(one.await.unwrap());
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tickets_presented_at_all_processes_at_once_are_consumed_once_each() {
    if let Ok(told) = std::env::var(MEMBER) {
        return member(&told).await;
    }
    const TEST: &str =
        "sessions::a_thousand_tickets_presented_at_all_processes_at_once_are_consumed_once_each";
    let three = Three::start(TEST);
    let issuer = client();
    let issued = each(0..TICKETS, |nth| {
        let (client, served) = (issuer.clone(), Arc::clone(&three.served));
        async move { asked(&client, &served, nth, "/issue").await }
    });
    let texts = Arc::new(issued.await);
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), TICKETS);
    // Each client presents all, in an order and to members of its own.
    let present = |client: usize| {
        let (jar, texts) = (self::client(), Arc::clone(&texts));
        let ports = three.served.lock().unwrap().clone();
        tokio::spawn(async move {
            let orders = (0..TICKETS).map(move |step| (step + client * 150) % TICKETS);
            let answers = each(orders.clone(), |nth| {
                let path = format!("/consume/{}/client-{client}", texts[nth]);
                let (jar, port) = (jar.clone(), ports[(nth + client) % 3]);
                async move { ask(&jar, port, &path).await.expect("all are there") }
            });
            let answers = answers.await;
            let mine = orders.zip(answers).filter(|(_, (status, said))| match status {
                200 => said == "ada",
                403 => false,
                _ => panic!("{status} {said}"),
            });
            mine.map(|(nth, _)| nth).collect::<Vec<_>>()
        })
    };
    let mut consumed = vec![0; TICKETS];
    let mut winners = 0;
    for client in (0..CLIENTS).map(present).collect::<Vec<_>>() {
        let mine = client.await.unwrap();
        winners += usize::from(!mine.is_empty());
        mine.into_iter().for_each(|nth| consumed[nth] += 1);
    }
    assert!(consumed.iter().all(|times| *times == 1), "{consumed:?}");
    assert!(winners > 1, "they did present them at once");
}
