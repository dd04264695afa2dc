//! Counting: how far a majority has come, and whether a vote is decided.

use crate::configuration::Configuration;
use crate::types::{Index, NodeId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tally {
    Won,
    Lost,
    Open,
}

/// How many of `voters` make a majority.
pub(crate) const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// How the election stands, given the answers so far (granted or not).
pub(crate) fn tally(configuration: &Configuration, votes: &BTreeMap<NodeId, bool>) -> Tally {
    let needed = majority(configuration.len());
    let count =
        |wanted| configuration.voter_ids().filter(|node| votes.get(node) == Some(&wanted)).count();
    if configuration.is_empty() {
        Tally::Open
    } else if count(true) >= needed {
        Tally::Won
    } else if count(false) > configuration.len() - needed {
        Tally::Lost
    } else {
        Tally::Open
    }
}

/// The highest number that a majority of the voters has reached; 0 without voters.
pub(crate) fn reached(
    configuration: &Configuration,
    mut reached_by: impl FnMut(NodeId) -> u64,
) -> u64 {
    let mut each: Vec<u64> = configuration.voter_ids().map(&mut reached_by).collect();
    each.sort_unstable_by(|a, b| b.cmp(a));
    each.get(majority(each.len()) - 1).copied().unwrap_or(0)
}

/// The highest index that a majority of the voters holds durably.
pub(crate) fn committed(
    configuration: &Configuration,
    mut matched: impl FnMut(NodeId) -> Index,
) -> Index {
    Index(reached(configuration, |node| matched(node).0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Member;
    use crate::types::{Incarnation, MemberId};
    use bytes::Bytes;

    fn voters(count: u64) -> Configuration {
        Configuration::new((1..=count).map(|node| Member {
            id: MemberId::new(NodeId(node), Incarnation(node)),
            info: Bytes::new(),
        }))
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
        ] {
            let configuration = voters(matched.len() as u64);
            let at = |node: NodeId| Index(matched[usize::try_from(node.0).unwrap() - 1]);
            assert_eq!(committed(&configuration, at), Index(expected), "{matched:?}");
        }
        assert_eq!(committed(&voters(0), |_| Index(9)), Index(0), "nobody commits nothing");
    }

    #[test]
    fn a_vote_is_won_lost_or_open() {
        let votes = |granted: &[u64], refused: &[u64]| {
            let yes = granted.iter().map(|node| (NodeId(*node), true));
            let no = refused.iter().map(|node| (NodeId(*node), false));
            yes.chain(no).collect::<BTreeMap<_, _>>()
        };
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
}
