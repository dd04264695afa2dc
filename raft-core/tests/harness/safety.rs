//! Figure 3 of the paper, asserted after each step of each script: election safety, leader
//! append-only, log matching, leader completeness and state-machine safety.

use super::disk::Disk;
use holm_raft_core::{Entry, EntryId, Index, NodeId, Status, Term};
use std::collections::BTreeMap;

/// What has to stay true of what happened so far.
#[derive(Default)]
pub(crate) struct Safety {
    /// Everything that was ever applied anywhere.
    applied: BTreeMap<Index, Entry>,
    leaders: BTreeMap<Term, NodeId>,
    /// What each leader's log held when it was last looked at.
    led: BTreeMap<Term, Vec<EntryId>>,
}

impl Safety {
    /// State-machine safety: whoever applies an entry at an index applies the same.
    pub(crate) fn applied(&mut self, entry: &Entry) {
        let first = self.applied.entry(entry.id.index).or_insert_with(|| entry.clone());
        assert_eq!(first, entry, "state-machine safety (figure 3)");
    }

    pub(crate) fn check(&mut self, status: &Status, written: &Disk) {
        if status.role != "leader" {
            return;
        }
        let leader = *self.leaders.entry(status.term).or_insert(status.me.node);
        assert_eq!(leader, status.me.node, "election safety (figure 3), term {}", status.term);
        for (index, entry) in &self.applied {
            if entry.id.term < status.term && *index > written.start.id.index {
                assert_eq!(written.entry(*index), Some(entry), "leader completeness (figure 3)");
            }
        }
        let log: Vec<EntryId> = written.entries.iter().map(|entry| entry.id).collect();
        let before = self.led.insert(status.term, log.clone()).unwrap_or_default();
        let first = log.first().map_or(Index(u64::MAX), |id| id.index);
        let kept = before.iter().filter(|id| id.index >= first);
        assert!(kept.clone().eq(log.iter().take(kept.count())), "append-only (figure 3)");
    }
}

/// Log matching: where two logs hold the same entry id, they hold the same entries up to there.
pub(crate) fn logs_match(a: &Disk, b: &Disk) {
    let same = |entry: &&Entry| b.id(entry.id.index) == Some(entry.id);
    let Some(agreed) = a.entries.iter().rev().find(same).map(|entry| entry.id.index) else {
        return;
    };
    for entry in a.entries.iter().filter(|entry| entry.id.index <= agreed) {
        if let Some(other) = b.entry(entry.id.index) {
            assert_eq!(entry, other, "log matching (figure 3)");
        }
    }
}
