//! Making a failing schedule small: `shrink` leaves out time, members, happenings and rates, and
//! shortens faults, as long as the same checker still complains. It does so with the schedules of
//! either world, by what a `Schedule` lets it change.

use crate::outcome::Outcome;

/// What can be made smaller.
pub trait Schedule: Clone + PartialEq {
    /// What happens.
    type Happening;
    /// Settings that may as well be 0.
    const CALM: &'static [&'static str];

    /// What happens, and when, in order.
    fn happenings(&mut self) -> &mut Vec<(u64, Self::Happening)>;
    /// The value of a setting, to be changed.
    fn value(&mut self, key: &str) -> Option<&mut u64>;
    /// How many members there are.
    fn members(&self) -> u64;
    /// The same without the members above this number; `None` if it would make no sense.
    fn without_members_above(&self, members: u64) -> Option<Self>;
    /// The same for so many microseconds, if it lasts at all.
    fn lasting(happening: &Self::Happening) -> Option<u64>;
    /// The same, lasting so many microseconds.
    fn shortened(happening: &Self::Happening, lasting: u64) -> Self::Happening;
}

/// A schedule that fails, as small as it was made.
#[derive(Clone, Debug)]
pub struct Shrunk<P> {
    /// The schedule.
    pub plan: P,
    /// Which checker complains.
    pub checker: &'static str,
    /// What it says.
    pub says: String,
    /// How many schedules were tried.
    pub tried: u64,
}

struct Shrinker<'a, P> {
    run: &'a dyn Fn(P) -> Outcome,
    checker: &'static str,
    tried: u64,
    tries_max: u64,
}

/// The setting that says when the safety phase ends.
const FAULTS_END: &str = "faults_end";

/// Makes a schedule smaller that `run` runs, with so many tries at most; `None` if it does not
/// fail.
pub(crate) fn shrink<P: Schedule>(
    run: &dyn Fn(P) -> Outcome,
    plan: &P,
    tries_max: u64,
) -> Option<Shrunk<P>> {
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

impl<P: Schedule> Shrinker<'_, P> {
    fn fails(&mut self, plan: &P) -> bool {
        if self.tried >= self.tries_max {
            return false;
        }
        self.tried += 1;
        let violation = (self.run)(plan.clone()).violation;
        violation.is_some_and(|violation| violation.checker == self.checker)
    }

    /// Takes what a change makes of the plan, if it still fails.
    fn attempt(&mut self, plan: &mut P, change: impl FnOnce(&mut P)) -> bool {
        let mut smaller = plan.clone();
        change(&mut smaller);
        let better = smaller != *plan && self.fails(&smaller);
        if better {
            *plan = smaller;
        }
        better
    }

    /// What comes after the end is not needed, nor is waiting long for what never comes.
    fn cut_time(&mut self, plan: &mut P, micros: u64) {
        self.attempt(plan, |plan| plan.happenings().retain(|(time, _)| *time <= micros));
        for part in [8, 4, 2] {
            self.attempt(plan, |plan| {
                let Some(end) = plan.value(FAULTS_END) else { return };
                *end /= part;
                let end = *end;
                plan.happenings().retain(|(time, _)| *time < end);
            });
        }
    }

    /// Happenings are left out, many at once at first.
    fn leave_out(&mut self, plan: &mut P) {
        let mut size = plan.happenings().len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < plan.happenings().len() {
                let end = (at + size).min(plan.happenings().len());
                if !self.attempt(plan, |plan| drop(plan.happenings().drain(at..end))) {
                    at = end;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn drop_members(&mut self, plan: &mut P) {
        while plan.members() > 1
            && let Some(fewer) = plan.without_members_above(plan.members() - 1)
        {
            if !self.attempt(plan, |plan| *plan = fewer) {
                return;
            }
        }
    }

    /// Chance is left out, and what is set is set to what is plain.
    fn calm_down(&mut self, plan: &mut P) {
        for key in P::CALM {
            self.attempt(plan, |plan| {
                if let Some(value) = plan.value(key) {
                    *value = 0;
                }
            });
        }
    }

    /// Faults are made shorter.
    fn shorten(&mut self, plan: &mut P) {
        for at in 0..plan.happenings().len() {
            let Some(lasting) = P::lasting(&plan.happenings()[at].1) else { continue };
            for shorter in [lasting / 4, lasting / 2] {
                let shorter = P::shortened(&plan.happenings()[at].1, shorter);
                if self.attempt(plan, |plan| plan.happenings()[at].1 = shorter) {
                    break;
                }
            }
        }
    }
}
