//! [`Placement`]: who owns which key, and who comes next if he can't be reached.

use super::hash::{Draw, Hasher};
use crate::member_info::MemberInfo;
use holm_raft_core::{Configuration, Index};
use std::sync::Arc;

/// The members that keys belong to, as a committed configuration names them, and by that the owner
/// of each key: by weighted highest-random-weight (rendezvous hashing; Thaler and Ravishankar,
/// 1998). All who look at the same configuration give the same answer, without asking anybody, and
/// when it changes only those keys move that have to.
///
/// It says who *should* serve a key. Two members may look at different configurations at the same
/// moment: what must never have two owners is claimed as well (`Node::claim`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    index: Index,
    places: Arc<[Place]>,
    balance: Balance,
}

/// Whether a draw has to heed weights at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Balance {
    #[default]
    Even,
    Weighted,
}

/// A member that may own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub id: u64,
    /// Its island.
    pub island: String,
    /// How many keys it gets, next to the others' weights. 0: none.
    pub weight: u16,
}

/// Whom a caller prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity<'a> {
    /// Nobody: all callers get the same answer.
    #[default]
    None,
    /// Members on this island, as long as there are any. Callers on different islands get
    /// different owners for the same key.
    Island(&'a str),
}

/// A key's owner and who comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    /// The index of the configuration by which it was found: a higher one is newer.
    pub index: Index,
    /// The members' numbers, the owner first. Empty while no configuration is committed here, or
    /// if all weights are 0.
    pub order: Vec<u64>,
}

impl Owners {
    /// Whose the key is.
    #[must_use]
    pub fn owner(&self) -> Option<u64> {
        self.order.first().copied()
    }
}

impl Placement {
    /// The longest key, in bytes.
    pub const KEY_BYTES_MAX: usize = 256;
    /// The greatest weight.
    pub const WEIGHT_MAX: u16 = 1_000;

    /// That of these members, as of a configuration at this index. Of two with the same number the
    /// later one stays; those that weigh nothing own nothing.
    pub fn new(index: Index, places: impl IntoIterator<Item = Place>) -> Self {
        let mut places: Vec<Place> = places.into_iter().collect();
        // The sort is stable, so the later of two comes first, and stays.
        places.reverse();
        places.sort_by_key(|place| place.id);
        places.dedup_by_key(|place| place.id);
        places.retain(|place| place.weight > 0);
        let even = places.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        let balance = if even { Balance::Even } else { Balance::Weighted };
        Self { index, places: places.into(), balance }
    }

    /// That of a configuration: its voters, in a joint one those of the new half. A learner owns
    /// nothing: it may know nothing yet.
    pub(crate) fn of(index: Index, configuration: &Configuration) -> Self {
        let voters = configuration.members().filter(|(_, standing)| standing.votes());
        let place = |(member, _): &(holm_raft_core::Member, _)| {
            let info = MemberInfo::decode(&member.info).unwrap_or_default();
            Place { id: member.id.node.0, island: info.island, weight: info.weight }
        };
        Self::new(index, voters.map(place))
    }

    /// The index of the configuration that this is of; 0 while none is committed here.
    #[must_use]
    pub const fn index(&self) -> Index {
        self.index
    }

    /// Who may own keys, by their numbers.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Whose the key is, all callers alike. As [`order`](Self::order) without affinity, and
    /// quicker.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<u64> {
        let mut hasher = Hasher::new(key);
        let hashes = self.places.iter().map(|place| (place, hasher.hash(place.id)));
        let best = match self.balance {
            // With equal weights the highest hash has the lowest cost; of equal hashes, here as
            // below, the lowest number wins.
            Balance::Even => hashes.reduce(|one, next| if next.1 > one.1 { next } else { one }),
            Balance::Weighted => {
                let draw = |(place, hash): (&'_ Place, u64)| Draw::new(hash, place.weight);
                hashes.reduce(
                    |one, next| {
                        if draw(next).compare(&draw(one)).is_lt() { next } else { one }
                    },
                )
            }
        };
        best.map(|(place, _)| place.id)
    }

    /// The key's owner, and whom to turn to if he can't be reached, one after the other.
    #[must_use]
    pub fn order(&self, key: &[u8], affinity: Affinity<'_>) -> Owners {
        let mut hasher = Hasher::new(key);
        let draw = |place: &Place| Draw::new(hasher.hash(place.id), place.weight);
        let draws = self.places.iter().map(draw);
        let mut lots: Vec<_> = self.places.iter().zip(draws.collect::<Vec<_>>()).collect();
        let is_far = |place: &Place| match affinity {
            Affinity::None => false,
            Affinity::Island(island) => place.island != island,
        };
        // The sort is stable: of equal lots the lowest number comes first.
        lots.sort_by(|(one, own), (other, others)| {
            is_far(one).cmp(&is_far(other)).then_with(|| own.compare(others))
        });
        Owners { index: self.index, order: lots.into_iter().map(|(place, _)| place.id).collect() }
    }

    /// How many of a million keys a member owns, on average.
    #[must_use]
    pub fn share_ppm(&self, id: u64) -> u32 {
        let all: u64 = self.places.iter().map(|place| u64::from(place.weight)).sum();
        let own = self.places.iter().find(|place| place.id == id).map_or(0, |place| place.weight);
        let share = (u64::from(own) * 1_000_000).checked_div(all).unwrap_or(0);
        u32::try_from(share).expect("at most a million")
    }
}

#[cfg(test)]
mod tests;
