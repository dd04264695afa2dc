//! Answers wait for the disk (paper figure 2, "updated on stable storage before responding"; thesis
//! §3.8; TLA+ has no name for it, for its variables survive a restart): a vote, a candidate's own
//! request and an acknowledgement leave only when what they say is durable.

use super::shadow::Shadow;
use super::{Check, ensure};
use holm_raft_core::{Ballot, Body, MemberId, Message, Term};

const NAME: &str = "answers wait for the disk";

/// A message leaves the member that has written this.
///
/// # Errors
/// If it says what a crash may take back.
pub fn leaves(message: &Message, log: &Shadow) -> Check {
    match message.body {
        Body::Voted(Ballot::Granted) => vote(message, message.to, log),
        Body::Vote { .. } => vote(message, message.from, log),
        // Of an earlier term the log may have dropped since what was durable then.
        Body::Appended { matched } if message.term >= log.hard_state.term => {
            let acked = &log.acked;
            let term = acked.hard_state.term >= message.term;
            let durable = acked.last.index >= matched || acked.start.index >= matched;
            ensure((term && durable).into(), NAME, || {
                let Message { from, term, .. } = message;
                format!("{from} acknowledges {matched} in term {term}, with {acked:?} durable")
            })
        }
        _ => Ok(()),
    }
}

fn vote(message: &Message, candidate: MemberId, log: &Shadow) -> Check {
    let (term, durable) = (message.term, log.acked.hard_state);
    let kept = durable.term > term || (durable.term == term && names(durable.vote, candidate));
    ensure(kept.into(), NAME, || {
        format!("{} votes for {candidate} in term {term}, with {durable:?} durable", message.from)
    })
}

fn names(vote: Option<MemberId>, candidate: MemberId) -> bool {
    vote == Some(candidate)
}

/// A member's log is about to be written, and this is said once that is durable: whoever is granted
/// a vote in it holds at least as much as the voter (§5.4.1).
#[derive(Debug, Default)]
pub struct UpToDate {
    /// The last entry of whoever asks for votes, by term.
    candidates: std::collections::BTreeMap<(Term, MemberId), holm_raft_core::EntryId>,
}

impl UpToDate {
    const NAME: &str = "votes for who is up to date";

    /// A candidate asks for votes.
    pub fn asks(&mut self, message: &Message) {
        if let Body::Vote { last, .. } = message.body {
            self.candidates.insert((message.term, message.from), last);
        }
    }

    /// A member whose log is this will say so.
    ///
    /// # Errors
    /// If it grants a vote to a candidate whose log is behind its own.
    pub fn will_say(&self, message: &Message, log: &Shadow) -> Check {
        if message.body != Body::Voted(Ballot::Granted) {
            return Ok(());
        }
        let Some(last) = self.candidates.get(&(message.term, message.to)) else { return Ok(()) };
        let own = log.last();
        ensure((*last >= own).into(), Self::NAME, || {
            format!("{} holds {own} and votes for {}, who holds {last}", message.from, message.to)
        })
    }
}
