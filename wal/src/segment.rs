//! One file of the log: `Segment`, how it begins, how an entry is read from it, and what it is
//! called.

use crate::disk::{Disk, File};
use crate::error::Error;
use crate::format::{
    ALIGN, BEGIN_BYTES, Behind, ENTRY_BYTES, HEADER_BYTES, Header, RECORD_BYTES, Record, State,
    seed,
};
use crate::positions::Location;
use bytes::Bytes;
use holm_raft_core::{Entry, EntryId, Index, Term};
use std::io;
use std::sync::Arc;

/// A file of the log.
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn File>,
    pub(crate) sequence: u32,
    pub(crate) salt: u32,
    /// The position of its first byte in the whole log.
    pub(crate) base: u64,
    /// The file's size, in bytes.
    pub(crate) len: usize,
    /// How many of its bytes are written.
    pub(crate) used: usize,
    pub(crate) behind: Behind,
    /// The highest index that was ever written into it.
    pub(crate) highest: Index,
}

impl Segment {
    /// What a file with this header is, as far as the header says.
    pub(crate) fn new(file: Arc<dyn File>, header: &Header) -> Self {
        let len = usize::try_from(file.len()).expect("bounded by the options");
        Self {
            file,
            sequence: header.sequence,
            salt: header.salt(),
            base: header.base,
            behind: header.behind,
            len,
            used: HEADER_BYTES,
            highest: Index(0),
        }
    }

    /// Makes an empty file a segment.
    pub(crate) fn begin(
        file: Arc<dyn File>,
        header: &Header,
        state: State,
        unsynced: u64,
    ) -> Result<Self, Error> {
        let mut bytes = Vec::with_capacity(BEGIN_BYTES + RECORD_BYTES);
        bytes.extend_from_slice(&header.encode());
        let mut segment = Self::new(file, header);
        let seed = seed(segment.salt, HEADER_BYTES);
        Record::State(state).encode_whole(seed, unsynced, &mut bytes);
        debug_assert_eq!(bytes.len(), BEGIN_BYTES);
        segment.used = BEGIN_BYTES;
        bytes.extend_from_slice(segment.end_mark(segment.used));
        segment.file.write(0, &[&bytes]).map_err(Error::io("beginning", &segment.name()))?;
        Ok(segment)
    }

    pub(crate) fn name(&self) -> String {
        segment_name(self.sequence)
    }

    pub(crate) fn end(&self) -> u64 {
        self.base + self.used as u64
    }

    pub(crate) fn room(&self) -> usize {
        self.len - self.used
    }

    /// The zeroes that show that no record follows at this offset: a head's size, as far as there
    /// is room. In a recycled file other bytes would stand there.
    pub(crate) fn end_mark(&self, offset: usize) -> &'static [u8] {
        &[0; RECORD_BYTES][..RECORD_BYTES.min(self.len - offset)]
    }

    /// Where the record lies if it is the next one.
    pub(crate) fn location(&self, record: &Record<'_>) -> Location {
        Location {
            segment: self.sequence,
            offset: u32::try_from(self.used).expect("segments are below 4 GiB"),
            length: u32::try_from(record.data().len()).expect("segments are below 4 GiB"),
        }
    }

    /// Counts an entry as written, which takes so many bytes, and says where it lies.
    #[inline]
    pub(crate) fn note_entry(&mut self, entry: &Entry, span: usize) -> Location {
        let location = Location {
            segment: self.sequence,
            offset: u32::try_from(self.used).expect("segments are below 4 GiB"),
            length: u32::try_from(entry.data.len()).expect("segments are below 4 GiB"),
        };
        self.used += span;
        self.highest = self.highest.max(entry.id.index);
        location
    }

    /// Counts the record as written.
    pub(crate) fn note(&mut self, record: &Record<'_>) {
        self.used += record.span();
        if let Record::Entry { id, .. } = record {
            self.highest = self.highest.max(id.index);
        }
    }

    /// So many bytes from the record that lies there on.
    pub(crate) fn read(&self, at: Location, bytes: usize) -> Result<Bytes, Error> {
        let read = self.file.read(u64::from(at.offset), bytes);
        read.map_err(|source| Error::io("reading from", &self.name())(source))
    }

    /// The entry of which this is the record, read from there, its checksum checked.
    pub(crate) fn entry(&self, index: Index, at: Location, record: Bytes) -> Result<Entry, Error> {
        let offset = usize::try_from(at.offset).expect("usize has 32 bits or more");
        match Record::find_at(&record, seed(self.salt, offset)) {
            Some(Record::Entry { id, time, kind, data }) if id.index == index => {
                let data = record.slice_ref(data);
                Ok(Entry { id, time, kind, data })
            }
            _ => Err(Error::Damaged {
                segment: self.name(),
                offset: u64::from(at.offset),
                after: EntryId::new(Term(0), index.prev()),
                reason: "an entry reads differently than it was written",
            }),
        }
    }
}

/// How many bytes the record of an entry takes that has so many bytes of data.
pub(crate) fn entry_span(length: u32) -> usize {
    let length = usize::try_from(length).expect("usize has 32 bits or more");
    (ENTRY_BYTES + length).next_multiple_of(ALIGN)
}

/// Makes a file for a segment.
pub(crate) fn make(disk: &dyn Disk, name: &str, bytes: u64) -> Result<Arc<dyn File>, Error> {
    disk.create(name, bytes).map_err(|source| not_made(name, bytes, source))
}

/// Why a file for a segment could not be made.
pub(crate) fn not_made(name: &str, bytes: u64, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { bytes, source },
        _ => Error::io("making", name)(source),
    }
}

/// A segment's file name: it sorts by number.
pub(crate) fn segment_name(sequence: u32) -> String {
    format!("segment-{sequence:08x}.wal")
}

/// The number of the segment with this file name, if it is one's.
pub(crate) fn segment_sequence(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".wal")?;
    let sequence = u32::from_str_radix(digits, 16).ok()?;
    (segment_name(sequence) == name).then_some(sequence)
}
