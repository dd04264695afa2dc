//! What happens to processes, disks and clocks.

use super::Nemesis;
use crate::node_world::findings::happened;
use crate::node_world::happening::Happening;
use crate::node_world::member::Member;
use crate::node_world::trace::next_term;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a new term is waited for.
const TERM_COMES: Duration = Duration::from_secs(1);
/// How long a member with a failing disk has to find out.
const FINDS_OUT: Duration = Duration::from_secs(1);

impl Nemesis {
    /// One thing at a time, and none before the member is part of the cluster: who loses its disk
    /// before that is another member. One whose log is in memory loses all with its process, if the
    /// others can decide without it.
    pub(super) async fn of_process(&self, n: u64, what: &Happening) {
        let Some(member) = self.member(what) else { return };
        let formed = member.status().is_some_and(|status| status.formed);
        let forgets = member.forgets() && !matches!(what, Happening::Pause { .. });
        let may = !forgets || self.can_do_without(member);
        if !may || !(formed || forgets) || member.process_busy.replace(true) {
            return;
        }
        if forgets {
            member.doubt();
        }
        match *what {
            Happening::Kill { .. } => self.die(n, what, member, Member::kill).await,
            Happening::PowerCut { .. } => self.die(n, what, member, Member::power_cut).await,
            Happening::CutAmidStall { .. } if member.disk_busy.replace(true) => {}
            Happening::CutAmidStall { .. } => {
                member.disk().stall();
                self.lasts(what).await;
                self.die(n, what, member, Member::power_cut).await;
                member.disk_busy.set(false);
            }
            Happening::CutAtTerm { .. } => {
                if let Some(node) = self.anybody() {
                    madsim::task::spawn_local(async move { node.transfer(None).await });
                }
                if timeout(TERM_COMES, next_term(member.node)).await.is_ok() {
                    self.die(n, what, member, Member::power_cut).await;
                }
            }
            Happening::Pause { .. } => {
                self.begins(n, what);
                member.pause();
                self.lasts(what).await;
                member.resume();
                self.ends(n, what);
            }
            Happening::RestartLoop { times, period, .. } => {
                self.begins(n, what);
                for _ in 0..times.min(20) {
                    if forgets && !self.can_do_without(member) {
                        break;
                    }
                    self.loses(member);
                    member.kill();
                    sleep(Duration::from_micros(self.between(period / 10, period))).await;
                    member.start_again();
                    sleep(Duration::from_micros(self.between(period / 10, period))).await;
                }
                self.ends(n, what);
            }
            Happening::SlowStart { .. } if member.disk_busy.replace(true) => {}
            Happening::SlowStart { .. } => {
                self.begins(n, what);
                self.loses(member);
                member.kill();
                member.disk().stall();
                member.start_again();
                self.lasts(what).await;
                member.disk().resume();
                member.disk_busy.set(false);
                self.ends(n, what);
            }
            _ => {}
        }
        if forgets {
            member.trust();
        }
        member.process_busy.set(false);
    }

    /// One thing at a time.
    pub(super) async fn of_disk(&self, n: u64, what: &Happening) {
        let Some(member) = self.member(what) else { return };
        let formed = member.status().is_some_and(|status| status.formed);
        if !formed || member.forgets() || member.disk_busy.replace(true) {
            return;
        }
        match *what {
            Happening::Stall { .. } => {
                self.begins(n, what);
                member.disk().stall();
                self.lasts(what).await;
                member.disk().resume();
                self.ends(n, what);
            }
            Happening::Fill { .. } => {
                self.begins(n, what);
                member.disk().set_capacity(0);
                self.lasts(what).await;
                member.disk().set_capacity(u64::MAX);
                self.ends(n, what);
            }
            Happening::FailRead { .. } => {
                self.begins(n, what);
                member.fails_reads(1);
                self.lasts(what).await;
                member.disk().fail_reads(0);
                sleep(FINDS_OUT).await;
                member.fails_reads(0);
                self.ends(n, what);
            }
            Happening::FailSync { .. } | Happening::FailSyncAndCut { .. } => {
                self.begins(n, what);
                member.fails_syncs(1);
                self.lasts(what).await;
                member.disk().fail_syncs(0);
                // By then it has found out.
                sleep(FINDS_OUT).await;
                member.fails_syncs(0);
                let cuts = matches!(what, Happening::FailSyncAndCut { .. });
                if cuts && !member.process_busy.replace(true) {
                    happened("power cuts after a failed sync");
                    self.goes(what, member, Member::power_cut).await;
                    member.process_busy.set(false);
                }
                self.ends(n, what);
            }
            _ => {}
        }
        member.disk_busy.set(false);
    }

    pub(super) async fn of_clock(&self, n: u64, what: &Happening) {
        let Some(member) = self.member(what) else { return };
        self.begins(n, what);
        match *what {
            Happening::Jump { millis, .. } => member.clock().jump(millis * 1_000),
            Happening::Rate { permille, .. } => {
                member.clock().set_rate(permille);
                self.lasts(what).await;
                member.clock().set_rate(1_000);
                self.ends(n, what);
            }
            _ => {}
        }
    }

    async fn die(&self, n: u64, what: &Happening, member: &Member, how: fn(&Member)) {
        self.begins(n, what);
        self.goes(what, member, how).await;
        self.ends(n, what);
    }

    async fn goes(&self, what: &Happening, member: &Member, how: fn(&Member)) {
        self.loses(member);
        how(member);
        self.lasts(what).await;
        member.start_again();
    }

    /// What is lost with a member's process, and what has to be there when it comes back.
    pub(super) fn loses(&self, member: &Member) {
        let status = member.status();
        let others = self.members.iter().filter(|other| other.node != member.node);
        let through = format!("via {}", member.node);
        let relays = others.filter_map(Member::status).flat_map(|status| status.members);
        if { relays }.any(|seen| seen.reached == through) {
            happened("relays that died");
        }
        if status.is_some_and(|status| status.role == "leader") {
            happened("leaders that died");
        }
        let statuses = self.members.iter().filter_map(Member::status);
        statuses.filter(|status| status.role == "leader").for_each(|leader| {
            member.must_keep(&leader);
        });
    }
}
