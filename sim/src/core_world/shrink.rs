//! Making a failing schedule small: `shrink` leaves out time, members, happenings and rates, and
//! shortens faults, as long as the same checker still complains.

use super::happening::Happening;
use super::plan::Plan;
use super::{Outcome, Tracing, replay};

/// A schedule that fails, as small as it was made.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The schedule.
    pub plan: Plan,
    /// Which checker complains.
    pub checker: &'static str,
    /// What it says.
    pub says: String,
    /// How many schedules were tried.
    pub tried: u64,
}

struct Shrinker<'a> {
    run: &'a dyn Fn(Plan) -> Outcome,
    checker: &'static str,
    tried: u64,
    tries_max: u64,
}

/// Makes a schedule smaller, with so many tries at most; `None` if it does not fail.
#[must_use]
pub fn shrink(plan: &Plan, tries_max: u64) -> Option<Shrunk> {
    shrink_by(&|plan| replay(plan, Tracing::Off), plan, tries_max)
}

/// The same, where this runs a plan.
pub(crate) fn shrink_by(
    run: &dyn Fn(Plan) -> Outcome,
    plan: &Plan,
    tries_max: u64,
) -> Option<Shrunk> {
    let outcome = run(plan.clone());
    let checker = outcome.violation?.checker;
    let mut shrinker = Shrinker { run, checker, tried: 0, tries_max };
    let mut plan = plan.clone();
    loop {
        let before = (plan.clone(), shrinker.tried);
        shrinker.cut_time(&mut plan, outcome.micros);
        shrinker.leave_out(&mut plan);
        shrinker.drop_members(&mut plan);
        shrinker.calm_down(&mut plan);
        shrinker.shorten(&mut plan);
        if plan == before.0 || shrinker.tried >= shrinker.tries_max {
            break;
        }
    }
    let says = run(plan.clone()).violation?.says;
    Some(Shrunk { plan, checker, says, tried: shrinker.tried })
}

impl Shrinker<'_> {
    fn fails(&mut self, plan: &Plan) -> bool {
        if self.tried >= self.tries_max {
            return false;
        }
        self.tried += 1;
        let violation = (self.run)(plan.clone()).violation;
        violation.is_some_and(|violation| violation.checker == self.checker)
    }

    /// Takes what a change makes of the plan, if it still fails.
    fn attempt(&mut self, plan: &mut Plan, change: impl FnOnce(&mut Plan)) -> bool {
        let mut smaller = plan.clone();
        change(&mut smaller);
        let better = smaller != *plan && self.fails(&smaller);
        if better {
            *plan = smaller;
        }
        better
    }

    /// What comes after the end is not needed, nor is waiting long for what never comes.
    fn cut_time(&mut self, plan: &mut Plan, micros: u64) {
        self.attempt(plan, |plan| plan.happenings.retain(|(time, _)| *time <= micros));
        for part in [8, 4, 2] {
            self.attempt(plan, |plan| {
                plan.settings.faults_end /= part;
                let end = plan.settings.faults_end;
                plan.happenings.retain(|(time, _)| *time < end);
            });
        }
    }

    /// Happenings are left out, many at once at first.
    fn leave_out(&mut self, plan: &mut Plan) {
        let mut size = plan.happenings.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < plan.happenings.len() {
                let end = (at + size).min(plan.happenings.len());
                if !self.attempt(plan, |plan| drop(plan.happenings.drain(at..end))) {
                    at = end;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn drop_members(&mut self, plan: &mut Plan) {
        while plan.settings.members > 1 {
            let fewer = plan.with_members(plan.settings.members - 1);
            if !self.attempt(plan, |plan| *plan = fewer) {
                return;
            }
        }
    }

    /// Chance is left out, and what is set is set to what is plain.
    fn calm_down(&mut self, plan: &mut Plan) {
        let keys = ["loss", "repeats", "reorders", "latency", "keep_down"];
        for key in keys {
            self.attempt(plan, |plan| {
                if let Some(value) = plan.settings.value(key) {
                    *value = 0;
                }
            });
        }
    }

    /// Faults are made shorter.
    fn shorten(&mut self, plan: &mut Plan) {
        for at in 0..plan.happenings.len() {
            let Some(lasting) = plan.happenings[at].1.lasting() else { continue };
            for shorter in [lasting / 4, lasting / 2] {
                let happening = plan.happenings[at].1.clone();
                let fields = happening.fields();
                let build = Happening::build(happening.word(), |key| {
                    let value = fields.iter().find(|(known, _)| *known == key);
                    let value = value.map_or(0, |(_, value)| *value);
                    Ok::<_, ()>(if key == "lasting" { shorter } else { value })
                });
                let Some(Ok(shorter)) = build else { continue };
                if self.attempt(plan, |plan| plan.happenings[at].1 = shorter) {
                    break;
                }
            }
        }
    }
}
