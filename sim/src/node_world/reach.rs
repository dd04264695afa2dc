//! Who can reach whom over which links, worked out apart from the code under test: `Reach` has the
//! links that are there, and says how each member ought to be reached by each other one, and which
//! members make a quorum.

use holm::topology::Topology;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The links that are there, and who relays.
pub(super) struct Reach {
    links: BTreeMap<u64, BTreeSet<u64>>,
    relays: BTreeSet<u64>,
}

/// How a member ought to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Link,
    /// Through the first of these, or another: all begin a way that is as short.
    Through(BTreeSet<u64>),
    None,
}

impl Reach {
    /// Over these links, of those members that belong to the cluster.
    pub(super) fn new(
        topology: &Topology,
        links: impl Iterator<Item = (u64, u64)>,
        belongs: impl Fn(u64) -> bool,
    ) -> Self {
        let members = || topology.members.iter().filter(|member| belongs(member.id));
        let links = links.filter(|(one, other)| belongs(*one) && belongs(*other));
        let empty = members().map(|member| (member.id, BTreeSet::new()));
        let mut all: BTreeMap<u64, BTreeSet<u64>> = empty.collect();
        for (one, other) in links {
            all.entry(one).or_default().insert(other);
            all.entry(other).or_default().insert(one);
        }
        let relays = members().filter(|member| member.relay).map(|member| member.id);
        Self { links: all, relays: relays.collect() }
    }

    /// Whether a member belongs to the cluster.
    pub(super) fn has(&self, node: u64) -> bool {
        self.links.contains_key(&node)
    }

    /// How `to` ought to be reached by `from`.
    pub(super) fn way(&self, from: u64, to: u64) -> Way {
        if self.links[&from].contains(&to) {
            return Way::Link;
        }
        let nexts = self.links[&from].iter().copied();
        let far = nexts.filter_map(|next| Some((self.distance(next, to, from)?, next)));
        let far: Vec<(usize, u64)> = far.collect();
        let Some((least, _)) = far.iter().min() else { return Way::None };
        Way::Through(far.iter().filter(|(far, _)| far == least).map(|(_, next)| *next).collect())
    }

    /// How many links lead from a member that passes on to another one, without a third.
    fn distance(&self, from: u64, to: u64, without: u64) -> Option<usize> {
        let mut seen = BTreeSet::from([from, without]);
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((at, far)) = queue.pop_front() {
            if at == to {
                return Some(far);
            }
            if self.relays.contains(&at) {
                let next = self.links[&at].iter().copied().filter(|next| seen.insert(*next));
                queue.extend(next.map(|next| (next, far + 1)));
            }
        }
        None
    }

    /// The members of the largest set in which each reaches each, if the voters among them are a
    /// quorum, and nobody else reaches any of them: one who reached some might lead those, and not
    /// the others.
    pub(super) fn quorum(&self, voters: &[u64]) -> Option<BTreeSet<u64>> {
        let all: Vec<u64> = self.links.keys().copied().collect();
        let reaches = |one: u64, other: u64| one == other || self.way(one, other) != Way::None;
        let sets = all.iter().map(|seed| {
            let mut set: BTreeSet<u64> = BTreeSet::from([*seed]);
            for next in &all {
                if set.iter().all(|other| reaches(*next, *other)) {
                    set.insert(*next);
                }
            }
            set
        });
        let largest = sets.max_by_key(BTreeSet::len)?;
        let apart = |one: &u64| largest.iter().all(|other| !reaches(*one, *other));
        let alone = all.iter().filter(|one| !largest.contains(one)).all(apart);
        let vote = largest.iter().filter(|one| voters.contains(one)).count();
        (alone && vote > voters.len() / 2).then_some(largest)
    }
}
