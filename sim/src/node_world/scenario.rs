//! How a run goes: the members form a cluster; then clients ask and faults happen, as planned; then
//! all must work again, within a bound, and every promise have been kept.

use super::claims;
use super::clients::{Client, Saw};
use super::configurations;
use super::findings::{self, any_broken, broken, happened, judge, say, with};
use super::member::Member;
use super::nemesis::Nemesis;
use super::network::{Links, Mischief, Net};
use super::plan::Plan;
use super::topologies::Shape;
use super::trace;
use super::visits;
use crate::checkers::Violation;
use crate::outcome::{Outcome, Tracing};
use crate::trace::{Place, VERSION, What};
use holm::Seen;
use madsim::runtime::Runtime;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The longest run, in simulated time, beyond what the plan has.
const MORE: Duration = Duration::from_secs(600);
/// By when all members must have formed the cluster.
const FORMED_WITHIN: Duration = Duration::from_secs(20);
/// What was sent so long ago, in microseconds, and has not arrived, never will.
const LOST_AFTER: u64 = 1_000_000;

/// Runs a plan, here or with something around it, and says what came of it.
pub(super) fn replay_by(
    plan: Plan,
    tracing: Tracing,
    around: impl FnOnce(&mut dyn FnMut()) + Send + 'static,
) -> Outcome {
    // A fresh thread for each run: the standard library keeps its hash keys by thread, and what a
    // run finds is kept by it, too.
    let run = move || {
        findings::begin(tracing);
        let mut go = || {
            let ended = catch_unwind(AssertUnwindSafe(|| run_here(&plan)));
            if let Err(panic) = ended {
                judge(Err(violation_of(&*panic)));
            }
        };
        around(&mut go);
        outcome(plan.settings.seed)
    };
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(run);
    thread.expect("a thread").join().expect("panics are caught")
}

fn outcome(seed: u64) -> Outcome {
    let left = trace::never_arrived();
    let mut found = findings::take();
    found.trace.never_arrived(&left, LOST_AFTER);
    Outcome {
        seed,
        commits: found.commit,
        elections: found.election.terms(),
        installed: found.coverage.others.get("snapshots installed").copied().unwrap_or(0),
        operations: found.operations.0,
        answered: found.operations.1,
        stale_leases: found.stale_leases,
        messages: found.messages,
        events: found.turns,
        micros: found.micros,
        digest: 0,
        coverage: found.coverage,
        violation: found.violation,
        trace: found.trace,
    }
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

fn run_here(plan: &Plan) {
    tracing::subscriber::with_default(trace::subscriber(), || {
        let settings = &plan.settings;
        let config = madsim::Config::default();
        let mut runtime = Runtime::with_seed_and_config(settings.seed, config);
        let planned = Duration::from_micros(settings.faults_end + 3 * settings.patience);
        runtime.set_time_limit(planned + MORE);
        runtime.block_on(async {
            let members = scenario(Arc::new(plan.clone())).await;
            with(|found| found.micros = findings::now());
            switch_off(&members).await;
        });
    });
}

/// Ends all members. A runtime that is dropped keeps the tasks that still wait in it, and with them
/// all that a run has had: megabytes for each seed of a sweep.
async fn switch_off(members: &[Member]) {
    members.iter().for_each(Member::switch_off);
    // They go when they are next looked at.
    sleep(Duration::from_millis(1)).await;
}

async fn scenario(plan: Arc<Plan>) -> Rc<Vec<Member>> {
    say_beginning(&plan);
    let settings = &plan.settings;
    let sealed = settings.sealed == 1;
    let links = if sealed { Links::Sealed } else { Links::Insecure };
    happened(if sealed { "links sealed" } else { "links insecure" });
    if let Some(shape) = Shape::numbered(settings.shape) {
        happened(shape.word());
    }
    let mischief = Mischief {
        lose: settings.relays_lose,
        repeat: settings.relays_repeat,
        hold: settings.relays_hold,
        alter: settings.relays_alter,
    };
    let topology = plan.topology(|_| None);
    let quality = |from, to| plan.quality(from, to);
    let net = Net::new(&topology, quality, (links, mischief), settings.seed);
    let members = Rc::new(Member::all(&plan, &net));
    formed(&members[..usize::try_from(plan.founders()).expect("a few")]).await;
    say(|| What::Phase { phase: "safety" });
    let saw = Saw::new();
    let started = Instant::now();
    let clients = Client::all(&plan, &members, &saw, started);
    let clients: Vec<_> =
        clients.into_iter().map(|client| madsim::task::spawn_local(client.run())).collect();
    let patience = Duration::from_micros(settings.patience);
    let nemesis = Nemesis::new(plan, net, Rc::clone(&members), started);
    madsim::task::spawn_local(nemesis.clone().operate());
    nemesis.run().await;
    say(|| What::Phase { phase: "liveness" });
    nemesis.settle().await;
    saw.enough.set(true);
    let until = Instant::now() + patience;
    while !any_broken() && clients.iter().any(|client| !client.is_finished()) {
        if Instant::now() > until {
            broken("liveness", format!("a client has waited for {patience:?}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    with(|found| found.operations = saw.history.borrow().counts());
    if !any_broken() {
        visits::conclude(&members, &saw).await;
        conclude(&members, &saw).await;
    }
    claims::forget();
    members
}

fn say_beginning(plan: &Plan) {
    say(|| What::Holm {
        version: VERSION,
        world: "node",
        seed: plan.settings.seed,
        members: (1..)
            .zip(&plan.places)
            .map(|(node, place)| Place { node, island: place.island })
            .collect(),
        links: plan.joined(),
        faults_end: plan.settings.faults_end,
    });
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
async fn conclude(members: &[Member], saw: &Saw) {
    judge(saw.history.borrow().check());
    let (leases, plain) = (saw.with_leases.borrow().check(), any_broken());
    if leases.is_err() && !plain {
        with(|found| found.stale_leases += 1);
        happened("stale lease reads");
    }
    let (operations, answered) = saw.history.borrow().counts();
    if operations > 0 && answered == 0 {
        broken("something happens", "no client was ever answered".to_owned());
    }
    let mut repeated = 0;
    let newest = configurations::newest();
    for member in members.iter().filter(|member| newest.member(member.node).is_some()) {
        let Some(node) = member.running() else {
            return broken("liveness", format!("member {} does not run", member.node));
        };
        let caught_up = node.read(|_| ()).await.is_ok();
        let state = node.read_local(|register| register.clone()).await;
        let (true, Ok(Seen { value: state, .. })) = (caught_up, state) else {
            return broken("liveness", format!("member {} serves no read", member.node));
        };
        let (effects, uncertain) = claims::effects();
        let (count, applied) = (saw.commands() + effects, state.applied());
        let may = count..=count + saw.uncertain() + uncertain;
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
