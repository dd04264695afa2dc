//! What a durable batch costs by stores into the map and by one write through the kernel: from
//! which size on the second is faster is what `wal/src/disk/real.rs` has as its threshold.

use crate::{Result, clear, median};
use holm_wal::{Disk, RealDisk};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

/// Sizes of a batch, in bytes.
const SIZES: [usize; 6] = [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10];
const ROUNDS: usize = 11;
/// Batches in a round, each with a sync.
const BATCHES: u32 = 12;
/// A write of so few bytes is always a store.
const STORE_BYTES: usize = 32 << 10;

/// Prints microseconds a batch, medians of rounds that run in turn.
pub(crate) fn batches(path: &Path) -> Result<()> {
    println!("durable batches, microseconds each, medians of {ROUNDS} rounds\n");
    println!("{:>8} {:>10} {:>10} {:>10}", "KiB", "stores", "pwrite", "ratio");
    for size in SIZES {
        let (mut stores, mut writes) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            clear(path)?;
            let disk = RealDisk::open(path)?;
            let bytes = u64::from(BATCHES) * size as u64;
            let file = disk.create("stores", bytes)?;
            let data = vec![7; size];
            let start = Instant::now();
            for at in (0..bytes).step_by(size) {
                for (at, piece) in (at..).step_by(STORE_BYTES).zip(data.chunks(STORE_BYTES)) {
                    file.write(at, &[piece])?;
                }
                file.sync()?;
            }
            stores.push(start.elapsed().as_secs_f64());
            drop(disk.create("pwrite", bytes)?);
            let file = OpenOptions::new().write(true).open(path.join("pwrite"))?;
            let start = Instant::now();
            for at in (0..bytes).step_by(size) {
                file.write_all_at(&data, at)?;
                file.sync_data()?;
            }
            writes.push(start.elapsed().as_secs_f64());
        }
        let each = |seconds: Vec<f64>| median(seconds) * 1e6 / f64::from(BATCHES);
        let (stores, writes) = (each(stores), each(writes));
        let (kib, ratio) = (size >> 10, stores / writes);
        println!("{kib:>8} {stores:>10.0} {writes:>10.0} {ratio:>10.2}");
    }
    clear(path)
}
