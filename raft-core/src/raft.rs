//! The core: `Raft` takes events and says what to do. This file holds what is common to all roles:
//! construction, the one place that compares terms, the one place that changes roles, and the
//! table that sends each message to its handler. What the roles do is in `election`, `follower`,
//! `leader` and `requests`.

use crate::change::ChangeError;
use crate::config::{Config, ConfigError, Restored};
use crate::event::Event;
use crate::log::Log;
use crate::membership::Membership;
use crate::message::{Ballot, Body, Cause, Message};
use crate::mutation::{self, Mutation};
use crate::proposals::Forwarded;
use crate::ready::{Fate, LogStart, Outbound, Ready};
use crate::receive::Receiving;
use crate::rng::Rng;
use crate::role::{Follower, Role};
use crate::snapshot::{Chunk, SnapshotMeta};
use crate::status::Dropped;
use crate::types::{EntryId, HardState, Index, MemberId, RequestNumber, Term, WriteNumber};
use crate::weights::Weights;
use crate::writes::Writes;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// One member's view of the protocol: a deterministic state machine over [`Event`]s.
///
/// Call [`handle`](Self::handle) for each event, then [`ready`](Self::ready) once, then do what it
/// says, then start over. Equal cores that are given equal events do equal things.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    pub(crate) core: Core,
    pub(crate) role: Role,
}

/// What is there in every role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) term: Term,
    pub(crate) vote: Option<MemberId>,
    pub(crate) log: Log,
    pub(crate) weights: Weights,
    pub(crate) membership: Membership,
    /// What has arrived of a snapshot.
    pub(crate) receiving: Option<Box<Receiving>>,
    /// Where the log is to begin once no follower needs it to begin earlier.
    pub(crate) deferred: Option<LogStart>,
    pub(crate) writes: Writes,
    pub(crate) out: Out,
    pub(crate) forwarded: Forwarded,
    pub(crate) rng: Rng,
    /// The clock, in milliseconds, as of the last tick.
    pub(crate) now: u64,
    /// Ticks since the role's timer was reset.
    pub(crate) elapsed: u32,
    /// At how many ticks an election begins.
    pub(crate) timeout: u32,
    /// Ticks since a leader was heard, or since the start: a restarted voter may have promised
    /// its leader not to help another, so it stays out of elections for one time-out.
    pub(crate) unheard: u32,
    pub(crate) elections: u64,
    pub(crate) dropped: Dropped,
    /// For a known bug alone: the lease of a leadership that has ended.
    #[cfg(any(test, feature = "mutations"))]
    pub(crate) kept_lease: Option<crate::lease::Lease>,
}

/// What the next `Ready` will say, beside the write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Out {
    pub(crate) send: Vec<Outbound>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) proposals: Vec<(RequestNumber, Fate)>,
    pub(crate) reads: Vec<(RequestNumber, Option<Index>)>,
    pub(crate) changes: Vec<(RequestNumber, Result<EntryId, ChangeError>)>,
}

impl Raft {
    /// A follower with what its disk held.
    ///
    /// # Errors
    /// When the settings can't work together.
    ///
    /// # Panics
    /// When `restored` contradicts itself: then the log is not what was written.
    pub fn new(config: Config, restored: Restored) -> Result<Self, ConfigError> {
        config.check()?;
        let snapshot = restored.snapshot.unwrap_or_default();
        let applied = snapshot.last.index.max(restored.start.index).min(restored.last);
        let log = Log::restore(
            restored.start,
            restored.terms,
            restored.last,
            restored.last_time,
            applied,
        );
        let mut core = Core {
            term: restored.hard_state.term,
            vote: restored.hard_state.vote,
            membership: Membership::restore(&snapshot, restored.configurations),
            receiving: restored.receiving.map(|partial| Box::new(Receiving::restore(partial))),
            deferred: None,
            writes: Writes::restore(log.last().index),
            log,
            weights: Weights::restore(&restored.weights),
            out: Out::default(),
            forwarded: Forwarded::default(),
            rng: Rng::new(config.seed),
            now: 0,
            elapsed: 0,
            timeout: 0,
            unheard: 0,
            elections: 0,
            dropped: Dropped::default(),
            #[cfg(any(test, feature = "mutations"))]
            kept_lease: None,
            config,
        };
        core.restore_snapshot(&snapshot);
        core.forget_outrun_snapshot();
        core.reset_timer();
        if mutation::on(Mutation::PromiseForgottenOnRestart) {
            core.unheard = core.config.election_ticks;
        }
        let raft = Self { core, role: Role::Follower(Follower::default()) };
        raft.check();
        Ok(raft)
    }

    /// Takes one event. What follows from it is told by the next [`ready`](Self::ready).
    ///
    /// No message makes this panic: what no correct member can send is dropped and counted.
    ///
    /// # Panics
    /// When an own invariant is broken, or the driver breaks the contract.
    pub fn handle(&mut self, event: Event) {
        // Ticks and messages say themselves whether they stir.
        if !matches!(event, Event::Tick { .. } | Event::Clock { .. } | Event::Message(_)) {
            self.stir();
        }
        match event {
            Event::Tick { now } => self.tick(now),
            Event::Clock { now } => self.core.now = self.core.now.max(now),
            Event::Message(message) => self.message(message),
            Event::Persisted(number) => self.persisted(number),
            Event::Full(persist) => self.full(persist),
            Event::Stored { snapshot, stored } => self.stored(snapshot, stored),
            Event::Propose { number, data } => self.propose(number, data),
            Event::Read { number } => self.read(number),
            Event::ReadByLease { number, now } => self.read_by_lease(number, now),
            Event::Change { number, expected, steps, leave } => {
                let changed = self.change(expected, &steps, leave);
                self.core.out.changes.push((number, changed));
            }
            Event::LeaveJoint { number } => {
                let left = self.leave_joint();
                self.core.out.changes.push((number, left));
            }
            Event::Transfer { to } => self.transfer(to),
            Event::Unsent { number } => self.core.unsent(number),
            Event::Forget { number } => self.core.forget(number),
            Event::Form(configuration) => self.core.form(configuration),
            Event::Compact(start) => self.compact(start),
        }
        if cfg!(any(debug_assertions, feature = "fuzzing")) {
            self.check();
        }
    }

    /// Sets at how many ticks without a leader the next election begins, at least 1, until it is
    /// drawn anew: for exploring what a seed would reach only by chance.
    pub fn set_election_timeout(&mut self, ticks: u32) {
        self.core.timeout = ticks.max(1);
    }

    /// What to do now. Empty when nothing happened since the last call.
    pub fn ready(&mut self) -> Ready {
        self.send_appends();
        let committed = self.core.log.hand_out();
        #[cfg(any(test, feature = "mutations"))]
        self.apply_configurations();
        let out = core::mem::take(&mut self.core.out);
        Ready {
            persist: self.core.writes.take(self.core.log.last().index),
            send: out.send,
            chunks: out.chunks,
            committed,
            proposals: out.proposals,
            reads: out.reads,
            changes: out.changes,
        }
    }

    fn tick(&mut self, now: u64) {
        self.core.now = self.core.now.max(now);
        self.core.elapsed = self.core.elapsed.saturating_add(1);
        self.core.unheard = self.core.unheard.saturating_add(1);
        self.core.writes.tick();
        if matches!(self.role, Role::Leader(_)) {
            self.tick_leader();
        } else if self.core.elapsed >= self.core.timeout {
            self.core.reset_timer();
            self.time_out();
        }
    }

    fn persisted(&mut self, number: WriteNumber) {
        if let Some(end) = self.core.writes.persisted(number) {
            self.core.log.persisted(end);
        }
        self.count_own_vote(number);
        self.commit();
    }

    /// The one place that compares terms (paper §5.1).
    fn message(&mut self, message: Message) {
        if let Err(reason) = self.core.admit(&message) {
            self.core.dropped.count(reason);
            return;
        }
        if message.term > self.core.term {
            match message.body {
                // Neither asking nor a promise for later moves anybody's term.
                Body::PreVote { .. } | Body::PreVoted(Ballot::Granted) => {}
                Body::Vote { cause: Cause::Timeout, .. } if self.keeps_its_leader() => return,
                _ => self.follow(message.term, None),
            }
        } else if message.term < self.core.term && !message.body.is_refused_pre_vote() {
            self.core.answer_stale(&message);
            return;
        }
        self.dispatch(message);
    }

    /// What each role does with each message of its own term, or with a pre-vote of any.
    fn dispatch(&mut self, message: Message) {
        let Message { from, term, body, .. } = message;
        if !matches!(body, Body::HeartbeatAck { .. }) {
            self.stir();
        }
        match (&mut self.role, body) {
            (Role::Candidate(_), Body::PreVoted(ballot))
                if mutation::on(Mutation::PreVoteCountsAsVote) =>
            {
                self.on_voted(from, ballot);
            }
            (_, Body::PreVote { last }) => self.on_pre_vote(from, term, last),
            (_, Body::Vote { last, .. }) => self.on_vote(from, last),
            (Role::PreCandidate(_), Body::PreVoted(ballot)) => {
                self.on_pre_voted(from, term, ballot)
            }
            (Role::Candidate(_), Body::Voted(ballot)) => self.on_voted(from, ballot),

            (Role::Leader(_), Body::Append { .. } | Body::Committed { .. })
            | (Role::Leader(_), Body::Heartbeat { .. } | Body::Snapshot(_) | Body::TimeoutNow) => {
                self.core.dropped.impossible += 1;
            }
            (_, Body::TimeoutNow) => self.on_timeout_now(from),
            (_, Body::Append { prev, entries, commit }) => {
                self.heard(from);
                self.core.on_append(from, prev, entries, commit);
            }
            (_, Body::Committed { commit }) => {
                self.heard(from);
                self.core.on_committed(commit);
            }
            (_, Body::Heartbeat { round, commit }) => {
                self.heard(from);
                if self.core.on_committed(commit) {
                    self.core.answer(from, Body::HeartbeatAck { round });
                }
            }
            (_, Body::Snapshot(chunk)) => {
                self.heard(from);
                self.core.on_snapshot(from, *chunk);
            }

            (Role::Leader(_), Body::Appended { matched }) => self.on_appended(from, matched),
            (Role::Leader(_), Body::Rejected { prev, hint }) => self.on_rejected(from, prev, hint),
            (Role::Leader(_), Body::HeartbeatAck { round }) => self.on_heartbeat_ack(from, round),
            (Role::Leader(_), Body::Received { snapshot, stored }) => {
                self.on_received(from, snapshot, stored);
            }

            (Role::Leader(_), Body::Propose { boot, number, data }) => {
                self.on_propose(from, boot, number, data);
            }
            (Role::Leader(_), Body::Read { boot, number }) => self.on_read(from, boot, number),
            (_, Body::Propose { boot, number, .. }) => {
                self.core.answer(from, Body::Proposed { boot, number, appended: None });
            }
            (_, Body::Read { boot, number }) => {
                self.core.answer(from, Body::ReadAt { boot, number, index: None });
            }
            (_, Body::Proposed { boot, number, appended }) => {
                self.core.on_proposed(boot, number, appended);
            }
            (_, Body::ReadAt { boot, number, index }) => self.core.on_read_at(boot, number, index),

            // Answers to what an earlier role asked.
            (_, Body::PreVoted(_) | Body::Voted(_) | Body::Appended { .. })
            | (_, Body::Rejected { .. } | Body::HeartbeatAck { .. } | Body::Received { .. }) => {
                self.core.dropped.outdated += 1;
            }
        }
    }

    /// A message of the leader of this term arrived: it leads, whoever else was a candidate.
    fn heard(&mut self, leader: MemberId) {
        match &mut self.role {
            Role::Follower(follower) if follower.leader == Some(leader) => {}
            _ => self.follow(self.core.term, Some(leader)),
        }
        self.core.elapsed = 0;
        self.core.unheard = 0;
    }

    /// Becomes a follower in `term`.
    pub(crate) fn follow(&mut self, term: Term, leader: Option<MemberId>) {
        self.core.advance_term(term);
        self.become_role(Role::Follower(Follower { leader }));
    }

    /// The one place that changes roles: what the old one promised to callers is settled here.
    pub(crate) fn become_role(&mut self, role: Role) {
        let old = core::mem::replace(&mut self.role, role);
        if let Role::Leader(leader) = old {
            #[cfg(any(test, feature = "mutations"))]
            if mutation::on(Mutation::LeaseKeptOnStepDown) {
                self.core.kept_lease = Some(leader.lease.reopened());
            }
            self.core.refuse_reads(leader.reads);
            self.compact_deferred();
        }
        self.core.settle_forwarded();
        self.core.reset_timer();
    }

    /// The leader of this term, if it is known.
    #[must_use]
    pub fn leader(&self) -> Option<MemberId> {
        match &self.role {
            Role::Follower(follower) => follower.leader,
            Role::Leader(_) => Some(self.core.config.me),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// Asserts the invariants that hold between events. Called after each in debug builds.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check(&self) {
        self.core.log.check();
        assert!(self.configuration().is_sound(), "somebody votes in each half");
        self.core.membership.check(self.core.log.last().index);
        if let Some(receiving) = &self.core.receiving {
            receiving.check();
        }
        assert!(self.core.log.last().term <= self.core.term, "no entry is from a later term");
        if let Role::Leader(leader) = &self.role {
            for progress in leader.followers.values() {
                progress.check();
                assert!(progress.matched <= self.core.log.last().index, "nobody is ahead");
                let member = self.configuration().contains(progress.member);
                assert!(member, "only members are replicated to");
            }
        }
    }
}

impl Core {
    pub(crate) const fn hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote }
    }

    /// Moves to `term`, where nobody has this member's vote yet. Staying in a term keeps the vote.
    pub(crate) fn advance_term(&mut self, term: Term) {
        assert!(term >= self.term, "terms never fall");
        let same = mutation::on(Mutation::VoteClearedOnSameTermStepDown);
        if term > self.term || same {
            self.term = term;
            self.vote = None;
            self.writes.hard_state(self.hard_state());
        }
    }

    pub(crate) fn reset_timer(&mut self) {
        self.elapsed = 0;
        self.timeout = self.rng.up_to_twice(self.config.election_ticks);
    }

    pub(crate) const fn message(&self, to: MemberId, body: Body) -> Message {
        Message { from: self.config.me, to, term: self.term, body }
    }

    /// Sends at once: for what does not speak for the disk.
    pub(crate) fn answer(&mut self, to: MemberId, body: Body) {
        let message = self.message(to, body);
        self.out.send.push(Outbound::Message(message));
    }

    /// Sends once all that happened so far is durable.
    pub(crate) fn answer_durably(&mut self, to: MemberId, body: Body) {
        let message = self.message(to, body);
        self.writes.then(message);
    }

    /// A snapshot was on the disk before its entries were, or beside others: it wins.
    fn restore_snapshot(&mut self, snapshot: &SnapshotMeta) {
        if self.log.contains(snapshot.last) || snapshot.last.index <= self.log.start().index {
            return;
        }
        let start = LogStart { id: snapshot.last, time: snapshot.time };
        self.log = Log::default();
        self.log.reset(start.id, start.time);
        self.membership = Membership::restore(snapshot, Vec::new());
        self.writes.install(start, None);
        self.advance_term(self.term.max(snapshot.last.term));
    }
}
