//! A large log: `measure` writes one with each subject that can be opened again, and takes the time
//! to open it, to replay it and to read records at random. All of it warm, in the page cache.

use crate::appending::records;
use crate::floor::sum_files;
use crate::subjects::{Durability, Log, Opening, Result, SUBJECTS};
use crate::{Effort, clear, median};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How large a record is, in bytes.
pub(crate) const RECORD_BYTES: u64 = 1 << 10;
/// How many records are read at once in a replay, and written at once.
const BATCH: u64 = 64;

struct Subject {
    opening: Opening,
    folder: PathBuf,
    open: Vec<f64>,
    replay: Vec<f64>,
    random: Vec<f64>,
}

pub(crate) fn measure(root: &Path, effort: Effort) -> Result<()> {
    clear(root)?;
    let count = effort.log_bytes / RECORD_BYTES;
    let mut subjects = write(root, count)?;
    let mut floor = Vec::new();
    for _ in 0..effort.rounds {
        floor.push(seconds(|| Ok(sum_files(&root.join("0"))?))?);
        for subject in &mut subjects {
            round(subject, count, effort.random_reads)?;
        }
    }
    println!("\na log of {} MiB in records of 1 KiB, warm", effort.log_bytes >> 20);
    println!("{:<22}{:>10}{:>16}{:>18}", "", "open, s", "replay, GB/s", "random reads/s");
    println!("{:<22}{:>10.3}  (the files of holm-wal, read and summed)", "floor", median(floor));
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (bytes, reads) = (effort.log_bytes as f64, effort.random_reads as f64);
    for Subject { opening: (name, _), open, replay, random, .. } in subjects {
        let (replay, random) = (bytes / 1e9 / median(replay), reads / median(random));
        println!("{name:<22}{:>10.3}{replay:>16.2}{random:>18.0}", median(open));
    }
    Ok(())
}

/// One log for each subject, all of it durable, where the subject can.
fn write(root: &Path, count: u64) -> Result<Vec<Subject>> {
    let pool = records(usize::try_from(RECORD_BYTES)?);
    let mut subjects = Vec::new();
    let able = SUBJECTS.iter().filter(|subject| !subject.open.is_empty());
    for (at, subject) in able.enumerate() {
        let folder = root.join(at.to_string());
        fs::create_dir_all(root)?;
        let mut log = (subject.create)(&folder, Durability::Buffered)?;
        for batch in 1..=count / BATCH {
            let last = batch % 16 == 0 || batch == count / BATCH;
            let durability = if last { Durability::Durable } else { Durability::Buffered };
            log.append(&pool, durability)?;
        }
        drop(log);
        subjects.extend(subject.open.iter().map(|opening| Subject {
            opening: *opening,
            folder: folder.clone(),
            open: Vec::new(),
            replay: Vec::new(),
            random: Vec::new(),
        }));
    }
    Ok(subjects)
}

fn round(subject: &mut Subject, count: u64, random_reads: u64) -> Result<()> {
    let (name, open) = subject.opening;
    let mut opened = None;
    subject.open.push(seconds(|| {
        opened = Some(open(&subject.folder)?);
        Ok(())
    })?);
    let log = opened.ok_or("it was just opened")?;
    subject.replay.push(seconds(|| {
        let mut next = 1;
        while next <= count {
            let read = read(&*log, next, BATCH.min(count + 1 - next))?;
            next += read;
        }
        Ok(())
    })?);
    let mut at = 0;
    subject.random.push(seconds(|| {
        for _ in 0..random_reads {
            // A full cycle over 2^32 that jumps far.
            at = (at * 1_664_525 + 1_013_904_223_u64) % (1 << 32);
            read(&*log, at * count / (1 << 32) + 1, 1)?;
        }
        Ok(())
    })?);
    if log.read(count, 1)? as u64 != RECORD_BYTES {
        return Err(format!("{name}: the last record is not whole").into());
    }
    Ok(())
}

/// How many whole records were read.
fn read(log: &dyn Log, first: u64, count: u64) -> Result<u64> {
    let records = log.read(first, count)? as u64 / RECORD_BYTES;
    if records == 0 { Err(format!("nothing at record {first}").into()) } else { Ok(records) }
}

fn seconds(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}
