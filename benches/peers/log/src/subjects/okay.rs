//! okaywal: a batch is an entry, a record a chunk of it. It has no commit that does not wait for
//! the disk. Segments are large enough that none is checkpointed while time is taken.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use okaywal::{Configuration, LogVoid, WriteAheadLog};

pub(super) const SUBJECT: Subject = Subject {
    name: "okaywal 0.3",
    syncs: Syncs::Always,
    create: |path, _| {
        let configuration = Configuration::default_for(path)
            .preallocate_bytes(64 << 20)
            .checkpoint_after_bytes(63 << 20);
        Ok(Box::new(Peer { log: configuration.open(LogVoid)? }))
    },
    open: &[],
};

struct Peer {
    log: WriteAheadLog,
}

impl Log for Peer {
    fn append(&mut self, records: &[Bytes], _: Durability) -> Result<()> {
        let mut entry = self.log.begin_entry()?;
        for record in records {
            entry.write_chunk(record)?;
        }
        entry.commit()?;
        Ok(())
    }
}
