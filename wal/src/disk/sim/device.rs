//! What the simulated device holds and how it loses it: `Device`, and the files' `Inode`s.

use super::{Faults, Job, Lie};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The sector size, in bytes: what is written whole or not at all.
pub(super) const SECTOR: usize = 512;
/// How many states of a sector are remembered between two syncs: the durable one, and the latest.
const STATES_MAX: usize = 4;
/// What the rates of faults are parts of.
const RATE: u64 = 1_000_000;

pub(super) struct Device {
    random: u64,
    /// Counts power cuts and kills; a handle from before the last one is dead.
    pub(super) generation: u64,
    inode_next: u64,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// What changed the names since the directory was synced, in order.
    name_changes: Vec<NameChange>,
    pub(super) lie: Lie,
    pub(super) faults: Faults,
    pub(super) failing_syncs: u32,
    pub(super) failing_reads: u32,
    pub(super) misdirected: u32,
    /// Jobs that wait while the disk stalls.
    pub(super) stalled: Option<Vec<Job>>,
    pub(super) capacity: u64,
    pub(super) operations: u64,
    pub(super) operations_max: u64,
    /// Whether the next power cut loses each file's sectors from some place on.
    pub(super) tears: Tears,
}

/// Which of the sectors that were not synced the next power cut loses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tears {
    /// Any of them.
    Anywhere,
    /// Of each file, all from some place on.
    Behind,
}

#[derive(Default)]
pub(super) struct Inode {
    pub(super) bytes: Vec<u8>,
    /// For each sector that was written since it was synced, what it held before: first what the
    /// disk holds, then what later writes replaced.
    pub(super) unsynced: BTreeMap<usize, Vec<Vec<u8>>>,
    /// What the disk holds of sectors that a failed sync has left in the page cache, marked clean.
    pub(super) forgotten: BTreeMap<usize, Vec<u8>>,
    /// Bytes before this may not be written while somebody holds `held`.
    pub(super) lent: usize,
    pub(super) held: Arc<()>,
}

#[derive(Clone)]
pub(super) enum NameChange {
    Add(String, u64),
    Rename(String, String, u64),
    Remove(String),
}

impl Device {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: seed,
            generation: 0,
            inode_next: 0,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            lie: Lie::None,
            faults: Faults::default(),
            failing_syncs: 0,
            failing_reads: 0,
            misdirected: 0,
            stalled: None,
            capacity: u64::MAX,
            operations: 0,
            operations_max: u64::MAX,
            tears: Tears::Anywhere,
        }
    }

    pub(super) fn draw(&mut self, below: u64) -> u64 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn draw_place(&mut self, below: usize) -> usize {
        let below = u64::try_from(below).expect("64 bits or fewer");
        usize::try_from(self.draw(below)).expect("below a usize")
    }

    /// Whether something of this rate, in millionths, happens now. Without faults nothing is drawn.
    fn happens(&mut self, rate: u32) -> bool {
        rate > 0 && self.draw(RATE) < u64::from(rate)
    }

    pub(super) fn kill(&mut self) {
        self.generation += 1;
        self.operations = 0;
        self.operations_max = u64::MAX;
        self.stalled = None;
        for inode in self.inodes.values_mut() {
            (inode.lent, inode.held) = Default::default();
        }
    }

    pub(super) fn power_cut(&mut self) {
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
        if std::mem::replace(&mut self.tears, Tears::Anywhere) == Tears::Behind {
            for inode in inodes.values_mut() {
                let kept = self.draw_place(inode.unsynced.len() + 1);
                for (sector, states) in std::mem::take(&mut inode.unsynced).into_iter().skip(kept) {
                    inode.put(sector, &states[0]);
                }
            }
        }
        for inode in inodes.values_mut() {
            let loss = self.draw(4);
            for (sector, states) in std::mem::take(&mut inode.unsynced) {
                if self.survives(loss) {
                    continue;
                }
                // Between the durable state and the latest there were others, and a disk that
                // writes back early may have kept one of those.
                let state = if loss == 3 { self.draw_place(states.len()) } else { 0 };
                inode.put(sector, &states[state]);
            }
            for (sector, old) in std::mem::take(&mut inode.forgotten) {
                inode.put(sector, &old);
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
    pub(super) fn count(&mut self) -> io::Result<()> {
        if self.operations >= self.operations_max {
            return Err(io::Error::other("the simulated disk has stopped"));
        }
        self.operations += 1;
        Ok(())
    }

    fn fails_to_sync(&mut self) -> bool {
        let fails = self.failing_syncs > 0;
        self.failing_syncs = self.failing_syncs.saturating_sub(1);
        fails || self.happens(self.faults.failing_syncs)
    }

    pub(super) fn fails_to_read(&mut self) -> bool {
        let fails = self.failing_reads > 0;
        self.failing_reads = self.failing_reads.saturating_sub(1);
        fails || self.happens(self.faults.failing_reads)
    }

    pub(super) fn inode_of(&self, name: &str) -> io::Result<u64> {
        let absent = || io::Error::new(io::ErrorKind::NotFound, format!("no file {name}"));
        self.names.get(name).copied().ok_or_else(absent)
    }

    pub(super) fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    pub(super) fn add(&mut self, name: &str, len: usize) -> u64 {
        let number = self.inode_next;
        self.inode_next += 1;
        self.inodes.insert(number, Inode { bytes: vec![0; len], ..Inode::default() });
        self.change_names(NameChange::Add(name.to_owned(), number));
        number
    }

    pub(super) fn sync_directory(&mut self) -> io::Result<()> {
        self.count()?;
        if self.fails_to_sync() {
            return Err(io::Error::other("a simulated failure to sync"));
        }
        if !matches!(self.lie, Lie::Directory | Lie::All) {
            self.durable_names = self.names.clone();
            self.name_changes.clear();
            let named: BTreeSet<u64> = self.names.values().copied().collect();
            self.inodes.retain(|number, _| named.contains(number));
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, number: u64) -> io::Result<()> {
        self.count()?;
        let fails = self.fails_to_sync();
        let Some(inode) = self.inodes.get_mut(&number) else { return Ok(()) };
        if fails {
            let unsynced = std::mem::take(&mut inode.unsynced).into_iter();
            let durable = |(sector, states): (usize, Vec<Vec<u8>>)| {
                Some((sector, states.into_iter().next()?))
            };
            inode.forgotten.extend(unsynced.filter_map(durable));
            return Err(io::Error::other("a simulated failure to sync"));
        }
        if matches!(self.lie, Lie::Files | Lie::All) {
            return Ok(());
        }
        let written = std::mem::take(&mut inode.unsynced);
        let astray = self.misdirected > 0;
        self.misdirected = self.misdirected.saturating_sub(1);
        if astray || self.happens(self.faults.misdirected_writes) {
            self.misdirect(number, &written);
        }
        Ok(())
    }

    /// One of the sectors that were written goes to another place: where it should be the disk
    /// keeps what it had, and what was at the other place is gone.
    fn misdirect(&mut self, number: u64, written: &BTreeMap<usize, Vec<Vec<u8>>>) {
        if written.is_empty() {
            return;
        }
        let at = self.draw_place(written.len());
        let Some((sector, states)) = written.iter().nth(at) else { return };
        let Some(inode) = self.inodes.get_mut(&number) else { return };
        let data = inode.bytes[inode.sector(*sector)].to_vec();
        inode.put(*sector, &states[0]);
        let at = self.draw_place(self.inodes.len());
        let Some(victim) = self.inodes.keys().nth(at).copied() else { return };
        let sectors = self.inodes[&victim].bytes.len() / SECTOR;
        if sectors > 0 && data.len() == SECTOR {
            let place = self.draw_place(sectors);
            if let Some(victim) = self.inodes.get_mut(&victim) {
                victim.put(place, &data);
                victim.unsynced.remove(&place);
            }
        }
    }

    /// Flips a bit somewhere in a file that has a name, and says where.
    pub(super) fn rot(&mut self) -> Option<(String, usize)> {
        let full = |(name, inode): (&String, &u64)| {
            let len = self.inodes.get(inode)?.bytes.len();
            (len > 0).then(|| (name.clone(), len))
        };
        let files: Vec<_> = self.names.iter().filter_map(full).collect();
        if files.is_empty() {
            return None;
        }
        let (name, len) = files[self.draw_place(files.len())].clone();
        let (offset, bit) = (self.draw_place(len), self.draw(8));
        self.flip(&name, offset, 1 << bit);
        Some((name, offset))
    }

    pub(super) fn flip(&mut self, name: &str, offset: usize, mask: u8) {
        let inode = self.names.get(name).expect("there is such a file");
        let inode = self.inodes.get_mut(inode).expect("a name has an inode");
        inode.bytes[offset] ^= mask;
        let (sector, at) = (offset / SECTOR, offset % SECTOR);
        for states in inode.unsynced.get_mut(&sector).into_iter().flatten() {
            states[at] ^= mask;
        }
        if let Some(old) = inode.forgotten.get_mut(&sector) {
            old[at] ^= mask;
        }
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
    fn sector(&self, sector: usize) -> Range<usize> {
        sector * SECTOR..self.bytes.len().min((sector + 1) * SECTOR)
    }

    fn put(&mut self, sector: usize, state: &[u8]) {
        let range = self.sector(sector);
        self.bytes[range].copy_from_slice(state);
    }

    pub(super) fn write(&mut self, start: usize, slices: &[&[u8]]) {
        let data = slices.concat();
        let end = start + data.len();
        for sector in start / SECTOR..end.div_ceil(SECTOR) {
            let now = self.bytes[self.sector(sector)].to_vec();
            // A sector that is written again is no longer taken for clean.
            let now = self.forgotten.remove(&sector).unwrap_or(now);
            let states = self.unsynced.entry(sector).or_default();
            if states.len() < STATES_MAX {
                states.push(now);
            } else if let Some(latest) = states.last_mut() {
                *latest = now;
            }
        }
        self.bytes[start..end].copy_from_slice(&data);
    }
}
