//! The bodies of the fuzz targets: `wal_recovery`, arbitrary bytes as a segment, opened, here, and
//! `wal_operations`, histories on a disk that dies, in `crash`.

pub(crate) mod crash;
#[cfg(test)]
mod damage;
mod model;
#[cfg(test)]
mod mutations;

use crate::append::Batch;
use crate::disk::{Disk, memory::MemoryDisk};
use crate::format::{
    Behind, HEADER_BYTES, Header, Identity, RECORD_BYTES, checksum, head_check, seed,
};
use crate::segment::segment_name;
use crate::wal::{Options, Wal};
use holm_raft_core::{Entry, EntryId, EntryKind, Term};
use std::sync::Arc;

const SEGMENT_BYTES: usize = 16 << 10;

/// Opens a log of one segment whose body are these bytes, and checks that what is recovered can be
/// read, is the same when it is recovered again, and can be appended to. The checksums of what
/// looks like records are made right first, unless the first byte is odd: otherwise nothing would
/// ever get past them. Returns how many records got past, at least.
///
/// # Panics
/// If recovery breaks a promise.
pub fn fuzz_recovery(data: &[u8]) -> usize {
    let Some((mode, body)) = data.split_first() else { return 0 };
    let header =
        Header { identity: Identity::default(), sequence: 1, base: 0, behind: Behind::Zeroes };
    let mut image = header.encode().to_vec();
    image.extend_from_slice(&body[..body.len().min(SEGMENT_BYTES - HEADER_BYTES)]);
    image.resize(SEGMENT_BYTES, 0);
    let patched = if mode % 2 == 0 { patch(&mut image, header.salt()) } else { 0 };
    let disk = disk_with(&image);
    let options = Options { segment_bytes: SEGMENT_BYTES as u64 };
    let Ok((mut wal, first)) = Wal::open(disk.clone(), options.clone()) else { return 0 };
    for index in first.start.id.index.0 + 1..=first.last.index.0 {
        let entry = wal.entry(index.into()).expect("what is recovered can be read");
        assert_eq!(Some(entry.id.term), wal.term(entry.id.index));
    }
    drop(wal);
    let (again, mut second) = Wal::open(disk.clone(), options.clone()).expect("it was sound");
    second.torn.clone_from(&first.torn);
    assert_eq!(first, second, "recovery of a recovery is the same");
    wal = again;
    if first.last.index.0 >= u64::MAX - 2 {
        return patched;
    }
    let id = EntryId::new(Term(u64::MAX), first.last.index.next());
    let entry = Entry { id, time: first.last_time, kind: EntryKind::Noop, data: "new".into() };
    wal.append(&Batch { entries: std::slice::from_ref(&entry), ..Batch::default() })
        .expect("there is room");
    drop(wal);
    let (wal, third) = Wal::open(disk, options).expect("it was sound");
    assert_eq!((third.last, third.torn), (id, None));
    assert_eq!(wal.entry(id.index).expect("it was just written"), entry);
    patched.max(1)
}

/// Makes right the checksums of the records that these bytes seem to have, and counts them.
fn patch(image: &mut [u8], salt: u32) -> usize {
    let mut at = HEADER_BYTES;
    let mut count = 0;
    while let Some(head) = image.get(at..at + RECORD_BYTES) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let Ok(length) = usize::try_from(length) else { return count };
        if length == 0 {
            return count;
        }
        let end = (at + RECORD_BYTES).saturating_add(length);
        let end = end.checked_next_multiple_of(8).unwrap_or(usize::MAX);
        let Some(record) = image.get_mut(at..end) else { return count };
        let head = record.first_chunk().expect("a record has a head");
        let check = head_check(head, seed(salt, at));
        record[10..12].copy_from_slice(&check.to_le_bytes());
        let crc = checksum(record, seed(salt, at));
        record[..4].copy_from_slice(&crc.to_le_bytes());
        at = end;
        count += 1;
    }
    count
}

fn disk_with(image: &[u8]) -> Arc<dyn Disk> {
    let disk = MemoryDisk::new();
    let file = disk.create(&segment_name(1), image.len() as u64).expect("an empty disk");
    file.write(0, &[image]).expect("it fits");
    Arc::new(disk)
}

/// So many bytes by a seed: SplitMix64.
#[must_use]
pub fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}
