//! Known bugs that belong to whoever drives a core, and are switched on by the core's mutations.

/// Whether a wiped disk keeps its identity.
pub(super) fn wiped_disk_votes_again() -> bool {
    #[cfg(feature = "mutations")]
    {
        use holm_raft_core::{Mutation, mutation_is_on};
        mutation_is_on(Mutation::WipedDiskVotesAgain)
    }
    #[cfg(not(feature = "mutations"))]
    false
}
