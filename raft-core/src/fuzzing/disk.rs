//! A disk in memory: `Disk` is what a log holds, and applies a `Persist` the way a real one does.

use crate::config::Restored;
use crate::configuration::Configuration;
use crate::entry::{Entry, EntryKind};
use crate::ready::{LogStart, Persist};
use crate::snapshot::Snapshot;
use crate::types::{EntryId, HardState, Index};
use std::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) hard_state: HardState,
    pub(super) start: LogStart,
    pub(super) entries: Vec<Entry>,
    pub(super) snapshot: Option<Snapshot>,
}

impl Disk {
    pub(super) fn write(&mut self, persist: &Persist) {
        if let Some(hard_state) = persist.hard_state {
            assert!(hard_state.term >= self.hard_state.term, "a term never falls on a disk");
            self.hard_state = hard_state;
        }
        if let Some(snapshot) = &persist.snapshot {
            self.snapshot = Some(snapshot.clone());
        }
        if let Some(start) = persist.compact {
            self.compact(start);
        }
        if let Some(from) = persist.truncate {
            self.entries.retain(|entry| entry.id.index < from);
        }
        for entry in &persist.entries {
            assert_eq!(entry.id.index, self.last().index.next(), "entries follow one another");
            self.entries.push(entry.clone());
        }
    }

    fn compact(&mut self, start: LogStart) {
        if self.id(start.id.index) == Some(start.id) {
            self.entries.retain(|entry| entry.id.index > start.id.index);
        } else {
            self.entries.clear();
        }
        self.start = start;
    }

    pub(super) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.start.id, |entry| entry.id)
    }

    fn id(&self, index: Index) -> Option<EntryId> {
        let entry = self.entries.iter().find(|entry| entry.id.index == index);
        entry.map(|entry| entry.id).or_else(|| Some(self.start.id).filter(|id| id.index == index))
    }

    pub(super) fn entry(&self, index: Index) -> Option<&Entry> {
        let first = self.entries.first()?.id.index;
        self.entries.get(usize::try_from(index.0.checked_sub(first.0)?).ok()?)
    }

    pub(super) fn restored(&self) -> Restored {
        let mut terms: Vec<EntryId> = Vec::new();
        for entry in &self.entries {
            if terms.last().is_none_or(|first| first.term < entry.id.term) {
                terms.push(entry.id);
            }
        }
        let configurations = self.entries.iter().filter_map(|entry| {
            let configuration = Configuration::decode(entry.data.clone()).ok()?;
            (entry.kind == EntryKind::Configuration).then_some((entry.id.index, configuration))
        });
        Restored {
            hard_state: self.hard_state,
            start: self.start.id,
            terms,
            last: self.last().index,
            last_time: self.entries.last().map_or(self.start.time, |entry| entry.time),
            configurations: configurations.collect(),
            snapshot: self.snapshot.as_ref().map(|snapshot| snapshot.meta.clone()),
        }
    }
}
