//! How far a transfer has come: `Progress`, a small file of two slots that are written in turn, in
//! sectors of their own, so that a crash in one leaves the other. `docs/wal-format.md` has the
//! diagram.

use crate::disk::{Disk, File};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{EntryId, Index, SnapshotId, Term};
use std::io;
use std::sync::Arc;

/// There is one transfer at a time, so there is one such file.
pub(super) const NAME: &str = "receiving.progress";

const MAGIC: [u8; 8] = *b"HOLMRECV";
const VERSION: u32 = 1;
/// From one slot to the other: a sector, which is written whole or not at all.
const SLOT_BYTES: u64 = 512;
const FILE_BYTES: u64 = 2 * SLOT_BYTES;
/// What is used of a slot.
const USED_BYTES: usize = 64;

/// The file with its two slots.
pub(super) struct Progress {
    file: Arc<dyn File>,
    /// Where the next slot goes: over the older one.
    next: u64,
}

/// What a slot says: so much of this snapshot is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) id: SnapshotId,
    /// How many of its bytes, from the first on.
    pub(super) stored: u64,
    /// The checksum of those.
    pub(super) sum: u32,
}

impl Progress {
    /// Makes the file, with two empty slots. Its name is durable when the directory is synced.
    pub(super) fn create(disk: &dyn Disk) -> io::Result<Self> {
        Ok(Self { file: disk.create(NAME, FILE_BYTES)?, next: 0 })
    }

    /// The file, and what its readable slots say, with each one's place.
    pub(super) fn open(disk: &dyn Disk) -> io::Result<(Self, Vec<(u64, Slot)>)> {
        let file = disk.open(NAME)?;
        if file.len() != FILE_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut slots = Vec::new();
        for at in [0, SLOT_BYTES] {
            slots.extend(decode(file.copy(at, USED_BYTES)?).map(|slot| (at, slot)));
        }
        Ok((Self { file, next: 0 }, slots))
    }

    /// Makes durable that so much is durable.
    pub(super) fn write(&mut self, slot: &Slot) -> io::Result<()> {
        self.file.write(self.next, &[&encode(slot)])?;
        self.file.sync()?;
        self.next = SLOT_BYTES - self.next;
        Ok(())
    }

    /// Goes on from a slot that was found at `at`, and says it once more in place of the other. It
    /// may stand in the page cache alone, left there by a process that died before its sync or
    /// after a failed one; and if the other claims more, which was found wrong, that must not come
    /// true later by bytes that are not durable yet.
    pub(super) fn go_on_from(&mut self, at: u64, slot: &Slot) -> io::Result<()> {
        self.next = SLOT_BYTES - at;
        self.write(slot)
    }
}

fn encode(slot: &Slot) -> Bytes {
    let mut body = BytesMut::with_capacity(USED_BYTES - 16);
    body.put_u64_le(slot.id.last.index.0);
    body.put_u64_le(slot.id.last.term.0);
    body.put_u64_le(slot.id.length);
    body.put_u64_le(slot.stored);
    body.put_u32_le(slot.id.checksum);
    body.put_u32_le(slot.sum);
    body.put_u64_le(0);
    let mut bytes = BytesMut::with_capacity(USED_BYTES);
    bytes.put_slice(&MAGIC);
    bytes.put_u32_le(VERSION);
    bytes.put_u32_le(crc32fast::hash(&body));
    bytes.put_slice(&body);
    bytes.freeze()
}

fn decode(mut bytes: Bytes) -> Option<Slot> {
    if bytes.split_to(MAGIC.len())[..] != MAGIC || bytes.get_u32_le() != VERSION {
        return None;
    }
    if bytes.get_u32_le() != crc32fast::hash(&bytes) {
        return None;
    }
    let index = Index(bytes.get_u64_le());
    let term = Term(bytes.get_u64_le());
    let length = bytes.get_u64_le();
    let stored = bytes.get_u64_le();
    let checksum = bytes.get_u32_le();
    let sum = bytes.get_u32_le();
    let id = SnapshotId { last: EntryId::new(term, index), length, checksum };
    (bytes.get_u64_le() == 0).then_some(Slot { id, stored, sum })
}
