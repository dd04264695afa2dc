//! What a seed draws before anything runs: `Plan`, with the topology, the links and how good they
//! are, the clocks, how relays misbehave, and which faults begin when. It is a swarm (Groce et al.
//! 2012): each seed leaves some kinds of faults out, so that those that remain meet undisturbed.

use super::network::{Links, Mischief, Quality};
use super::topologies::Shape;
use crate::core_world::random::Random;
use holm::topology::Topology;
use holm::{KeyPair, KeyRing, Secret, Security};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a run does.
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) topology: Topology,
    pub(super) links: Links,
    pairs: BTreeMap<u64, KeyPair>,
    secret: Secret,
    pub(super) mischief: Mischief,
    qualities: BTreeMap<(u64, u64), Quality>,
    pub(super) clocks: BTreeMap<u64, Rate>,
    pub(super) faults: Vec<Planned>,
    /// The longest pause between two operations of a client, in milliseconds.
    pub(super) pause_ms: u64,
    /// Links that stay cut after the other faults have ended, and are healed last.
    pub(super) left_cut: Vec<(u64, u64)>,
}

/// A member's clock against that of the world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// So many millionths faster or slower.
    pub(super) millionths: i64,
    /// So far ahead, in milliseconds.
    pub(super) ahead_ms: u64,
}

/// A fault, when it begins and how long it lasts, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) at: u64,
    pub(super) lasts: u64,
    pub(super) fault: Fault,
}

/// What happens to a link, to all links of a member, or to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Cut(u64, u64),
    OneWay(u64, u64),
    Flap(u64, u64),
    Hang(u64, u64),
    HalfOpen(u64, u64),
    Reset(u64, u64),
    Slow(u64, u64),
    Narrow(u64, u64),
    Lossy(u64, u64),
    IslandOff(u64),
    Kill(u64),
    PowerCut(u64),
    RestartLoop(u64),
    Pause(u64),
    Stall(u64),
    CutWhileHanging(u64),
    Full(u64),
    FailingSync(u64),
    ClockJump(u64),
}

/// The kinds of faults of links and of members.
const OF_LINKS: [fn(u64, u64) -> Fault; 9] = [
    Fault::Cut,
    Fault::OneWay,
    Fault::Flap,
    Fault::Hang,
    Fault::HalfOpen,
    Fault::Reset,
    Fault::Slow,
    Fault::Narrow,
    Fault::Lossy,
];
const OF_MEMBERS: [fn(u64) -> Fault; 10] = [
    Fault::IslandOff,
    Fault::Kill,
    Fault::PowerCut,
    Fault::RestartLoop,
    Fault::Pause,
    Fault::Stall,
    Fault::CutWhileHanging,
    Fault::Full,
    Fault::FailingSync,
    Fault::ClockJump,
];

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let random = &mut random;
        let members = usize::try_from(random.between(3, 5)).expect("a few");
        let ids = 1..=u64::try_from(members).expect("a few");
        let links = if random.one_in(5) { Links::Insecure } else { Links::Sealed };
        let mut fill = |bytes: &mut [u8]| {
            for part in bytes.chunks_mut(8) {
                part.copy_from_slice(&random.next().to_le_bytes()[..part.len()]);
            }
        };
        let secret = Secret::generate(&mut fill);
        let pairs: BTreeMap<u64, KeyPair> =
            ids.clone().map(|id| (id, KeyPair::generate(&mut fill))).collect();
        let shape = random.pick(&Shape::ALL);
        let key = |id| (links == Links::Sealed).then(|| pairs[&id].public());
        let topology = shape.draw(members, random, key);
        let joined = joined(&topology);
        let good = random.pick(&[100, 500, 3_000]);
        let quality = |random: &mut Random| Quality {
            latency_us: random.between(good / 2, good * 2),
            jitter_us: random.pick(&[good / 10, good, good * 4]),
            slow_millionths: random.pick(&[0, 0, 2_000]),
            lost_millionths: random.pick(&[0, 0, 500]),
            bandwidth: random.pick(&[1_000_000, 10_000_000, 100_000_000]),
            window: random.pick(&[1 << 10, 16 << 10, 128 << 10]),
        };
        let both = joined.iter().flat_map(|(one, other)| [(*one, *other), (*other, *one)]);
        let qualities = both.map(|pair| (pair, quality(random))).collect();
        let rate = |random: &mut Random| Rate {
            millionths: i64::try_from(random.below(100_000)).expect("small") - 50_000,
            ahead_ms: random.below(1_000_000),
        };
        let clocks = ids.map(|id| (id, rate(random))).collect();
        Self {
            shape,
            links,
            pairs,
            secret,
            mischief: mischief(random),
            qualities,
            clocks,
            faults: faults(&topology, &joined, random),
            pause_ms: random.pick(&[60, 150, 300]),
            left_cut: left_cut(&topology, &joined, random),
            topology,
        }
    }

    /// How a member's links are secured.
    pub(super) fn security(&self, node: u64) -> Security {
        match self.links {
            Links::Insecure => Security::Insecure,
            Links::Sealed => Security::Sealed {
                pair: self.pairs[&node].clone(),
                ring: KeyRing::of(self.secret.clone()),
            },
        }
    }

    /// How good a link is at first.
    pub(super) fn quality(&self, from: u64, to: u64) -> Quality {
        // Those that are never used have some quality as well.
        let some = Quality {
            latency_us: 100,
            jitter_us: 0,
            slow_millionths: 0,
            lost_millionths: 0,
            bandwidth: 1_000_000,
            window: 1 << 10,
        };
        self.qualities.get(&(from, to)).copied().unwrap_or(some)
    }
}

impl Rate {
    /// What takes so long by this clock takes so long in the world.
    pub(super) fn real(self, long: Duration) -> Duration {
        let micros = i64::try_from(long.as_micros()).expect("short");
        let real = micros * 1_000_000 / (1_000_000 + self.millionths);
        Duration::from_micros(u64::try_from(real).expect("no clock runs backwards"))
    }

    /// What the clock shows at this moment of the world, in milliseconds.
    pub(super) fn shows(self, world_ms: u64) -> u64 {
        let world = i64::try_from(world_ms).expect("runs are short");
        let own = world + world * self.millionths / 1_000_000;
        self.ahead_ms + u64::try_from(own).expect("no clock runs backwards")
    }
}

/// Who may be linked to whom, the lower first.
pub(super) fn joined(topology: &Topology) -> Vec<(u64, u64)> {
    let ids = || topology.members.iter().map(|member| member.id);
    let pairs = ids().flat_map(|one| ids().map(move |other| (one, other)));
    let may = |one, other| topology.may_dial(one, other) || topology.may_dial(other, one);
    pairs.filter(|(one, other)| one < other && may(*one, *other)).collect()
}

fn mischief(random: &mut Random) -> Mischief {
    let mut rate = || random.pick(&[0, 0, 5_000, 30_000]);
    Mischief { lose: rate(), repeat: rate(), hold: rate(), alter: rate() }
}

fn faults(topology: &Topology, joined: &[(u64, u64)], random: &mut Random) -> Vec<Planned> {
    let links: Vec<_> = OF_LINKS.into_iter().filter(|_| random.one_in(2)).collect();
    let members: Vec<_> = OF_MEMBERS.into_iter().filter(|_| random.one_in(2)).collect();
    let (count, long) = (random.between(4, 14), random.between(3_000, 10_000));
    let mut faults = Vec::new();
    for _ in 0..count {
        let of_link = random.one_in(2);
        let fault = if of_link && !links.is_empty() {
            let (one, other) = random.pick(joined);
            let (from, to) = if random.one_in(2) { (one, other) } else { (other, one) };
            random.pick(&links)(from, to)
        } else if !members.is_empty() {
            let count = u64::try_from(topology.members.len()).expect("a few");
            random.pick(&members)(random.between(1, count))
        } else {
            continue;
        };
        let lasts = random.pick(&[50, 300, 1_000, 3_000]);
        let lasts = random.between(lasts / 2, lasts);
        faults.push(Planned { at: random.below(long), lasts, fault });
    }
    faults.sort_by_key(|planned| planned.at);
    faults
}

/// Links that may stay cut: those that are left still join a quorum.
fn left_cut(topology: &Topology, joined: &[(u64, u64)], random: &mut Random) -> Vec<(u64, u64)> {
    if random.one_in(2) {
        return Vec::new();
    }
    let mut left: Vec<(u64, u64)> = joined.to_vec();
    let mut cut = Vec::new();
    for _ in 0..random.between(1, 3) {
        let pair = random.pick(joined);
        let without: Vec<_> = left.iter().copied().filter(|other| *other != pair).collect();
        let reach = super::reach::Reach::new(topology, without.iter().copied());
        if !cut.contains(&pair) && reach.quorum().is_some() {
            cut.push(pair);
            left = without;
        }
    }
    cut
}
