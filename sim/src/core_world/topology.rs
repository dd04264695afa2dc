//! Which islands there are and who is linked to whom: one island, a hub with spokes, a chain, two
//! islands with a bridge, members that only dial, islands that are cut off for good, or any graph;
//! or as a topology file has them: `Given`.

use super::plan::{Link, Settings};
use super::random::Random;
use holm::topology::{FileError, Topology};
use std::collections::BTreeSet;

/// Draws each member's island, and the links.
pub(super) fn draw(members: u64, voters: u64, random: &mut Random) -> (Vec<u64>, Vec<Link>) {
    let mut islands = vec![1; usize::try_from(members).expect("a few")];
    let all = || (1..=members).flat_map(move |a| (a + 1..=members).map(move |b| (a, b)));
    let pairs: Vec<(u64, u64)> = match random.below(8) {
        // One island.
        0..=1 => all().collect(),
        // A hub, and spokes that dial it.
        2 => {
            islands = (1..=members).collect();
            (2..=members).map(|spoke| (spoke, 1)).collect()
        }
        // A chain.
        3 => {
            islands = (1..=members).collect();
            (2..=members).map(|next| (next, next - 1)).collect()
        }
        // Two islands and a bridge.
        4 => {
            split(&mut islands, members / 2);
            let bridge = (members / 2, members / 2 + 1);
            let island = islands.clone();
            let same = |(a, b): &(u64, u64)| of(&island, *a) == of(&island, *b);
            all().filter(same).chain([bridge]).collect()
        }
        // Who has the higher number may only be dialled.
        5 => {
            islands = (1..=members).collect();
            all().collect()
        }
        // A minority of the voters, and nobody reaches it.
        6 => {
            split(&mut islands, voters / 2 + 1);
            for member in voters + 1..=members {
                islands[usize::try_from(member - 1).expect("a few")] = 1;
            }
            let island = islands.clone();
            all().filter(|(a, b)| of(&island, *a) == of(&island, *b)).collect()
        }
        // Any graph in which all reach all.
        _ => {
            islands = (1..=members).map(|_| random.between(1, 3)).collect();
            let tree =
                (2..=members).map(|b| (random.between(1, b - 1), b)).collect::<BTreeSet<_>>();
            all().filter(|pair| tree.contains(pair) || random.one_in(3)).collect()
        }
    };
    let links = links(&pairs, &islands, random);
    (islands, links)
}

/// Links between these, each with a latency that is drawn.
fn links(pairs: &[(u64, u64)], islands: &[u64], random: &mut Random) -> Vec<Link> {
    let links = pairs.iter().map(|&(from, to)| {
        let far = of(islands, from) != of(islands, to);
        let low = if far { random.pick(&[100, 1_000, 5_000]) } else { random.between(50, 300) };
        Link { from, to, low, high: low + random.pick(&[100, 1_000, 3_000, low]) }
    });
    links.collect()
}

/// The islands, members and links of a topology file, which the node reads as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    islands: Vec<u64>,
    /// Who dials whom.
    pairs: Vec<(u64, u64)>,
    relaying: u64,
}

impl Given {
    const MEMBERS: std::ops::RangeInclusive<usize> = 3..=64;

    /// What this world takes of a topology that was checked.
    ///
    /// # Errors
    /// Where it has none such: members that are not numbered from 1 on, fewer than 3 or more than
    /// 64 of them, some that relay and some that do not.
    pub fn of(topology: &Topology) -> Result<Self, FileError> {
        let (count, allowed) = (topology.members.len(), Self::MEMBERS);
        if !allowed.contains(&count) {
            let problem = format!("there are {count}");
            let mend = format!("give {} to {}", allowed.start(), allowed.end());
            return Err(FileError::new("members", problem, mend));
        }
        let mut islands = Vec::with_capacity(count);
        for id in 1..=count as u64 {
            let Some(member) = topology.member(id) else {
                let problem = format!("none of the {count} members has the id {id}");
                return Err(FileError::new("id", problem, "number them from 1 on"));
            };
            let island = topology.islands.iter().position(|island| island.name == member.island);
            islands.push(island.map_or(1, |at| at as u64 + 1));
        }
        let relaying = topology.members.iter().filter(|member| member.relay).count();
        if relaying != 0 && relaying != count {
            let problem = format!("{relaying} of {count} members relay");
            let mend = "in the core's world all do or none; write `relay` alike for all";
            return Err(FileError::new("relay", problem, mend));
        }
        let all = (1..=count as u64).flat_map(|a| (a + 1..=count as u64).map(move |b| (a, b)));
        let dials = |(a, b): (u64, u64)| match (topology.may_dial(a, b), topology.may_dial(b, a)) {
            (true, _) => Some((a, b)),
            (false, true) => Some((b, a)),
            (false, false) => None,
        };
        Ok(Self {
            islands,
            pairs: all.filter_map(dials).collect(),
            relaying: relaying.min(1) as u64,
        })
    }

    /// What it says of a run's settings, which are drawn otherwise.
    pub(super) fn settle(&self, settings: &mut Settings, random: &mut Random) {
        let members = self.islands.len() as u64;
        settings.members = members;
        settings.voters = (members - random.below(members - 2)).max(3);
        settings.relaying = self.relaying;
    }

    /// Its islands, and its links with latencies that are drawn.
    pub(super) fn draw(&self, random: &mut Random) -> (Vec<u64>, Vec<Link>) {
        (self.islands.clone(), links(&self.pairs, &self.islands, random))
    }
}

fn split(islands: &mut [u64], first: u64) {
    for (at, island) in (0..).zip(islands) {
        *island = if at < first { 1 } else { 2 };
    }
}

fn of(islands: &[u64], member: u64) -> u64 {
    islands[usize::try_from(member - 1).expect("a few")]
}
