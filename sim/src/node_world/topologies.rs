//! The topologies that a seed draws: one island, a hub and
//! spokes that only dial out, a chain, two islands and a bridge, islands of which one alone may
//! dial, a ring, and any other in which all members can find each other.

use super::plan::{Place, Plan, Settings};
use crate::core_world::random::Random;
use std::collections::BTreeSet;

/// Nobody on the first island may dial anybody on the second.
type Closed = Vec<(u64, u64)>;

/// A kind of topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    OneIsland,
    Hub,
    Chain,
    Bridge,
    OneWay,
    Ring,
    Any,
}

/// Islands by number, who may dial whom, and who only dials or relays for nobody.
#[derive(Default)]
struct Sketch {
    islands: Vec<usize>,
    closed: BTreeSet<(usize, usize)>,
    only_dial: BTreeSet<usize>,
    silent: BTreeSet<usize>,
}

impl Shape {
    pub(super) const ALL: [Self; 7] = [
        Self::OneIsland,
        Self::Hub,
        Self::Chain,
        Self::Bridge,
        Self::OneWay,
        Self::Ring,
        Self::Any,
    ];

    /// What happened, if it was drawn.
    #[cfg(madsim)]
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::OneIsland => "topology: one island",
            Self::Hub => "topology: hub and spokes",
            Self::Chain => "topology: chain",
            Self::Bridge => "topology: two islands and a bridge",
            Self::OneWay => "topology: one way",
            Self::Ring => "topology: ring",
            Self::Any => "topology: any",
        }
    }

    /// Of so many members: each one's place, and which islands are closed to which.
    pub(super) fn draw(self, members: usize, random: &mut Random) -> (Vec<Place>, Closed) {
        loop {
            let (places, closed) = self.sketch(members, random).places();
            let plan = Plan {
                settings: Settings::default(),
                places,
                closed,
                qualities: Vec::new(),
                happenings: Vec::new(),
            };
            let checked = plan.topology(|_| None).check();
            if checked.is_ok() {
                return (plan.places, plan.closed);
            }
            assert_eq!(self, Self::Any, "{checked:?}");
        }
    }

    /// The one with this number in [`ALL`](Self::ALL).
    pub(super) fn numbered(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    fn sketch(self, members: usize, random: &mut Random) -> Sketch {
        let each: Vec<usize> = (0..members).collect();
        let pairs = || each.iter().flat_map(|one| each.iter().map(move |other| (*one, *other)));
        let apart = |closed: &dyn Fn(usize, usize) -> bool| {
            let closed = pairs().filter(|(from, to)| from != to && closed(*from, *to));
            Sketch { islands: each.clone(), closed: closed.collect(), ..Sketch::default() }
        };
        let around = |from: usize, to: usize| {
            let steps = from.abs_diff(to);
            steps == 1 || steps == members - 1
        };
        match self {
            Self::OneIsland => Sketch { islands: vec![0; members], ..Sketch::default() },
            Self::Hub => {
                let hub = pick(members, random);
                let spokes = each.iter().copied().filter(|at| *at != hub);
                Sketch { only_dial: spokes.collect(), ..apart(&|_, _| false) }
            }
            Self::Chain if random.one_in(2) => apart(&|from, to| from.abs_diff(to) > 1),
            // Each dials the next one, and nobody back.
            Self::Chain => apart(&|from, to| to != from + 1),
            Self::Bridge => {
                let side = |at: usize| if at == 0 { 0 } else { 1 + at % 2 };
                let islands = each.iter().map(|at| side(*at)).collect();
                Sketch { islands, closed: [(1, 2), (2, 1)].into(), ..Sketch::default() }
            }
            Self::OneWay => {
                let islands = each.iter().map(|at| at % 2).collect();
                Sketch { islands, closed: [(1, 0)].into(), ..Sketch::default() }
            }
            Self::Ring => apart(&|from, to| !around(from, to)),
            Self::Any => {
                let islands = each.iter().map(|_| pick(4, random)).collect();
                let all = || (0..4).flat_map(|from| (0..4).map(move |to| (from, to)));
                let closed = all().filter(|(from, to)| from != to && !random.one_in(3)).collect();
                let some = |random: &mut Random| {
                    each.iter().copied().filter(|_| random.one_in(5)).collect()
                };
                Sketch { islands, closed, only_dial: some(random), silent: some(random) }
            }
        }
    }
}

impl Sketch {
    fn places(self) -> (Vec<Place>, Closed) {
        let number = |island: usize| u64::try_from(island).expect("a few") + 1;
        let place = |(at, island): (usize, &usize)| Place {
            island: number(*island),
            listens: u64::from(!self.only_dial.contains(&at)),
            relays: u64::from(!self.silent.contains(&at)),
            rate: 1_000_000,
            ahead: 0,
        };
        let used: BTreeSet<usize> = self.islands.iter().copied().collect();
        let closed = self.closed.iter().filter(|(a, b)| used.contains(a) && used.contains(b));
        let closed = closed.map(|(from, to)| (number(*from), number(*to))).collect();
        (self.islands.iter().enumerate().map(place).collect(), closed)
    }
}

fn pick(below: usize, random: &mut Random) -> usize {
    let below = u64::try_from(below).expect("a few");
    usize::try_from(random.below(below)).expect("below a usize")
}
