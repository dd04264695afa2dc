//! The whole node under madsim: a few members on a topology that the seed draws, over a network
//! that fails as real ones do, each with a log on a disk that loses what was not synced and a clock
//! of its own, while clients change and read numbers. Links, relays, processes, disks and clocks
//! fail as the [plan](plan::Plan) has it; then all must work again, within a bound, and every
//! promise have been kept.
//!
//! A plan can be drawn, read, written and changed by any build; running one needs `--cfg madsim`.

#[cfg(madsim)]
mod backups;
#[cfg(madsim)]
mod claims;
#[cfg(madsim)]
mod clients;
#[cfg(madsim)]
mod clock;
#[cfg(madsim)]
mod configurations;
mod draw;
#[cfg(madsim)]
mod findings;
#[cfg(madsim)]
mod forgotten;
pub mod happening;
#[cfg(madsim)]
mod joining;
#[cfg(madsim)]
mod machine;
#[cfg(madsim)]
mod member;
#[cfg(all(madsim, feature = "mutations"))]
mod mutations;
#[cfg(madsim)]
mod nemesis;
#[cfg(madsim)]
mod network;
pub mod plan;
#[cfg(madsim)]
mod promises;
#[cfg(madsim)]
mod reach;
#[cfg(madsim)]
mod running;
#[cfg(madsim)]
mod scenario;
#[cfg(madsim)]
mod service;
#[cfg(madsim)]
mod sessions;
#[cfg(madsim)]
mod settle;
pub mod text;
#[cfg(madsim)]
mod tickets;
#[cfg(madsim)]
mod tokens;
mod topologies;
#[cfg(madsim)]
mod trace;
#[cfg(madsim)]
mod visits;

#[cfg(all(madsim, feature = "mutations"))]
pub use mutations::Bug;
#[cfg(madsim)]
pub use running::{replay, run, shrink};

/// What a sweep must have seen beside all words of schedules, or it has shown too little.
pub(crate) const EXPECTED: &[&str] = &[
    "answers in a claim's name",
    "backups taken",
    "bits that flipped on a link",
    "changes of the members",
    "claims granted",
    "claims refused",
    "claims released",
    "claims renewed",
    "commands asked for again of a backup",
    "commands in sessions",
    "connection attempts that nobody answered",
    "disks that were lost",
    "effects in a claim's name",
    "effects of late owners refused",
    "frames passed on for others",
    "frames that a relay altered",
    "frames that a relay held back",
    "frames that a relay lost",
    "frames that a relay repeated",
    "joins amid a power cut",
    "leaders that died",
    "links insecure",
    "links left cut",
    "links sealed",
    "members in memory let in again",
    "members in memory that restarted",
    "members let in again",
    "members that a failed sync stopped",
    "members that joined by a ticket",
    "members that left",
    "owners that found their claim over",
    "packets lost and sent again",
    "power cuts after a failed sync",
    "reads by lease",
    "reads from an index",
    "relayed frames taken",
    "relays that died",
    "revoked sessions refused",
    "session keys rotated",
    "sessions opened",
    "sessions opened at the end",
    "sessions renewed",
    "sessions revoked",
    "sessions sealed",
    "sessions through others",
    "snapshots installed",
    "snapshots taken",
    "starts on a disk that was damaged",
    "tickets consumed",
    "tickets made",
    "tickets presented again",
    "tickets refused",
    "tickets that expired",
    "tickets tried a second time",
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
