//! What can go wrong with a log and its snapshots, as one enum whose messages say what happened,
//! where, and what to do next.

use holm_raft_core::{EntryId, Index};
use std::io;
use std::path::PathBuf;

/// Why a log or a snapshot could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sync failed. The log is poisoned: what the disk holds of the unsynced writes can't be
    /// known, and a second sync could report success for data that is gone.
    #[error(
        "syncing the log failed ({source}); it accepts nothing more. Check the disk, then restart: \
         recovery finds what is durable"
    )]
    Sync {
        /// What the disk said.
        source: io::Error,
    },
    /// The log refuses because an earlier write or sync failed.
    #[error("the log accepts nothing more since an earlier disk error; check the disk and restart")]
    Poisoned,
    /// There is no room for another segment. Nothing of the batch was written: it may be tried
    /// again once there is room.
    #[error("no room for a log segment of {bytes} bytes ({source}); free some space")]
    Full {
        /// The size of the segment that did not fit, in bytes.
        bytes: u64,
        /// What the disk said.
        source: io::Error,
    },
    /// The log is damaged below a position that was once durable. Nothing is cut.
    #[error(
        "{segment} is damaged at byte {offset}, after entry {after}, below what was durable: \
         {reason}. Do not delete it; replace this member or restore its directory"
    )]
    Damaged {
        /// The segment's file name.
        segment: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// The last entry before the damage that is known to be whole.
        after: EntryId,
        /// What was found.
        reason: &'static str,
    },
    /// Damage that can't be repaired from peers.
    #[error(
        "{segment} is damaged at byte {offset} beyond repair: {reason}. This member counts as one \
         that has lost its disk: replace it"
    )]
    Irreparable {
        /// The segment's file name.
        segment: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What can't be known.
        reason: &'static str,
    },
    /// An entry was offered that is not shown to be what stood in the damaged place.
    #[error("entry {index} is not proved to be what stood in {segment}; nothing was changed")]
    Unproven {
        /// The entry's index.
        index: Index,
        /// The damaged segment's file name.
        segment: String,
    },
    /// A segment is not there, and it held what was once durable.
    #[error("{name} is missing, and it held what was durable; restore it, or replace this member")]
    Missing {
        /// The file's name, as far as it is known.
        name: String,
    },
    /// A file is there that is none of this log's.
    #[error("{name} does not belong here: {reason}; move it out of this directory")]
    Unexpected {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file belongs to another cluster or another member than the log's first segment.
    #[error("{name} belongs to another cluster or member; move it out of this directory")]
    Foreign {
        /// The file's name.
        name: String,
    },
    /// A file is of a format version that this build does not read.
    #[error(
        "{name} has format version {found}, this build reads {}; use a build that reads it",
        crate::format::VERSION
    )]
    Version {
        /// The file's name.
        name: String,
        /// The version it states.
        found: u32,
    },
    /// There is no log on this disk.
    #[error("there is no log here; create one first")]
    Absent,
    /// There is a log on this disk already.
    #[error("there is a log here already; open it, or choose an empty directory")]
    Exists,
    /// The directory is in use.
    #[error("{} is in use by another process or another log; stop that first", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// An option is out of its bounds.
    #[error("segment_bytes is {found}, but must be a multiple of 512 from {min} to {max}")]
    SegmentBytes {
        /// What was asked for.
        found: u64,
        /// The least, in bytes.
        min: u64,
        /// The most, in bytes.
        max: u64,
    },
    /// An entry does not fit into a segment. Nothing of the batch was written.
    #[error(
        "an entry of {bytes} bytes was refused, segments take {bytes_max}; raise segment_bytes"
    )]
    TooLarge {
        /// The entry's data, in bytes.
        bytes: u64,
        /// What fits, in bytes.
        bytes_max: u64,
    },
    /// The log does not hold this entry.
    #[error("entry {index} is not in the log, which begins after {start} and ends with {last}")]
    NotHeld {
        /// What was asked for.
        index: Index,
        /// The log begins after this entry.
        start: EntryId,
        /// The log's last entry.
        last: EntryId,
    },
    /// No snapshot can be read, though there are some.
    #[error("every snapshot is damaged, the newest is {name}; replace this member or restore it")]
    SnapshotDamaged {
        /// The newest one's file name.
        name: String,
    },
    /// The log begins after the newest readable snapshot: what is between is missing.
    #[error(
        "the log begins after entry {start}, but the newest readable snapshot ends at {snapshot}; \
         replace this member, or restore the missing snapshot"
    )]
    SnapshotMissing {
        /// The log begins after this entry.
        start: EntryId,
        /// The snapshot's last entry, zero if there is no snapshot.
        snapshot: EntryId,
    },
    /// Anything else that the disk reports.
    #[error("{doing} {name} failed: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        name: String,
        /// What the disk said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error with what was being done to which file.
    pub(crate) fn io<'a>(
        doing: &'static str,
        name: &'a str,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, name: name.to_owned(), source }
    }
}
