//! After the faults: within a bound in simulated time the members that live links join to a quorum
//! must commit again and catch up, and all must say truly how they reach each other.

use super::configurations;
use super::findings::{any_broken, broken, note, now};
use super::member::Member;
use super::nemesis::Nemesis;
use super::reach::{Reach, Way};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often to look.
const EVERY: Duration = Duration::from_millis(50);

const LIVENESS: &str = "liveness";
const REACHED: &str = "reached tells the truth";

impl Nemesis {
    /// What is left cut once the other faults have ended: the rest must work, and then all of it.
    ///
    /// Each time within the plan's patience. The least that makes sense: a silent link is found
    /// after 2 s, and dialled again within 2 s more; what was said of it is forgotten after 5 s;
    /// then somebody is elected.
    pub(super) async fn settle(&self) {
        self.heal_links();
        self.are_back().await;
        let left = self.cut_for_good();
        if !left.is_empty() {
            self.is_alive().await;
            self.is_true().await;
            for (one, other) in left {
                self.net.heal(one, other);
                self.net.heal(other, one);
            }
        }
        self.is_alive().await;
        self.is_true().await;
    }

    fn reach(&self) -> Reach {
        let links = self.plan.joined().into_iter();
        let open = links.filter(|(one, other)| self.net.is_open(*one, *other));
        let newest = configurations::newest();
        Reach::new(&self.plan.topology(|_| None), open, |node| newest.member(node).is_some())
    }

    /// The members that links join, if they are a quorum.
    pub(super) fn quorum(&self) -> Option<BTreeSet<u64>> {
        self.reach().quorum(&configurations::newest().voters())
    }

    fn patience(&self) -> Duration {
        Duration::from_micros(self.plan.settings.patience)
    }

    /// Whoever lost its disk, or was on its way in or out, is where it belongs.
    async fn are_back(&self) {
        let within = self.patience();
        let until = Instant::now() + within;
        while !any_broken() && !self.all_are_back() {
            if Instant::now() > until {
                let newest = configurations::newest();
                let says = format!("not all are back {within:?} after the faults: {newest:?}");
                return broken(LIVENESS, says);
            }
            sleep(EVERY).await;
        }
    }

    /// Each member of the quorum serves what was committed before it was asked, and has applied as
    /// much as any of them.
    async fn is_alive(&self) {
        let quorum = self.quorum().expect("what stays cut leaves one");
        let within = self.patience();
        let (began, until) = (now(), Instant::now() + within);
        for member in self.members.iter().filter(|member| quorum.contains(&member.node)) {
            let mut served = false;
            while !any_broken() && !served {
                served = reads(member).await;
                if Instant::now() > until {
                    let says = format!(
                        "member {} has served no read {within:?} after the faults; joined are \
                         {quorum:?}",
                        member.node
                    );
                    return broken(LIVENESS, says);
                }
                sleep(if served { Duration::ZERO } else { EVERY }).await;
            }
        }
        while !any_broken() {
            let Some(laggard) = self.laggard(&quorum) else { break };
            if Instant::now() > until {
                return broken(LIVENESS, format!("{laggard} {within:?} after the faults"));
            }
            sleep(EVERY).await;
        }
        note(|| format!("all of {quorum:?} work after {} us", now() - began));
    }

    /// A member that has not applied all that another one has.
    fn laggard(&self, quorum: &BTreeSet<u64>) -> Option<String> {
        let joined = self.members.iter().filter(|member| quorum.contains(&member.node));
        let statuses: Vec<_> = joined.map(|member| (member.node, member.status())).collect();
        let most = statuses.iter().flat_map(|(_, status)| status).map(|s| s.commit).max()?;
        statuses.iter().find_map(|(node, status)| match status {
            None => Some(format!("member {node} does not run")),
            Some(status) if status.applied < most => {
                Some(format!("member {node} has applied {} of {most} entries", status.applied))
            }
            Some(_) => None,
        })
    }

    /// All statuses say how each member is reached.
    async fn is_true(&self) {
        let reach = self.reach();
        let within = self.patience();
        let (began, until) = (now(), Instant::now() + within);
        while !any_broken() {
            let belong = self.members.iter().filter(|member| reach.has(member.node));
            let wrong = { belong }.find_map(|member| self.says_wrongly(member, &reach));
            let Some(wrong) = wrong else { break };
            if Instant::now() > until {
                return broken(REACHED, format!("{wrong}, {within:?} after the faults"));
            }
            sleep(EVERY).await;
        }
        note(|| format!("all say truly how they reach each other after {} us", now() - began));
    }

    /// What a member says wrongly of another one.
    fn says_wrongly(&self, member: &Member, reach: &Reach) -> Option<String> {
        let me = member.node;
        let Some(status) = member.status() else { return Some(format!("member {me} is down")) };
        let others = self.members.iter().map(|other| other.node);
        let others = others.filter(|other| *other != me && reach.has(*other));
        others.into_iter().find_map(|other| {
            let seen = status.members.iter().find(|seen| seen.node == other);
            let said = seen.map_or("nothing", |seen| &*seen.reached);
            let way = reach.way(me, other);
            let right = match &way {
                Way::Link if said == "direct" => self.net.has_dialled(me, other),
                Way::Link => said == "inbound" && self.net.has_dialled(other, me),
                Way::Through(nexts) => nexts.iter().any(|next| said == format!("via {next}")),
                Way::None => said == "not connected",
            };
            (!right).then(|| {
                format!("member {me} says that it reaches member {other} {said}, rightly {way:?}")
            })
        })
    }
}

async fn reads(member: &Member) -> bool {
    let Some(node) = member.running() else { return false };
    node.read_within(Duration::from_secs(1), |_| ()).await.is_ok()
}
