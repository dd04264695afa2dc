//! What a run was like: `Report`.

use std::fmt;

/// What happened in a run that kept its promises. One that did not has panicked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Commands that were acknowledged to clients.
    pub acknowledged: u64,
    /// Terms that had a leader.
    pub leaders: u64,
    /// Snapshots of a leader that a follower installed.
    pub installed: u64,
    /// What was done to the cluster.
    pub faults: Faults,
    /// Simulated milliseconds.
    pub millis: u64,
    /// A line for each thing that happened.
    pub trace: String,
}

/// What was done to a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Members cut off from the others, and connected again later.
    pub partitions: u64,
    /// Members whose power was cut, and that came back.
    pub crashes: u64,
    /// Disks that had no room for a while.
    pub full_disks: u64,
    /// Disks that hung for a while.
    pub stalls: u64,
}

impl Report {
    /// A number that differs for different traces, so that two runs can be compared by eye:
    /// FNV-1a, 64 bits.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.trace.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} acknowledged, {} leaders, {} installed, {} partitions, {} crashes, \
             {} full disks, {} stalls, {} ms, trace {:016x} of {} lines",
            self.seed,
            self.acknowledged,
            self.leaders,
            self.installed,
            self.faults.partitions,
            self.faults.crashes,
            self.faults.full_disks,
            self.faults.stalls,
            self.millis,
            self.fingerprint(),
            self.trace.lines().count(),
        )
    }
}
