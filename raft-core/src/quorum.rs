//! Counting: how far a majority has come, and whether a vote is decided. In a joint configuration
//! both halves count, each on its own (paper §6).

use crate::configuration::Configuration;
use crate::mutation::{self, Mutation};
use crate::types::{Index, NodeId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A majority granted it, of each half.
    Won,
    /// A majority can't be reached any more, in one of the halves.
    Lost,
    /// Neither yet.
    Open,
}

/// How many of `voters` make a majority.
#[must_use]
pub fn majority(voters: usize) -> usize {
    voters / 2 + usize::from(!is_off_by_one(voters))
}

/// For a known bug alone.
fn is_off_by_one(voters: usize) -> bool {
    voters > 1 && mutation::on(Mutation::QuorumOffByOne)
}

/// How the election stands, given the answers so far (granted or not).
#[must_use]
pub fn tally(configuration: &Configuration, votes: &BTreeMap<NodeId, bool>) -> Tally {
    let new = tally_half(configuration.new_voters(), votes);
    if !configuration.is_joint() {
        return new;
    }
    if mutation::on(Mutation::JointQuorumOverTheUnion) {
        return tally_half(configuration.voters().map(|member| member.id.node), votes);
    }
    match (new, tally_half(configuration.old_voters(), votes)) {
        (Tally::Won, Tally::Won) => Tally::Won,
        (Tally::Lost, _) | (_, Tally::Lost) => Tally::Lost,
        _ => Tally::Open,
    }
}

fn tally_half(voters: impl Iterator<Item = NodeId>, votes: &BTreeMap<NodeId, bool>) -> Tally {
    let (mut granted, mut refused, mut count) = (0, 0, 0);
    for voter in voters {
        count += 1;
        match votes.get(&voter) {
            Some(true) => granted += 1,
            Some(false) => refused += 1,
            None => {}
        }
    }
    let needed = majority(count);
    if count == 0 {
        Tally::Open
    } else if granted >= needed {
        Tally::Won
    } else if refused > count - needed {
        Tally::Lost
    } else {
        Tally::Open
    }
}

/// The highest number that a majority of the voters has reached, of each half; 0 without voters.
pub fn reached(configuration: &Configuration, mut reached_by: impl FnMut(NodeId) -> u64) -> u64 {
    let (mut new, mut old, mut union) = (Half::default(), Half::default(), Half::default());
    // Asked on every acknowledgement: one pass, whether it is joint or not.
    for (node, (_, standing)) in &configuration.members {
        if standing.votes() || standing.voted() {
            let reached = reached_by(*node);
            if standing.votes() {
                new.push(reached);
            }
            if standing.voted() {
                old.push(reached);
            }
            if mutation::on(Mutation::JointQuorumOverTheUnion) {
                union.push(reached);
            }
        }
    }
    if mutation::on(Mutation::JointQuorumOverTheUnion) {
        return union.reached();
    }
    // Of one that is not joint the halves are the same.
    new.reached().min(old.reached())
}

/// What the voters of one half have reached.
#[derive(Default)]
struct Half {
    /// Few clusters have more voters than this, and they need no allocation.
    few: [u64; 8],
    many: Vec<u64>,
    count: usize,
}

impl Half {
    fn push(&mut self, reached: u64) {
        match self.few.get_mut(self.count) {
            Some(place) => *place = reached,
            None => {
                if self.many.is_empty() {
                    self.many.extend(self.few);
                }
                self.many.push(reached);
            }
        }
        self.count += 1;
    }

    fn reached(&mut self) -> u64 {
        let few = &mut self.few[..self.count.min(8)];
        let each = if self.many.is_empty() { few } else { &mut self.many[..] };
        each.sort_unstable_by(|a, b| b.cmp(a));
        each.get(majority(self.count) - 1).copied().unwrap_or(0)
    }
}

/// The highest index that a majority of the voters holds durably.
pub fn committed(configuration: &Configuration, mut matched: impl FnMut(NodeId) -> Index) -> Index {
    Index(reached(configuration, |node| matched(node).0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Member, Standing};
    use crate::types::{Incarnation, MemberId};
    use bytes::Bytes;

    fn member(node: u64) -> Member {
        Member { id: MemberId::new(NodeId(node), Incarnation(node)), info: Bytes::new() }
    }

    fn voters(count: u64) -> Configuration {
        Configuration::new((1..=count).map(member))
    }

    fn joint(old: &[u64], new: &[u64]) -> Configuration {
        let standing = |node| match (old.contains(&node), new.contains(&node)) {
            (true, true) => Standing::Voter,
            (true, false) => Standing::Outgoing,
            (false, true) => Standing::Incoming,
            (false, false) => Standing::Learner,
        };
        Configuration::with_standings((1..=9).map(|node| (member(node), standing(node))))
    }

    fn votes(granted: &[u64], refused: &[u64]) -> BTreeMap<NodeId, bool> {
        let yes = granted.iter().map(|node| (NodeId(*node), true));
        let no = refused.iter().map(|node| (NodeId(*node), false));
        yes.chain(no).collect()
    }

    #[test]
    fn a_majority_is_more_than_half() {
        let needed: Vec<_> = (1..=7).map(majority).collect();
        assert_eq!(needed, [1, 2, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn what_a_majority_has_reached_is_the_median_rounded_down() {
        for (matched, expected) in [
            (&[7][..], 7),
            (&[7, 3][..], 3),
            (&[7, 3, 5][..], 5),
            (&[9, 8, 2, 1][..], 2),
            (&[9, 8, 4, 2, 1][..], 4),
            (&[9, 8, 7, 6, 5, 4, 3, 2][..], 5),
            (&[9, 8, 7, 6, 5, 4, 3, 2, 1][..], 5),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..], 5),
        ] {
            let configuration = voters(matched.len() as u64);
            let at = |node: NodeId| Index(matched[usize::try_from(node.0).unwrap() - 1]);
            assert_eq!(committed(&configuration, at), Index(expected), "{matched:?}");
        }
        assert_eq!(committed(&voters(0), |_| Index(9)), Index(0), "nobody commits nothing");
    }

    #[test]
    fn a_vote_is_won_lost_or_open() {
        for (count, granted, refused, expected) in [
            (3, &[1, 2][..], &[][..], Tally::Won),
            (3, &[1], &[2], Tally::Open),
            (3, &[1], &[2, 3], Tally::Lost),
            (4, &[1, 2], &[3], Tally::Open),
            (4, &[1, 2], &[3, 4], Tally::Lost),
            (3, &[1, 7, 8], &[], Tally::Open),
            (0, &[1], &[], Tally::Open),
        ] {
            assert_eq!(tally(&voters(count), &votes(granted, refused)), expected);
        }
    }

    #[test]
    fn a_joint_configuration_needs_a_majority_of_each_half() {
        let configuration = joint(&[1, 2, 3], &[3, 4, 5]);
        // A majority of the union alone decides nothing.
        assert_eq!(tally(&configuration, &votes(&[1, 2, 3], &[])), Tally::Open);
        assert_eq!(tally(&configuration, &votes(&[1, 3, 4], &[])), Tally::Won);
        assert_eq!(tally(&configuration, &votes(&[1, 2, 3], &[4, 5])), Tally::Lost);
        assert_eq!(tally(&configuration, &votes(&[3, 4], &[])), Tally::Open);
        assert_eq!(tally(&configuration, &votes(&[3, 4], &[1, 2])), Tally::Lost);
        let at = |node: NodeId| Index([9, 9, 2, 1, 1][usize::try_from(node.0).unwrap() - 1]);
        assert_eq!(committed(&configuration, at), Index(1));
        let at = |node: NodeId| Index([9, 1, 8, 7, 1][usize::try_from(node.0).unwrap() - 1]);
        assert_eq!(committed(&configuration, at), Index(7));
    }

    #[test]
    fn a_learner_counts_for_nothing() {
        let configuration = joint(&[1, 2, 3], &[1, 2, 3]);
        assert!(!configuration.is_joint());
        assert_eq!(tally(&configuration, &votes(&[1, 4, 5, 6], &[])), Tally::Open);
        assert_eq!(
            committed(&configuration, |node| Index(if node.0 > 3 { 9 } else { 2 })),
            Index(2)
        );
    }
}
