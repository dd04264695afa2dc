//! Damage that a snapshot covers: `Wal::give_up_damage` drops the segments up to the damaged one,
//! where nothing in them is needed any more. What the log promised stands in the segments behind
//! them: each begins with the hard state and says which entries came before it.
//!
//! A file whose name says up to which segment they are given up is the one step that decides it.
//! Until it is durable the log is damaged as it was; from then on no reader looks at them, and the
//! next opening removes them.

use crate::append::Batch;
use crate::disk::Disk;
use crate::error::Error;
use crate::format::Identity;
use crate::mutation::{self, Mutation};
use crate::recovery::settle;
use crate::repair::beginning;
use crate::replay::{Reading, Replay};
use crate::segment::{not_made, segment_sequence};
use crate::wal::{Options, Wal};
use holm_raft_core::LogStart;
use std::io;
use std::sync::Arc;

/// The size of the file that says it, in bytes: its name is what counts.
const NOTE_BYTES: u64 = 512;

impl Wal {
    /// Gives up the segments of a damaged log up to the last damaged one, if this snapshot, which
    /// is durable, has all that they held: then the log opens, and begins behind the snapshot, or
    /// where it began if that is later. Entries behind the snapshot are kept, unless the log has
    /// another entry where the snapshot ends (§7). Returns whether it was done; if not, nothing is
    /// changed. Durable on return; after a crash in it, the log is damaged as before, or all is
    /// done.
    ///
    /// It is not done where the damage reaches into the last segment, for a hard state may be lost
    /// with it, nor where an entry behind the snapshot may be, nor to a log that is not `mine`.
    ///
    /// # Errors
    /// As for [`open`](Self::open), for whatever is wrong beside damage; [`Error::Full`].
    pub fn give_up_damage(
        disk: &Arc<dyn Disk>,
        options: Options,
        snapshot: LogStart,
        mine: impl FnOnce(Identity) -> bool,
    ) -> Result<bool, Error> {
        options.check()?;
        let mut names = disk.list().map_err(Error::io("listing", "the log's directory"))?;
        let mut damaged = None;
        let mut replay = loop {
            let found = Replay::of(&**disk, &names, Reading::All).and_then(|replay| {
                replay.judge_cut()?;
                Ok(replay)
            });
            let segment = match found {
                Ok(replay) => break replay,
                Err(Error::Damaged { segment, .. }) => segment_sequence(&segment),
                Err(error) => return Err(error),
            };
            damaged = damaged.max(segment);
            names.retain(|name| segment_sequence(name).is_none_or(|found| Some(found) > segment));
        };
        let Some(damaged) = damaged else { return Ok(false) };
        let next = damaged.saturating_add(1);
        let begun = beginning(&**disk, &names, next).map_err(Error::io("reading", "a segment"))?;
        let (Some((_, state)), Some(table)) = (begun, &replay.table) else { return Ok(false) };
        if !replay.identity.is_some_and(mine) {
            return Ok(false);
        }
        let has_gap = table.has_gap();
        // The entry at the snapshot's end must be there for its term to be looked at, or nothing
        // from there on.
        let needed = has_gap && snapshot.id.index <= state.last;
        if needed && !mutation::on(Mutation::GivenUpThoughNeeded) {
            return Ok(false);
        }
        // What was read may be in memory alone.
        settle(&mut replay, &**disk, &names)?;
        if has_gap {
            compact(disk, options, replay, snapshot)?;
        }
        note(&**disk, damaged)?;
        Ok(true)
    }
}

/// Writes behind the whole segments, durably, that the log begins behind the snapshot.
fn compact(
    disk: &Arc<dyn Disk>,
    options: Options,
    replay: Replay,
    snapshot: LogStart,
) -> Result<(), Error> {
    let table = replay.table.ok_or(Error::Absent)?;
    let identity = replay.identity.unwrap_or_default();
    let mut wal = Wal::assembled(Arc::clone(disk), options, identity, replay.segments, table, &[]);
    // As if nothing were durable: so that no segment is used up before those that are damaged.
    wal.durable_end = 0;
    wal.append(&Batch { compact: Some(snapshot), ..Batch::default() })?;
    match wal.begin_sync() {
        Some(job) => job.into_job()().map_err(|source| Error::Sync { source }),
        None => wal.check_spares(),
    }
}

/// Says durably that the segments up to this one are given up.
fn note(disk: &dyn Disk, sequence: u32) -> Result<(), Error> {
    let name = format!("given-up-{sequence:08x}.wal");
    match disk.create(&name, NOTE_BYTES) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(not_made(&name, NOTE_BYTES, error));
        }
        _ => {}
    }
    disk.sync_directory().map_err(Error::io("syncing the directory of", &name))
}

/// Up to which segment they are given up, by this file's name, if it says so.
pub(crate) fn given_up(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("given-up-")?.strip_suffix(".wal")?;
    u32::from_str_radix(digits, 16).ok()
}
