//! The real disk: a directory under an exclusive lock, files that are allocated before they are
//! mapped, and a few threads for what blocks.

use crate::disk::jobs::Jobs;
use crate::disk::map::Map;
use crate::disk::pages::{Pages, Way, Ways};
use crate::disk::{Disk, Done, File, Job, total, unexpected_end, within};
use crate::error::Error;
use bytes::Bytes;
use rustix::fs::{Advice, FallocateFlags, fadvise};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

/// A directory. It is locked for as long as the disk, or a file of it, is open.
///
/// Dropping the disk runs the jobs that wait, and waits for them.
pub struct RealDisk {
    path: PathBuf,
    ways: Ways,
    lock: Arc<fs::File>,
    /// The open files by inode: a file has one map, however often it is opened.
    open: Mutex<BTreeMap<(u64, u64), Weak<RealFile>>>,
    jobs: Arc<Jobs>,
    threads: Vec<JoinHandle<()>>,
}

struct RealFile {
    /// Itself, for a job that brings pages in: it must not keep the file open.
    this: Weak<Self>,
    file: fs::File,
    map: Arc<Map>,
    pages: Pages,
    /// Not an owner: the disk's threads end when the disk is dropped.
    jobs: Weak<Jobs>,
    /// Nobody else may open the directory while a file of it can still be written.
    _lock: Arc<fs::File>,
}

impl RealDisk {
    /// The most jobs that may wait. A log has three at a time, a sync, the making of segments and
    /// pages to be brought in, and its snapshots have two, a save and a store.
    pub const JOBS_MAX: usize = 64;
    /// Five, so that neither a long snapshot, nor one that is being received, nor a segment that is
    /// being made, nor pages that are being brought in stand in the way of the log's syncs.
    const THREADS: usize = 5;
    const LOCK: &str = "lock";

    /// Opens the directory, making it if it is absent, and locks it.
    ///
    /// # Errors
    /// [`Error::Locked`] if it is open already, here or in another process; [`Error::Io`] if it
    /// can't be made or read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let name = path.display().to_string();
        fs::create_dir_all(&path).map_err(Error::io("making", &name))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(Self::LOCK))
            .map_err(Error::io("opening the lock file in", &name))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Locked { path }),
            Err(fs::TryLockError::Error(source)) => {
                return Err(Error::io("locking", &name)(source));
            }
        }
        let lock = Arc::new(lock);
        let jobs = Arc::new(Jobs::new(Self::JOBS_MAX));
        let threads = (0..Self::THREADS)
            .map(|_| {
                let (jobs, lock) = (Arc::clone(&jobs), Arc::clone(&lock));
                thread::Builder::new().name("holm-disk".to_owned()).spawn(move || {
                    jobs.work();
                    drop(lock);
                })
            })
            .collect::<Result<_, _>>()
            .map_err(Error::io("starting a thread for", &name))?;
        Ok(Self { path, ways: Ways::default(), lock, open: Mutex::default(), jobs, threads })
    }

    /// Lets the files that are made or opened from now on be written by stores into the map alone,
    /// without what is done to spare page faults: a floor to measure the log against.
    #[cfg(feature = "floors")]
    #[must_use]
    pub fn with_stores_alone(mut self) -> Self {
        self.ways = Ways::StoresAlone;
        self
    }

    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
        if plain { Ok(self.path.join(name)) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    fn map(&self, file: fs::File) -> io::Result<Arc<RealFile>> {
        let metadata = file.metadata()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, file| file.strong_count() > 0);
        let key = (metadata.dev(), metadata.ino());
        if let Some(file) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let len = usize::try_from(metadata.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let map = Arc::new(Map::new(&file, len)?);
        let file = Arc::new_cyclic(|this| RealFile {
            this: Weak::clone(this),
            file,
            map,
            pages: Pages::new(self.ways),
            jobs: Arc::downgrade(&self.jobs),
            _lock: Arc::clone(&self.lock),
        });
        open.insert(key, Arc::downgrade(&file));
        Ok(file)
    }

    fn fill(&self, file: fs::File, bytes: u64) -> io::Result<Arc<RealFile>> {
        allocate(&file, bytes)?;
        let file = self.map(file)?;
        file.map.populate()?;
        file.file.sync_data()?;
        Ok(file)
    }
}

/// Gives the file so many bytes, each with its place on the disk. Allocated space reads as zeroes;
/// what is there already stays.
fn allocate(file: &fs::File, bytes: u64) -> io::Result<()> {
    rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes)?;
    Ok(())
}

/// How many slices one system call takes (`IOV_MAX`).
const VECTORED_SLICES_MAX: usize = 1024;

/// Writes all of the slices, however many calls it takes: a call may write a part.
fn write_all(file: &fs::File, mut offset: u64, slices: &[&[u8]]) -> io::Result<()> {
    if let [slice] = slices {
        return file.write_all_at(slice, offset);
    }
    for slices in slices.chunks(VECTORED_SLICES_MAX) {
        let mut slices: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match rustix::io::pwritev(file, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

impl Drop for RealDisk {
    fn drop(&mut self) {
        self.jobs.close();
        for thread in self.threads.drain(..) {
            // The last owner may be a job's `Done`, on the thread itself, which ends by itself.
            if thread.thread().id() != thread::current().id() {
                // A panic in a `Done` was reported by that thread already.
                let _ = thread.join();
            }
        }
    }
}

impl Disk for RealDisk {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        let path = self.path_of(name)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        match self.fill(file, bytes) {
            Ok(file) => Ok(file),
            Err(error) => {
                // The first error is the one that says why.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path_of(name)?)?;
        let bytes = file.metadata()?.len();
        if bytes > 0 {
            // A copied file may have holes, and a store into a hole of a full disk is a signal.
            allocate(&file, bytes)?;
        }
        Ok(self.map(file)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path_of(from)?, self.path_of(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_of(name)?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let is_file = entry.file_type()?.is_file();
            // Holm's names are ASCII: another name is nothing of its own.
            names.extend(entry.file_name().into_string().ok().filter(|_| is_file));
        }
        names.retain(|name| name != Self::LOCK);
        names.sort_unstable();
        Ok(names)
    }

    fn sync_directory(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }

    fn run(&self, job: Job, done: Done) {
        if let Err((_, done)) = self.jobs.add(job, done) {
            done(Err(io::Error::other("too many jobs wait for the disk")));
        }
    }
}

impl RealFile {
    /// Has a thread of the disk bring in the pages that will be written next. If none is free, or
    /// it comes too late, the stores do it.
    #[cold]
    fn ask_for_pages(&self) {
        let this = Weak::clone(&self.this);
        let job = move || {
            if let Some(file) = this.upgrade() {
                while let Some((offset, bytes)) = file.pages.piece_ahead() {
                    file.map.bring_in(offset, bytes);
                }
            }
            Ok(())
        };
        let asked = |jobs: Arc<Jobs>| jobs.add(Box::new(job), Box::new(drop)).is_ok();
        if !self.jobs.upgrade().is_some_and(asked) {
            self.pages.not_asked();
        }
    }
}

impl File for RealFile {
    fn len(&self) -> u64 {
        self.map.len() as u64
    }

    fn write(&self, offset: u64, slices: &[&[u8]]) -> io::Result<()> {
        let len = total(slices);
        match self.pages.way(offset, len) {
            Way::Kernel => {
                return self.map.write_by(offset, len, || write_all(&self.file, offset, slices));
            }
            Way::StoreBehind(bytes) => self.map.bring_in(offset, bytes),
            Way::StoreAndAsk => self.ask_for_pages(),
            Way::Store => {}
        }
        self.map.write(offset, len, slices)
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.map.lend(offset, len)
    }

    fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.map.len(), offset, buffer.len()).ok_or_else(unexpected_end)?;
        self.file.read_exact_at(buffer, offset)
    }

    fn will_copy(&self, offset: u64, len: u64) {
        // Where the kernel can't, the bytes are fetched as they are asked for.
        let _ = fadvise(&self.file, offset, NonZeroU64::new(len), Advice::WillNeed);
    }

    fn reclaim(&self) -> bool {
        self.map.reclaim()
    }

    fn sync(&self) -> io::Result<()> {
        self.pages.synced();
        // On Linux this covers what was stored into the map as well.
        self.file.sync_data()
    }
}
