//! A schedule of either world on the command line: drawn by a seed, or read from a file, which says
//! by its first line which world's it is.

use super::{How, Which, World};
use holm_sim::{Outcome, Shrunk, Tracing};
use holm_sim::{core_world, node_world};
use std::path::Path;

/// What is run.
#[derive(Clone)]
pub(super) enum Schedule {
    Core(core_world::plan::Plan),
    Node(node_world::plan::Plan),
}

impl Schedule {
    pub(super) fn draw(seed: u64, how: &How) -> Self {
        match how.world {
            World::Core => Self::Core(match &how.topology {
                Some(given) => core_world::plan::Plan::draw_on(seed, how.mode(), given),
                None => core_world::plan::Plan::draw(seed, how.mode()),
            }),
            World::Node => Self::Node(node_world::plan::Plan::draw(seed, how.mode())),
        }
    }

    /// That of a seed, or in a file.
    pub(super) fn of(which: &Which, how: &How) -> Result<Self, String> {
        how.check()?;
        if let Some(seed) = which.seed {
            return Ok(Self::draw(seed, how));
        }
        if how.topology.is_some() {
            return Err("a schedule has its own islands and links; leave --topology out".to_owned());
        }
        let path = which.file.as_deref().unwrap_or(Path::new(""));
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!("reading {} failed: {error}; name a schedule", path.display())
        })?;
        Self::parse(&text, path)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let parsed = if text.starts_with(node_world::text::NAME) {
            node_world::plan::Plan::parse(text).map(Self::Node)
        } else {
            core_world::plan::Plan::parse(text).map(Self::Core)
        };
        parsed.map_err(|error| format!("{}, {error}", path.display()))
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Core(plan) => plan.text(),
            Self::Node(plan) => plan.text(),
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Core(plan) => plan.words(),
            Self::Node(plan) => plan.words(),
        }
    }

    pub(super) fn seed(&self) -> u64 {
        match self {
            Self::Core(plan) => plan.settings.seed,
            Self::Node(plan) => plan.settings.seed,
        }
    }

    /// Where its regressions are kept, below the folder of all.
    pub(super) fn folder(&self) -> &'static str {
        match self {
            Self::Core(_) => "",
            Self::Node(_) => "node",
        }
    }

    /// Runs it.
    pub(super) fn run(&self, tracing: Tracing) -> Result<Outcome, String> {
        match self {
            Self::Core(plan) => Ok(core_world::replay(plan.clone(), tracing)),
            Self::Node(plan) => run_node(plan, tracing),
        }
    }

    /// Makes it smaller; says why it can't.
    pub(super) fn shrink(&self, tries_max: u64) -> Result<Shrunk<Self>, String> {
        let shrunk = match self {
            Self::Core(plan) => core_world::shrink(plan, tries_max).map(|s| whole(s, Self::Core)),
            Self::Node(plan) => shrink_node(plan, tries_max)?.map(|s| whole(s, Self::Node)),
        };
        shrunk.ok_or_else(|| format!("seed {} breaks nothing: {}", self.seed(), self.words()))
    }
}

fn whole<P>(shrunk: Shrunk<P>, as_one: fn(P) -> Schedule) -> Shrunk<Schedule> {
    let Shrunk { plan, checker, says, tried } = shrunk;
    Shrunk { plan: as_one(plan), checker, says, tried }
}

#[cfg(madsim)]
#[expect(clippy::unnecessary_wraps, reason = "without madsim it can't be run")]
fn run_node(plan: &node_world::plan::Plan, tracing: Tracing) -> Result<Outcome, String> {
    Ok(node_world::replay(plan.clone(), tracing))
}

#[cfg(madsim)]
type ShrunkNode = Result<Option<Shrunk<node_world::plan::Plan>>, String>;

#[cfg(madsim)]
#[expect(clippy::unnecessary_wraps, reason = "without madsim it can't be run")]
fn shrink_node(plan: &node_world::plan::Plan, tries_max: u64) -> ShrunkNode {
    Ok(node_world::shrink(plan, tries_max))
}

#[cfg(not(madsim))]
const NEEDS: &str = "the node's world needs --cfg madsim; run it with `cargo sim`";

#[cfg(not(madsim))]
fn run_node(_: &node_world::plan::Plan, _: Tracing) -> Result<Outcome, String> {
    Err(NEEDS.to_owned())
}

#[cfg(not(madsim))]
fn shrink_node(
    _: &node_world::plan::Plan,
    _: u64,
) -> Result<Option<Shrunk<node_world::plan::Plan>>, String> {
    Err(NEEDS.to_owned())
}
