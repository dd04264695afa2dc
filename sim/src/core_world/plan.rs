//! A run as data: `Plan`, everything that a seed decides, and its `Settings`. What is left to
//! chance within a run (each message's latency, each disk job's duration) is drawn from the plan's
//! seed, so equal plans have equal runs. Its text is in `text`, how a seed draws one in `draw`.

use super::happening::Happening;
use crate::schedule::shrink::Schedule;
use crate::schedule::{settings, words};

/// What a run is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The settings.
    pub settings: Settings,
    /// Where each member is: its island, from 1.
    pub islands: Vec<u64>,
    /// The links there are.
    pub links: Vec<Link>,
    /// What happens, and when, in order.
    pub happenings: Vec<(u64, Happening)>,
}

/// A link between two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who dials.
    pub from: u64,
    /// Who is dialled.
    pub to: u64,
    /// The least time a message takes, in microseconds.
    pub low: u64,
    /// The most it takes, but for the latency's shape.
    pub high: u64,
}

settings! {
    /// Decides what is left to chance within the run.
    seed = 0 in 0..=u64::MAX;
    /// How many members there are.
    members = 3 in 1..=64;
    /// How many of them form the cluster; the others wait to be added.
    voters = 3 in 1..=64;
    /// Whether members relay for each other.
    relaying = 1 in 0..=1;
    /// A tick, in microseconds of a member's clock.
    tick = 10_000 in 1_000..=1_000_000;
    /// The core's setting of this name.
    election_ticks = 15 in 2..=1_000;
    /// The core's setting of this name.
    heartbeat_ticks = 3 in 1..=100;
    /// The core's setting of this name.
    pre_vote = 1 in 0..=1;
    /// The core's setting of this name.
    append_entries_max = 64 in 1..=1_024;
    /// The core's setting of this name.
    inflight_appends_max = 16 in 1..=64;
    /// The core's setting of this name.
    install_log_bytes_max = 8_192 in 1..=1_073_741_824;
    /// How many applied entries lie between two snapshots.
    snapshot_entries = 40 in 1..=1_000_000;
    /// The core's setting of this name.
    snapshot_chunk_bytes = 100 in 1..=1_048_576;
    /// How long a member gathers inputs at most before it does what its core asks for: a turn. 0:
    /// each input has a turn of its own.
    turn = 0 in 0..=1_000_000;
    /// How many of the last entries are sent from memory; those before are read from the log.
    recent_entries = 64 in 0..=1_000_000;
    /// 1: each member freezes equal states to bytes of its own.
    frozen_apart = 0 in 0..=1;
    /// The size of a segment of the log.
    segment_bytes = 16_384 in 2_048..=1_073_741_824;
    /// The core's `clock_drift_permille`, which no clock exceeds but in the mode beyond.
    drift = 100 in 0..=900;
    /// 0: clocks keep the drift that leases allow for; 1: they do not.
    beyond = 0 in 0..=1;
    /// Less than so many bytes of a command say nothing.
    padding = 61 in 1..=65_536;
    /// How many keys there are.
    keys = 4 in 1..=1_000;
    /// How latencies are distributed: 0 evenly, 1 with a tail, 2 mostly the least.
    latency = 0 in 0..=2;
    /// Millionths of all messages that are lost.
    loss = 0 in 0..=1_000_000;
    /// Millionths of all messages that arrive twice.
    repeats = 0 in 0..=1_000_000;
    /// How much later what arrives twice arrives again, at most.
    repeat_late = 300_000 in 0..=10_000_000;
    /// Millionths of all messages that others overtake.
    reorders = 0 in 0..=1_000_000;
    /// The least time a disk job takes.
    disk_low = 50 in 0..=1_000_000;
    /// The most time a disk job takes.
    disk_high = 4_000 in 0..=10_000_000;
    /// When the safety phase ends: all faults with it.
    faults_end = 8_000_000 in 0..=1_000_000_000_000;
    /// How long everybody may take from then on.
    patience = 30_000_000 in 0..=1_000_000_000_000;
    /// 1: a member stays down in the liveness phase, if the others can do without it.
    keep_down = 0 in 0..=1;
}

impl Plan {
    /// How many members, faults, operators' steps and clients' operations it has, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let class =
            |(_, happening): &(u64, Happening)| (happening.class(), happening.field("client"));
        let what: Vec<_> = self.happenings.iter().map(class).collect();
        words(self.settings.members, &what)
    }

    /// The same without the members above this number.
    #[must_use]
    pub fn with_members(&self, members: u64) -> Self {
        let mut plan = self.clone();
        plan.settings.members = members;
        plan.settings.voters = plan.settings.voters.min(members);
        plan.islands.truncate(usize::try_from(members).unwrap_or(usize::MAX));
        plan.links.retain(|link| link.from <= members && link.to <= members);
        plan.happenings.retain(|(_, happening)| !happening.concerns_above(members));
        plan
    }
}

impl Schedule for Plan {
    type Happening = Happening;
    const CALM: &'static [&'static str] = &["loss", "repeats", "reorders", "latency", "keep_down"];

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
        Some(self.with_members(members))
    }

    fn lasting(happening: &Happening) -> Option<u64> {
        happening.lasting()
    }

    fn shortened(happening: &Happening, lasting: u64) -> Happening {
        happening.with("lasting", lasting)
    }
}
