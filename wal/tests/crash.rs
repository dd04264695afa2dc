//! The disk is cut after each single operation of random histories, and what is recovered is
//! compared with a model (see `fuzzing::crash`); each kind of lying sync makes the same comparison
//! fail. And single cases: a failed sync, a full disk, what outlives a power cut.

use holm_raft_core::{Entry, EntryId, EntryKind, HardState, Index, LogStart, LogTime, Term};
use holm_wal::{
    Batch, Disk, Ended, Error, Identity, Lie, Options, SimDisk, Wal, live, random_bytes,
};
use std::sync::Arc;

const OPTIONS: Options = Options { segment_bytes: 1024 };

/// Every cut of a history: how many there are, how many recoveries, how many acknowledged entries.
fn every_cut(seed: u64, lie: Lie) -> Result<[u64; 3], String> {
    let data = random_bytes(seed, 500);
    let mut sums = [0; 3];
    for cut in 0.. {
        let outcome = live(&data, cut, lie).map_err(|e| format!("seed {seed}, cut {cut}: {e}"))?;
        sums = [cut, sums[1] + outcome.recovered, sums[2] + outcome.acknowledged];
        if outcome.first == Ended::Whole {
            break;
        }
    }
    Ok(sums)
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_is_cut() {
    let mut sums = [0; 3];
    for seed in 0..100 {
        let more = every_cut(seed, Lie::None).unwrap_or_else(|error| panic!("{error}"));
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    let [cuts, recovered, acknowledged] = sums;
    assert!(cuts > 100 * 15, "histories are long enough to be worth cutting: {cuts}");
    assert!(recovered > cuts * 2 && acknowledged > cuts * 2, "{recovered}, {acknowledged}");
}

#[test]
fn with_syncs_that_do_nothing_acknowledged_entries_are_lost_and_the_test_sees_it() {
    for lie in [Lie::All, Lie::Files, Lie::Directory] {
        let caught = (0..20).filter(|seed| every_cut(*seed, lie).is_err()).count();
        assert!(caught > 10, "{lie:?} was caught in {caught} of 20 histories");
    }
}

/// What a log holds: its hard state, where it begins, its entries.
type Held = (HardState, LogStart, Vec<Entry>);

fn open(disk: &SimDisk) -> Result<Held, Error> {
    let (wal, _) = Wal::open(disk.attach(), OPTIONS)?;
    let (start, last) = (wal.start(), wal.last());
    let range = start.id.index.next()..=last.index;
    let entries = if range.is_empty() { Vec::new() } else { wal.entries(range, u64::MAX)? };
    Ok((wal.hard_state(), start, entries))
}

fn entry(index: u64, length: usize) -> Entry {
    let id = EntryId::new(Term(1), Index(index));
    let data = vec![7; length].into();
    Entry { id, time: LogTime(0), kind: EntryKind::Command, data }
}

#[test]
fn a_failed_sync_poisons_and_what_it_left_in_memory_alone_is_not_believed_after_a_restart() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    let entries: Vec<Entry> = (1..=5).map(|index| entry(index, 300)).collect();
    let hard_state = Some(HardState { term: Term(1), vote: None });
    wal.append(&Batch { hard_state, entries: &entries, ..Batch::default() }).expect("written");
    disk.fail_syncs(1);
    let job = wal.begin_sync().expect("something is unsynced").into_job();
    assert!(matches!(wal.finish_sync(job()), Err(Error::Sync { .. })));
    assert!(wal.begin_sync().is_none());
    assert!(matches!(wal.append(&Batch::default()), Err(Error::Poisoned)));
    drop(wal);
    // The process restarts, not the machine: all is still readable, and recovery says it is
    // durable. So it must have been written again.
    let found = open(&disk).expect("recovered");
    assert_eq!((Some(found.0), &found.2), (hard_state, &entries));
    disk.power_cut();
    assert_eq!(open(&disk).expect("recovered"), found);
}

#[test]
fn a_full_disk_refuses_a_batch_whole_and_the_log_goes_on_when_there_is_room() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    disk.set_capacity(3 * OPTIONS.segment_bytes);
    let entries: Vec<Entry> = (1..=4).map(|index| entry(index, 600)).collect();
    let all = Batch { entries: &entries, ..Batch::default() };
    assert!(matches!(wal.append(&all), Err(Error::Full { bytes: 1024, .. })));
    assert_eq!(wal.last(), EntryId::ZERO);
    wal.append(&Batch { entries: &entries[..3], ..Batch::default() }).expect("these fit");
    disk.set_capacity(u64::MAX);
    wal.append(&Batch { entries: &entries[3..], ..Batch::default() }).expect("there is room");
    drop(wal);
    assert_eq!(open(&disk).expect("recovered").2, entries);
}

#[test]
fn what_outlives_a_power_cut_can_not_write_to_the_disk_after_it() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    let old: Arc<dyn Disk> = disk.attach();
    wal.append(&Batch::default()).expect("written");
    let job = wal.begin_sync().expect("a write waits").into_job();
    disk.power_cut();
    assert!(old.create("ghost", 512).is_err() && old.list().is_err());
    old.run(job, Box::new(|_| panic!("nobody is there to be told")));
    let hard_state = Some(HardState { term: Term(9), vote: None });
    assert!(wal.append(&Batch { hard_state, ..Batch::default() }).is_err());
    assert_eq!(open(&disk).expect("recovered"), Held::default());
}

#[test]
fn a_log_cut_off_while_it_is_made_is_none_at_all_or_an_empty_one() {
    let mut found = [0; 2];
    for seed in 0..100 {
        let disk = SimDisk::new(seed, SimDisk::at_once());
        disk.stop_after(seed % 6);
        let created = Wal::create(disk.attach(), OPTIONS, Identity::default()).is_ok();
        if seed % 7 == 0 {
            disk.kill()
        } else {
            disk.power_cut()
        }
        if Wal::exists(&*disk.attach()).expect("listed") {
            assert_eq!(open(&disk).expect("whole"), Held::default());
            found[0] += 1;
        } else {
            assert!(!created, "it was said to be there");
            Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("as if new");
            found[1] += 1;
        }
    }
    assert!(found.iter().all(|count| *count > 10), "{found:?}");
}
