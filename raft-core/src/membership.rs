//! The configurations that the log holds: `Membership`. The latest one *appended* is in force
//! (paper §6); a truncation brings the one before it back.

use crate::configuration::Configuration;
#[cfg(any(test, feature = "mutations"))]
use crate::mutation::{self, Mutation};
use crate::snapshot::SnapshotMeta;
use crate::types::Index;
use alloc::vec;
use alloc::vec::Vec;

/// Invariant: never empty, indexes ascend; the first is in force at the log's start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Membership {
    configurations: Vec<(Index, Configuration)>,
    /// For a known bug alone: up to where entries were applied.
    #[cfg(any(test, feature = "mutations"))]
    applied: Index,
}

impl Membership {
    pub(crate) fn restore(snapshot: &SnapshotMeta, later: Vec<(Index, Configuration)>) -> Self {
        let base = (snapshot.configuration_index, snapshot.configuration.clone());
        let mut configurations = vec![base];
        configurations
            .extend(later.into_iter().filter(|(index, _)| *index > snapshot.configuration_index));
        Self {
            configurations,
            #[cfg(any(test, feature = "mutations"))]
            applied: snapshot.last.index,
        }
    }

    /// The configuration in force.
    pub(crate) fn current(&self) -> &Configuration {
        #[cfg(any(test, feature = "mutations"))]
        if mutation::on(Mutation::ConfigurationAtApply) {
            // Whoever forms a cluster has its first configuration at once.
            return &self.at(self.applied.max(Index(1))).1;
        }
        &self.latest().1
    }

    /// For a known bug alone: configurations are in force from when they are applied on. Returns
    /// whether another one is now.
    #[cfg(any(test, feature = "mutations"))]
    pub(crate) fn applied(&mut self, to: Index) -> bool {
        let before = self.at(self.applied).0;
        self.applied = to;
        self.at(to).0 != before
    }

    /// The configuration in force at `index`, and the entry that set it.
    pub(crate) fn at(&self, index: Index) -> &(Index, Configuration) {
        let after = self.configurations.partition_point(|(set_at, _)| *set_at <= index);
        &self.configurations[after.max(1) - 1]
    }

    /// Each configuration that may be the latest committed one, if all up to `committed` is: the
    /// one in force there, and those after it.
    pub(crate) fn possible(&self, committed: Index) -> impl Iterator<Item = &Configuration> {
        let after = self.configurations.partition_point(|(set_at, _)| *set_at <= committed);
        self.configurations[after.max(1) - 1..].iter().map(|(_, configuration)| configuration)
    }

    pub(crate) fn append(&mut self, index: Index, configuration: Configuration) {
        self.configurations.push((index, configuration));
    }

    pub(crate) fn truncate(&mut self, from: Index) {
        let kept = self.configurations.partition_point(|(index, _)| *index < from);
        self.configurations.truncate(kept.max(1));
    }

    /// The log begins after `to`: of the configurations up to there only the last is needed.
    pub(crate) fn compact(&mut self, to: Index) {
        let after = self.configurations.partition_point(|(index, _)| *index <= to);
        self.configurations.drain(..after.saturating_sub(1));
    }

    /// The entry that set the configuration in force.
    pub(crate) fn set_at(&self) -> Index {
        self.latest().0
    }

    fn latest(&self) -> &(Index, Configuration) {
        self.configurations.last().expect("never empty")
    }

    pub(crate) fn check(&self, last: Index) {
        assert!(self.latest().0 <= last, "a configuration is an entry of the log");
        for pair in self.configurations.windows(2) {
            assert!(pair[0].0 < pair[1].0, "configurations ascend");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Member;
    use crate::types::{EntryId, Incarnation, MemberId, NodeId, Term};
    use bytes::Bytes;

    fn voters(count: u64) -> Configuration {
        let id = |node| MemberId::new(NodeId(node), Incarnation(node));
        Configuration::new((1..=count).map(|node| Member { id: id(node), info: Bytes::new() }))
    }

    /// A snapshot up to 9 with a configuration of 5, and three in the log: one from before.
    fn restored() -> Membership {
        let snapshot = SnapshotMeta {
            last: EntryId::new(Term(1), Index(9)),
            configuration: voters(1),
            configuration_index: Index(5),
            ..SnapshotMeta::default()
        };
        let later = [5, 7, 12].map(|index| (Index(index), voters(index)));
        Membership::restore(&snapshot, later.into())
    }

    #[test]
    fn what_the_snapshot_knows_is_not_taken_from_the_log() {
        let membership = restored();
        membership.check(Index(12));
        assert_eq!(membership.at(Index(5)), &(Index(5), voters(1)));
        assert_eq!(membership.at(Index(11)).0, Index(7));
        assert_eq!((membership.set_at(), membership.current()), (Index(12), &voters(12)));
    }

    #[test]
    fn a_compaction_keeps_the_configuration_in_force_at_the_logs_start() {
        for (to, kept) in [(6, 3), (7, 2), (11, 2), (12, 1), (13, 1)] {
            let mut membership = restored();
            membership.compact(Index(to));
            assert_eq!(membership.configurations.len(), kept, "up to {to}");
            assert_eq!(membership.at(Index(to)), restored().at(Index(to)));
        }
    }

    #[test]
    fn a_truncation_brings_the_one_before_back_and_never_takes_the_last() {
        for (from, set_at) in [(13, 12), (12, 7), (8, 7), (7, 5), (1, 5)] {
            let mut membership = restored();
            membership.truncate(Index(from));
            assert_eq!(membership.set_at(), Index(set_at), "from {from} on");
        }
    }

    #[test]
    #[should_panic(expected = "a configuration is an entry of the log")]
    fn a_configuration_beyond_the_log_is_noticed() {
        restored().check(Index(11));
    }
}
