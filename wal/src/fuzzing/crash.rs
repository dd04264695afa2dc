//! Histories of a log on a disk that dies: the body of the fuzz target `wal_operations`, of the
//! crash test, and of the table of mutations. What is recovered is compared with a model:
//! everything acknowledged is there, nothing comes back that was durably dropped, recovering twice
//! is recovering once, and so it stays when the log goes on after the recovery and dies again.

use super::model::{History, Model};
use crate::disk::sim::{Lie, SimDisk};
use crate::error::Error;
use crate::format::Identity;
use crate::wal::{Options, Wal};
use holm_raft_core::EntryKind;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

const OPTIONS: Options = Options { segment_bytes: 1024 };
/// How many times one disk dies.
const LIVES: u64 = 3;
/// Up to how many steps a life has.
const STEPS_MAX: u32 = 40;

/// Where a history takes its decisions from: bytes, and zeroes behind them.
pub(super) struct Choices<'a> {
    data: std::slice::Iter<'a, u8>,
}

impl<'a> Choices<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data: data.iter() }
    }

    /// A number below `below`, which is 256 or less.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        u64::from(self.data.next().copied().unwrap_or(0)) % below
    }

    fn are_left(&self) -> bool {
        !self.data.as_slice().is_empty()
    }
}

/// How the first life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The disk stopped it.
    Cut,
    /// It did all it had to before that.
    Whole,
}

/// What a history came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How its first life ended.
    pub first: Ended,
    /// How many entries were acknowledged, in all lives.
    pub acknowledged: u64,
    /// How many times a log was found and was sound.
    pub recovered: u64,
}

/// Lives one history, by these bytes, on a disk that dies after `cut` operations, is recovered, and
/// dies again, three times over; says what was wrong.
///
/// # Errors
/// A broken promise, in words.
///
/// # Panics
/// As well, where it shows deep inside.
pub fn live(data: &[u8], cut: u64, lie: Lie) -> Result<Outcome, String> {
    Life::new(data, cut, lie).run()
}

/// The body of the fuzz target `wal_operations`: two bytes say when the disk dies first, the others
/// what happens until then and afterwards. Returns how many times a log was recovered.
///
/// # Panics
/// If a promise is broken.
pub fn fuzz_operations(data: &[u8]) -> u64 {
    let Some((cut, data)) = data.split_first_chunk::<2>() else { return 0 };
    let cut = u64::from(u16::from_le_bytes(*cut));
    match live(data, cut, Lie::None) {
        Ok(outcome) => outcome.recovered,
        Err(error) => panic!("{error}"),
    }
}

/// Jobs that wait until the history gets to them.
pub(super) type Queue = Arc<Mutex<VecDeque<Box<dyn FnOnce() + Send>>>>;

pub(super) fn next_job(queue: &Queue) -> Option<Box<dyn FnOnce() + Send>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

struct Life<'a> {
    choices: Choices<'a>,
    disk: SimDisk,
    cut: u64,
    queue: Queue,
    has_been: bool,
    /// Whether it is opened by its footers.
    fast: bool,
    outcome: Outcome,
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        // A job knows its disk, and the disk the queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl<'a> Life<'a> {
    fn new(data: &'a [u8], cut: u64, lie: Lie) -> Self {
        let mut choices = Choices::new(data);
        let seed = data.iter().fold(cut, |seed, byte| {
            seed.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(*byte))
        });
        let queue = Queue::default();
        let mode = choices.below(4);
        let runner: crate::Runner = if mode.is_multiple_of(2) {
            SimDisk::at_once()
        } else {
            let queue = Arc::clone(&queue);
            Arc::new(move |job| {
                queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
            })
        };
        let disk = SimDisk::new(seed, runner);
        disk.set_lie(lie);
        disk.stop_after(cut);
        let outcome = Outcome { first: Ended::Whole, acknowledged: 0, recovered: 0 };
        Self { choices, disk, cut, queue, has_been: false, fast: mode > 1, outcome }
    }

    fn run(mut self) -> Result<Outcome, String> {
        let created = Wal::create(self.disk.attach(), OPTIONS, Identity::default());
        let mut history = History::new(Model::default());
        self.has_been = created.is_ok();
        if let Ok(mut wal) = created {
            if self.fast {
                wal.keep_footers();
            }
            self.go_on(&mut history, &mut wal)?;
        }
        if self.disk.operations() >= self.cut {
            self.outcome.first = Ended::Cut;
        }
        for life in 0..LIVES {
            let Some(wal) = self.recover(&history).map_err(|e| format!("life {life}: {e}"))? else {
                return Ok(self.outcome);
            };
            let found = Model::of(&wal).map_err(|error| error.to_string())?;
            history = History::new(found);
            let mut wal = wal;
            self.disk.stop_after(self.disk.operations() + self.choices.below(40));
            self.go_on(&mut history, &mut wal)?;
        }
        Ok(self.outcome)
    }

    /// Writes and syncs until the disk stops, or there is nothing left to do.
    fn go_on(&mut self, history: &mut History, wal: &mut Wal) -> Result<(), String> {
        match self.choices.below(8) {
            0 => self.disk.set_capacity((2 + self.choices.below(4)) * OPTIONS.segment_bytes),
            _ => self.disk.set_capacity(u64::MAX),
        }
        for _ in 0..STEPS_MAX {
            if !self.choices.are_left() {
                break;
            }
            if self.choices.below(64) == 1 {
                self.disk.fail_syncs(1);
            }
            match history.step(wal, &mut self.choices, &self.queue) {
                Ok(()) => {}
                // What a reader may hold was to be written again.
                Err(Error::Io { source, .. } | Error::Sync { source })
                    if source.kind() == ErrorKind::InvalidInput =>
                {
                    return Err(format!("a reader was in the way: {source}"));
                }
                Err(_) => break,
            }
            history.check_held()?;
        }
        self.disk.fail_syncs(0);
        self.outcome.acknowledged += history.acknowledged_entries();
        Ok(())
    }

    /// The machine dies, or the process alone; then the log is opened, with the recovery cut once.
    fn recover(&mut self, history: &History) -> Result<Option<Wal>, String> {
        let dies = |life: &mut Self| {
            if life.choices.below(3) < 2 {
                life.disk.power_cut();
            } else {
                life.disk.kill();
            }
            life.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
        };
        dies(self);
        let text = |error: Error| error.to_string();
        if !Wal::exists(&*self.disk.attach()).map_err(text)? {
            // Cut off while it was made, before it was said to be.
            return if self.has_been { Err("the log is gone".to_owned()) } else { Ok(None) };
        }
        self.disk.set_capacity(u64::MAX);
        self.disk.stop_after(self.choices.below(12));
        let first = self.open().map(|(wal, _)| Model::of(&wal));
        self.disk.power_cut();
        let (wal, clean) = match self.open() {
            // Cut off before it was said to be, again.
            Err(Error::Absent) if !self.has_been => return Ok(None),
            result => result.map_err(text)?,
        };
        self.has_been = true;
        let found = Model::of(&wal).map_err(text)?;
        history.judge(&found)?;
        if history.is_at_rest() && !clean {
            return Err("a tail is called torn where all was durable".to_owned());
        }
        if let Ok(first) = first
            && first.map_err(text)? != found
        {
            return Err("a recovery was not durable when it returned".to_owned());
        }
        drop(wal);
        dies(self);
        let (wal, clean) = self.open().map_err(text)?;
        if Model::of(&wal).map_err(text)? != found || !clean {
            return Err("the recovery of a recovery is another".to_owned());
        }
        self.outcome.recovered += 1;
        Ok(Some(wal))
    }

    /// Also says whether nothing was cut.
    fn open(&self) -> Result<(Wal, bool), Error> {
        let (wal, recovered) = if self.fast {
            Wal::open_fast(self.disk.attach(), OPTIONS)?
        } else {
            Wal::open(self.disk.attach(), OPTIONS)?
        };
        let model = Model::of(&wal)?;
        let is_configuration = |entry: &&_| -> bool {
            let entry: &&holm_raft_core::Entry = entry;
            entry.kind == EntryKind::Configuration
        };
        let configurations: Vec<_> = model.entries.iter().filter(is_configuration).collect();
        assert_eq!(recovered.configurations.iter().collect::<Vec<_>>(), configurations);
        let mut runs = model.entries.clone();
        runs.dedup_by_key(|entry| entry.id.term);
        assert_eq!(recovered.terms, runs.iter().map(|entry| entry.id).collect::<Vec<_>>());
        let time = model.entries.last().map_or(model.start.time, |entry| entry.time);
        assert_eq!((recovered.last, recovered.last_time), (model.last(), time));
        Ok((wal, recovered.torn.is_none()))
    }
}
