//! Repair of a damaged log from its peers: `Repair` says which entries are damaged and takes
//! their replacements, but only what is proved to be what stood there. A log that is damaged where
//! a hard state may have stood can't be repaired: its member counts as one that has lost its disk.

use crate::append::record;
use crate::disk::{Disk, File};
use crate::error::Error;
use crate::format::{
    ALIGN, Found, HEADER_BYTES, Header, Identity, RECORD_BYTES, Record, State, seed,
};
use crate::replay::{Reading, Replay};
use crate::scan::Scanner;
use crate::segment::{Segment, segment_name, segment_sequence};
use crate::table::Table;
use crate::wal::Wal;
use holm_raft_core::{Entry, EntryId, HardState, Index, Term};
use std::io;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

/// A damaged range of a log, which can be filled again.
pub struct Repair {
    identity: Identity,
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
        let mut replay = Replay::of(disk, &names, Reading::All)?;
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
    /// The next segment's beginning.
    State(State),
}

/// What can be told, or why not.
type Told<T> = io::Result<Result<T, &'static str>>;

impl Repair {
    fn of(disk: &dyn Disk, replay: &Replay, names: &[String]) -> Told<Self> {
        let (Some(last), Some(table)) = (replay.segments.back(), &replay.table) else {
            return Ok(Err("there is no whole segment"));
        };
        let mut scanner = Scanner::new(&*last.file, last.len, Vec::new());
        let following = beginning(disk, names, last.sequence.saturating_add(1))?;
        let (bytes, next) = match behind(&mut scanner, last, following.as_ref())? {
            Ok(found) => found,
            Err(reason) => return Ok(Err(reason)),
        };
        let before = table.last();
        let (to, term_max) = match &next {
            Next::Entry(id) => (id.index.prev(), id.term),
            Next::State(state) => (state.last, state.hard_state.term.max(before.term)),
        };
        let missing = before.index.next()..=to;
        if missing.is_empty() {
            return Ok(Err("it covers a truncation"));
        }
        let heads = heads(&mut scanner, &bytes, last.salt, before)?;
        let fits = heads.last().is_some_and(|head| head.id.index == to)
            && heads.iter().map(|head| head.span).sum::<usize>() == bytes.len();
        let (known, hard_state) = if fits {
            (Known::Heads(heads), None)
        } else {
            match known(&next, table, following.map(|(_, state)| state)) {
                Ok((known, hard_state)) => (known, Some(hard_state)),
                Err(reason) => return Ok(Err(reason)),
            }
        };
        let hard_state = hard_state.filter(|hard_state| *hard_state != table.hard_state());
        let (file, segment, salt) = (Arc::clone(&last.file), last.name(), last.salt);
        let identity = replay.identity.unwrap_or_default();
        Ok(Ok(Self {
            identity,
            file,
            segment,
            salt,
            bytes,
            before,
            missing,
            term_max,
            known,
            hard_state,
        }))
    }

    /// Whose log it is.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
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

/// Which bytes are damaged, and what is whole behind them.
fn behind(
    scanner: &mut Scanner<'_>,
    segment: &Segment,
    following: Option<&(Header, State)>,
) -> Told<(Range<usize>, Next)> {
    let (end, next) = if let Some(end) = scanner.next_record(segment.used + ALIGN, segment.salt)? {
        let found = scanner.find(end, segment.salt)?;
        let Some(Record::Entry { id, .. }) = found.map(|found| found.record) else {
            return Ok(Err("it ends at a record that is no entry"));
        };
        (end, Next::Entry(id))
    } else if let Some((header, state)) = following {
        let end = usize::try_from(header.base.saturating_sub(segment.base));
        (end.unwrap_or(usize::MAX), Next::State(*state))
    } else {
        return Ok(Err("nothing whole is behind it"));
    };
    let sound = end > segment.used && end <= segment.len;
    Ok(if sound { Ok((segment.used..end, next)) } else { Err("nothing whole is behind it") })
}

/// What is known where not even the heads are whole, and the hard state that has to be said again:
/// a hard state may have stood there. `following` is how the next segment begins.
fn known(
    next: &Next,
    table: &Table,
    following: Option<State>,
) -> Result<(Known, HardState), &'static str> {
    let Some(following) = following else { return Err("it may cover a hard state") };
    if following.start != table.start() {
        return Err("it may cover a compaction");
    }
    match next {
        Next::State(state) => Ok((Known::Nothing, state.hard_state)),
        // Later records must not contradict a hard state that is put here, so it must not be newer
        // than what follows.
        Next::Entry(id) if following.hard_state.term > id.term => Err("it may cover a hard state"),
        Next::Entry(id) => {
            let before = table.last();
            let same = id.term == before.term && before.index > table.start().id.index;
            let known = if same { Known::Term(id.term) } else { Known::Nothing };
            Ok((known, following.hard_state))
        }
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
pub(crate) fn beginning(
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
