//! Rot below what was durable, which must be told and never cut, and rot behind it, which may be
//! cut.

use super::random_bytes;
use crate::append::Batch;
use crate::disk::sim::SimDisk;
use crate::error::Error;
use crate::format::Identity;
use crate::wal::{Options, Wal};
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};

const OPTIONS: Options = Options { segment_bytes: 1024 };

/// Writes a log, each batch durable before the next, flips a bit of it, and opens it.
///
/// # Errors
/// If anything is missing that was durable below a witness and it is not told.
pub(crate) fn tell(seed: u64) -> Result<(), String> {
    let disk = SimDisk::new(seed, SimDisk::at_once());
    let text = |error: Error| error.to_string();
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).map_err(text)?;
    let lengths = random_bytes(seed, 12);
    for (at, length) in (1_u64..).zip(&lengths) {
        let id = EntryId::new(Term(1), Index(at));
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
        Err(Error::Damaged { .. } | Error::Version { .. }) if disk.operations() == before => Ok(()),
        Err(error) => Err(format!("{name} rotted at {offset}: {error}")),
    }
}

#[test]
fn rot_below_what_was_durable_is_told_wherever_it_is() {
    for seed in 0..3_000 {
        tell(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}
