//! The bugs that are hunted in each world: `Bug`.

use super::Hunt;
use crate::cli::World;
use holm_raft_core as raft;
use holm_sim::core_world::{self, Mode, Tracing};
use holm_wal as wal;

/// A bug, and the world in which it is hunted.
#[derive(Clone, Copy)]
pub(super) enum Bug {
    /// None, to see that all is green then.
    None(World),
    Core(raft::Mutation),
    Log(wal::Mutation),
    #[cfg(madsim)]
    OfNode(holm_sim::node_world::Bug),
}

/// All bugs of a world, and none.
pub(super) fn all(world: World, hunted: Hunt) -> Result<Vec<Bug>, String> {
    let mut all = vec![Bug::None(world)];
    match world {
        World::Core => {
            all.extend(raft::Mutation::ALL.iter().map(|bug| Bug::Core(*bug)));
            all.extend(wal::Mutation::ALL.iter().map(|bug| Bug::Log(*bug)));
        }
        World::Node => all.extend(of_node(hunted)?),
    }
    Ok(all)
}

#[cfg(madsim)]
#[expect(clippy::unnecessary_wraps, reason = "without madsim there are none")]
fn of_node(hunted: Hunt) -> Result<Vec<Bug>, String> {
    use holm_sim::node_world::Bug as OfNode;
    let transport = holm_transport::Mutation::ALL.iter().map(|bug| OfNode::Transport(*bug));
    let node = holm::Mutation::ALL.iter().map(|bug| OfNode::Node(*bug));
    let mut all: Vec<_> = transport.chain(node).collect();
    if hunted == Hunt::Everywhere {
        all.extend(wal::Mutation::ALL.iter().map(|bug| OfNode::Log(*bug)));
        all.extend(raft::Mutation::ALL.iter().map(|bug| OfNode::Core(*bug)));
    }
    Ok(all.into_iter().map(Bug::OfNode).collect())
}

#[cfg(not(madsim))]
fn of_node(_: Hunt) -> Result<Vec<Bug>, String> {
    Err("the node's world needs --cfg madsim; run it with `cargo sim`".to_owned())
}

impl Bug {
    pub(super) const fn is_none(self) -> bool {
        matches!(self, Self::None(_))
    }

    /// Its name, and what it is of.
    pub(super) fn name(self) -> (String, &'static str) {
        match self {
            Self::None(_) => ("(none)".to_owned(), ""),
            Self::Core(bug) => (format!("{bug:?}"), "core"),
            Self::Log(bug) => (format!("{bug:?}"), "log"),
            #[cfg(madsim)]
            Self::OfNode(bug) => of(bug),
        }
    }

    /// Runs a seed with it; says by which checker it was caught, and how often it was reached.
    pub(super) fn run(self, seed: u64) -> (Option<&'static str>, u64) {
        let run = || core_world::run(seed, Mode::Within, Tracing::Off);
        let (outcome, reached) = match self {
            Self::None(World::Core) => (run(), 0),
            Self::Core(bug) => {
                let (outcome, times) = raft::with_mutation(Some(bug), run);
                (outcome, times.reached)
            }
            Self::Log(bug) => wal::with_mutation(Some(bug), run),
            #[cfg(madsim)]
            Self::OfNode(bug) => {
                let (report, reached) = bug.run(seed);
                return (report.violation.map(|violation| violation.checker), reached);
            }
            #[cfg(madsim)]
            Self::None(World::Node) => {
                let report = holm_sim::node_world::run(seed, Mode::Within, Tracing::Off);
                return (report.violation.map(|violation| violation.checker), 0);
            }
            #[cfg(not(madsim))]
            Self::None(World::Node) => return (None, 0),
        };
        (outcome.violation.map(|violation| violation.checker), reached)
    }
}

#[cfg(madsim)]
fn of(bug: holm_sim::node_world::Bug) -> (String, &'static str) {
    use holm_sim::node_world::Bug as OfNode;
    match bug {
        OfNode::Transport(bug) => (format!("{bug:?}"), "transport"),
        OfNode::Node(bug) => (format!("{bug:?}"), "node"),
        OfNode::Log(bug) => (format!("{bug:?}"), "log"),
        OfNode::Core(bug) => (format!("{bug:?}"), "core"),
    }
}
