//! Issuing and consuming one-time tickets: `Tickets`, made by `Node::tickets`.

use super::ticket::Ticket;
use crate::StateMachine;
use crate::error::Error;
use crate::measures::Presented;
use crate::node::{Node, check_size, millis};
use crate::own;
use crate::own::tickets::{Command, Reply, TICKETS_MAX, Why};
use crate::reading::Consistency;
use std::time::Duration;

/// One-time tickets for one purpose; made by [`Node::tickets`].
///
/// A ticket is made on any member and consumed on any member, at most once, whoever presents it and
/// wherever. The log and the snapshots hold a hash of it, never the ticket.
pub struct Tickets<S: StateMachine> {
    node: Node<S>,
    purpose: Vec<u8>,
}

/// Why a ticket was not issued or consumed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// It is not valid: mistyped, unknown, expired, withdrawn, for another purpose, or somebody
    /// else has consumed it. Which of these, nobody is told who presents one.
    #[error("the ticket is not valid; ask for another one")]
    Refused,
    /// Too many tickets wait to be consumed, or to expire. None was issued.
    #[error("{limit} tickets, or 32 MiB of them, are known already; wait until some expire")]
    Full {
        /// The bound (`tickets_max`).
        limit: usize,
    },
    /// It would live for too short or too long. None was issued.
    #[error("a ticket can't live for {ttl:?}; give it from 1 s to 400 days")]
    Lifetime {
        /// What was asked for.
        ttl: Duration,
    },
    /// The cluster did not answer, or something is too large.
    #[error(transparent)]
    Node(#[from] Error),
}

/// A member whose idea of log time is too old is told it, and asks again.
const ATTEMPTS_MAX: u32 = 4;

impl<S: StateMachine> Node<S> {
    /// One-time tickets for a purpose of the caller's, 1 to 64 bytes. A ticket for one purpose is
    /// none for another.
    #[must_use]
    pub fn tickets(&self, purpose: &str) -> Tickets<S> {
        Tickets { node: self.clone(), purpose: purpose.as_bytes().to_vec() }
    }
}

impl<S: StateMachine> Tickets<S> {
    /// The most bytes of a purpose.
    pub const PURPOSE_BYTES_MAX: usize = 64;
    /// The most bytes of what a ticket carries.
    pub const PAYLOAD_BYTES_MAX: usize = 1024;
    /// The most bytes that a consumer is named by.
    pub const CONSUMER_BYTES_MAX: usize = 64;

    /// Issues a ticket that can be consumed for `ttl`, 1 s to 400 days in log time: that stands
    /// still while nobody leads, so a ticket expires late, never early. Whoever consumes it is
    /// handed the payload, which is in the log as it is: it is no place for a secret.
    ///
    /// The ticket is committed once this has returned. Dropping the future may leave a ticket that
    /// nobody has.
    ///
    /// # Errors
    /// [`TicketError::Full`], [`TicketError::Lifetime`], or what [`Node::propose`] may fail with;
    /// then nobody has a ticket.
    pub async fn issue(&self, ttl: Duration, payload: &[u8]) -> Result<Ticket, TicketError> {
        self.issue_remembered(ttl, Duration::ZERO, payload).await
    }

    /// The same; for so long after its expiry it is known that it has expired.
    pub(crate) async fn issue_remembered(
        &self,
        ttl: Duration,
        remembered: Duration,
        payload: &[u8],
    ) -> Result<Ticket, TicketError> {
        check_size("a ticket's purpose", self.purpose.len(), Self::PURPOSE_BYTES_MAX)?;
        check_size("a ticket's payload", payload.len(), Self::PAYLOAD_BYTES_MAX)?;
        if ttl < Duration::from_secs(1) || ttl > Duration::from_secs(400 * 24 * 3600) {
            return Err(TicketError::Lifetime { ttl });
        }
        let (ticket, ttl) = (Ticket::draw(&*self.node.entropy), millis(ttl));
        let mut now = self.node.own.believed_now().0;
        for _ in 0..ATTEMPTS_MAX {
            let issue = Command::Issue {
                name: ticket.name(),
                purpose: self.purpose.clone(),
                payload: payload.to_vec(),
                ttl,
                remembered: millis(remembered),
                void_after: now.saturating_add(ttl),
            };
            match self.propose(issue).await? {
                Reply::Issued => return Ok(ticket),
                Reply::Full => return Err(TicketError::Full { limit: TICKETS_MAX }),
                Reply::Void { now: told } => now = told,
                other => unreachable!("issuing is not answered by {other:?}"),
            }
        }
        Err(TicketError::Node(Error::Unavailable { waited: self.node.request_timeout() }))
    }

    /// Consumes a ticket in the name of `consumer`, 1 to 64 bytes, and returns its payload. The
    /// same consumer is answered alike when it asks again, for 10 minutes at least; anybody else is
    /// refused.
    ///
    /// Dropping the future does not take it back.
    ///
    /// # Errors
    /// [`TicketError::Refused`], or what [`Node::propose`] may fail with: then it may or may not be
    /// consumed, and the same consumer may ask again.
    pub async fn consume(&self, text: &str, consumer: &[u8]) -> Result<Vec<u8>, TicketError> {
        self.consumed(text, consumer).await?.map_err(|_| TicketError::Refused)
    }

    /// The same, and why it is refused, for those who may be told.
    pub(crate) async fn consumed(
        &self,
        text: &str,
        consumer: &[u8],
    ) -> Result<Result<Vec<u8>, Why>, TicketError> {
        check_size("a ticket's consumer", consumer.len(), Self::CONSUMER_BYTES_MAX)?;
        let Ok(ticket) = text.parse::<Ticket>() else { return Ok(Err(self.refused(Why::Unknown))) };
        let (purpose, consumer) = (self.purpose.clone(), consumer.to_vec());
        match self.propose(Command::Consume { name: ticket.name(), purpose, consumer }).await? {
            Reply::Consumed { payload } => Ok(Ok(payload)),
            Reply::Refused(why) => Ok(Err(self.refused(why))),
            other => unreachable!("consuming is not answered by {other:?}"),
        }
    }

    /// From now on the ticket is refused to its consumer as well: what he wanted by it is done.
    /// Nothing happens to a ticket that somebody else has consumed, or nobody.
    pub(crate) async fn spend(&self, text: &str, consumer: &[u8]) -> Result<(), TicketError> {
        let Ok(ticket) = text.parse::<Ticket>() else { return Ok(()) };
        let (purpose, consumer) = (self.purpose.clone(), consumer.to_vec());
        self.propose(Command::Spend { name: ticket.name(), purpose, consumer }).await?;
        Ok(())
    }

    /// Takes a ticket back that nobody has consumed.
    ///
    /// # Errors
    /// As for [`consume`](Self::consume).
    pub async fn withdraw(&self, text: &str) -> Result<(), TicketError> {
        let ticket: Ticket = text.parse().map_err(|_| self.refused(TicketError::Refused))?;
        let purpose = self.purpose.clone();
        match self.propose(Command::Withdraw { name: ticket.name(), purpose }).await? {
            Reply::Withdrawn => Ok(()),
            _ => Err(self.refused(TicketError::Refused)),
        }
    }

    /// How many tickets for this purpose can be consumed, by what was committed before the call.
    ///
    /// # Errors
    /// As for [`Node::read`].
    pub async fn open(&self) -> Result<usize, Error> {
        let purpose = self.purpose.clone();
        let count =
            move |state: &own::State, last: own::Moment| state.tickets.open(&purpose, last.time);
        self.node.read_own(Consistency::Linearizable, count).await.map(|seen| seen.value)
    }

    /// Counts that something was refused.
    fn refused<T>(&self, why: T) -> T {
        self.node.measures.refused(Presented::Ticket);
        why
    }

    async fn propose(&self, command: Command) -> Result<Reply, Error> {
        let command = own::Command::Ticket(command);
        match self.node.propose_own(&command).await?.reply {
            own::Reply::Ticket(reply) => Ok(reply),
            other => unreachable!("a ticket's command is not answered by {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::Store;

    #[tokio::test]
    async fn an_expired_ticket_is_forgotten_though_nobody_writes() {
        let mut nodes = Vec::new();
        for config in Config::local_cluster(3).await.unwrap() {
            nodes.push(Node::open(config, Store::default()).await.unwrap());
        }
        let ticket = nodes[0].tickets("login").issue(Duration::from_secs(1), b"").await.unwrap();
        for node in &nodes {
            let forgotten = |state: &own::State, last: own::Moment| {
                (state.tickets.count() == 0 && last.index.0 > 2).then_some(())
            };
            node.own.until(forgotten).await;
        }
        let late = nodes[1].tickets("login").consume(&ticket.reveal(), b"x").await;
        assert_eq!(late, Err(TicketError::Refused));
    }
}
