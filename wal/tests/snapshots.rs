//! Snapshots are saved whole or not at all, wherever the power is cut; the last two are kept; a
//! damaged one is passed over and told.

use holm_raft_core::{
    Configuration, EntryId, Incarnation, Index, LogTime, Member, MemberId, NodeId, SnapshotMeta,
    Term,
};
use holm_wal::{Disk, Error, LogStart, MemoryDisk, Options, SimDisk, Snapshot, Snapshots, Wal};
use std::sync::Arc;

fn snapshot(index: u64) -> Snapshot {
    let id = MemberId::new(NodeId(1), Incarnation(9));
    let configuration = Configuration::new([Member { id, info: "here".into() }]);
    let last = EntryId::new(Term(2), Index(index));
    let (time, configuration_index) = (LogTime(5), Index(1));
    let data = vec![u8::try_from(index).expect("small"); 3000].into();
    Snapshot::new(SnapshotMeta { last, time, configuration, configuration_index }, data)
}

fn found(disk: Arc<dyn Disk>) -> Result<Option<Snapshot>, Error> {
    Snapshots::open(disk).map(|(_, snapshot, _)| snapshot)
}

#[test]
fn the_newest_is_found_and_the_last_two_are_kept() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (snapshots, none, _) = Snapshots::open(disk.clone()).expect("opened");
    assert_eq!(none, None);
    for index in [3, 5, 20] {
        snapshots.save_job(&snapshot(index))().expect("saved");
        snapshots.save_job(&snapshot(index))().expect("saved again");
    }
    assert_eq!(found(disk.clone()).expect("sound"), Some(snapshot(20)));
    let kept = [
        "snapshot-0000000000000005-0000000000000002.holm",
        "snapshot-0000000000000014-0000000000000002.holm",
    ];
    assert_eq!(disk.list().expect("listed"), kept);
}

#[test]
fn a_power_cut_at_any_step_leaves_the_old_snapshot_or_the_new_one() {
    for cut in 0..64 {
        let disk = SimDisk::new(cut, SimDisk::at_once());
        let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
        for index in [1, 2] {
            snapshots.save_job(&snapshot(index))().expect("saved");
        }
        disk.stop_after(disk.operations() + cut % 8);
        let saved = snapshots.save_job(&snapshot(3))();
        disk.power_cut();
        let newest = found(disk.attach()).expect("one is whole").expect("there were some");
        assert!(newest == snapshot(3) || (saved.is_err() && newest == snapshot(2)), "cut {cut}");
        let names = disk.attach().list().expect("listed");
        assert!(names.iter().all(|name| name.ends_with(".holm")), "{names:?}");
        let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
        snapshots.save_job(&snapshot(4))().expect("saved");
        assert_eq!(found(disk.attach()).expect("sound"), Some(snapshot(4)));
    }
}

#[test]
fn a_damaged_newest_snapshot_is_passed_over_and_told_and_two_are_an_error() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
    for index in [1, 2] {
        snapshots.save_job(&snapshot(index))().expect("saved");
    }
    let names = disk.attach().list().expect("listed");
    for offset in (0..3000).filter(|offset| !(8..12).contains(offset)) {
        disk.flip(&names[1], offset, 4);
        let (snapshots, newest, _) = Snapshots::open(disk.attach()).expect("one is whole");
        assert_eq!((newest, snapshots.damaged()), (Some(snapshot(1)), &names[1..]), "{offset}");
        disk.flip(&names[1], offset, 4);
    }
    disk.flip(&names[0], 100, 4);
    disk.flip(&names[1], 100, 4);
    let error = found(disk.attach()).expect_err("none is whole");
    assert!(matches!(&error, Error::SnapshotDamaged { name } if *name == names[1]), "{error}");
    disk.flip(&names[1], 8, 4);
    assert!(matches!(found(disk.attach()), Err(Error::Version { found: 5, .. })));
}

#[test]
fn a_damaged_snapshot_is_not_one_of_the_two_that_are_kept() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
    for index in [1, 2] {
        snapshots.save_job(&snapshot(index))().expect("saved");
    }
    let names = disk.attach().list().expect("listed");
    disk.flip(&names[1], 100, 4);
    let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("one is whole");
    snapshots.save_job(&snapshot(3))().expect("saved");
    let kept = disk.attach().list().expect("listed");
    assert_eq!((kept.len(), &kept[0]), (2, &names[0]));
    disk.flip(&kept[1], 100, 4);
    let (snapshots, newest, _) = Snapshots::open(disk.attach()).expect("one is whole");
    assert_eq!(newest, Some(snapshot(1)));
    // Saved again, it is whole.
    for index in [3, 4] {
        snapshots.save_job(&snapshot(index))().expect("saved");
    }
    let last = disk.attach().list().expect("listed");
    assert_eq!((last.len(), &last[0]), (2, &kept[1]));
}

#[test]
fn a_snapshot_that_was_found_is_durable_though_its_save_was_killed_before_it_said_so() {
    for seed in 0..64 {
        let disk = SimDisk::new(seed, SimDisk::at_once());
        let (snapshots, _, _) = Snapshots::open(disk.attach()).expect("opened");
        snapshots.save_job(&snapshot(1))().expect("saved");
        disk.stop_after(disk.operations() + seed % 8);
        let _ = snapshots.save_job(&snapshot(2))();
        disk.kill();
        let newest = found(disk.attach()).expect("one is whole");
        disk.power_cut();
        assert_eq!(found(disk.attach()).expect("one is whole"), newest, "seed {seed}");
    }
}

#[test]
fn a_log_that_begins_after_the_newest_readable_snapshot_is_told() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let options = Options { segment_bytes: 1024 };
    let mut wal = Wal::create(disk.clone(), options.clone(), Default::default()).expect("created");
    let start = LogStart { id: EntryId::new(Term(2), Index(5)), time: LogTime(0) };
    wal.append(&holm_wal::Batch { compact: Some(start), ..Default::default() }).expect("written");
    let (_, recovered) = Wal::open(disk, options).expect("recovered");
    for (index, meets) in [(4, false), (5, true), (6, true)] {
        let result = recovered.check_snapshot(Some(&snapshot(index).meta));
        assert_eq!(result.is_ok(), meets);
    }
    assert!(matches!(recovered.check_snapshot(None), Err(Error::SnapshotMissing { .. })));
}
