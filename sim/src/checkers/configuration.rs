//! Configuration safety (paper §6, thesis §4.1 and §4.3, and the correction to single-server
//! changes of 2015; TLA+ `QuorumLogInv` over reconfigurations): a leader appends a configuration
//! only once the one before it and an entry of its own term are committed, and any two that
//! follow each other have majorities that meet.

use super::quorum::halves;
use super::shadow::Shadow;
use super::{Check, ensure};
use holm_raft_core::{Configuration, Entry, Glance, Index, MemberId, SnapshotMeta};
use std::collections::BTreeSet;

const NAME: &str = "configuration safety";

/// A leader appends a configuration while `before` is in force, which was set at `set_at`.
///
/// # Errors
/// If it must not.
pub fn appends(
    glance: &Glance,
    log: &Shadow,
    (set_at, before): (Index, &Configuration),
    entry: &Entry,
) -> Check {
    let Ok(after) = Configuration::decode(entry.data.clone()) else {
        return ensure(false.into(), NAME, || format!("{} is no configuration", entry.id));
    };
    ensure((set_at <= glance.committed).into(), NAME, || {
        format!("{} is appended before the configuration at {set_at} is committed", entry.id)
    })?;
    let own = log.entry(glance.committed).is_none_or(|entry| entry.id.term == glance.term);
    ensure(own.into(), NAME, || {
        format!("{} is appended before anything of its own term is committed", entry.id)
    })?;
    ensure(meet(before, &after).into(), NAME, || {
        format!("{}: a majority of the new voters may not meet one of the old", entry.id)
    })
}

/// A member has installed a snapshot, and has this configuration at its end, set at that index.
///
/// # Errors
/// If that is not the snapshot's.
pub fn installs(
    me: MemberId,
    meta: &SnapshotMeta,
    (set_at, configuration): (Index, &Configuration),
) -> Check {
    let same = set_at == meta.configuration_index && *configuration == meta.configuration;
    ensure(same.into(), NAME, || {
        format!("{me} installs a snapshot of {}, and not its configuration", meta.last)
    })
}

/// Whether any two majorities meet: by the voters' incarnations, since another incarnation of a
/// member has forgotten what the one before has promised.
fn meet(before: &Configuration, after: &Configuration) -> bool {
    halves(before).iter().any(|old| halves(after).iter().any(|new| old == new))
        || halves(before).iter().all(|old| halves(after).iter().any(|new| close(old, new)))
}

fn close(old: &BTreeSet<MemberId>, new: &BTreeSet<MemberId>) -> bool {
    old.symmetric_difference(new).count() <= 1
}
