//! Real processes on loopback, with sealed links, on networks that do not let every member reach
//! every other: a hub with spokes, a chain of islands, a link that moves from one relay to another,
//! and two islands that are cut from each other.

mod strangers;

use crate::gate::{Gate, Way};
use crate::looking::{STUCK, until};
use axum::http::StatusCode;
use holm::Status;
use holm::server::client::{Ask, Client, Endpoint, random_key};
use holm::server::cluster::{Cluster, Plan, free_ports};
use holm::topology::{Island, Link, Member, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long one attempt of a client may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long a client that repeats its request may go without an answer, whatever is cut. A dead
/// link is noticed within 2 seconds; the rest is for a machine that does much else meanwhile.
const UNANSWERED_MAX: Duration = Duration::from_secs(15);
/// A member that hears nothing finds out about the link (2 seconds) before it gives up its leader.
const PATIENT: &str = "election_timeout_ms = 5000\nheartbeat_ms = 100";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spokes_that_only_dial_a_hub_form_a_cluster_and_lead_it() {
    let hub = 2;
    let ports = free_ports(1).unwrap();
    let address = |id| (id == hub).then(|| loopback(ports[0]));
    let mut cluster = start(topology(3, address, |_, _| true), BTreeMap::new(), "").await;
    let expected = [(1, 3, "via 2"), (3, 1, "via 2"), (1, 2, "direct"), (2, 3, "inbound")];
    until_reached(&cluster, &expected).await;
    let mut sum = increments(&cluster, &[1, 2, 3], 5).await;
    check_what_is_seen(&cluster).await;

    // A hub that was down votes for the spoke that stands first; it may take a few rounds.
    while cluster.leader(STUCK).await.unwrap() == hub {
        cluster.kill(hub).unwrap();
        cluster.restart(hub).unwrap();
    }
    until_reached(&cluster, &expected).await;
    sum += increments(&cluster, &[1, 2, 3], 5).await;

    // Without the hub no spoke reaches another, and each says so.
    cluster.kill(hub).unwrap();
    until_reached(&cluster, &[(1, 3, "not connected"), (3, 1, "not connected")]).await;
    let lone = Ask::add("hits", 1, Some(random_key()));
    let answer = cluster.ask(1, &lone, 2 * ATTEMPT).await.unwrap();
    assert!(answer.is_undecided(), "{answer:?}");
    cluster.restart(hub).unwrap();
    increment(cluster.client(), cluster.endpoint(1), &lone, STUCK).await;
    sum += 1 + increments(&cluster, &[1, 2, 3], 5).await;
    check_everywhere(&mut cluster, sum).await;
}

/// `holm status`, as tables and as JSON, and `/metrics` of a spoke tell of the hub and of the way.
async fn check_what_is_seen(cluster: &Cluster) {
    let status = |form: &str| {
        let mut holm = Command::new(env!("CARGO_BIN_EXE_holm"));
        holm.args(["status", "--output", form, "--endpoint"]).arg(cluster.endpoint(1).to_string());
        let output = holm.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let table = status("table");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    for expected in
        ["1     2   direct ", "1     3   via 2 ", "1        .  =  2", "3        ?  =  ."]
    {
        assert!(table.lines().any(|line| line.starts_with(expected)), "{expected:?} in:\n{table}");
    }
    let json: serde_json::Value = serde_json::from_str(&status("json")).unwrap();
    assert_eq!(json[0]["status"]["members"][2]["reached"], "via 2");
    let metrics = cluster.ask(1, &Ask::get("/metrics"), STUCK).await.unwrap();
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for expected in [
        "holm_peer_reached{peer=\"2\",how=\"direct\"} 1",
        "holm_peer_reached{peer=\"3\",how=\"via\"} 1",
        "holm_link{from=\"3\",to=\"2\"} 1",
    ] {
        assert!(metrics.lines().any(|line| line == expected), "{expected:?} in:\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_four_islands_commits_through_both_ends() {
    let ports = free_ports(4).unwrap();
    let address = |id: u64| Some(loopback(ports[usize::try_from(id).unwrap() - 1]));
    let neighbours = |from: u64, to: u64| from.abs_diff(to) == 1;
    let mut cluster = start(topology(4, address, neighbours), BTreeMap::new(), "").await;
    let far = [(1, 3, "via 2"), (1, 4, "via 2"), (2, 4, "via 3")];
    let back = [(3, 1, "via 2"), (4, 1, "via 3"), (4, 2, "via 3")];
    until_reached(&cluster, &[far, back].concat()).await;
    for id in 1..=4 {
        let links = until(&cluster, id, |status| {
            // Each has heard of all, and of nothing that is not there.
            (status.links.len() == 4).then(|| status.links.clone())
        });
        for row in links.await {
            let linked: BTreeSet<u64> = row.links.iter().copied().collect();
            let expected = (1..=4).filter(|other| neighbours(row.node, *other)).collect();
            assert_eq!(linked, expected, "member {}'s links, says member {id}", row.node);
        }
    }
    let mut sum = increments(&cluster, &[1, 4], 25).await;
    cluster.kill(1).unwrap();
    sum += increments(&cluster, &[2, 3, 4], 5).await;
    cluster.restart(1).unwrap();
    sum += increments(&cluster, &[1, 4], 5).await;
    check_everywhere(&mut cluster, sum).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_only_link_moves_between_relays_loses_and_repeats_no_increment() {
    // 2 and 3 dial 1, and 4 dials them, through gates; nobody else is linked.
    let [core, west, east, mover] = [1, 2, 3, 4];
    let ports = free_ports(3).unwrap();
    let gates = BTreeMap::from([
        (west, Gate::to(loopback(ports[1]), Way::Open).await),
        (east, Gate::to(loopback(ports[2]), Way::Shut).await),
    ]);
    let address = |id| match gates.get(&id) {
        Some(gate) => Some(gate.address().to_owned()),
        None => (id == core).then(|| loopback(ports[0])),
    };
    let may_dial = |from, to| match from {
        _ if from == mover => to == west || to == east,
        _ => (from == west || from == east) && to == core,
    };
    let listens = BTreeMap::from([(west, loopback(ports[1])), (east, loopback(ports[2]))]);
    let mut cluster = start(topology(4, address, may_dial), listens, "").await;
    until_reached(&cluster, &[(mover, core, "via 2"), (mover, east, "via 2")]).await;
    let clients = Clients::start(&cluster, &[mover]);
    clients.go_on().await;
    for (from, to) in [(west, east), (east, west), (west, east)] {
        gates[&from].turn(Way::Shut);
        gates[&to].turn(Way::Open);
        let via = format!("via {to}");
        until_reached(&cluster, &[(mover, core, &via), (mover, from, &via)]).await;
        clients.go_on().await;
    }
    let sum = clients.stop().await;
    check_everywhere(&mut cluster, sum).await;
}

async fn no_election_happens_and_requests_go_on(cut: Way) {
    // 1 dials 2 through the gate; both dial 3, and 3 dials nobody.
    let ports = free_ports(2).unwrap();
    let gate = Gate::to(loopback(ports[0]), Way::Open).await;
    let address = |id| match id {
        2 => Some(gate.address().to_owned()),
        3 => Some(loopback(ports[1])),
        _ => None,
    };
    let listens = BTreeMap::from([(2, loopback(ports[0]))]);
    let topology = topology(3, address, |from, _| from != 3);
    let mut cluster = start(topology, listens, PATIENT).await;
    let linked = [(1, 2, "direct"), (2, 1, "inbound"), (1, 3, "direct"), (2, 3, "direct")];
    until_reached(&cluster, &linked).await;
    let before = elections(&cluster).await;
    let clients = Clients::start(&cluster, &[1, 2, 3]);
    for _ in 0..2 {
        clients.go_on().await;
        gate.turn(cut);
        until_reached(&cluster, &[(1, 2, "via 3"), (2, 1, "via 3")]).await;
        clients.go_on().await;
        gate.turn(Way::Open);
        until_reached(&cluster, &linked).await;
    }
    clients.go_on().await;
    let sum = clients.stop().await;
    assert_eq!(elections(&cluster).await, before, "each member's term, leader and elections");
    check_everywhere(&mut cluster, sum).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_islands_whose_connections_break_do_without_an_election() {
    no_election_happens_and_requests_go_on(Way::Shut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_islands_between_which_nothing_arrives_do_without_an_election() {
    no_election_happens_and_requests_go_on(Way::Silent).await;
}

/// Clients that increment until they are told to stop, one at each of some members.
struct Clients {
    stops: Arc<AtomicBool>,
    /// How many increments of each were answered; its client's end is the end of the channel.
    answered: Vec<watch::Receiver<u64>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(cluster: &Cluster, members: &[u64]) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let mut clients = Self { stops: Arc::clone(&stops), answered: vec![], tasks: vec![] };
        for id in members {
            let (endpoint, stops) = (cluster.endpoint(*id).clone(), Arc::clone(&stops));
            let (answered, seen) = watch::channel(0);
            clients.answered.push(seen);
            clients.tasks.push(tokio::spawn(async move {
                let client = Client::new();
                while !stops.load(Ordering::Relaxed) {
                    let ask = Ask::add("hits", 1, Some(random_key()));
                    increment(&client, &endpoint, &ask, UNANSWERED_MAX).await;
                    answered.send_modify(|answered| *answered += 1);
                }
            }));
        }
        clients
    }

    /// Waits until each has been answered ten times more.
    async fn go_on(&self) {
        let now = || self.answered.iter().cloned();
        let wanted: Vec<u64> = now().map(|answered| *answered.borrow() + 10).collect();
        for (mut answered, wanted) in now().zip(wanted) {
            let more = timeout(STUCK, answered.wait_for(|answered| *answered >= wanted)).await;
            more.expect("increments go on").expect("the client has not ended");
        }
    }

    /// How many increments were answered, once all are.
    async fn stop(self) -> u64 {
        self.stops.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("each increment was answered");
        }
        self.answered.iter().map(|answered| *answered.borrow()).sum()
    }
}

/// Repeats the increment at this one member until it is answered, no longer than `within`.
async fn increment(client: &Client, endpoint: &Endpoint, ask: &Ask, within: Duration) {
    let start = Instant::now();
    loop {
        let answer = client.ask(endpoint, ask, ATTEMPT).await;
        match &answer {
            Ok(answer) if answer.status == StatusCode::OK => return,
            Ok(answer) => assert!(answer.is_undecided(), "{answer:?}"),
            // No word, or it is being restarted.
            Err(_) => (),
        }
        assert!(start.elapsed() < within, "{endpoint} has no answer after {within:?}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Increments through each of these members; how many that were.
async fn increments(cluster: &Cluster, members: &[u64], each: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..each {
        for id in members {
            let ask = Ask::add("hits", 1, Some(random_key()));
            increment(cluster.client(), cluster.endpoint(*id), &ask, STUCK).await;
            sum += 1;
        }
    }
    sum
}

/// Waits until each of the first reaches the second like this.
async fn until_reached(cluster: &Cluster, expected: &[(u64, u64, &str)]) {
    for (from, to, how) in expected {
        let reached = |status: &Status| {
            let found =
                status.members.iter().any(|member| member.node == *to && member.reached == *how);
            found.then_some(())
        };
        until(cluster, *from, reached).await;
    }
}

/// Each member's term, leader and elections.
async fn elections(cluster: &Cluster) -> Vec<(u64, Option<u64>, u64)> {
    let mut found = Vec::new();
    for id in cluster.ids() {
        let told = |status: &Status| Some((status.term, status.leader, status.elections));
        found.push(until(cluster, id, told).await);
    }
    found
}

/// Every member has counted so many, and says so if it is asked for what is true now.
async fn check_everywhere(cluster: &mut Cluster, expected: u64) {
    let leader = cluster.leader(STUCK).await.unwrap();
    let read = Ask::get("/v1/counters/hits");
    for id in [leader].into_iter().chain(cluster.ids()) {
        let endpoint = [cluster.endpoint(id).clone()];
        let answer = cluster.client().ask_until_answered(&endpoint, &read, STUCK).await.unwrap();
        let value = answer.json::<serde_json::Value>().unwrap()["value"].as_u64();
        assert_eq!(value, Some(expected), "member {id}");
    }
}

async fn start(topology: Topology, listens: BTreeMap<u64, String>, settings: &str) -> Cluster {
    topology.check().expect("a topology to live on");
    let program = Path::new(env!("CARGO_BIN_EXE_holm"));
    let plan = Plan { topology, listens, settings: settings.into() };
    Cluster::start_as(program, plan, STUCK).await.unwrap()
}

/// Members 1 to `count`, each on an island of its own.
fn topology(
    count: u64,
    address: impl Fn(u64) -> Option<String>,
    may_dial: impl Fn(u64, u64) -> bool,
) -> Topology {
    let island = |id: u64| format!("island-{id}");
    let pairs = (1..=count).flat_map(|from| (1..=count).map(move |to| (from, to)));
    let closed = pairs.filter(|(from, to)| from != to && !may_dial(*from, *to));
    let link = |(from, to)| Link { from: island(from), to: island(to), dial: false };
    Topology {
        islands: (1..=count).map(|id| Island { name: island(id) }).collect(),
        members: (1..=count).map(|id| Member::new(id, island(id), address(id))).collect(),
        links: closed.map(link).collect(),
    }
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
