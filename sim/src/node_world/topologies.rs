//! The topologies that a seed draws, each as the file that a node reads: one island, a hub and
//! spokes that only dial out, a chain, two islands and a bridge, islands of which one alone may
//! dial, a ring, and any other in which all members can find each other.

use crate::core_world::random::Random;
use holm::PublicKey;
use holm::topology::{Island, Link, Member, Topology};
use std::collections::BTreeSet;

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

    /// So many members; `key` has their keys, if they have any.
    pub(super) fn draw(
        self,
        members: usize,
        random: &mut Random,
        key: impl Fn(u64) -> Option<PublicKey>,
    ) -> Topology {
        loop {
            let topology = self.sketch(members, random).topology(&key);
            if topology.check().is_ok() {
                return topology;
            }
            assert_eq!(self, Self::Any, "{topology:?}");
        }
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
    fn topology(self, key: impl Fn(u64) -> Option<PublicKey>) -> Topology {
        let name = |island: usize| format!("island {island}");
        let member = |(at, island): (usize, &usize)| {
            let id = u64::try_from(at).expect("a few") + 1;
            let address = (!self.only_dial.contains(&at)).then(|| address(id));
            let mut member = Member::new(id, name(*island), address);
            member.key = key(id);
            member.relay = !self.silent.contains(&at);
            member
        };
        let used: BTreeSet<usize> = self.islands.iter().copied().collect();
        let closed = self.closed.iter().filter(|(a, b)| used.contains(a) && used.contains(b));
        let link =
            |(from, to): &(usize, usize)| Link { from: name(*from), to: name(*to), dial: false };
        Topology {
            islands: used.iter().map(|island| Island { name: name(*island) }).collect(),
            members: self.islands.iter().enumerate().map(member).collect(),
            links: closed.map(link).collect(),
        }
    }
}

/// Where a member accepts the others.
fn address(id: u64) -> String {
    format!("10.0.0.{id}:7600")
}

fn pick(below: usize, random: &mut Random) -> usize {
    let below = u64::try_from(below).expect("a few");
    usize::try_from(random.below(below)).expect("below a usize")
}
