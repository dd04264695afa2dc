//! A disk in memory: `Disk` is what a member's log and snapshots hold, and takes a `Persist` and
//! the pieces of a snapshot the way real ones do. A member has two: what was written, and what of
//! that is durable. The histories of this crate and the scripts of its tests share this file.

use bytes::Bytes;
use holm_raft_core::{
    Chunk, Configuration, Entry, EntryId, EntryKind, HardState, Index, LogStart, Partial, Persist,
    Restored, SnapshotId, SnapshotMeta,
};
use std::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) start: LogStart,
    pub(crate) entries: Vec<Entry>,
    /// The newest.
    pub(crate) snapshot: Option<Snapshot>,
    /// The one before, which may still be on its way to somebody.
    pub(crate) older: Option<Snapshot>,
    /// What has arrived of a snapshot, and its bytes so far.
    pub(crate) partial: Option<(Partial, Vec<u8>)>,
}

/// A state, and what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) meta: SnapshotMeta,
    pub(crate) data: Bytes,
}

impl Snapshot {
    pub(crate) fn id(&self) -> SnapshotId {
        let (last, checksum) = (self.meta.last, checksum(&self.data));
        SnapshotId { last, length: self.data.len() as u64, checksum }
    }

    /// The piece at `offset`, of so many bytes or up to the end.
    pub(crate) fn piece(&self, offset: u64, bytes_max: u64) -> Chunk {
        let SnapshotId { length, checksum, .. } = self.id();
        let end = length.min(offset + bytes_max);
        let range = [offset, end].map(|place| usize::try_from(place).expect("it is in memory"));
        let data = self.data.slice(range[0]..range[1]);
        Chunk { meta: self.meta.clone(), length, checksum, offset, data }
    }
}

/// Enough to tell the few snapshots of a test apart.
fn checksum(data: &[u8]) -> u32 {
    data.iter().fold(1, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))
}

impl Disk {
    pub(crate) fn write(&mut self, persist: &Persist) {
        if let Some(hard_state) = persist.hard_state {
            assert!(hard_state.term >= self.hard_state.term, "a term never falls on a disk");
            self.hard_state = hard_state;
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

    /// Keeps a snapshot of the own state.
    pub(crate) fn save(&mut self, snapshot: Snapshot) {
        self.older = self.snapshot.replace(snapshot);
    }

    /// The piece that a leader's core names: of the newest snapshot, if the one it names is gone.
    pub(crate) fn piece(&self, of: Option<SnapshotId>, offset: u64, bytes_max: u64) -> Chunk {
        let newest = self.snapshot.as_ref().expect("compacted behind a snapshot");
        let named = |snapshot: &&Snapshot| Some(snapshot.id()) == of;
        match [Some(newest), self.older.as_ref()].into_iter().flatten().find(named) {
            Some(snapshot) => snapshot.piece(offset, bytes_max),
            None => newest.piece(0, bytes_max),
        }
    }

    /// Keeps a piece of a snapshot; says which, and how much of it there is: nothing, if it is all
    /// there and not what its checksum says.
    pub(crate) fn store(&mut self, chunk: &Chunk) -> (SnapshotId, Option<u64>) {
        if chunk.offset == 0 {
            let (meta, length, checksum) = (chunk.meta.clone(), chunk.length, chunk.checksum);
            self.partial = Some((Partial { meta, length, checksum, stored: 0 }, Vec::new()));
        }
        let (partial, data) = self.partial.as_mut().expect("a snapshot begins at 0");
        assert_eq!(partial.id(), chunk.id(), "the pieces of one snapshot");
        assert_eq!(partial.stored, chunk.offset, "pieces follow one another");
        data.extend(&chunk.data);
        partial.stored = chunk.end();
        let kept = (partial.id(), Some(partial.stored));
        if partial.stored == partial.length && checksum(data) != partial.checksum {
            self.partial = None;
            return (kept.0, None);
        }
        kept
    }

    /// The snapshot that arrived whole becomes the one there is. It is durable at once: a driver
    /// waits for that before it writes on.
    pub(crate) fn install(&mut self, meta: &SnapshotMeta) -> Snapshot {
        let (partial, data) = self.partial.take().expect("it was stored");
        assert_eq!((&partial.meta, partial.stored), (meta, partial.length), "whole");
        let snapshot = Snapshot { meta: partial.meta, data: data.into() };
        self.save(snapshot.clone());
        snapshot
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
        let mut sum = 0;
        let weights = self.entries.iter().map(|entry| {
            sum += entry.weight();
            (entry.id.index, sum)
        });
        Restored {
            weights: weights.collect(),
            hard_state: self.hard_state,
            start: self.start.id,
            terms,
            last: self.last().index,
            last_time: self.entries.last().map_or(self.start.time, |entry| entry.time),
            configurations: configurations.collect(),
            snapshot: self.snapshot.as_ref().map(|snapshot| snapshot.meta.clone()),
            receiving: self.partial.as_ref().map(|(partial, _)| partial.clone()),
        }
    }
}
