//! The log: `Wal`, what is written to it (`Batch`), and how it is read. Opening is in `recovery`,
//! making durable in `sync`.

use crate::disk::{Disk, File};
use crate::error::Error;
use crate::format::{
    BEGIN_BYTES, ENTRY_BYTES, HEADER_BYTES, Header, Identity, Keeps, Record, State, seed,
};
use crate::segment::{Segment, make, segment_name, segment_sequence};
use crate::sync::{Covered, Names};
use crate::table::Table;
use holm_raft_core::{Entry, EntryId, HardState, Index, LogStart, LogTime, Term, WriteNumber};
use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// How a log is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of a segment file, in bytes: a multiple of 512, from
    /// [`SEGMENT_BYTES_MIN`](Self::SEGMENT_BYTES_MIN) to
    /// [`SEGMENT_BYTES_MAX`](Self::SEGMENT_BYTES_MAX). 64 MiB by default. It holds for segments
    /// that are made from now on; an entry must fit into one segment.
    pub segment_bytes: u64,
}

/// What is written at once, in the order of the fields.
///
/// A crash may keep a part of it, from its beginning: entries never without the truncation before
/// them, a truncation never without the hard state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    /// The term and vote from now on.
    pub hard_state: Option<HardState>,
    /// Drop the entries up to this one. Where the log does not hold it, all entries are dropped,
    /// and the log begins after it. One at or before the present start changes nothing.
    pub compact: Option<LogStart>,
    /// Drop the entries from this index on.
    pub truncate: Option<Index>,
    /// Entries that follow on what is left.
    pub entries: &'a [Entry],
}

/// A log on a disk.
///
/// It is written by one owner, and never waits for the disk but where a segment is full and the
/// next one is made.
pub struct Wal {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    /// Never empty; the last one is written to.
    pub(crate) segments: VecDeque<Segment>,
    /// Files made for the segments to come, in order.
    pub(crate) spares: VecDeque<Arc<dyn File>>,
    pub(crate) table: Table,
    pub(crate) written: WriteNumber,
    pub(crate) durable: WriteNumber,
    /// Up to which position all is durable.
    pub(crate) durable_end: u64,
    pub(crate) names: Names,
    pub(crate) syncing: Option<Covered>,
    pub(crate) health: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    /// A write or a sync failed: nobody knows what the disk holds.
    Poisoned,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20 }
    }
}

impl Options {
    /// The least a segment may have, in bytes.
    pub const SEGMENT_BYTES_MIN: u64 = 1 << 10;
    /// The most a segment may have, in bytes.
    pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

    /// The most bytes of data that an entry may have.
    #[must_use]
    pub fn entry_bytes_max(&self) -> u64 {
        self.segment_bytes.saturating_sub((BEGIN_BYTES + ENTRY_BYTES) as u64)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let (min, max) = (Self::SEGMENT_BYTES_MIN, Self::SEGMENT_BYTES_MAX);
        let found = self.segment_bytes;
        let fits = (min..=max).contains(&found) && found.is_multiple_of(512);
        if fits { Ok(()) } else { Err(Error::SegmentBytes { found, min, max }) }
    }
}

impl Wal {
    /// What a new log's first file is called until all of it is durable.
    pub(crate) const UNFINISHED: &str = "segment.new";

    /// Whether there is a log on this disk. What a crash left of a log that was being made counts
    /// as none.
    ///
    /// # Errors
    /// Whatever the disk reports.
    pub fn exists(disk: &dyn Disk) -> Result<bool, Error> {
        let names = disk.list().map_err(Error::io("listing", "the log's directory"))?;
        Ok(names.iter().any(|name| segment_sequence(name).is_some()))
    }

    /// Makes an empty log, durable on return.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::SegmentBytes`], [`Error::Full`], or whatever the disk reports.
    pub fn create(
        disk: Arc<dyn Disk>,
        options: Options,
        identity: Identity,
    ) -> Result<Self, Error> {
        options.check()?;
        if Self::exists(&*disk)? {
            return Err(Error::Exists);
        }
        match disk.remove(Self::UNFINISHED) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("removing", Self::UNFINISHED)(error));
            }
            _ => {}
        }
        let file = make(&*disk, Self::UNFINISHED, options.segment_bytes)?;
        let state = State::default();
        let segment = Segment::begin(file, Header { identity, sequence: 1, base: 0 }, state, 0)?;
        let name = segment.name();
        segment.file.sync().map_err(Error::io("syncing", Self::UNFINISHED))?;
        disk.rename(Self::UNFINISHED, &name).map_err(Error::io("naming", &name))?;
        disk.sync_directory().map_err(Error::io("syncing the directory of", &name))?;
        let durable_end = segment.end();
        Ok(Self {
            disk,
            options,
            identity,
            segments: VecDeque::from([segment]),
            spares: VecDeque::new(),
            table: Table::new(&state).expect("an empty state is no contradiction"),
            written: WriteNumber(0),
            durable: WriteNumber(0),
            durable_end,
            names: Names::Durable,
            syncing: None,
            health: Health::Sound,
        })
    }

    /// Writes the batch, and returns its number, without waiting for it to be durable. Numbers
    /// count from 1 after each create or open; an empty batch takes one too.
    ///
    /// # Errors
    /// [`Error::TooLarge`] and [`Error::Full`]: nothing was written, and the log goes on.
    /// [`Error::Poisoned`] after an earlier error; [`Error::Io`] if a write fails, which poisons.
    ///
    /// # Panics
    /// If the batch contradicts the log: entries that do not follow on, a truncation behind the
    /// start, a term that goes back. Writing it would lose data.
    pub fn append(&mut self, batch: &Batch<'_>) -> Result<WriteNumber, Error> {
        self.check_health()?;
        self.check_batch(batch)?;
        let records = self.records(batch);
        let runs = self.lay_out(&records);
        self.reserve(runs.len() - 1)?;
        for (at, run) in runs.iter().enumerate() {
            let result = if at == 0 { Ok(()) } else { self.roll() };
            let result = result.and_then(|()| self.write(&records[run.clone()]));
            if result.is_err() {
                self.health = Health::Poisoned;
            }
            result?;
        }
        self.written.0 += 1;
        Ok(self.written)
    }

    fn check_batch(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let bytes_max = self.options.entry_bytes_max();
        for entry in batch.entries {
            let bytes = entry.data.len() as u64;
            if bytes > bytes_max {
                return Err(Error::TooLarge { bytes, bytes_max });
            }
        }
        // On a copy of the few words that matter here, for the table itself must not change before
        // all of the batch is known to be sound and to have its place.
        let start = self.start_after(batch);
        let mut last = self.last().index;
        if self.drops_all(&start) {
            last = start.id.index;
        }
        if let Some(hard_state) = batch.hard_state {
            assert!(hard_state.term >= self.table.hard_state().term, "a term goes back");
        }
        if let Some(index) = batch.truncate {
            assert!(index > start.id.index, "a truncation reaches behind the log's start");
            last = last.min(index.prev());
        }
        let mut term = if last == start.id.index { Some(start.id.term) } else { self.term(last) };
        for entry in batch.entries {
            assert!(entry.id.index == last.next(), "an entry does not follow on the one before it");
            assert!(Some(entry.id.term) >= term, "an entry's term is below the one before it");
            (last, term) = (entry.id.index, Some(entry.id.term));
        }
        Ok(())
    }

    fn start_after(&self, batch: &Batch<'_>) -> LogStart {
        let now = self.table.start();
        batch.compact.filter(|start| start.id.index > now.id.index).unwrap_or(now)
    }

    fn drops_all(&self, start: &LogStart) -> bool {
        self.term(start.id.index) != Some(start.id.term)
    }

    /// The batch as records, in the order that a reader after a crash relies on.
    fn records<'a>(&self, batch: &Batch<'a>) -> Vec<Record<'a>> {
        let mut records = Vec::with_capacity(batch.entries.len() + 3);
        records.extend(batch.hard_state.map(Record::HardState));
        let start = self.start_after(batch);
        if start != self.table.start() {
            let keeps = if self.drops_all(&start) { Keeps::Nothing } else { Keeps::Suffix };
            records.push(Record::Compact { start, keeps });
        }
        records.extend(batch.truncate.map(Record::Truncate));
        records.extend(batch.entries.iter().map(|entry| Record::Entry {
            id: entry.id,
            time: entry.time,
            kind: entry.kind,
            data: &entry.data,
        }));
        records
    }

    /// Which records go into the present segment, which into the next, and so on.
    fn lay_out(&self, records: &[Record<'_>]) -> Vec<std::ops::Range<usize>> {
        let active = self.active();
        let mut room = active.room();
        let mut runs = Vec::with_capacity(1);
        let mut from = 0;
        for (at, record) in records.iter().enumerate() {
            if record.span() > room {
                runs.push(from..at);
                from = at;
                room = usize::try_from(self.options.segment_bytes).expect("bounded") - BEGIN_BYTES;
            }
            room -= record.span();
        }
        runs.push(from..records.len());
        runs
    }

    /// Sees to it that so many segments can be begun: a full disk is met here, before anything of
    /// the batch is written.
    fn reserve(&mut self, segments: usize) -> Result<(), Error> {
        while self.spares.len() < segments {
            let ahead = u32::try_from(self.spares.len()).expect("bounded by the batch");
            let name = segment_name(self.active().sequence + 1 + ahead);
            let file = make(&*self.disk, &name, self.options.segment_bytes)?;
            self.names = Names::Unsynced;
            self.spares.push_back(file);
        }
        Ok(())
    }

    fn roll(&mut self) -> Result<(), Error> {
        let file = self.spares.pop_front().expect("reserved before");
        let sequence = self.active().sequence.checked_add(1).expect("segments never run out");
        let header = Header { identity: self.identity, sequence, base: self.end() };
        let unsynced = header.base + HEADER_BYTES as u64 - self.durable_end;
        self.segments.push_back(Segment::begin(file, header, self.table.state(), unsynced)?);
        Ok(())
    }

    /// Writes the records, which fit, into the present segment.
    fn write(&mut self, records: &[Record<'_>]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let segment = self.segments.back_mut().expect("never empty");
        let mut heads = Vec::with_capacity(records.iter().map(Record::head_bytes).sum());
        let mut at = segment.used;
        for record in records {
            let unsynced = segment.base + at as u64 - self.durable_end;
            record.encode(seed(segment.salt, at), unsynced, &mut heads);
            at += record.span();
        }
        let mut slices = Vec::with_capacity(records.len() * 3);
        let mut heads = heads.as_slice();
        for record in records {
            let (head, rest) = heads.split_at(record.head_bytes());
            slices.extend([head, record.data(), record.padding()]);
            heads = rest;
        }
        let written = segment.file.write(segment.used as u64, &slices);
        written.map_err(|source| Error::io("writing to", &segment.name())(source))?;
        for record in records {
            let location = segment.location(record);
            segment.note(record);
            self.table.apply(record, location).expect("checked before it was written");
        }
        Ok(())
    }

    pub(crate) fn check_health(&self) -> Result<(), Error> {
        if self.health == Health::Poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn active(&self) -> &Segment {
        self.segments.back().expect("never empty")
    }

    /// The position after all that is written.
    pub(crate) fn end(&self) -> u64 {
        self.active().end()
    }
}

/// Reading.
impl Wal {
    /// The last entry's id; the start's if there is none.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.table.last()
    }

    /// Where the log begins.
    #[must_use]
    pub fn start(&self) -> LogStart {
        self.table.start()
    }

    /// The term and vote as written last.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.table.hard_state()
    }

    /// Whose log it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The bytes written into the segments that are in use. Compaction makes it fall with the next
    /// sync, by whole segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.used as u64).sum()
    }

    /// The term of the entry at this index, or of the start; nothing where the log holds neither.
    #[must_use]
    pub fn term(&self, index: Index) -> Option<Term> {
        self.table.term(index)
    }

    /// The entry at this index, its checksum checked.
    ///
    /// # Errors
    /// [`Error::NotHeld`]; [`Error::Damaged`] if the disk gives back something else than was
    /// written; whatever else the disk reports.
    pub fn entry(&self, index: Index) -> Result<Entry, Error> {
        let location = self.table.location(index).ok_or_else(|| self.not_held(index))?;
        let front = self.segments.front().expect("never empty").sequence;
        let segment = &self.segments[usize::try_from(location.segment - front).expect("held")];
        segment.entry(index, location)
    }

    /// The entries in the range from its first one on, as long as their weights
    /// ([`Entry::weight`]) together stay within `bytes_max`; at least one, if the range is not
    /// empty.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry), for each entry of the range that is not held.
    pub fn entries(
        &self,
        range: RangeInclusive<Index>,
        bytes_max: u64,
    ) -> Result<Vec<Entry>, Error> {
        let (first, last) = range.into_inner();
        let mut entries = Vec::new();
        let mut room = bytes_max;
        let mut index = first;
        while index <= last {
            let location = self.table.location(index).ok_or_else(|| self.not_held(index))?;
            let weight = Entry::OVERHEAD + u64::from(location.length);
            if weight > room && !entries.is_empty() {
                break;
            }
            entries.push(self.entry(index)?);
            room = room.saturating_sub(weight);
            index = index.next();
        }
        Ok(entries)
    }

    fn not_held(&self, index: Index) -> Error {
        Error::NotHeld { index, start: self.table.start().id, last: self.last() }
    }

    pub(crate) fn last_time(&self) -> Result<LogTime, Error> {
        let (last, start) = (self.last(), self.start());
        if last == start.id { Ok(start.time) } else { Ok(self.entry(last.index)?.time) }
    }
}
