//! Opening a log: every record is read and checked, and what a crash left is told apart from
//! damage.
//!
//! Reading stops at the first place where no whole record follows. If a record behind it (records
//! don't chain, so it can be found) says that more was durable when it was written, then durable
//! bytes are gone: damage, which is never cut. Otherwise nothing behind that place was ever
//! acknowledged: a torn tail, which is wiped durably before anything new is written, so that no
//! later recovery can stumble over it.

use crate::disk::{Disk, File};
use crate::error::Error;
use crate::format::{
    ALIGN, BEGIN_BYTES, HEADER_BYTES, Header, HeaderError, Identity, Record, salt,
};
use crate::segment::{Segment, segment_name, segment_sequence};
use crate::sync::Names;
use crate::table::Table;
use crate::wal::{Health, Options, Wal};
use bytes::Bytes;
use holm_raft_core::{
    Entry, EntryId, HardState, Index, LogStart, LogTime, SnapshotMeta, Term, WriteNumber,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a log held when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Whose log it is.
    pub identity: Identity,
    /// The last term and vote.
    pub hard_state: HardState,
    /// The log begins after this; zero if nothing was compacted.
    pub start: LogStart,
    /// The first entry of each run of equal terms, ascending.
    pub terms: Vec<EntryId>,
    /// The last entry; the start's id if there is none.
    pub last: EntryId,
    /// The last entry's log time; the start's if there is none.
    pub last_time: LogTime,
    /// All configuration entries in the log, ascending.
    pub configurations: Vec<Entry>,
    /// What a crash left behind the last whole record, and is now cut off.
    pub torn: Option<Torn>,
}

/// A torn tail: bytes that were written, but not all of them, and never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment's file name.
    pub segment: String,
    /// Where it was cut, in bytes.
    pub offset: u64,
}

impl Recovered {
    /// Whether the newest readable snapshot and the log meet: the log must not begin after it.
    ///
    /// # Errors
    /// [`Error::SnapshotMissing`] if there is something missing between them.
    pub fn check_snapshot(&self, snapshot: Option<&SnapshotMeta>) -> Result<(), Error> {
        let snapshot = snapshot.map_or(EntryId::ZERO, |meta| meta.last);
        if snapshot.index >= self.start.id.index {
            return Ok(());
        }
        Err(Error::SnapshotMissing { start: self.start.id, snapshot })
    }
}

impl Wal {
    /// Opens the log on this disk. On return all that it holds is durable.
    ///
    /// # Errors
    /// [`Error::Absent`] where there is none; [`Error::Damaged`], [`Error::Foreign`] and
    /// [`Error::Version`], with nothing changed on the disk; whatever else the disk reports.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Recovered), Error> {
        options.check()?;
        let names = disk.list().map_err(Error::io("listing", "the log's directory"))?;
        let mut replay = Replay::default();
        for sequence in names.iter().filter_map(|name| segment_sequence(name)) {
            replay.read(&*disk, sequence)?;
        }
        let table = replay.table()?;
        let torn = replay.settle(&*disk)?;
        let end = replay.segments.back().ok_or(Error::Absent)?.end();
        let wal = Self {
            disk,
            options,
            identity: replay.identity.unwrap_or_default(),
            segments: replay.segments,
            spares: VecDeque::new(),
            table,
            written: WriteNumber(0),
            durable: WriteNumber(0),
            durable_end: end,
            names: Names::Durable,
            syncing: None,
            health: Health::Sound,
        };
        let recovered = Recovered {
            identity: wal.identity,
            hard_state: wal.hard_state(),
            start: wal.start(),
            terms: wal.table.terms().collect(),
            last: wal.last(),
            last_time: wal.last_time()?,
            configurations: wal
                .table
                .configurations()
                .map(|index| wal.entry(index))
                .collect::<Result<_, _>>()?,
            torn,
        };
        Ok((wal, recovered))
    }
}

/// The segments as far as they were read.
#[derive(Default)]
struct Replay {
    identity: Option<Identity>,
    table: Option<Table>,
    segments: VecDeque<Segment>,
    /// Up to which position some record says that all was durable.
    witnessed: u64,
    cut: Option<Cut>,
    /// Segments behind the cut, oldest first.
    doomed: Vec<String>,
}

/// Where reading stopped.
struct Cut {
    segment: String,
    offset: usize,
    position: u64,
    reason: &'static str,
    remains: Remains,
}

/// What lies behind a cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// Only zeroes: a file that was made for later.
    Zeroes,
    /// Bytes that were written.
    Bytes,
}

impl Replay {
    fn read(&mut self, disk: &dyn Disk, sequence: u32) -> Result<(), Error> {
        let name = segment_name(sequence);
        let file = disk.open(&name).map_err(Error::io("opening", &name))?;
        let len = usize::try_from(file.len().min(Options::SEGMENT_BYTES_MAX)).expect("bounded");
        let image = file.copy(0, len).map_err(Error::io("reading", &name))?;
        let header = match Header::decode(&image) {
            Ok(header) => Some(header),
            Err(HeaderError::Version(found)) => return Err(Error::Version { name, found }),
            Err(HeaderError::Malformed) => None,
        };
        if let Some(header) = &header {
            if *self.identity.get_or_insert(header.identity) != header.identity {
                return Err(Error::Foreign { name });
            }
            if header.sequence != sequence {
                return Err(self.damaged(&name, 0, "its name and its header disagree"));
            }
        }
        if self.cut.is_none()
            && let Some(header) = self.follows(header.as_ref(), sequence, &image)?
        {
            return self.replay(file, &header, &image);
        }
        let base = header.map(|header| header.base);
        self.doom(name, &image);
        self.look_for_witnesses(&image, HEADER_BYTES, sequence, base)
    }

    /// The header, if this segment goes on where the one before it ends. Otherwise the log is cut
    /// there.
    fn follows(
        &mut self,
        header: Option<&Header>,
        sequence: u32,
        image: &Bytes,
    ) -> Result<Option<Header>, Error> {
        let begun = header.filter(|header| {
            let first = Record::find(image, HEADER_BYTES, header.salt());
            first.is_some_and(|found| matches!(found.record, Record::State(_)))
        });
        let Some(before) = self.segments.back() else {
            // A log's first segment was durable before it got its name, and before any segment
            // ahead of it was removed.
            let name = segment_name(sequence);
            let damaged = || self.damaged(&name, 0, "the first segment has no sound beginning");
            return begun.copied().ok_or_else(damaged).map(Some);
        };
        let (position, offset, name) = (before.end(), before.used, before.name());
        let next = before.sequence.checked_add(1) == Some(sequence);
        if next
            && let Some(header) = begun
            && header.base == position
        {
            return Ok(Some(*header));
        }
        let (segment, offset, reason) = if next && begun.is_none() {
            (segment_name(sequence), 0, "it has no sound beginning")
        } else {
            (name, offset, "what follows it is missing")
        };
        self.cut = Some(Cut { segment, offset, position, reason, remains: Remains::Zeroes });
        Ok(None)
    }

    fn replay(&mut self, file: Arc<dyn File>, header: &Header, image: &Bytes) -> Result<(), Error> {
        let mut segment = Segment {
            file,
            sequence: header.sequence,
            salt: header.salt(),
            base: header.base,
            used: HEADER_BYTES,
            highest: Index(0),
        };
        while let Some(found) = Record::find(image, segment.used, segment.salt) {
            self.witnessed = self.witnessed.max(segment.end().saturating_sub(found.unsynced));
            let location = segment.location(&found.record);
            let result = match (&mut self.table, &found.record) {
                (Some(table), record) => table.apply(record, location),
                (table, Record::State(state)) => Table::new(state).map(|new| *table = Some(new)),
                _ => unreachable!("a segment that follows begins with a state"),
            };
            result.map_err(|reason| self.damaged(&segment.name(), segment.used, reason))?;
            segment.note(&found.record);
        }
        let (used, position, sequence) = (segment.used, segment.end(), segment.sequence);
        if image[used..].iter().any(|byte| *byte != 0) {
            self.cut = Some(Cut {
                segment: segment.name(),
                offset: used,
                position,
                reason: "no whole record follows",
                remains: Remains::Bytes,
            });
        }
        self.segments.push_back(segment);
        if self.cut.is_none() {
            return Ok(());
        }
        self.look_for_witnesses(image, used, sequence, Some(header.base))
    }

    fn doom(&mut self, name: String, image: &Bytes) {
        self.doomed.push(name);
        if let Some(cut) = &mut self.cut
            && image.iter().any(|byte| *byte != 0)
        {
            cut.remains = Remains::Bytes;
        }
    }

    /// Looks behind the cut for a record that says that bytes behind the cut were durable. Where
    /// the segment's header is gone, its base is at least the cut.
    fn look_for_witnesses(
        &self,
        image: &Bytes,
        from: usize,
        sequence: u32,
        base: Option<u64>,
    ) -> Result<(), Error> {
        let (Some(cut), Some(identity)) = (&self.cut, &self.identity) else { return Ok(()) };
        let salt = salt(identity, sequence);
        let base = base.unwrap_or(cut.position);
        let mut at = from;
        while at < image.len() {
            let Some(found) = Record::find(image, at, salt) else {
                at += ALIGN;
                continue;
            };
            if base.saturating_add(at as u64).saturating_sub(found.unsynced) > cut.position {
                return Err(self.damaged(&cut.segment, cut.offset, cut.reason));
            }
            at += found.span;
        }
        Ok(())
    }

    fn table(&mut self) -> Result<Table, Error> {
        let table = self.table.take().ok_or(Error::Absent)?;
        if table.has_gap() {
            let first = self.segments.front().map(Segment::name).unwrap_or_default();
            return Err(self.damaged(&first, BEGIN_BYTES, "the segments before it are missing"));
        }
        Ok(table)
    }

    fn damaged(&self, segment: &str, offset: usize, reason: &'static str) -> Error {
        let unknown = EntryId::new(Term(0), Index(0));
        let after = self.table.as_ref().map_or(unknown, Table::last);
        Error::Damaged { segment: segment.to_owned(), offset: offset as u64, after, reason }
    }

    /// Makes the disk hold durably what was read, and nothing else.
    fn settle(&mut self, disk: &dyn Disk) -> Result<Option<Torn>, Error> {
        let unfinished = Wal::UNFINISHED.to_owned();
        let names = disk.list().map_err(Error::io("listing", "the log's directory"))?;
        let unfinished = names.contains(&unfinished).then_some(unfinished);
        for name in self.doomed.iter().rev().chain(&unfinished) {
            disk.remove(name).map_err(Error::io("removing", name))?;
        }
        // Before the wipe: a segment must not outlive the one it follows.
        disk.sync_directory().map_err(Error::io("syncing", "the log's directory"))?;
        for segment in &self.segments {
            let name = segment.name();
            rewrite(segment, self.witnessed).map_err(Error::io("wiping the tail of", &name))?;
            segment.file.sync().map_err(Error::io("syncing", &name))?;
        }
        let torn = self.cut.take().filter(|cut| cut.remains == Remains::Bytes);
        Ok(torn.map(|cut| Torn { segment: cut.segment, offset: cut.offset as u64 }))
    }
}

/// Writes again what nobody has witnessed to be durable, and zeroes over what is behind it.
///
/// The bytes are the same, but a sync that failed before a restart may have left them in the page
/// cache alone, marked clean: only another write brings them to the disk.
fn rewrite(segment: &Segment, witnessed: u64) -> std::io::Result<()> {
    const ZEROES: [u8; 4096] = [0; 4096];
    let len = usize::try_from(segment.file.len()).expect("bounded when it was read");
    let known = usize::try_from(witnessed.saturating_sub(segment.base)).unwrap_or(usize::MAX);
    if known < segment.used {
        let bytes = segment.file.copy(known as u64, segment.used - known)?;
        segment.file.write(known as u64, &[&bytes])?;
    }
    let rest = segment.file.copy(segment.used as u64, len - segment.used)?;
    for (at, chunk) in rest.chunks(ZEROES.len()).enumerate() {
        if chunk.iter().any(|byte| *byte != 0) {
            let offset = segment.used + at * ZEROES.len();
            segment.file.write(offset as u64, &[&ZEROES[..chunk.len()]])?;
        }
    }
    Ok(())
}
