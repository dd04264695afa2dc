//! The bytes of a segment: its header, and the records behind it. `docs/wal-format.md` has the
//! diagrams; this file is their only reader and writer.
//!
//! A record's CRC starts from a seed made of the segment's salt and the record's own offset, so
//! that bytes of another segment, or of another place in this one, never pass for a record here.
//! Records do not chain: behind a damaged one the next can still be found, which is what tells
//! damage from a torn tail (see `recovery`).

#[cfg(test)]
mod tests;

use crate::mutation::{self, Mutation};
use crc32fast::Hasher;
use holm_raft_core::{
    Entry, EntryId, EntryKind, HardState, Incarnation, Index, LogStart, LogTime, MemberId, NodeId,
    Term,
};

pub(crate) const MAGIC: [u8; 8] = *b"HOLMWAL\0";
/// The format's version.
pub(crate) const VERSION: u32 = 2;
/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Bytes of the checksum that a record begins with.
const CRC_BYTES: usize = 4;
/// Bytes of a record before its body.
pub(crate) const RECORD_BYTES: usize = 16;
/// Bytes of an entry's record before its data.
pub(crate) const ENTRY_BYTES: usize = RECORD_BYTES + 24;
/// Header and state record: what a segment holds before anything else.
pub(crate) const BEGIN_BYTES: usize = HEADER_BYTES + RECORD_BYTES + STATE_BODY_BYTES;
/// Records start at multiples of this.
pub(crate) const ALIGN: usize = 8;
pub(crate) const STATE_BODY_BYTES: usize = 56;

const STATE: u8 = 1;
const HARD_STATE: u8 = 2;
const COMPACT: u8 = 3;
const TRUNCATE: u8 = 4;
const ENTRY: u8 = 5;
const FILLER: u8 = 6;

/// Whose log it is: written into every segment, and part of every checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster, drawn when it was formed.
    pub cluster: [u8; 16],
    /// The member, in its incarnation.
    pub member: MemberId,
}

/// The first 64 bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: Identity,
    /// The segment's number, from 1, without gaps.
    pub(crate) sequence: u32,
    /// The position of the segment's first byte in the log as a whole, counted in bytes since the
    /// log was made: exactly where the segment before it ends.
    pub(crate) base: u64,
    pub(crate) behind: Behind,
}

/// What stands behind the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Zeroes to the end of the file.
    Zeroes,
    /// An end mark, then what the file held when it was another segment.
    Old,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Version(u32),
    Malformed,
}

/// What each segment begins with, so that recovery needs no earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) hard_state: HardState,
    pub(crate) start: LogStart,
    /// The last entry before this segment: the first in it follows, unless a record in it says
    /// otherwise first.
    pub(crate) last: Index,
}

/// What a compaction leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// The entries behind the new start, which the log holds itself.
    Suffix,
    /// No entry: the new start is beyond or beside what the log held.
    Nothing,
}

/// One record of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    State(State),
    HardState(HardState),
    Compact {
        start: LogStart,
        keeps: Keeps,
    },
    Truncate(Index),
    Entry {
        id: EntryId,
        time: LogTime,
        kind: EntryKind,
        data: &'a [u8],
    },
    /// So many bytes that say nothing: where a repair put fewer bytes than there were.
    Filler(usize),
}

/// A record that was found, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) record: Record<'a>,
    /// How many bytes it takes, padding included.
    pub(crate) span: usize,
    /// How many bytes right before it were perhaps not durable when it was written; all before
    /// those were.
    pub(crate) unsynced: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.identity.cluster);
        bytes[40..48].copy_from_slice(&self.identity.member.node.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.identity.member.incarnation.0.to_le_bytes());
        bytes[56] = match self.behind {
            Behind::Zeroes => 0,
            Behind::Old => 1,
        };
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of these bytes. The version is looked at before the checksum: a
    /// later version may have another one.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(HeaderError::Malformed)?;
        if bytes[0..8] != MAGIC {
            return Err(HeaderError::Malformed);
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        if u32_at(bytes, 60) != crc32fast::hash(&bytes[..60]) {
            return Err(HeaderError::Malformed);
        }
        let behind = match u32_at(bytes, 56) {
            0 => Behind::Zeroes,
            1 => Behind::Old,
            _ => return Err(HeaderError::Malformed),
        };
        let mut cluster = [0; 16];
        cluster.copy_from_slice(&bytes[24..40]);
        let member = MemberId::new(NodeId(u64_at(bytes, 40)), Incarnation(u64_at(bytes, 48)));
        Ok(Self {
            identity: Identity { cluster, member },
            sequence: u32_at(bytes, 12),
            base: u64_at(bytes, 16),
            behind,
        })
    }

    /// What the checksums of this segment's records start from.
    pub(crate) fn salt(&self) -> u32 {
        salt(&self.identity, self.sequence)
    }
}

/// What the checksums of the records of this member's segment number `sequence` start from. For
/// one member, no two segments have the same: a CRC maps different four bytes to different values.
pub(crate) fn salt(identity: &Identity, sequence: u32) -> u32 {
    let sequence = if mutation::on(Mutation::ChecksumWithoutItsSegment) { 0 } else { sequence };
    let mut hasher = Hasher::new();
    hasher.update(&identity.cluster);
    hasher.update(&identity.member.node.0.to_le_bytes());
    hasher.update(&identity.member.incarnation.0.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.finalize()
}

impl<'a> Record<'a> {
    /// How many bytes the record takes in a segment, padding included.
    pub(crate) fn span(&self) -> usize {
        (self.head_bytes() + self.data().len()).next_multiple_of(ALIGN)
    }

    /// How many bytes [`Self::encode`] writes.
    pub(crate) fn head_bytes(&self) -> usize {
        RECORD_BYTES
            + match self {
                Self::State(_) => STATE_BODY_BYTES,
                Self::HardState(_) | Self::Compact { .. } | Self::Entry { .. } => 24,
                Self::Truncate(_) => 8,
                Self::Filler(len) => *len,
            }
    }

    /// The bytes that follow what [`Self::encode`] writes, padding aside.
    pub(crate) fn data(&self) -> &'a [u8] {
        match self {
            Self::Entry { data, .. } => data,
            _ => &[],
        }
    }

    /// The zeroes that follow the data.
    pub(crate) fn padding(&self) -> &'static [u8] {
        let len = self.head_bytes() + self.data().len();
        &[0; ALIGN][..len.next_multiple_of(ALIGN) - len]
    }

    /// Appends the record's head and fixed fields to `out`; its data and padding follow them on
    /// disk. `seed` as by [`seed`], `unsynced` in bytes.
    pub(crate) fn encode(&self, seed: u32, unsynced: u64, out: &mut Vec<u8>) {
        let at = self.put_head(seed, unsynced, out);
        let mut hasher = Hasher::new_with_initial(seed);
        hasher.update(&out[at + CRC_BYTES..]);
        hasher.update(self.data());
        hasher.update(self.padding());
        out[at..at + CRC_BYTES].copy_from_slice(&hasher.finalize().to_le_bytes());
    }

    /// Appends all of the record, so that small ones are summed and copied in one go.
    pub(crate) fn encode_whole(&self, seed: u32, unsynced: u64, out: &mut Vec<u8>) {
        let at = self.put_head(seed, unsynced, out);
        out.extend_from_slice(self.data());
        out.extend_from_slice(self.padding());
        let crc = checksum(&out[at..], seed);
        out[at..at + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    }

    /// Appends head and fixed fields, without the checksum, and returns where they begin.
    fn put_head(&self, seed: u32, unsynced: u64, out: &mut Vec<u8>) -> usize {
        let at = out.len();
        let (kind, detail) = self.codes();
        let length = self.head_bytes() - RECORD_BYTES + self.data().len();
        for word in head_words(length, [kind, detail], seed, unsynced) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        self.encode_fields(out);
        at
    }

    fn codes(&self) -> (u8, u8) {
        match self {
            Self::State(state) => (STATE, u8::from(state.hard_state.vote.is_some())),
            Self::HardState(hard_state) => (HARD_STATE, u8::from(hard_state.vote.is_some())),
            Self::Compact { keeps: Keeps::Suffix, .. } => (COMPACT, 0),
            Self::Compact { keeps: Keeps::Nothing, .. } => (COMPACT, 1),
            Self::Truncate(_) => (TRUNCATE, 0),
            Self::Entry { kind, .. } => (ENTRY, kind.code()),
            Self::Filler(_) => (FILLER, 0),
        }
    }

    fn encode_fields(&self, out: &mut Vec<u8>) {
        match self {
            Self::State(state) => {
                put_state(state, out);
            }
            Self::HardState(hard_state) => {
                out.extend_from_slice(&fields(hard_state_fields(hard_state)));
            }
            Self::Compact { start, .. } => out.extend_from_slice(&fields(start_fields(start))),
            Self::Truncate(index) => out.extend_from_slice(&index.0.to_le_bytes()),
            Self::Entry { id, time, .. } => {
                out.extend_from_slice(&fields([id.term.0, id.index.0, time.0]));
            }
            Self::Filler(len) => out.resize(out.len() + len, 0),
        }
    }

    /// The record that is whole at this offset of a segment's bytes, if there is one.
    #[cfg(test)]
    pub(crate) fn find(segment: &'a [u8], offset: usize, salt: u32) -> Option<Found<'a>> {
        Self::parse(segment.get(offset..)?, seed(salt, offset))
    }

    /// The record that is whole at the beginning of these bytes, if there is one.
    pub(crate) fn find_at(bytes: &'a [u8], seed: u32) -> Option<Self> {
        Self::parse(bytes, seed).map(|found| found.record)
    }

    /// How many bytes a record that begins with this head takes; nothing if none does.
    pub(crate) fn span_at(head: &[u8], seed: u32) -> Option<usize> {
        let head = head.first_chunk::<RECORD_BYTES>()?;
        if !(STATE..=FILLER).contains(&head[8])
            || head[10..12] != head_check(head, seed).to_le_bytes()
        {
            return None;
        }
        let length = usize::try_from(u32_at(head, 4)).ok()?;
        RECORD_BYTES.checked_add(length)?.checked_next_multiple_of(ALIGN)
    }

    /// The record at the beginning of these bytes whose checksums start from `seed`, if it is
    /// whole.
    pub(crate) fn parse(bytes: &'a [u8], seed: u32) -> Option<Found<'a>> {
        let span = Self::span_at(bytes, seed)?;
        let bytes = bytes.get(..span)?;
        if u32_at(bytes, 0) != checksum(bytes, seed) {
            return None;
        }
        Self::parse_head(bytes, seed)
    }

    /// Like [`parse`](Self::parse), but only the head's checksum counts.
    pub(crate) fn parse_head(bytes: &'a [u8], seed: u32) -> Option<Found<'a>> {
        let span = Self::span_at(bytes, seed)?;
        let length = usize::try_from(u32_at(bytes, 4)).ok()?;
        let body = bytes.get(RECORD_BYTES..RECORD_BYTES + length)?;
        let record = Self::decode(bytes[8], bytes[9], body)?;
        Some(Found { record, span, unsynced: u64::from(u32_at(bytes, 12)) * ALIGN as u64 })
    }

    fn decode(kind: u8, detail: u8, body: &'a [u8]) -> Option<Self> {
        Some(match (kind, detail, body.len()) {
            (STATE, 0 | 1, STATE_BODY_BYTES) => Self::State(state_at(detail, body)),
            (HARD_STATE, 0 | 1, 24) => Self::HardState(hard_state(detail, body)),
            (COMPACT, 0, 24) => Self::Compact { start: start(body), keeps: Keeps::Suffix },
            (COMPACT, 1, 24) => Self::Compact { start: start(body), keeps: Keeps::Nothing },
            (TRUNCATE, 0, 8) => Self::Truncate(Index(u64_at(body, 0))),
            (ENTRY, code, 24..) => Self::Entry {
                id: EntryId::new(Term(u64_at(body, 0)), Index(u64_at(body, 8))),
                time: LogTime(u64_at(body, 16)),
                kind: EntryKind::from_code(code)?,
                data: &body[24..],
            },
            (FILLER, 0, len) => Self::Filler(len),
            _ => return None,
        })
    }
}

/// A state's fields.
pub(crate) fn put_state(state: &State, out: &mut Vec<u8>) {
    out.extend_from_slice(&fields(hard_state_fields(&state.hard_state)));
    out.extend_from_slice(&fields(start_fields(&state.start)));
    out.extend_from_slice(&state.last.0.to_le_bytes());
}

/// The state whose fields these are.
pub(crate) fn state_at(detail: u8, body: &[u8]) -> State {
    let hard_state = hard_state(detail, body);
    State { hard_state, start: start(&body[24..]), last: Index(u64_at(body, 48)) }
}

/// The checksum of bytes that are no record.
pub(crate) fn checksum_of(bytes: &[u8], seed: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// How many bytes an entry takes in a segment.
pub(crate) fn entry_span(entry: &Entry) -> usize {
    // `next_multiple_of` asks for the remainder first; this is asked thrice an append.
    (ENTRY_BYTES + entry.data.len() + ALIGN - 1) & !(ALIGN - 1)
}

/// [`Record::encode_whole`] for an entry, into exactly the bytes that it takes: what is written
/// most, laid out without a look at what a vector has room for.
#[inline]
pub(crate) fn encode_entry(entry: &Entry, seed: u32, unsynced: u64, out: &mut [u8]) {
    let data = entry.data.as_ref();
    // The padding, before the data that may cover a part of it.
    *out.last_chunk_mut().expect("a head's size, or more") = [0_u8; ALIGN];
    let (head, rest) = out.split_first_chunk_mut().expect("a head's size, or more");
    let head: &mut [u8; ENTRY_BYTES] = head;
    let (length, codes) = (ENTRY_BYTES - RECORD_BYTES + data.len(), [ENTRY, entry.kind.code()]);
    let words = head_words(length, codes, seed, unsynced);
    let fields = [entry.id.term.0, entry.id.index.0, entry.time.0];
    for (bytes, word) in head.as_chunks_mut().0.iter_mut().zip(words.into_iter().chain(fields)) {
        *bytes = word.to_le_bytes();
    }
    rest[..data.len()].copy_from_slice(data);
    let crc = checksum(out, seed);
    out[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// A record's head, with a checksum of zero, as two numbers.
#[inline]
fn head_words(length: usize, codes: [u8; 2], seed: u32, unsynced: u64) -> [u64; 2] {
    // A mark that does not fit says less than is true, which is safe.
    let unsynced = u32::try_from(unsynced.div_ceil(ALIGN as u64)).unwrap_or(u32::MAX);
    let length = u32::try_from(length).expect("segments are below 4 GiB");
    let check = mixed(length, codes, unsynced, seed);
    let codes = u64::from(u16::from_le_bytes(codes));
    [u64::from(length) << 32, codes | u64::from(check) << 16 | u64::from(unsynced) << 32]
}

/// What the checksum of the record at this offset starts from.
pub(crate) fn seed(salt: u32, offset: usize) -> u32 {
    salt ^ u32::try_from(offset).expect("segments are below 4 GiB")
}

/// A small checksum of a record's head alone. It makes it cheap to see, anywhere in a file, that no
/// record of this segment begins there, whatever the data look like; and where data have rotted it
/// says that the head has not.
pub(crate) fn head_check(head: &[u8; RECORD_BYTES], seed: u32) -> u16 {
    mixed(u32_at(head, 4), [head[8], head[9]], u32_at(head, 12), seed)
}

fn mixed(length: u32, [kind, detail]: [u8; 2], unsynced: u32, seed: u32) -> u16 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let what = u64::from(length) | u64::from(kind) << 32 | u64::from(detail) << 40;
    let place = u64::from(unsynced) | u64::from(seed) << 32;
    let mixed = (what.wrapping_mul(ODD) ^ place).wrapping_mul(ODD);
    let [.., low, high] = (mixed ^ mixed >> 29).wrapping_mul(ODD).to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The checksum of a record's bytes, its own four aside, its padding included.
#[inline]
pub(crate) fn checksum(record: &[u8], seed: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(&record[CRC_BYTES..]);
    hasher.finalize()
}

fn fields(values: [u64; 3]) -> [u8; 24] {
    let mut bytes = [0; 24];
    for (bytes, value) in bytes.chunks_exact_mut(8).zip(values) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn hard_state_fields(hard_state: &HardState) -> [u64; 3] {
    let vote = hard_state.vote.unwrap_or_default();
    [hard_state.term.0, vote.node.0, vote.incarnation.0]
}

fn hard_state(detail: u8, body: &[u8]) -> HardState {
    let vote = MemberId::new(NodeId(u64_at(body, 8)), Incarnation(u64_at(body, 16)));
    HardState { term: Term(u64_at(body, 0)), vote: (detail == 1).then_some(vote) }
}

fn start_fields(start: &LogStart) -> [u64; 3] {
    [start.id.term.0, start.id.index.0, start.time.0]
}

fn start(body: &[u8]) -> LogStart {
    let id = EntryId::new(Term(u64_at(body, 0)), Index(u64_at(body, 8)));
    LogStart { id, time: LogTime(u64_at(body, 16)) }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}
