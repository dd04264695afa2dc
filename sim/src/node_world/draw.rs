//! How a seed draws a plan of the node's world: a *swarm* (Groce et al. 2012), in which each seed
//! leaves some kinds of faults out, so that those that remain meet undisturbed.

mod visits;

use super::happening::{Class, Happening};
use super::plan::{Directed, Place, Plan, Quality, Settings};
use super::topologies::Shape;
use crate::core_world::random::Random;
use crate::schedule::Mode;

impl Plan {
    /// The plan of this seed.
    #[must_use]
    pub fn draw(seed: u64, mode: Mode) -> Self {
        let mut random = Random::new(seed, 5);
        let random = &mut random;
        let shapes = Shape::ALL;
        let shape = random.below(shapes.len() as u64);
        let mut settings = settings(seed, shape, random);
        settings.beyond = match mode {
            Mode::Within => 0,
            Mode::BeyondDrift => 1,
            Mode::BeyondDisks => 2,
        };
        let members = usize::try_from(settings.members).expect("a few");
        let drawn = Shape::numbered(shape).expect("below their number");
        let (mut places, closed) = drawn.draw(members, random);
        for (member, place) in (1..).zip(&mut places) {
            (place.rate, place.ahead) = clock(mode, member, random);
        }
        let mut plan =
            Self { settings, places, closed, qualities: Vec::new(), happenings: Vec::new() };
        let joined = plan.joined();
        plan.qualities = qualities(&joined, random);
        if mode == Mode::Within {
            plan.leave_some_out(random);
        }
        plan.happenings = faults(&plan, &joined, mode, random);
        plan.happenings.extend(clients(&plan, mode, random));
        if mode == Mode::Within {
            plan.happenings.extend(visits::visits(&plan));
        }
        plan.happenings.sort();
        plan
    }
}

impl Plan {
    /// In most runs some come in later, if those that are left make a topology; in some a minority
    /// keeps its logs in memory.
    fn leave_some_out(&mut self, random: &mut Random) {
        let all = self.settings.members;
        if all > 3 && !random.one_in(3) {
            self.settings.voters = random.between(3, all - 1);
            if self.check().is_err() {
                self.settings.voters = 0;
            }
        }
        if random.one_in(3) {
            self.settings.in_memory = random.between(1, (self.founders() - 1) / 2);
        }
    }
}

fn settings(seed: u64, shape: u64, random: &mut Random) -> Settings {
    let mut rate = || random.pick(&[0, 0, 5_000, 30_000]);
    let [relays_lose, relays_repeat, relays_hold, relays_alter] = [rate(), rate(), rate(), rate()];
    Settings {
        seed,
        members: random.pick(&[3, 3, 4, 4, 5, 5, 6]),
        sealed: u64::from(!random.one_in(5)),
        shape,
        relays_lose,
        relays_repeat,
        relays_hold,
        relays_alter,
        snapshot_entries: random.pick(&[8, 8, 20]),
        faults_end: random.between(3_000_000, 10_000_000),
        ..Settings::default()
    }
}

/// How quick a clock is, and how far ahead.
fn clock(mode: Mode, member: u64, random: &mut Random) -> (u64, u64) {
    let rate = match mode {
        // Two clocks may differ by a tenth.
        Mode::Within | Mode::BeyondDisks => random.between(950_000, 1_050_000),
        Mode::BeyondDrift if member == SLOW => random.between(250_000, 400_000),
        Mode::BeyondDrift => random.between(900_000, 1_500_000),
    };
    (rate, random.below(1_000_000))
}

fn qualities(joined: &[(u64, u64)], random: &mut Random) -> Vec<Directed> {
    let good = random.pick(&[100, 500, 3_000]);
    let mut quality = || Quality {
        latency: random.between(good / 2, good * 2),
        jitter: random.pick(&[good / 10, good, good * 4]),
        slow: random.pick(&[0, 0, 2_000]),
        lost: random.pick(&[0, 0, 500]),
        bandwidth: random.pick(&[1_000_000, 10_000_000, 100_000_000]),
        window: random.pick(&[1 << 10, 16 << 10, 128 << 10]),
        garbled: 0,
    };
    let both = joined.iter().flat_map(|(one, other)| [(*one, *other), (*other, *one)]);
    both.map(|(from, to)| Directed { from, to, quality: quality() }).collect()
}

/// Each class that happens to the cluster, and its words.
fn words(class: Class) -> impl Iterator<Item = &'static str> {
    let all = Happening::WORDS.iter();
    all.filter(move |(_, of, _)| *of == class).map(|(word, ..)| *word)
}

fn faults(
    plan: &Plan,
    joined: &[(u64, u64)],
    mode: Mode,
    random: &mut Random,
) -> Vec<(u64, Happening)> {
    match mode {
        Mode::Within => {}
        Mode::BeyondDrift => return beyond(plan, random),
        Mode::BeyondDisks => return lost_at_once(plan, random),
    }
    let end = plan.settings.faults_end;
    let classes = [Class::Link, Class::Process, Class::Disk, Class::Clock];
    let on: Vec<Vec<&str>> = classes
        .into_iter()
        .map(|class| words(class).filter(|_| random.one_in(2)).collect())
        .filter(|on: &Vec<&str>| !on.is_empty())
        .collect();
    let mut drawn = Vec::new();
    let operators: Vec<&str> = words(Class::Operator).filter(|_| random.one_in(2)).collect();
    if random.one_in(2) && !operators.is_empty() {
        for _ in 0..random.between(2, 10) {
            let step = build(random.pick(&operators), plan, joined, random);
            drawn.push((random.below(end), step));
        }
    }
    for _ in 0..if plan.founders() < plan.settings.members { random.between(0, 3) } else { 0 } {
        let word = random.pick(&["add", "join", "join", "learn"]);
        drawn.push((random.below(end), build(word, plan, joined, random)));
    }
    for _ in 0..random.between(4, 16) {
        if on.is_empty() {
            break;
        }
        // Half of all faults are of links, if any is on.
        let at = if random.one_in(2) { 0 } else { random.below(on.len() as u64) };
        let word = random.pick(&on[usize::try_from(at).expect("a few")]);
        let fault = build(word, plan, joined, random);
        drawn.push((random.below(end), fault));
    }
    drawn
}

/// The member whose clock is slow, where clocks stray.
const SLOW: u64 = 1;

/// What leases break by, where clocks stray: leaders that are cut off and do not know it, since
/// their clocks say that little time has passed.
fn beyond(plan: &Plan, random: &mut Random) -> Vec<(u64, Happening)> {
    let mut drawn = Vec::new();
    let mut time = random.between(500_000, 1_500_000);
    while time < plan.settings.faults_end {
        let lasting = random.between(300_000, 2_000_000);
        drawn.push((time, Happening::Transfer { member: SLOW }));
        drawn.push((time + 1_000_000, Happening::IsolateLeader { lasting }));
        time += random.between(3_500_000, 5_000_000);
    }
    drawn
}

/// More than is promised: a majority's disks are lost, lie or rot at once.
fn lost_at_once(plan: &Plan, random: &mut Random) -> Vec<(u64, Happening)> {
    let Settings { members, faults_end, .. } = plan.settings;
    let at = random.between(faults_end / 4, faults_end / 2);
    let lasting = random.between(300_000, 1_000_000);
    let (first, kind) = (random.below(members), random.below(5));
    let majority = (0..=members / 2).map(|nth| 1 + (first + nth) % members);
    let fault = |member| match kind {
        0 | 1 => Happening::Wipe { member, lasting },
        2 | 3 => Happening::Lie { member, lasting },
        _ => Happening::Rot { member, lasting },
    };
    majority.map(|member| (at, fault(member))).collect()
}

fn build(word: &str, plan: &Plan, joined: &[(u64, u64)], random: &mut Random) -> Happening {
    let (one, other) = random.pick(joined);
    let (from, to) = if random.one_in(2) { (one, other) } else { (other, one) };
    let lasts = random.pick(&[50_000, 300_000, 1_000_000, 3_000_000]);
    let islands: Vec<u64> = plan.places.iter().map(|place| place.island).collect();
    let (founders, members) = (plan.founders(), plan.settings.members);
    let built = Happening::build(word, |key| {
        Ok::<_, std::convert::Infallible>(match key {
            "from" | "a" => from,
            "to" | "b" => to,
            "lasting" => random.between(lasts / 2, lasts),
            "times" => random.between(2, 6),
            "period" => random.between(20_000, 400_000),
            "island" => random.pick(&islands),
            "micros" => random.pick(&[20_000, 80_000]),
            "bytes" => random.pick(&[20_000, 100_000]),
            "millionths" => random.pick(&[20_000, 100_000, 300_000]),
            // A tenth between two clocks is what leases allow for.
            "permille" => random.between(950, 1_050),
            "millis" => random.pick(&[25, 300, 3_000]),
            // Who is none yet may come in.
            "member" if COMES_IN.contains(&word) && founders < members && !random.one_in(4) => {
                random.between(founders + 1, members)
            }
            _ => random.between(1, members),
        })
    });
    match built {
        Some(Ok(built)) => built,
        _ => unreachable!("one of its own words"),
    }
}

/// By these words somebody becomes a member.
const COMES_IN: [&str; 3] = ["add", "join", "learn"];

/// The client that has sessions; the others name each change by a key.
const IN_SESSIONS: u64 = 4;

fn clients(plan: &Plan, mode: Mode, random: &mut Random) -> Vec<(u64, Happening)> {
    let Settings { members, keys, faults_end, .. } = plan.settings;
    let beyond = mode == Mode::BeyondDrift;
    let mut drawn = Vec::new();
    let gap = if beyond { 30_000 } else { random.pick(&[30_000, 75_000, 150_000]) };
    let most = if beyond { 250 } else { 60 };
    for client in 1..=if beyond { members } else { IN_SESSIONS } {
        let mut time = random.below(gap * 2);
        for _ in 0..most {
            time += random.below(gap * 2);
            if time >= faults_end {
                break;
            }
            let at = if beyond { client } else { random.between(1, members) };
            let key = random.below(keys);
            let value = random.between(1, 99);
            let reads = if beyond { 70 } else { 30 };
            let half = keys / 2;
            drawn.push((
                time,
                match random.below(100) {
                    chance if chance < reads / 5 => Happening::ReadOn { client, at },
                    chance if chance < reads * 3 / 5 && !beyond => {
                        Happening::Read { client, key, at }
                    }
                    chance if chance < reads => Happening::LeaseRead { client, key, at },
                    _ if client == IN_SESSIONS && !beyond => {
                        let key = half + random.below(keys - half);
                        Happening::PutInSession { client, key, value, at }
                    }
                    _ if key < half => Happening::AddTo { client, key, value, at },
                    _ => Happening::Put { client, key, value, at },
                },
            ));
        }
    }
    drawn
}

impl Place {
    /// How long something takes in the world that takes so long by this clock, both in
    /// microseconds.
    #[must_use]
    pub const fn real(&self, micros: u64) -> u64 {
        micros * 1_000_000 / self.rate
    }
}
