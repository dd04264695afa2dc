//! A disk that loses, by a seed, what was not synced: for tests of what a power cut leaves.
//!
//! `SimDisk` is the device. What a node holds is `SimDisk::attach`: a handle that stops working at
//! the next power cut or kill, as do its files and its jobs, so that what outlives a killed node (a
//! drop that flushes, a job in a queue) can't touch the disk of the node that is started after it.

use crate::disk::{Disk, Done, File, Job, beyond_end, total, unexpected_end, within};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// A simulated device.
#[derive(Clone)]
pub struct SimDisk {
    device: Arc<Mutex<Device>>,
    runner: Runner,
}

/// The sector size, in bytes: what is written whole or not at all.
const SECTOR: usize = 512;

struct Device {
    random: u64,
    /// Counts power cuts and kills; a handle from before the last one is dead.
    generation: u64,
    inode_next: u64,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// What changed the names since the directory was synced, in order.
    name_changes: Vec<NameChange>,
    lie: Lie,
    failing_syncs: u32,
    capacity: u64,
    operations: u64,
    operations_max: u64,
}

#[derive(Default)]
struct Inode {
    bytes: Vec<u8>,
    /// What the disk holds of the sectors that were written since they were synced.
    unsynced: BTreeMap<usize, Vec<u8>>,
    /// The same for sectors that a failed sync has left in the page cache, marked clean.
    forgotten: BTreeMap<usize, Vec<u8>>,
}

#[derive(Clone)]
enum NameChange {
    Add(String, u64),
    Rename(String, String, u64),
    Remove(String),
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

impl SimDisk {
    /// An empty device. Its jobs run when the runner runs what it is given.
    #[must_use]
    pub fn new(seed: u64, runner: Runner) -> Self {
        let device = Device {
            random: seed,
            generation: 0,
            inode_next: 0,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            lie: Lie::None,
            failing_syncs: 0,
            capacity: u64::MAX,
            operations: 0,
            operations_max: u64::MAX,
        };
        Self { device: Arc::new(Mutex::new(device)), runner }
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

    /// Cuts the power: of what was not synced some is lost, all, or nothing, by the seed. All
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

    /// Makes so many syncs from now on fail, each once. What a failing sync of a file should have
    /// written stays readable and is lost in a power cut, whatever syncs succeed later.
    pub fn fail_syncs(&self, count: u32) {
        self.device().failing_syncs = count;
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

    /// Changes a byte as a failing disk might: at once and for good.
    ///
    /// # Panics
    /// If there is no such file or byte.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) {
        let mut device = self.device();
        let inode = *device.names.get(name).expect("there is such a file");
        let inode = device.inodes.get_mut(&inode).expect("a name has an inode");
        inode.bytes[offset] ^= mask;
        for old in [&mut inode.unsynced, &mut inode.forgotten] {
            if let Some(sector) = old.get_mut(&(offset / SECTOR)) {
                sector[offset % SECTOR] ^= mask;
            }
        }
    }

    fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device {
    fn draw(&mut self, below: u64) -> u64 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn kill(&mut self) {
        self.generation += 1;
        self.operations = 0;
        self.operations_max = u64::MAX;
    }

    fn power_cut(&mut self) {
        self.kill();
        let mut names = std::mem::take(&mut self.durable_names);
        let loss = self.draw(4);
        for change in std::mem::take(&mut self.name_changes) {
            if self.survives(loss) {
                change.apply(&mut names);
            }
        }
        let live: BTreeSet<u64> = names.values().copied().collect();
        let mut inodes = std::mem::take(&mut self.inodes);
        inodes.retain(|number, _| live.contains(number));
        for inode in inodes.values_mut() {
            let loss = self.draw(4);
            for (sector, old) in std::mem::take(&mut inode.unsynced) {
                if !self.survives(loss) {
                    inode.put_back(sector, &old);
                }
            }
            for (sector, old) in std::mem::take(&mut inode.forgotten) {
                inode.put_back(sector, &old);
            }
        }
        self.inodes = inodes;
        self.durable_names = names.clone();
        self.names = names;
    }

    /// One way to lose in four is to lose all, one is to lose nothing, and two are to lose half.
    fn survives(&mut self, loss: u64) -> bool {
        match loss {
            0 => false,
            1 => true,
            _ => self.draw(2) == 0,
        }
    }

    /// Counts an operation. Whether it is allowed is for the caller's own handle to say first.
    fn count(&mut self) -> io::Result<()> {
        if self.operations >= self.operations_max {
            return Err(io::Error::other("the simulated disk has stopped"));
        }
        self.operations += 1;
        Ok(())
    }

    fn fails_to_sync(&mut self) -> bool {
        let fails = self.failing_syncs > 0;
        self.failing_syncs = self.failing_syncs.saturating_sub(1);
        fails
    }

    fn inode_of(&self, name: &str) -> io::Result<u64> {
        let absent = || io::Error::new(io::ErrorKind::NotFound, format!("no file {name}"));
        self.names.get(name).copied().ok_or_else(absent)
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn add(&mut self, name: &str, len: usize) -> u64 {
        let number = self.inode_next;
        self.inode_next += 1;
        self.inodes.insert(number, Inode { bytes: vec![0; len], ..Inode::default() });
        self.change_names(NameChange::Add(name.to_owned(), number));
        number
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Add(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Inode {
    fn sector(&self, sector: usize) -> std::ops::Range<usize> {
        sector * SECTOR..self.bytes.len().min((sector + 1) * SECTOR)
    }

    fn put_back(&mut self, sector: usize, old: &[u8]) {
        let range = self.sector(sector);
        self.bytes[range].copy_from_slice(old);
    }

    fn write(&mut self, start: usize, slices: &[&[u8]]) {
        let mut at = start;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            let end = at + slice.len();
            for sector in at / SECTOR..end.div_ceil(SECTOR) {
                let now = self.bytes[self.sector(sector)].to_vec();
                // A sector that is written again is no longer taken for clean.
                let old = self.forgotten.remove(&sector).unwrap_or(now);
                self.unsynced.entry(sector).or_insert(old);
            }
            self.bytes[at..end].copy_from_slice(slice);
            at = end;
        }
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
        let mut device = self.device()?;
        device.count()?;
        if device.fails_to_sync() {
            return Err(io::Error::other("a simulated failure to sync"));
        }
        if !matches!(device.lie, Lie::Directory | Lie::All) {
            device.durable_names = device.names.clone();
            device.name_changes.clear();
            let named: BTreeSet<u64> = device.names.values().copied().collect();
            device.inodes.retain(|number, _| named.contains(number));
        }
        Ok(())
    }

    fn run(&self, job: Job, done: Done) {
        let handle = Self { disk: self.disk.clone(), generation: self.generation };
        (self.disk.runner)(Box::new(move || {
            // Its node is gone: nobody is to be told anything.
            if handle.device().is_ok() {
                done(job());
            }
        }));
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
        inode.write(range.start, slices);
        Ok(())
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let device = self.handle.device()?;
        let inode = device.inodes.get(&self.inode).ok_or_else(unexpected_end)?;
        let range = within(inode.bytes.len(), offset, len).ok_or_else(unexpected_end)?;
        Ok(Bytes::copy_from_slice(&inode.bytes[range]))
    }

    fn copy(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.read(offset, len)
    }

    fn sync(&self) -> io::Result<()> {
        let mut device = self.handle.device()?;
        device.count()?;
        let fails = device.fails_to_sync();
        let lies = matches!(device.lie, Lie::Files | Lie::All);
        let inode = device.inodes.get_mut(&self.inode).ok_or_else(unexpected_end)?;
        if fails {
            let unsynced = std::mem::take(&mut inode.unsynced);
            inode.forgotten.extend(unsynced);
            return Err(io::Error::other("a simulated failure to sync"));
        }
        if !lies {
            inode.unsynced.clear();
        }
        Ok(())
    }
}
