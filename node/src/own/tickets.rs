//! One-time tickets as they are replicated: `Tickets` knows of each its name (a hash of what its
//! holder has, so that nobody can make one of what is in a log or a snapshot), what it is for, and
//! who has consumed it.
//!
//! A ticket is consumed at most once. Whoever consumed it is answered alike again, until it is
//! forgotten: at its expiry, but not within [`RETRY_MS`] after it was consumed.

use crate::mutation::{Mutation, on};
use holm_raft_core::LogTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most tickets at a time. Part of the replicated behaviour: not a setting.
pub(crate) const TICKETS_MAX: usize = 100_000;
/// The most bytes of all tickets together.
pub(crate) const TICKETS_BYTES_MAX: u64 = 32 << 20;
/// For how long, in milliseconds of log time, a ticket that was consumed is remembered at least, so
/// that its consumer can ask again.
pub(crate) const RETRY_MS: u64 = 600_000;
/// What a ticket weighs besides what is said in it.
const TICKET_BYTES: u64 = 160;

/// Names a ticket without telling it: a hash of its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Name(pub(crate) [u8; 32]);

/// What changes the tickets. Applied again, each changes nothing and is answered alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Makes one, which can be consumed for `ttl` milliseconds of log time.
    Issue {
        name: Name,
        purpose: Vec<u8>,
        payload: Vec<u8>,
        ttl: u64,
        /// For how many milliseconds after its expiry it is known still, so that whoever comes late
        /// is told why.
        remembered: u64,
        /// From this log time on it has no effect: a ticket that was forgotten does not come back
        /// when what made it arrives a second time.
        void_after: u64,
    },
    Consume {
        name: Name,
        purpose: Vec<u8>,
        consumer: Vec<u8>,
    },
    /// What its consumer wanted by it is done: from now on it is refused to him as well.
    Spend {
        name: Name,
        purpose: Vec<u8>,
        consumer: Vec<u8>,
    },
    /// Takes one back that nobody has consumed.
    Withdraw {
        name: Name,
        purpose: Vec<u8>,
    },
}

/// What it led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Issued,
    /// Too many are there.
    Full,
    /// It came too late to make one, at this log time.
    Void {
        now: u64,
    },
    /// Consumed, now or before by the same consumer.
    Consumed {
        payload: Vec<u8>,
    },
    Spent,
    Withdrawn,
    Refused(Why),
}

/// Why a ticket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    /// There is none, or none any more, or it is for something else.
    Unknown,
    /// Its time is over, or it was withdrawn.
    Expired,
    /// Somebody else has consumed it, or it is spent.
    Used,
}

/// Invariants: `expiry` names exactly the tickets, by when they are forgotten; `bytes` is what they
/// weigh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Known", into = "Known")]
pub(crate) struct Tickets {
    known: Known,
    expiry: BTreeSet<(u64, Name)>,
    bytes: u64,
}

/// What snapshots carry.
type Known = BTreeMap<Name, Ticket>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ticket {
    purpose: Vec<u8>,
    payload: Vec<u8>,
    /// From this log time on it can't be consumed.
    expires: u64,
    /// From this log time on it is not known.
    forgotten: u64,
    consumer: Option<Vec<u8>>,
    /// Its consumer has got what he wanted.
    spent: bool,
}

impl Ticket {
    fn weight(&self) -> u64 {
        let consumer = self.consumer.as_ref().map_or(0, Vec::len);
        TICKET_BYTES + (self.purpose.len() + self.payload.len() + consumer) as u64
    }
}

impl From<Known> for Tickets {
    fn from(known: Known) -> Self {
        let expiry = known.iter().map(|(name, ticket)| (ticket.forgotten, *name)).collect();
        let bytes = known.values().map(Ticket::weight).sum();
        Self { known, expiry, bytes }
    }
}

impl From<Tickets> for Known {
    fn from(tickets: Tickets) -> Self {
        tickets.known
    }
}

impl Tickets {
    pub(super) fn apply(&mut self, command: Command, now: LogTime) -> Reply {
        self.expire(now);
        match command {
            Command::Issue { name, purpose, payload, ttl, remembered, void_after } => {
                if let Some(ticket) = self.known.get(&name) {
                    let same = ticket.purpose == purpose && ticket.payload == payload;
                    return if same { Reply::Issued } else { Reply::Refused(Why::Used) };
                }
                if now.0 >= void_after {
                    return Reply::Void { now: now.0 };
                }
                // It must be known until what made it is void.
                let ttl = if on(Mutation::TicketWithoutEnd) { u64::MAX } else { ttl };
                let expires = now.0.saturating_add(ttl);
                let forgotten = expires.saturating_add(remembered).max(void_after);
                let (consumer, spent) = (None, false);
                let ticket = Ticket { purpose, payload, expires, forgotten, consumer, spent };
                let full = self.known.len() >= TICKETS_MAX
                    || self.bytes.saturating_add(ticket.weight()) > TICKETS_BYTES_MAX;
                if full {
                    return Reply::Full;
                }
                self.keep(name, ticket);
                Reply::Issued
            }
            Command::Consume { name, purpose, consumer } => {
                self.consume(name, &purpose, consumer, now)
            }
            Command::Spend { name, purpose, consumer } => match self.known.get_mut(&name) {
                Some(ticket) if ticket.purpose == purpose && ticket.consumer == Some(consumer) => {
                    ticket.spent = true;
                    Reply::Spent
                }
                _ => Reply::Refused(Why::Unknown),
            },
            Command::Withdraw { name, purpose } => match self.known.get(&name) {
                Some(ticket) if ticket.purpose == purpose && ticket.consumer.is_none() => {
                    // It stays known, so that it is not made again.
                    let mut ticket = self.take(name);
                    ticket.expires = 0;
                    self.keep(name, ticket);
                    Reply::Withdrawn
                }
                Some(ticket) if ticket.purpose == purpose => Reply::Refused(Why::Used),
                _ => Reply::Refused(Why::Unknown),
            },
        }
    }

    fn consume(&mut self, name: Name, purpose: &[u8], consumer: Vec<u8>, now: LogTime) -> Reply {
        let Some(ticket) = self.known.get(&name) else {
            return Reply::Refused(Why::Unknown);
        };
        if ticket.purpose != purpose {
            return Reply::Refused(Why::Unknown);
        }
        match &ticket.consumer {
            Some(first) if *first == consumer && on(Mutation::TicketRetryRefused) => {
                return Reply::Refused(Why::Used);
            }
            Some(first)
                if (*first == consumer && !ticket.spent) || on(Mutation::TicketForEverybody) =>
            {
                return Reply::Consumed { payload: ticket.payload.clone() };
            }
            Some(_) if on(Mutation::TicketAdmitsTwice) => {}
            Some(_) => return Reply::Refused(Why::Used),
            None if now.0 >= ticket.expires => return Reply::Refused(Why::Expired),
            None => {}
        }
        let mut ticket = self.take(name);
        ticket.consumer = Some(consumer);
        ticket.forgotten = ticket.forgotten.max(now.0.saturating_add(RETRY_MS));
        let payload = ticket.payload.clone();
        self.keep(name, ticket);
        Reply::Consumed { payload }
    }

    /// Forgets what is no longer needed.
    pub(super) fn expire(&mut self, now: LogTime) {
        while let Some((forgotten, name)) = self.expiry.first().copied()
            && forgotten <= now.0
        {
            self.take(name);
        }
    }

    /// When the next is forgotten.
    pub(super) fn due(&self) -> Option<LogTime> {
        self.expiry.first().map(|(forgotten, _)| LogTime(*forgotten))
    }

    /// How many for this purpose can be consumed at this log time.
    pub(crate) fn open(&self, purpose: &[u8], now: LogTime) -> usize {
        let open = |ticket: &&Ticket| {
            ticket.purpose == purpose && ticket.consumer.is_none() && now.0 < ticket.expires
        };
        self.known.values().filter(open).count()
    }

    /// How many are known, consumed or not.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }

    fn keep(&mut self, name: Name, ticket: Ticket) {
        self.bytes += ticket.weight();
        self.expiry.insert((ticket.forgotten, name));
        self.known.insert(name, ticket);
    }

    fn take(&mut self, name: Name) -> Ticket {
        let ticket = self.known.remove(&name).expect("it was found just now");
        self.expiry.remove(&(ticket.forgotten, name));
        self.bytes -= ticket.weight();
        ticket
    }
}

#[cfg(test)]
mod tests;
