//! The disk is cut after each single operation of a transfer, in the recovery after it, and in the
//! transfer that goes on from what was found: what was said to be stored is there, what is found is
//! right and durable, and in the end the file is that of a snapshot saved whole. Each kind of lying
//! sync makes the same comparison fail.

use crate::watched::{Operation, watched};
use crate::{Random, contents, file_name, partial, pieces, saved, snapshot};
use holm_raft_core::Partial;
use holm_wal::{Lie, SimDisk, Snapshot, Snapshots};
use std::sync::atomic::{AtomicU32, Ordering};

/// What was said to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Stored(u64),
    Finished,
}

/// Stores what is missing, in jobs of one or two pieces, and finishes: as far as the disk allows.
fn transfer(
    snapshots: &Snapshots,
    snapshot: &Snapshot,
    random: &mut Random,
    said: &mut Said,
) -> Result<(), std::io::Error> {
    let stored = snapshots.stored().filter(|(id, _)| *id == snapshot.id());
    let pieces = pieces(snapshot, stored.and_then(|(_, stored)| stored).unwrap_or(0), 700);
    let mut pieces = pieces.into_iter().peekable();
    while pieces.peek().is_some() {
        let count = usize::try_from(1 + random.below(2)).expect("small");
        snapshots.store_job(pieces.by_ref().take(count).collect())()?;
        let (id, stored) = snapshots.stored().expect("just stored");
        assert_eq!((id, snapshots.refused()), (snapshot.id(), None));
        *said = Said::Stored(stored.expect("it was not given up"));
    }
    snapshots.finish_job(snapshot.meta.last)()?;
    *said = Said::Finished;
    Ok(())
}

/// What a disk holds.
type Found = (Option<Snapshot>, Option<Partial>);

fn open(disk: &SimDisk) -> Result<(Snapshots, Found), String> {
    let opened = Snapshots::open(disk.attach()).map_err(|error| error.to_string());
    opened.map(|(snapshots, snapshot, partial)| (snapshots, (snapshot, partial)))
}

/// Compares what was found with what may be, when `old` was saved before, some of `other` may have
/// been stored, and `new` was being received.
fn judge(disk: &SimDisk, found: &Found, said: Said, known: [&Snapshot; 3]) -> Result<(), String> {
    let [old, other, new] = known;
    let (snapshot, arrived) = found;
    let names = disk.attach().list().map_err(|error| error.to_string())?;
    if snapshot.as_ref() == Some(new) {
        let left = names.iter().any(|name| name.starts_with("receiving"));
        return if left { Err(format!("{names:?}")) } else { Ok(()) };
    }
    if said == Said::Finished || snapshot.as_ref() != Some(old) {
        return Err(format!("found {:?} after {said:?}", snapshot.as_ref().map(Snapshot::id)));
    }
    let Some(arrived) = arrived else {
        return if said == Said::Stored(0) { Ok(()) } else { Err(format!("{said:?} is gone")) };
    };
    let of = if arrived.id() == new.id() { new } else { other };
    if *arrived != partial(of, arrived.stored) {
        return Err(format!("found {arrived:?}"));
    }
    match said {
        Said::Stored(0) => {}
        Said::Stored(stored) if of == new && arrived.stored >= stored => {}
        _ => return Err(format!("found {} of {} after {said:?}", arrived.stored, of.meta.last)),
    }
    let bytes = contents(&*disk.attach(), &file_name("receiving", of));
    let stored = usize::try_from(arrived.stored).expect("small");
    let start = bytes.len() - of.data.len();
    if bytes[start..start + stored] != of.data[..stored] {
        return Err(format!("{stored} bytes are said to be right and are not"));
    }
    Ok(())
}

/// One life after another on one disk. The first one is cut after `cut` operations.
fn lives(seed: u64, cut: u64, lie: Lie) -> Result<Outcome, String> {
    let disk = SimDisk::new(seed ^ cut << 32, SimDisk::at_once());
    let mut random = Random(seed.wrapping_mul(31) ^ cut);
    let known = [snapshot(2, 100), snapshot(5, 3000), snapshot(7, 3500)];
    let [old, other, new] = &known;
    let (mut snapshots, _) = open(&disk)?;
    snapshots.save_job(old)().expect("saved");
    if seed.is_multiple_of(2) {
        snapshots.store_job(pieces(other, 0, 1700))().expect("stored");
    }
    disk.set_lie(lie);
    disk.stop_after(disk.operations() + cut);
    let mut said = Said::Stored(0);
    let whole = transfer(&snapshots, new, &mut random, &mut said).is_ok();
    for _ in 0..3 {
        // The machine dies, or the process alone.
        if random.below(3) > 0 {
            disk.power_cut()
        } else {
            disk.kill()
        }
        // A recovery that is cut itself, and then one that is not.
        disk.stop_after(random.below(6));
        let first = open(&disk).map(|(_, found)| found);
        disk.power_cut();
        let found = open(&disk)?;
        judge(&disk, &found.1, said, known.each_ref())?;
        if first.is_ok_and(|first| first != found.1) {
            return Err("what a recovery found was not durable".to_owned());
        }
        if found.1.0.as_ref() == Some(new) {
            said = Said::Finished;
            break;
        }
        snapshots = found.0;
        disk.stop_after(disk.operations() + random.below(16));
        let _ = transfer(&snapshots, new, &mut random, &mut said);
    }
    disk.power_cut();
    let (snapshots, found) = open(&disk)?;
    judge(&disk, &found, said, known.each_ref())?;
    if found.0.as_ref() != Some(new) {
        transfer(&snapshots, new, &mut random, &mut said).map_err(|error| error.to_string())?;
        assert_eq!(snapshots.received().as_ref(), Some(new));
    }
    assert!(contents(&*disk.attach(), &file_name("snapshot", new)) == saved(new));
    Ok(if whole { Outcome::Whole } else { Outcome::Cut })
}

#[derive(PartialEq, Eq)]
enum Outcome {
    /// The first life was cut before its end.
    Cut,
    /// The first life needed no more operations than it was allowed.
    Whole,
}

/// Every cut of a transfer; the first failure.
fn every_cut(seed: u64, lie: Lie) -> Result<u64, String> {
    let mut cut = 0;
    while lives(seed, cut, lie).map_err(|error| format!("seed {seed}, cut {cut}: {error}"))?
        == Outcome::Cut
    {
        cut += 1;
    }
    Ok(cut)
}

#[test]
fn what_was_said_to_be_stored_is_there_wherever_the_power_is_cut() {
    let mut cuts = 0;
    for seed in 0..200 {
        cuts += every_cut(seed, Lie::None).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(cuts > 200 * 20, "transfers are long enough to be worth cutting: {cuts}");
}

#[test]
fn with_syncs_that_do_nothing_stored_pieces_are_lost_and_the_test_sees_it() {
    for lie in [Lie::All, Lie::Files, Lie::Directory] {
        let caught = (0..20).filter(|seed| every_cut(*seed, lie).is_err()).count();
        assert!(caught > 10, "{lie:?} was caught in {caught} of 20 transfers");
    }
}

#[test]
fn after_any_sync_that_failed_nothing_is_believed_that_is_in_memory_alone() {
    let new = snapshot(7, 3500);
    let mut failures = 0;
    for seed in 0..2000_u32 {
        // Which sync of a whole transfer fails, and what a later power cut leaves.
        let (failing, cut) = (seed % 16, seed / 16);
        let disk = SimDisk::new(u64::from(cut), SimDisk::at_once());
        let (syncs, device) = (AtomicU32::new(0), disk.clone());
        let disk_watched = watched(disk.attach(), move |operation| {
            let sync = matches!(operation, Operation::Sync | Operation::SyncDirectory);
            if sync && syncs.fetch_add(1, Ordering::Relaxed) == failing {
                device.fail_syncs(1);
            }
        });
        let (snapshots, _, _) = Snapshots::open(disk_watched).expect("opened");
        let mut said = Said::Stored(0);
        let mut random = Random(seed.into());
        if transfer(&snapshots, &new, &mut random, &mut said).is_ok() {
            continue;
        }
        failures += 1;
        let again = snapshots.store_job(pieces(&new, 0, 700))().expect_err("never retried");
        assert!(again.to_string().contains("one has failed; check the disk"), "{again}");
        // The process restarts, not the machine.
        disk.kill();
        let (snapshots, found) = open(&disk).expect("found");
        if seed.is_multiple_of(2) {
            disk.power_cut();
            let (_, again) = open(&disk).expect("found");
            assert_eq!(again, found, "what is found is durable: seed {seed}");
            continue;
        }
        if found.0.is_none() {
            transfer(&snapshots, &new, &mut random, &mut said).expect("the disk does not fail");
        }
        disk.power_cut();
        let (_, (snapshot, _)) = open(&disk).expect("found");
        assert_eq!(snapshot.as_ref(), Some(&new), "seed {seed}");
    }
    assert!(failures > 500, "{failures}");
}
