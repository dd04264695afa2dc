//! Exactly once (paper §8, thesis §6.3): a command that is proposed again takes effect once, and
//! one that was acknowledged has taken effect, with the reply that its client was given.

use super::{Check, ensure};
use crate::core_world::machine::{Command, Machine};
use holm_raft_core::{Entry, EntryKind, Index};
use std::collections::BTreeMap;

/// The history as it is committed, applied once more, by itself.
#[derive(Debug, Default)]
pub struct ExactlyOnce {
    machine: Machine,
    applied: Index,
    /// What each command is to answer.
    replies: BTreeMap<(u64, u64), u64>,
}

impl ExactlyOnce {
    const NAME: &str = "exactly once";

    /// Somebody applies a committed entry, the first to do so or not.
    pub fn applied(&mut self, entry: &Entry) {
        if entry.id.index != self.applied.next() {
            return;
        }
        self.applied = entry.id.index;
        if entry.kind != EntryKind::Command {
            return;
        }
        let Some(command) = Command::decode(&entry.data) else { return };
        let effects = self.machine.effects;
        let reply = self.machine.apply(&command);
        if self.machine.effects > effects
            && let Some(reply) = reply
        {
            self.replies.insert((command.client, command.number), reply);
        }
    }

    /// A client is told that its command took effect.
    ///
    /// # Errors
    /// If it did not, or with another reply.
    pub fn acknowledged(&self, command: &Command, reply: u64) -> Check {
        let known = self.replies.get(&(command.client, command.number));
        ensure((known == Some(&reply)).into(), Self::NAME, || {
            format!(
                "client {} was told {reply} for its command {}, which the history answers with \
                 {known:?}",
                command.client, command.number
            )
        })
    }
}
