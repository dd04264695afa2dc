//! Looking at a log without touching it: `inspect` prints segments and records, of a damaged log as
//! well, and says what is wrong where.

use crate::disk::{Disk, look::LookDisk};
use crate::error::Error;
use crate::format::{
    BEGIN_BYTES, Behind, HEADER_BYTES, Header, HeaderError, Keeps, RECORD_BYTES, Record,
};
use crate::recovery::Torn;
use crate::replay::{Reading, Replay};
use crate::scan::Scanner;
use crate::segment::segment_sequence;
use crate::spares::spare_number;
use crate::wal::Options;
use holm_raft_core::Index;
use std::io::{self, Write};
use std::path::Path;

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Each segment, what is wrong in it, and the verdict.
    Segments,
    /// Each record as well.
    Records,
    /// Only the records of the entry at this index, with the beginning of its data.
    Entry(Index),
}

/// What opening the log would come to.
#[derive(Debug)]
pub enum Verdict {
    /// All that was written is whole.
    Sound,
    /// A torn tail, which opening cuts off: it was never acknowledged.
    Torn(Torn),
    /// It would be refused.
    Refused(Error),
}

/// How many bytes of an entry's data are printed.
const DATA_BYTES: usize = 64;

/// Prints what the directory's log holds. Reads only: the log may be in use, and then its tail may
/// look torn where a record is being written.
///
/// # Errors
/// [`Error::Io`] if the directory can't be listed or `out` can't be written; what can't be read
/// otherwise is printed, and part of the verdict.
pub fn inspect(path: &Path, depth: Depth, out: &mut dyn Write) -> Result<Verdict, Error> {
    let shown = path.display().to_string();
    let disk = LookDisk::new(path);
    let names = disk.list().map_err(Error::io("listing", &shown))?;
    for name in &names {
        let printed = match segment_sequence(name) {
            Some(_) => segment(&disk, name, depth, out),
            None if spare_number(name).is_some() => {
                writeln!(out, "{name}: made ahead, or kept to be used again")
            }
            None => Ok(()),
        };
        printed.map_err(Error::io("printing", name))?;
    }
    let verdict = verdict(&disk, &names);
    let printed = match &verdict {
        Verdict::Sound => writeln!(out, "sound"),
        Verdict::Torn(torn) => writeln!(
            out,
            "torn tail: opening cuts {} at byte {}; nothing behind it was acknowledged",
            torn.segment, torn.offset
        ),
        Verdict::Refused(error) => writeln!(out, "refused: {error}"),
    };
    printed.map_err(Error::io("printing", "the verdict"))?;
    Ok(verdict)
}

fn verdict(disk: &dyn Disk, names: &[String]) -> Verdict {
    let judged = Replay::of(disk, names, Reading::All).and_then(|mut replay| {
        replay.judge()?;
        Ok(replay.cut.filter(|cut| cut.is_torn))
    });
    match judged {
        Ok(None) => Verdict::Sound,
        Ok(Some(cut)) => Verdict::Torn(Torn { segment: cut.segment, offset: cut.offset as u64 }),
        Err(error) => Verdict::Refused(error),
    }
}

fn segment(disk: &dyn Disk, name: &str, depth: Depth, out: &mut dyn Write) -> io::Result<()> {
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(error) => return writeln!(out, "{name}: can't be opened: {error}"),
    };
    let len = usize::try_from(file.len().min(Options::SEGMENT_BYTES_MAX)).unwrap_or(usize::MAX);
    let mut scanner = Scanner::new(&*file, len, Vec::new());
    let head = match scanner.bytes(0, HEADER_BYTES) {
        Ok(head) => Header::decode(head),
        Err(error) => return writeln!(out, "{name}: can't be read: {error}"),
    };
    let header = match head {
        Ok(header) => header,
        Err(HeaderError::Version(found)) => {
            return writeln!(out, "{name}: of format version {found}, which is not read here");
        }
        Err(HeaderError::Malformed) if scanner.is_zero(0..BEGIN_BYTES).unwrap_or(false) => {
            return writeln!(out, "{name}: {len} bytes, not begun");
        }
        Err(HeaderError::Malformed) => return writeln!(out, "{name}: its header is damaged"),
    };
    let member = header.identity.member;
    writeln!(
        out,
        "{name}: number {}, {len} bytes, from position {}, of member {} incarnation {:016x}",
        header.sequence, header.base, member.node.0, member.incarnation.0
    )?;
    match records(&mut scanner, &header, depth, out)? {
        Ok(()) => Ok(()),
        Err(error) => writeln!(out, "  can't be read further: {error}"),
    }
}

/// The outer result is that of printing, the inner one that of reading.
fn records(
    scanner: &mut Scanner<'_>,
    header: &Header,
    depth: Depth,
    out: &mut dyn Write,
) -> io::Result<io::Result<()>> {
    let (salt, mut at) = (header.salt(), HEADER_BYTES);
    let (mut count, mut entries) = (0_u64, None::<(Index, Index)>);
    loop {
        let printed = match scanner.find(at, salt) {
            Err(error) => return Ok(Err(error)),
            Ok(Some(found)) => {
                if let Record::Entry { id, .. } = found.record {
                    let first = entries.map_or(id.index, |(first, _)| first);
                    entries = Some((first, id.index));
                }
                (count, at) = (count + 1, at + found.span);
                record(at - found.span, &found.record, depth, out)
            }
            Ok(None) => {
                let next = match scanner.next_record(at, salt) {
                    Ok(next) => next,
                    Err(error) => return Ok(Err(error)),
                };
                let Some(next) = next else { break };
                let from = std::mem::replace(&mut at, next);
                writeln!(out, "  {from:>9}  no whole record up to byte {next}")
            }
        };
        printed?;
    }
    let end = match header.behind {
        Behind::Zeroes => usize::MAX,
        Behind::Old => at + RECORD_BYTES,
    };
    let behind = match scanner.is_zero(at..end) {
        Err(error) => return Ok(Err(error)),
        Ok(true) => "the end",
        Ok(false) => "no whole record, and not empty",
    };
    writeln!(out, "  {at:>9}  {behind}")?;
    match entries {
        Some((first, last)) => writeln!(out, "  {count} records, entries {first} to {last}")?,
        None => writeln!(out, "  {count} records, no entries")?,
    }
    Ok(Ok(()))
}

fn record(at: usize, record: &Record<'_>, depth: Depth, out: &mut dyn Write) -> io::Result<()> {
    match (depth, record) {
        (Depth::Segments, _) => return Ok(()),
        (Depth::Entry(index), Record::Entry { id, .. }) if id.index == index => {}
        (Depth::Entry(_), _) => return Ok(()),
        (Depth::Records, _) => {}
    }
    write!(out, "  {at:>9}  ")?;
    match record {
        Record::State(state) => writeln!(
            out,
            "state: {}, begins after {}, last entry {}",
            hard_state(&state.hard_state),
            state.start.id,
            state.last
        ),
        Record::HardState(state) => writeln!(out, "hard state: {}", hard_state(state)),
        Record::Compact { start, keeps: Keeps::Suffix } => {
            writeln!(out, "compact: up to {}", start.id)
        }
        Record::Compact { start, keeps: Keeps::Nothing } => {
            writeln!(out, "compact: begins anew after {}", start.id)
        }
        Record::Truncate(index) => writeln!(out, "truncate: from {index} on"),
        Record::Filler(len) => writeln!(out, "filler: {len} bytes"),
        Record::Entry { id, time, kind, data } => {
            writeln!(out, "entry {id}: {kind:?}, {} bytes, log time {} ms", data.len(), time.0)?;
            if matches!(depth, Depth::Entry(_)) && !data.is_empty() {
                let shown = &data[..data.len().min(DATA_BYTES)];
                writeln!(out, "             {}", shown.escape_ascii())?;
            }
            Ok(())
        }
    }
}

fn hard_state(state: &holm_raft_core::HardState) -> String {
    match state.vote {
        Some(vote) => format!("term {}, vote for {}", state.term, vote.node),
        None => format!("term {}, no vote", state.term),
    }
}
