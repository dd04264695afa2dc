//! What fails the members and their links: `Nemesis` carries out the faults of a plan, each as a
//! task of its own. At most one thing at a time happens to a member itself; links fail as they
//! like.

use super::findings::{happened, happened_often};
use super::member::Member;
use super::network::{Ending, Net, Quality};
use super::plan::{Fault, Plan, Planned, joined};
use madsim::rand::{Rng, thread_rng};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Carries out faults.
#[derive(Clone)]
pub(super) struct Nemesis {
    pub(super) plan: Arc<Plan>,
    pub(super) net: Net,
    pub(super) members: Rc<Vec<Member>>,
}

impl Nemesis {
    /// Until all faults of the plan have ended.
    pub(super) async fn run(&self) {
        let faults = self.plan.faults.iter().map(|planned| {
            let (nemesis, planned) = (self.clone(), *planned);
            madsim::task::spawn_local(async move { nemesis.carry_out(planned).await })
        });
        let faults: Vec<_> = faults.collect();
        for fault in faults {
            fault.await.expect("a fault that panics has found something");
        }
    }

    async fn carry_out(&self, Planned { at, lasts, fault }: Planned) {
        sleep(Duration::from_millis(at)).await;
        let lasting = Duration::from_millis(lasts);
        tracing::info!(?fault, "begins");
        match fault {
            Fault::Cut(one, other) => self.cut(&[(one, other)], lasting).await,
            Fault::OneWay(from, to) => self.cut_one_way(from, to, lasting).await,
            Fault::Flap(one, other) => self.flap(one, other, lasting).await,
            Fault::IslandOff(node) => {
                let touches = |pair: &(u64, u64)| pair.0 == node || pair.1 == node;
                let links = joined(&self.plan.topology).into_iter().filter(touches);
                self.cut(&links.collect::<Vec<_>>(), lasting).await;
                happened("members cut off");
            }
            Fault::Hang(one, other) => {
                happened_often("connections that hang", self.net.fail(one, other, Ending::Hang));
            }
            Fault::HalfOpen(one, other) => {
                let failed = self.net.fail(one, other, Ending::HalfOpen);
                happened_often("connections half open", failed);
            }
            Fault::Reset(one, other) => {
                happened_often("connections reset", self.net.fail(one, other, Ending::Reset));
            }
            Fault::Slow(from, to) => {
                happened("links slow");
                let slow = |quality| Quality { latency_us: 80_000, jitter_us: 40_000, ..quality };
                self.changed(from, to, slow, lasting).await;
            }
            Fault::Narrow(from, to) => {
                happened("links narrow");
                self.changed(from, to, |q| Quality { bandwidth: 20_000, ..q }, lasting).await;
            }
            Fault::Lossy(from, to) => {
                happened("links that lose");
                let lossy = |quality| Quality { lost_millionths: 100_000, ..quality };
                self.changed(from, to, lossy, lasting).await;
            }
            other => self.of_member(other, lasting).await,
        }
        tracing::info!(?fault, "ends");
    }

    async fn of_member(&self, fault: Fault, lasting: Duration) {
        let Some(member) = self.members.iter().find(|member| fault.member() == Some(member.node))
        else {
            return;
        };
        // One thing at a time, and none before it is part of the cluster: who loses its disk
        // before that is another member.
        let formed = member.status().is_some_and(|status| status.formed);
        if !formed || member.busy.replace(true) {
            return;
        }
        match fault {
            Fault::Kill(_) => self.die(member, lasting, Member::kill, "members killed").await,
            Fault::PowerCut(_) => {
                self.die(member, lasting, Member::power_cut, "power cuts").await;
            }
            Fault::RestartLoop(_) => {
                for _ in 0..thread_rng().gen_range(2..6) {
                    let soon = Duration::from_millis(thread_rng().gen_range(1..200));
                    self.die(member, soon, Member::kill, "restarts in a loop").await;
                    sleep(Duration::from_millis(thread_rng().gen_range(1..400))).await;
                }
            }
            Fault::Pause(_) => {
                member.pause();
                sleep(lasting).await;
                member.resume();
                happened("members paused");
            }
            Fault::Stall(_) => {
                member.disk().stall();
                sleep(lasting).await;
                member.disk().resume();
                happened("disks that hung");
            }
            Fault::CutWhileHanging(_) => {
                member.disk().stall();
                sleep(lasting).await;
                self.die(member, lasting, Member::power_cut, "power cuts of hanging disks").await;
            }
            Fault::Full(_) => {
                member.disk().set_capacity(0);
                sleep(lasting * 2).await;
                member.disk().set_capacity(u64::MAX);
                happened("disks that were full");
            }
            Fault::FailingSync(_) => {
                member.fails_syncs(1);
                sleep(lasting).await;
                member.disk().fail_syncs(0);
                // By then it has found out.
                sleep(Duration::from_secs(1)).await;
                member.fails_syncs(0);
                if thread_rng().gen_bool(0.5) {
                    let word = "power cuts after a failed sync";
                    self.die(member, lasting, Member::power_cut, word).await;
                }
            }
            Fault::ClockJump(_) => {
                member.clock_jumps(u64::try_from(lasting.as_millis()).unwrap_or(0));
                happened("clocks that jumped");
            }
            _ => {}
        }
        member.busy.set(false);
    }

    async fn die(&self, member: &Member, lasting: Duration, how: fn(&Member), word: &'static str) {
        let status = member.status();
        let others = self.members.iter().filter(|other| other.node != member.node);
        let through = format!("via {}", member.node);
        let relays = others.filter_map(Member::status).flat_map(|status| status.members);
        if relays.into_iter().any(|seen| seen.reached == through) {
            happened("relays that died");
        }
        if status.is_some_and(|status| status.role == "leader") {
            happened("leaders that died");
        }
        let statuses = self.members.iter().filter_map(Member::status);
        statuses.filter(|status| status.role == "leader").for_each(|leader| {
            member.must_keep(&leader);
        });
        how(member);
        sleep(lasting).await;
        member.start_again();
        happened(word);
    }

    async fn cut(&self, links: &[(u64, u64)], lasting: Duration) {
        for (one, other) in links {
            self.net.cut(*one, *other);
            self.net.cut(*other, *one);
        }
        sleep(lasting).await;
        for (one, other) in links {
            self.net.heal(*one, *other);
            self.net.heal(*other, *one);
        }
        happened("links cut");
    }

    async fn cut_one_way(&self, from: u64, to: u64, lasting: Duration) {
        self.net.cut(from, to);
        sleep(lasting).await;
        self.net.heal(from, to);
        happened("links cut one way");
    }

    async fn flap(&self, one: u64, other: u64, lasting: Duration) {
        let times = thread_rng().gen_range(3..8);
        for _ in 0..times {
            self.cut(&[(one, other)], lasting / times / 2).await;
            self.net.fail(one, other, Ending::Reset);
            sleep(lasting / times / 2).await;
        }
        happened("links that flapped");
    }

    async fn changed(
        &self,
        from: u64,
        to: u64,
        change: impl FnOnce(Quality) -> Quality,
        lasting: Duration,
    ) {
        let before = self.plan.quality(from, to);
        self.net.change(from, to, change(before));
        sleep(lasting).await;
        self.net.change(from, to, before);
    }
}

impl Fault {
    const fn member(self) -> Option<u64> {
        match self {
            Self::IslandOff(node)
            | Self::Kill(node)
            | Self::PowerCut(node)
            | Self::RestartLoop(node)
            | Self::Pause(node)
            | Self::Stall(node)
            | Self::CutWhileHanging(node)
            | Self::Full(node)
            | Self::FailingSync(node)
            | Self::ClockJump(node) => Some(node),
            _ => None,
        }
    }
}
