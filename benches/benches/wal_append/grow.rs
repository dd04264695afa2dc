//! What an append costs as the log grows: nanoseconds for each GiB that is written, as a table and
//! as a plot. Nothing is compacted, so that all positions and segments stay.

use crate::{Result, clear, median};
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use holm_wal::{Batch, Disk, Identity, Options, RealDisk, Wal};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The data of a record, in bytes.
const DATA_BYTES: usize = 1 << 10;
/// How much is written between two points of the plot, in bytes of data.
const STEP_BYTES: u64 = 1 << 30;
/// After how many appends all is made durable, outside of what is timed: the kernel then has no
/// reason to hold an append back because too much waits to be written.
const SYNC_APPENDS: u64 = 4096;

/// Writes so many bytes of data, and says what an append cost in each step on the way: the median
/// of [`SYNC_APPENDS`] at a time, and the mean, which also has the waits for the disk to make the
/// next segment, for a log that is written like this outruns it.
pub(crate) fn grow(path: &Path, bytes: u64, plot: &Path) -> Result<()> {
    clear(path)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path)?);
    let mut wal = Wal::create(disk, Options::default(), Identity::default())?;
    let mut entry = Entry {
        id: EntryId::new(Term(1), Index(0)),
        time: LogTime(0),
        kind: EntryKind::Command,
        data: vec![7; DATA_BYTES].into(),
    };
    let mut points = Vec::new();
    println!("append by the log's length: records of {DATA_BYTES} bytes, syncs not counted\n");
    println!("{:>10} {:>12} {:>12} {:>12}", "GiB", "ns/append", "mean", "sync, ms");
    let mut written = 0;
    while written < bytes {
        let step = STEP_BYTES.min(bytes - written);
        let appends = step.div_ceil(DATA_BYTES as u64);
        let (mut costs, mut appending, mut syncing) = (Vec::new(), Duration::ZERO, Duration::ZERO);
        let mut left = appends;
        while left > 0 {
            let count = left.min(SYNC_APPENDS);
            let start = Instant::now();
            for _ in 0..count {
                entry.id.index = entry.id.index.next();
                wal.append(&Batch { entries: std::slice::from_ref(&entry), ..Batch::default() })?;
            }
            appending += start.elapsed();
            costs.push(start.elapsed().as_secs_f64() * 1e9 / number(count));
            let start = Instant::now();
            let job = wal.begin_sync().ok_or("a write waits")?.into_job();
            wal.finish_sync(job())?;
            syncing += start.elapsed();
            left -= count;
        }
        written += step;
        let (cost, mean) = (median(costs), appending.as_secs_f64() * 1e9 / number(appends));
        let gib = number(written >> 20) / 1024.0;
        println!("{gib:>10.2} {cost:>12.0} {mean:>12.0} {:>12}", syncing.as_millis());
        points.push((gib, cost));
    }
    drop(wal);
    fs::write(plot, svg(&points))?;
    println!("\nplot: {}", plot.display());
    clear(path)
}

fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// The points as a line over the log's length, from a cost of zero on: a slope is a slope.
fn svg(points: &[(f64, f64)]) -> String {
    let length = points.last().map_or(1.0, |(gib, _)| *gib);
    let highest = points.iter().map(|(_, cost)| *cost).fold(1.0, f64::max) * 1.2;
    let mut line = String::new();
    for (gib, cost) in points {
        let (x, y) = (60.0 + 520.0 * gib / length, 340.0 - 300.0 * cost / highest);
        // Writing to a string can't fail.
        let _ = write!(line, "{x:.1},{y:.1} ");
    }
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='620' height='390' \
         font-family='sans-serif' font-size='12'>\n\
         <path d='M60 40V340H580' fill='none' stroke='black'/>\n\
         <polyline points='{line}' fill='none' stroke='#06c' stroke-width='2'/>\n\
         <text x='60' y='25'>append, ns, records of {DATA_BYTES} bytes</text>\n\
         <text x='55' y='45' text-anchor='end'>{highest:.0}</text>\n\
         <text x='55' y='344' text-anchor='end'>0</text>\n\
         <text x='580' y='360' text-anchor='end'>{length:.2} GiB</text>\n\
         </svg>\n"
    )
}
