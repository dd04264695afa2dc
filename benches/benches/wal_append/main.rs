//! How many records a second the log takes, next to two floors: the same bytes copied into a
//! mapped, allocated file, and the same bytes written by `pwrite` into an allocated file that was
//! written before. By record size, and by how often all is made durable. The three run in turn, in
//! several rounds; the table gives medians, and what half of the durable appends took at most. One
//! thread; a sync is waited for.
//!
//! `cargo bench -p holm-benches --bench wal_append [-- DIRECTORY]`: which disk is measured is the
//! directory's, by default one in the target folder. With `--grow BYTES` it says instead what an
//! append costs as a log of so many bytes of data comes to be (see `grow`); with `--batches`, what
//! a large durable batch costs by stores and by one write (see `batches`).
#![forbid(unsafe_code)]

#[path = "../../../wal/tests/disks/at_once.rs"]
mod at_once;
mod batches;
mod grow;

use at_once::AtOnce;
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use holm_wal::{Batch, Disk, Identity, Options, RealDisk, Wal};
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SIZES: [usize; 3] = [128, 1 << 10, 16 << 10];
const ROUNDS: usize = 5;
/// What one run writes at most, in bytes of data.
const RUN_BYTES: usize = 48 << 20;
/// How many syncs one run waits for, if each record is synced.
const SYNCS_EACH: usize = 400;
/// More than a record takes beside its data, in bytes.
const RECORD_BYTES: usize = 64;

/// How often all is made durable.
#[derive(Clone, Copy)]
enum Sync {
    Never,
    /// After so many records.
    Every(usize),
}

const SYNCS: [(&str, Sync); 3] =
    [("no sync", Sync::Never), ("sync each", Sync::Every(1)), ("sync each 64", Sync::Every(64))];

/// What is measured.
enum Mode {
    /// Records a second, next to the floors.
    Records,
    /// Large durable batches.
    Batches,
    /// The cost of an append in a log that grows to so many bytes of data.
    Grow(u64),
}

type Subject = fn(&Path, usize, usize, Sync) -> Result<Run>;

/// What one run took.
struct Run {
    /// Records a second.
    rate: f64,
    /// The median from sync to sync, in microseconds; nothing without syncs.
    half_us: Option<f64>,
}

const SUBJECTS: [(&str, Subject); 3] =
    [("holm-wal", wal), ("floor: mapped copy", mapped), ("floor: pwrite", pwrite)];

fn main() -> Result<()> {
    let (mut directory, mut mode) = (None, Mode::Records);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--grow" => mode = Mode::Grow(arguments.next().ok_or("--grow BYTES")?.parse()?),
            "--batches" => mode = Mode::Batches,
            // Cargo adds it.
            "--bench" => {}
            _ => directory = Some(PathBuf::from(argument)),
        }
    }
    let path = directory.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).join("wal_append");
    match mode {
        Mode::Records => records_a_second(&path),
        Mode::Batches => batches::batches(&path),
        Mode::Grow(bytes) => {
            let plot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wal_append_grow.svg");
            grow::grow(&path, bytes, &plot)
        }
    }
}

fn records_a_second(path: &Path) -> Result<()> {
    println!("log append, records a second, medians of {ROUNDS} rounds\n");
    println!("{:<14} {:>8}  {:>20} {:>20} {:>20}", "", "bytes", "holm-wal", "mapped", "pwrite");
    for (name, sync) in SYNCS {
        for size in SIZES {
            let records = records(size, sync);
            let mut rates = [const { Vec::new() }; SUBJECTS.len()];
            let mut halves = rates.clone();
            for _ in 0..ROUNDS {
                for (at, (_, subject)) in SUBJECTS.iter().enumerate() {
                    clear(path)?;
                    let run = subject(path, size, records, sync)?;
                    rates[at].push(run.rate);
                    halves[at].extend(run.half_us);
                }
            }
            let [wal, mapped, pwrite] = rates.map(median);
            println!("{name:<14} {size:>8}  {wal:>20.0} {mapped:>20.0} {pwrite:>20.0}");
            if !halves[0].is_empty() {
                let [wal, mapped, pwrite] = halves.map(median);
                println!(
                    "{:<14} {:>8}  {wal:>20.1} {mapped:>20.1} {pwrite:>20.1}",
                    "  p50, us", ""
                );
            }
        }
    }
    println!("\nmapped: the bytes alone copied into a mapped, allocated file, then fdatasync");
    println!("pwrite: the bytes alone by one pwrite each into a file written before, fdatasync");
    clear(path)
}

fn records(size: usize, sync: Sync) -> usize {
    let most = RUN_BYTES / (size + RECORD_BYTES);
    match sync {
        Sync::Never => most,
        Sync::Every(1) => most.min(SYNCS_EACH),
        Sync::Every(batch) => most.min(batch * 10),
    }
}

/// A file size that the run fits into, so that no segment is made while time is taken.
fn file_bytes(size: usize, records: usize) -> u64 {
    (((records + 64) * (size + RECORD_BYTES)).next_multiple_of(4096)) as u64
}

fn clear(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Takes a run's time.
struct Watch {
    start: Instant,
    last: Instant,
    /// From each sync to the next, in microseconds.
    laps: Vec<f64>,
}

impl Watch {
    fn start() -> Self {
        let start = Instant::now();
        Self { start, last: start, laps: Vec::new() }
    }

    fn synced(&mut self) {
        let now = Instant::now();
        self.laps.push((now - self.last).as_secs_f64() * 1e6);
        self.last = now;
    }

    fn stop(self, records: usize) -> Run {
        let records = u32::try_from(records).map_or(f64::INFINITY, f64::from);
        let rate = records / self.start.elapsed().as_secs_f64();
        Run { rate, half_us: (!self.laps.is_empty()).then(|| median(self.laps)) }
    }
}

fn is_due(sync: Sync, written: usize) -> bool {
    matches!(sync, Sync::Every(batch) if written.is_multiple_of(batch))
}

fn wal(path: &Path, size: usize, records: usize, sync: Sync) -> Result<Run> {
    let disk: Arc<dyn Disk> = Arc::new(AtOnce(RealDisk::open(path)?));
    let options = Options { segment_bytes: file_bytes(size, records) };
    let mut wal = Wal::create(disk, options, Identity::default())?;
    let mut entry = Entry {
        id: EntryId::new(Term(1), Index(0)),
        time: LogTime(0),
        kind: EntryKind::Command,
        data: vec![7; size].into(),
    };
    let mut watch = Watch::start();
    for written in 1..=records {
        entry.id.index = entry.id.index.next();
        wal.append(&Batch { entries: std::slice::from_ref(&entry), ..Batch::default() })?;
        if is_due(sync, written) {
            let job = wal.begin_sync().expect("a write waits").into_job();
            wal.finish_sync(job())?;
            watch.synced();
        }
    }
    Ok(watch.stop(records))
}

fn mapped(path: &Path, size: usize, records: usize, sync: Sync) -> Result<Run> {
    let disk = RealDisk::open(path)?.with_stores_alone();
    let file = disk.create("floor", file_bytes(size, records))?;
    let data = vec![7; size];
    let mut watch = Watch::start();
    for written in 1..=records {
        file.write(((written - 1) * size) as u64, &[&data])?;
        if is_due(sync, written) {
            file.sync()?;
            watch.synced();
        }
    }
    Ok(watch.stop(records))
}

fn pwrite(path: &Path, size: usize, records: usize, sync: Sync) -> Result<Run> {
    // Allocated and written before in small pages, as the log does it.
    drop(RealDisk::open(path)?.create("floor", file_bytes(size, records))?);
    let file = OpenOptions::new().write(true).open(path.join("floor"))?;
    let data = vec![7; size];
    let mut watch = Watch::start();
    for written in 1..=records {
        file.write_all_at(&data, ((written - 1) * size) as u64)?;
        if is_due(sync, written) {
            file.sync_data()?;
            watch.synced();
        }
    }
    Ok(watch.stop(records))
}
