//! Which islands there are and who is linked to whom: one island, a hub with spokes, a chain, two
//! islands with a bridge, members that only dial, islands that are cut off for good, or any graph.

use super::plan::Link;
use super::random::Random;
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
    let links = pairs.into_iter().map(|(from, to)| {
        let far = of(&islands, from) != of(&islands, to);
        let low = if far { random.pick(&[100, 1_000, 5_000]) } else { random.between(50, 300) };
        Link { from, to, low, high: low + random.pick(&[100, 1_000, 3_000, low]) }
    });
    let links = links.collect();
    (islands, links)
}

fn split(islands: &mut [u64], first: u64) {
    for (at, island) in (0..).zip(islands) {
        *island = if at < first { 1 } else { 2 };
    }
}

fn of(islands: &[u64], member: u64) -> u64 {
    islands[usize::try_from(member - 1).expect("a few")]
}
