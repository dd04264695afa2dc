//! The log: `Wal`, how one is made, and what is known of it. Opening is in `recovery`, reading in
//! `reading`, writing in `append`, making durable in `sync`.

use crate::append::GATHERED_RECORD_BYTES_MAX;
use crate::disk::Disk;
use crate::error::Error;
use crate::footer::Footers;
use crate::format::{BEGIN_BYTES, Behind, ENTRY_BYTES, Header, Identity, RECORD_BYTES, State};
use crate::segment::{Segment, make, segment_sequence};
use crate::spares::Spares;
use crate::sync::{Covered, Names, Waiting};
use crate::table::Table;
use holm_raft_core::{Entry, EntryId, HardState, Index, LogStart, Term, WriteNumber};
use std::collections::VecDeque;
use std::io;
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

/// A log on a disk.
///
/// It is written by one owner, and waits for the disk only where segments fill up faster than the
/// disk makes new ones.
pub struct Wal {
    /// Files for the segments to come. Before the disk, so that it is dropped first.
    pub(crate) spares: Spares,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    /// How many bytes of a segment entries leave free where no spare file is left.
    pub(crate) reserved_bytes: usize,
    /// Never empty; the last one is written to.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) table: Table,
    pub(crate) written: WriteNumber,
    pub(crate) durable: WriteNumber,
    /// Up to which position all is durable.
    pub(crate) durable_end: u64,
    /// Where the log durably begins.
    pub(crate) durable_start: Index,
    pub(crate) names: Names,
    pub(crate) footers: Footers,
    pub(crate) syncing: Option<Covered>,
    pub(crate) waiting: Waiting,
    pub(crate) health: Health,
    /// Where a batch's bytes are put together.
    pub(crate) scratch: Vec<u8>,
    /// The same for a single small entry, and the end mark behind it.
    pub(crate) record: Box<[u8; GATHERED_RECORD_BYTES_MAX + RECORD_BYTES]>,
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
        let header = Header { identity, sequence: 1, base: 0, behind: Behind::Zeroes };
        let segment = Segment::begin(file, &header, state, 0)?;
        let name = segment.name();
        segment.file.sync().map_err(Error::io("syncing", Self::UNFINISHED))?;
        disk.rename(Self::UNFINISHED, &name).map_err(Error::io("naming", &name))?;
        disk.sync_directory().map_err(Error::io("syncing the directory of", &name))?;
        let table = Table::new(&state).expect("an empty state is no contradiction");
        Ok(Self::of(disk, options, identity, VecDeque::from([segment]), table, &[]))
    }

    /// Has a footer written beside each segment that is full from now on, so that
    /// [`open_fast`](Self::open_fast) need not read it: 8 bytes an entry, off the caller's path but
    /// for putting them together.
    pub fn keep_footers(&mut self) {
        if matches!(self.footers, Footers::Unwanted) {
            self.footers = Footers::Wanted(Vec::new());
        }
    }

    /// A log that is durable as it is, whose spare files and used-up segments are seen to from now
    /// on. `left` are the names of spare files that are there.
    pub(crate) fn of(
        disk: Arc<dyn Disk>,
        options: Options,
        identity: Identity,
        segments: VecDeque<Segment>,
        table: Table,
        left: &[String],
    ) -> Self {
        let mut wal = Self::assembled(disk, options, identity, segments, table, left);
        wal.keep_up(left.to_vec());
        wal
    }

    /// The same, but nothing is seen to yet.
    pub(crate) fn assembled(
        disk: Arc<dyn Disk>,
        options: Options,
        identity: Identity,
        segments: VecDeque<Segment>,
        table: Table,
        left: &[String],
    ) -> Self {
        Self {
            durable_end: segments.back().expect("there is a segment").end(),
            durable_start: table.start().id.index,
            spares: Spares::new(options.segment_bytes, left),
            disk,
            reserved_bytes: options.reserved_bytes(),
            options,
            identity,
            segments,
            table,
            written: WriteNumber(0),
            durable: WriteNumber(0),
            names: Names::Durable,
            footers: Footers::Unwanted,
            syncing: None,
            waiting: Waiting::default(),
            health: Health::Sound,
            scratch: Vec::new(),
            record: Box::new([0; GATHERED_RECORD_BYTES_MAX + RECORD_BYTES]),
        }
    }

    /// Whether the log goes on. A job that makes segments ahead of need may fail while nobody
    /// writes: then what was written last never becomes durable, [`begin_sync`](Self::begin_sync)
    /// gives nothing to do, and this alone says so. Ask now and then, as at each tick. O(1).
    ///
    /// # Errors
    /// [`Error::Sync`] the first time, [`Error::Poisoned`] from then on.
    pub fn check(&mut self) -> Result<(), Error> {
        self.check_spares()
    }

    pub(crate) fn check_health(&self) -> Result<(), Error> {
        if self.health == Health::Poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// The same, with an eye on the jobs that make segments: where one could not make a name
    /// durable, no sync may say any more that it did.
    pub(crate) fn check_spares(&mut self) -> Result<(), Error> {
        self.check_health()?;
        let Some(source) = self.spares.failure() else { return Ok(()) };
        self.health = Health::Poisoned;
        Err(Error::Sync { source })
    }

    pub(crate) fn active(&self) -> &Segment {
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

    /// What the log's entries weigh ([`Entry::weight`]): up to each of these indexes so much, from
    /// the log's start on. At most `marks_max` of them, evenly spaced, the last entry among them.
    /// O(entries).
    #[must_use]
    pub fn weights(&self, marks_max: usize) -> Vec<(Index, u64)> {
        let (start, last) = (self.start().id.index, self.last().index);
        let step = (last.0 - start.0).div_ceil(marks_max.max(1) as u64).max(1);
        let mut sum = 0;
        let mut marks = Vec::new();
        for index in start.0 + 1..=last.0 {
            let length = self.table.location(Index(index)).map_or(0, |place| place.length);
            sum += Entry::OVERHEAD + u64::from(length);
            if (last.0 - index).is_multiple_of(step) {
                marks.push((Index(index), sum));
            }
        }
        marks
    }

    /// The term of the entry at this index, or of the start; nothing where the log holds neither.
    #[must_use]
    pub fn term(&self, index: Index) -> Option<Term> {
        self.table.term(index)
    }
}
