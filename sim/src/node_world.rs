//! The whole node under madsim: three to five members on a topology that the seed draws, over a
//! network that fails as real ones do, each with a log on a disk that loses what was not synced and
//! a clock of its own, while clients change and read numbers. Links, relays, processes, disks and
//! clocks fail as planned; then all must work again, within a bound, and every promise have been
//! kept.

mod clients;
mod findings;
mod machine;
mod member;
#[cfg(feature = "mutations")]
mod mutations;
mod nemesis;
mod network;
mod plan;
mod reach;
mod sessions;
mod settle;
mod topologies;
mod trace;

#[cfg(feature = "mutations")]
pub use mutations::Bug;

use crate::checkers::Violation;
use crate::report::Report;
use clients::{Client, Saw};
use findings::{Findings, any_broken, broken, happened, note};
use holm::Seen;
use member::Member;
use nemesis::Nemesis;
use network::{Links, Net};
use plan::Plan;
use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use trace::Trace;

use madsim::runtime::Runtime;

/// How many clients there are.
const CLIENTS: u64 = 4;
/// The longest run, in simulated time.
const TIME_LIMIT: Duration = Duration::from_secs(600);
/// By when all members must have formed the cluster, and by when clients be answered.
const FORMED_WITHIN: Duration = Duration::from_secs(20);
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Runs one seed.
#[must_use]
pub fn run(seed: u64) -> Report {
    run_by(seed, run_here)
}

/// Runs one seed, by `how`.
fn run_by(
    seed: u64,
    how: impl FnOnce(u64, &Trace) -> (Findings, u64, u64) + Send + 'static,
) -> Report {
    let trace = Trace::default();
    let recorded = trace.clone();
    // A fresh thread for each seed: the standard library keeps its hash keys by thread, and what a
    // run finds is kept by it, too.
    let outcome = std::thread::spawn(move || how(seed, &recorded)).join();
    let (findings, acknowledged, millis) = outcome.unwrap_or_else(|panic| {
        let violation = Some(violation_of(&*panic));
        (Findings { violation, ..Findings::default() }, 0, 0)
    });
    let Findings { happened, violation } = findings;
    let (leaders, trace) = (trace.leaders(), trace.text());
    Report { seed, acknowledged, leaders, happened, violation, millis, trace }
}

/// What a panic says is an invariant that the code under test has asserted itself, or that time ran
/// out.
fn violation_of(panic: &(dyn Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let says = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
    let late = says.contains("time limit exceeded") || says.contains("block forever");
    let checker = if late { "liveness" } else { "own invariants" };
    Violation { checker, says: says.to_owned() }
}

fn run_here(seed: u64, trace: &Trace) -> (Findings, u64, u64) {
    tracing::subscriber::with_default(trace.subscriber(), || {
        let mut runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
        runtime.set_time_limit(TIME_LIMIT);
        runtime.block_on(async {
            let acknowledged = scenario(seed).await;
            (findings::all(), acknowledged, trace::now())
        })
    })
}

/// Says how many commands were answered.
async fn scenario(seed: u64) -> u64 {
    let plan = Arc::new(Plan::draw(seed));
    let quality = |from, to| plan.quality(from, to);
    let net = Net::new(&plan.topology, quality, (plan.links, plan.mischief), seed);
    let ids = plan.topology.members.iter().map(|member| member.id);
    let members: Vec<_> = ids.map(|node| Member::start(node, &plan, &net)).collect();
    let members = Rc::new(members);
    happened(plan.shape.word());
    happened(if plan.links == Links::Sealed { "links sealed" } else { "links insecure" });
    tracing::info!(shape = ?plan.shape, links = ?plan.links, members = members.len(), "begins");
    formed(&members).await;
    let saw = Saw::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| Client::new(name, &members, &saw, plan.pause_ms).run())
        .map(madsim::task::spawn_local)
        .collect();
    let nemesis = Nemesis { plan, net, members: Rc::clone(&members) };
    nemesis.run().await;
    nemesis.settle().await;
    saw.enough.set(true);
    let until = Instant::now() + ANSWERED_WITHIN;
    while !any_broken() && clients.iter().any(|client| !client.is_finished()) {
        if Instant::now() > until {
            broken("liveness", format!("a client has waited for {ANSWERED_WITHIN:?}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    if !any_broken() {
        judge(&members, &saw).await;
    }
    saw.commands()
}

/// Until all members are part of the cluster.
async fn formed(members: &[Member]) {
    let until = Instant::now() + FORMED_WITHIN;
    let is_formed = |member: &Member| member.status().is_some_and(|status| status.formed);
    while !any_broken() && !members.iter().all(is_formed) {
        if Instant::now() > until {
            broken("liveness", format!("no cluster was formed in {FORMED_WITHIN:?}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What clients saw makes sense, and each member holds what it ought to.
async fn judge(members: &[Member], saw: &Saw) {
    note(saw.history.borrow().check());
    let mut repeated = 0;
    for member in members {
        let Some(node) = member.running() else {
            return broken("liveness", format!("member {} does not run", member.node));
        };
        let caught_up = node.read(|_| ()).await.is_ok();
        let state = node.read_local(|register| register.clone()).await;
        let (true, Ok(Seen { value: state, .. })) = (caught_up, state) else {
            return broken("liveness", format!("member {} serves no read", member.node));
        };
        let (count, applied) = (saw.commands(), state.applied());
        let may = count..=count + saw.uncertain();
        if !may.contains(&applied) {
            let says = format!("member {} has applied {applied} of {may:?}", member.node);
            broken("exactly once", says);
        }
        for (name, sum) in saw.sums() {
            let held = state.number(name);
            if held != sum {
                let says = format!("member {} holds {held}, and {sum} were added", member.node);
                broken("exactly once", says);
            }
        }
        let seen = member.status().into_iter().flat_map(|status| status.members);
        repeated += seen.filter_map(|seen| seen.lost.get("repeated").copied()).sum::<u64>();
    }
    // What was held back may come too late for the window, which then can't tell.
    let excused = findings::times("frames that a relay repeated")
        + findings::times("frames that a relay held back");
    if repeated > excused {
        let says = format!("{repeated} frames came once more, of which relays repeated {excused}");
        broken("frames are passed on once", says);
    }
}
