//! Damage to what was durable is told, wherever it is, and never cut; a torn tail is cut and told.

use holm_raft_core::{
    Entry, EntryId, EntryKind, Incarnation, Index, LogTime, MemberId, NodeId, Term,
};
use holm_wal::{Batch, Disk, Error, Identity, MemoryDisk, Options, SimDisk, Wal};
use std::sync::Arc;

const OPTIONS: Options = Options { segment_bytes: 1024 };
const ENTRIES: u64 = 12;

fn entry(index: u64) -> Entry {
    let id = EntryId::new(Term(1), Index(index));
    let data = vec![u8::try_from(index).expect("small"); 200].into();
    Entry { id, time: LogTime(index), kind: EntryKind::Command, data }
}

/// A log of twelve entries in four segments, each made durable before the next was written.
fn write(disk: Arc<dyn Disk>) {
    let mut wal = Wal::create(disk, OPTIONS, Identity::default()).expect("created");
    for index in 1..=ENTRIES {
        wal.append(&Batch { entries: &[entry(index)], ..Batch::default() }).expect("written");
        let job = wal.begin_sync().expect("a write waits").into_job();
        wal.finish_sync(job()).expect("synced");
    }
}

#[test]
fn any_byte_changed_below_what_was_durable_is_damage_and_nothing_is_cut() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    write(disk.attach());
    // Where the last entry's record lies: nothing was written after it that could bear witness.
    let last = ("segment-00000004.wal".to_owned(), 136 + 2 * 240);
    let mut names = disk.attach().list().expect("listed");
    names.retain(|name| name.starts_with("segment-"));
    assert_eq!((names.len(), names.last()), (4, Some(&last.0)));
    for name in &names {
        // Behind the last record of each segment there is nothing that was written.
        for offset in 0..856 {
            if (name, offset) >= (&last.0, last.1) {
                continue;
            }
            disk.flip(name, offset, 0x10);
            let before = disk.operations();
            match Wal::open(disk.attach(), OPTIONS).map(|(_, recovered)| recovered) {
                Err(Error::Damaged { .. }) => {}
                Err(Error::Version { .. }) => assert!((8..12).contains(&offset)),
                other => panic!("{name} at {offset}: {other:?}"),
            }
            assert_eq!(disk.operations(), before, "nothing was changed");
            disk.flip(name, offset, 0x10);
        }
    }
    assert_eq!(Wal::open(disk.attach(), OPTIONS).expect("sound").1.last, entry(ENTRIES).id);
}

#[test]
fn any_byte_changed_behind_what_has_a_witness_is_a_torn_tail_and_only_that_is_cut() {
    for offset in 136 + 2 * 240..1024 {
        let disk = SimDisk::new(1, SimDisk::at_once());
        write(disk.attach());
        disk.flip("segment-00000004.wal", offset, 0x10);
        let (mut wal, recovered) = Wal::open(disk.attach(), OPTIONS).expect("recovered");
        let torn = recovered.torn.expect("it is told");
        let (at, last) = match offset {
            ..856 => (616, ENTRIES - 1),
            _ => (856, ENTRIES),
        };
        assert_eq!((torn.segment.as_str(), torn.offset), ("segment-00000004.wal", at));
        assert_eq!(recovered.last, entry(last).id);
        wal.append(&Batch { entries: &[entry(last + 1)], ..Batch::default() }).expect("written");
        drop(wal);
        let (_, recovered) = Wal::open(disk.attach(), OPTIONS).expect("recovered");
        assert_eq!((recovered.last, recovered.torn), (entry(last + 1).id, None));
    }
}

#[test]
fn damage_is_named_with_its_place_and_what_is_whole_before_it() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    write(disk.attach());
    disk.flip("segment-00000002.wal", 136 + 240 + 60, 1);
    let error = Wal::open(disk.attach(), OPTIONS).map(drop).expect_err("it is damaged");
    let Error::Damaged { segment, offset, after, .. } = &error else { panic!("{error}") };
    assert_eq!((segment.as_str(), *offset), ("segment-00000002.wal", 376));
    assert_eq!(*after, entry(4).id);
    assert!(error.to_string().contains("segment-00000002.wal is damaged at byte 376"), "{error}");
}

#[test]
fn a_missing_segment_is_named_unless_nothing_durable_was_in_it() {
    for (missing, damaged) in [(1, true), (2, true), (3, true), (4, false)] {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        write(disk.clone());
        disk.remove(&format!("segment-{missing:08x}.wal")).expect("removed");
        let result = Wal::open(disk, OPTIONS).map(|(_, recovered)| recovered.last);
        match result {
            Err(Error::Missing { name }) => {
                assert!(damaged && name.contains("segment-0000000"), "segment {missing}: {name}");
            }
            Ok(last) => assert_eq!((damaged, last), (false, entry(9).id)),
            Err(error) => panic!("segment {missing}: {error}"),
        }
    }
}

#[test]
fn another_members_segment_is_named() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    write(disk.clone());
    let other: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let member = MemberId::new(NodeId(2), Incarnation(7));
    let identity = Identity { member, ..Identity::default() };
    Wal::create(other.clone(), OPTIONS, identity).expect("created");
    let foreign = other.open("segment-00000001.wal").expect("made").copy(0, 1024).expect("read");
    let file = disk.create("segment-00000005.wal", 1024).expect("made");
    file.write(0, &[&foreign]).expect("written");
    let error = Wal::open(disk, OPTIONS).map(drop).expect_err("it is foreign");
    assert!(matches!(&error, Error::Foreign { name } if name == "segment-00000005.wal"), "{error}");
}

#[test]
fn a_log_is_never_made_over_another_one_nor_found_where_there_is_none() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    assert!(!Wal::exists(&*disk).expect("listed"));
    assert!(matches!(Wal::open(disk.clone(), OPTIONS).map(drop), Err(Error::Absent)));
    write(disk.clone());
    assert!(Wal::exists(&*disk).expect("listed"));
    let again = Wal::create(disk, OPTIONS, Identity::default()).map(drop);
    assert!(matches!(again, Err(Error::Exists)));
}

#[test]
fn what_a_recovery_has_made_durable_has_a_witness_in_the_next_record() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    wal.append(&Batch { entries: &[entry(1)], ..Batch::default() }).expect("written");
    drop(wal);
    let (mut wal, _) = Wal::open(disk.attach(), OPTIONS).expect("recovered");
    wal.append(&Batch { entries: &[entry(2)], ..Batch::default() }).expect("written");
    drop(wal);
    disk.flip("segment-00000001.wal", 200, 1);
    let result = Wal::open(disk.attach(), OPTIONS).map(drop);
    assert!(matches!(result, Err(Error::Damaged { offset: 136, .. })));
}

#[test]
fn an_opening_by_footers_reads_no_sealed_segment_and_damage_shows_when_it_is_read() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    wal.keep_footers();
    for index in 1..=ENTRIES {
        wal.append(&Batch { entries: &[entry(index)], ..Batch::default() }).expect("written");
        let job = wal.begin_sync().expect("a write waits").into_job();
        wal.finish_sync(job()).expect("synced");
    }
    drop(wal);
    disk.flip("segment-00000002.wal", 136 + 240 + 60, 1);
    assert!(matches!(Wal::open(disk.attach(), OPTIONS).map(drop), Err(Error::Damaged { .. })));
    let (wal, recovered) = Wal::open_fast(disk.attach(), OPTIONS).expect("by footers");
    assert_eq!((recovered.last, recovered.torn), (entry(ENTRIES).id, None));
    assert_eq!(wal.entry(Index(4)).expect("held"), entry(4));
    assert!(matches!(wal.entry(Index(5)), Err(Error::Damaged { offset: 376, .. })));
    drop(wal);
    // Without its footer, or with a damaged one, the segment is read.
    disk.flip("footer-00000002.wal", 70, 1);
    assert!(matches!(Wal::open_fast(disk.attach(), OPTIONS).map(drop), Err(Error::Damaged { .. })));
    disk.attach().remove("footer-00000002.wal").expect("removed");
    assert!(matches!(Wal::open_fast(disk.attach(), OPTIONS).map(drop), Err(Error::Damaged { .. })));
}
