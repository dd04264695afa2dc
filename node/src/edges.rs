//! Where a node touches its surroundings: `Edges` (disk, clock, entropy, network). Everything below
//! is deterministic given these, so a simulator that passes its own replays a run from one seed.

use holm_transport::{Network, Tcp};
use holm_wal::{Disk, MemoryDisk, RealDisk};
use std::path::Path;
use std::sync::Arc;

/// The surroundings of one node.
#[derive(Clone)]
pub struct Edges {
    /// Holds the log and the snapshots.
    pub disk: Arc<dyn Disk>,
    /// Tells milliseconds.
    pub clock: Arc<dyn Clock>,
    /// Draws what must differ between starts.
    pub entropy: Arc<dyn Entropy>,
    /// Opens connections to the others, and listens for theirs.
    pub network: Arc<dyn Network>,
}

/// A clock in milliseconds from any origin: it counts suspended time and never falls.
pub trait Clock: Send + Sync {
    /// The milliseconds now.
    fn now(&self) -> u64;
}

/// A source of numbers nobody can guess or repeat.
pub trait Entropy: Send + Sync {
    /// The next number.
    fn draw(&self) -> u64;
}

impl Edges {
    /// The machine's own clock, entropy and network, with a log in this directory, made if absent.
    ///
    /// # Errors
    /// When the directory can't be made, or another process uses it.
    pub fn in_directory(path: &Path) -> Result<Self, holm_wal::Error> {
        Ok(Self::of(Arc::new(RealDisk::open(path)?)))
    }

    /// The machine's own clock, entropy and network, with a log in memory, lost with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::of(Arc::new(MemoryDisk::new()))
    }

    fn of(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            clock: Arc::new(MachineClock),
            entropy: Arc::new(MachineEntropy),
            network: Tcp::shared(),
        }
    }
}

struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> u64 {
        // CLOCK_BOOTTIME, unlike `Instant`, goes on while the machine is suspended.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        seconds * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
    }
}

struct MachineEntropy;

impl Entropy for MachineEntropy {
    fn draw(&self) -> u64 {
        let mut bytes = [0; 8];
        let drawn = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
        assert_eq!(drawn, Ok(8), "the system's source of randomness answers");
        u64::from_le_bytes(bytes)
    }
}
