//! Segments that are damaged are given up where a snapshot has all that they held, and nothing that
//! it does not have is lost, wherever the power is cut meanwhile.

use holm_raft_core::{Entry, EntryId, EntryKind, HardState, Index, LogStart, LogTime, Term};
use holm_wal::{Batch, Disk, Error, Identity, Options, SimDisk, Wal};
use std::sync::Arc;

const OPTIONS: Options = Options { segment_bytes: 1024 };
const ENTRIES: u64 = 12;
/// Segments of three entries each; the last one is never damaged here.
const SEGMENTS: u64 = 4;

fn term(index: u64) -> Term {
    Term(1 + index / 4)
}

fn entry(index: u64) -> Entry {
    let data = vec![u8::try_from(index).expect("small"); 200].into();
    let (id, time) = (EntryId::new(term(index), Index(index)), LogTime(index));
    Entry { id, time, kind: EntryKind::Command, data }
}

/// The last entry of a snapshot.
fn snapshot(index: u64) -> LogStart {
    LogStart { id: entry(index).id, time: LogTime(index) }
}

fn durable(wal: &mut Wal, batch: &Batch<'_>) {
    wal.append(batch).expect("written");
    let job = wal.begin_sync().expect("a write waits").into_job();
    wal.finish_sync(job()).expect("synced");
}

/// Three entries a segment, each durable before the next; a vote between 4 and 5.
fn written(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    for index in 1..=ENTRIES {
        let hard_state = (index == 5).then_some(HardState { term: Term(9), vote: None });
        durable(&mut wal, &Batch { hard_state, entries: &[entry(index)], ..Batch::default() });
    }
    disk
}

/// Changes a bit of this segment's file.
fn rot(disk: &SimDisk, sequence: u64, offset: u64) {
    disk.flip(&segment(sequence), usize::try_from(offset).expect("small"), 0x10);
}

fn segment(sequence: u64) -> String {
    format!("segment-{sequence:08x}.wal")
}

/// The last entry in this segment.
fn last_of(sequence: u64) -> u64 {
    3 * sequence
}

fn give_up(disk: &SimDisk, start: LogStart) -> Result<bool, Error> {
    let disk: Arc<dyn Disk> = disk.attach();
    Wal::give_up_damage(&disk, OPTIONS, start, |identity| identity == Identity::default())
}

/// The log opens, begins behind the snapshot, and holds all that comes after it; and goes on.
fn check(disk: &SimDisk, start: LogStart, case: &str) {
    let (mut wal, recovered) = Wal::open(disk.attach(), OPTIONS).expect(case);
    assert_eq!((wal.start(), recovered.hard_state.term), (start, Term(9)), "{case}");
    let kept = start.id.index.next()..=Index(ENTRIES);
    let expected: Vec<Entry> = (kept.start().0..=ENTRIES).map(entry).collect();
    assert_eq!(wal.entries(kept, u64::MAX).expect(case), expected, "{case}");
    let more: Vec<Entry> = (ENTRIES + 1..=ENTRIES + 7).map(entry).collect();
    for entry in &more {
        durable(&mut wal, &Batch { entries: std::slice::from_ref(entry), ..Batch::default() });
    }
    drop(wal);
    disk.power_cut();
    let (wal, recovered) = Wal::open(disk.attach(), OPTIONS).expect(case);
    assert_eq!((recovered.last, recovered.torn), (entry(ENTRIES + 7).id, None), "{case}");
    let range = Index(ENTRIES + 1)..=Index(ENTRIES + 7);
    assert_eq!(wal.entries(range, u64::MAX).expect(case), more, "{case}");
    let names = disk.attach().list().expect("listed");
    assert!(!names.iter().any(|name| name.starts_with("given-up")), "{case}: {names:?}");
}

#[test]
fn a_segment_with_any_byte_rotted_is_given_up_if_the_snapshot_goes_beyond_it() {
    for sequence in 1..SEGMENTS {
        // Behind the version, which is named as such.
        for offset in (12..856).step_by(5) {
            let case = format!("segment {sequence}, byte {offset}");
            let disk = written(offset);
            rot(&disk, sequence, offset);
            if Wal::open(disk.attach(), OPTIONS).is_ok() {
                panic!("{case}: nothing is found");
            }
            let before = disk.operations();
            for index in 1..=last_of(sequence) {
                assert!(!give_up(&disk, snapshot(index)).expect(&case), "{case}: {index}");
            }
            assert_eq!(disk.operations(), before, "{case}: nothing is changed");
            let start = snapshot(last_of(sequence) + 1 + offset % (ENTRIES - last_of(sequence)));
            assert!(give_up(&disk, start).expect(&case), "{case}");
            // It is durable on return.
            disk.power_cut();
            check(&disk, start, &case);
        }
    }
}

/// Gives up what is damaged, and opens the log, which does what was decided; on a disk that ends
/// after so many operations. Whether it got to the end.
fn cut_after(disk: &SimDisk, start: LogStart, operations: u64) -> bool {
    disk.stop_after(disk.operations() + operations);
    let result = give_up(disk, start).and_then(|_| Wal::open(disk.attach(), OPTIONS));
    result.is_ok()
}

#[test]
fn wherever_the_power_is_cut_the_log_is_damaged_as_before_or_has_all_behind_the_snapshot() {
    let (mut cases, mut done_before) = (0, 0);
    for sequence in 1..SEGMENTS {
        for seed in 0..24 {
            let start = snapshot(last_of(sequence) + 1 + seed % 3);
            let cuts = (0..)
                .map(|cut| (cut, 0..16))
                .flat_map(|(cut, again)| again.map(move |again| (cut, again)));
            for (cut, again) in cuts {
                let case = format!("segment {sequence}, seed {seed}, cuts {cut} and {again}");
                let disk = written(seed);
                rot(&disk, sequence, 136 + 240 * (seed % 3) + 100);
                let is_over = cut_after(&disk, start, cut);
                // In every other case the process alone ends, and what it wrote is still read.
                if seed % 2 == 1 {
                    disk.kill()
                } else {
                    disk.power_cut()
                }
                cut_after(&disk, start, again);
                disk.power_cut();
                disk.stop_after(u64::MAX);
                done_before += u64::from(!give_up(&disk, start).expect(&case));
                check(&disk, start, &case);
                cases += 1;
                if is_over {
                    break;
                }
            }
        }
    }
    assert!(cases > 8_000 && done_before > 2_000, "{cases} cases, {done_before} done before");
}

#[test]
fn damage_in_the_last_segment_is_not_given_up() {
    let disk = written(1);
    rot(&disk, SEGMENTS, 136 + 100);
    assert!(Wal::open(disk.attach(), OPTIONS).is_err());
    assert!(!give_up(&disk, snapshot(ENTRIES)).expect("read"));
}

#[test]
fn a_suffix_of_another_history_than_the_snapshots_is_not_kept() {
    let disk = written(1);
    rot(&disk, 1, 136 + 100);
    let mut other = snapshot(8);
    other.id.term = Term(7);
    assert!(give_up(&disk, other).expect("read"));
    let (wal, _) = Wal::open(disk.attach(), OPTIONS).expect("recovered");
    assert_eq!((wal.start(), wal.last()), (other, other.id));
}

#[test]
fn a_whole_log_and_another_ones_log_are_left_as_they_are() {
    let disk = written(1);
    let before = disk.operations();
    assert!(!give_up(&disk, snapshot(ENTRIES)).expect("read"));
    rot(&disk, 1, 136 + 100);
    let attached: Arc<dyn Disk> = disk.attach();
    let given_up = Wal::give_up_damage(&attached, OPTIONS, snapshot(ENTRIES), |_| false);
    assert!(!given_up.expect("read"));
    assert_eq!(disk.operations(), before);
}

/// A segment that has no entries is needed by none, but until the damaged one before it is given
/// up, it is what says that the log goes on there.
#[test]
fn no_segment_behind_the_damaged_one_is_used_up_before_that_is_given_up() {
    let votes = |wal: &mut Wal, count: u64| {
        for _ in 0..count {
            let hard_state = Some(HardState { term: Term(9), vote: None });
            durable(wal, &Batch { hard_state, ..Batch::default() });
        }
    };
    for cut in 0.. {
        let disk = SimDisk::new(cut, SimDisk::at_once());
        let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
        let write = |wal: &mut Wal, indexes: std::ops::RangeInclusive<u64>| {
            for index in indexes {
                durable(wal, &Batch { entries: &[entry(index)], ..Batch::default() });
            }
        };
        write(&mut wal, 1..=3);
        // The rest of the first segment, and all of the second.
        votes(&mut wal, 4 + 22);
        write(&mut wal, 4..=6);
        // The third one has no room for what is written to give the first one up.
        votes(&mut wal, 4);
        drop(wal);
        rot(&disk, 1, 136 + 240 + 100);
        disk.stop_after(disk.operations() + cut);
        let is_over = give_up(&disk, snapshot(4)).is_ok();
        disk.power_cut();
        disk.stop_after(u64::MAX);
        give_up(&disk, snapshot(4)).expect("read");
        let (wal, _) = Wal::open(disk.attach(), OPTIONS).expect("recovered");
        assert_eq!(wal.start(), snapshot(4), "cut {cut}");
        assert_eq!(wal.entries(Index(5)..=Index(6), u64::MAX).expect("held"), [entry(5), entry(6)]);
        if is_over {
            assert!(cut > 5, "it takes some steps: {cut}");
            break;
        }
    }
}
