//! commitlog, with room for a run in one segment. Its `flush` is asked for where a sync is due, but
//! it is `File::flush`, which does nothing: no append of this log is durable.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};
use std::path::Path;

pub(super) const SUBJECT: Subject = Subject {
    name: "commitlog 0.2",
    syncs: Syncs::Never,
    create: |path, _| open(path),
    open: &[("commitlog 0.2", open)],
};

struct Peer {
    log: CommitLog,
}

fn open(path: &Path) -> Result<Box<dyn Log>> {
    let mut options = LogOptions::new(path);
    options.index_max_items(500_000).message_max_bytes(4 << 20);
    Ok(Box::new(Peer { log: CommitLog::new(options)? }))
}

impl Log for Peer {
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()> {
        let mut batch = MessageBuf::default();
        for record in records {
            batch.push(record).map_err(|error| format!("{error:?}"))?;
        }
        self.log.append(&mut batch)?;
        if durability == Durability::Durable {
            self.log.flush()?;
        }
        Ok(())
    }

    fn read(&self, first: u64, count: u64) -> Result<usize> {
        // More than a record's head has; the limit cuts off what is not whole.
        const HEAD_BYTES: u64 = 64;
        let bytes = usize::try_from(count * (crate::opening::RECORD_BYTES + HEAD_BYTES))?;
        let messages = self.log.read(first - 1, ReadLimit::max_bytes(bytes))?;
        Ok(messages.iter().map(|message| message.payload().len()).sum())
    }
}
