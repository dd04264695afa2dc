//! What happened in a run: `Outcome`. A run in which nothing happened shows nothing, so whoever
//! runs schedules asserts that enough did.

use std::ops::AddAssign;

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Entries that were committed.
    pub committed: u64,
    /// Terms that had a leader.
    pub leaders: u64,
    /// Members that crashed and came back.
    pub crashes: u64,
    /// Linearizable reads that were served.
    pub reads: u64,
    /// Reads that a lease served, without a round.
    pub leased: u64,
    /// Snapshots that were installed.
    pub installed: u64,
    /// Transfers that went on after a restart.
    pub resumed: u64,
    /// Suffixes that were dropped.
    pub truncated: u64,
    /// Configurations that were appended.
    pub changed: u64,
    /// Members that lost their disk and came back as strangers.
    pub wiped: u64,
    /// Committed changes that put such a stranger in the place of who it was.
    pub replaced: u64,
    /// Committed changes that made it a voter again.
    pub returned: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.committed += other.committed;
        self.leaders += other.leaders;
        self.crashes += other.crashes;
        self.reads += other.reads;
        self.leased += other.leased;
        self.installed += other.installed;
        self.resumed += other.resumed;
        self.truncated += other.truncated;
        self.changed += other.changed;
        self.wiped += other.wiped;
        self.replaced += other.replaced;
        self.returned += other.returned;
    }
}
