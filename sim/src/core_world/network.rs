//! The links between members: `Network` says when a message arrives, whether twice, or that it is
//! lost. Each direction of a link has its own faults; where no direct link works, messages go the
//! shortest way over members that do, if those relay.

use super::plan::Plan;
use super::random::Random;

/// A longer way than this is none.
const HOPS_MAX: usize = 16;
/// What a relay adds, in microseconds.
const RELAY_MICROS: u64 = 100;

/// All links, and who can relay.
pub(super) struct Network {
    count: usize,
    links: Vec<Direction>,
    random: Random,
    latency: u64,
    loss: u64,
    repeats: u64,
    repeat_late: u64,
    reorders: u64,
    relaying: bool,
    /// How many faults forbid relaying right now.
    pub(super) no_relay: u32,
    /// Who runs, and so relays.
    pub(super) up: Vec<bool>,
    /// The next hop from each to each, as long as nothing changes.
    routes: Vec<Option<Option<usize>>>,
}

/// One direction of a link.
#[derive(Clone, Debug, Default)]
pub(super) struct Direction {
    exists: bool,
    low: u64,
    high: u64,
    /// How many faults cut it, and are noticed.
    pub(super) cuts: u32,
    /// How many faults swallow what is sent, unnoticed.
    pub(super) half_open: u32,
    pub(super) factor: u64,
    pub(super) loss: u64,
    pub(super) repeats: u64,
    pub(super) reorders: u64,
    /// Bytes a millisecond; 0 for no bound.
    pub(super) bytes: u64,
    /// When what was sent last is through.
    free: u64,
    /// When what was sent last arrives: what follows does not overtake it.
    last: u64,
}

/// What became of a message.
pub(super) enum Sent {
    /// It arrives then, and perhaps once more.
    Arrives { due: u64, again: Option<u64> },
    /// It does not.
    Lost(&'static str),
}

impl Network {
    pub(super) fn new(plan: &Plan) -> Self {
        let settings = &plan.settings;
        let count = plan.islands.len();
        let mut links = vec![Direction { factor: 1, ..Direction::default() }; count * count];
        for link in &plan.links {
            let (a, b) = (index(link.from), index(link.to));
            for at in [a * count + b, b * count + a] {
                links[at].exists = true;
                (links[at].low, links[at].high) = (link.low, link.high);
            }
        }
        Self {
            count,
            links,
            random: Random::new(settings.seed, 2),
            latency: settings.latency,
            loss: settings.loss,
            repeats: settings.repeats,
            repeat_late: settings.repeat_late,
            reorders: settings.reorders,
            relaying: settings.relaying == 1,
            no_relay: 0,
            up: vec![false; count],
            routes: vec![None; count * count],
        }
    }

    /// Something about the links or the relays is another than before.
    pub(super) fn changed(&mut self) {
        self.routes.fill(None);
    }

    /// The faults of one direction.
    pub(super) fn direction(&mut self, from: usize, to: usize) -> &mut Direction {
        &mut self.links[from * self.count + to]
    }

    /// Faults are over, and everybody relays.
    pub(super) fn heal(&mut self) {
        for link in &mut self.links {
            (link.cuts, link.half_open, link.factor) = (0, 0, 1);
            (link.loss, link.repeats, link.reorders, link.bytes) = (0, 0, 0, 0);
        }
        (self.loss, self.repeats, self.reorders, self.no_relay) = (0, 0, 0, 0);
        self.relaying = true;
        self.latency = 0;
        self.changed();
    }

    /// Sends so many bytes from one member to another at `now`; `via` becomes who relays.
    pub(super) fn send(
        &mut self,
        now: u64,
        (from, to): (usize, usize),
        bytes: u64,
        via: &mut Vec<usize>,
    ) -> Sent {
        via.clear();
        let (mut at, mut time) = (from, now);
        let (mut again, mut reordered) = (None, false);
        loop {
            let Some(next) = self.next_hop(at, to) else { return Sent::Lost("no way") };
            let link = &mut self.links[at * self.count + next];
            if link.half_open > 0 {
                return Sent::Lost("half-open");
            }
            if self.random.happens(self.loss + link.loss) {
                return Sent::Lost("loss");
            }
            if let Some(busy) = (bytes * 1_000).checked_div(link.bytes) {
                let begins = link.free.max(time);
                link.free = begins + busy;
                if link.free > now + 2_000_000 {
                    // The queue is full: a full queue is a lost message, never a wait.
                    link.free = begins;
                    return Sent::Lost("full queue");
                }
                time = link.free;
            }
            let latency = draw(&mut self.random, self.latency, link.low, link.high) * link.factor;
            let mut due = time + latency;
            if self.random.happens(self.reorders + link.reorders) {
                reordered = true;
                due += self.random.between(0, 20 * link.high + 1_000);
            } else {
                due = due.max(link.last);
                link.last = due;
            }
            if self.random.happens(self.repeats + link.repeats) {
                again = Some(self.random.between(0, self.repeat_late));
            }
            time = due;
            if next == to {
                break;
            }
            via.push(next);
            if via.len() > HOPS_MAX {
                return Sent::Lost("no way");
            }
            time += RELAY_MICROS;
            at = next;
        }
        let again = again.map(|later| time + later);
        let _ = reordered;
        Sent::Arrives { due: time, again }
    }

    fn works(&self, from: usize, to: usize) -> bool {
        let link = &self.links[from * self.count + to];
        link.exists && link.cuts == 0
    }

    /// Where to go next on the shortest way that works.
    fn next_hop(&mut self, from: usize, to: usize) -> Option<usize> {
        if self.works(from, to) {
            return Some(to);
        }
        if !self.relaying || self.no_relay > 0 {
            return None;
        }
        if self.routes[from * self.count + to].is_none() {
            let next = self.search(from, to);
            self.routes[from * self.count + to] = Some(next);
        }
        self.routes[from * self.count + to].flatten()
    }

    /// Breadth first, from the far end, so that equal ways are chosen by the lowest number.
    fn search(&self, from: usize, to: usize) -> Option<usize> {
        let mut distance = vec![usize::MAX; self.count];
        distance[to] = 0;
        let mut queue = std::collections::VecDeque::from([to]);
        while let Some(at) = queue.pop_front() {
            for before in 0..self.count {
                let relays = before == from || self.up[before];
                if distance[before] == usize::MAX && relays && self.works(before, at) {
                    distance[before] = distance[at] + 1;
                    queue.push_back(before);
                }
            }
        }
        let nearer = |next: &usize| {
            self.works(from, *next)
                && distance[*next] != usize::MAX
                && distance[*next] < distance[from]
        };
        (0..self.count).find(nearer)
    }

    /// Who can reach whom once nothing is cut, perhaps without one who relays: a number for each
    /// member, equal for those that can.
    pub(super) fn components(&self, without: Option<usize>) -> Vec<usize> {
        let mut component: Vec<usize> = (0..self.count).collect();
        for _ in 0..self.count {
            for a in 0..self.count {
                for b in 0..self.count {
                    let gone = without == Some(a) || without == Some(b);
                    if self.links[a * self.count + b].exists && !gone {
                        let least = component[a].min(component[b]);
                        (component[a], component[b]) = (least, least);
                    }
                }
            }
        }
        component
    }
}

/// A latency, by shape.
fn draw(random: &mut Random, shape: u64, low: u64, high: u64) -> u64 {
    match shape {
        0 => random.between(low, high),
        // A long tail: one in 50 takes ten times as long.
        1 => random.between(low, high) * if random.one_in(50) { 10 } else { 1 },
        // Mostly the least.
        _ if random.one_in(4) => random.between(low, high),
        _ => low,
    }
}

/// A member's place in a list, from its number.
pub(super) fn index(member: u64) -> usize {
    usize::try_from(member.saturating_sub(1)).expect("a few members")
}
