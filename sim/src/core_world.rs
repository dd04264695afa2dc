//! The core and the log, event by event: three members whose logs lie on simulated disks and whose
//! messages are delayed, reordered, repeated and lost, while members are cut off and power is cut.
//! After each event the paper's safety properties hold (figure 3); at the end everybody has caught
//! up, and every acknowledged command is there, once.

mod ledger;
mod member;

use crate::report::{Faults, Report};
use holm_raft_core::{Configuration, Event, Message, RequestNumber};
use ledger::Ledger;
use member::{Job, Member};
use std::collections::BTreeMap;
use std::fmt::Write;

const MEMBERS: usize = 3;
/// A tick, in simulated microseconds.
const TICK: u64 = 10_000;
/// When the faults end, and when everybody must have caught up.
const FAULTS_END: u64 = 8_000_000;
const END: u64 = 14_000_000;

/// Runs one seed.
///
/// # Panics
/// When a promise is broken.
#[must_use]
pub fn run(seed: u64) -> Report {
    let mut world = World::new(seed);
    while let Some(((now, _), happening)) = world.agenda.pop_first() {
        if now >= END {
            break;
        }
        world.now = now;
        world.happen(happening);
    }
    world.into_report(seed)
}

/// Something that will happen.
enum Happening {
    Tick(usize),
    Deliver(Message),
    /// A disk finishes a job, unless its member was switched off meanwhile.
    Finish(usize, Job),
    Propose,
    CutOff,
    Connect,
    PowerCut,
    PowerBack(usize),
}

struct World {
    now: u64,
    random: Random,
    /// What will happen, by time and then in the order in which it was planned.
    agenda: BTreeMap<(u64, u64), Happening>,
    planned: u64,
    members: Vec<Member>,
    /// Who is cut off from the others.
    cut: Option<usize>,
    ledger: Ledger,
    requests: u64,
    faults: Faults,
    trace: String,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let members: Vec<_> = (0..MEMBERS).map(|at| Member::new(at, random.next())).collect();
        let mut world = Self {
            now: 0,
            random,
            agenda: BTreeMap::new(),
            planned: 0,
            members,
            cut: None,
            ledger: Ledger::default(),
            requests: 0,
            faults: Faults::default(),
            trace: String::new(),
        };
        let formed = Configuration::new(world.members.iter().map(Member::configured));
        for at in 0..MEMBERS {
            let offset = world.random.below(TICK);
            world.plan(offset, Happening::Tick(at));
            world.handle(at, Event::Form(formed.clone()));
        }
        world.plan(500_000, Happening::Propose);
        world.plan(1_000_000, Happening::CutOff);
        world.plan(2_000_000, Happening::PowerCut);
        world
    }

    fn plan(&mut self, after: u64, happening: Happening) {
        self.planned += 1;
        self.agenda.insert((self.now + after, self.planned), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick(at) => {
                self.handle(at, Event::Tick { now: self.now / 1000 });
                self.plan(TICK, Happening::Tick(at));
            }
            Happening::Deliver(message) => {
                let at = self.members.iter().position(|member| member.me() == message.to);
                self.handle(at.expect("sent to a member"), Event::Message(message));
            }
            Happening::Finish(at, job) => {
                job();
                self.act(at);
            }
            Happening::Propose => self.propose(),
            Happening::CutOff => self.cut_off(),
            Happening::Connect => {
                self.say("everybody is connected");
                self.cut = None;
            }
            Happening::PowerCut => self.power_cut(),
            Happening::PowerBack(at) => {
                self.say(&format!("{} has power again", at + 1));
                self.members[at].start(self.random.next());
                self.act(at);
            }
        }
    }

    fn propose(&mut self) {
        self.requests += 1;
        let at = self.random.pick(MEMBERS);
        let number = RequestNumber(self.requests);
        self.members[at].propose(number);
        self.act(at);
        let pause = self.random.between(1_000, 30_000);
        if self.now + pause < END - 2_000_000 {
            self.plan(pause, Happening::Propose);
        }
    }

    fn cut_off(&mut self) {
        if self.now >= FAULTS_END {
            return;
        }
        let at = self.random.pick(MEMBERS);
        self.cut = Some(at);
        self.faults.partitions += 1;
        self.say(&format!("{} is cut off", at + 1));
        let lasting = self.random.between(50_000, 1_500_000);
        self.plan(lasting, Happening::Connect);
        let pause = self.random.between(100_000, 2_000_000);
        self.plan(lasting + pause, Happening::CutOff);
    }

    fn power_cut(&mut self) {
        if self.now >= FAULTS_END {
            return;
        }
        let at = self.random.pick(MEMBERS);
        self.faults.crashes += 1;
        self.say(&format!("{} loses power", at + 1));
        self.members[at].power_cut();
        let lasting = self.random.between(10_000, 800_000);
        self.plan(lasting, Happening::PowerBack(at));
        let pause = self.random.between(100_000, 1_500_000);
        self.plan(lasting + pause, Happening::PowerCut);
    }

    fn handle(&mut self, at: usize, event: Event) {
        self.members[at].handle(event);
        self.act(at);
    }

    /// Lets a member do what its core asks, and carries what comes of it.
    fn act(&mut self, at: usize) {
        let before = self.members[at].status();
        let messages = self.members[at].act(&mut self.ledger);
        for message in messages {
            self.send(at, message);
        }
        for job in self.members[at].jobs() {
            let lasting = self.random.between(50, 4_000);
            self.plan(lasting, Happening::Finish(at, job));
        }
        let after = self.members[at].status();
        if after != before {
            self.say(&after);
        }
        if let Some((term, me)) = self.members[at].leads() {
            self.ledger.leads(term, me);
        }
    }

    fn send(&mut self, from: usize, message: Message) {
        let to = self.members.iter().position(|member| member.me() == message.to);
        let cut = self.cut.is_some_and(|cut| cut == from || Some(cut) == to);
        if cut || self.random.below(100) == 0 {
            return;
        }
        if self.random.below(100) == 0 {
            let late = self.random.between(100, 300_000);
            self.plan(late, Happening::Deliver(message.clone()));
        }
        let latency = self.random.between(100, 3_000);
        self.plan(latency, Happening::Deliver(message));
    }

    fn say(&mut self, what: &str) {
        writeln!(self.trace, "{:>8} {what}", self.now).expect("a string takes everything");
    }

    fn into_report(self, seed: u64) -> Report {
        for member in &self.members {
            self.ledger.check_caught_up(member);
        }
        Report {
            seed,
            acknowledged: self.ledger.check_acknowledged(),
            leaders: self.ledger.leaders(),
            installed: self.ledger.installed(),
            faults: self.faults,
            millis: self.now / 1000,
            trace: self.trace,
        }
    }
}

/// The world's own randomness (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("less than a usize")
    }
}
