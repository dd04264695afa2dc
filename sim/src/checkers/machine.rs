//! State Machine Safety (paper §5.4.3, figure 3; TLA+ `LogInv`): nobody applies another entry at an
//! index than anybody else, in order and each once, and equal histories lead to equal states; a
//! snapshot stands for the history that it replaces.

use super::committed::Committed;
use super::shadow::Chain;
use super::{Check, ensure};
use holm_raft_core::{Index, MemberId};
use std::collections::BTreeMap;

/// The states at the indexes where somebody has frozen one.
#[derive(Debug, Default)]
pub struct StateMachineSafety {
    frozen: BTreeMap<Index, Vec<u8>>,
    /// How often a member took its state from a snapshot of its leader.
    pub installed: u64,
}

impl StateMachineSafety {
    const NAME: &str = "state machine safety";

    /// A member has applied all up to an index, for which this stands.
    ///
    /// # Errors
    /// If that is not what is committed.
    pub fn applied(me: MemberId, index: Index, chain: Chain, committed: &Committed) -> Check {
        ensure((committed.chain(index) == Some(chain)).into(), Self::NAME, || {
            format!("{me} applies an entry at {index} that is not the committed one")
        })
    }

    /// A member's state at an index, frozen or taken from a snapshot, has these bytes.
    ///
    /// # Errors
    /// If another member's has others.
    pub fn state(&mut self, me: MemberId, index: Index, bytes: &[u8]) -> Check {
        let known = self.frozen.entry(index).or_insert_with(|| bytes.to_vec());
        ensure((known == bytes).into(), Self::NAME, || {
            format!("the state of {me} at {index} is another than the one that somebody else had")
        })
    }
}
