//! The second phase: faults end, all but perhaps one member run, and within a bound of simulated
//! time everybody who belongs to the cluster and can be reached has caught up, and every client,
//! also a new one that asks each member, is answered.

use super::happening::Happening;
use super::member::Power;
use super::{Due, World};
use crate::checkers::Violation;
use crate::trace::What;

/// Between two looks, in microseconds.
const EVERY: u64 = 100_000;
/// The client that asks everybody once the faults are over.
pub(super) const PROBE: u64 = 60_001;
/// How often it asks each.
const PROBES: u64 = 3;

impl World {
    /// All faults end.
    pub(super) fn calm(&mut self) {
        self.calm = true;
        self.trace.say(self.now, || What::Phase { phase: "liveness" });
        for n in std::mem::take(&mut self.active) {
            let happening = &self.plan.happenings[n].1;
            let damages = matches!(happening, Happening::Rot { .. } | Happening::Misdirect { .. });
            if damages {
                // It is over when there was a restart that has found it.
                self.active.insert(n);
                self.plan_after(1_000, Due::End(n));
            } else {
                let what = happening.word();
                self.trace.say(self.now, || What::End { n: n as u64 + 1, what });
            }
        }
        self.network.heal();
        self.choose_who_stays_down();
        for at in 0..self.members.len() {
            if self.members[at].lights_on() == Power::Gone {
                self.lose_power(at);
            }
            let now = self.now;
            let member = &mut self.members[at];
            member.clock.set_rate(now, 1_000);
            member.disk.fail_syncs(0);
            member.disk.fail_reads(0);
            member.disk.set_capacity(u64::MAX);
            member.held_down = 0;
            member.stalls = member.stalls.min(1);
            if member.paused > 0 {
                member.paused = 1;
                self.resume(at);
            }
            self.flow(at);
            self.start(at);
        }
        let count = self.members.len();
        for at in (1..=PROBES).flat_map(|_| 0..count) {
            if self.is_reached(at) {
                let at = at as u64 + 1;
                self.wish(PROBE, Happening::AddTo { client: PROBE, key: 0, value: 1, at });
                self.wish(PROBE, Happening::Read { client: PROBE, key: 0, at });
            }
        }
        self.plan_after(EVERY, Due::Settle);
    }

    /// One of those that are down may stay so, if the others can do without it.
    fn choose_who_stays_down(&mut self) {
        if self.plan.settings.keep_down == 0 {
            return;
        }
        let down = |at: &usize| self.members[*at].running.is_none() && !self.members[*at].doubtful;
        let mut candidates = (0..self.members.len()).filter(down);
        let chosen = candidates.find(|at| self.can_do_without(*at) && self.reach_each_other(*at));
        if chosen.is_some() {
            self.coverage.other("stayed down");
        }
        self.kept_down = chosen;
    }

    /// Whether the others reach each other without this one.
    fn reach_each_other(&self, without: usize) -> bool {
        let (main, parts) = (self.main_component(), self.network.components(Some(without)));
        let others = (0..parts.len()).filter(|at| *at != without && self.component[*at] == main);
        let mut parts = others.map(|at| parts[at]);
        let first = parts.next();
        parts.all(|part| Some(part) == first)
    }

    fn is_reached(&self, at: usize) -> bool {
        self.component[at] == self.main_component() && self.kept_down != Some(at)
    }

    /// Whether all is well; if not, it may be later.
    pub(super) fn settle(&mut self) {
        match self.unsettled() {
            None => self.settled = true,
            Some(_) if self.now < self.plan.settings.faults_end + self.plan.settings.patience => {
                self.plan_after(EVERY, Due::Settle);
            }
            Some(says) => {
                let patience = self.plan.settings.patience / 1_000;
                let says = format!("{patience} ms after the last fault {says}");
                self.broken(Violation { checker: "liveness", says });
            }
        }
    }

    /// What is still to be done.
    fn unsettled(&self) -> Option<String> {
        let Some(leader) = self.leader().filter(|at| self.is_reached(*at)) else {
            return Some("nobody leads".to_owned());
        };
        let running = self.members[leader].running.as_ref()?;
        let configuration = running.raft.configuration();
        if !self.all_are_back(configuration) {
            return Some("somebody who lost its disk is not back in its place".to_owned());
        }
        if !self.clients.are_idle() {
            return Some(format!("clients still wait: {}", self.clients.waiting()));
        }
        let last = self.checkers.committed.last();
        for at in (0..self.members.len()).filter(|at| self.is_reached(*at)) {
            let member = &self.members[at];
            if member.doubtful {
                return Some(format!("{} has not looked at its disk", member.me));
            }
            if !configuration.contains(member.me) {
                continue;
            }
            let applied = member.running.as_ref().map(|running| running.applied);
            if applied.is_none_or(|applied| applied < last) {
                return Some(format!(
                    "{} has applied {applied:?}, and {last} is committed: {:?}",
                    member.me, self.glances[at]
                ));
            }
        }
        None
    }
}
