//! Which links between members are whole, and how a message gets from one member to another:
//! [`Ways`]. Any core's messages travel over it.
//!
//! A message over a link of its own takes no time: it arrives within the tick it was sent in.
//! Relayed as the transport does it, along the shortest way of whole links, it takes one tick more
//! for each member that passes it on. Who may relay, and how ways are found and told, is the
//! transport's affair; here everybody relays, and everybody knows all ways from a given tick on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The links between members 1 to `members`, and what travels over them.
pub(crate) struct Ways<M> {
    members: u64,
    cut: BTreeSet<(u64, u64)>,
    /// From which tick on members relay; none: never.
    relays_from: Option<u64>,
    tick: u64,
    /// By the tick in which it arrives.
    flying: BTreeMap<u64, VecDeque<Flight<M>>>,
}

struct Flight<M> {
    from: u64,
    to: u64,
    message: M,
}

impl<M> Ways<M> {
    /// Every link is whole, and nobody relays.
    pub(crate) fn new(members: u64) -> Self {
        let (cut, flying) = (BTreeSet::new(), BTreeMap::new());
        Self { members, cut, relays_from: None, tick: 0, flying }
    }

    /// Cuts all links but those between `a < b` where `whole(a, b)`.
    pub(crate) fn keep(&mut self, whole: impl Fn(u64, u64) -> bool) {
        let pairs = (1..=self.members).flat_map(|a| (1..=self.members).map(move |b| (a, b)));
        self.cut = pairs.filter(|(a, b)| !whole(*a.min(b), *a.max(b))).collect();
    }

    /// Members relay once `ticks` more have passed: so long nobody has noticed what is cut.
    pub(crate) fn relay_after(&mut self, ticks: u64) {
        self.relays_from = Some(self.tick + ticks);
    }

    pub(crate) fn tick(&mut self) {
        self.tick += 1;
    }

    /// A message without a way is lost.
    pub(crate) fn send(&mut self, from: u64, to: u64, message: M) {
        if let Some(relays) = self.relays(from, to) {
            let flight = Flight { from, to, message };
            self.flying.entry(self.tick + relays).or_default().push_back(flight);
        }
    }

    /// Whom the next message that has arrived is for. One that no way is left for is lost.
    pub(crate) fn arrived(&mut self) -> Option<(u64, M)> {
        loop {
            let mut first = self.flying.first_entry().filter(|first| *first.key() <= self.tick)?;
            let Some(Flight { from, to, message }) = first.get_mut().pop_front() else {
                first.remove();
                continue;
            };
            if self.relays(from, to).is_some() {
                return Some((to, message));
            }
        }
    }

    /// How many members stand between two on the shortest way, if there is one.
    fn relays(&self, from: u64, to: u64) -> Option<u64> {
        let whole = |a: u64, b: u64| !self.cut.contains(&(a, b));
        if whole(from, to) {
            return Some(0);
        }
        self.relays_from.filter(|since| *since <= self.tick)?;
        let (mut reached, mut found) = (BTreeSet::from([from]), BTreeSet::from([from]));
        for relays in 0.. {
            if found.contains(&to) {
                return Some(relays - 1);
            }
            let next = |at: &u64| reached.iter().any(|from| whole(*from, *at));
            let beyond = (1..=self.members).filter(|at| !found.contains(at)).filter(next);
            reached = beyond.collect();
            if reached.is_empty() {
                break;
            }
            found.extend(&reached);
        }
        None
    }
}
