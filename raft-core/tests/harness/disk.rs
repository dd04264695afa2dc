//! A disk in memory: `Disk` is what a member's log holds, and takes a `Persist` the way a real log
//! does. A member has two: what was written, and what of that is durable.

use holm_raft_core::{
    Configuration, Entry, EntryId, EntryKind, HardState, Index, LogStart, Persist, Restored,
    Snapshot,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) start: LogStart,
    pub(crate) entries: Vec<Entry>,
    pub(crate) snapshot: Option<Snapshot>,
}

impl Disk {
    pub(crate) fn write(&mut self, persist: &Persist) {
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

    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.start.id, |entry| entry.id)
    }

    pub(crate) fn id(&self, index: Index) -> Option<EntryId> {
        let entry = self.entry(index).map(|entry| entry.id);
        entry.or_else(|| Some(self.start.id).filter(|id| id.index == index))
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry> {
        let first = self.entries.first()?.id.index;
        self.entries.get(usize::try_from(index.0.checked_sub(first.0)?).ok()?)
    }

    pub(crate) fn restored(&self) -> Restored {
        let mut terms: Vec<EntryId> = Vec::new();
        for entry in &self.entries {
            if terms.last().is_none_or(|first| first.term < entry.id.term) {
                terms.push(entry.id);
            }
        }
        let is_configuration = |entry: &&Entry| entry.kind == EntryKind::Configuration;
        let configurations = self.entries.iter().filter(is_configuration).map(|entry| {
            let decoded = Configuration::decode(entry.data.clone());
            (entry.id.index, decoded.expect("written by the core"))
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
