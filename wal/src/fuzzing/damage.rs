//! Rot below what was durable, which must be told and never cut, and rot behind it, which may be
//! cut; and what a snapshot covers of it, which may be given up, and nothing else.

use super::random_bytes;
use crate::append::Batch;
use crate::disk::sim::SimDisk;
use crate::error::Error;
use crate::format::Identity;
use crate::wal::{Options, Wal};
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogStart, LogTime, Term};

const OPTIONS: Options = Options { segment_bytes: 1024 };

/// Writes a log, each batch durable before the next, flips a bit of it, and opens it; where it is
/// damaged, it is given up as far as a snapshot of some entry covers that.
///
/// # Errors
/// If anything is missing that was durable below a witness and it is not told, or that the snapshot
/// does not have.
pub(crate) fn tell(seed: u64) -> Result<(), String> {
    let disk = SimDisk::new(seed, SimDisk::at_once());
    let text = |error: Error| error.to_string();
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).map_err(text)?;
    let lengths = random_bytes(seed, 12);
    for (at, length) in (1_u64..).zip(&lengths) {
        let id = self::at(at);
        let data = vec![*length; usize::from(*length) * 2].into();
        let entry = Entry { id, time: LogTime(at), kind: EntryKind::Command, data };
        wal.append(&Batch { entries: &[entry], ..Batch::default() }).map_err(text)?;
        let job = wal.begin_sync().ok_or("nothing to sync")?.into_job();
        wal.finish_sync(job()).map_err(text)?;
    }
    drop(wal);
    let written = lengths.len() as u64;
    let (name, offset) = disk.rot().ok_or("an empty disk")?;
    let before = disk.operations();
    match Wal::open(disk.attach(), OPTIONS) {
        Ok((wal, recovered)) => {
            // Nothing bears witness to the last one.
            let least = if recovered.torn.is_some() { written - 1 } else { written };
            let last = wal.last().index;
            if last < Index(least) {
                return Err(format!("{name} rotted at {offset}, and the log ends at {last}"));
            }
            Ok(())
        }
        Err(Error::Damaged { .. }) if disk.operations() == before => {
            let snapshot = 1 + seed % written;
            give_up(&disk, snapshot, written)
                .map_err(|error| format!("{name} rotted at {offset}, snapshot {snapshot}: {error}"))
        }
        Err(Error::Version { .. }) if disk.operations() == before => Ok(()),
        Err(error) => Err(format!("{name} rotted at {offset}: {error}")),
    }
}

/// Gives up what a snapshot of this entry covers.
fn give_up(disk: &SimDisk, snapshot: u64, written: u64) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let start = LogStart { id: at(snapshot), time: LogTime(snapshot) };
    let before = disk.operations();
    let attached = disk.attach();
    if !Wal::give_up_damage(&attached, OPTIONS, start, |_| true).map_err(text)? {
        return if disk.operations() == before { Ok(()) } else { Err("it wrote".to_owned()) };
    }
    let (wal, _) = Wal::open(attached, OPTIONS).map_err(text)?;
    let found =
        (wal.start().id.index.0 + 1..=wal.last().index.0).map(|index| wal.entry(Index(index)));
    let found: Vec<EntryId> =
        found.map(|entry| entry.map(|entry| entry.id)).collect::<Result<_, _>>().map_err(text)?;
    // Nothing bears witness to the last one.
    let kept = (snapshot + 1..written).all(|index| found.contains(&at(index)));
    if kept { Ok(()) } else { Err(format!("what is kept is {found:?}")) }
}

const fn at(index: u64) -> EntryId {
    EntryId::new(Term(1), Index(index))
}

#[test]
fn rot_below_what_was_durable_is_told_wherever_it_is() {
    for seed in 0..3_000 {
        tell(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}
