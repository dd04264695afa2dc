//! What callers wait for: `Request`s come in, `Waiting` keeps them by number, and they are answered
//! when their command is applied, their read is confirmed, or neither can happen any more.

use super::{Driver, log_failed};
use crate::StateMachine;
use crate::envelope::{Envelope, Key};
use crate::node::Applied;
use crate::replica::Outcome;
use crate::stop::Stop;
use bytes::Bytes;
use holm_raft_core::{Entry, EntryKind, Event, Fate, Index, RequestNumber, Term};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use tokio::sync::oneshot;

/// What a caller asks of the driver.
pub(crate) enum Request<S: StateMachine> {
    Propose(Proposal<S>),
    /// Served once a round confirmed this cluster's leader.
    Read {
        until: u64,
        serve: Serve<S>,
    },
    /// Served at once, from whatever is applied here.
    ReadLocal {
        serve: Serve<S>,
    },
    Shutdown,
}

pub(crate) struct Proposal<S: StateMachine> {
    /// Encoded with postcard.
    pub(crate) command: Bytes,
    pub(crate) key: Option<Key>,
    /// When the caller gives up, by the node's clock.
    pub(crate) until: u64,
    pub(crate) reply: oneshot::Sender<Result<Applied<S::Reply>, Failed>>,
}

/// Shows the state to a reader, or says why it can't.
pub(crate) type Serve<S> = Box<dyn FnOnce(Result<&S, Failed>) + Send>;

/// Why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It had no effect and never will: it can simply be asked again.
    Refused,
    /// It may or may not take effect.
    Unknown,
    KeyReused,
    KeysFull,
    Busy,
    DiskFull,
}

/// Requests that are not answered yet.
pub(crate) struct Waiting<S: StateMachine> {
    last_number: u64,
    pub(super) proposals_seen: u64,
    proposals: BTreeMap<RequestNumber, Waiter<S>>,
    /// Where the leader put a proposal. Another term's entry at that index means it never commits.
    placed: BTreeMap<Index, (Term, RequestNumber)>,
    reads: BTreeMap<RequestNumber, Reader<S>>,
    /// Reads that are confirmed, and wait for this index to be applied.
    confirmed: BTreeMap<(Index, RequestNumber), Reader<S>>,
}

struct Waiter<S: StateMachine> {
    until: u64,
    keyed: Keyed,
    reply: oneshot::Sender<Result<Applied<S::Reply>, Failed>>,
}

/// Whether a proposal may be made again while its outcome is unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyed {
    Yes,
    No,
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
            placed: BTreeMap::new(),
            reads: BTreeMap::new(),
            confirmed: BTreeMap::new(),
        }
    }
}

impl<S: StateMachine> Waiting<S> {
    fn number(&mut self) -> RequestNumber {
        self.last_number += 1;
        RequestNumber(self.last_number)
    }

    fn count(&self) -> usize {
        self.proposals.len() + self.reads.len() + self.confirmed.len()
    }

    fn answer(&mut self, number: RequestNumber, answer: Result<Applied<S::Reply>, Failed>) {
        if let Some(waiter) = self.proposals.remove(&number) {
            // A caller that no longer listens has given up waiting.
            let _ = waiter.reply.send(answer);
        }
    }

    /// A snapshot took the place of all entries up to `to`: what they did can't be told any more.
    pub(super) fn skipped(&mut self, to: Index) {
        let later = self.placed.split_off(&to.next());
        for (_, number) in std::mem::replace(&mut self.placed, later).into_values() {
            self.answer(number, Err(Failed::Unknown));
        }
    }
}

impl<S: StateMachine> Driver<S> {
    pub(super) fn request(&mut self, request: Request<S>) -> Result<(), Stop> {
        let full = self.waiting.count() >= self.config.waiting_requests_max;
        match request {
            Request::Propose(proposal) if full => {
                let _ = proposal.reply.send(Err(Failed::Busy));
            }
            // What can't be written here can't be applied here.
            Request::Propose(proposal) if self.health.is_full() => {
                let _ = proposal.reply.send(Err(Failed::DiskFull));
            }
            Request::Propose(proposal) => self.propose(proposal),
            Request::Read { serve, .. } if full => serve(Err(Failed::Busy)),
            Request::Read { until, serve } => {
                let number = self.waiting.number();
                self.waiting.reads.insert(number, Reader { until, serve });
                self.raft.handle(Event::Read { number });
            }
            Request::ReadLocal { serve } => serve(Ok(&self.replica.state)),
            Request::Shutdown => return Err(Stop::Shutdown),
        }
        Ok(())
    }

    fn propose(&mut self, proposal: Proposal<S>) {
        let Proposal { command, key, until, reply } = proposal;
        let number = self.waiting.number();
        self.waiting.proposals_seen += 1;
        let keyed = if key.is_some() { Keyed::Yes } else { Keyed::No };
        self.waiting.proposals.insert(number, Waiter { until, keyed, reply });
        let data = Envelope { boot: self.boot, number, key, command }.encode();
        self.raft.handle(Event::Propose { number, data });
    }

    /// The core knows something of a proposal.
    pub(super) fn told(&mut self, number: RequestNumber, fate: Fate) {
        let keyed = self.waiting.proposals.get(&number).map(|waiter| waiter.keyed);
        match fate {
            Fate::Appended(id) if id.index > self.applied => {
                self.waiting.placed.insert(id.index, (id.term, number));
            }
            Fate::Refused => self.waiting.answer(number, Err(Failed::Refused)),
            // With a key it is safe to ask again at once; without one, it may still be applied.
            Fate::Unknown if keyed == Some(Keyed::Yes) => {
                self.waiting.answer(number, Err(Failed::Unknown));
            }
            Fate::Appended(_) | Fate::Unknown => {}
        }
    }

    /// Applies committed entries in order, and answers whoever waits for them here.
    pub(super) fn apply(&mut self, range: RangeInclusive<Index>) -> Result<(), Stop> {
        const BYTES_AT_A_TIME: u64 = 1 << 20;
        let last = *range.end();
        while self.applied < last {
            let entries = self
                .wal
                .entries(self.applied.next()..=last, BYTES_AT_A_TIME)
                .map_err(|error| log_failed(&error))?;
            for entry in entries {
                assert_eq!(entry.id.index, self.applied.next(), "applied in order, each once");
                self.apply_entry(&entry)?;
                self.applied = entry.id.index;
            }
        }
        self.serve_reads();
        Ok(())
    }

    fn apply_entry(&mut self, entry: &Entry) -> Result<(), Stop> {
        let index = entry.id.index;
        if entry.kind == EntryKind::Command {
            let unreadable = || {
                let why = "it can't be decoded; run the build that wrote it";
                Stop::Fault(format!("the command at index {index} is of another format: {why}"))
            };
            let envelope = Envelope::decode(entry.data.clone()).ok_or_else(unreadable)?;
            let outcome = self
                .replica
                .apply(&envelope, index, entry.time)
                .map_err(|error| Self::unreadable(&error))?;
            if envelope.boot == self.boot {
                let answer = match outcome {
                    Outcome::Applied { reply, index } => Ok(Applied { reply, index }),
                    Outcome::KeyReused => Err(Failed::KeyReused),
                    Outcome::KeysFull => Err(Failed::KeysFull),
                };
                self.waiting.answer(envelope.number, answer);
            }
        }
        // Another leader's entry stands where a proposal was placed: that one never commits.
        if let Some((term, number)) = self.waiting.placed.remove(&index)
            && term != entry.id.term
        {
            self.waiting.answer(number, Err(Failed::Refused));
        }
        Ok(())
    }

    /// A read is linearizable from `index` on, or was refused.
    pub(super) fn may_read(&mut self, number: RequestNumber, index: Option<Index>) {
        let Some(reader) = self.waiting.reads.remove(&number) else { return };
        match index {
            None => (reader.serve)(Err(Failed::Refused)),
            Some(index) if index <= self.applied => (reader.serve)(Ok(&self.replica.state)),
            Some(index) => {
                self.waiting.confirmed.insert((index, number), reader);
            }
        }
    }

    /// Serves the reads whose index is applied by now.
    pub(super) fn serve_reads(&mut self) {
        while let Some(first) = self.waiting.confirmed.first_entry()
            && first.key().0 <= self.applied
        {
            (first.remove().serve)(Ok(&self.replica.state));
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
