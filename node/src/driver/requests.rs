//! What callers wait for: `Request`s come in, `Waiting` keeps them by number, and they are answered
//! when their command is applied, their read is confirmed, or neither can happen any more.

use super::{CallRequest, Driver};
use crate::StateMachine;
use crate::applier::{Answered, Reply};
use crate::backup::Copied;
use crate::envelope::{Body, Envelope, Once};
use crate::error::Error;
use crate::members::{Ask, Members, Told};
use crate::mutation::{Mutation, on};
use crate::room::Place;
use crate::stop::Stop;
use holm_raft_core::{Configuration, EntryId, Event, Fate, Index, MemberId, RequestNumber, Term};
use holm_transport::KeyRing;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a caller asks of the driver.
pub(crate) enum Request<S: StateMachine> {
    Propose(Proposal<S>),
    /// Served once the cluster's leader is confirmed.
    Read {
        confirm: Confirm,
        until: u64,
        serve: Serve<S>,
    },
    /// Served here once all up to `from` is applied, whatever a leader says.
    ReadLocal {
        from: Index,
        until: u64,
        serve: Serve<S>,
    },
    /// Handshakes are with these secrets from now on.
    ChangeSecrets {
        ring: KeyRing,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// The members, as they are known here.
    Members {
        reply: oneshot::Sender<Members>,
    },
    /// Who this is, and the members that are committed here, with their index.
    Committed {
        reply: oneshot::Sender<(MemberId, Index, Configuration)>,
    },
    /// For the leader, whoever that is.
    Membership {
        ask: Ask,
        /// By the node's clock.
        until: u64,
        reply: oneshot::Sender<Told>,
    },
    /// A copy of the whole state; none if there is no cluster yet.
    Copy {
        reply: oneshot::Sender<Option<Copied<S::Snapshot>>>,
    },
    /// Other members are asked, or answered.
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "HTTP alone asks other members"))]
    Calls(CallRequest),
    Shutdown,
}

pub(crate) struct Proposal<S: StateMachine> {
    pub(crate) body: Body,
    pub(crate) once: Once,
    /// When the caller gives up, by the node's clock.
    pub(crate) until: u64,
    pub(crate) reply: Reply<S>,
    /// What the command takes up while it waits for the driver, if nobody holds it any more.
    pub(crate) place: Arc<Place>,
}

/// Shows the state, as it was at an index, to a reader, or says why it can't.
pub(crate) type Serve<S> = Box<dyn FnOnce(Result<(&S, Index), Failed>) + Send>;

/// How a read knows that what it sees is not old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirm {
    /// The leader asks a majority.
    ByRound,
    /// The leader's lease says so, if this member leads; else as by a round.
    ByLease,
}

/// Why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It had no effect and never will: it can simply be asked again.
    Refused,
    /// It may or may not take effect.
    Unknown,
    KeyReused,
    Fenced,
    /// This bound on what is remembered of keys is reached.
    KeysFull {
        limit: &'static str,
    },
    SessionExpired,
    /// This bound on what is remembered of sessions is reached.
    SessionsFull {
        limit: &'static str,
    },
    Busy,
    DiskFull,
}

/// Requests that are not answered yet.
pub(crate) struct Waiting<S: StateMachine> {
    last_number: u64,
    pub(super) proposals_seen: u64,
    proposals: BTreeMap<RequestNumber, Waiter<S>>,
    reads: BTreeMap<RequestNumber, Reader<S>>,
    /// Reads that are confirmed, and wait for this index to be applied.
    confirmed: BTreeMap<(Index, RequestNumber), Reader<S>>,
}

struct Waiter<S: StateMachine> {
    until: u64,
    /// In which term it was proposed, here or to that term's leader: it is appended in that term,
    /// or never.
    term: Term,
    /// Where that term's leader has put it, once that is known.
    placed: Option<Index>,
    repeats: Repeats,
    reply: Reply<S>,
}

/// Whether a proposal may be made again while its outcome is unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Freely,
    Never,
}

struct Reader<S> {
    until: u64,
    serve: Serve<S>,
}

impl<S: StateMachine> Default for Waiting<S> {
    fn default() -> Self {
        Self {
            last_number: 0,
            proposals_seen: 0,
            proposals: BTreeMap::new(),
            reads: BTreeMap::new(),
            confirmed: BTreeMap::new(),
        }
    }
}

impl<S: StateMachine> Waiting<S> {
    pub(super) fn number(&mut self) -> RequestNumber {
        self.last_number += 1;
        RequestNumber(self.last_number)
    }

    fn count(&self) -> usize {
        self.proposals.len() + self.reads.len() + self.confirmed.len()
    }

    /// Who waits for a proposal, which is about to be applied.
    pub(super) fn take(&mut self, number: RequestNumber) -> Option<Reply<S>> {
        self.proposals.remove(&number).map(|waiter| waiter.reply)
    }

    fn answer(&mut self, number: RequestNumber, answer: Result<Answered<S::Reply>, Failed>) {
        if let Some(waiter) = self.proposals.remove(&number) {
            // A caller that no longer listens has given up waiting.
            let _ = waiter.reply.send(answer);
        }
    }

    /// A snapshot took the place of all entries up to `to`: what they did can't be told any more.
    pub(super) fn skipped(&mut self, to: EntryId) {
        self.answer_those(Failed::Unknown, |waiter| {
            waiter.term <= to.term && waiter.placed.is_none_or(|index| index <= to.index)
        });
    }

    /// An entry of this term is committed, and all before it is known: what was proposed in an
    /// earlier term and was not among that never takes effect, since terms never fall within a log
    /// (paper §5.3).
    pub(super) fn outlived(&mut self, term: Term) {
        self.answer_those(Failed::Refused, |waiter| waiter.term < term);
    }

    fn answer_those(&mut self, failed: Failed, which: impl Fn(&Waiter<S>) -> bool) {
        for (_, waiter) in self.proposals.extract_if(.., |_, waiter| which(waiter)) {
            // A caller that no longer listens has given up waiting.
            let _ = waiter.reply.send(Err(failed));
        }
    }

    /// Whether a proposal is not answered yet.
    pub(super) fn has_proposals(&self) -> bool {
        !self.proposals.is_empty()
    }
}

impl<S: StateMachine> Driver<S> {
    pub(super) fn request(&mut self, request: Request<S>) -> Result<(), Stop> {
        let gathered = self.gathering.proposals.len();
        let callers = self.waiting.count() + gathered + self.applying.callers();
        let full = callers >= self.config.waiting_requests_max;
        match request {
            Request::Propose(proposal) if full => {
                let _ = proposal.reply.send(Err(Failed::Busy));
            }
            // What can't be written here can't be applied here.
            Request::Propose(proposal) if self.health.is_full() => {
                let _ = proposal.reply.send(Err(Failed::DiskFull));
            }
            // It would take effect, if at all, when nobody is here any more to say so.
            Request::Propose(proposal) if self.parting.is_some() => {
                let _ = proposal.reply.send(Err(Failed::Refused));
            }
            Request::Propose(proposal) => self.gathering.proposals.push(proposal),
            Request::Read { serve, .. } if full => serve(Err(Failed::Busy)),
            Request::Read { serve, .. } if on(Mutation::ReadAtTheOwnCommit) => {
                self.applying.read(serve);
            }
            Request::Read { confirm, until, serve } => {
                let number = self.waiting.number();
                self.waiting.reads.insert(number, Reader { until, serve });
                self.raft.handle(match confirm {
                    Confirm::ByRound => Event::Read { number },
                    Confirm::ByLease => Event::ReadByLease { number, now: self.edges.clock.now() },
                });
            }
            Request::ReadLocal { serve, .. } if full => serve(Err(Failed::Busy)),
            Request::ReadLocal { from, until, serve } if from > self.applying.handed => {
                let number = self.waiting.number();
                self.waiting.confirmed.insert((from, number), Reader { until, serve });
            }
            Request::ReadLocal { serve, .. } => self.applying.read(serve),
            Request::ChangeSecrets { ring, reply } => {
                // A caller that no longer listens learns of it by the status.
                let _ = reply.send(self.change_secrets(ring));
            }
            Request::Calls(request) => self.call_request(request),
            Request::Members { reply } => {
                let _ = reply.send(self.members_now());
            }
            Request::Committed { reply } => {
                let (index, members) = self.raft.configuration_at(self.raft.glance().committed);
                let _ = reply.send((self.me, index, members.clone()));
            }
            Request::Membership { ask, until, reply } => self.ask_leader(ask, until, reply),
            Request::Copy { reply } => self.copy(reply)?,
            Request::Shutdown => self.part(Stop::Shutdown),
        }
        Ok(())
    }

    pub(super) fn propose(&mut self, proposal: Proposal<S>) {
        let Proposal { body, once, until, reply, place: _place } = proposal;
        let number = self.waiting.number();
        self.waiting.proposals_seen += 1;
        let repeats = if once.is_repeatable() { Repeats::Freely } else { Repeats::Never };
        let term = self.raft.glance().term;
        self.waiting.proposals.insert(number, Waiter { until, term, placed: None, repeats, reply });
        let data = Envelope { boot: self.boot, number, once, body }.encode();
        self.raft.handle(Event::Propose { number, data });
    }

    /// The core knows something of a proposal.
    pub(super) fn told(&mut self, number: RequestNumber, fate: Fate) {
        let Some(waiter) = self.waiting.proposals.get_mut(&number) else { return };
        match fate {
            Fate::Appended(id) => waiter.placed = Some(id.index),
            Fate::Refused => self.waiting.answer(number, Err(Failed::Refused)),
            // What takes effect once may be asked for again at once; other things may still be
            // applied.
            Fate::Unknown if waiter.repeats == Repeats::Freely => {
                self.waiting.answer(number, Err(Failed::Unknown));
            }
            Fate::Unknown => {}
        }
    }

    /// A read is linearizable from `index` on, or was refused.
    pub(super) fn may_read(&mut self, number: RequestNumber, index: Option<Index>) {
        let Some(reader) = self.waiting.reads.remove(&number) else { return };
        match index {
            None => (reader.serve)(Err(Failed::Refused)),
            Some(index) if index <= self.applying.handed => self.applying.read(reader.serve),
            Some(index) => {
                self.waiting.confirmed.insert((index, number), reader);
            }
        }
    }

    /// Serves the reads whose index is handed over by now: they come after it.
    pub(super) fn serve_reads(&mut self) {
        while let Some(first) = self.waiting.confirmed.first_entry()
            && first.key().0 <= self.applying.handed
        {
            self.applying.read(first.remove().serve);
        }
    }

    /// Callers that gave up are not waited for.
    pub(super) fn forget_abandoned(&mut self, now: u64) {
        let waiting = &mut self.waiting;
        let late = |until: u64| until < now;
        let proposals = waiting.proposals.extract_if(.., |_, waiter| late(waiter.until));
        let mut forgotten: Vec<RequestNumber> = proposals.map(|(number, _)| number).collect();
        let reads = waiting.reads.extract_if(.., |_, reader| late(reader.until));
        forgotten.extend(reads.map(|(number, _)| number));
        waiting.confirmed.retain(|_, reader| !late(reader.until));
        for number in forgotten {
            self.raft.handle(Event::Forget { number });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use tokio::sync::oneshot;

    type Answer = oneshot::Receiver<Result<Answered<crate::store::Reply>, Failed>>;

    fn waits(waiting: &mut Waiting<Store>, term: u64) -> (RequestNumber, Answer) {
        let (reply, answer) = oneshot::channel();
        let number = waiting.number();
        let (term, repeats) = (Term(term), Repeats::Never);
        let waiter = Waiter { until: u64::MAX, term, placed: None, repeats, reply };
        waiting.proposals.insert(number, waiter);
        (number, answer)
    }

    #[test]
    fn what_a_later_term_left_behind_was_refused_and_nothing_else() {
        let mut waiting = Waiting::default();
        let (_, mut old) = waits(&mut waiting, 2);
        let (_, mut new) = waits(&mut waiting, 3);
        waiting.outlived(Term(3));
        assert_eq!(old.try_recv().unwrap().unwrap_err(), Failed::Refused);
        assert!(new.try_recv().is_err(), "it may still be appended in this term");
    }

    #[test]
    fn what_a_snapshot_may_hold_is_unknown_and_nothing_else() {
        let mut waiting = Waiting::default();
        let (within, mut placed_within) = waits(&mut waiting, 2);
        let (behind, mut placed_behind) = waits(&mut waiting, 2);
        let (_, mut anywhere) = waits(&mut waiting, 2);
        let (_, mut later) = waits(&mut waiting, 3);
        for (number, index) in [(within, 5), (behind, 6)] {
            waiting.proposals.get_mut(&number).unwrap().placed = Some(Index(index));
        }
        waiting.skipped(EntryId { term: Term(2), index: Index(5) });
        assert_eq!(placed_within.try_recv().unwrap().unwrap_err(), Failed::Unknown);
        assert_eq!(anywhere.try_recv().unwrap().unwrap_err(), Failed::Unknown);
        assert!(placed_behind.try_recv().is_err());
        assert!(later.try_recv().is_err());
    }
}
