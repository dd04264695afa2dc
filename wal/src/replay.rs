//! The segments as far as they can be read: `Replay`, which changes nothing on the disk, and where
//! and why its reading stopped (`Cut`). `recovery` judges it; `inspect` and `repair` look at it.

use crate::disk::{Disk, File};
use crate::error::Error;
use crate::footer::Footer;
use crate::format::{
    BEGIN_BYTES, Behind, HEADER_BYTES, Header, HeaderError, Identity, RECORD_BYTES, Record, salt,
};
use crate::given_up::given_up;
use crate::recovery::UNKNOWN;
use crate::scan::Scanner;
use crate::segment::{Segment, segment_name, segment_sequence};
use crate::table::Table;
use crate::wal::Options;
use std::collections::VecDeque;
use std::sync::Arc;

/// How much is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    #[default]
    All,
    /// The footers of the segments that have one and are not the last, instead of them.
    Footers,
}

/// What was read.
#[derive(Default)]
pub(crate) struct Replay {
    pub(crate) identity: Option<Identity>,
    pub(crate) table: Option<Table>,
    pub(crate) segments: VecDeque<Segment>,
    /// Up to which position some record says that all was durable.
    pub(crate) witnessed: u64,
    pub(crate) tail: Tail,
    pub(crate) cut: Option<Cut>,
    /// Segments behind the cut, oldest first.
    pub(crate) doomed: Vec<String>,
    /// Segments that were given up, and the files that say so.
    pub(crate) given_up: Vec<String>,
    pub(crate) notes: Vec<String>,
    reading: Reading,
    /// Reused from file to file, and from footer to footer.
    buffer: Vec<u8>,
    footer_buffer: Vec<u8>,
}

/// What is behind the last whole record, in its segment.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tail {
    /// Something was written there that is not whole, or stands behind what is not.
    pub(crate) has_more: bool,
}

/// Where reading stopped, if that is not simply the end.
pub(crate) struct Cut {
    pub(crate) segment: String,
    pub(crate) offset: usize,
    /// The same in the log as a whole.
    pub(crate) position: u64,
    pub(crate) reason: &'static str,
    /// The segment that is not there, if that is why.
    pub(crate) missing: Option<String>,
    /// Whether there is anything but files that were named and not yet written to.
    pub(crate) is_torn: bool,
}

impl Replay {
    /// Reads the segments among these files.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::Version`], [`Error::Unexpected`]; [`Error::Damaged`] where a
    /// record contradicts those before it or the first segment has no sound beginning; whatever
    /// the disk reports.
    pub(crate) fn of(disk: &dyn Disk, names: &[String], reading: Reading) -> Result<Self, Error> {
        let mut replay = Self { reading, ..Self::default() };
        let last = names.iter().rev().find_map(|name| segment_sequence(name));
        let noted = names.iter().filter(|name| given_up(name).is_some());
        replay.notes = noted.cloned().collect();
        let given_up = names.iter().filter_map(|name| given_up(name)).max();
        for name in names.iter().filter(|name| name.starts_with("segment-")) {
            let Some(sequence) = segment_sequence(name) else {
                let reason = "its name is not one that this log gives";
                return Err(Error::Unexpected { name: name.clone(), reason });
            };
            if given_up.is_some_and(|up_to| sequence <= up_to) {
                replay.given_up.push(name.clone());
                continue;
            }
            if last == Some(sequence) {
                replay.reading = Reading::All;
            }
            replay.read(disk, sequence)?;
        }
        replay.look_behind_the_last()?;
        Ok(replay)
    }

    fn read(&mut self, disk: &dyn Disk, sequence: u32) -> Result<(), Error> {
        let name = segment_name(sequence);
        let file = disk.open(&name).map_err(Error::io("opening", &name))?;
        let len = usize::try_from(file.len().min(Options::SEGMENT_BYTES_MAX)).expect("bounded");
        let mut scanner = Scanner::new(&*file, len, std::mem::take(&mut self.buffer));
        let head = scanner.bytes(0, HEADER_BYTES).map_err(Error::io("reading", &name))?;
        let header = match Header::decode(head) {
            Ok(header) => Some(header),
            Err(HeaderError::Version(found)) => return Err(Error::Version { name, found }),
            Err(HeaderError::Malformed) => None,
        };
        if let Some(header) = &header {
            if *self.identity.get_or_insert(header.identity) != header.identity {
                return Err(Error::Foreign { name });
            }
            if header.sequence != sequence {
                let reason = "it is another segment by its header than by its name";
                return Err(Error::Unexpected { name, reason });
            }
        }
        if self.cut.is_none() {
            let first = header.as_ref().map(|header| scanner.find(HEADER_BYTES, header.salt()));
            let first = first.transpose().map_err(Error::io("reading", &name))?.flatten();
            let is_begun = first.is_some_and(|found| matches!(found.record, Record::State(_)));
            if let Some(header) = self.follows(header.as_ref().filter(|_| is_begun), sequence)? {
                let footer = match self.reading {
                    Reading::Footers => Footer::read(disk, &header, &mut self.footer_buffer),
                    Reading::All => None,
                };
                let fits = |footer: &Footer| footer.used <= len && footer.used >= BEGIN_BYTES;
                let footer = footer.filter(fits);
                return self.replay(Arc::clone(&file), &header, footer, scanner);
            }
        }
        self.doom(name, sequence, header.as_ref(), scanner)
    }

    /// The header, if this segment goes on where the one before it ends. Otherwise the log is cut
    /// there.
    fn follows(&mut self, begun: Option<&Header>, sequence: u32) -> Result<Option<Header>, Error> {
        let Some(before) = self.segments.back() else {
            // A log's first segment was durable before it got its name, and before any segment
            // ahead of it was removed.
            let name = segment_name(sequence);
            let reason = "the first segment has no sound beginning";
            return begun.copied().ok_or_else(|| self.damaged(&name, 0, reason)).map(Some);
        };
        let (position, offset, name) = (before.end(), before.used, before.name());
        let next = before.sequence.checked_add(1) == Some(sequence);
        if next
            && let Some(header) = begun
            && header.base == position
        {
            return Ok(Some(*header));
        }
        let missing = (!next).then(|| segment_name(before.sequence.saturating_add(1)));
        let (segment, offset, reason) = if next && begun.is_none() {
            (segment_name(sequence), 0, "it has no sound beginning")
        } else {
            (name, offset, "no whole record follows")
        };
        self.cut = Some(Cut { segment, offset, position, reason, missing, is_torn: false });
        Ok(None)
    }

    fn replay(
        &mut self,
        file: Arc<dyn File>,
        header: &Header,
        footer: Option<Footer>,
        mut scanner: Scanner<'_>,
    ) -> Result<(), Error> {
        let mut segment = Segment::new(file, header);
        let name = segment.name();
        loop {
            let found = scanner.find(segment.used, segment.salt);
            let Some(found) = found.map_err(Error::io("reading", &name))? else { break };
            self.witnessed = self.witnessed.max(segment.end().saturating_sub(found.unsynced));
            let location = segment.location(&found.record);
            let result = match (&mut self.table, &found.record) {
                (Some(table), record) => table.apply(record, location),
                (table, Record::State(state)) => Table::new(state).map(|new| *table = Some(new)),
                _ => unreachable!("a segment that follows begins with a state"),
            };
            result.map_err(|reason| self.damaged(&name, segment.used, reason))?;
            segment.note(&found.record);
            // Behind the state.
            if let (Some(footer), Some(table)) = (&footer, &mut self.table) {
                let result = table.adopt(footer);
                result.map_err(|reason| self.damaged(&name, segment.used, reason))?;
                (segment.used, segment.highest) = (footer.used, footer.highest);
                self.witnessed = self.witnessed.max(segment.end());
                break;
            }
        }
        self.segments.push_back(segment);
        self.buffer = scanner.into_buffer();
        Ok(())
    }

    /// Takes note of a segment behind the cut, and of what its records say was durable.
    fn doom(
        &mut self,
        name: String,
        sequence: u32,
        header: Option<&Header>,
        mut scanner: Scanner<'_>,
    ) -> Result<(), Error> {
        let cut = self.cut.as_mut().expect("there is a cut, or the segment would follow");
        let identity = self.identity.unwrap_or_default();
        // Where the segment's header is gone, its base is at least the cut.
        let base = header.map_or(cut.position, |header| header.base);
        let behind = behind(&mut scanner, HEADER_BYTES, salt(&identity, sequence), base);
        let behind = behind.map_err(Error::io("reading", &name))?;
        let blank = scanner.is_zero(0..BEGIN_BYTES).map_err(Error::io("reading", &name))?;
        cut.is_torn |= behind.is_some() || !blank;
        self.witnessed = self.witnessed.max(behind.unwrap_or(0));
        self.buffer = scanner.into_buffer();
        self.doomed.push(name);
        Ok(())
    }

    fn look_behind_the_last(&mut self) -> Result<(), Error> {
        let Some(last) = self.segments.back() else { return Ok(()) };
        let (name, end) = (last.name(), last.end());
        let file = Arc::clone(&last.file);
        let mut scanner = Scanner::new(&*file, last.len, std::mem::take(&mut self.buffer));
        let reading = || Error::io("reading", &name);
        let end_of_zeroes = match last.behind {
            Behind::Zeroes => last.len,
            Behind::Old => last.used + RECORD_BYTES,
        };
        let marked = scanner.is_zero(last.used..end_of_zeroes).map_err(reading())?;
        let behind = if marked && end_of_zeroes >= last.len {
            // Zeroes to the end of the file: no record is among them, and they are read once.
            None
        } else {
            behind(&mut scanner, last.used, last.salt, last.base).map_err(reading())?
        };
        self.witnessed = self.witnessed.max(behind.unwrap_or(0));
        self.tail = Tail { has_more: behind.is_some() || !marked };
        self.buffer = scanner.into_buffer();
        if !self.tail.has_more {
            return Ok(());
        }
        let cut = self.cut.get_or_insert_with(|| Cut {
            segment: name.clone(),
            offset: last.used,
            position: end,
            reason: "no whole record follows",
            missing: None,
            is_torn: true,
        });
        cut.is_torn = true;
        if cut.missing.take().is_some() || cut.segment != name {
            (cut.segment, cut.offset) = (name, last.used);
            cut.reason = "no whole record follows";
        }
        Ok(())
    }

    pub(crate) fn damaged(&self, segment: &str, offset: usize, reason: &'static str) -> Error {
        let after = self.table.as_ref().map_or(UNKNOWN, Table::last);
        Error::Damaged { segment: segment.to_owned(), offset: offset as u64, after, reason }
    }
}

/// Up to which position the records in this file, from `from` on and wherever they begin, say that
/// all was durable; nothing if there are none.
fn behind(
    scanner: &mut Scanner<'_>,
    from: usize,
    salt: u32,
    base: u64,
) -> std::io::Result<Option<u64>> {
    let mut witnessed = None;
    let mut at = from;
    while let Some(next) = scanner.next_record(at, salt)? {
        let Some(found) = scanner.find(next, salt)? else { break };
        let position = base.saturating_add(next as u64).saturating_sub(found.unsynced);
        witnessed = witnessed.max(Some(position));
        at = next + found.span;
    }
    Ok(witnessed)
}
