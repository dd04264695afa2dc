//! How a seed draws a plan: a *swarm*, in which each seed has some of the faults, each as often as
//! it draws, so that some runs are calm but for one fault and others have everything at once.

use super::happening::{Class, Happening};
use super::plan::{Plan, Settings};
use super::random::Random;
use super::topology::{self, Given};
use crate::schedule::Mode;

impl Plan {
    /// The plan of this seed.
    #[must_use]
    pub fn draw(seed: u64, mode: Mode) -> Self {
        Self::draw_from(seed, mode, None)
    }

    /// The plan of this seed on islands that are given.
    #[must_use]
    pub fn draw_on(seed: u64, mode: Mode, given: &Given) -> Self {
        Self::draw_from(seed, mode, Some(given))
    }

    fn draw_from(seed: u64, mode: Mode, given: Option<&Given>) -> Self {
        let mut random = Random::new(seed, 1);
        let random = &mut random;
        let mut settings = settings(seed, random);
        if mode == Mode::BeyondDrift {
            settings.beyond = 1;
            settings.drift = 0;
        }
        let (islands, links) = match given {
            Some(given) => {
                given.settle(&mut settings, random);
                given.draw(random)
            }
            None => topology::draw(settings.members, settings.voters, random),
        };
        // Whoever sets time-outs knows the network: an election time-out is several round trips
        // over the longest way, or nobody stays leader.
        let slowest = links.iter().map(|link| link.high).max().unwrap_or(0);
        let round_trips = 8 * slowest * (settings.members - 1) / settings.tick;
        settings.election_ticks = settings.election_ticks.max(round_trips);
        let emphasis = Emphasis::draw(&mut settings, random);
        let mut happenings = faults(&settings, &islands, emphasis, random);
        happenings.extend(operators(&settings, emphasis, random));
        happenings.extend(clients(&settings, random));
        happenings.sort();
        Self { settings, islands, links, happenings }
    }
}

fn settings(seed: u64, random: &mut Random) -> Settings {
    let members = random.pick(&[3, 3, 3, 4, 4, 5, 5, 5, 6, 7]);
    let voters = if random.one_in(3) { members } else { members - random.below(members - 2) };
    let rare = |random: &mut Random, most| if random.one_in(2) { 0 } else { random.below(most) };
    let disk_high = random.pick(&[300, 2_000, 4_000, 20_000]);
    Settings {
        seed,
        members,
        voters: voters.max(3),
        relaying: u64::from(!random.one_in(4)),
        election_ticks: random.pick(&[10, 15, 15, 30]),
        heartbeat_ticks: random.pick(&[2, 3, 3, 5]),
        pre_vote: u64::from(!random.one_in(3)),
        append_entries_max: random.pick(&[1, 3, 8, 64]),
        inflight_appends_max: random.pick(&[1, 3, 16]),
        install_log_bytes_max: random.pick(&[400, 4_096, 1 << 20]),
        snapshot_entries: random.pick(&[5, 20, 40, 200, 1_000]),
        snapshot_chunk_bytes: random.pick(&[40, 100, 4_096]),
        turn: random.pick(&[0, 0, 100, 2_000]),
        recent_entries: random.pick(&[0, 8, 64]),
        frozen_apart: random.below(2),
        segment_bytes: random.pick(&[2_048, 4_096, 16_384]),
        drift: random.pick(&[0, 50, 100, 200]),
        padding: random.pick(&[61, 61, 200, 900]),
        keys: random.pick(&[1, 2, 4, 8]),
        latency: random.below(3),
        loss: rare(random, 50_000),
        repeats: rare(random, 50_000),
        repeat_late: random.pick(&[300_000, 300_000, 3_000_000]),
        reorders: rare(random, 100_000),
        disk_low: 50,
        disk_high,
        faults_end: random.between(2_000_000, 8_000_000),
        keep_down: u64::from(random.one_in(4)),
        ..Settings::default()
    }
}

/// What a seed has more of than chance would give it: what is seen only where it is often.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Emphasis {
    /// Nothing.
    None,
    /// The power goes amid the operations of disks: what a log does seldom, and what a crash amid
    /// it leaves.
    Crashes,
    /// Leaders change, and the power goes when a member writes of a term and entries at once.
    Terms,
    /// Members fall behind, and leaders change while they are sent snapshots.
    Snapshots,
}

impl Emphasis {
    fn draw(settings: &mut Settings, random: &mut Random) -> Self {
        if settings.beyond == 1 {
            return Self::None;
        }
        match random.below(8) {
            0 | 1 => {
                settings.segment_bytes = 2_048;
                settings.snapshot_entries = random.pick(&[5, 20]);
                settings.turn = random.pick(&[0, 2_000, 20_000]);
                settings.padding = random.pick(&[61, 900]);
                Self::Crashes
            }
            2 => {
                // A heartbeat tells of a term before an entry does: both are taken in one turn.
                settings.turn = random.pick(&[2_000, 20_000]);
                settings.reorders = random.pick(&[0, 300_000]);
                Self::Terms
            }
            3 | 4 => {
                settings.snapshot_entries = random.pick(&[5, 20]);
                settings.snapshot_chunk_bytes = random.pick(&[40, 100]);
                settings.install_log_bytes_max = 400;
                settings.frozen_apart = 1;
                Self::Snapshots
            }
            _ => Self::None,
        }
    }

    /// Whether something happens all the time.
    fn is_often(self, word: &str) -> bool {
        match self {
            Self::None => false,
            Self::Crashes => ["lights-out", "cut-at-files"].contains(&word),
            Self::Terms => ["cut-at-term", "isolate-leader"].contains(&word),
            Self::Snapshots => ["isolate", "isolate-leader", "transfer"].contains(&word),
        }
    }
}

/// Which faults are on, and each so often.
fn faults(
    settings: &Settings,
    islands: &[u64],
    emphasis: Emphasis,
    random: &mut Random,
) -> Vec<(u64, Happening)> {
    let mut happenings = Vec::new();
    let calm = random.one_in(16);
    let classes = [Class::Link, Class::Process, Class::Disk, Class::Clock];
    for class in classes {
        let beyond = settings.beyond == 1;
        let class_on = !calm && !beyond && random.below(100) < 65;
        let words = Happening::WORDS.iter().filter(|(_, of, _)| *of == class);
        for (word, ..) in words {
            let on = class_on && random.below(100) < 45;
            // Clocks that stray, and leaders that are cut off: what leases break by, if they do.
            let strays = beyond && ["rate", "isolate-leader"].contains(word);
            let often = emphasis.is_often(word);
            if !on && !strays && !often {
                continue;
            }
            let drawn = random.pick(&[400_000, 1_000_000, 2_500_000]);
            let gap = if often { 300_000 } else { drawn };
            let mut time = random.between(300_000, gap + 300_000);
            while time < settings.faults_end {
                let fault = Happening::build(word, |key| {
                    Ok::<_, ()>(field(key, settings, islands, random))
                });
                happenings.extend(fault.and_then(Result::ok).map(|fault| (time, sane(fault))));
                time += random.between(gap / 4, gap * 2);
            }
        }
    }
    happenings
}

fn field(key: &str, settings: &Settings, islands: &[u64], random: &mut Random) -> u64 {
    match key {
        "lasting" if settings.beyond == 1 => random.between(300_000, 2_000_000),
        "lasting" => {
            let most = random.pick(&[50_000, 500_000, 500_000, 2_000_000]);
            random.between(10_000, most)
        }
        "period" => random.between(20_000, 300_000),
        "operations" => {
            let most = random.pick(&[12, 60, 400]);
            random.between(1, most)
        }
        "soon" => random.below(4),
        "cuts" => random.between(1, 15),
        "times" => random.between(2, 5),
        "factor" => random.pick(&[3, 10, 50, 200]),
        "millionths" => random.pick(&[20_000, 200_000, 600_000]),
        "bytes" => random.pick(&[5, 50, 500]),
        "island" => random.pick(islands),
        "permille" if settings.beyond == 1 => random.pick(&[250, 400, 1_000, 2_500]),
        // Two clocks may differ by all of it, so each may stray by half.
        "permille" => {
            let stray = settings.drift / 2;
            random.between(1_000 - stray, 1_000 + stray * 9 / 10)
        }
        "millis" => random.pick(&[5, 50, 500, 5_000]),
        _ => random.between(1, settings.members),
    }
}

/// A link has two ends.
const fn sane(fault: Happening) -> Happening {
    match fault {
        Happening::Part { a, b, lasting } if a == b => Happening::Isolate { member: a, lasting },
        Happening::HalfOpen { a, b, lasting } if a == b => {
            Happening::Isolate { member: a, lasting }
        }
        Happening::Flap { a, b, lasting, .. } if a == b => {
            Happening::Isolate { member: a, lasting }
        }
        other => other,
    }
}

fn operators(
    settings: &Settings,
    emphasis: Emphasis,
    random: &mut Random,
) -> Vec<(u64, Happening)> {
    let mut happenings = Vec::new();
    let class_on = random.below(100) < 60;
    let words = Happening::WORDS.iter().filter(|(_, of, _)| *of == Class::Operator);
    for (word, ..) in words {
        let often = emphasis.is_often(word);
        if !often && (!class_on || random.below(100) >= 50) {
            continue;
        }
        let drawn = random.pick(&[300_000, 1_000_000, 2_500_000]);
        let gap = if often { 300_000 } else { drawn };
        let mut time = random.between(500_000, gap + 500_000);
        while time < settings.faults_end {
            let step = Happening::build(word, |_| Ok::<_, ()>(random.between(1, settings.members)));
            let step = step.and_then(Result::ok);
            if let Some(Happening::Swap { member, .. }) = step {
                // Who is to vote has to have caught up: without this hardly a swap is taken.
                let before = random.between(100_000, 400_000);
                happenings.push((time - before, Happening::Learn { member }));
            }
            happenings.extend(step.map(|step| (time, step)));
            time += random.between(gap / 4, gap * 2);
        }
    }
    happenings
}

fn clients(settings: &Settings, random: &mut Random) -> Vec<(u64, Happening)> {
    let mut happenings = Vec::new();
    let beyond = settings.beyond == 1;
    let reads = if beyond { 60 } else { random.pick(&[10, 40, 70]) };
    let leases = if beyond { 100 } else { random.pick(&[0, 50, 100]) };
    let mut value = 0;
    for client in 1..=if beyond { settings.members } else { random.between(1, 6) } {
        let gap = if beyond { 20_000 } else { random.pick(&[5_000, 20_000, 100_000]) };
        let mut time = random.between(400_000, 900_000);
        let home = if beyond { client } else { random.between(1, settings.members) };
        let roams = !beyond && random.one_in(2);
        for _ in 0..if beyond { 200 } else { random.between(10, 150) } {
            if time >= settings.faults_end {
                break;
            }
            let key = random.below(settings.keys);
            let at = if roams { random.between(1, settings.members) } else { home };
            value += 1;
            let op = if random.below(100) >= reads {
                if random.one_in(2) {
                    Happening::Put { client, key, value: value << 20, at }
                } else {
                    Happening::AddTo { client, key, value: 1 + value % 7, at }
                }
            } else if random.below(100) < leases {
                Happening::LeaseRead { client, key, at }
            } else {
                Happening::Read { client, key, at }
            };
            happenings.push((time, op));
            time += random.between(gap / 4, gap * 2);
        }
    }
    happenings
}
