//! What answers behind the routes: the node, and for the routes' own tests a store without one.

use super::input::Consistency;
use crate::error::Error;
use crate::node::{Applied, Node, ProposeOptions};
use crate::status::Status;
use crate::store::{Command, Reply, Store};
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

    pub(super) async fn read<R: Send + 'static>(
        &self,
        consistency: Consistency,
        timeout: Option<Duration>,
        read: impl FnOnce(&Store) -> R + Send + 'static,
    ) -> Result<R, Error> {
        match (self, consistency, timeout) {
            (Self::Node(node), Consistency::Local, _) => node.read_local(read).await,
            (Self::Node(node), Consistency::Linearizable, Some(timeout)) => {
                node.read_within(timeout, read).await
            }
            (Self::Node(node), Consistency::Linearizable, None) => node.read(read).await,
            #[cfg(test)]
            (Self::Alone(alone), _, _) => alone.read(read),
        }
    }

    pub(super) fn status(&self) -> Status {
        match self {
            Self::Node(node) => node.status().borrow().clone(),
            #[cfg(test)]
            Self::Alone(alone) => alone.status(),
        }
    }
}
