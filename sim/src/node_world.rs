//! The whole node under madsim: three members on simulated TCP, each with a log on a disk that
//! loses what was not synced, while clients increment a counter, members are cut off, power is cut,
//! and disks fill up or hang. At the end every acknowledged increment must be there, once, on every
//! member.

mod clients;
mod member;
mod trace;

use crate::report::{Faults, Report};
use clients::{Client, History};
use holm::topology::{Island, Member as Placed, Topology};
use madsim::net::NetSim;
use madsim::rand::{Rng, thread_rng};
use madsim::runtime::{Handle, Runtime};
use member::Member;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;
use trace::Trace;

/// How many members there are.
const MEMBERS: u64 = 3;
/// How many clients there are, and how many increments each makes.
const CLIENTS: u64 = 3;
const INCREMENTS: u64 = 40;
/// The counter they all increment.
const COUNTER: &str = "hits";
/// By when a cluster whose faults have ended must have answered everything, in simulated time.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Runs one seed.
///
/// # Panics
/// When a promise is broken, or nothing is answered for too long after the faults have ended.
#[must_use]
pub fn run(seed: u64) -> Report {
    // A fresh thread for each seed: the standard library keeps its hash keys by thread.
    let outcome = std::thread::spawn(move || run_here(seed)).join();
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run_here(seed: u64) -> Report {
    let trace = Trace::default();
    let recorded = trace.clone();
    tracing::subscriber::with_default(trace.subscriber(), || {
        let mut runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
        runtime.set_time_limit(TIME_LIMIT);
        runtime.block_on(scenario(seed, recorded))
    })
}

async fn scenario(seed: u64, trace: Trace) -> Report {
    let topology = topology();
    let members: Vec<_> = (1..=MEMBERS).map(|node| Member::start(node, &topology)).collect();
    let members = Arc::new(members);
    let history = Arc::new(Mutex::new(History::default()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| {
            let client = Client::new(name, Arc::clone(&members), Arc::clone(&history));
            tokio::task::spawn(client.increments(INCREMENTS))
        })
        .collect();
    let faults = nemesis(&members).await;
    for client in clients {
        client.await.expect("a client that panics has found something");
    }
    let history = history.lock().expect("no client panicked");
    let expected = i64::try_from(CLIENTS * INCREMENTS).expect("a small number");
    assert_eq!(history.acknowledged(), CLIENTS * INCREMENTS, "every increment was answered");
    history.check();
    for member in members.iter() {
        let value = member.counter_at_last(COUNTER).await;
        assert_eq!(value, expected, "member {} holds each increment once", member.node);
    }
    let leaders = trace.leaders();
    assert!(leaders > 0, "somebody led");
    let text = trace.text();
    let installing = |line: &&str| line.contains("installing the leader's snapshot");
    Report {
        seed,
        acknowledged: history.acknowledged(),
        leaders,
        installed: text.lines().filter(installing).count() as u64,
        faults,
        millis: trace::now(),
        trace: text,
    }
}

/// What happens to a member, for a while.
#[derive(Clone, Copy, Debug)]
enum Fault {
    CutOff,
    PowerCut,
    FullDisk,
    HangingDisk,
}

/// Something happens to one member after another.
async fn nemesis(members: &[Member]) -> Faults {
    const ALL: [Fault; 4] = [Fault::CutOff, Fault::PowerCut, Fault::FullDisk, Fault::HangingDisk];
    let mut faults = Faults::default();
    let rounds = thread_rng().gen_range(3..7);
    for round in 0..rounds {
        sleep(Duration::from_millis(thread_rng().gen_range(300..1500))).await;
        let member = &members[thread_rng().gen_range(0..members.len())];
        let lasting = Duration::from_millis(thread_rng().gen_range(100..2500));
        // The first two happen in every run; after that the seed decides.
        let drawn = ALL[thread_rng().gen_range(0..ALL.len())];
        let fault = ALL[..2].get(round).copied().unwrap_or(drawn);
        tracing::info!(node = member.node, ?fault, "begins");
        match fault {
            Fault::CutOff => {
                NetSim::current().clog_node(member.id());
                sleep(lasting).await;
                NetSim::current().unclog_node(member.id());
                faults.partitions += 1;
            }
            Fault::PowerCut => {
                Handle::current().kill(member.id());
                member.power_cut();
                sleep(lasting).await;
                Handle::current().restart(member.id());
                faults.crashes += 1;
            }
            Fault::FullDisk => {
                member.fill();
                sleep(lasting * 2).await;
                member.make_room();
                faults.full_disks += 1;
            }
            Fault::HangingDisk => {
                member.stall();
                sleep(lasting).await;
                member.resume();
                faults.stalls += 1;
            }
        }
        tracing::info!(node = member.node, ?fault, "ends");
    }
    faults
}

fn topology() -> Topology {
    let island = "island".to_owned();
    let member = |id| Placed::new(id, &*island, Some(member::address(id)));
    Topology {
        islands: vec![Island { name: island.clone() }],
        members: (1..=MEMBERS).map(member).collect(),
        links: Vec::new(),
    }
}
