//! Whatever byte of a transfer's files has changed, what a restart goes on from is right: from the
//! newest slot, from the one before it, or from nothing.

use crate::{PROGRESS, contents, file_name, partial, pieces, snapshot};
use holm_raft_core::{Chunk, Partial, Term};
use holm_wal::{SimDisk, Snapshot, Snapshots};

const HEADER_BYTES: usize = 64;
const SECTOR: usize = 512;
const USED_OF_SLOT: usize = 64;

/// A transfer cut off after 1000 bytes were stored (first slot), and then 2000 (second slot).
fn cut_off() -> (SimDisk, Snapshot) {
    let snapshot = snapshot(7, 3000);
    let disk = SimDisk::new(1, SimDisk::at_once());
    let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
    for piece in pieces(&snapshot, 0, 1000).into_iter().take(2) {
        snapshots.store_job(vec![piece])().expect("stored");
    }
    disk.power_cut();
    (disk, snapshot)
}

fn found(disk: &SimDisk) -> Option<Partial> {
    Snapshots::open(disk.attach()).expect("opened").2
}

/// What is found with one byte of a file changed; if nothing, nothing is left either.
fn found_with(name: impl Fn(&Snapshot) -> String, offset: usize) -> Option<u64> {
    let (disk, snapshot) = cut_off();
    disk.flip(&name(&snapshot), offset, 4);
    let found = found(&disk);
    if found.is_none() {
        assert_eq!(disk.attach().list().expect("listed"), [""; 0]);
    }
    let stored = found.as_ref().map(|found| found.stored);
    assert_eq!(found, stored.map(|stored| partial(&snapshot, stored)));
    stored
}

#[test]
fn a_damaged_slot_is_passed_over_for_the_one_before_it() {
    for offset in 0..USED_OF_SLOT {
        assert_eq!(found_with(|_| PROGRESS.into(), SECTOR + offset), Some(1000), "{offset}");
        assert_eq!(found_with(|_| PROGRESS.into(), offset), Some(2000), "{offset}");
    }
}

#[test]
fn with_both_slots_damaged_the_transfer_is_begun_anew() {
    let (disk, snapshot) = cut_off();
    disk.flip(PROGRESS, 40, 4);
    disk.flip(PROGRESS, SECTOR + 40, 4);
    let (snapshots, _, none) = Snapshots::open(disk.attach()).expect("opened");
    assert_eq!((none, snapshots.stored()), (None, None));
    assert_eq!(disk.attach().list().expect("listed"), [""; 0]);
    snapshots.store_job(pieces(&snapshot, 0, 1000))().expect("stored");
    assert_eq!(snapshots.stored(), Some((snapshot.id(), Some(3000))));
}

#[test]
fn a_damaged_header_or_data_that_both_slots_claim_is_not_gone_on_from() {
    let (disk, snapshot) = cut_off();
    let file = file_name("receiving", &snapshot);
    let start = contents(&*disk.attach(), &file).len() - 3000;
    assert!(start > HEADER_BYTES, "there is a configuration");
    for offset in (0..start).chain((start..start + 1000).step_by(37)) {
        assert_eq!(found_with(|_| file.clone(), offset), None, "{offset}");
    }
    for offset in (start + 1000..start + 2000).step_by(37) {
        assert_eq!(found_with(|_| file.clone(), offset), Some(1000), "{offset}");
    }
    for offset in (start + 2000..start + 3000).step_by(37) {
        assert_eq!(found_with(|_| file.clone(), offset), Some(2000), "{offset}");
    }
}

#[test]
fn a_claim_that_was_found_wrong_does_not_come_true_by_bytes_that_are_not_durable() {
    let (disk, snapshot) = cut_off();
    let file = file_name("receiving", &snapshot);
    let end = contents(&*disk.attach(), &file).len();
    disk.flip(&file, end - 1500, 4);
    let (snapshots, _, partial) = Snapshots::open(disk.attach()).expect("opened");
    assert_eq!(partial.map(|partial| partial.stored), Some(1000));
    // The right bytes are in memory, their sync fails, and the process alone is started again.
    disk.fail_syncs(1);
    assert!(snapshots.store_job(vec![snapshot.chunk(1000, 1000)])().is_err());
    disk.kill();
    assert_eq!(found(&disk).map(|partial| partial.stored), Some(1000));
}

/// Puts another file in place of one.
fn put(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let mine = disk.attach();
    mine.remove(name).expect("there was one");
    let file = mine.create(name, bytes.len() as u64).expect("made");
    file.write(0, &[bytes]).expect("written");
}

#[test]
fn a_slot_that_speaks_of_another_snapshot_is_not_believed() {
    let (disk, snapshot) = cut_off();
    let file = file_name("receiving", &snapshot);
    let bytes = contents(&*disk.attach(), &file);
    put(&disk, &file, &bytes);
    assert!(found(&disk).is_some(), "it is believed of its own");
    // The same bytes so far, but of a shorter snapshot, of one with another checksum, and of one
    // up to another entry.
    let piece = snapshot.chunk(0, 2000);
    let shorter = Chunk { length: 2999, ..piece.clone() };
    let other_checksum = Chunk { checksum: piece.checksum ^ 4, ..piece.clone() };
    let mut other_term = piece;
    other_term.meta.last.term = Term(3);
    for piece in [shorter, other_checksum, other_term] {
        let (disk, _) = cut_off();
        let other = SimDisk::new(1, SimDisk::at_once());
        let (snapshots, _, _) = Snapshots::open(other.attach()).expect("opened");
        let name = format!("receiving-0000000000000007-{:016x}.holm", piece.meta.last.term.0);
        snapshots.store_job(vec![piece])().expect("stored");
        put(&disk, &file, &contents(&*other.attach(), &name));
        assert_eq!(found(&disk), None, "{name}");
    }
}

#[test]
fn a_slot_that_says_all_is_there_is_not_believed_against_the_snapshots_checksum() {
    let snapshot = snapshot(7, 2000);
    for checksum in [snapshot.id().checksum, 1] {
        let disk = SimDisk::new(1, SimDisk::at_once());
        let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
        let piece = Chunk { checksum, ..snapshot.chunk(0, 1000) };
        snapshots.store_job(vec![piece])().expect("stored");
        // The rest, and a slot that knows it, without the check that it would have met.
        let file = disk.attach().open(&file_name("receiving", &snapshot)).expect("there");
        file.write(file.len() - 1000, &[&snapshot.data[1000..]]).expect("written");
        let mut slots = contents(&*disk.attach(), PROGRESS);
        slots.copy_within(..USED_OF_SLOT, SECTOR);
        let slot = &mut slots[SECTOR..SECTOR + USED_OF_SLOT];
        slot[40..48].copy_from_slice(&2000_u64.to_le_bytes());
        slot[52..56].copy_from_slice(&snapshot.id().checksum.to_le_bytes());
        let crc = crc32fast::hash(&slot[16..]);
        slot[12..16].copy_from_slice(&crc.to_le_bytes());
        put(&disk, PROGRESS, &slots);
        let stored = found(&disk).map(|found| found.stored);
        assert_eq!(stored, Some(if checksum == 1 { 1000 } else { 2000 }));
    }
}

#[test]
fn leftovers_that_belong_to_no_transfer_are_removed() {
    let (disk, snapshot) = cut_off();
    let mine = disk.attach();
    let ghost = "receiving-00000000000000ff-0000000000000001.holm";
    mine.create(ghost, 100).expect("made");
    mine.create("receiving-letters.txt", 100).expect("somebody else's");
    assert_eq!(found(&disk), Some(partial(&snapshot, 2000)));
    let kept = [&file_name("receiving", &snapshot), "receiving-letters.txt", PROGRESS];
    assert_eq!(mine.list().expect("listed"), kept);
    mine.remove(&file_name("receiving", &snapshot)).expect("removed");
    assert_eq!(found(&disk), None);
    assert_eq!(mine.list().expect("listed"), ["receiving-letters.txt"]);
}

#[test]
fn a_transfer_that_is_not_above_the_newest_snapshot_is_removed() {
    for (index, goes_on) in [(6, true), (7, false), (8, false)] {
        let (disk, arriving) = cut_off();
        let other = SimDisk::new(1, SimDisk::at_once());
        let (snapshots, _, _) = Snapshots::open(other.attach()).expect("opened");
        snapshots.save_job(&snapshot(index, 10))().expect("saved");
        let name = file_name("snapshot", &snapshot(index, 10));
        let bytes = contents(&*other.attach(), &name);
        let file = disk.attach().create(&name, bytes.len() as u64).expect("made");
        file.write(0, &[&bytes]).expect("copied");
        assert_eq!(found(&disk), goes_on.then(|| partial(&arriving, 2000)), "{index}");
        let names = disk.attach().list().expect("listed");
        assert_eq!(names.len(), if goes_on { 3 } else { 1 }, "{names:?}");
    }
}

#[test]
fn a_whole_transfer_whose_last_byte_has_changed_is_gone_on_from_the_piece_before() {
    let snapshot = snapshot(7, 3000);
    let disk = SimDisk::new(1, SimDisk::at_once());
    let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
    for piece in pieces(&snapshot, 0, 1500) {
        snapshots.store_job(vec![piece])().expect("stored");
    }
    disk.power_cut();
    let file = file_name("receiving", &snapshot);
    let end = contents(&*disk.attach(), &file).len();
    disk.flip(&file, end - 1, 4);
    assert_eq!(found(&disk), Some(partial(&snapshot, 1500)));
}

#[test]
fn what_has_rotted_since_it_was_received_is_not_installed() {
    let snapshot = snapshot(7, 3000);
    let disk = SimDisk::new(1, SimDisk::at_once());
    let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
    snapshots.store_job(pieces(&snapshot, 0, 1000))().expect("stored");
    let file = file_name("receiving", &snapshot);
    disk.flip(&file, contents(&*disk.attach(), &file).len() - 100, 4);
    let error = snapshots.finish_job(snapshot.meta.last)().expect_err("it reads differently");
    assert!(error.to_string().contains("reads differently"), "{error}");
    assert!(snapshots.received().is_none());
    // A restart begins anew.
    disk.kill();
    let (_, newest, partial) = Snapshots::open(disk.attach()).expect("opened");
    assert!(newest.is_none() && partial.is_none());
}
