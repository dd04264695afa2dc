//! A handle for tasks that serve a member beside its callers: `WeakNode`.

use super::Node;
use crate::StateMachine;
use crate::driver::Request;
use tokio::sync::mpsc;

/// A handle that does not keep its member running.
pub(crate) struct WeakNode<S: StateMachine> {
    requests: mpsc::WeakSender<Request<S>>,
    /// A handle whose own requests go nowhere.
    rest: Node<S>,
}

impl<S: StateMachine> WeakNode<S> {
    pub(crate) fn of(node: &Node<S>) -> Self {
        let (nowhere, _) = mpsc::channel(1);
        let rest = Node { requests: nowhere, ..node.clone() };
        Self { requests: node.requests.downgrade(), rest }
    }

    /// A handle, unless the member has ended or nobody else holds one.
    pub(crate) fn upgrade(&self) -> Option<Node<S>> {
        Some(Node { requests: self.requests.upgrade()?, ..self.rest.clone() })
    }
}
