//! Opening a log: every record is read and checked, and what a crash left is told apart from
//! damage.
//!
//! Reading stops at the first place where no whole record follows. If a record behind it (records
//! don't chain, so it can be found) says that more was durable when it was written, then durable
//! bytes are gone: damage, which is never cut. Otherwise nothing behind that place was ever
//! acknowledged: a torn tail, which is wiped durably before anything new is written, so that no
//! later recovery can stumble over it.

use crate::disk::Disk;
use crate::error::Error;
use crate::footer::{self, footer_sequence};
use crate::format::Identity;
use crate::mutation::{self, Mutation};
use crate::replay::{Reading, Replay};
use crate::scan::wipe;
use crate::segment::Segment;
use crate::spares::spare_number;
use crate::wal::{Options, Wal};
use holm_raft_core::{Entry, EntryId, HardState, Index, LogStart, LogTime, SnapshotMeta, Term};
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
    /// [`Error::Absent`] where there is none; [`Error::Damaged`], [`Error::Missing`],
    /// [`Error::Unexpected`], [`Error::Foreign`] and [`Error::Version`], with nothing changed on
    /// the disk; whatever else the disk reports.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Recovered), Error> {
        Self::open_by(disk, options, Reading::All)
    }

    /// Like [`open`](Self::open), but reads only the footers of the segments that have one, and the
    /// others. Damage to what is not read shows when it is read. Footers are kept from now on, as
    /// by [`keep_footers`](Self::keep_footers).
    ///
    /// # Errors
    /// As for [`open`](Self::open), as far as is read.
    pub fn open_fast(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Recovered), Error> {
        let (mut wal, recovered) = Self::open_by(disk, options, Reading::Footers)?;
        wal.keep_footers();
        Ok((wal, recovered))
    }

    fn open_by(
        disk: Arc<dyn Disk>,
        options: Options,
        reading: Reading,
    ) -> Result<(Self, Recovered), Error> {
        options.check()?;
        let names = disk.list().map_err(Error::io("listing", "the log's directory"))?;
        let mut replay = Replay::of(&*disk, &names, reading)?;
        replay.judge()?;
        let torn = settle(&mut replay, &*disk, &names)?;
        let spares: Vec<String> =
            names.into_iter().filter(|name| spare_number(name).is_some()).collect();
        let (segments, table) = (replay.segments, replay.table.ok_or(Error::Absent)?);
        let identity = replay.identity.unwrap_or_default();
        let wal = Self::of(disk, options, identity, segments, table, &spares);
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

impl Replay {
    /// Whether what stopped the reading, if anything did, was a crash.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Missing`] if it was not.
    pub(crate) fn judge(&mut self) -> Result<(), Error> {
        let table = self.table.as_ref().ok_or(Error::Absent)?;
        if table.has_gap() {
            let first = self.segments.front().map(Segment::name).unwrap_or_default();
            return Err(Error::Missing { name: format!("a segment before {first}") });
        }
        self.judge_cut()
    }

    /// The same, whatever is missing before the first segment.
    ///
    /// # Errors
    /// As for [`judge`](Self::judge).
    pub(crate) fn judge_cut(&self) -> Result<(), Error> {
        let Some(cut) = &self.cut else { return Ok(()) };
        if self.witnessed <= cut.position || mutation::on(Mutation::DamageCut) {
            return Ok(());
        }
        if let Some(name) = &cut.missing {
            return Err(Error::Missing { name: name.clone() });
        }
        let after = self.table.as_ref().map_or(UNKNOWN, |table| table.last());
        let (segment, offset) = (cut.segment.clone(), cut.offset as u64);
        Err(Error::Damaged { segment, offset, after, reason: cut.reason })
    }
}

pub(crate) const UNKNOWN: EntryId = EntryId { term: Term(0), index: Index(0) };

/// Makes the disk hold durably what was read, and nothing else.
pub(crate) fn settle(
    replay: &mut Replay,
    disk: &dyn Disk,
    names: &[String],
) -> Result<Option<Torn>, Error> {
    if !replay.notes.is_empty() {
        // Durable before the first segment goes on its strength.
        disk.sync_directory().map_err(Error::io("syncing", "the log's directory"))?;
    }
    let unfinished = Wal::UNFINISHED.to_owned();
    let unfinished = names.contains(&unfinished).then_some(unfinished);
    for name in replay.doomed.iter().rev().chain(&replay.given_up).chain(&unfinished) {
        disk.remove(name).map_err(Error::io("removing", name))?;
    }
    let is_there = |sequence| replay.segments.iter().any(|segment| segment.sequence == sequence);
    for sequence in names.iter().filter_map(|name| footer_sequence(name)) {
        if !is_there(sequence) {
            footer::remove(disk, sequence).map_err(Error::io("removing", "a footer"))?;
        }
    }
    // Before the wipe: a segment must not outlive the one it follows.
    disk.sync_directory().map_err(Error::io("syncing", "the log's directory"))?;
    for name in &replay.notes {
        // What it speaks of is gone for good; should it come back, it speaks of nothing.
        disk.remove(name).map_err(Error::io("removing", name))?;
    }
    let last = replay.segments.len().saturating_sub(1);
    let torn = replay.cut.take().filter(|cut| cut.is_torn);
    for (at, segment) in replay.segments.iter().enumerate() {
        let is_torn = at == last && replay.tail.has_more;
        if !is_torn && segment.end() <= replay.witnessed {
            continue;
        }
        let name = segment.name();
        // What was read of it when it was open before stands in the way only while it is held.
        segment.file.reclaim();
        if !mutation::on(Mutation::RecoveryWithoutRewrite) {
            rewrite(segment, replay.witnessed).map_err(Error::io("writing again", &name))?;
        }
        if is_torn && !mutation::on(Mutation::TornTailNotWiped) {
            wipe(&*segment.file, segment.used).map_err(Error::io("wiping the tail of", &name))?;
        }
        segment.file.sync().map_err(Error::io("syncing", &name))?;
    }
    Ok(torn.map(|cut| Torn { segment: cut.segment, offset: cut.offset as u64 }))
}

/// Writes again what nobody has witnessed to be durable, and the end mark.
///
/// The bytes are the same, but a sync that failed before a restart may have left them in the page
/// cache alone, marked clean: only another write brings them to the disk.
fn rewrite(segment: &Segment, witnessed: u64) -> std::io::Result<()> {
    let known = usize::try_from(witnessed.saturating_sub(segment.base)).unwrap_or(usize::MAX);
    if known < segment.used {
        let bytes = segment.file.copy(known as u64, segment.used - known)?;
        segment.file.write(known as u64, &[&bytes, segment.end_mark(segment.used)])?;
    }
    Ok(())
}
