//! Whether all members can find each other: `Reach` is the graph of who could be linked to whom,
//! and names two members that no chain of links joins, with the mend.

use super::{FileError, Member, Topology};
use std::collections::{BTreeSet, VecDeque};

/// Members as numbers from 0, in the topology's order.
pub(super) struct Reach<'a> {
    topology: &'a Topology,
    /// Directions from island to island in which nobody may dial.
    closed: BTreeSet<(&'a str, &'a str)>,
    /// For each member, those that it dials or is dialled by: the one connection serves both.
    linked: Vec<Vec<usize>>,
}

/// Who passes frames on, in a walk through the graph.
#[derive(Clone, Copy)]
enum Through {
    /// Those that relay.
    Relays,
    /// Everybody, to see whether it is `relay = false` that stands in the way.
    Anybody,
}

impl<'a> Reach<'a> {
    pub(super) fn of(topology: &'a Topology) -> Self {
        let closed = topology.links.iter().filter(|link| !link.dial);
        let closed = closed.map(|link| (link.from.as_str(), link.to.as_str())).collect();
        let mut reach = Self { topology, closed, linked: Vec::new() };
        let members = &topology.members;
        let linked = |one: &Member| {
            let other =
                |at: &usize| reach.dials(one, &members[*at]) || reach.dials(&members[*at], one);
            (0..members.len()).filter(other).collect()
        };
        reach.linked = members.iter().map(linked).collect();
        reach
    }

    /// # Errors
    /// Names an island that nobody can reach, else two members that can never find each other.
    pub(super) fn check(&self) -> Result<(), FileError> {
        let count = self.topology.members.len();
        for from in 0..count {
            let found = self.found_from(from, Through::Relays);
            if let Some(to) = (0..count).find(|at| !found.contains(at)) {
                return Err(self.island_alone().unwrap_or_else(|| self.apart(from, to)));
            }
        }
        Ok(())
    }

    /// All that `from` reaches, itself included.
    fn found_from(&self, from: usize, through: Through) -> BTreeSet<usize> {
        let mut found = BTreeSet::from([from]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front() {
            let passes = match through {
                Through::Relays => self.topology.members[at].relay,
                Through::Anybody => true,
            };
            if at == from || passes {
                next.extend(self.linked[at].iter().copied().filter(|to| found.insert(*to)));
            }
        }
        found
    }

    /// The smallest island without a link to any other.
    fn island_alone(&self) -> Option<FileError> {
        let members = &self.topology.members;
        let on = |name: &str| -> Vec<usize> {
            (0..members.len()).filter(|at| members[*at].island == name).collect()
        };
        let alone = |inside: &Vec<usize>| {
            let leaves = |at: &usize| self.linked[*at].iter().any(|to| !inside.contains(to));
            !inside.is_empty() && inside.len() < members.len() && !inside.iter().any(leaves)
        };
        let islands = self.topology.islands.iter().map(|island| (&island.name, on(&island.name)));
        let (name, inside) =
            islands.filter(|(_, inside)| alone(inside)).min_by_key(|(_, inside)| inside.len())?;
        let outside = (0..members.len()).find(|at| !inside.contains(at))?;
        let (first, second) = (members[inside[0]].id, members[outside].id);
        let problem = format!(
            "nobody can reach this island: members {first} and {second} can never find each other"
        );
        let others: Vec<_> = (0..members.len()).filter(|at| !inside.contains(at)).collect();
        let mend = self
            .address_mend(&inside, &others)
            .unwrap_or_else(|| format!("set dial = true in a [[links]] entry from or to `{name}`"));
        Some(FileError::new(format!("islands `{name}`"), problem, mend))
    }

    fn apart(&self, from: usize, to: usize) -> FileError {
        let members = &self.topology.members;
        let (first, second) = (members[from].id, members[to].id);
        let key = format!("members {first} and {second}");
        let anybody = self.found_from(from, Through::Anybody);
        if anybody.contains(&to) {
            let silent = anybody.iter().filter(|at| **at != from && **at != to);
            let silent = silent.filter(|at| !members[**at].relay).map(|at| members[*at].id);
            let silent = silent.collect::<Vec<_>>();
            let problem = format!(
                "can never find each other: only members that relay for nobody stand between them \
                 ({})",
                silent.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
            );
            let mend = "remove relay = false from one that joins them, or let one dial the other";
            return FileError::new(key, problem, mend);
        }
        let problem = "can never find each other: no chain of links joins them";
        let rest: Vec<_> = (0..members.len()).filter(|at| !anybody.contains(at)).collect();
        let mend = self.address_mend(&Vec::from_iter(anybody), &rest).unwrap_or_else(|| {
            let (one, other) = (&members[from].island, &members[to].island);
            format!("set dial = true from `{one}` to `{other}` or back, or give them a relay")
        });
        FileError::new(key, problem, mend)
    }

    /// An address that would join two sets of members, where the links allow one.
    fn address_mend(&self, some: &[usize], others: &[usize]) -> Option<String> {
        let members = &self.topology.members;
        let pairs = some.iter().flat_map(|one| others.iter().map(|other| (*one, *other)));
        let open = |(one, other)| {
            let (one, other): (&Member, &Member) = (&members[one], &members[other]);
            match (self.lets_dial(one, other), self.lets_dial(other, one)) {
                (true, true) => Some(format!("give member {} or {} an address", one.id, other.id)),
                (true, false) => Some(format!("give member {} an address", other.id)),
                (false, true) => Some(format!("give member {} an address", one.id)),
                (false, false) => None,
            }
        };
        pairs.filter_map(open).next()
    }

    fn dials(&self, from: &Member, to: &Member) -> bool {
        from.id != to.id && to.address.is_some() && self.lets_dial(from, to)
    }

    fn lets_dial(&self, from: &Member, to: &Member) -> bool {
        !self.closed.contains(&(from.island.as_str(), to.island.as_str()))
    }
}
