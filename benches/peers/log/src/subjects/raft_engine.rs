//! raft-engine, with its defaults, but nothing is compressed. A batch is made durable by writing it
//! with `sync`; `Engine::sync` alone returns at once in this version, since it writes an empty
//! batch.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use raft::eraftpb::Entry;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};
use std::path::Path;

pub(super) const SUBJECT: Subject = Subject {
    name: "raft-engine 0.4",
    syncs: Syncs::AsAsked,
    create: |path, _| open(path),
    open: &[("raft-engine 0.4", open)],
};

const GROUP: u64 = 1;

struct Peer {
    engine: Engine,
    last: u64,
}

struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

fn open(path: &Path) -> Result<Box<dyn Log>> {
    let config = Config {
        dir: path.to_str().ok_or("the folder's name is no UTF-8")?.to_owned(),
        batch_compression_threshold: ReadableSize(0),
        ..Config::default()
    };
    let engine = Engine::open(config)?;
    let last = engine.last_index(GROUP).unwrap_or(0);
    Ok(Box::new(Peer { engine, last }))
}

impl Log for Peer {
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()> {
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            self.last += 1;
            let mut entry = Entry::default();
            entry.set_index(self.last);
            entry.set_term(1);
            entry.set_data(record.clone());
            entries.push(entry);
        }
        let mut batch = LogBatch::with_capacity(1);
        batch.add_entries::<Entries>(GROUP, &entries)?;
        self.engine.write(&mut batch, durability == Durability::Durable)?;
        Ok(())
    }

    fn read(&self, first: u64, count: u64) -> Result<usize> {
        let mut entries = Vec::new();
        self.engine.fetch_entries_to::<Entries>(GROUP, first, first + count, None, &mut entries)?;
        Ok(entries.iter().map(|entry| entry.data.len()).sum())
    }
}
