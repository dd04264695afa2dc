//! Reading entries of a log: one, or a range, of which those whose records lie one behind the other
//! are fetched at once.

use crate::error::Error;
use crate::positions::Location;
use crate::segment::{Segment, entry_span};
use crate::wal::Wal;
use holm_raft_core::{Entry, Index, LogTime};
use std::ops::RangeInclusive;

/// How much is fetched at once, in bytes, if more than one record is: enough that fetching costs
/// little beside the checksums, and a disk that copies copies no more for one entry that is kept.
const RUN_BYTES_MAX: usize = 64 << 10;

impl Wal {
    /// The entry at this index, its checksum checked.
    ///
    /// # Errors
    /// [`Error::NotHeld`]; [`Error::Damaged`] if the disk gives back something else than was
    /// written; whatever else the disk reports.
    pub fn entry(&self, index: Index) -> Result<Entry, Error> {
        let at = self.location(index)?;
        let segment = self.segment(at);
        segment.entry(index, at, segment.read(at, entry_span(at.length))?)
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
        let (mut index, mut room) = (first, bytes_max);
        while index <= last {
            let (count, span) = self.run(index, last, room)?;
            if count == 0 && !entries.is_empty() {
                break;
            }
            // One alone is fetched even where there is no room for it.
            let end = Index(index.0 + count.max(1));
            self.read_run(index..=end.prev(), span, &mut room, &mut entries)?;
            index = end;
        }
        Ok(entries)
    }

    /// How many entries from `index` on have records one behind the other, and fit into so much
    /// room, and how many bytes their records take.
    fn run(&self, index: Index, last: Index, room: u64) -> Result<(u64, usize), Error> {
        let first = self.location(index)?;
        let (mut count, mut span, mut weight) = (0, 0, 0_u64);
        let mut at = first;
        loop {
            let more = entry_span(at.length);
            weight = weight.saturating_add(Entry::OVERHEAD + u64::from(at.length));
            let is_next = at.segment == first.segment && begins(at) == begins(first) + span;
            let fits = count == 0 || span + more <= RUN_BYTES_MAX;
            if !is_next || !fits || weight > room {
                return Ok((count, if count == 0 { more } else { span }));
            }
            (count, span) = (count + 1, span + more);
            if index.0 + count > last.0 {
                return Ok((count, span));
            }
            at = self.location(Index(index.0 + count))?;
        }
    }

    /// Reads a run whose records take `span` bytes together.
    fn read_run(
        &self,
        run: RangeInclusive<Index>,
        span: usize,
        room: &mut u64,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Error> {
        let first = self.location(*run.start())?;
        let segment = self.segment(first);
        let bytes = segment.read(first, span)?;
        for index in run.start().0..=run.end().0 {
            let at = self.location(Index(index))?;
            let from = begins(at) - begins(first);
            let record = bytes.slice(from..from + entry_span(at.length));
            let entry = segment.entry(Index(index), at, record)?;
            *room = room.saturating_sub(entry.weight());
            entries.push(entry);
        }
        Ok(())
    }

    fn location(&self, index: Index) -> Result<Location, Error> {
        self.table.location(index).ok_or_else(|| Error::NotHeld {
            index,
            start: self.table.start().id,
            last: self.last(),
        })
    }

    fn segment(&self, at: Location) -> &Segment {
        let front = self.segments.front().expect("never empty").sequence;
        &self.segments[usize::try_from(at.segment - front).expect("held")]
    }

    pub(crate) fn last_time(&self) -> Result<LogTime, Error> {
        let (last, start) = (self.last(), self.start());
        if last == start.id { Ok(start.time) } else { Ok(self.entry(last.index)?.time) }
    }
}

/// The record's offset in its segment.
fn begins(at: Location) -> usize {
    usize::try_from(at.offset).expect("usize has 32 bits or more")
}
