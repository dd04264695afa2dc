//! Committed on a quorum's disks (paper §5.3, §5.4.2; TLA+ `QuorumLogInv`,
//! `CommittedIsDurableInv`): when a leader commits an entry, a majority (of each half, while
//! joint) holds it durably, and the entry that commits it is of the leader's own term.

use super::shadow::{Chain, Shadow};
use super::{Check, ensure};
use holm_raft_core::{Configuration, Index, MemberId, Standing, Term};
use std::collections::BTreeSet;

const NAME: &str = "committed on a quorum's disks";

/// What a leader commits.
pub struct Commit<'a> {
    /// Who.
    pub me: MemberId,
    /// In which term.
    pub term: Term,
    /// Up to where.
    pub index: Index,
    /// The leader's log.
    pub log: &'a Shadow,
    /// Who decides.
    pub configuration: &'a Configuration,
}

/// A leader commits, and these are all members and their logs.
///
/// # Errors
/// If too few hold it durably, or it is of another term.
pub fn commits<'a>(
    commit: &Commit<'_>,
    logs: impl Iterator<Item = (MemberId, &'a Shadow)>,
) -> Check {
    let Commit { me, term, index, log, configuration } = *commit;
    let of = log.entry(index).map(|entry| entry.id.term);
    ensure((of.is_none_or(|of| of == term)).into(), NAME, || {
        format!("{me} commits {index} by itself in term {term}, an entry of term {of:?} (figure 8)")
    })?;
    let chain = log.chain(index);
    let holders: BTreeSet<MemberId> =
        logs.filter(|(_, log)| durable(log, index, chain)).map(|(member, _)| member).collect();
    ensure(decide(configuration, |member| holders.contains(&member)).into(), NAME, || {
        let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
        format!("{me} commits {index} in term {term}, which only {holders:?} hold durably")
    })
}

/// Whether those for which this holds are a majority of each half. Counted here and not by the
/// core, which may be wrong.
pub fn decide(configuration: &Configuration, holds: impl Fn(MemberId) -> bool) -> bool {
    halves(configuration).iter().all(|half| {
        let count = half.iter().filter(|member| holds(**member)).count();
        count * 2 > half.len()
    })
}

/// Who votes in the old half and in the new one; outside of a joint configuration both are equal.
#[must_use]
pub fn halves(configuration: &Configuration) -> [BTreeSet<MemberId>; 2] {
    let of = |voting: &[Standing]| {
        let members = configuration.members().filter(|(_, standing)| voting.contains(standing));
        members.map(|(member, _)| member.id).collect()
    };
    [
        of(&[Standing::Voter, Standing::Outgoing, Standing::Demoted]),
        of(&[Standing::Voter, Standing::Incoming]),
    ]
}

fn durable(log: &Shadow, index: Index, chain: Option<Chain>) -> bool {
    let compacted = log.acked.start.index >= index;
    let held = log.floor() >= index && log.chain(index) == chain;
    compacted || held
}
