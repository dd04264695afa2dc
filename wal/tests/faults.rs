//! What the simulated disk can do to a log, one fault after the other, and what the log says to it.

use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use holm_wal::{Batch, Error, Faults, Identity, Options, SimDisk, Wal};
use std::sync::{Arc, Mutex};

const OPTIONS: Options = Options { segment_bytes: 4096 };

fn entry(index: u64) -> Entry {
    let id = EntryId::new(Term(1), Index(index));
    let data = vec![u8::try_from(index % 251).expect("small"); 300].into();
    Entry { id, time: LogTime(index), kind: EntryKind::Command, data }
}

fn append(wal: &mut Wal, index: u64) {
    wal.append(&Batch { entries: &[entry(index)], ..Batch::default() }).expect("written");
}

fn sync(wal: &mut Wal) {
    let job = wal.begin_sync().expect("a write waits").into_job();
    wal.finish_sync(job()).expect("synced");
}

fn written(disk: &SimDisk, count: u64) -> Wal {
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    for index in 1..=count {
        append(&mut wal, index);
        sync(&mut wal);
    }
    wal
}

#[test]
fn a_read_that_fails_is_an_error_and_changes_nothing_and_the_next_one_may_succeed() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let wal = written(&disk, 20);
    disk.fail_reads(1);
    assert!(matches!(wal.entry(Index(3)), Err(Error::Io { .. })));
    assert_eq!(wal.entry(Index(3)).expect("held"), entry(3));
    drop(wal);
    for read in 0..6 {
        let before = disk.operations();
        disk.fail_reads(read);
        let result = Wal::open(disk.attach(), OPTIONS);
        assert_eq!(result.is_err(), read > 0, "{read}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Io { .. }), "{error}");
            assert_eq!(disk.operations(), before, "nothing was changed");
        }
        disk.fail_reads(0);
    }
    assert_eq!(Wal::open(disk.attach(), OPTIONS).expect("sound").1.last, entry(20).id);
}

#[test]
fn a_disk_that_stalls_shows_before_it_reports_anything() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let attached = disk.attach();
    let mut wal = written(&disk, 1);
    assert_eq!(wal.stalled_for(100), 0);
    append(&mut wal, 2);
    assert_eq!(wal.stalled_for(110), 0, "only just seen");
    disk.stall();
    let result = Arc::new(Mutex::new(None));
    let told = Arc::clone(&result);
    let job = wal.begin_sync().expect("a write waits").into_job();
    attached.run(job, Box::new(move |result| *told.lock().expect("sound") = Some(result)));
    append(&mut wal, 3);
    assert_eq!((wal.stalled_for(150), wal.stalled_for(190)), (40, 80));
    assert!(result.lock().expect("sound").is_none());
    disk.resume();
    let result = result.lock().expect("sound").take().expect("it ran");
    wal.finish_sync(result).expect("synced");
    assert_eq!(wal.stalled_for(200), 50, "the third entry waits since 150");
    sync(&mut wal);
    assert_eq!(wal.stalled_for(300), 0);
}

#[test]
fn a_stalled_disk_makes_no_segments_ahead_and_the_log_makes_its_own() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    disk.stall();
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    let entries: Vec<Entry> = (1..=40).map(entry).collect();
    wal.append(&Batch { entries: &entries, ..Batch::default() }).expect("it outran the disk");
    sync(&mut wal);
    disk.resume();
    drop(wal);
    disk.power_cut();
    assert_eq!(Wal::open(disk.attach(), OPTIONS).expect("sound").1.last, entry(40).id);
}

#[test]
fn a_sector_that_went_astray_is_told_or_was_behind_all_that_has_a_witness() {
    let mut told = 0;
    for seed in 0..300 {
        let disk = SimDisk::new(seed, SimDisk::at_once());
        let mut wal = written(&disk, 12);
        disk.misdirect(1);
        append(&mut wal, 13);
        sync(&mut wal);
        append(&mut wal, 14);
        sync(&mut wal);
        drop(wal);
        match Wal::open(disk.attach(), OPTIONS) {
            Ok((wal, recovered)) => {
                assert!(recovered.last.index >= Index(13), "seed {seed}: {:?}", recovered.last);
                for index in 1..=recovered.last.index.0 {
                    assert_eq!(wal.entry(Index(index)).expect("held"), entry(index));
                }
            }
            Err(Error::Damaged { .. } | Error::Unexpected { .. } | Error::Missing { .. }) => {
                told += 1;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(told > 100, "{told}");
}

#[test]
fn faults_come_as_often_as_they_are_set_and_the_same_for_the_same_seed() {
    let run = |seed| {
        let disk = SimDisk::new(seed, SimDisk::at_once());
        let mut wal = written(&disk, 3);
        let rates = Faults { failing_syncs: 200_000, failing_reads: 0, misdirected_writes: 0 };
        disk.set_faults(rates);
        let mut synced = 0;
        for index in 4..200 {
            if wal.append(&Batch { entries: &[entry(index)], ..Batch::default() }).is_err() {
                break;
            }
            let Some(job) = wal.begin_sync() else { break };
            if wal.finish_sync(job.into_job()()).is_err() {
                assert!(matches!(wal.append(&Batch::default()), Err(Error::Poisoned)));
                break;
            }
            synced += 1;
        }
        synced
    };
    let all: Vec<u32> = (0..50).map(run).collect();
    assert_eq!(all, (0..50).map(run).collect::<Vec<_>>());
    let sum: u32 = all.iter().sum();
    assert!((50..50 * 20).contains(&sum), "one sync in five fails: {sum}");
}

#[test]
fn a_disk_that_tears_behind_keeps_a_beginning_of_what_was_not_synced_and_nothing_else() {
    let mut kept = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = SimDisk::new(seed, SimDisk::at_once());
        let file = disk.attach().create("file", 4_096).expect("made");
        file.sync().expect("synced");
        disk.attach().sync_directory().expect("synced");
        for sector in 0..8 {
            file.write(sector * 512, &[&[1; 512]]).expect("written");
        }
        disk.tear_behind();
        disk.power_cut();
        let bytes = disk.attach().open("file").and_then(|file| file.read(0, 4_096)).expect("read");
        let ones = bytes.iter().take_while(|byte| **byte == 1).count();
        assert!(ones % 512 == 0 && bytes[ones..].iter().all(|byte| *byte == 0), "seed {seed}");
        kept.insert(ones / 512);
    }
    assert_eq!(kept.len(), 9, "from nothing to all");
}
