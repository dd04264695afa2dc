//! What a durable batch costs by stores into the map and by one write through the kernel: from
//! which size on the second is faster is what `wal/src/disk/pages.rs` has as its threshold.

use crate::{Result, clear, median};
use holm_wal::{Disk, RealDisk};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

/// Sizes of a batch, in bytes.
const SIZES: [usize; 7] = [8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10];
const ROUNDS: usize = 11;
/// Batches in a round, each with a sync.
const BATCHES: u32 = 12;

/// What a round spent, in seconds.
#[derive(Default)]
struct Spent {
    writing: f64,
    in_all: f64,
}

/// Prints microseconds a batch, medians of rounds that run in turn.
pub(crate) fn batches(path: &Path) -> Result<()> {
    println!("durable batches, microseconds each without and with the sync, medians of {ROUNDS}\n");
    println!("{:>8} {:>9} {:>9} {:>9} {:>9}", "KiB", "stores", "pwrite", "+ sync", "+ sync");
    for size in SIZES {
        let (mut stores, mut writes) = (Vec::new(), Vec::new());
        let bytes = u64::from(BATCHES) * size as u64;
        let data = vec![7; size];
        for _ in 0..ROUNDS {
            clear(path)?;
            let disk = RealDisk::open(path)?.with_stores_alone();
            let mapped = disk.create("stores", bytes)?;
            let store = |at: u64| mapped.write(at, &[&data]);
            stores.push(round(bytes, size, store, || mapped.sync())?);
            drop(disk.create("pwrite", bytes)?);
            let file = OpenOptions::new().write(true).open(path.join("pwrite"))?;
            let write = |at: u64| file.write_all_at(&data, at);
            writes.push(round(bytes, size, write, || file.sync_data())?);
        }
        print!("{:>8}", size >> 10);
        for part in [|spent: &Spent| spent.writing, |spent: &Spent| spent.in_all] {
            for rounds in [&stores, &writes] {
                let seconds = median(rounds.iter().map(part).collect());
                print!(" {:>9.0}", seconds * 1e6 / f64::from(BATCHES));
            }
        }
        println!();
    }
    clear(path)
}

fn round(
    bytes: u64,
    size: usize,
    write: impl Fn(u64) -> io::Result<()>,
    sync: impl Fn() -> io::Result<()>,
) -> io::Result<Spent> {
    let (start, mut spent) = (Instant::now(), Spent::default());
    for at in (0..bytes).step_by(size) {
        let start = Instant::now();
        write(at)?;
        spent.writing += start.elapsed().as_secs_f64();
        sync()?;
    }
    spent.in_all = start.elapsed().as_secs_f64();
    Ok(spent)
}
