//! Running plans: `run` of a seed, `replay` of a plan, `shrink` of one that fails.

use super::plan::Plan;
use super::scenario::replay_by;
use crate::outcome::{Outcome, Tracing};
use crate::schedule::Mode;
use crate::schedule::shrink::{self, Shrunk};

/// Runs the plan that a seed draws.
#[must_use]
pub fn run(seed: u64, mode: Mode, tracing: Tracing) -> Outcome {
    replay(Plan::draw(seed, mode), tracing)
}

/// Runs a plan.
#[must_use]
pub fn replay(plan: Plan, tracing: Tracing) -> Outcome {
    replay_by(plan, tracing, |run| run())
}

/// Makes a failing plan smaller, with so many tries at most; `None` if it does not fail.
#[must_use]
pub fn shrink(plan: &Plan, tries_max: u64) -> Option<Shrunk<Plan>> {
    shrink::shrink(&|plan| replay(plan, Tracing::Off), plan, tries_max)
}
