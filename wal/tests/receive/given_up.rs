//! What can't be kept is given up, told as 0 with a reason, and leaves the disk usable; what is
//! begun anew or replaced leaves nothing behind.

use crate::{PROGRESS, file_name, pieces, snapshot};
use holm_raft_core::{Chunk, Index};
use holm_wal::{Disk, MemoryDisk, RealDisk, SimDisk, Snapshot, Snapshots};
use std::path::PathBuf;
use std::sync::Arc;

fn opened() -> (Arc<dyn Disk>, Snapshots) {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (snapshots, _, _) = Snapshots::open(disk.clone()).expect("opened");
    (disk, snapshots)
}

/// Stores a piece; says how much there is then, 0 if the snapshot was given up.
fn store(snapshots: &Snapshots, chunk: Chunk) -> u64 {
    let id = chunk.id();
    snapshots.store_job(vec![chunk])().expect("stored, or given up");
    let (found, stored) = snapshots.stored().expect("just stored");
    assert_eq!(found, id);
    stored.unwrap_or(0)
}

fn names_of(snapshot: &Snapshot) -> [String; 2] {
    [file_name("receiving", snapshot), PROGRESS.to_owned()]
}

#[test]
fn data_that_do_not_match_their_checksum_are_given_up_at_the_last_piece_and_taken_anew() {
    let snapshot = snapshot(7, 3000);
    let (disk, snapshots) = opened();
    let mut wrong = snapshot.chunk(0, 1000);
    let mut bytes = wrong.data.to_vec();
    bytes[500] ^= 4;
    wrong.data = bytes.into();
    assert_eq!(store(&snapshots, wrong), 1000);
    assert_eq!(store(&snapshots, snapshot.chunk(1000, 1000)), 2000);
    assert_eq!(store(&snapshots, snapshot.chunk(2000, 1000)), 0);
    let why = snapshots.refused().expect("a reason");
    assert!(why.contains("7@2") && why.contains("do not match its checksum"), "{why}");
    assert_eq!((snapshots.refused(), disk.list().expect("listed")), (None, vec![]));
    // A piece that was on its way, and then the beginning.
    assert_eq!(store(&snapshots, snapshot.chunk(2000, 1000)), 0);
    assert_eq!(disk.list().expect("listed"), [""; 0]);
    for piece in pieces(&snapshot, 0, 1000) {
        let end = piece.end();
        assert_eq!(store(&snapshots, piece), end);
    }
    snapshots.finish_job(snapshot.meta.last)().expect("finished");
    assert_eq!(snapshots.received(), Some(snapshot));
}

#[test]
fn a_snapshot_that_does_not_fit_is_given_up_and_taken_when_there_is_room() {
    let snapshot = snapshot(7, 3000);
    // No room for the data, and then none for the file that says how much is stored.
    for capacity in [2000, 3200] {
        let disk = SimDisk::new(1, SimDisk::at_once());
        let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
        disk.set_capacity(capacity);
        // All pieces in one job: what follows the one that was refused is passed over.
        snapshots.store_job(pieces(&snapshot, 0, 1000))().expect("given up");
        assert_eq!(snapshots.stored(), Some((snapshot.id(), None)));
        let why = snapshots.refused().expect("a reason");
        assert!(why.contains("7@2") && why.contains("3000") && why.contains("free"), "{why}");
        assert_eq!(disk.attach().list().expect("listed"), [""; 0]);
        disk.set_capacity(u64::MAX);
        assert_eq!(store(&snapshots, snapshot.chunk(0, 3000)), 3000);
    }
}

#[test]
fn a_length_beyond_all_disks_is_given_up_on_each() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("beyond");
    let _ = std::fs::remove_dir_all(&path);
    let small = SimDisk::new(1, SimDisk::at_once());
    small.set_capacity(1 << 20);
    let disks: [Arc<dyn Disk>; 3] = [
        Arc::new(MemoryDisk::new()),
        Arc::new(RealDisk::open(&path).expect("opened")),
        small.attach(),
    ];
    for disk in disks {
        let (snapshots, _, _) = Snapshots::open(disk.clone()).expect("opened");
        for length in [u64::MAX, u64::MAX / 2, 1 << 62] {
            let piece = Chunk { length, ..snapshot(7, 3000).chunk(0, 1000) };
            assert_eq!(store(&snapshots, piece), 0);
            assert!(snapshots.refused().is_some_and(|why| why.contains(&length.to_string())));
            assert_eq!(disk.list().expect("listed"), [""; 0]);
        }
    }
}

#[test]
fn a_piece_that_ends_behind_the_snapshots_end_is_given_up() {
    let (disk, snapshots) = opened();
    let piece = Chunk { length: 999, ..snapshot(7, 3000).chunk(0, 1000) };
    assert_eq!(store(&snapshots, piece), 0);
    let why = snapshots.refused().expect("a reason");
    assert!(why.contains("ends at byte 1000, but it has 999"), "{why}");
    assert_eq!(disk.list().expect("listed"), [""; 0]);
}

#[test]
fn a_snapshot_that_is_not_above_the_newest_is_given_up() {
    let (_, snapshots) = opened();
    snapshots.save_job(&snapshot(7, 10))().expect("saved");
    for (index, stored) in [(6, 0), (7, 0), (8, 1000)] {
        assert_eq!(store(&snapshots, snapshot(index, 3000).chunk(0, 1000)), stored, "{index}");
    }
}

#[test]
fn what_was_given_up_does_not_come_back_after_a_power_cut() {
    for seed in 0..32 {
        let disk = SimDisk::new(seed, SimDisk::at_once());
        let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
        let arriving = snapshot(7, 3000);
        assert_eq!(store(&snapshots, arriving.chunk(0, 1000)), 1000);
        if seed.is_multiple_of(2) {
            let beyond = Chunk { length: 3000, ..snapshot(7, 4000).chunk(1000, 3000) };
            let wrong = Chunk { checksum: arriving.id().checksum, ..beyond };
            assert_eq!(store(&snapshots, wrong), 0);
        } else {
            snapshots.save_job(&snapshot(8, 10))().expect("saved");
        }
        disk.power_cut();
        let names = disk.attach().list().expect("listed");
        assert!(names.iter().all(|name| name.starts_with("snapshot")), "{names:?}");
    }
}

#[test]
fn another_snapshots_first_piece_takes_the_place_of_what_was_stored() {
    let (disk, snapshots) = opened();
    let first = snapshot(7, 3000);
    let later = snapshot(9, 3000);
    let mut same_entry = snapshot(5, 3000);
    same_entry.meta.last.index = Index(9);
    // The last comes from a leader that has frozen the same state into other bytes.
    for arriving in [&first, &later, &same_entry] {
        snapshots.store_job(pieces(arriving, 0, 700)[..2].to_vec())().expect("stored");
        assert_eq!(snapshots.stored(), Some((arriving.id(), Some(1400))));
        assert_eq!(disk.list().expect("listed"), names_of(arriving));
    }
    // The end of one and the beginning of the next may come in one job.
    let chunks = vec![same_entry.chunk(1400, 5000), first.chunk(0, 100), first.chunk(100, 100)];
    snapshots.store_job(chunks)().expect("stored");
    assert_eq!(snapshots.stored(), Some((first.id(), Some(200))));
    assert_eq!(disk.list().expect("listed"), names_of(&first));
}

#[test]
fn the_same_snapshots_first_piece_begins_it_anew() {
    let (disk, snapshots) = opened();
    let snapshot = snapshot(7, 3000);
    assert_eq!(store(&snapshots, snapshot.chunk(0, 2000)), 2000);
    assert_eq!(store(&snapshots, snapshot.chunk(0, 1000)), 1000);
    let (snapshots, _, found) = Snapshots::open(disk).expect("opened again");
    assert_eq!(found, Some(crate::partial(&snapshot, 1000)));
    assert_eq!(store(&snapshots, snapshot.chunk(1000, 2000)), 3000);
}

#[test]
#[should_panic(expected = "a piece of snapshot 7@2 follows nothing that is stored")]
fn a_piece_after_a_gap_is_a_broken_invariant() {
    let (_, snapshots) = opened();
    let snapshot = snapshot(7, 3000);
    assert_eq!(store(&snapshots, snapshot.chunk(0, 1000)), 1000);
    store(&snapshots, snapshot.chunk(1001, 1000));
}

#[test]
#[should_panic(expected = "all of snapshot 7@2 is stored")]
fn to_finish_what_is_not_whole_is_a_broken_invariant() {
    let (_, snapshots) = opened();
    let snapshot = snapshot(7, 3000);
    assert_eq!(store(&snapshots, snapshot.chunk(0, 1000)), 1000);
    let _ = snapshots.finish_job(snapshot.meta.last)();
}

#[test]
#[should_panic(expected = "what is finished is what was received")]
fn to_finish_another_snapshot_than_was_received_is_a_broken_invariant() {
    let (_, snapshots) = opened();
    assert_eq!(store(&snapshots, snapshot(7, 3000).chunk(0, 3000)), 3000);
    let _ = snapshots.finish_job(snapshot(8, 3000).meta.last)();
}
