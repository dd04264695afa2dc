//! What a run of the node's world was like: `Report`.

use crate::checkers::Violation;
use std::collections::BTreeMap;
use std::fmt;

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Commands that were acknowledged to clients.
    pub acknowledged: u64,
    /// Terms that had a leader.
    pub leaders: u64,
    /// What was done to the cluster, and what came of it, by word.
    pub happened: BTreeMap<&'static str, u64>,
    /// The first promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// Simulated milliseconds.
    pub millis: u64,
    /// A line for each thing that happened.
    pub trace: String,
}

impl Report {
    /// What a sweep of many seeds must have seen, or it has shown too little.
    pub const EXPECTED: [&str; 50] = [
        "clocks that jumped",
        "commands in sessions",
        "connection attempts that nobody answered",
        "connections half open",
        "connections reset",
        "connections that hang",
        "disks that hung",
        "disks that were full",
        "frames passed on for others",
        "frames that a relay altered",
        "frames that a relay held back",
        "frames that a relay lost",
        "frames that a relay repeated",
        "leaders that died",
        "links cut",
        "links cut one way",
        "links insecure",
        "links left cut",
        "links narrow",
        "links sealed",
        "links slow",
        "links that flapped",
        "links that lose",
        "members cut off",
        "members killed",
        "members paused",
        "members that a failed sync stopped",
        "packets lost and sent again",
        "power cuts",
        "power cuts after a failed sync",
        "power cuts of hanging disks",
        "reads by lease",
        "reads from an index",
        "relayed frames taken",
        "relays that died",
        "restarts in a loop",
        "sessions renewed",
        "sessions through others",
        "snapshots installed",
        "snapshots taken",
        "topology: any",
        "topology: chain",
        "topology: hub and spokes",
        "topology: one island",
        "topology: one way",
        "topology: ring",
        "topology: two islands and a bridge",
        "ways changed",
        "writes that had to wait",
        "writes to a machine that was started anew",
    ];

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
        let Self { seed, acknowledged, leaders, millis, .. } = self;
        write!(
            f,
            "seed {seed}: {acknowledged} acknowledged, {leaders} leaders, {} kinds of things, \
             {millis} ms, trace {:016x} of {} lines",
            self.happened.len(),
            self.fingerprint(),
            self.trace.lines().count(),
        )?;
        match &self.violation {
            Some(violation) => write!(f, "; BROKEN: {violation}"),
            None => Ok(()),
        }
    }
}
