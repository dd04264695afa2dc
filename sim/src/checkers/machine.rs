//! State Machine Safety (paper §5.4.3, figure 3; TLA+ `LogInv`): nobody applies another entry at an
//! index than anybody else, in order and each once, and equal histories lead to equal states; a
//! snapshot stands for the history that it replaces.

use super::committed::Committed;
use super::shadow::Chain;
use super::{Check, ensure};
use crate::core_world::machine::Machine;
use bytes::Bytes;
use holm_raft_core::{Index, MemberId};
use std::collections::BTreeMap;

/// The states at the indexes where somebody has frozen one.
#[derive(Debug, Default)]
pub struct StateMachineSafety {
    frozen: BTreeMap<Index, Machine>,
    guests: BTreeMap<Index, Replied>,
    /// Stands for all that guests have replied and become.
    pub digest: u64,
    /// How often a member took its state from a snapshot of its leader.
    pub installed: u64,
}

/// What a guest replied, and what it was then, where it was applied first.
#[derive(Debug)]
struct Replied {
    by: MemberId,
    reply: Bytes,
    state: u32,
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

    /// A member's state at an index, about to be frozen or taken from a snapshot.
    ///
    /// # Errors
    /// If another member's was another.
    pub fn state(&mut self, me: MemberId, index: Index, state: &Machine) -> Check {
        let known = self.frozen.entry(index).or_insert_with(|| state.clone());
        ensure((known == state).into(), Self::NAME, || {
            format!("the state of {me} at {index} is another than the one that somebody else had")
        })
    }

    /// A member's guest has replied to the command at an index, and is in a state.
    ///
    /// # Errors
    /// If another member's replied something else, or is in another state.
    pub fn guest(&mut self, me: MemberId, index: Index, reply: &Bytes, state: &[u8]) -> Check {
        let state = crc32fast::hash(state);
        let Some(first) = self.guests.get(&index) else {
            let parts = u64::from(crc32fast::hash(reply)) << 32 | u64::from(state);
            self.digest = self.digest.rotate_left(9).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ parts;
            self.guests.insert(index, Replied { by: me, reply: reply.clone(), state });
            return Ok(());
        };
        let advice = "`apply` may depend on nothing but the state and the command: no clock, no \
                      randomness, no hash order";
        ensure((first.reply == *reply).into(), Self::SAME, || {
            format!(
                "{} replied {} to the command at {index}, and {me} replies {} (encoded); {advice}",
                first.by,
                hex(&first.reply),
                hex(reply)
            )
        })?;
        ensure((first.state == state).into(), Self::SAME, || {
            format!(
                "{} and {me} are in different states after the command at {index}, and replied \
                 alike; {advice}",
                first.by
            )
        })
    }

    /// A member's guest was restored from a snapshot of the state after an index.
    ///
    /// # Errors
    /// If it is in another state than where it was applied.
    pub fn restored(&self, me: MemberId, index: Index, state: &[u8]) -> Check {
        let Some(first) = self.guests.get(&index) else { return Ok(()) };
        ensure((first.state == crc32fast::hash(state)).into(), Self::SAME, || {
            format!(
                "{me} was restored from a snapshot at {index}, and is in another state than {}",
                first.by
            )
        })
    }

    /// What [`guest`](Self::guest) says it is.
    const SAME: &str = "deterministic";
}

/// The first bytes, as one reads them.
fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > 16 { " …" } else { "" };
    format!("[{}{more}]", shown.join(" "))
}
