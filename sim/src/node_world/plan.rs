//! A run of the node's world as data: `Plan`, everything that a seed decides: who there is and who
//! may dial whom, how good links and clocks are, and what happens when. What is left to chance
//! within a run comes from the plan's seed, so equal plans have equal runs. Its text is in `text`,
//! how a seed draws one in `draw`.

use super::happening::Happening;
use crate::schedule::shrink::Schedule;
use crate::schedule::{settings, words};
use holm::PublicKey;
use holm::topology::{Island, Link, Member, Topology};
use std::collections::BTreeSet;

/// What a run is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The settings.
    pub settings: Settings,
    /// The members, from 1.
    pub places: Vec<Place>,
    /// Nobody on the first island may dial anybody on the second.
    pub closed: Vec<(u64, u64)>,
    /// How good links are, by direction; those that are not named are plain.
    pub qualities: Vec<Directed>,
    /// What happens, and when, in order.
    pub happenings: Vec<(u64, Happening)>,
}

/// A member's place in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its island, from 1.
    pub island: u64,
    /// 1: others may dial it.
    pub listens: u64,
    /// 1: it passes on what others send each other.
    pub relays: u64,
    /// Its clock shows so many microseconds in a second.
    pub rate: u64,
    /// And it is so many milliseconds ahead at first.
    pub ahead: u64,
}

/// How good a link is in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directed {
    /// From whom.
    pub from: u64,
    /// To whom.
    pub to: u64,
    /// How good.
    pub quality: Quality,
}

/// How good a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// The least latency, in microseconds.
    pub latency: u64,
    /// Up to so much more, evenly.
    pub jitter: u64,
    /// In so many of a million cases ten times as much.
    pub slow: u64,
    /// In so many of a million cases something is lost, and sent again later.
    pub lost: u64,
    /// Bytes a second.
    pub bandwidth: u64,
    /// So many bytes may be written that were not read: then writing waits.
    pub window: u64,
    /// In so many of a million cases a bit of what is written flips. No schedule sets this from the
    /// start.
    pub garbled: u64,
}

impl Quality {
    /// That of links that nobody says anything of.
    pub const PLAIN: Self = Self {
        latency: 100,
        jitter: 100,
        slow: 0,
        lost: 0,
        bandwidth: 10_000_000,
        window: 16 << 10,
        garbled: 0,
    };
}

settings! {
    /// Decides what is left to chance within the run.
    seed = 0 in 0..=u64::MAX;
    /// How many members there are.
    members = 3 in 1..=64;
    /// How many of them form the cluster, at least one; 0: all. The others wait to be added.
    voters = 0 in 0..=64;
    /// How many of these, the last ones, keep their logs in memory: less than half.
    in_memory = 0 in 0..=64;
    /// Whether links are sealed.
    sealed = 1 in 0..=1;
    /// Which kind of topology was drawn: for the coverage table alone.
    shape = 0 in 0..=7;
    /// Millionths of the frames that relays lose.
    relays_lose = 0 in 0..=1_000_000;
    /// Millionths of the frames that relays pass on twice.
    relays_repeat = 0 in 0..=1_000_000;
    /// Millionths of the frames that relays hold back, so that others overtake them.
    relays_hold = 0 in 0..=1_000_000;
    /// Millionths of the frames that relays alter, where links are sealed: else nobody can know.
    relays_alter = 0 in 0..=1_000_000;
    /// The node's tick, in microseconds of a member's clock.
    tick = 10_000 in 1_000..=1_000_000;
    /// The node's setting of this name.
    election_ticks = 15 in 2..=1_000;
    /// The node's setting of this name.
    heartbeat_ticks = 3 in 1..=100;
    /// The node's setting of this name. Small, for logs to be compacted.
    snapshot_entries = 8 in 1..=1_000_000;
    /// The node's setting of this name.
    snapshot_chunk_bytes = 100 in 1..=1_048_576;
    /// The node's setting of this name. Small enough for a log to need new files while its disk is
    /// full.
    segment_bytes = 4_608 in 4_096..=1_073_741_824;
    /// How long a caller waits.
    request_timeout = 2_000_000 in 1_000..=60_000_000;
    /// 0: nothing goes beyond what is promised; 1: clocks exceed the drift that leases allow for;
    /// 2: disks fail whether or not a majority keeps its own.
    beyond = 0 in 0..=2;
    /// How many numbers there are. The first half is only added to, the others are only put.
    keys = 4 in 1..=1_000;
    /// The most bytes of a command that say nothing.
    padding = 100 in 0..=400;
    /// The least time a disk job takes.
    disk_low = 50 in 0..=1_000_000;
    /// The most time a disk job takes.
    disk_high = 3_000 in 0..=10_000_000;
    /// When the safety phase ends: all faults with it, unless they last longer.
    faults_end = 10_000_000 in 0..=3_600_000_000;
    /// How long everybody may take from then on.
    patience = 20_000_000 in 0..=3_600_000_000;
}

impl Plan {
    /// How many members, faults and clients' operations it has, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let class =
            |(_, happening): &(u64, Happening)| (happening.class(), happening.field("client"));
        let what: Vec<_> = self.happenings.iter().map(class).collect();
        words(self.settings.members, &what)
    }

    /// The clients that ask for something.
    #[must_use]
    pub fn clients(&self) -> BTreeSet<u64> {
        self.happenings.iter().filter_map(|(_, happening)| happening.field("client")).collect()
    }

    /// The topology, as the file has it that nodes read; `key` has the members' keys, if they have
    /// any.
    #[must_use]
    pub fn topology(&self, key: impl Fn(u64) -> Option<PublicKey>) -> Topology {
        let name = |island: u64| format!("island {island}");
        let member = |(id, place): (u64, &Place)| {
            let address = (place.listens == 1).then(|| address(id));
            let mut member = Member::new(id, name(place.island), address);
            member.key = key(id);
            member.relay = place.relays == 1;
            member
        };
        let used: BTreeSet<u64> = self.places.iter().map(|place| place.island).collect();
        let closed = self
            .closed
            .iter()
            .filter(|(from, to)| from != to && used.contains(from) && used.contains(to));
        let link = |(from, to): &(u64, u64)| Link { from: name(*from), to: name(*to), dial: false };
        Topology {
            islands: used.iter().map(|island| Island { name: name(*island) }).collect(),
            members: (1..).zip(&self.places).map(member).collect(),
            links: closed.map(link).collect(),
        }
    }

    /// How many members form the cluster.
    #[must_use]
    pub const fn founders(&self) -> u64 {
        let Settings { members, voters, .. } = self.settings;
        if voters == 0 || voters > members { members } else { voters }
    }

    /// Whether a member keeps its log in memory.
    #[must_use]
    pub const fn is_in_memory(&self, member: u64) -> bool {
        let founders = self.founders();
        member <= founders && member > founders.saturating_sub(self.settings.in_memory)
    }

    /// How good a link is at first.
    #[must_use]
    pub fn quality(&self, from: u64, to: u64) -> Quality {
        let named = self.qualities.iter().find(|named| (named.from, named.to) == (from, to));
        named.map_or(Quality::PLAIN, |named| named.quality)
    }

    /// Who may be linked to whom, the lower first.
    #[must_use]
    pub fn joined(&self) -> Vec<(u64, u64)> {
        joined(&self.topology(|_| None))
    }
}

/// Who may be linked to whom, the lower first.
pub(super) fn joined(topology: &Topology) -> Vec<(u64, u64)> {
    let ids = || topology.members.iter().map(|member| member.id);
    let pairs = ids().flat_map(|one| ids().map(move |other| (one, other)));
    let may = |one, other| topology.may_dial(one, other) || topology.may_dial(other, one);
    pairs.filter(|(one, other)| one < other && may(*one, *other)).collect()
}

/// Where a member accepts the others.
pub(super) fn address(id: u64) -> String {
    format!("10.0.0.{id}:7600")
}

impl Schedule for Plan {
    type Happening = Happening;
    const CALM: &'static [&'static str] =
        &["relays_lose", "relays_repeat", "relays_hold", "relays_alter", "sealed", "in_memory"];

    fn happenings(&mut self) -> &mut Vec<(u64, Happening)> {
        &mut self.happenings
    }

    fn value(&mut self, key: &str) -> Option<&mut u64> {
        self.settings.value(key)
    }

    fn members(&self) -> u64 {
        self.settings.members
    }

    fn without_members_above(&self, members: u64) -> Option<Self> {
        let mut plan = self.clone();
        plan.settings.members = members;
        plan.settings.voters = plan.settings.voters.min(members);
        let minority = plan.founders().saturating_sub(1) / 2;
        plan.settings.in_memory = plan.settings.in_memory.min(minority);
        plan.places.truncate(usize::try_from(members).unwrap_or(usize::MAX));
        plan.qualities.retain(|named| named.from <= members && named.to <= members);
        plan.happenings.retain(|(_, happening)| !happening.concerns_above(members));
        plan.check().is_ok().then_some(plan)
    }

    fn lasting(happening: &Happening) -> Option<u64> {
        happening.lasting()
    }

    fn shortened(happening: &Happening, lasting: u64) -> Happening {
        happening.with("lasting", lasting)
    }
}
