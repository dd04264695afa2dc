//! What a sealed segment comes to, in a file beside it: `Footer`, with which a log can be opened
//! without reading the segment. It is written when the segment is durable, and nothing depends on
//! it: one that is absent or damaged only costs time.

use crate::disk::Disk;
use crate::format::{
    Header, STATE_BODY_BYTES, State, VERSION, checksum_of, put_state, state_at, u32_at, u64_at,
};
use crate::positions::Location;
use crate::segment::Segment;
use crate::table::Table;
use holm_raft_core::{EntryId, Index, Term};
use std::io;

const MAGIC: [u8; 8] = *b"HOLMFOO\0";
/// Bytes before the lists.
const FIXED_BYTES: usize = 64 + STATE_BODY_BYTES;

/// What a segment comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) sequence: u32,
    pub(crate) base: u64,
    pub(crate) used: usize,
    /// The highest index that was ever written into it.
    pub(crate) highest: Index,
    /// What holds at its end.
    pub(crate) state: State,
    /// The first index whose entry is not in an earlier segment.
    pub(crate) first: Index,
    /// Where the entries from `first` on lie.
    pub(crate) places: Vec<Location>,
    /// The first of those in each run of equal terms.
    pub(crate) terms: Vec<EntryId>,
    /// The configurations among them.
    pub(crate) configurations: Vec<Index>,
}

impl Footer {
    /// What this segment, in which the log ends, comes to.
    pub(crate) fn of(segment: &Segment, table: &Table) -> Self {
        let (first, places) = table.places_in(segment.sequence);
        let run = |run: EntryId| EntryId::new(run.term, run.index.max(first));
        let mut terms: Vec<EntryId> = Vec::new();
        for id in table.terms().map(run) {
            // A run that ended before is followed by one that begins at or before `first` too.
            if terms.last().is_some_and(|last| last.index == id.index) {
                terms.pop();
            }
            terms.push(id);
        }
        if places.is_empty() {
            terms.clear();
        }
        Self {
            sequence: segment.sequence,
            base: segment.base,
            used: segment.used,
            highest: segment.highest,
            state: table.state(),
            first,
            places,
            terms,
            configurations: table.configurations().filter(|index| *index >= first).collect(),
        }
    }

    /// The file's bytes; `salt` is the segment's.
    pub(crate) fn encode(&self, salt: u32) -> Vec<u8> {
        let lists = 8 * self.places.len() + 16 * self.terms.len() + 8 * self.configurations.len();
        let mut out = Vec::with_capacity(FIXED_BYTES + lists);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        let length = |len: usize| u32::try_from(len).expect("bounded by the segment");
        for number in [
            length(self.used),
            length(self.places.len()),
            length(self.terms.len()),
            length(self.configurations.len()),
            u32::from(self.state.hard_state.vote.is_some()),
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.base, self.highest.0, self.first.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_state(&self.state, &mut out);
        debug_assert_eq!(out.len(), FIXED_BYTES);
        for place in &self.places {
            out.extend_from_slice(&place.offset.to_le_bytes());
            out.extend_from_slice(&place.length.to_le_bytes());
        }
        for run in &self.terms {
            out.extend_from_slice(&run.term.0.to_le_bytes());
            out.extend_from_slice(&run.index.0.to_le_bytes());
        }
        for index in &self.configurations {
            out.extend_from_slice(&index.0.to_le_bytes());
        }
        let crc = checksum_of(&out[12..], salt);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The footer in these bytes, if it is whole and that of the segment with this header.
    pub(crate) fn decode(bytes: &[u8], header: &Header) -> Option<Self> {
        let (fixed, lists) = bytes.split_at_checked(FIXED_BYTES)?;
        let whole = fixed[..8] == MAGIC
            && u32_at(fixed, 8) == checksum_of(&bytes[12..], header.salt())
            && u32_at(fixed, 12) == VERSION;
        let number = |at| usize::try_from(u32_at(fixed, at)).ok();
        let (places, terms, configurations) = (number(24)?, number(28)?, number(32)?);
        let (sequence, base) = (u32_at(fixed, 16), u64_at(fixed, 40));
        let lengths = [places.checked_mul(8)?, terms.checked_mul(16)?];
        let rest = lists.len().checked_sub(lengths[0])?.checked_sub(lengths[1])?;
        if !whole
            || (sequence, base) != (header.sequence, header.base)
            || rest != configurations.checked_mul(8)?
        {
            return None;
        }
        let (places, lists) = lists.split_at(lengths[0]);
        let (terms, configurations) = lists.split_at(lengths[1]);
        let place = |at: &[u8]| Location {
            segment: sequence,
            offset: u32_at(at, 0),
            length: u32_at(at, 4),
        };
        let run = |at: &[u8]| EntryId::new(Term(u64_at(at, 0)), Index(u64_at(at, 8)));
        Some(Self {
            sequence,
            base,
            used: number(20)?,
            highest: Index(u64_at(fixed, 48)),
            state: state_at(fixed[36], &fixed[64..]),
            first: Index(u64_at(fixed, 56)),
            places: places.chunks_exact(8).map(place).collect(),
            terms: terms.chunks_exact(16).map(run).collect(),
            configurations: configurations.chunks_exact(8).map(|at| Index(u64_at(at, 0))).collect(),
        })
    }

    /// Reads the footer of the segment with this header, if there is one that is whole. `buffer`
    /// is reused from footer to footer.
    pub(crate) fn read(disk: &dyn Disk, header: &Header, buffer: &mut Vec<u8>) -> Option<Self> {
        let file = disk.open(&footer_name(header.sequence)).ok()?;
        let len = usize::try_from(file.len()).ok()?;
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let bytes = &mut buffer[..len];
        file.copy_to(0, bytes).ok()?;
        Self::decode(bytes, header)
    }
}

/// Whether footers are written, and those that wait until their segments are durable.
#[derive(Default)]
pub(crate) enum Footers {
    #[default]
    Unwanted,
    Wanted(Vec<(u32, Vec<u8>)>),
}

impl Footers {
    /// Takes note of a segment that is full.
    pub(crate) fn seal(&mut self, segment: &Segment, table: &Table) {
        if let Self::Wanted(waiting) = self {
            let bytes = Footer::of(segment, table).encode(segment.salt);
            waiting.push((segment.sequence, bytes));
        }
    }

    /// Those whose segments are durable. `is_durable` says nothing of a segment that is gone, whose
    /// footer goes as well.
    pub(crate) fn take_ready(
        &mut self,
        is_durable: impl Fn(u32) -> Option<bool>,
    ) -> Vec<(u32, Vec<u8>)> {
        let Self::Wanted(waiting) = self else { return Vec::new() };
        waiting.retain(|(sequence, _)| is_durable(*sequence).is_some());
        let ready = |(sequence, _): &mut (u32, Vec<u8>)| is_durable(*sequence) == Some(true);
        waiting.extract_if(.., ready).collect()
    }
}

/// Puts a footer's bytes into its file, in the place of one that is there.
pub(crate) fn write(disk: &dyn Disk, sequence: u32, bytes: &[u8]) -> io::Result<()> {
    let name = footer_name(sequence);
    remove(disk, sequence)?;
    let file = disk.create(&name, u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    file.write(0, &[bytes])?;
    file.sync()
}

/// Removes a segment's footer, if there is one.
pub(crate) fn remove(disk: &dyn Disk, sequence: u32) -> io::Result<()> {
    match disk.remove(&footer_name(sequence)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn footer_name(sequence: u32) -> String {
    format!("footer-{sequence:08x}.wal")
}

/// The number in a footer's file name, if it is one's.
pub(crate) fn footer_sequence(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("footer-")?.strip_suffix(".wal")?;
    let sequence = u32::from_str_radix(digits, 16).ok()?;
    (footer_name(sequence) == name).then_some(sequence)
}
