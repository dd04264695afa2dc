//! Records appended a second: `measure` runs every subject with every size of record and every way
//! to make them durable, in turn, and prints a table of each.

use crate::subjects::{Durability, FLOORS, Result, SUBJECTS, Subject, Syncs};
use crate::{Effort, clear, median};
use bytes::Bytes;
use std::path::Path;
use std::time::{Duration, Instant};

const SIZES: [usize; 3] = [128, 1 << 10, 16 << 10];
/// More than a record takes beside its data in any of the logs, in bytes.
const OVERHEAD_BYTES: usize = 128;

/// How records are appended.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// How many records are handed over at once.
    batch: usize,
    durability: Durability,
}

const WAYS: [Way; 3] = [
    Way { name: "no sync", batch: 1, durability: Durability::Buffered },
    Way { name: "sync each", batch: 1, durability: Durability::Durable },
    Way { name: "sync each 64", batch: 64, durability: Durability::Durable },
];

/// What one way and size gave.
pub(crate) struct Table {
    pub(crate) way: Way,
    /// In bytes.
    pub(crate) size: usize,
    /// Records a second of each subject; nothing where it can't do this.
    pub(crate) rates: Vec<Option<f64>>,
}

impl Table {
    /// The better floor's rate.
    pub(crate) fn floor(&self) -> f64 {
        self.rates[..FLOORS].iter().flatten().copied().fold(0.0, f64::max)
    }
}

pub(crate) fn measure(root: &Path, effort: Effort) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for way in WAYS {
        println!("\n{}: records a second, and of the better floor", way.name);
        print!("{:<20}", "");
        SIZES.iter().for_each(|size| print!("{:>14} B{:>6}", size, ""));
        println!();
        let first = tables.len();
        for size in SIZES {
            tables.push(table(root, effort, way, size)?);
        }
        for (at, subject) in SUBJECTS.iter().enumerate() {
            print!("{:<20}", subject.name);
            for table in &tables[first..] {
                match table.rates[at] {
                    Some(rate) => print!("{rate:>16.0}{:>6.2}", rate / table.floor()),
                    None => print!("{:>16}{:>6}", "-", ""),
                }
            }
            println!("{}", remark(subject, way));
        }
    }
    Ok(tables)
}

fn remark(subject: &Subject, way: Way) -> &'static str {
    match (subject.syncs, way.durability) {
        (Syncs::Never, Durability::Durable) => "  NOT durable: its flush does nothing",
        (Syncs::Always, Durability::Buffered) => "  always syncs",
        _ => "",
    }
}

fn table(root: &Path, effort: Effort, way: Way, size: usize) -> Result<Table> {
    let pool = records(size);
    let able =
        |subject: &Subject| way.durability == Durability::Durable || subject.syncs != Syncs::Always;
    let mut rates = vec![Vec::new(); SUBJECTS.len()];
    for _ in 0..effort.rounds {
        for (subject, rates) in SUBJECTS.iter().zip(&mut rates) {
            if able(subject) {
                let rate = run(root, effort, way, &pool, subject);
                rates.push(rate.map_err(|error| format!("{}: {error}", subject.name))?);
            }
        }
    }
    let rates = rates.into_iter().map(|all| (!all.is_empty()).then(|| median(all))).collect();
    Ok(Table { way, size, rates })
}

fn run(root: &Path, effort: Effort, way: Way, pool: &[Bytes], subject: &Subject) -> Result<f64> {
    clear(root)?;
    std::fs::create_dir_all(root)?;
    let mut log = (subject.create)(&root.join("log"), way.durability)?;
    let most = effort.run_bytes / (pool[0].len() + OVERHEAD_BYTES) / way.batch;
    let batches = match way.durability {
        Durability::Buffered => most,
        Durability::Durable => most.min(effort.syncs),
    };
    let patience = Duration::from_millis(effort.run_millis);
    // The first append of some logs makes a file, and has more made ahead.
    log.append(&pool[..way.batch], way.durability)?;
    log.settle()?;
    let start = Instant::now();
    let mut written = 0;
    for (batch, records) in pool.chunks_exact(way.batch).cycle().take(batches).enumerate() {
        log.append(records, way.durability)?;
        written += way.batch;
        if batch % 64 == 0 && start.elapsed() > patience {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(f64::from(u32::try_from(written)?) / seconds)
}

/// Records that don't compress.
pub(crate) fn records(size: usize) -> Vec<Bytes> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..64).map(|_| (0..size).map(|_| byte()).collect::<Vec<u8>>().into()).collect()
}
