//! What a lease stands on (thesis §6.4.1): a leader that has told another to campaign reads by its
//! lease no more, and a member that was just started, which may have promised its leader not to
//! help another, grants no pre-vote for one election time-out (thesis §4.2.3).

use super::{Check, ensure};
use holm_raft_core::{Ballot, Body, Glance, MemberId, Message, Term};
use std::collections::BTreeSet;

/// Who has handed over in which term.
#[derive(Debug, Default)]
pub struct Leases {
    handed_over: BTreeSet<(MemberId, Term)>,
}

impl Leases {
    const HANDED_OVER: &str = "no lease after a hand-over";
    const PROMISE: &str = "promises outlive a restart";

    /// A message leaves a member that has been running for so many ticks.
    ///
    /// # Errors
    /// If it is a pre-vote within the first `election_ticks`.
    pub fn sent(&mut self, message: &Message, ticks: u64, election_ticks: u64) -> Check {
        match message.body {
            Body::TimeoutNow => {
                self.handed_over.insert((message.from, message.term));
                Ok(())
            }
            Body::PreVoted(Ballot::Granted) => {
                ensure((ticks >= election_ticks).into(), Self::PROMISE, || {
                    format!("{} helps {} after {ticks} ticks", message.from, message.to)
                })
            }
            _ => Ok(()),
        }
    }

    /// A member serves a read at once, in the very event in which it is asked: by its lease.
    ///
    /// # Errors
    /// If it has handed over in this term.
    pub fn served_at_once(&self, me: MemberId, glance: &Glance) -> Check {
        let over = glance.role == "leader" && self.handed_over.contains(&(me, glance.term));
        ensure((!over).into(), Self::HANDED_OVER, || {
            format!("{me} has handed over in term {} and reads by its lease", glance.term)
        })
    }
}
