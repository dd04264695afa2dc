//! A log in a file for openraft: `FileLog`. Entries are also in memory, where they are read; a
//! thread appends all that waits with one `pwrite`, makes it durable with one `fdatasync`, and says
//! so. It is never opened again: what would be needed for that besides is left out.

use super::Types;
use crate::disk::Bare;
use ::openraft::entry::RaftEntry;
use ::openraft::storage::{IOFlushed, RaftLogStorage};
use ::openraft::type_config::alias::{EntryOf, LogIdOf, VoteOf};
use ::openraft::{LogState, OptionalSend, RaftLogReader};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the thread is given: bytes, and who wants to know that they are durable.
type Written = (Vec<u8>, IOFlushed<Types>);

/// A log, or a reader of one: they share it.
#[derive(Clone)]
pub(crate) struct FileLog {
    log: Arc<Mutex<Log>>,
    writes: Sender<Written>,
}

struct Log {
    entries: BTreeMap<u64, EntryOf<Types>>,
    purged: Option<LogIdOf<Types>>,
    vote: Option<VoteOf<Types>>,
    votes: Bare,
}

impl FileLog {
    pub(crate) fn create(dir: &Path) -> io::Result<Self> {
        let votes = Bare::create(&dir.join("votes"))?;
        let mut file = Bare::create(&dir.join("log"))?;
        let (writes, waiting) = mpsc::channel::<Written>();
        std::thread::spawn(move || {
            let (mut bytes, mut callbacks) = (Vec::new(), Vec::new());
            while let Ok(first) = waiting.recv() {
                for (own, callback) in std::iter::once(first).chain(waiting.try_iter()) {
                    bytes.extend_from_slice(&own);
                    callbacks.push(callback);
                }
                let done = file.append(&bytes);
                bytes.clear();
                for callback in callbacks.drain(..) {
                    callback.io_completed(done.as_ref().copied().map_err(copy));
                }
            }
        });
        let log = Log { entries: BTreeMap::new(), purged: None, vote: None, votes };
        Ok(Self { log: Arc::new(Mutex::new(log)), writes })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// A record: its length, its checksum, the entry.
fn encode(entry: &EntryOf<Types>, bytes: &mut Vec<u8>) -> io::Result<()> {
    let data = postcard::to_stdvec(entry).map_err(io::Error::other)?;
    bytes.extend(u32::try_from(data.len()).map_err(io::Error::other)?.to_le_bytes());
    bytes.extend(crc32fast::hash(&data).to_le_bytes());
    bytes.extend(data);
    Ok(())
}

impl RaftLogStorage<Types> for FileLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let log = self.log();
        let last = log.entries.last_key_value().map(|(_, entry)| entry.log_id());
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last.or(log.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        let bytes = postcard::to_stdvec(vote).map_err(io::Error::other)?;
        let mut log = self.log();
        log.votes.append(&bytes)?;
        log.vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut bytes = Vec::new();
        {
            let mut log = self.log();
            for entry in entries {
                encode(&entry, &mut bytes)?;
                log.entries.insert(entry.log_id().index, entry);
            }
        }
        self.writes.send((bytes, callback)).map_err(io::Error::other)
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        let first = last.map_or(0, |last| last.index + 1);
        self.log().entries.split_off(&first);
        Ok(())
    }

    async fn purge(&mut self, upto: LogIdOf<Types>) -> Result<(), io::Error> {
        let mut log = self.log();
        log.entries = log.entries.split_off(&(upto.index + 1));
        log.purged = Some(upto);
        Ok(())
    }
}

impl RaftLogReader<Types> for FileLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        Ok(self.log().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(self.log().vote)
    }
}
