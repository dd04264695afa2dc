//! A snapshot and its file: `Snapshot`, the names, the header that stands before the data, and
//! reading a file with all its checksums. `docs/wal-format.md` has the diagram.
//!
//! The file's checksum covers header and data, and is combined from the two: so that of the data,
//! which a `SnapshotId` carries, costs no second pass over them, and a header can be written before
//! the data are there.

use crate::disk::File;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32fast::Hasher;
use holm_raft_core::{
    Chunk, Configuration, EntryId, Index, LogTime, SnapshotId, SnapshotMeta, Term,
};
use std::io;

const MAGIC: [u8; 8] = *b"HOLMSNAP";
const VERSION: u32 = 1;
/// Magic, version and checksum.
const PREFIX_BYTES: usize = 16;
/// All that stands before the configuration.
const FIXED_BYTES: usize = 64;
/// How many bytes of a file are in memory at a time while its checksum is worked out.
const READ_BYTES_MAX: u64 = 1 << 20;

/// A state machine's state up to an entry, and what the log needs to go on from there.
///
/// One that was read from a disk holds a part of the mapped file where the disk can do that, so
/// that it is not in memory twice: cloning it is cheap, and dropping the last clone unmaps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// What the snapshot stands for.
    pub meta: SnapshotMeta,
    /// The state machine's bytes. To have others, make another snapshot: their checksum is kept.
    pub data: Bytes,
    checksum: u32,
}

impl Snapshot {
    /// A snapshot of these bytes. Reads all of them once, for their checksum.
    #[must_use]
    pub fn new(meta: SnapshotMeta, data: Bytes) -> Self {
        let checksum = crc32fast::hash(&data);
        Self { meta, data, checksum }
    }

    /// For data whose checksum was worked out while they were read or received.
    pub(super) const fn checked(meta: SnapshotMeta, data: Bytes, checksum: u32) -> Self {
        Self { meta, data, checksum }
    }

    /// Which snapshot it is.
    #[must_use]
    pub const fn id(&self) -> SnapshotId {
        let length = self.data.len() as u64;
        SnapshotId { last: self.meta.last, length, checksum: self.checksum }
    }

    /// The piece that begins at `offset` and has `bytes_max` bytes, or what is left: at the end,
    /// or beyond it, an empty piece at the end. The bytes are not copied.
    #[must_use]
    pub fn chunk(&self, offset: u64, bytes_max: u64) -> Chunk {
        let length = self.data.len();
        let start = usize::try_from(offset).unwrap_or(length).min(length);
        let bytes = usize::try_from(bytes_max).unwrap_or(length).min(length - start);
        Chunk {
            meta: self.meta.clone(),
            length: length as u64,
            checksum: self.checksum,
            offset: start as u64,
            data: self.data.slice(start..start + bytes),
        }
    }
}

/// A snapshot's file name: it sorts by index.
pub(super) fn name_of(last: &EntryId) -> String {
    format!("snapshot-{:016x}-{:016x}.holm", last.index.0, last.term.0)
}

pub(super) fn is_snapshot(name: &str) -> bool {
    name.starts_with("snapshot-") && name.ends_with(".holm")
}

pub(super) fn is_unfinished(name: &str) -> bool {
    name.starts_with("snapshot-") && name.ends_with(".holm.new")
}

/// The header of a file whose data have this length and checksum: all that stands before the data.
///
/// # Errors
/// `InvalidInput` if the configuration is longer than any can be.
pub(super) fn encode_header(meta: &SnapshotMeta, length: u64, checksum: u32) -> io::Result<Bytes> {
    let configuration = meta.configuration.encode();
    let bytes = u32::try_from(configuration.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut rest = BytesMut::with_capacity(FIXED_BYTES - PREFIX_BYTES + configuration.len());
    rest.put_u64_le(meta.last.index.0);
    rest.put_u64_le(meta.last.term.0);
    rest.put_u64_le(meta.time.0);
    rest.put_u64_le(meta.configuration_index.0);
    rest.put_u64_le(length);
    rest.put_u32_le(bytes);
    rest.put_u32_le(0);
    rest.put_slice(&configuration);
    let mut header = BytesMut::with_capacity(PREFIX_BYTES + rest.len());
    header.put_slice(&MAGIC);
    header.put_u32_le(VERSION);
    header.put_u32_le(combined(crc32fast::hash(&rest), length, checksum));
    header.put_slice(&rest);
    Ok(header.freeze())
}

/// The checksum of a header's rest followed by so many bytes of data, from those of both.
fn combined(rest: u32, length: u64, checksum: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(rest);
    hasher.combine(&Hasher::new_with_initial_len(checksum, length));
    hasher.finalize()
}

/// A header as it was read: not to be believed before it was found to [`fit`](Self::fits).
pub(super) struct Header {
    pub(super) meta: SnapshotMeta,
    /// How many bytes the data have. Header and data fill the file exactly.
    pub(super) length: u64,
    /// Where in the file the data begin.
    pub(super) bytes: u64,
    /// What the file states as its checksum, and what that of the header's own rest is.
    stated: u32,
    rest: u32,
}

/// Why a file holds no snapshot.
pub(super) enum Unreadable {
    Io(io::Error),
    Version(u32),
    Damaged,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Header {
    pub(super) fn read(file: &dyn File) -> Result<Self, Unreadable> {
        use Unreadable::{Damaged, Version};
        if file.len() < FIXED_BYTES as u64 {
            return Err(Damaged);
        }
        let mut bytes = file.copy(0, FIXED_BYTES)?;
        if bytes.split_to(MAGIC.len())[..] != MAGIC {
            return Err(Damaged);
        }
        let version = bytes.get_u32_le();
        if version != VERSION {
            return Err(Version(version));
        }
        let stated = bytes.get_u32_le();
        let mut rest = Hasher::new();
        rest.update(&bytes);
        let index = Index(bytes.get_u64_le());
        let term = Term(bytes.get_u64_le());
        let time = LogTime(bytes.get_u64_le());
        let configuration_index = Index(bytes.get_u64_le());
        let length = bytes.get_u64_le();
        let configuration_bytes = bytes.get_u32_le();
        let end = FIXED_BYTES as u64 + u64::from(configuration_bytes);
        if bytes.get_u32_le() != 0 || end.checked_add(length) != Some(file.len()) {
            return Err(Damaged);
        }
        let configuration_bytes = usize::try_from(configuration_bytes).map_err(|_| Damaged)?;
        let configuration = file.copy(FIXED_BYTES as u64, configuration_bytes)?;
        rest.update(&configuration);
        let configuration = Configuration::decode(configuration).map_err(|_| Damaged)?;
        let last = EntryId::new(term, index);
        let meta = SnapshotMeta { last, time, configuration, configuration_index };
        Ok(Self { meta, length, bytes: end, stated, rest: rest.finalize() })
    }

    /// Whether the header is as it was written, and was written for data with this checksum.
    pub(super) fn fits(&self, checksum: u32) -> bool {
        combined(self.rest, self.length, checksum) == self.stated
    }
}

/// Reads a snapshot. All of it passes through a copy first, for which a failing disk is an error
/// and no signal; only then is the file lent out.
pub(super) fn read(file: &dyn File) -> Result<Snapshot, Unreadable> {
    let header = Header::read(file)?;
    let checksum = checksum(file, header.bytes, header.length)?;
    if !header.fits(checksum) {
        return Err(Unreadable::Damaged);
    }
    let length = usize::try_from(header.length).map_err(|_| Unreadable::Damaged)?;
    let data = file.read(header.bytes, length)?;
    Ok(Snapshot::checked(header.meta, data, checksum))
}

/// The checksum of a part of a file.
pub(super) fn checksum(file: &dyn File, offset: u64, length: u64) -> io::Result<u32> {
    let mut hasher = Hasher::new();
    let mut done = 0;
    while done < length {
        let bytes = usize::try_from(READ_BYTES_MAX.min(length - done)).expect("a MiB at most");
        hasher.update(&file.copy(offset + done, bytes)?);
        done += bytes as u64;
    }
    Ok(hasher.finalize())
}
