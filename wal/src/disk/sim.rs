//! A disk that loses, by a seed, what was not synced, and fails in whatever other way it is told
//! to: for tests of what a power cut leaves.
//!
//! `SimDisk` is the device. What a node holds is `SimDisk::attach`: a handle that stops working at
//! the next power cut or kill, as do its files and its jobs, so that what outlives a killed node (a
//! drop that flushes, a job in a queue) can't touch the disk of the node that is started after it.

mod device;

use crate::disk::{Disk, Done, File, beyond_end, total, unexpected_end, within, written_over};
use bytes::Bytes;
use device::{Device, NameChange, Tears};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A disk's job, with whoever is to be told of its end.
type Job = Box<dyn FnOnce() + Send>;
/// Runs a disk's job at the time that the simulator chooses, or never if its node is killed first.
pub type Runner = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// Which syncs say that they succeeded and do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// None: the disk is honest.
    None,
    /// [`File::sync`].
    Files,
    /// [`Disk::sync_directory`].
    Directory,
    /// Both.
    All,
}

/// How often a disk fails by itself, each in millionths of the operations in question, by its seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Reads that report an error.
    pub failing_reads: u32,
    /// Syncs, of files and of the directory, that report an error: see [`SimDisk::fail_syncs`].
    pub failing_syncs: u32,
    /// Syncs of files that succeed, and of which one sector goes to a wrong place: see
    /// [`SimDisk::misdirect`].
    pub misdirected_writes: u32,
}

/// A simulated device.
#[derive(Clone)]
pub struct SimDisk {
    device: Arc<Mutex<Device>>,
    runner: Runner,
}

struct Handle {
    disk: SimDisk,
    generation: u64,
}

struct SimFile {
    handle: Handle,
    inode: u64,
    len: u64,
}

/// Bytes that were read, which are under no later write while they are held.
struct Lent {
    bytes: Vec<u8>,
    _held: Arc<()>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl SimDisk {
    /// An empty device. Its jobs run when the runner runs what it is given.
    #[must_use]
    pub fn new(seed: u64, runner: Runner) -> Self {
        Self { device: Arc::new(Mutex::new(Device::new(seed))), runner }
    }

    /// A runner that runs each job at once.
    #[must_use]
    pub fn at_once() -> Runner {
        Arc::new(|job| job())
    }

    /// What a node opens its log on: works until the next power cut or kill.
    #[must_use]
    pub fn attach(&self) -> Arc<dyn Disk> {
        Arc::new(Handle { disk: self.clone(), generation: self.device().generation })
    }

    /// Cuts the power: of what was not synced some is lost, all, or nothing, sector by sector, by
    /// the seed; a sector that was written several times may fall back to any of its states. All
    /// handles, files and jobs from before are dead. Operations are counted anew, without a limit.
    pub fn power_cut(&self) {
        self.device().power_cut();
    }

    /// What a killed process leaves: all handles, files and jobs from before are dead, but nothing
    /// is lost, or any more durable than it was. Operations are counted anew, without a limit.
    pub fn kill(&self) {
        self.device().kill();
    }

    /// Which syncs do nothing from now on.
    pub fn set_lie(&self, lie: Lie) {
        self.device().lie = lie;
    }

    /// How often the disk fails by itself from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.device().faults = faults;
    }

    /// Makes so many syncs from now on fail, each once. What a failing sync of a file should have
    /// written stays readable and is lost in a power cut, whatever syncs succeed later.
    pub fn fail_syncs(&self, count: u32) {
        self.device().failing_syncs = count;
    }

    /// Makes so many reads from now on fail, each once.
    pub fn fail_reads(&self, count: u32) {
        self.device().failing_reads = count;
    }

    /// Makes each of the next so many syncs of files that find anything to write put one sector
    /// into a wrong place, in any file: it is missing where it belongs, and has replaced what was
    /// there.
    pub fn misdirect(&self, count: u32) {
        self.device().misdirected = count;
    }

    /// Lets jobs wait from now on, until [`resume`](Self::resume).
    pub fn stall(&self) {
        self.device().stalled.get_or_insert_default();
    }

    /// Runs the jobs that waited, in their order.
    pub fn resume(&self) {
        let waiting = self.device().stalled.take();
        waiting.into_iter().flatten().for_each(|job| (self.runner)(job));
    }

    /// How many bytes the files may have together: creating a file beyond is refused.
    pub fn set_capacity(&self, bytes: u64) {
        self.device().capacity = bytes;
    }

    /// How many operations that change the disk there were since the start or the last power cut:
    /// creates, writes, renames, removes, and both kinds of sync.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.device().operations
    }

    /// Lets everything fail after so many operations in all since the last power cut.
    pub fn stop_after(&self, operations: u64) {
        self.device().operations_max = operations;
    }

    /// The next power cut keeps of each file what was not synced up to some sector, by the seed,
    /// and loses all behind it: as a disk that writes in order and stops amid a write.
    pub fn tear_behind(&self) {
        self.device().tears = Tears::Behind;
    }

    /// Changes a byte as a failing disk might: at once and for good.
    ///
    /// # Panics
    /// If there is no such file or byte.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) {
        self.device().flip(name, offset, mask);
    }

    /// Flips a bit somewhere, by the seed, and says in which file and at which byte. Nothing where
    /// there is no byte at all.
    pub fn rot(&self) -> Option<(String, usize)> {
        self.device().rot()
    }

    fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    fn device(&self) -> io::Result<MutexGuard<'_, Device>> {
        let device = self.disk.device();
        if device.generation != self.generation {
            return Err(io::Error::other(
                "the simulated disk was cut off or its node killed since",
            ));
        }
        Ok(device)
    }

    fn file(&self, inode: u64, len: usize) -> Arc<dyn File> {
        let handle = Self { disk: self.disk.clone(), generation: self.generation };
        Arc::new(SimFile { handle, inode, len: len as u64 })
    }
}

impl Disk for Handle {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        let mut device = self.device()?;
        if device.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let used: u64 = device.inodes.values().map(|inode| inode.bytes.len() as u64).sum();
        if used.saturating_add(bytes) > device.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = usize::try_from(bytes).map_err(|_| io::ErrorKind::StorageFull)?;
        if device.operations + 1 == device.operations_max {
            // Stopped in the middle of it: the file is there, but not all of its bytes.
            device.count()?;
            let part = device.draw(2);
            let part = usize::try_from(part).expect("0 or 1") * (len / 2);
            device.add(name, part);
            return Err(io::Error::other("the simulated disk has stopped"));
        }
        device.count()?;
        let inode = device.add(name, len);
        Ok(self.file(inode, len))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let device = self.device()?;
        let inode = device.inode_of(name)?;
        Ok(self.file(inode, device.inodes[&inode].bytes.len()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut device = self.device()?;
        let inode = device.inode_of(from)?;
        device.count()?;
        device.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut device = self.device()?;
        device.inode_of(name)?;
        device.count()?;
        device.change_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.device()?.names.keys().cloned().collect())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.device()?.sync_directory()
    }

    fn run(&self, job: crate::disk::Job, done: Done) {
        let handle = Self { disk: self.disk.clone(), generation: self.generation };
        let job = Box::new(move || {
            // Its node is gone: nobody is to be told anything.
            if handle.device().is_ok() {
                done(job());
            }
        });
        if let Some(stalled) = &mut self.disk.device().stalled {
            stalled.push(job);
            return;
        }
        (self.disk.runner)(job);
    }
}

impl SimFile {
    fn copied(&self, device: &mut Device, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if device.fails_to_read() {
            return Err(io::Error::other("a simulated failure to read"));
        }
        let inode = device.inodes.get(&self.inode).ok_or_else(unexpected_end)?;
        let range = within(inode.bytes.len(), offset, len).ok_or_else(unexpected_end)?;
        Ok(inode.bytes[range].to_vec())
    }
}

impl File for SimFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn write(&self, offset: u64, slices: &[&[u8]]) -> io::Result<()> {
        let mut device = self.handle.device()?;
        device.count()?;
        let inode = device.inodes.get_mut(&self.inode).ok_or_else(beyond_end)?;
        let range = within(inode.bytes.len(), offset, total(slices)).ok_or_else(beyond_end)?;
        if range.start < inode.lent {
            return Err(written_over());
        }
        inode.write(range.start, slices);
        Ok(())
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut device = self.handle.device()?;
        let bytes = self.copied(&mut device, offset, len)?;
        let inode = device.inodes.get_mut(&self.inode).ok_or_else(unexpected_end)?;
        let end = usize::try_from(offset).map_err(|_| unexpected_end())? + len;
        inode.lent = inode.lent.max(end);
        Ok(Bytes::from_owner(Lent { bytes, _held: Arc::clone(&inode.held) }))
    }

    fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut device = self.handle.device()?;
        buffer.copy_from_slice(&self.copied(&mut device, offset, buffer.len())?);
        Ok(())
    }

    fn reclaim(&self) -> bool {
        let Ok(mut device) = self.handle.device() else { return false };
        let Some(inode) = device.inodes.get_mut(&self.inode) else { return false };
        let free = Arc::strong_count(&inode.held) == 1;
        if free {
            inode.lent = 0;
        }
        free
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.device()?.sync(self.inode)
    }
}
