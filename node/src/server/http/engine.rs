//! What answers behind the routes: the node, and for the routes' own tests a store without one.

use super::rendezvous::{Claims, Told};
use crate::backup::Backup;
use crate::error::Error;
use crate::join::JoinTicket;
use crate::measures::Measured;
use crate::members::{Change, ChangeOptions, Members, NotChanged};
use crate::node::{Applied, Node, ProposeOptions};
use crate::reading::{ReadOptions, Seen};
use crate::rendezvous::{ClaimError, Fence, Holder, Placement};
use crate::session::TicketError;
use crate::status::Status;
use crate::store::{Command, Reply, Store};
use holm_raft_core::Index;
use std::time::Duration;

/// A node, or a test's stand-in for one.
#[derive(Clone)]
pub(super) enum Engine {
    Node(Node<Store>),
    #[cfg(test)]
    Alone(super::tests::Alone),
}

impl Engine {
    pub(super) async fn propose(
        &self,
        command: Command,
        options: ProposeOptions,
    ) -> Result<Applied<Reply>, Error> {
        match self {
            Self::Node(node) => node.propose_with(command, options).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.propose(command),
        }
    }

    /// Proposes in the name of a claim, if there is one.
    pub(super) async fn propose_under(
        &self,
        fence: Option<Fence>,
        command: Command,
        options: ProposeOptions,
    ) -> Result<Applied<Reply>, Error> {
        match (self, fence) {
            (Self::Node(node), Some(fence)) => {
                match node.propose_fenced(fence, command, options).await {
                    Ok(applied) => Ok(applied),
                    Err(ClaimError::Node(error)) => Err(error),
                    Err(_) => Err(Error::ClaimOver),
                }
            }
            #[cfg(test)]
            (Self::Alone(_), Some(_)) => Err(Error::ClaimOver),
            (engine, None) => engine.propose(command, options).await,
        }
    }

    pub(super) async fn claim(
        &self,
        claims: &Claims,
        key: String,
        time: Duration,
    ) -> Result<Told, ClaimError> {
        match self {
            Self::Node(node) => claims.claim(node, key, time).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.claim(key),
        }
    }

    pub(super) fn claim_of(&self, claims: &Claims, key: &str) -> Option<Told> {
        match self {
            Self::Node(_) => claims.look(key),
            #[cfg(test)]
            Self::Alone(alone) => alone.claim_of(key),
        }
    }

    pub(super) async fn release(&self, claims: &Claims, key: &str) -> Result<Told, ClaimError> {
        match self {
            Self::Node(_) => claims.release(key).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.release(key),
        }
    }

    pub(super) fn placement(&self) -> Placement {
        match self {
            Self::Node(node) => node.placement(),
            #[cfg(test)]
            Self::Alone(_) => Placement::default(),
        }
    }

    pub(super) fn holder(&self, key: &[u8]) -> Option<Holder> {
        match self {
            Self::Node(node) => node.holder(key),
            #[cfg(test)]
            Self::Alone(_) => None,
        }
    }

    pub(super) async fn read<R: Send + 'static>(
        &self,
        options: ReadOptions,
        read: impl FnOnce(&Store) -> R + Send + 'static,
    ) -> Result<Seen<R>, Error> {
        match self {
            Self::Node(node) => node.read_with(options, read).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.read(read),
        }
    }

    pub(super) async fn backup(&self, options: ReadOptions) -> Result<Backup, Error> {
        match self {
            Self::Node(node) => node.backup(options).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.backup(),
        }
    }

    pub(super) async fn members(&self, options: ReadOptions) -> Result<Members, Error> {
        match self {
            Self::Node(node) => node.members_with(options).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.read(|_| Members::default()).map(|seen| seen.value),
        }
    }

    pub(super) async fn change_members(
        &self,
        change: Change,
        options: ChangeOptions,
    ) -> Result<Index, NotChanged> {
        match self {
            Self::Node(node) => node.change_members_with(change, options).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.change(&change, options.expect),
        }
    }

    pub(super) async fn invite(
        &self,
        member: Option<u64>,
        ttl: Duration,
    ) -> Result<JoinTicket, TicketError> {
        match self {
            Self::Node(node) => node.invite(member, ttl).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.invite(member),
        }
    }

    pub(super) async fn transfer(&self, to: Option<u64>) -> Result<u64, NotChanged> {
        match self {
            Self::Node(node) => node.transfer(to).await,
            #[cfg(test)]
            Self::Alone(alone) => alone.transfer(to),
        }
    }

    pub(super) fn measures(&self) -> Measured {
        match self {
            Self::Node(node) => node.measures(),
            #[cfg(test)]
            Self::Alone(alone) => alone.measures(),
        }
    }

    /// What each member says of itself, in the order of their numbers, or why that is not known.
    pub(super) async fn statuses(&self, within: Duration) -> Vec<(u64, Result<Status, String>)> {
        let own = self.status();
        let mut ids: Vec<u64> = own.members.iter().map(|member| member.node).collect();
        if !ids.contains(&own.node) {
            ids.push(own.node);
        }
        ids.sort_unstable();
        let ask = |id: u64| {
            let (engine, own) = (self.clone(), (id == own.node).then(|| own.clone()));
            tokio::spawn(async move {
                match (engine, own) {
                    (_, Some(own)) => Ok(own),
                    (Self::Node(node), None) => node.status_of(id, within).await,
                    #[cfg(test)]
                    (Self::Alone(_), None) => Err("it is not connected".into()),
                }
            })
        };
        let asked: Vec<_> = ids.into_iter().map(|id| (id, ask(id))).collect();
        let mut views = Vec::with_capacity(asked.len());
        for (id, asked) in asked {
            let status = asked.await;
            views.push((id, status.unwrap_or_else(|_| Err("asking it failed".into()))));
        }
        views
    }

    pub(super) fn status(&self) -> Status {
        match self {
            Self::Node(node) => node.status().borrow().clone(),
            #[cfg(test)]
            Self::Alone(alone) => alone.status(),
        }
    }
}
