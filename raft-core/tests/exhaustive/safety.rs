//! Figure 3 of the paper, as properties of each explored state: election safety, log matching,
//! leader completeness and state-machine safety; and what a run must have gone through to mean
//! anything. `History` remembers what a state alone does not show.

use super::cluster::{Cluster, Exploration};
use super::member::{Disk, Member};
use holm_raft_core::{EntryId, Index, NodeId, Term};
use stateright::Property;
use std::collections::BTreeMap;

/// What happened so far, in all members together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    leaders: BTreeMap<Term, NodeId>,
    /// The entries that committed, each with the term *in which* it did.
    committed: BTreeMap<Index, (EntryId, Term)>,
    two_led: bool,
    two_committed: bool,
}

impl History {
    pub(crate) fn observe(&mut self, member: &Member) {
        let status = &member.status;
        if status.role == "leader" {
            let leader = *self.leaders.entry(status.term).or_insert(status.me.node);
            self.two_led |= leader != status.me.node;
        }
        for entry in member.written.entries.iter().skip(1) {
            if entry.id.index <= status.committed {
                let first = (entry.id, status.term);
                let (id, _) = *self.committed.entry(entry.id.index).or_insert(first);
                self.two_committed |= id != entry.id;
            }
        }
    }
}

/// What must hold in clusters of so many members, and what must be reached in elections up to
/// `term`.
pub(crate) fn properties(members: usize, term: u64) -> Vec<Property<Exploration>> {
    let mut properties = vec![
        Property::always("election safety", |_, cluster: &Cluster| !cluster.history.two_led),
        Property::always("log matching", |_, cluster: &Cluster| logs_match(cluster)),
        Property::always("leader completeness", |_, cluster: &Cluster| {
            leaders_are_complete(cluster)
        }),
        Property::always("state-machine safety", |_, cluster: &Cluster| {
            !cluster.history.two_committed
        }),
        Property::sometimes("a leader is elected", |_, cluster: &Cluster| {
            !cluster.history.leaders.is_empty()
        }),
        Property::sometimes("an entry commits everywhere", |_, cluster: &Cluster| {
            cluster.members.iter().all(|member| member.status.committed > Index(1))
        }),
        Property::sometimes(
            "every crash happens",
            |exploration: &Exploration, cluster: &Cluster| {
                cluster.crashes == exploration.bounds.crashes
            },
        ),
        Property::sometimes(
            "every command is proposed",
            |exploration: &Exploration, cluster: &Cluster| {
                cluster.proposals == exploration.bounds.proposals
            },
        ),
    ];
    if term > 2 {
        properties
            .push(Property::sometimes("a second leader is elected", |_, cluster: &Cluster| {
                cluster.history.leaders.len() > 1
            }));
    }
    // Of two members both must vote, so neither's log is ever beaten.
    if term > 2 && members > 2 {
        properties.push(Property::sometimes("a log is truncated", |_, cluster: &Cluster| {
            cluster.members.iter().any(|member| member.truncations > 0)
        }));
    }
    properties
}

/// Where two logs hold the same entry id, they hold the same entries up to there.
fn logs_match(cluster: &Cluster) -> bool {
    let logs = cluster.members.iter().flat_map(|member| [&member.written, &member.durable]);
    let logs: Vec<&Disk> = logs.collect();
    let matching = |a: &Disk, b: &Disk| {
        let both = || a.entries.iter().zip(&b.entries);
        let agreed = both().rposition(|(one, other)| one.id == other.id);
        agreed.is_none_or(|agreed| both().take(agreed + 1).all(|(one, other)| one == other))
    };
    logs.iter().enumerate().all(|(at, a)| logs[at + 1..].iter().all(|b| matching(a, b)))
}

/// Whoever leads a term holds all that committed in earlier terms.
fn leaders_are_complete(cluster: &Cluster) -> bool {
    let leaders = cluster.members.iter().filter(|member| member.status.role == "leader");
    leaders.into_iter().all(|leader| {
        cluster.history.committed.values().all(|(id, committed_in)| {
            *committed_in >= leader.status.term || leader.written.id(id.index) == Some(*id)
        })
    })
}
