//! Clusters of other consensus crates that do the same work as Holm's own: `Cluster` is what is
//! asked of each, `subjects` are the crates. Three or five members in memory, on one thread; every
//! message passes through its receiver's queue, every entry through a log in memory, every member
//! applies every command, and nothing is encoded.
#![forbid(unsafe_code)]

#[path = "../../benches/core_proposals/cluster.rs"]
mod holm;
mod omni;
mod tikv;

/// A cluster that has a leader, between two moments of rest.
pub trait Cluster {
    /// Proposes a command at the leader. It travels with the next [`Self::settle`].
    fn propose(&mut self, command: Vec<u8>);
    /// Lets everything happen that follows from what was proposed, ticked and sent.
    fn settle(&mut self);
    /// Time passes for every member; then all that follows from it happens.
    fn tick(&mut self);
    /// How many commands every member has applied.
    fn applied(&self) -> u64;
}

/// A crate that is measured.
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// A cluster of so many members that has elected a leader.
    pub start: fn(u64) -> Box<dyn Cluster>,
}

/// The crates that are measured.
#[must_use]
pub fn subjects() -> [Subject; 3] {
    [
        Subject { name: "holm-raft-core", start: |members| Box::new(holm::Cluster::new(members)) },
        Subject { name: "raft 0.7", start: |members| Box::new(tikv::Cluster::new(members)) },
        Subject { name: "omnipaxos 0.2", start: |members| Box::new(omni::Cluster::new(members)) },
    ]
}

impl Cluster for holm::Cluster {
    fn propose(&mut self, command: Vec<u8>) {
        self.propose(command);
    }

    fn settle(&mut self) {
        self.settle();
    }

    fn tick(&mut self) {
        self.tick();
    }

    fn applied(&self) -> u64 {
        self.applied()
    }
}

/// Sums up what is applied, so that applying reads every command.
fn first_byte(command: &[u8]) -> u64 {
    u64::from(command.first().copied().unwrap_or(0))
}

/// Where the member with this number, counted from 1, stands.
fn seat(number: u64) -> usize {
    usize::try_from(number - 1).expect("few members")
}
