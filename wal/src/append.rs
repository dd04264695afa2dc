//! Writing to the log: `Batch` and `Wal::append`. All of a batch has its place before its first
//! byte is written; what is written is a store into the mapped segment, and nothing waits for the
//! disk.

use crate::error::Error;
use crate::format::{
    BEGIN_BYTES, HEADER_BYTES, Header, Keeps, RECORD_BYTES, Record, encode_entry, entry_span, seed,
};
use crate::mutation::{self, Mutation};
use crate::segment::{Segment, not_made};
use crate::sync::Names;
use crate::table::follows;
use crate::wal::{Health, Options, Wal};
use holm_raft_core::{Entry, EntryId, HardState, Index, LogStart, WriteNumber};
use std::ops::Range;

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

impl Wal {
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
        if batch.is_entries_alone() {
            if let [entry] = batch.entries
                && let Some(number) = self.write_entry(entry)?
            {
                return Ok(number);
            }
            if let Some(span) = self.span_at_once(batch.entries) {
                return self.write_entries(batch.entries, span);
            }
        }
        self.check_batch(batch)?;
        self.append_records(batch)
    }

    /// How many bytes the records of these entries take, if they are few and small enough to be
    /// put together, and fit into the present segment.
    #[inline]
    fn span_at_once(&self, entries: &[Entry]) -> Option<usize> {
        let span = entries.iter().map(entry_span).sum();
        let fits = span + self.reserved_bytes <= self.active().room();
        (fits && is_gathered(span, entries.len())).then_some(span)
    }

    /// Appends a batch that was checked, whatever is in it and however large it is.
    #[inline(never)]
    fn append_records(&mut self, batch: &Batch<'_>) -> Result<WriteNumber, Error> {
        let start = self.start_after(batch);
        let compact = (start != self.table.start()).then(|| {
            let keeps = if self.drops_all(&start) { Keeps::Nothing } else { Keeps::Suffix };
            Record::Compact { start, keeps }
        });
        let records = batch.records(compact);
        let span = records.clone().map(|record| record.span()).sum();
        let reserved = if batch.entries.is_empty() { 0 } else { self.reserved_bytes };
        let result = if span + reserved <= self.active().room() {
            self.write(records, span)
        } else {
            let records: Vec<_> = records.collect();
            let (runs, room) = self.lay_out(&records);
            self.secure(runs.len() - 1 + usize::from(room < reserved))?;
            self.write_runs(&records, runs)
        };
        if result.is_err() {
            self.health = Health::Poisoned;
        }
        result?;
        self.written.0 += 1;
        Ok(self.written)
    }

    fn check_batch(&self, batch: &Batch<'_>) -> Result<(), Error> {
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
        let term = if last == start.id.index { Some(start.id.term) } else { self.term(last) };
        self.check_entries(batch.entries, EntryId::new(term.unwrap_or_default(), last))
    }

    /// Checks entries that follow on this one.
    fn check_entries(&self, entries: &[Entry], mut last: EntryId) -> Result<(), Error> {
        let bytes_max = self.options.entry_bytes_max();
        for entry in entries {
            let (id, bytes) = (entry.id, entry.data.len() as u64);
            if bytes > bytes_max {
                return Err(Error::TooLarge { bytes, bytes_max });
            }
            check_follows(id, last);
            last = id;
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

    /// Which records go into the present segment, which into the next, and so on, and how much
    /// room is left in the last one.
    fn lay_out(&self, records: &[Record<'_>]) -> (Vec<Range<usize>>, usize) {
        let mut room = self.active().room();
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
        (runs, room)
    }

    /// Sees to it that so many spare files are there: a full disk is met here, before anything of
    /// a batch is written.
    fn secure(&mut self, spares: usize) -> Result<(), Error> {
        if self.spares.count() < spares {
            self.keep_up(Vec::new());
        }
        self.check_spares()?;
        while self.spares.count() < spares {
            let bytes = self.options.segment_bytes;
            self.spares
                .make(&*self.disk)
                .map_err(|source| not_made("a segment's file", bytes, source))?;
        }
        self.check_spares()
    }

    fn write_runs(&mut self, records: &[Record<'_>], runs: Vec<Range<usize>>) -> Result<(), Error> {
        for (at, run) in runs.into_iter().enumerate() {
            if at > 0 {
                self.roll()?;
            }
            let records = records[run].iter().copied();
            let span = records.clone().map(|record| record.span()).sum();
            self.write(records, span)?;
        }
        self.keep_up(Vec::new());
        Ok(())
    }

    fn roll(&mut self) -> Result<(), Error> {
        let spare = self.spares.take().expect("secured before");
        self.footers.seal(self.segments.back().expect("never empty"), &self.table);
        let sequence = self.active().sequence.checked_add(1).expect("segments never run out");
        let header =
            Header { identity: self.identity, sequence, base: self.end(), behind: spare.behind };
        let unsynced = header.base + HEADER_BYTES as u64 - self.durable_end;
        let segment = Segment::begin(spare.file, &header, self.table.state(), unsynced)?;
        let name = segment.name();
        self.disk.rename(&spare.name, &name).map_err(Error::io("naming", &name))?;
        self.names = Names::Unsynced;
        self.segments.push_back(segment);
        Ok(())
    }

    /// Writes one entry, if it is small and fits into the present segment: what is asked for most,
    /// in the fewest steps.
    #[inline]
    fn write_entry(&mut self, entry: &Entry) -> Result<Option<WriteNumber>, Error> {
        let span = entry_span(entry);
        let segment = self.segments.back_mut().expect("never empty");
        let (at, room) = (segment.used, segment.room());
        if span > GATHERED_RECORD_BYTES_MAX || span + self.reserved_bytes > room {
            return Ok(None);
        }
        check_follows(entry.id, self.table.last());
        let (record, behind) = self.record.split_at_mut(span);
        let unsynced = segment.end() - self.durable_end;
        encode_entry(entry, seed(segment.salt, at), unsynced, record);
        let mut mark = RECORD_BYTES.min(room - span);
        if mutation::on(Mutation::NoEndMark) {
            mark = 0;
        }
        *behind.first_chunk_mut().expect("room for an end mark") = [0_u8; RECORD_BYTES];
        if let Err(source) = segment.file.write(at as u64, &[&self.record[..span + mark]]) {
            self.health = Health::Poisoned;
            return Err(Error::io("writing to", &segment.name())(source));
        }
        let location = segment.note_entry(entry, span);
        self.table.push_checked(entry.id, entry.kind, location);
        self.written.0 += 1;
        Ok(Some(self.written))
    }

    /// Like [`write`](Self::write) for entries alone, few and small. They are checked as they are
    /// put together, before the first byte is written.
    fn write_entries(&mut self, entries: &[Entry], span: usize) -> Result<WriteNumber, Error> {
        let segment = self.segments.back_mut().expect("never empty");
        if self.scratch.len() < span {
            self.scratch.resize(span, 0);
        }
        let (first, mut at, mut last) = (segment.used, segment.used, self.table.last());
        let mut rest = &mut self.scratch[..span];
        for entry in entries {
            check_follows(entry.id, last);
            let (record, behind) = rest.split_at_mut(entry_span(entry));
            let unsynced = segment.base + at as u64 - self.durable_end;
            encode_entry(entry, seed(segment.salt, at), unsynced, record);
            (rest, at, last) = (behind, at + record.len(), entry.id);
        }
        let no_mark = mutation::on(Mutation::NoEndMark) || span == 0;
        let end_mark = if no_mark { &[] } else { segment.end_mark(at) };
        if let Err(source) = segment.file.write(first as u64, &[&self.scratch[..span], end_mark]) {
            self.health = Health::Poisoned;
            return Err(Error::io("writing to", &segment.name())(source));
        }
        for entry in entries {
            let location = segment.note_entry(entry, entry_span(entry));
            self.table.push_checked(entry.id, entry.kind, location);
        }
        self.written.0 += 1;
        Ok(self.written)
    }

    /// Writes the records, which take `span` bytes and fit, into the present segment.
    fn write<'a>(
        &mut self,
        records: impl Iterator<Item = Record<'a>> + Clone,
        span: usize,
    ) -> Result<(), Error> {
        if span == 0 {
            return Ok(());
        }
        let segment = self.segments.back_mut().expect("never empty");
        let end_mark = segment.end_mark(segment.used + span);
        self.scratch.clear();
        let (salt, base, at) = (segment.salt, segment.base, segment.used);
        let mut places = Places { salt, base, at, durable_end: self.durable_end };
        let written = if is_gathered(span, records.clone().count()) {
            for record in records.clone() {
                let (seed, unsynced) = places.next(&record);
                stored(record).encode_whole(seed, unsynced, &mut self.scratch);
            }
            if !mutation::on(Mutation::NoEndMark) {
                self.scratch.extend_from_slice(end_mark);
            }
            segment.file.write(segment.used as u64, &[&self.scratch])
        } else {
            for record in records.clone() {
                let (seed, unsynced) = places.next(&record);
                record.encode(seed, unsynced, &mut self.scratch);
            }
            let mut slices = Vec::new();
            let mut heads = self.scratch.as_slice();
            for record in records.clone() {
                let (head, rest) = heads.split_at(record.head_bytes());
                slices.extend([head, record.data(), record.padding()]);
                heads = rest;
            }
            slices.push(end_mark);
            segment.file.write(segment.used as u64, &slices)
        };
        written.map_err(|source| Error::io("writing to", &segment.name())(source))?;
        if self.scratch.capacity() > SCRATCH_BYTES_MAX {
            self.scratch = Vec::new();
        }
        for record in records {
            let location = segment.location(&record);
            segment.note(&record);
            self.table.apply(&record, location).expect("checked before it was written");
        }
        Ok(())
    }
}

/// Up to how many bytes of records are put together before they are stored, in bytes: summed and
/// copied in one piece each. More go out as they are, in slices.
const GATHERED_BYTES_MAX: usize = 128 << 10;
/// The same for one record, on average: larger ones are better not copied twice.
pub(crate) const GATHERED_RECORD_BYTES_MAX: usize = 4 << 10;

/// Asserts that an entry of this id may stand right behind that one.
#[inline]
fn check_follows(id: EntryId, last: EntryId) {
    if let Err(reason) = follows(id, last) {
        panic!("{reason}");
    }
}

fn is_gathered(span: usize, records: usize) -> bool {
    span <= GATHERED_BYTES_MAX.min(records.saturating_mul(GATHERED_RECORD_BYTES_MAX))
}

/// How much memory is kept for the next batch, in bytes.
const SCRATCH_BYTES_MAX: usize = 256 << 10;

/// Goes from record to record, and says what each one's checksum starts from and how many bytes
/// before it are not durable.
struct Places {
    salt: u32,
    base: u64,
    at: usize,
    durable_end: u64,
}

impl Places {
    fn next(&mut self, record: &Record<'_>) -> (u32, u64) {
        let place = (seed(self.salt, self.at), self.base + self.at as u64 - self.durable_end);
        self.at += record.span();
        place
    }
}

/// The record as it is written: where a known bug is switched on, another one in its place.
fn stored(record: Record<'_>) -> Record<'_> {
    match record {
        Record::Truncate(_) if mutation::on(Mutation::TruncateInMemoryOnly) => Record::Filler(8),
        Record::Compact { .. } if mutation::on(Mutation::CompactInMemoryOnly) => Record::Filler(24),
        record => record,
    }
}

/// An entry as a record.
pub(crate) fn record(entry: &Entry) -> Record<'_> {
    Record::Entry { id: entry.id, time: entry.time, kind: entry.kind, data: &entry.data }
}

impl<'a> Batch<'a> {
    fn is_entries_alone(&self) -> bool {
        self.hard_state.is_none() && self.compact.is_none() && self.truncate.is_none()
    }

    /// The batch as records, in the order that a reader after a crash relies on.
    fn records(
        &self,
        compact: Option<Record<'a>>,
    ) -> impl Iterator<Item = Record<'a>> + Clone + use<'a> {
        let entries = self.entries.iter().map(record);
        let mut first = self.hard_state.map(Record::HardState);
        let truncate = self.truncate.map(Record::Truncate);
        let mut last = None;
        if mutation::on(Mutation::HardStateLast) {
            last = first.take();
        }
        first.into_iter().chain(compact).chain(truncate).chain(entries).chain(last)
    }
}

impl Options {
    /// How many bytes of a segment entries leave free where no spare file is left, so that hard
    /// states, truncations and compactions can still be written on a full disk.
    pub(crate) fn reserved_bytes(&self) -> usize {
        const RESERVED_BYTES_MAX: u64 = 64 << 10;
        let bytes = (self.segment_bytes / 8).min(RESERVED_BYTES_MAX);
        usize::try_from(bytes).expect("64 KiB at most")
    }
}
