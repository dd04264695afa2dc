//! A snapshot that arrives in pieces: `Transfer`, which takes pieces in and gives up what can't be
//! kept, and `Receiving`, the two files of the one under way. The larger file is laid out as the
//! snapshot will be, header first, so that finishing it is a rename; the other says how much of it
//! is durable, never more.

use crate::disk::{Disk, File};
use crate::error::Error;
use crate::snapshots::file::{self, Header, Snapshot, name_of};
use crate::snapshots::progress::{self, Progress, Slot};
use crc32fast::Hasher;
use holm_raft_core::{Chunk, EntryId, Index, Partial, SnapshotId};
use std::io;
use std::sync::Arc;

/// What there is of a snapshot that arrives in pieces.
pub(super) enum Transfer {
    /// Nothing.
    None,
    /// Its beginning.
    UnderWay(Receiving),
    /// It was given up, and pieces of it that were on their way are passed over until one begins it
    /// anew. `why` is for whoever asks first.
    GivenUp { id: SnapshotId, why: Option<String> },
    /// A job has it. If that job failed, for good: what is durable of it can't be known, and a
    /// restart will find out.
    Away,
}

/// The files of a transfer.
pub(super) struct Receiving {
    partial: Partial,
    /// The checksum of the bytes that are stored.
    sum: u32,
    file: Arc<dyn File>,
    /// Where in the file the data begin.
    data_start: u64,
    progress: Progress,
    /// How much is durable, and said to be. `None` while not even the files' names are.
    durable: Option<u64>,
}

/// Why a piece was not stored.
enum Failure {
    /// What makes the snapshot impossible to keep, and leaves the disk usable.
    Refused(String),
    Disk(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Transfer {
    /// Stores pieces and makes them durable.
    ///
    /// # Panics
    /// If a piece is neither a beginning nor what comes next.
    pub(super) fn store(mut self, disk: &dyn Disk, chunks: &[Chunk]) -> io::Result<Self> {
        for chunk in chunks {
            self = self.add(disk, chunk)?;
        }
        let Self::UnderWay(mut receiving) = self else { return Ok(self) };
        match receiving.make_durable(disk) {
            Ok(()) => Ok(Self::UnderWay(receiving)),
            Err(failure) => Self::failed(disk, receiving.partial.id(), failure),
        }
    }

    fn add(self, disk: &dyn Disk, chunk: &Chunk) -> io::Result<Self> {
        let id = chunk.id();
        let mut receiving = match self {
            Self::GivenUp { id: given_up, .. } if given_up == id && chunk.offset > 0 => {
                return Ok(self);
            }
            Self::UnderWay(receiving) if receiving.comes_next(chunk) => receiving,
            earlier => {
                assert_eq!(
                    chunk.offset,
                    0,
                    "a piece of snapshot {} follows nothing that is stored: {:?} is",
                    id.last,
                    earlier.stored()
                );
                earlier.discard(disk)?;
                match Receiving::begin(disk, chunk) {
                    Ok(receiving) => receiving,
                    Err(failure) => return Self::failed(disk, id, failure),
                }
            }
        };
        match receiving.add(chunk) {
            Ok(()) => Ok(Self::UnderWay(receiving)),
            Err(failure) => Self::failed(disk, id, failure),
        }
    }

    fn failed(disk: &dyn Disk, id: SnapshotId, failure: Failure) -> io::Result<Self> {
        match failure {
            Failure::Disk(error) => Err(error),
            Failure::Refused(why) => {
                remove_files(disk, &id.last)?;
                Ok(Self::GivenUp { id, why: Some(why) })
            }
        }
    }

    fn discard(self, disk: &dyn Disk) -> io::Result<()> {
        match self {
            Self::UnderWay(receiving) => remove_files(disk, &receiving.partial.meta.last),
            Self::None | Self::GivenUp { .. } => Ok(()),
            Self::Away => unreachable!("a job has taken it for itself"),
        }
    }

    /// Gives up what a snapshot up to `newest` has made useless.
    pub(super) fn outdated_by(self, disk: &dyn Disk, newest: Index) -> io::Result<Self> {
        match self {
            Self::UnderWay(receiving) if receiving.partial.meta.last.index <= newest => {
                let id = receiving.partial.id();
                let why = format!(
                    "snapshot {} was given up: there is one up to entry {newest} already",
                    id.last
                );
                Self::failed(disk, id, Failure::Refused(why))
            }
            other => Ok(other),
        }
    }

    /// How much is stored of which snapshot: nothing of one that was given up.
    pub(super) fn stored(&self) -> Option<(SnapshotId, Option<u64>)> {
        match self {
            Self::None | Self::Away => None,
            Self::UnderWay(receiving) => {
                let partial = &receiving.partial;
                Some((partial.id(), Some(partial.stored)))
            }
            Self::GivenUp { id, .. } => Some((*id, None)),
        }
    }
}

impl Receiving {
    /// Finds the transfer that a restart cut off, and removes what can't be gone on from: all of it
    /// if neither slot of the progress file says what is there. The names must be durable.
    pub(super) fn find(
        disk: &dyn Disk,
        names: &[String],
        newest: Index,
    ) -> Result<Option<Self>, Error> {
        let has_progress = names.iter().any(|name| name == progress::NAME);
        // A transfer that can't be read costs time, no data: it is dropped and begun again.
        let found = match has_progress.then(|| Progress::open(disk)) {
            Some(Ok((progress, slots))) => Self::from_slots(disk, newest, progress, slots)?,
            Some(Err(_)) | None => None,
        };
        let kept = found.as_ref().map(|receiving| name_while_receiving(&receiving.last()));
        for name in names.iter().filter(|name| is_of_a_transfer(name)) {
            let keeps = found.is_some() && name == progress::NAME || kept.as_ref() == Some(name);
            if !keeps {
                disk.remove(name).map_err(Error::io("removing", name))?;
            }
        }
        Ok(found)
    }

    fn from_slots(
        disk: &dyn Disk,
        newest: Index,
        mut progress: Progress,
        mut slots: Vec<(u64, Slot)>,
    ) -> Result<Option<Self>, Error> {
        slots.sort_by_key(|(_, slot)| std::cmp::Reverse(slot.stored));
        for (at, slot) in &slots {
            let Some((file, header)) = check(disk, newest, slot) else { continue };
            progress.go_on_from(*at, slot).map_err(Error::io("writing", progress::NAME))?;
            let (stored, checksum) = (slot.stored, slot.id.checksum);
            let partial = Partial { meta: header.meta, length: header.length, checksum, stored };
            let (data_start, durable) = (header.bytes, Some(stored));
            let found = Self { partial, sum: slot.sum, file, data_start, progress, durable };
            return Ok(Some(found));
        }
        Ok(None)
    }

    /// Makes the files.
    fn begin(disk: &dyn Disk, chunk: &Chunk) -> Result<Self, Failure> {
        let last = &chunk.meta.last;
        let refused = |error: io::Error| refused(error, last, chunk.length);
        let header =
            file::encode_header(&chunk.meta, chunk.length, chunk.checksum).map_err(refused)?;
        let data_start = header.len() as u64;
        let too_large = || refused(io::ErrorKind::FileTooLarge.into());
        let bytes = data_start.checked_add(chunk.length).ok_or_else(too_large)?;
        let file = disk.create(&name_while_receiving(last), bytes).map_err(refused)?;
        let progress = Progress::create(disk).map_err(refused)?;
        file.write(0, &[&header])?;
        let (meta, length, checksum) = (chunk.meta.clone(), chunk.length, chunk.checksum);
        let partial = Partial { meta, length, checksum, stored: 0 };
        Ok(Self { partial, sum: 0, file, data_start, progress, durable: None })
    }

    fn comes_next(&self, chunk: &Chunk) -> bool {
        chunk.id() == self.partial.id() && chunk.offset == self.partial.stored
    }

    fn add(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        if chunk.end() > self.partial.length {
            let why = format!(
                "snapshot {} was given up: a piece of it ends at byte {}, but it has {}; its \
                 sender is faulty, and will be asked again",
                self.last(),
                chunk.end(),
                self.partial.length
            );
            return Err(Failure::Refused(why));
        }
        self.file.write(self.data_start + self.partial.stored, &[&chunk.data])?;
        let mut hasher = Hasher::new_with_initial(self.sum);
        hasher.update(&chunk.data);
        self.sum = hasher.finalize();
        self.partial.stored = chunk.end();
        Ok(())
    }

    /// The data first, then that they are there. Whole data must be right before it is said.
    fn make_durable(&mut self, disk: &dyn Disk) -> Result<(), Failure> {
        let stored = self.partial.stored;
        if self.durable == Some(stored) {
            return Ok(());
        }
        if self.partial.is_whole() && self.sum != self.partial.checksum {
            let why = format!(
                "snapshot {} was given up: its {stored} bytes do not match its checksum; it was \
                 damaged on its way, and will be asked for again",
                self.last()
            );
            return Err(Failure::Refused(why));
        }
        self.file.sync()?;
        if self.durable.is_none() {
            disk.sync_directory()?;
        }
        self.progress.write(&Slot { id: self.partial.id(), stored, sum: self.sum })?;
        self.durable = Some(stored);
        Ok(())
    }

    /// Makes the whole transfer the snapshot `last`, with a durable name.
    ///
    /// # Panics
    /// If it is another's, or not whole.
    pub(super) fn finish(self, disk: &dyn Disk, last: &EntryId) -> io::Result<Snapshot> {
        let Self { partial, file, data_start, durable, .. } = self;
        assert_eq!(partial.meta.last, *last, "what is finished is what was received");
        assert_eq!(durable, Some(partial.length), "all of snapshot {last} is stored");
        let length = usize::try_from(partial.length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let data = file.read(data_start, length)?;
        // It may have rotted since it was received. A restart then begins anew.
        if crc32fast::hash(&data) != partial.checksum {
            let what = format!("snapshot {last} reads differently than it was received");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        disk.rename(&name_while_receiving(last), &name_of(last))?;
        disk.sync_directory()?;
        disk.remove(progress::NAME)?;
        Ok(Snapshot::checked(partial.meta, data, partial.checksum))
    }

    fn last(&self) -> EntryId {
        self.partial.meta.last
    }

    pub(super) const fn partial(&self) -> &Partial {
        &self.partial
    }
}

/// The file that a slot speaks of, if it is whole so far.
fn check(disk: &dyn Disk, newest: Index, slot: &Slot) -> Option<(Arc<dyn File>, Header)> {
    let id = slot.id;
    let whole = slot.stored == id.length;
    if id.last.index <= newest || slot.stored > id.length || whole && slot.sum != id.checksum {
        return None;
    }
    let file = disk.open(&name_while_receiving(&id.last)).ok()?;
    let header = Header::read(&*file).ok()?;
    let fits = header.meta.last == id.last && header.length == id.length;
    if !fits || !header.fits(id.checksum) {
        return None;
    }
    let sum = file::checksum(&*file, header.bytes, slot.stored).ok()?;
    (sum == slot.sum).then_some((file, header))
}

fn name_while_receiving(last: &EntryId) -> String {
    format!("receiving-{:016x}-{:016x}.holm", last.index.0, last.term.0)
}

pub(super) fn is_of_a_transfer(name: &str) -> bool {
    name == progress::NAME || name.starts_with("receiving-") && name.ends_with(".holm")
}

/// Removes a transfer's files, those that there are, durably.
fn remove_files(disk: &dyn Disk, last: &EntryId) -> io::Result<()> {
    for name in [progress::NAME, &name_while_receiving(last)] {
        match disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    disk.sync_directory()
}

/// Whether a file that can't be made is a matter of its size, or of the disk.
fn refused(error: io::Error, last: &EntryId, bytes: u64) -> Failure {
    use io::ErrorKind::{FileTooLarge, InvalidInput, OutOfMemory, QuotaExceeded, StorageFull};
    match error.kind() {
        FileTooLarge | InvalidInput | OutOfMemory | QuotaExceeded | StorageFull => {
            Failure::Refused(format!(
                "snapshot {last} was given up: there is no room for its {bytes} bytes ({error}); \
                 free some space, it will be asked for again"
            ))
        }
        _ => Failure::Disk(error),
    }
}
