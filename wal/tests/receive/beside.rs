//! A save may run beside a transfer: put in at each step of it, and on another thread.

use crate::watched::{Operation, watched};
use crate::{file_name, pieces, snapshot};
use holm_wal::{Disk, Job, MemoryDisk, Snapshots};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

/// A disk, and a slot for a job that is run when its count of operations has come down to 0.
type Slot = Arc<Mutex<Option<(u32, Job)>>>;

fn disk_with_slot() -> (Arc<dyn Disk>, Slot) {
    let slot = Slot::default();
    let inner = Arc::clone(&slot);
    let disk = watched(Arc::new(MemoryDisk::new()), move |_: Operation| {
        let due = {
            let mut slot = inner.lock().expect("nobody panicked");
            match slot.take() {
                Some((0, job)) => Some(job),
                Some((left, job)) => {
                    *slot = Some((left - 1, job));
                    None
                }
                None => None,
            }
        };
        if let Some(job) = due {
            job().expect("done in between");
        }
    });
    (disk, slot)
}

#[test]
fn a_save_at_any_step_of_a_transfer_leaves_it_alone_or_ends_it_if_it_is_newer() {
    let arriving = snapshot(7, 3000);
    for other in [5, 7, 9] {
        let mut step = 0;
        loop {
            let (disk, slot) = disk_with_slot();
            let (snapshots, _, _) = Snapshots::open(disk.clone()).expect("opened");
            let job = snapshots.save_job(&snapshot(other, 300));
            *slot.lock().expect("nobody panicked") = Some((step, job));
            for piece in pieces(&arriving, 0, 800) {
                snapshots.store_job(vec![piece])().expect("stored, or given up");
            }
            if slot.lock().expect("nobody panicked").take().is_some() {
                assert!(step > 10, "there are many steps");
                break;
            }
            let kept = if other < 7 {
                assert_eq!(
                    (snapshots.stored(), snapshots.refused()),
                    (Some((arriving.id(), Some(3000))), None)
                );
                snapshots.finish_job(arriving.meta.last)().expect("finished");
                vec![file_name("snapshot", &snapshot(other, 300)), file_name("snapshot", &arriving)]
            } else {
                assert_eq!(snapshots.stored(), Some((arriving.id(), None)), "step {step}");
                let why = snapshots.refused().expect("a reason");
                assert!(why.contains(&format!("up to entry {other} already")), "{why}");
                vec![file_name("snapshot", &snapshot(other, 300))]
            };
            assert_eq!(disk.list().expect("listed"), kept, "step {step}");
            step += 1;
        }
    }
}

#[test]
fn pieces_that_are_stored_while_a_save_writes_are_kept_unless_it_is_newer() {
    let arriving = snapshot(7, 3000);
    for (other, kept) in [(5, Some(3000)), (9, None)] {
        // The save creates, writes and syncs its file, and then takes the lock.
        for step in 0..3 {
            let (disk, slot) = disk_with_slot();
            let (snapshots, _, _) = Snapshots::open(disk).expect("opened");
            let job = snapshots.store_job(pieces(&arriving, 0, 800));
            *slot.lock().expect("nobody panicked") = Some((step, job));
            snapshots.save_job(&snapshot(other, 300))().expect("saved");
            assert_eq!(snapshots.stored(), Some((arriving.id(), kept)), "step {step}");
        }
    }
}

#[test]
fn saves_and_transfers_on_two_threads_end_with_the_newest_two_of_both() {
    for _ in 0..300 {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let (snapshots, _, _) = Snapshots::open(disk.clone()).expect("opened");
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                for index in [2, 4, 6, 8] {
                    snapshots.save_job(&snapshot(index, 300))().expect("saved");
                }
            });
            barrier.wait();
            for index in [11, 13, 15] {
                let arriving = snapshot(index, 300);
                for piece in pieces(&arriving, 0, 100) {
                    snapshots.store_job(vec![piece])().expect("stored");
                }
                assert_eq!(snapshots.stored(), Some((arriving.id(), Some(300))));
                snapshots.finish_job(arriving.meta.last)().expect("finished");
                assert_eq!(snapshots.received(), Some(arriving));
            }
        });
        let (snapshots, newest, none) = Snapshots::open(disk.clone()).expect("opened");
        assert_eq!((newest, none), (Some(snapshot(15, 300)), None));
        // What a save that ended last has left, the next one removes.
        snapshots.save_job(&snapshot(16, 300))().expect("saved");
        let kept = [15, 16].map(|index| file_name("snapshot", &snapshot(index, 300)));
        assert_eq!(disk.list().expect("listed"), kept);
    }
}
