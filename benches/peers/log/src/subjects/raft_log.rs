//! raft-log, with its defaults, but a flush waits for no other to join it: there is one caller. An
//! append is durable once the flush that follows it has called back.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::{Config, RaftLog, Types};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

pub(super) const SUBJECT: Subject = Subject {
    name: "raft-log 0.4",
    syncs: Syncs::AsAsked,
    create: |path, _| {
        std::fs::create_dir_all(path)?;
        let mut config = Config::new(path.to_str().ok_or("the folder's name is no UTF-8")?);
        config.wal.flush_batch_wait = Some(Duration::ZERO);
        Ok(Box::new(Peer { log: RaftLog::open(Arc::new(config))?, last: 0 }))
    },
    open: &[],
};

struct Peer {
    log: RaftLog<Kinds>,
    last: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kinds;

impl Types for Kinds {
    type LogId = (u64, u64);
    type LogPayload = Vec<u8>;
    type Vote = (u64, u64);
    type Callback = SyncSender<io::Result<()>>;
    type UserData = String;

    fn log_index(id: &(u64, u64)) -> u64 {
        id.1
    }

    fn payload_size(payload: &Vec<u8>) -> u64 {
        payload.len() as u64
    }
}

impl Log for Peer {
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()> {
        let first = self.last + 1;
        self.last += records.len() as u64;
        let entries = (first..).zip(records).map(|(index, record)| ((1, index), record.to_vec()));
        self.log.append(entries.collect::<Vec<_>>())?;
        // What is not flushed stays in memory; without a sync, its own thread writes it.
        if durability == Durability::Buffered {
            self.log.flush(false, None)?;
        } else {
            let (done, finished) = sync_channel(1);
            self.log.flush(true, Some(done))?;
            finished.recv()??;
        }
        Ok(())
    }
}
