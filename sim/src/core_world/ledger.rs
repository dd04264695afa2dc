//! What was ever applied, anywhere: `Ledger` asserts that there is one history (paper, figure 3:
//! election safety, state-machine safety), that snapshots stand for it, and that what was
//! acknowledged is in it.

use super::member::Member;
use holm_raft_core::{Entry, EntryKind, Index, MemberId, RequestNumber, Term};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Ledger {
    applied: BTreeMap<Index, Entry>,
    /// A number for the state after each index: equal histories, equal numbers.
    states: BTreeMap<Index, u64>,
    leaders: BTreeMap<Term, MemberId>,
    acknowledged: BTreeSet<RequestNumber>,
    restored: u64,
}

impl Ledger {
    /// A member applied an entry, and its state is this one now.
    pub(super) fn applied(&mut self, entry: &Entry, state: u64) {
        let known = self.applied.entry(entry.id.index).or_insert_with(|| entry.clone());
        assert_eq!(known, entry, "state-machine safety");
        let known = *self.states.entry(entry.id.index).or_insert(state);
        assert_eq!(known, state, "equal histories, equal states");
    }

    /// A member restored this state from a snapshot.
    pub(super) fn restored(&mut self, index: Index, state: u64) {
        self.restored += 1;
        assert_eq!(self.states.get(&index), Some(&state), "a snapshot stands for its history");
    }

    /// A member told its caller that this was applied.
    pub(super) fn acknowledged(&mut self, number: RequestNumber) {
        assert!(self.acknowledged.insert(number), "a command is applied once");
    }

    pub(super) fn leads(&mut self, term: Term, me: MemberId) {
        assert_eq!(*self.leaders.entry(term).or_insert(me), me, "election safety");
    }

    /// How often a member restored a state from a snapshot of its leader.
    pub(super) const fn installed(&self) -> u64 {
        self.restored
    }

    pub(super) fn leaders(&self) -> u64 {
        self.leaders.len() as u64
    }

    pub(super) fn check_caught_up(&self, member: &Member) {
        let last = self.applied.last_key_value().map(|(index, _)| *index);
        assert_eq!(member.applied(), last, "{} has caught up", member.status());
    }

    /// How many commands were acknowledged; each is in the history, once.
    pub(super) fn check_acknowledged(&self) -> u64 {
        let mut seen = BTreeSet::new();
        for entry in self.applied.values().filter(|entry| entry.kind == EntryKind::Command) {
            let number = super::member::number(&entry.data);
            assert!(seen.insert(number), "{number} was applied twice");
        }
        let lost: Vec<_> = self.acknowledged.difference(&seen).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        self.acknowledged.len() as u64
    }
}
