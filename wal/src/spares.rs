//! Files for the segments to come, made ahead of need: `Spares`, and the job that makes them and
//! puts used-up segments among them. A file among the spares is allocated, its first bytes are
//! durably zero, and whatever else it holds are records of segments with other numbers, whose
//! checksums start from other salts.

use crate::disk::{Disk, Done, File, Job};
use crate::footer;
use crate::format::{BEGIN_BYTES, Behind, RECORD_BYTES};
use crate::mutation::{self, Mutation};
use crate::scan::wipe;
use crate::segment::segment_sequence;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Up to how many files are made ahead: one that is there when a segment is full, and stays there
/// for hard states and truncations when the disk is full.
const MADE_MAX: usize = 1;
/// Up to how many files are kept when segments are used up.
const KEPT_MAX: usize = 2;
/// How many bytes at a file's beginning are zeroed before it is used again: a header, the state
/// record, and the head of a record behind it, in whole sectors.
const BLANK_BYTES: usize = (BEGIN_BYTES + RECORD_BYTES).next_multiple_of(512);

/// A file that waits to be a segment.
pub(crate) struct Spare {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn File>,
    pub(crate) behind: Behind,
}

/// A log's spare files. When it is dropped, no job of its touches the disk any more; that waits for
/// the step that such a job is in.
pub(crate) struct Spares {
    shared: Arc<Shared>,
}

struct Shared {
    segment_bytes: u64,
    stock: Mutex<Stock>,
    /// Held by the job during each of its steps.
    gate: Mutex<Gate>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Closed,
}

/// Whether a job has failed: then no other may put segments aside, for one before them may not be.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Health {
    #[default]
    Sound,
    Failed,
}

#[derive(Default)]
struct Stock {
    files: VecDeque<Spare>,
    /// The last number that a spare file's name had.
    number: u32,
    jobs: usize,
    health: Health,
    failed: Option<io::Error>,
}

/// What the job has to do beside making files.
#[derive(Default)]
pub(crate) struct Chores {
    /// Used-up segments, oldest first.
    pub(crate) retired: Vec<Spare>,
    /// Spare files that an earlier run left.
    pub(crate) adopted: Vec<String>,
    /// Footers of segments that are durable: the segments' numbers, and the files' bytes.
    pub(crate) footers: Vec<(u32, Vec<u8>)>,
}

impl Spares {
    /// None yet. `left` are names of files that an earlier run left.
    pub(crate) fn new(segment_bytes: u64, left: &[String]) -> Self {
        let number = left.iter().filter_map(|name| spare_number(name)).max().unwrap_or(0);
        let stock = Mutex::new(Stock { number, ..Stock::default() });
        let gate = Mutex::new(Gate::Open);
        Self { shared: Arc::new(Shared { segment_bytes, stock, gate }) }
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.stock().files.len()
    }

    pub(crate) fn take(&self) -> Option<Spare> {
        self.shared.stock().files.pop_front()
    }

    /// What went wrong in a job, once: it leaves in doubt which names are durable.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.shared.stock().failed.take()
    }

    /// Makes one now, on the caller's thread.
    pub(crate) fn make(&self, disk: &dyn Disk) -> io::Result<()> {
        self.shared.make(disk)
    }

    /// Whether a job is under way.
    pub(crate) fn are_being_made(&self) -> bool {
        self.shared.stock().jobs > 0
    }

    /// Starts a job, if there is something to do.
    pub(crate) fn keep_up(&self, disk: &Arc<dyn Disk>, chores: Chores) {
        {
            let mut stock = self.shared.stock();
            let idle =
                chores.retired.is_empty() && chores.adopted.is_empty() && chores.footers.is_empty();
            if idle && (stock.files.len() >= MADE_MAX || stock.jobs > 0) {
                return;
            }
            stock.jobs += 1;
        }
        // Not an owner: whoever drops the disk after the log waits for its threads, and finds its
        // lock free. That would not be so if the last owner were one of these threads.
        let (shared, its_disk) = (Arc::clone(&self.shared), Arc::downgrade(disk));
        let job: Job = Box::new(move || shared.work(&its_disk, chores));
        let shared = Arc::clone(&self.shared);
        let done: Done = Box::new(move |result| {
            let mut stock = shared.stock();
            stock.jobs -= 1;
            if let Err(error) = result {
                stock.health = Health::Failed;
                stock.failed.get_or_insert(error);
            }
        });
        disk.run(job, done);
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        *self.shared.gate() = Gate::Closed;
    }
}

impl Shared {
    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, disk: &Weak<dyn Disk>, chores: Chores) -> io::Result<()> {
        for Spare { name, file, .. } in chores.retired {
            self.step(disk, |disk| self.retire(disk, &name, file))?;
        }
        for name in chores.adopted {
            self.step(disk, |disk| self.adopt(disk, name))?;
        }
        for (sequence, bytes) in chores.footers {
            self.step(disk, |disk| {
                // It is of use, but nothing depends on it.
                let _ = footer::write(disk, sequence, &bytes);
                Ok(())
            })?;
        }
        while self.stock().files.len() < MADE_MAX {
            let mut made = false;
            self.step(disk, |disk| {
                // What can't be made now is tried again when it is needed, and told then.
                made = self.make(disk).is_ok();
                Ok(())
            })?;
            if !made {
                break;
            }
        }
        Ok(())
    }

    /// Does something with the disk, unless the log is gone: then nothing may be touched any more.
    fn step(
        &self,
        disk: &Weak<dyn Disk>,
        work: impl FnOnce(&dyn Disk) -> io::Result<()>,
    ) -> io::Result<()> {
        let gate = self.gate();
        let (Gate::Open, Some(disk)) = (*gate, disk.upgrade()) else { return Ok(()) };
        if self.stock().health == Health::Failed {
            return Ok(());
        }
        let result = work(&*disk);
        // In this order: see `keep_up`.
        drop(disk);
        drop(gate);
        result
    }

    fn make(&self, disk: &dyn Disk) -> io::Result<()> {
        loop {
            let name = self.name();
            match disk.create(&name, self.segment_bytes) {
                Ok(file) => {
                    self.stock().files.push_back(Spare { name, file, behind: Behind::Zeroes });
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn name(&self) -> String {
        let mut stock = self.stock();
        stock.number = stock.number.wrapping_add(1);
        spare_name(stock.number)
    }

    /// Keeps the file of a used-up segment, if another is wanted and nobody holds bytes of it, and
    /// removes it otherwise. Durable, so that an older segment never outlives a newer one.
    fn retire(&self, disk: &dyn Disk, name: &str, file: Arc<dyn File>) -> io::Result<()> {
        if let Some(sequence) = segment_sequence(name) {
            footer::remove(disk, sequence)?;
        }
        let wanted = self.stock().files.len() < KEPT_MAX && file.len() == self.segment_bytes;
        let free = file.reclaim() || mutation::on(Mutation::RecycledUnderAReader);
        if !wanted || !free {
            disk.remove(name)?;
            return disk.sync_directory();
        }
        let spare = self.name();
        disk.rename(name, &spare)?;
        disk.sync_directory()?;
        blank(&*file)?;
        self.stock().files.push_back(Spare { name: spare, file, behind: Behind::Old });
        Ok(())
    }

    fn adopt(&self, disk: &dyn Disk, name: String) -> io::Result<()> {
        let file = disk.open(&name)?;
        if file.len() != self.segment_bytes || self.stock().files.len() >= KEPT_MAX {
            drop(file);
            return disk.remove(&name);
        }
        // A crash may have turned a segment back into what it was made from: its number is used
        // again, and then the checksums of records in it would be right.
        if mutation::on(Mutation::AdoptedUnwiped) {
            blank(&*file)?;
        } else {
            wipe(&*file, 0)?;
            file.sync()?;
        }
        self.stock().files.push_back(Spare { name, file, behind: Behind::Zeroes });
        Ok(())
    }
}

/// Makes sure that a crash right after the file was named as a segment finds no header in it.
fn blank(file: &dyn File) -> io::Result<()> {
    let len = usize::try_from(file.len()).unwrap_or(usize::MAX).min(BLANK_BYTES);
    if !mutation::on(Mutation::RecycledWithItsHeader) {
        file.write(0, &[&[0; BLANK_BYTES][..len]])?;
    }
    file.sync()
}

fn spare_name(number: u32) -> String {
    format!("spare-{number:08x}.wal")
}

/// The number in a spare file's name, if it is one's.
pub(crate) fn spare_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("spare-")?.strip_suffix(".wal")?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (spare_name(number) == name).then_some(number)
}
