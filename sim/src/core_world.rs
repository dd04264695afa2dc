//! The core and the log, event by event: members whose logs lie on simulated disks and whose
//! messages go over simulated links, under the faults of a [plan](plan::Plan) that a seed draws.
//! After each event the checkers look; when the faults end, everybody has to catch up and answer.

mod clients;
mod draw;
mod faults;
pub(crate) mod guest;
pub mod happening;
mod liveness;
pub mod machine;
mod member;
mod mutations;
mod network;
mod operators;
pub mod plan;
pub mod random;
mod said;
mod slab;
pub mod text;
mod topology;
mod turn;

use crate::checkers::shadow::Shadow;
use crate::checkers::{Checkers, Violation};
pub use crate::coverage::Coverage;
pub use crate::outcome::{Outcome, Tracing};
pub use crate::schedule::Mode;
use crate::schedule::shrink::{self as shrinking, Shrunk};
use crate::trace::{Place, Trace, What};
use clients::Clients;
use guest::Host;
use holm_raft_core::{Configuration, Glance, Index, MemberId, Message};
use member::{Effects, Job, Member};
use network::Network;
use plan::Plan;
use random::Random;
use slab::Slab;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
pub use topology::Given;

/// Runs the plan that a seed draws.
#[must_use]
pub fn run(seed: u64, mode: Mode, tracing: Tracing) -> Outcome {
    replay(Plan::draw(seed, mode), tracing)
}

/// Runs a plan.
#[must_use]
pub fn replay(plan: Plan, tracing: Tracing) -> Outcome {
    World::new(plan, tracing, None).run()
}

/// Makes a failing plan smaller, with so many tries at most; `None` if it does not fail.
#[must_use]
pub fn shrink(plan: &Plan, tries_max: u64) -> Option<Shrunk<Plan>> {
    shrinking::shrink(&|plan| replay(plan, Tracing::Off), plan, tries_max)
}

/// Runs a plan with a state machine of somebody else's beside the world's own.
pub(crate) fn host(plan: Plan, tracing: Tracing, host: &Arc<dyn Host>) -> Outcome {
    World::new(plan, tracing, Some(Arc::clone(host))).run()
}

/// What will happen, at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A member's timer, unless it was set anew meanwhile.
    Tick(usize, u64),
    /// A message arrives.
    Deliver(usize),
    /// A disk finishes a job.
    Finish(usize),
    /// A member that has gathered inputs has its turn.
    Turn(usize),
    /// The plan's happening begins, or ends, or goes on.
    Begin(usize),
    End(usize),
    Again(usize),
    /// A member is started, or started again.
    Start(usize),
    Bounce(usize),
    /// A client waits no longer, or asks again.
    TimeOut(u64, u64),
    Retry(u64, u64),
    /// Operators look whether there is something to do.
    Operate,
    /// The safety phase ends.
    Calm,
    /// Whether everybody has caught up.
    Settle,
}

/// A message on its way.
struct Flight {
    message: Message,
    from: usize,
    to: usize,
    id: u64,
}

/// A disk's job under way.
struct DiskJob {
    at: usize,
    job: Job,
}

/// Everything.
struct World {
    plan: Plan,
    now: u64,
    random: Random,
    /// What will happen, by time and then in the order in which it was planned.
    agenda: BinaryHeap<Reverse<(u64, u64, Due)>>,
    planned: u64,
    events: u64,
    members: Vec<Member>,
    host: Option<Arc<dyn Host>>,
    glances: Vec<Option<Glance>>,
    /// Which terms the trace says that each member's log has.
    terms_said: Vec<Vec<(u64, u64)>>,
    /// Counts how often each member's timer was set anew.
    timers: Vec<u64>,
    /// What arrived for paused members.
    backlogs: Vec<Vec<Due>>,
    network: Network,
    component: Vec<usize>,
    flights: Slab<Flight>,
    jobs: Slab<DiskJob>,
    new_jobs: Vec<Job>,
    via: Vec<usize>,
    effects: Effects,
    clients: Clients,
    checkers: Checkers,
    coverage: Coverage,
    /// The latest configuration that was applied anywhere.
    configuration: (Index, Configuration),
    /// Who lost its disk, and what that held: it had said so.
    graves: Vec<(MemberId, Shadow)>,
    /// The faults that are on.
    active: BTreeSet<usize>,
    flipped: BTreeSet<usize>,
    /// Who was the leader that a happening isolates.
    isolated: BTreeMap<usize, usize>,
    calm: bool,
    kept_down: Option<usize>,
    messages: u64,
    settled: bool,
    violation: Option<Violation>,
    trace: Trace,
}

impl World {
    fn new(plan: Plan, tracing: Tracing, host: Option<Arc<dyn Host>>) -> Self {
        let settings = &plan.settings;
        let mut random = Random::new(settings.seed, 3);
        let members: Vec<Member> = (0..plan.islands.len())
            .map(|at| Member::new(at, settings, random.next(), host.clone()))
            .collect();
        let count = members.len();
        let network = Network::new(&plan);
        let trace = if tracing == Tracing::Kept { Trace::kept() } else { Trace::default() };
        let mut world = Self {
            now: 0,
            random,
            agenda: BinaryHeap::new(),
            planned: 0,
            events: 0,
            glances: vec![None; count],
            terms_said: vec![Vec::new(); count],
            timers: vec![0; count],
            backlogs: (0..count).map(|_| Vec::new()).collect(),
            component: network.components(None),
            network,
            flights: Slab::default(),
            jobs: Slab::default(),
            new_jobs: Vec::new(),
            via: Vec::new(),
            effects: Effects::default(),
            clients: Clients::default(),
            checkers: Checkers::default(),
            coverage: Coverage::default(),
            configuration: (Index(0), Configuration::default()),
            graves: Vec::new(),
            active: BTreeSet::new(),
            flipped: BTreeSet::new(),
            isolated: BTreeMap::new(),
            calm: false,
            kept_down: None,
            messages: 0,
            settled: false,
            violation: None,
            trace,
            members,
            host,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.say_beginning();
        let voters = usize::try_from(self.plan.settings.voters).expect("bounded by the settings");
        let formed = self.members.iter().take(voters).map(Member::configured);
        let formed = Configuration::new(formed);
        self.configuration = (Index(0), formed.clone());
        for at in 0..self.members.len() {
            self.start(at);
            if at < voters {
                self.handle(at, holm_raft_core::Event::Form(formed.clone()));
            }
        }
        for n in 0..self.plan.happenings.len() {
            let time = self.plan.happenings[n].0;
            self.plan_at(time, Due::Begin(n));
        }
        self.plan_at(self.plan.settings.faults_end, Due::Calm);
        self.plan_at(500_000, Due::Operate);
    }

    fn say_beginning(&mut self) {
        let plan = &self.plan;
        self.trace.say(0, || What::Holm {
            version: crate::trace::VERSION,
            world: "core",
            seed: plan.settings.seed,
            members: (1..)
                .zip(&plan.islands)
                .map(|(node, island)| Place { node, island: *island })
                .collect(),
            links: plan.links.iter().map(|link| (link.from, link.to)).collect(),
            faults_end: plan.settings.faults_end,
        });
        self.trace.say(0, || What::Phase { phase: "safety" });
    }

    fn run(mut self) -> Outcome {
        // What the core or the log assert is a promise as well.
        let ended = catch_unwind(AssertUnwindSafe(|| self.go_on()));
        if let Err(panic) = ended {
            let says = panic.downcast_ref::<String>().cloned();
            let says = says.or_else(|| panic.downcast_ref::<&str>().map(|says| (*says).to_owned()));
            let says = says.unwrap_or_default();
            self.broken(Violation { checker: "own assertions", says });
        }
        self.finish()
    }

    fn go_on(&mut self) {
        while self.violation.is_none()
            && !self.settled
            && let Some(Reverse((time, _, due))) = self.agenda.pop()
        {
            self.now = time;
            self.events += 1;
            self.happen(due);
        }
    }

    fn plan_after(&mut self, after: u64, due: Due) {
        self.plan_at(self.now + after, due);
    }

    fn plan_at(&mut self, time: u64, due: Due) {
        self.planned += 1;
        self.agenda.push(Reverse((time, self.planned, due)));
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Tick(at, timer) => self.tick(at, timer),
            Due::Deliver(slot) => self.deliver(slot, due),
            Due::Finish(slot) => {
                let at = self.jobs.get(slot).at;
                if self.members[at].paused > 0 {
                    self.backlogs[at].push(due);
                    return;
                }
                let DiskJob { at, job } = self.jobs.take(slot);
                job();
                self.act(at);
            }
            Due::Turn(at) => self.take_turn(at),
            Due::Begin(n) => self.begin_happening(n),
            Due::End(n) => self.end_happening(n),
            Due::Again(n) => self.again(n),
            Due::Start(at) => self.start(at),
            Due::Bounce(at) => self.bounce_sound(at),
            Due::TimeOut(client, request) => self.time_out(client, request),
            Due::Retry(client, request) => self.retry(client, request),
            Due::Operate => self.operate(),
            Due::Calm => self.calm(),
            Due::Settle => self.settle(),
        }
    }

    /// A promise is broken: the run ends with this event.
    fn broken(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    fn finish(mut self) -> Outcome {
        if self.violation.is_none()
            && let Err(violation) = self.checkers.history.check()
        {
            self.broken(violation);
        }
        let (operations, answered) = self.checkers.history.counts();
        if self.violation.is_none() && (self.checkers.committed.last().0 < 2) {
            let says = "nothing was committed in the whole run".to_owned();
            self.broken(Violation { checker: "something happens", says });
        }
        if let Some(Violation { checker, says }) = &self.violation {
            self.trace.say(self.now, || What::Violation { checker, says: says.clone() });
        }
        Outcome {
            seed: self.plan.settings.seed,
            commits: self.checkers.committed.last().0,
            elections: self.checkers.election.terms(),
            installed: self.checkers.machine.installed,
            operations,
            answered,
            stale_leases: self.checkers.fresh_reads.stale_leases,
            messages: self.messages,
            events: self.events,
            micros: self.now,
            digest: self.checkers.machine.digest,
            coverage: self.coverage,
            violation: self.violation,
            trace: self.trace,
        }
    }
}
