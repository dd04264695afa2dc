//! Holm's log as openraft's: `Store`, a thin adapter. Where it has to bend:
//!
//! - openraft counts entries from 0, Holm from 1: an index, and a term, is one higher here.
//! - openraft's suite begins a log anywhere; Holm's entries follow on. In front of the first entry
//!   of an empty log an empty one stands in for what the suite left out, and the log is compacted
//!   to before that, at term 0, which no entry of openraft's has here: such a start was never
//!   purged.
//! - A vote of openraft's may be committed; Holm's hard state has no place for that but the voter's
//!   incarnation, which openraft lacks.
//! - An entry's payload is JSON in the entry's data. With `leader_id_std` a log id is a term and an
//!   index, as Holm's is; with openraft's other kind the node would have to travel in the data too.
//! - openraft asks to cut behind an entry that may not be there; Holm asserts that a cut is within
//!   the log.
//! - The committed id is kept in memory: openraft doesn't need it to be durable, and Holm's log has
//!   no record for it.

use holm_raft_core::{
    Entry, EntryId, EntryKind, HardState, Incarnation, Index, LogStart, LogTime, MemberId, NodeId,
    Term,
};
use holm_wal::{Batch, Disk, Identity, Options, Wal};
use openraft::entry::RaftEntry;
use openraft::impls::leader_id_std::LeaderId;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::{EntryPayload, LogId, LogState, OptionalSend, RaftLogReader, Vote};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

openraft::declare_raft_types!(
    /// The kinds of openraft that this suite is run with.
    pub(crate) Types: D = String, R = String, Node = (), LeaderId = LeaderId<u64, u64>
);

/// What happens to the log after each call that writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    Nothing,
    /// It is closed, and opened from what its disk has.
    Reopen,
}

/// A log, or a reader of one: they share it.
#[derive(Clone)]
pub(crate) struct Store {
    log: Arc<Mutex<Log>>,
}

struct Log {
    disk: Arc<dyn Disk>,
    between: Between,
    /// Absent only while it is opened again.
    wal: Option<Wal>,
    committed: Option<LogIdOf<Types>>,
}

impl RaftLogStorage<Types> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let log = self.log();
        let (start, last) = (log.wal().start().id, log.wal().last());
        let last_purged_log_id = (start.term > Term(0)).then(|| from_id(start));
        let last_log_id = if last == start { last_purged_log_id } else { Some(from_id(last)) };
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        let voted_for = NodeId(vote.leader_id.voted_for);
        let vote = HardState {
            term: Term(vote.leader_id.term + 1),
            vote: Some(MemberId::new(voted_for, Incarnation(u64::from(vote.committed)))),
        };
        self.log().write(&Batch { hard_state: Some(vote), ..Batch::default() })
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        self.log().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<Types>>, io::Error> {
        Ok(self.log().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(|entry| to_entry(&entry));
        let mut entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
        let mut log = self.log();
        let compact = log.fill_gap(&mut entries);
        let written = log.write(&Batch { compact, entries: &entries, ..Batch::default() });
        callback.io_completed(written);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        let mut log = self.log();
        let first = log.wal().start().id.index.next();
        let truncate = last.map_or(first, |last| to_index(last.index).next()).max(first);
        if truncate > log.wal().last().index {
            return Ok(());
        }
        log.write(&Batch { truncate: Some(truncate), ..Batch::default() })
    }

    async fn purge(&mut self, upto: LogIdOf<Types>) -> Result<(), io::Error> {
        let id = EntryId::new(Term(upto.leader_id.term + 1), to_index(upto.index));
        let compact = Some(LogStart { id, time: LogTime(0) });
        self.log().write(&Batch { compact, ..Batch::default() })
    }
}

impl RaftLogReader<Types> for Store {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        let log = self.log();
        let from = match range.start_bound() {
            Bound::Included(index) => to_index(*index),
            Bound::Excluded(index) => to_index(*index).next(),
            Bound::Unbounded => Index(1),
        };
        let to = match range.end_bound() {
            Bound::Included(index) => to_index(*index),
            Bound::Excluded(index) => Index(*index),
            Bound::Unbounded => Index(u64::MAX),
        };
        let (from, to) =
            (from.max(log.wal().start().id.index.next()), to.min(log.wal().last().index));
        let entries = log.wal().entries(from..=to, u64::MAX).map_err(io::Error::other)?;
        entries.iter().filter(|entry| entry.kind != STAND_IN).map(from_entry).collect()
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        let HardState { term, vote } = self.log().wal().hard_state();
        Ok(vote.map(|voted_for| {
            let leader_id = LeaderId { term: term.0 - 1, voted_for: voted_for.node.0 };
            Vote { leader_id, committed: voted_for.incarnation.0 == 1 }
        }))
    }
}

impl Store {
    pub(crate) fn create(disk: Arc<dyn Disk>, between: Between) -> Result<Self, holm_wal::Error> {
        let wal = Some(Wal::create(disk.clone(), options(), Identity::default())?);
        Ok(Self { log: Arc::new(Mutex::new(Log { disk, between, wal, committed: None })) })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn wal(&self) -> &Wal {
        self.wal.as_ref().expect("it was opened again")
    }

    /// Durable on return.
    fn write(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        let wal = self.wal.as_mut().expect("it was opened again");
        let number = wal.append(batch).map_err(io::Error::other)?;
        let job = wal.begin_sync().ok_or_else(|| io::Error::other("nothing to sync"))?.into_job();
        let durable = wal.finish_sync(job()).map_err(io::Error::other)?;
        assert!(durable >= number, "a sync covers what was written before it");
        if self.between == Between::Reopen {
            drop(self.wal.take());
            let opened = Wal::open(self.disk.clone(), options()).map_err(io::Error::other)?;
            assert_eq!(opened.1.torn, None, "a log that was closed in order is not torn");
            self.wal = Some(opened.0);
        }
        Ok(())
    }

    /// Puts the stand-in in front of these entries, if the log is empty and they don't follow on;
    /// and says where the log has to begin then.
    fn fill_gap(&self, entries: &mut Vec<Entry>) -> Option<LogStart> {
        let (start, last) = (self.wal().start().id, self.wal().last());
        let first = entries.first()?.id;
        if start != last || first.index <= last.index.next() {
            return None;
        }
        let id = EntryId::new(first.term, first.index.prev());
        let (time, kind) = (LogTime(0), STAND_IN);
        entries.insert(0, Entry { id, time, kind, data: Default::default() });
        Some(LogStart { id: EntryId::new(Term(0), id.index.prev()), time })
    }
}

/// The kind of an entry that openraft did not append and must not see.
const STAND_IN: EntryKind = EntryKind::Noop;

/// Small segments, so that the suite crosses from one to the next.
fn options() -> Options {
    Options { segment_bytes: 4 << 10 }
}

fn to_index(index: u64) -> Index {
    Index(index.saturating_add(1))
}

fn from_id(id: EntryId) -> LogIdOf<Types> {
    LogId::new_term_index(id.term.0 - 1, id.index.0 - 1)
}

fn to_entry(entry: &EntryOf<Types>) -> io::Result<Entry> {
    let log_id = entry.log_id();
    Ok(Entry {
        id: EntryId::new(Term(log_id.leader_id.term + 1), to_index(log_id.index)),
        time: LogTime(0),
        kind: EntryKind::Command,
        data: serde_json::to_vec(&entry.payload)?.into(),
    })
}

fn from_entry(entry: &Entry) -> io::Result<EntryOf<Types>> {
    let payload: EntryPayload<String, u64, ()> = serde_json::from_slice(&entry.data)?;
    Ok(EntryOf::<Types>::new(from_id(entry.id), payload))
}
