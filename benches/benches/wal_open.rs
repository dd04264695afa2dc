//! How long a log takes to open and to read: opened with every checksum checked, opened by its
//! footers, replayed, and read at random; next to floors that only sum the same bytes: of the
//! segments' files through the kernel, and of records where they are mapped. Warm, in the page
//! cache, and the floor and the opening with every checksum also cold, with the pages of the files
//! dropped before; medians of several rounds.
//!
//! `cargo bench -p holm-benches --bench wal_open [-- DIRECTORY [MIB]]`: 1 GiB of data by default,
//! in records of 1 KiB.
#![forbid(unsafe_code)]

#[path = "wal_open/cold.rs"]
mod cold;
#[path = "wal_open/floor.rs"]
mod floor;
#[path = "wal_open/records.rs"]
mod records;

use cold::{fetched_bytes, forget};
use floor::sum_files;
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use holm_wal::{Batch, Disk, Identity, Options, RealDisk, Wal};
use records::Records;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 5;
const RECORD_BYTES: u64 = 1 << 10;
const RANDOM_READS: u64 = 200_000;
/// How many bytes a record has with its head, and the entry's fields.
const SPAN_BYTES: usize = (1 << 10) + 40;
/// How many bytes of entries a replay asks for at once.
const REPLAYED_BYTES: u64 = 1 << 20;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let root = arguments.next().map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    let mib: u64 = arguments.next().map_or(Ok(1024), |mib| mib.parse())?;
    let path = root.join("wal_open");
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    let records = (mib << 20) / RECORD_BYTES;
    write(&path, records)?;
    let cold = cold_rounds(&path)?;
    let warm = warm_rounds(&path, records)?;
    println!("a log of {records} records of 1 KiB, medians of {ROUNDS} rounds\n");
    println!("                                    cold      warm");
    let cold = |of: fn(&Cold) -> f64| {
        cold.as_ref().map_or_else(|| "-".to_owned(), |cold| format!("{:.3}", of(cold)))
    };
    let (cold_floor, cold_open) = (cold(|cold| cold.floor), cold(|cold| cold.open));
    println!("floor: files read and summed   {cold_floor:>9} {:>9.3} s", warm.files);
    println!("open, every checksum checked   {cold_open:>9} {:>9.3} s", warm.open);
    println!("open by footers                {:>9} {:>9.3} s", "-", warm.footers);
    println!("floor: records summed in order {:>9} {:>9.3} s", "-", warm.in_order);
    println!("replay                         {:>9} {:>9.3} s", "-", warm.replay);
    let reads = f64::from(u32::try_from(RANDOM_READS)?);
    println!("floor: records summed anyhow   {:>9} {:>9.0} a second", "-", reads / warm.anyhow);
    println!("random reads, checksum checked {:>9} {:>9.0} a second", "-", reads / warm.random);
    fs::remove_dir_all(&path)?;
    Ok(())
}

/// How long each took with nothing of the files in the page cache.
struct Cold {
    floor: f64,
    open: f64,
}

/// The two that read all of the log, each with the files' pages dropped before. Nothing, and
/// loudly, where the pages do not go.
fn cold_rounds(path: &Path) -> Result<Option<Cold>> {
    let (mut floors, mut opens) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bytes = forget(path)?;
        let before = fetched_bytes()?;
        floors.push(time(|| Ok(sum_files(path)?))?);
        forget(path)?;
        let between = fetched_bytes()?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path)?);
        opens.push(time(|| drop_read(Wal::open(disk.clone(), Options::default())))?);
        let least = (between - before).min(fetched_bytes()? - between);
        if least < bytes / 100 * 95 {
            println!(
                "NOT COLD: of {bytes} bytes {least} were fetched from the device, so the pages \
                 were not dropped; use a directory on a disk, not on tmpfs\n"
            );
            return Ok(None);
        }
    }
    Ok(Some(Cold { floor: median(floors), open: median(opens) }))
}

fn drop_read<T>(opened: std::result::Result<T, holm_wal::Error>) -> Result<()> {
    drop(opened?);
    Ok(())
}

/// All that is measured with the files in the page cache, in seconds.
struct Warm {
    files: f64,
    open: f64,
    footers: f64,
    in_order: f64,
    replay: f64,
    anyhow: f64,
    random: f64,
}

fn warm_rounds(path: &Path, records: u64) -> Result<Warm> {
    let mut seconds = [const { Vec::new() }; 7];
    for _ in 0..ROUNDS {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path)?);
        seconds[0].push(time(|| Ok(sum_files(path)?))?);
        let mut opened = None;
        seconds[1].push(time(|| {
            opened = Some(Wal::open(disk.clone(), Options::default())?);
            Ok(())
        })?);
        drop(opened.take());
        seconds[2].push(time(|| {
            opened = Some(Wal::open_fast(disk.clone(), Options::default())?);
            Ok(())
        })?);
        let Some((wal, _)) = opened.take() else { return Err("it was just opened".into()) };
        let floor = Records::of(&*disk, SPAN_BYTES)?;
        // Whoever touches the map first pays for its pages.
        floor.sum_all(1..=records)?;
        seconds[3].push(time(|| floor.sum_all(1..=records))?);
        seconds[4].push(time(|| replay(&wal, records))?);
        seconds[5].push(time(|| floor.sum_all(scattered(records)))?);
        seconds[6].push(time(|| {
            scattered(records).try_for_each(|index| drop_read(wal.entry(Index(index))))
        })?);
    }
    let [files, open, footers, in_order, replay, anyhow, random] = seconds.map(median);
    Ok(Warm { files, open, footers, in_order, replay, anyhow, random })
}

/// Numbers of records, far from each other.
fn scattered(records: u64) -> impl Iterator<Item = u64> {
    let mut at = 0;
    (0..RANDOM_READS).map(move |_| {
        // A full cycle over 2^32 that jumps far.
        at = (at * 1_664_525 + 1_013_904_223_u64) % (1 << 32);
        at * records / (1 << 32) + 1
    })
}

/// Reads all entries, in order.
fn replay(wal: &Wal, records: u64) -> Result<()> {
    let mut next = Index(1);
    while next.0 <= records {
        let entries = wal.entries(next..=Index(records), REPLAYED_BYTES)?;
        next = Index(next.0 + entries.len() as u64);
    }
    Ok(())
}

fn write(path: &Path, records: u64) -> Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path)?);
    let mut wal = Wal::create(disk.clone(), Options::default(), Identity::default())?;
    wal.keep_footers();
    for first in (1..=records).step_by(1024) {
        let entry = |index| Entry {
            id: EntryId::new(Term(1), Index(index)),
            time: LogTime(0),
            kind: EntryKind::Command,
            data: vec![7; 1 << 10].into(),
        };
        let entries: Vec<Entry> = (first..=records.min(first + 1023)).map(entry).collect();
        wal.append(&Batch { entries: &entries, ..Batch::default() })?;
        let job = wal.begin_sync().ok_or("a write waits")?.into_job();
        wal.finish_sync(job())?;
    }
    // The footer of the last sealed segment is written by a job; this one waits behind it.
    drop(wal);
    let (done, finished) = mpsc::channel();
    disk.run(Box::new(|| Ok(())), Box::new(move |result| drop(done.send(result))));
    Ok(finished.recv()??)
}

fn time(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
