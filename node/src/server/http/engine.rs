//! What answers behind the routes: the node, and for the routes' own tests a store without one.

use crate::backup::Backup;
use crate::error::Error;
use crate::node::{Applied, Node, ProposeOptions};
use crate::reading::{ReadOptions, Seen};
use crate::status::Status;
use crate::store::{Command, Reply, Store};

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

    pub(super) fn status(&self) -> Status {
        match self {
            Self::Node(node) => node.status().borrow().clone(),
            #[cfg(test)]
            Self::Alone(alone) => alone.status(),
        }
    }
}
