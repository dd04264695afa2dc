//! Elections (paper §5.2, §5.4.1; thesis §4.2.3, §9.6): pre-votes, votes, and how they are counted.

use crate::message::{Ballot, Body, Cause, Message};
use crate::mutation::{self, Mutation};
use crate::quorum::{self, Tally};
use crate::raft::{Core, Raft};
use crate::ready::Outbound;
use crate::role::{Candidate, PreCandidate, Role};
use crate::types::{EntryId, MemberId, NodeId, Term, WriteNumber};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A learner stands in for those that vote once it has heard of no leader for so many of the
/// shortest election time-outs: the voters come first, and need one or two.
const STAND_IN_TIMEOUTS: u32 = 4;

/// Whether a member may ask for votes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Candidacy {
    /// Not now.
    None,
    /// It votes, or did before a change that is not known to be committed.
    Voter,
    /// It is a learner, and nobody has led for long.
    StandIn,
}

impl Raft {
    /// No leader was heard for an election time-out.
    pub(crate) fn time_out(&mut self) {
        match self.core.candidacy() {
            Candidacy::None => {
                // It can do nothing but stop believing in that leader, so that callers learn of it.
                if self.leader().is_some() {
                    self.follow(self.core.term, None);
                }
            }
            // A disk that hangs must not drive the terms up: nobody has been asked yet.
            _ if self.waits_for_its_own_vote() => {}
            Candidacy::Voter if !self.core.config.pre_vote.is_on() => {
                self.campaign(Cause::Timeout);
            }
            // Who only stands in asks first, whatever is set: it must disturb nobody.
            Candidacy::Voter | Candidacy::StandIn => self.pre_campaign(),
        }
    }

    fn waits_for_its_own_vote(&self) -> bool {
        let Role::Candidate(candidate) = &self.role else { return false };
        self.core.writes.waits_for(candidate.own_vote)
    }

    /// The leader hands over to this member: it need not ask whether it could win.
    pub(crate) fn on_timeout_now(&mut self, from: MemberId) {
        if self.core.candidacy() == Candidacy::Voter && self.leader() == Some(from) {
            self.campaign(Cause::Transfer);
        } else {
            self.core.dropped.outdated += 1;
        }
    }

    /// Asks whether an election could be won. Changes no term, so it disturbs nobody.
    fn pre_campaign(&mut self) {
        let me = self.core.config.me;
        let votes = BTreeMap::from([(me.node, true)]);
        self.become_role(Role::PreCandidate(PreCandidate { votes }));
        let (term, last) = (self.core.term.next(), self.core.log.last());
        for to in self.core.other_voters() {
            let message = Message { from: me, to, term, body: Body::PreVote { last } };
            self.core.out.send.push(Outbound::Message(message));
        }
        self.count_pre_votes();
    }

    fn campaign(&mut self, cause: Cause) {
        let me = self.core.config.me;
        self.core.elections += 1;
        self.core.advance_term(self.core.term.next());
        self.core.vote = Some(me);
        self.core.writes.hard_state(self.core.hard_state());
        let own_vote = self.core.writes.upcoming();
        self.become_role(Role::Candidate(Candidate { own_vote, votes: BTreeMap::new() }));
        let last = self.core.log.last();
        for to in self.core.other_voters() {
            self.core.answer_durably(to, Body::Vote { last, cause });
        }
    }

    pub(crate) fn on_pre_vote(&mut self, from: MemberId, term: Term, last: EntryId) {
        let granted = term > self.core.term
            && !self.keeps_its_leader()
            && !self.core.membership.current().is_empty()
            && is_up_to_date(last, self.core.log.last());
        let (term, ballot) =
            if granted { (term, Ballot::Granted) } else { (self.core.term, Ballot::Refused) };
        let body = Body::PreVoted(ballot);
        let message = Message { from: self.core.config.me, to: from, term, body };
        self.core.out.send.push(Outbound::Message(message));
    }

    /// `RequestVote` in this very term.
    pub(crate) fn on_vote(&mut self, from: MemberId, last: EntryId) {
        let free = match self.core.vote {
            None => self.leader().is_none(),
            Some(vote) => vote == from || mutation::on(Mutation::DoubleVote),
        };
        let core = &mut self.core;
        // A member without a configuration has an empty disk, and an empty disk never votes.
        let formed =
            !core.membership.current().is_empty() || mutation::on(Mutation::WipedDiskVotesAgain);
        if !(free && formed && is_up_to_date(last, core.log.last())) {
            core.answer(from, Body::Voted(Ballot::Refused));
            return;
        }
        if core.vote.is_none() {
            core.vote = Some(from);
            if !mutation::on(Mutation::VoteNotWritten) {
                core.writes.hard_state(core.hard_state());
            }
        }
        core.elapsed = 0;
        if mutation::on(Mutation::VoteSentBeforeItIsDurable) {
            core.answer(from, Body::Voted(Ballot::Granted));
        } else {
            core.answer_durably(from, Body::Voted(Ballot::Granted));
        }
        // Whoever was about to campaign itself lets this candidate try first.
        if matches!(self.role, Role::PreCandidate(_)) {
            self.follow(self.core.term, None);
        }
    }

    pub(crate) fn on_pre_voted(&mut self, from: MemberId, term: Term, ballot: Ballot) {
        let Role::PreCandidate(candidate) = &mut self.role else { return };
        // A grant is for the term that was asked about; one from an earlier campaign is void.
        let granted = ballot == Ballot::Granted;
        if granted && term != self.core.term.next() {
            self.core.dropped.outdated += 1;
            return;
        }
        candidate.votes.insert(from.node, granted);
        self.count_pre_votes();
    }

    fn count_pre_votes(&mut self) {
        let Role::PreCandidate(candidate) = &self.role else { return };
        match quorum::tally(self.core.membership.current(), &candidate.votes) {
            // Who can't write must not lead.
            Tally::Won if self.core.writes.is_full() => self.follow(self.core.term, None),
            Tally::Won => self.campaign(Cause::Timeout),
            Tally::Lost => self.follow(self.core.term, None),
            Tally::Open => {}
        }
    }

    pub(crate) fn on_voted(&mut self, from: MemberId, ballot: Ballot) {
        self.count_vote(from.node, ballot == Ballot::Granted);
    }

    /// A candidate's own vote counts like any other: once it is durable.
    pub(crate) fn count_own_vote(&mut self, persisted: WriteNumber) {
        if let Role::Candidate(candidate) = &self.role
            && candidate.own_vote <= persisted
        {
            self.count_vote(self.core.config.me.node, true);
        }
    }

    fn count_vote(&mut self, from: NodeId, granted: bool) {
        let Role::Candidate(candidate) = &mut self.role else { return };
        candidate.votes.insert(from, granted);
        match quorum::tally(self.core.membership.current(), &candidate.votes) {
            Tally::Won => self.lead(),
            Tally::Lost => self.follow(self.core.term, None),
            Tally::Open => {}
        }
    }

    /// Whether this member believes in a leader (or, just started, may have promised one its
    /// loyalty), so that it takes no part in replacing it (paper §6, thesis §4.2.3).
    pub(crate) fn keeps_its_leader(&self) -> bool {
        let config = &self.core.config;
        let heard = self.core.unheard < config.election_ticks;
        config.check_quorum.is_on() && (heard || matches!(self.role, Role::Leader(_)))
    }
}

/// The rule of §5.4.1: the candidate's log must hold all that the voter's may have committed.
fn is_up_to_date(candidate: EntryId, own: EntryId) -> bool {
    if mutation::on(Mutation::IdsComparedTheWrongWayRound) {
        return (candidate.index, candidate.term) >= (own.index, own.term);
    }
    candidate >= own || mutation::on(Mutation::NoUpToDateCheck)
}

impl Core {
    /// Whether this member may ask for votes; nobody whose disk is full does.
    ///
    /// It may if it votes, or did before a change that is not known to be committed: it may be the
    /// only one who can win then, though its own vote does not count (thesis §4.2.2, figure 4.6).
    /// Of whoever was just started nothing is known to be committed, so each configuration of its
    /// log counts.
    ///
    /// And after long without a leader a learner may: whoever can refuse a vote must be able to win
    /// one. By another's log it may be a voter whose vote is needed; if a leader has replaced that
    /// change in its log by entries that reached nobody else, it refuses that vote, rightly, and is
    /// the only one whom nobody refuses. No proof asks who a candidate is: it needs the votes of a
    /// majority of its configuration, and its own does not count. Who was removed is sent nothing
    /// any more, so it has nothing that others lack.
    fn candidacy(&self) -> Candidacy {
        let (me, current) = (self.config.me, self.membership.current());
        if self.writes.is_full() {
            return Candidacy::None;
        }
        let mut possible = self.membership.possible(self.log.committed());
        if possible.any(|configuration| configuration.is_voter(me)) || current.is_voter(me) {
            return Candidacy::Voter;
        }
        // Without check-quorum a leader's followers would let it be replaced.
        let long = self.config.election_ticks.saturating_mul(STAND_IN_TIMEOUTS);
        let waited = self.config.check_quorum.is_on() && self.unheard >= long;
        if current.contains(me) && waited { Candidacy::StandIn } else { Candidacy::None }
    }

    pub(crate) fn other_voters(&self) -> Vec<MemberId> {
        let voters = self.membership.current().voters().map(|member| member.id);
        voters.filter(|id| id.node != self.config.me.node).collect()
    }
}
