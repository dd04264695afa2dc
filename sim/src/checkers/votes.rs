//! One vote a term (paper §5.2; TLA+ `VotesGrantedInv`): a member votes for one candidate in each
//! term, however often it is started again.

use super::{Check, ensure};
use holm_raft_core::{Ballot, Body, MemberId, Message, Term};
use std::collections::BTreeMap;

/// Who voted for whom.
#[derive(Debug, Default)]
pub struct OneVote {
    votes: BTreeMap<(Term, MemberId), MemberId>,
}

impl OneVote {
    const NAME: &str = "one vote a term";

    /// A message leaves its member.
    ///
    /// # Errors
    /// If it is a second vote for somebody else.
    pub fn sent(&mut self, message: &Message) -> Check {
        let candidate = match message.body {
            Body::Voted(Ballot::Granted) => message.to,
            Body::Vote { .. } => message.from,
            _ => return Ok(()),
        };
        let (voter, term) = (message.from, message.term);
        let known = *self.votes.entry((term, voter)).or_insert(candidate);
        ensure((known == candidate).into(), Self::NAME, || {
            format!("{voter} votes for {known} and for {candidate} in term {term}")
        })
    }
}
