//! How a member's handle asks for what is Holm's own: proposals (`Node::propose_own`) and reads
//! (`Node::read_own`).

use super::shared::Moment;
use super::{Command, Reply, State};
use crate::StateMachine;
use crate::envelope::{Body, Once};
use crate::error::Error;
use crate::node::{Applied, Node, Wait};
use crate::reading::{Consistency, ReadOptions, Seen};
use crate::replica;
use bytes::Bytes;

impl<S: StateMachine> Node<S> {
    /// Proposes one of Holm's own commands and waits until it is applied here. It takes effect
    /// once, however often it has to be made again until it is answered. Dropping the future does
    /// not take it back.
    ///
    /// # Errors
    /// As for [`propose`](Self::propose).
    pub(crate) async fn propose_own(&self, command: &Command) -> Result<Applied<Reply>, Error> {
        let bytes = command.encode();
        let once = if command.is_idempotent() {
            Once::ByItself
        } else {
            let key = [self.entropy.draw().to_le_bytes(), self.entropy.draw().to_le_bytes()];
            let key = Bytes::copy_from_slice(key.as_flattened());
            Once::Keyed(replica::own_key(key, &bytes, self.retention()))
        };
        let wait = Wait::new(self.request_timeout());
        Ok(self.propose_once(Body::Own(bytes), once, &wait).await?.own())
    }

    /// Looks at Holm's own state once it is as new as asked for, or newer.
    ///
    /// # Errors
    /// As for [`read_with`](Self::read_with).
    pub(crate) async fn read_own<R>(
        &self,
        consistency: Consistency,
        look: impl FnOnce(&State, Moment) -> R,
    ) -> Result<Seen<R>, Error> {
        let options = ReadOptions { consistency, timeout: None };
        // What is read here comes behind the index that was asked for; the own state is written by
        // the same task, in the same order.
        self.read_with(options, |_| ()).await?;
        if matches!(consistency, Consistency::Linearizable | Consistency::Lease) {
            self.own.caught_up();
        }
        Ok(self.own.look(|state, moment| Seen { value: look(state, moment), index: moment.index }))
    }
}
