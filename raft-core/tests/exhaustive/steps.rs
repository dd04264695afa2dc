//! What each step leads to, remembered: `Steps`. The members of a cluster go through far fewer
//! states than the cluster does, so a core is asked once for each step from each of its states, and
//! the millions of ways these combine cost a look-up each.

use super::marks;
use super::member::{Member, Syncs};
use holm_raft_core::Message;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What a member can go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The message with this mark arrives.
    Receive(u64),
    TimeOut,
    Propose,
    Heartbeat,
    /// The oldest write under way is durable.
    Sync,
    /// So many of the writes under way are on the disk nevertheless.
    Crash(usize),
}

/// A message with its mark.
pub(crate) type Marked = (u64, Arc<Message>);

/// What a member becomes by a step, and what it says.
pub(crate) type Outcome = (Arc<Member>, Arc<Vec<Marked>>);

#[derive(Debug, Default)]
pub(crate) struct Steps {
    known: Mutex<HashMap<(u64, Step, Syncs), Outcome>>,
}

impl Steps {
    pub(crate) fn outcome(
        &self,
        member: &Member,
        step: Step,
        message: Option<&Message>,
        syncs: Syncs,
    ) -> Outcome {
        let key = (member.mark(), step, syncs);
        if let Some(known) = self.known.lock().expect("no panic before").get(&key) {
            return known.clone();
        }
        let mut member = member.clone();
        let sent = match step {
            Step::Receive(_) => member.receive(message.expect("a message to receive"), syncs),
            Step::TimeOut => member.time_out(syncs),
            Step::Propose => member.propose(syncs),
            Step::Heartbeat => member.heartbeat(),
            Step::Sync => member.sync(syncs),
            Step::Crash(kept) => {
                member.crash(kept);
                Vec::new()
            }
        };
        let marked = |message| (marks::of_message(&message), Arc::new(message));
        let outcome = (Arc::new(member), Arc::new(sent.into_iter().map(marked).collect()));
        self.known.lock().expect("no panic before").insert(key, outcome.clone());
        outcome
    }

    /// How many steps the cores themselves have taken.
    pub(crate) fn count(&self) -> usize {
        self.known.lock().expect("no panic before").len()
    }
}
