//! Who belongs to the cluster, as the members' logs have it: the newest configuration of each log,
//! and the newest of all that is committed. What operators may do without breaking a promise is
//! judged by these: at any time a majority of every configuration that may be in force keeps its
//! disks.

use super::findings::say;
use super::forgotten;
use crate::trace::What;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A member, as a configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seated {
    pub(super) node: u64,
    pub(super) incarnation: u64,
    /// `holm_raft_core::Standing`, in a word.
    pub(super) standing: String,
}

/// A configuration, and the index that has set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Configured {
    pub(super) index: u64,
    pub(super) members: Vec<Seated>,
}

#[derive(Default)]
struct Known {
    by_member: BTreeMap<u64, Configured>,
    committed: Configured,
    /// The latest index at which each number was a member's, in anybody's log.
    seated_at: BTreeMap<u64, u64>,
}

std::thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// A member's log has another newest configuration.
pub(super) fn heard(node: u64, index: u64, members: &str) {
    let seated = |word: &str| {
        let mut parts = word.split(':');
        let mut next = || parts.next().unwrap_or_default();
        let (node, incarnation) = (next().parse().unwrap_or(0), next().parse().unwrap_or(0));
        Seated { node, incarnation, standing: next().to_owned() }
    };
    let members: Vec<Seated> = members.split_whitespace().map(seated).collect();
    forgotten::heard(&members);
    KNOWN.with_borrow_mut(|known| {
        for member in &members {
            let seated_at = known.seated_at.entry(member.node).or_default();
            *seated_at = index.max(*seated_at);
        }
        known.by_member.insert(node, Configured { index, members });
    });
}

/// A member knows its log to be committed up to here.
pub(super) fn committed(node: u64, commit: u64) {
    let newer = KNOWN.with_borrow_mut(|known| {
        let own = known.by_member.get(&node)?;
        let newer = own.index <= commit && own.index > known.committed.index;
        newer.then(|| known.committed = own.clone())?;
        Some(known.committed.clone())
    });
    if let Some(newer) = newer {
        say(|| What::Configured {
            index: newer.index,
            voters: newer.of(&["Voter", "Incoming"]),
            outgoing: newer.of(&["Outgoing", "Demoted"]),
            learners: newer.of(&["Learner", "Joining"]),
        });
    }
}

/// A member's disk is lost, and with it what its log said.
pub(super) fn forget(node: u64) {
    KNOWN.with_borrow_mut(|known| _ = known.by_member.remove(&node));
}

/// The latest index at which this number was a member's, in anybody's log; 0 if at none.
pub(super) fn seated_at(node: u64) -> u64 {
    KNOWN.with_borrow(|known| known.seated_at.get(&node).copied().unwrap_or(0))
}

/// The newest that is known to be committed.
pub(super) fn newest() -> Configured {
    KNOWN.with_borrow(|known| known.committed.clone())
}

/// All that may be in force.
pub(super) fn in_force() -> Vec<Configured> {
    KNOWN.with_borrow(|known| {
        let later = known.by_member.values().filter(|one| one.index > known.committed.index);
        later.chain([&known.committed]).filter(|one| !one.members.is_empty()).cloned().collect()
    })
}

impl Configured {
    fn of(&self, standings: &[&str]) -> Vec<u64> {
        let of = self.members.iter().filter(|member| standings.contains(&&*member.standing));
        of.map(|member| member.node).collect()
    }

    pub(super) fn member(&self, node: u64) -> Option<&Seated> {
        self.members.iter().find(|member| member.node == node)
    }

    /// Those that vote, in either half.
    pub(super) fn voters(&self) -> Vec<u64> {
        self.of(&["Voter", "Incoming", "Outgoing", "Demoted"])
    }

    /// Whether nobody is on his way in or out.
    pub(super) fn is_settled(&self) -> bool {
        self.of(&["Incoming", "Outgoing", "Demoted", "Joining"]).is_empty()
    }

    /// Whether those that are sound can decide: in each half, and also while those that are to join
    /// are promoted, one by one: the worst is that just those who are not sound vote by now.
    pub(super) fn works(&self, is_sound: impl Fn(&Seated) -> bool) -> bool {
        let halves: [&[&str]; 2] = [&["Voter", "Incoming"], &["Voter", "Outgoing", "Demoted"]];
        let promoted = |member: &Seated| member.standing == "Joining" && !is_sound(member);
        halves.into_iter().all(|half| {
            let votes = |member: &&Seated| half.contains(&&*member.standing) || promoted(member);
            let all: Vec<&Seated> = self.members.iter().filter(votes).collect();
            let sound = all.iter().filter(|member| is_sound(member)).count();
            all.is_empty() || sound > all.len() / 2
        })
    }
}
