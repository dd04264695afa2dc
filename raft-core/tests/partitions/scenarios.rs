//! The four scenarios: who leads, which links go, and what remains. Those of Ng, Haridi and
//! Carbone, "Omni-Paxos: Breaking the Barriers of Partial Connectivity" (EuroSys 2023, §2), and the
//! bridge. In each, at least one member still reaches a majority, so a cluster *could* go on.

use crate::cluster::{Cluster, ELECTION_TICKS, Member};

/// The leader 3 loses its majority but not all of it; only 1 reaches one.
///
/// ```text
///   2   3*          3* still hears 1, and 1 hears 3*: 1 stays loyal until 3* steps down, for want
///    \ /            of a majority, within two election time-outs. Then its own has to pass, which
///     1             is at most two more.
///    / \
///   4   5
/// ```
pub(crate) const QUORUM_LOSS_STAR: Scenario = Scenario {
    name: "quorum-loss star",
    members: 5,
    leader: 3,
    behind: None,
    whole: |a, _| a == 1,
};

/// Before: 1 hears all but the leader 3, and so falls behind. After: 3 is gone, and 1, whose log is
/// not the latest, is the only one to reach a majority.
///
/// ```text
///      3*                     3        (2 and 5 are linked at first, too)
///    / | \
///   2--4--5      then      2  4  5
///    \ | /                  \ | /
///      1                      1
/// ```
/// Who could win an election reaches nobody, and who reaches a majority must not win (§5.4.1). In
/// Raft no vote solves this. What can is to lay the missing links over 1, which is not the core's
/// affair but the transport's.
pub(crate) const CONSTRAINED_ELECTION: Scenario = Scenario {
    name: "constrained election",
    members: 5,
    leader: 3,
    behind: Some((1, |a, b| (a, b) != (1, 3))),
    whole: |a, b| a == 1 && b != 3,
};

/// The leader 3 and the follower 2 lose each other; 1 reaches both.
///
/// ```text
///   2 --- 1 --- 3*        2 no longer hears a leader, and would, by campaigns, draw 1 off 3*, and
///                         3* then draw 1 off 2. But 1 hears 3* and refuses.
/// ```
pub(crate) const CHAINED: Scenario =
    Scenario { name: "chained", members: 3, leader: 3, behind: None, whole: |a, _| a == 1 };

/// Two halves that meet in one member, 3; the leader 1 has its majority in its own half.
///
/// ```text
///   1* \   / 4            4 and 5 hear no leader, and would make one with 3. But 3 hears 1*.
///   |   3    |
///   2  /   \ 5
/// ```
pub(crate) const BRIDGE: Scenario = Scenario {
    name: "bridge",
    members: 5,
    leader: 1,
    behind: None,
    whole: |a, b| b <= 3 || a >= 3,
};

pub(crate) const SCENARIOS: [Scenario; 4] =
    [QUORUM_LOSS_STAR, CONSTRAINED_ELECTION, CHAINED, BRIDGE];

/// Whether the link between `a < b` is whole.
type Whole = fn(u64, u64) -> bool;

#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) members: u64,
    /// Who leads before the cut.
    pub(crate) leader: u64,
    /// Who falls behind before the cut, and over which links.
    pub(crate) behind: Option<(u64, Whole)>,
    /// What remains after it.
    pub(crate) whole: Whole,
}

impl Scenario {
    /// A cluster to which this has just happened. Nobody relayed before.
    pub(crate) fn happens<M: Member>(&self, seed: u64, start: impl Fn(u64) -> M) -> Cluster<M> {
        let mut cluster = Cluster::new(self.members, start).led_by(self.leader, seed);
        if let Some((behind, whole)) = self.behind {
            cluster.ways.keep(whole);
            cluster.run(10 * ELECTION_TICKS);
            assert_eq!(cluster.leader(), Some(self.leader), "it has its majority all the same");
            let last = cluster.last(behind);
            let others = (1..=self.members).filter(|member| *member != behind);
            assert!(others.map(|other| cluster.last(other)).all(|other| other > last));
        }
        cluster.ways.keep(self.whole);
        cluster
    }

    /// The member without any link after the cut, if there is one.
    pub(crate) fn cut_off(&self) -> Option<u64> {
        let linked = |a: u64, b: u64| a != b && (self.whole)(a.min(b), a.max(b));
        (1..=self.members).find(|a| !(1..=self.members).any(|b| linked(*a, b)))
    }
}

/// The least, the middle and the most of these ticks.
pub(crate) fn spread(mut ticks: Vec<u64>) -> String {
    ticks.sort_unstable();
    match (ticks.first(), ticks.get(ticks.len() / 2), ticks.last()) {
        (Some(least), Some(middle), Some(most)) if least < most => {
            format!("{least} to {most}, {middle} in the middle")
        }
        (Some(least), ..) => least.to_string(),
        _ => "none".into(),
    }
}
