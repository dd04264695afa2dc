//! Repair of a damaged log from its peers: `Repair` says which entries are damaged and takes
//! their replacements, but only what is proved to be what stood there. A log that is damaged where
//! a hard state may have stood can't be repaired: its member counts as one that has lost its disk.

use crate::append::record;
use crate::disk::{Disk, File};
use crate::error::Error;
use crate::format::{ALIGN, Found, HEADER_BYTES, Header, RECORD_BYTES, Record, State, seed};
use crate::replay::Replay;
use crate::scan::Scanner;
use crate::segment::{segment_name, segment_sequence};
use crate::wal::Wal;
use holm_raft_core::{Entry, EntryId, HardState, Index, Term};
use std::io;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

/// A damaged range of a log, which can be filled again.
pub struct Repair {
    file: Arc<dyn File>,
    segment: String,
    salt: u32,
    bytes: Range<usize>,
    /// The entry before the damage.
    before: EntryId,
    missing: RangeInclusive<Index>,
    /// The highest term that an entry of the range can have.
    term_max: Term,
    known: Known,
    /// What has to be said again, where a hard state may have stood in the range.
    hard_state: Option<HardState>,
}

/// What is known of the damaged entries.
enum Known {
    /// Their records' heads are whole, and say that they are entries and how long: what stood there
    /// can be told by its checksum.
    Heads(Vec<Head>),
    /// All have the term of both their neighbours: a term has one leader, and a leader one log.
    Term(Term),
    Nothing,
}

/// What is left of a damaged record.
struct Head {
    /// The term may have rotted; the index follows from the place.
    id: EntryId,
    offset: usize,
    span: usize,
    unsynced: u64,
}

/// Why entries may replace damaged ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// They are what stood there: by what is left of its record's checksum, or by the id that it
    /// must have had. Whoever has them may be asked.
    Same,
    /// The current leader says that they are committed, and that this is the entry before them.
    Committed {
        /// The id that the leader's log has right before the first of them.
        before: EntryId,
    },
}

impl Wal {
    /// What has to be repaired before [`open`](Self::open) succeeds; nothing if that is not due to
    /// damage. There may be more behind it: after each repair, ask again.
    ///
    /// # Errors
    /// [`Error::Irreparable`] where the damage may cover a hard state or more than entries;
    /// otherwise as for [`open`](Self::open).
    pub fn damage(disk: &dyn Disk) -> Result<Option<Repair>, Error> {
        let names = disk.list().map_err(Error::io("listing", "the log's directory"))?;
        let mut replay = Replay::of(disk, &names)?;
        let Err(error) = replay.judge() else { return Ok(None) };
        let Error::Damaged { segment, offset, .. } = &error else { return Err(error) };
        let irreparable =
            |reason| Error::Irreparable { segment: segment.clone(), offset: *offset, reason };
        let last = replay.segments.back().ok_or(Error::Absent)?;
        if last.name() != *segment {
            return Err(irreparable("a segment's beginning is damaged, which has the hard state"));
        }
        let repair = Repair::of(disk, &replay, &names).map_err(Error::io("reading", segment))?;
        repair.map(Some).map_err(irreparable)
    }
}

/// What is whole behind the damage.
enum Next {
    Entry(EntryId),
    State(State),
}

impl Repair {
    fn of(
        disk: &dyn Disk,
        replay: &Replay,
        names: &[String],
    ) -> io::Result<Result<Self, &'static str>> {
        let (Some(last), Some(table)) = (replay.segments.back(), &replay.table) else {
            return Ok(Err("there is no whole segment"));
        };
        let mut scanner = Scanner::new(&*last.file, last.len, Vec::new());
        let behind = scanner.next_record(last.used + ALIGN, last.salt)?;
        let (end, next) = if let Some(end) = behind {
            let found = scanner.find(end, last.salt)?;
            let next = match found.map(|found| found.record) {
                Some(Record::Entry { id, .. }) => Next::Entry(id),
                _ => return Ok(Err("it ends at a record that is no entry")),
            };
            (end, next)
        } else {
            let Some((header, state)) = beginning(disk, names, last.sequence + 1)? else {
                return Ok(Err("nothing whole is behind it"));
            };
            let end = usize::try_from(header.base.saturating_sub(last.base)).unwrap_or(usize::MAX);
            (end, Next::State(state))
        };
        if end <= last.used || end > last.len {
            return Ok(Err("nothing whole is behind it"));
        }
        let before = table.last();
        let bytes = last.used..end;
        let heads = heads(&mut scanner, &bytes, last.salt, before)?;
        let (to, term_max) = match &next {
            Next::Entry(id) => (id.index.prev(), id.term),
            Next::State(state) => (state.last, state.hard_state.term.max(before.term)),
        };
        let missing = before.index.next()..=to;
        if missing.is_empty() {
            return Ok(Err("it covers a truncation"));
        }
        let fits = heads.last().is_some_and(|head| head.id.index == to)
            && heads.iter().map(|head| head.span).sum::<usize>() == bytes.len();
        let (known, hard_state) = match next {
            _ if fits => (Known::Heads(heads), None),
            Next::State(state) if state.start == table.start() => {
                (Known::Nothing, Some(state.hard_state))
            }
            Next::State(_) => return Ok(Err("it covers a compaction")),
            Next::Entry(id) => {
                let Some(state) = beginning(disk, names, last.sequence + 1)? else {
                    return Ok(Err("it may cover a hard state"));
                };
                let same = id.term == before.term && before.index > table.start().id.index;
                let known = if same { Known::Term(id.term) } else { Known::Nothing };
                // Only what the next segment begins with is known, so nothing may have changed it
                // between the damage and there.
                if state.1.hard_state.term > id.term || state.1.start != table.start() {
                    return Ok(Err("it may cover a hard state"));
                }
                (known, Some(state.1.hard_state))
            }
        };
        let hard_state = hard_state.filter(|hard_state| *hard_state != table.hard_state());
        Ok(Ok(Self {
            file: Arc::clone(&last.file),
            segment: last.name(),
            salt: last.salt,
            bytes,
            before,
            missing,
            term_max,
            known,
            hard_state,
        }))
    }

    /// Which entries are damaged.
    #[must_use]
    pub fn missing(&self) -> RangeInclusive<Index> {
        self.missing.clone()
    }

    /// The whole entry before the damaged ones.
    #[must_use]
    pub fn before(&self) -> EntryId {
        self.before
    }

    /// The id that the damaged entry at this index had, as far as can be told; it is not yet
    /// proved to be that.
    #[must_use]
    pub fn known(&self, index: Index) -> Option<EntryId> {
        if !self.missing.contains(&index) {
            return None;
        }
        match &self.known {
            Known::Heads(heads) => {
                let id = heads.iter().map(|head| head.id).find(|id| id.index == index)?;
                (id.term >= self.before.term && id.term <= self.term_max).then_some(id)
            }
            Known::Term(term) => Some(EntryId::new(*term, index)),
            Known::Nothing => None,
        }
    }

    /// Puts these entries, all that are missing, in the place of the damaged ones. Durable on
    /// return; after a crash in it, the log is damaged as before.
    ///
    /// # Errors
    /// [`Error::Unproven`] for an entry that is not shown to be what stood there: nothing is
    /// changed then. Whatever the disk reports.
    pub fn fill(self, entries: &[Entry], proof: Proof) -> Result<(), Error> {
        let unproven = |index| Error::Unproven { index, segment: self.segment.clone() };
        let ids = entries.iter().map(|entry| entry.id.index.0);
        if !ids.eq(self.missing.start().0..=self.missing.end().0) {
            return Err(unproven(*self.missing.start()));
        }
        let mut last = self.before;
        for entry in entries {
            let follows = entry.id.term >= last.term && entry.id.term <= self.term_max;
            let proved = match proof {
                Proof::Same => match self.known {
                    // Their checksums decide below.
                    Known::Heads(_) => true,
                    Known::Term(term) => entry.id.term == term,
                    Known::Nothing => false,
                },
                Proof::Committed { before } => before == self.before,
            };
            if !follows || !proved {
                return Err(unproven(entry.id.index));
            }
            last = entry.id;
        }
        let reading = || Error::io("reading", &self.segment);
        let bytes = match &self.known {
            Known::Heads(heads) => self.restored(heads, entries).map_err(reading())?,
            _ => self.rewritten(entries),
        };
        let bytes = bytes.map_err(unproven)?;
        self.file.reclaim();
        let written = self.file.write(self.bytes.start as u64, &[&bytes]);
        let written = written.and_then(|()| self.file.sync());
        written.map_err(Error::io("repairing", &self.segment))
    }

    /// The very records that stood there: each one's checksum, or all but its checksum, is still
    /// on the disk. Otherwise the index of the first that is another.
    fn restored(&self, heads: &[Head], entries: &[Entry]) -> io::Result<Result<Vec<u8>, Index>> {
        let mut out = Vec::with_capacity(self.bytes.len());
        for (head, entry) in heads.iter().zip(entries) {
            let at = out.len();
            record(entry).encode_whole(seed(self.salt, head.offset), head.unsynced, &mut out);
            let stood = self.file.copy(head.offset as u64, head.span)?;
            let same = out[at..].get(..4) == stood.get(..4) || out[at + 4..] == stood[4..];
            if out.len() - at != head.span || !same {
                return Ok(Err(entry.id.index));
            }
        }
        Ok(Ok(out))
    }

    /// Records that say the same, and nothing else.
    fn rewritten(&self, entries: &[Entry]) -> Result<Vec<u8>, Index> {
        let mut out = Vec::with_capacity(self.bytes.len());
        let mut put = |record: Record<'_>| {
            let seed = seed(self.salt, self.bytes.start + out.len());
            record.encode_whole(seed, u64::MAX, &mut out);
            out.len()
        };
        if let Some(hard_state) = self.hard_state {
            put(Record::HardState(hard_state));
        }
        let mut length = 0;
        for entry in entries {
            length = put(record(entry));
        }
        if let Some(rest) = self.bytes.len().checked_sub(length).filter(|rest| *rest > 0) {
            let Some(rest) = rest.checked_sub(RECORD_BYTES) else {
                return Err(*self.missing.start());
            };
            length = put(Record::Filler(rest));
        }
        if length == self.bytes.len() { Ok(out) } else { Err(*self.missing.start()) }
    }
}

/// The heads in this range that say they are entries, one behind the other.
fn heads(
    scanner: &mut Scanner<'_>,
    bytes: &Range<usize>,
    salt: u32,
    before: EntryId,
) -> io::Result<Vec<Head>> {
    let (mut heads, mut at, mut last) = (Vec::new(), bytes.start, before);
    while at < bytes.end {
        let Some(Found { record: Record::Entry { id, .. }, span, unsynced }) =
            scanner.guess(at, salt)?
        else {
            break;
        };
        if at + span > bytes.end {
            break;
        }
        last = EntryId::new(id.term, last.index.next());
        heads.push(Head { id: last, offset: at, span, unsynced });
        at += span;
    }
    Ok(heads)
}

/// How the segment with this number begins, if it does.
fn beginning(
    disk: &dyn Disk,
    names: &[String],
    sequence: u32,
) -> io::Result<Option<(Header, State)>> {
    let is_there = names.iter().any(|name| segment_sequence(name) == Some(sequence));
    if !is_there {
        return Ok(None);
    }
    let file = disk.open(&segment_name(sequence))?;
    let len = usize::try_from(file.len()).unwrap_or(0);
    let mut scanner = Scanner::new(&*file, len, Vec::new());
    let Ok(header) = Header::decode(scanner.bytes(0, HEADER_BYTES)?) else { return Ok(None) };
    let found = scanner.find(HEADER_BYTES, header.salt())?;
    Ok(match found.map(|found| found.record) {
        Some(Record::State(state)) => Some((header, state)),
        _ => None,
    })
}
