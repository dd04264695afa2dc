//! What the log asks of the block device for durable appends of 128 bytes: flushes, writes and
//! bytes, from the kernel's counters. Those count for the whole machine, so each number is the
//! least of several runs. It fails where an append costs more than one flush, about two writes, or
//! 4.5 KiB for each page that it touches, and where it costs less than a flush.
//!
//! `cargo xtask wal-device [DIRECTORY]`: the device is the one under the directory. Where it has no
//! counters, nothing is shown, and the exit code is 3.
#![forbid(unsafe_code)]

#[path = "../../wal/tests/disks/at_once.rs"]
mod at_once;

use at_once::AtOnce;
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use holm_wal::{Batch, Disk, Identity, Options, RealDisk, Wal};
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Many short runs: one of them is likely to have the device for itself.
const RUNS: usize = 25;
const APPENDS: u64 = 32;
const DATA_BYTES: usize = 128;
const PAGE_BYTES: u64 = 4096;
/// How many bytes may go to the device for each page that an append touches.
const BYTES_A_PAGE_MAX: u64 = 4608;
/// What the kernel does of its own while a run lasts (it commits its journal now and then), in
/// requests.
const SPARE_REQUESTS: u64 = APPENDS / 16;
const SECTOR_BYTES: u64 = 512;
/// The exit code where nothing could be counted.
const NOT_RUN: u8 = 3;

/// What a device has done so far.
#[derive(Clone, Copy)]
struct Counters {
    writes: u64,
    bytes: u64,
    flushes: u64,
}

fn main() -> Result<ExitCode> {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let root = directory.map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    fs::create_dir_all(&root)?;
    let device = match device(&root) {
        Ok(device) => device,
        Err(why) => {
            eprintln!("wal_device: NOT RUN: {}: {why}", root.display());
            return Ok(ExitCode::from(NOT_RUN));
        }
    };
    let path = root.join("wal_device");
    let mut least = Counters { writes: u64::MAX, bytes: u64::MAX, flushes: u64::MAX };
    let mut pages = 0;
    for _ in 0..RUNS {
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        let (spent, touched) = run(&path, &device)?;
        least.writes = least.writes.min(spent.writes);
        least.bytes = least.bytes.min(spent.bytes);
        least.flushes = least.flushes.min(spent.flushes);
        pages = touched;
    }
    fs::remove_dir_all(&path)?;
    let Counters { writes, bytes, flushes } = least;
    println!("{APPENDS} durable appends of {DATA_BYTES} bytes, the least of {RUNS} runs, at");
    println!("{}: {flushes} flushes, {writes} writes, {bytes} bytes", device.display());
    println!("{pages} pages touched: {} bytes for each", bytes / pages);
    let mut sound = ExitCode::SUCCESS;
    for (what, found, min, max) in [
        // A device without a cache of its own is sent no flushes.
        ("flushes", flushes, flushes_min(&device), APPENDS + SPARE_REQUESTS),
        ("writes", writes, APPENDS, 2 * APPENDS + SPARE_REQUESTS),
        ("bytes", bytes, APPENDS * DATA_BYTES as u64, BYTES_A_PAGE_MAX * pages),
    ] {
        if !(min..=max).contains(&found) {
            eprintln!("wal_device: FAILED: {found} {what}, where {min} to {max} are right");
            sound = ExitCode::FAILURE;
        }
    }
    Ok(sound)
}

/// The folder of the device that holds this directory, once it is known to count all we ask for.
fn device(directory: &Path) -> Result<PathBuf> {
    let device = fs::metadata(directory)?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let path = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"));
    let mut path = path.map_err(|e| format!("no block device {major}:{minor} is known: {e}"))?;
    if path.join("partition").exists() {
        // Flushes are counted for the whole disk only.
        path.pop();
    }
    counters(&path)?;
    Ok(path)
}

fn flushes_min(device: &Path) -> u64 {
    let cache = fs::read_to_string(device.join("queue/write_cache")).unwrap_or_default();
    if cache.trim() == "write back" { APPENDS } else { 0 }
}

fn counters(device: &Path) -> Result<Counters> {
    let text = fs::read_to_string(device.join("stat"))?;
    let fields: Vec<u64> =
        text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
    match fields[..] {
        [_, _, _, _, writes, _, sectors, _, _, _, _, _, _, _, _, flushes, ..] => {
            Ok(Counters { writes, bytes: sectors * SECTOR_BYTES, flushes })
        }
        _ => Err("this kernel does not count flushes (it needs 5.5 or later)".into()),
    }
}

/// One run: what the device did for it, and how many pages its appends touched.
fn run(path: &Path, device: &Path) -> Result<(Counters, u64)> {
    let disk: Arc<dyn Disk> = Arc::new(AtOnce(RealDisk::open(path)?));
    // No segment gets full, and the next one is made before anything is counted.
    let mut wal = Wal::create(disk, Options { segment_bytes: 1 << 20 }, Identity::default())?;
    let mut entry = Entry {
        id: EntryId::new(Term(1), Index(0)),
        time: LogTime(0),
        kind: EntryKind::Command,
        data: vec![7; DATA_BYTES].into(),
    };
    append(&mut wal, &mut entry)?;
    let before = counters(device)?;
    let mut pages = 0;
    for _ in 0..APPENDS {
        let start = wal.bytes();
        append(&mut wal, &mut entry)?;
        // The end mark of 16 bytes behind the record is written with it.
        pages += (wal.bytes() + 15) / PAGE_BYTES - start / PAGE_BYTES + 1;
    }
    let after = counters(device)?;
    let spent = Counters {
        writes: after.writes - before.writes,
        bytes: after.bytes - before.bytes,
        flushes: after.flushes - before.flushes,
    };
    Ok((spent, pages))
}

fn append(wal: &mut Wal, entry: &mut Entry) -> Result<()> {
    entry.id.index = entry.id.index.next();
    wal.append(&Batch { entries: std::slice::from_ref(entry), ..Batch::default() })?;
    let job = wal.begin_sync().ok_or("a write waits")?.into_job();
    wal.finish_sync(job())?;
    Ok(())
}
