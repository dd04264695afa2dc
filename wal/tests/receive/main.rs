//! A snapshot that arrives in pieces: it is the same file as one that was saved whole, however it
//! was split and wherever the power was cut (`crash`), what is damaged is not gone on from
//! (`damage`), what can't be kept is given up with a reason (`given_up`), and a save may run beside
//! it (`beside`).

mod beside;
mod crash;
mod damage;
mod given_up;
mod watched;

use holm_raft_core::{
    Chunk, Configuration, EntryId, Incarnation, Index, LogTime, Member, MemberId, NodeId, Partial,
    SnapshotMeta, Term,
};
use holm_wal::{Disk, MemoryDisk, RealDisk, Snapshot, Snapshots};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

const PROGRESS: &str = "receiving.progress";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

fn snapshot(index: u64, length: usize) -> Snapshot {
    let id = MemberId::new(NodeId(1), Incarnation(9));
    let configuration = Configuration::new([Member { id, info: "here".into() }]);
    let last = EntryId::new(Term(2), Index(index));
    let (time, configuration_index) = (LogTime(5), Index(1));
    let mut random = Random(index);
    let byte = |_| u8::try_from(random.below(256)).expect("a byte");
    let data: Vec<u8> = (0..length).map(byte).collect();
    Snapshot::new(SnapshotMeta { last, time, configuration, configuration_index }, data.into())
}

/// The snapshot's pieces from an offset on, of so many bytes each.
fn pieces(snapshot: &Snapshot, mut offset: u64, bytes_max: u64) -> Vec<Chunk> {
    let mut pieces = Vec::new();
    while offset < snapshot.data.len() as u64 {
        let piece = snapshot.chunk(offset, bytes_max);
        offset = piece.end();
        pieces.push(piece);
    }
    pieces
}

fn partial(snapshot: &Snapshot, stored: u64) -> Partial {
    let (meta, id) = (snapshot.meta.clone(), snapshot.id());
    Partial { meta, length: id.length, checksum: id.checksum, stored }
}

fn file_name(kind: &str, snapshot: &Snapshot) -> String {
    let last = snapshot.meta.last;
    format!("{kind}-{:016x}-{:016x}.holm", last.index.0, last.term.0)
}

fn contents(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("there is such a file");
    file.copy(0, usize::try_from(file.len()).expect("small")).expect("readable").to_vec()
}

/// The file that saving the snapshot whole makes.
fn saved(snapshot: &Snapshot) -> Vec<u8> {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (snapshots, _, _) = Snapshots::open(disk.clone()).expect("opened");
    snapshots.save_job(snapshot)().expect("saved");
    contents(&*disk, &file_name("snapshot", snapshot))
}

proptest! {
    #[test]
    fn however_it_is_split_the_file_is_that_of_a_snapshot_saved_whole(
        length in 0_usize..4000,
        sizes in proptest::collection::vec((0_u64..900, 0_u8..3), 1..8),
    ) {
        let snapshot = snapshot(7, length);
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let (mut snapshots, _, _) = Snapshots::open(disk.clone()).expect("opened");
        let (mut offset, mut waiting) = (0, Vec::new());
        for (bytes, then) in sizes.into_iter().chain([(u64::MAX, 1)]) {
            let piece = snapshot.chunk(offset, bytes);
            offset = piece.end();
            waiting.push(piece);
            if then > 0 {
                snapshots.store_job(std::mem::take(&mut waiting))().expect("stored");
                prop_assert_eq!(snapshots.stored(), Some((snapshot.id(), Some(offset))));
            }
            if then > 1 {
                let (again, none, found) = Snapshots::open(disk.clone()).expect("opened again");
                prop_assert_eq!((none, found), (None, Some(partial(&snapshot, offset))));
                snapshots = again;
            }
        }
        snapshots.finish_job(snapshot.meta.last)().expect("finished");
        prop_assert_eq!(snapshots.received(), Some(snapshot.clone()));
        prop_assert_eq!((snapshots.received(), snapshots.stored()), (None, None));
        let name = file_name("snapshot", &snapshot);
        prop_assert!(contents(&*disk, &name) == saved(&snapshot));
        prop_assert_eq!(disk.list().expect("listed"), [name]);
    }
}

#[test]
fn a_piece_is_what_is_left_from_its_offset_on_and_empty_at_the_end_or_beyond() {
    let snapshot = snapshot(7, 1000);
    let cases = [(0, 400, 0, 400), (800, 400, 800, 200), (1000, 400, 1000, 0), (0, 0, 0, 0)];
    let beyond = [(1001, 1, 1000, 0), (u64::MAX, u64::MAX, 1000, 0), (1, u64::MAX, 1, 999)];
    for (offset, bytes_max, start, bytes) in cases.into_iter().chain(beyond) {
        let piece = snapshot.chunk(offset, bytes_max);
        assert_eq!(piece.id(), snapshot.id());
        assert_eq!((piece.offset, piece.data.len()), (start, bytes), "{offset}");
        let start = usize::try_from(start).expect("small");
        assert_eq!(piece.data, snapshot.data[start..start + bytes]);
    }
}

#[test]
fn the_last_two_snapshots_are_kept_however_they_came() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (snapshots, _, _) = Snapshots::open(disk.clone()).expect("opened");
    for index in 1..=6 {
        let snapshot = snapshot(index, 900);
        if index % 2 == 0 {
            snapshots.store_job(pieces(&snapshot, 0, 500))().expect("stored");
            snapshots.finish_job(snapshot.meta.last)().expect("finished");
        } else {
            snapshots.save_job(&snapshot)().expect("saved");
        }
    }
    let kept = [5, 6].map(|index| file_name("snapshot", &snapshot(index, 900)));
    assert_eq!(disk.list().expect("listed"), kept);
}

#[test]
fn what_real_files_hold_is_found_again_and_readable_when_they_are_gone() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("receive");
    let _ = std::fs::remove_dir_all(&path);
    let snapshot = snapshot(7, 3 << 20);
    let first = pieces(&snapshot, 0, 1 << 20).swap_remove(0);
    {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&path).expect("opened"));
        let (snapshots, _, _) = Snapshots::open(disk).expect("opened");
        snapshots.store_job(vec![first])().expect("stored");
    }
    let received = {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&path).expect("opened again"));
        let (snapshots, _, found) = Snapshots::open(disk).expect("opened");
        assert_eq!(found, Some(partial(&snapshot, 1 << 20)));
        snapshots.store_job(pieces(&snapshot, 1 << 20, 300_000))().expect("stored");
        snapshots.finish_job(snapshot.meta.last)().expect("finished");
        snapshots.received().expect("just finished")
    };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&path).expect("opened once more"));
    let (snapshots, found, none) = Snapshots::open(disk.clone()).expect("opened");
    assert_eq!((found.as_ref(), none), (Some(&snapshot), None));
    for index in [8, 9] {
        snapshots.save_job(&self::snapshot(index, 10))().expect("saved");
    }
    assert!(!disk.list().expect("listed").contains(&file_name("snapshot", &snapshot)));
    assert_eq!((received, found), (snapshot.clone(), Some(snapshot)));
}
