//! What an embedder brings: a `StateMachine` with its commands, replies and snapshots.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A deterministic state machine that Holm replicates.
///
/// Every member applies the same commands in the same order, so `apply` may depend on nothing but
/// the state and the command: no clock, no randomness, no environment, no hash order.
pub trait StateMachine: Send + 'static {
    /// What callers propose. Encoded with postcard in the log.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What a command answers. A refused command is a reply, not an error. Kept (encoded with
    /// postcard) for as long as a retry under the same key must get the same answer.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// A frozen copy of the state, cheap to take, encoded with postcard.
    type Snapshot: Serialize + DeserializeOwned + Send + 'static;

    /// Applies one committed command.
    fn apply(&mut self, command: Self::Command) -> Self::Reply;

    /// The state as it is now.
    fn snapshot(&self) -> Self::Snapshot;

    /// The state machine as `snapshot` froze it.
    fn restore(snapshot: Self::Snapshot) -> Self;
}
