//! Shares, movements and golden owners of [`Placement`].

use super::*;
use crate::topology::Member as Named;
use holm_raft_core::{Incarnation, Member, MemberId, NodeId, Standing};
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEYS: u32 = 100_000;

fn place(id: u64, weight: u16) -> Place {
    Place { id, island: format!("island-{}", id % 2), weight }
}

fn even(members: u64) -> Placement {
    Placement::new(Index(1), (1..=members).map(|id| place(id, 1)))
}

fn weighted(weights: &[u16]) -> Placement {
    Placement::new(Index(1), (1..).zip(weights).map(|(id, weight)| place(id, *weight)))
}

fn key(number: u32) -> String {
    format!("host-{number}")
}

fn owners(placement: &Placement) -> Vec<u64> {
    (0..KEYS).map(|number| placement.owner(key(number).as_bytes()).expect("members")).collect()
}

/// Whether each member has its share, within four standard deviations of a binomial draw.
fn assert_shares(placement: &Placement, owners: &[u64]) {
    let mut counts = BTreeMap::<u64, f64>::new();
    for owner in owners {
        *counts.entry(*owner).or_default() += 1.0;
    }
    let all: f64 = placement.places().iter().map(|place| f64::from(place.weight)).sum();
    for place in placement.places() {
        let share = f64::from(place.weight) / all;
        let fair = f64::from(KEYS) * share;
        let sigma = (fair * (1.0 - share)).sqrt();
        let count = counts.get(&place.id).copied().unwrap_or(0.0);
        assert!((count - fair).abs() <= 4.0 * sigma, "{place:?}: {count} of {fair} ± {sigma}");
    }
}

#[test]
fn every_member_has_its_share_within_four_sigma() {
    for members in [3, 5, 7, 51] {
        let placement = even(members);
        assert_shares(&placement, &owners(&placement));
    }
}

#[test]
fn weights_divide_the_keys_within_four_sigma() {
    for weights in [&[1, 2, 3][..], &[1, 1, 8], &[1000, 1, 500, 250], &[7, 0, 7, 3]] {
        let placement = weighted(weights);
        assert_shares(&placement, &owners(&placement));
    }
}

#[test]
fn a_removed_member_moves_only_its_own_keys_and_to_whom_came_next() {
    for weights in [&[1; 5][..], &[1, 2, 3, 4, 5]] {
        let before = weighted(weights);
        for gone in 1..=5 {
            let left = before.places().iter().filter(|place| place.id != gone).cloned();
            let after = Placement::new(Index(2), left);
            for number in 0..10_000 {
                let key = key(number);
                let order = before.order(key.as_bytes(), Affinity::None).order;
                let heir = order.into_iter().find(|id| *id != gone);
                assert_eq!(after.owner(key.as_bytes()), heir, "{key} without {gone}");
            }
        }
    }
}

#[test]
fn an_added_member_takes_its_share_and_nobody_elses_keys_move() {
    for (before, after) in [(even(4), even(5)), (weighted(&[2, 3, 4]), weighted(&[2, 3, 4, 5]))] {
        let new = after.places().last().expect("one was added").id;
        let (old_owners, new_owners) = (owners(&before), owners(&after));
        assert_shares(&after, &new_owners);
        for (old, now) in old_owners.iter().zip(&new_owners) {
            assert!(old == now || *now == new, "a key moved from {old} to {now}");
        }
    }
}

#[test]
fn a_heavier_member_only_gains_keys() {
    let (before, after) = (weighted(&[2, 2, 2]), weighted(&[2, 3, 2]));
    let (old_owners, new_owners) = (owners(&before), owners(&after));
    assert_ne!(old_owners, new_owners);
    for (old, now) in old_owners.iter().zip(&new_owners) {
        assert!(old == now || *now == 2, "a key moved from {old} to {now}");
    }
}

proptest! {
    #[test]
    fn the_owner_is_the_first_of_the_order_and_each_comes_once(
        weights in proptest::collection::vec(0_u16..4, 0..12),
        key in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let placement = weighted(&weights);
        let owners = placement.order(&key, Affinity::None);
        prop_assert_eq!(placement.owner(&key), owners.owner());
        let mut sorted = owners.order.clone();
        sorted.sort_unstable();
        let all: Vec<u64> = placement.places().iter().map(|place| place.id).collect();
        prop_assert_eq!(sorted, all);
        let near = placement.order(&key, Affinity::Island("island-1")).order;
        let (mut odd, even): (Vec<u64>, Vec<u64>) =
            owners.order.iter().partition(|id| **id % 2 == 1);
        odd.extend(even);
        prop_assert_eq!(near, odd, "each part keeps its order");
    }
}

#[test]
fn golden_owners_stay_as_they_are() {
    // Whoever computes owners elsewhere has to find these: docs/rendezvous.md shows the same.
    let (plain, heavy) = (even(5), weighted(&[1, 2, 3, 4, 5]));
    for (key, of_plain, of_heavy) in [
        ("host-1", [1, 3, 5, 4, 2], [1, 3, 5, 4, 2]),
        ("host-2", [3, 4, 5, 2, 1], [3, 5, 4, 2, 1]),
        ("approval/7f3a", [5, 4, 3, 2, 1], [5, 4, 3, 2, 1]),
        ("", [2, 1, 5, 3, 4], [2, 5, 3, 4, 1]),
    ] {
        let order = |placement: &Placement| placement.order(key.as_bytes(), Affinity::None).order;
        assert_eq!((order(&plain), order(&heavy)), (of_plain.to_vec(), of_heavy.to_vec()), "{key}");
    }
}

#[test]
fn a_configurations_voters_own_keys_and_learners_do_not() {
    let member = |node: u64, weight| {
        let named = Named { weight, ..Named::new(node, format!("i{node}"), None) };
        let id = MemberId::new(NodeId(node), Incarnation(1));
        Member { id, info: MemberInfo::from(&named).encode() }
    };
    let configuration = Configuration::with_standings([
        (member(1, 1), Standing::Voter),
        (member(2, 5), Standing::Incoming),
        (member(3, 1), Standing::Outgoing),
        (member(4, 1), Standing::Demoted),
        (member(5, 1), Standing::Learner),
        (member(6, 1), Standing::Joining),
    ]);
    let placement = Placement::of(Index(9), &configuration);
    let found: Vec<_> =
        placement.places().iter().map(|p| (p.id, p.island.as_str(), p.weight)).collect();
    assert_eq!(found, [(1, "i1", 1), (2, "i2", 5)]);
    assert_eq!(placement.order(b"k", Affinity::None).index, Index(9));
    let shares: Vec<_> = (1..=3).map(|id| placement.share_ppm(id)).collect();
    assert_eq!(shares, [166_666, 833_333, 0]);
    assert_eq!(Placement::default().owner(b"k"), None);
}
