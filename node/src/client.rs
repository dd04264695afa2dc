//! A client whose retries are safe by construction: `Client` proposes under a session of its own,
//! numbers its commands, and acknowledges their replies.

use crate::StateMachine;
use crate::applier::Answered;
use crate::envelope::{Body, Once};
use crate::error::Error;
use crate::node::{Applied, Node, Wait};
use crate::sessions::{Place, SESSION_REPLIES_MAX};
use bytes::Bytes;
use holm_raft_core::Index;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Proposes commands each of which takes effect at most once, however often it has to be proposed
/// until it is answered; made by [`Node::client`].
///
/// It opens a session with its first command, and another one should that expire: after
/// [`Config::idempotency_retention`](crate::Config::idempotency_retention) without a command, in
/// log time. The cluster remembers 100,000 sessions at a time, and of each the replies that the
/// client has not acknowledged: at most 256, and 64 MiB for all together.
pub struct Client<S: StateMachine> {
    node: Node<S>,
    turns: Mutex<Turns>,
    /// Told whenever a command is answered, or no longer waited for.
    ended: Notify,
    /// Held while a session is opened.
    opening: tokio::sync::Mutex<()>,
}

/// A client's numbers.
#[derive(Default)]
struct Turns {
    session: Option<Index>,
    last: u64,
    /// Those that are waited for.
    open: BTreeSet<u64>,
}

impl Turns {
    /// All up to here are answered, or not waited for.
    fn answered(&self) -> u64 {
        self.open.first().map_or(self.last, |first| first - 1)
    }

    /// The next place in this session; `None` if too many commands wait, or it is another one by
    /// now.
    fn next(&mut self, session: Index) -> Option<Place> {
        let window = SESSION_REPLIES_MAX as u64;
        let has_room = self.last - self.answered() < window;
        (self.session == Some(session) && has_room).then(|| {
            self.last += 1;
            self.open.insert(self.last);
            Place { session, number: self.last, answered: self.answered() }
        })
    }
}

/// A command that is waited for.
struct Turn<'a, S: StateMachine> {
    client: &'a Client<S>,
    place: Place,
}

impl<S: StateMachine> Drop for Turn<'_, S> {
    fn drop(&mut self) {
        self.client.with(|turns| {
            if turns.session == Some(self.place.session) {
                turns.open.remove(&self.place.number);
            }
        });
        self.client.ended.notify_waiters();
    }
}

impl<S: StateMachine> Client<S> {
    pub(crate) fn new(node: Node<S>) -> Self {
        Self {
            node,
            turns: Mutex::default(),
            ended: Notify::new(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// The member that it proposes on.
    pub const fn node(&self) -> &Node<S> {
        &self.node
    }

    /// Proposes a command and waits until it is applied on this client's member. Dropping the
    /// future does not take the command back, and it may still take effect once.
    ///
    /// # Errors
    /// [`Error::Unknown`] if it may or may not have taken effect; with any other error it never
    /// will.
    pub async fn propose(&self, command: S::Command) -> Result<Applied<S::Reply>, Error> {
        self.propose_within(self.node.request_timeout(), command).await
    }

    /// Proposes a command with a time-out of its own.
    ///
    /// # Errors
    /// As for [`propose`](Self::propose).
    pub async fn propose_within(
        &self,
        timeout: Duration,
        command: S::Command,
    ) -> Result<Applied<S::Reply>, Error> {
        let command = self.node.encode(&command)?;
        let wait = Wait::new(timeout);
        loop {
            let session = self.session(&wait).await?;
            let Some(turn) = self.turn(session, &wait).await? else { continue };
            let once = Once::InSession(turn.place);
            match self.node.propose_once(Body::Command(command.clone()), once, &wait).await {
                Err(Error::SessionExpired) => self.forget(session),
                other => return other.map(Answered::applied),
            }
        }
    }

    /// The session, opened if there is none.
    async fn session(&self, wait: &Wait) -> Result<Index, Error> {
        if let Some(session) = self.with(|turns| turns.session) {
            return Ok(session);
        }
        let busy = wait.within(self.opening.lock()).await;
        let _opening = busy.ok_or_else(|| wait.unavailable())?;
        // Whoever was quicker may have opened it.
        if let Some(session) = self.with(|turns| turns.session) {
            return Ok(session);
        }
        let once = Once::OpensSession { retention: self.node.retention() };
        // Whatever became of a session that was not heard of: it expires.
        let nothing = Body::Command(Bytes::new());
        let opened = self.node.propose_once(nothing, once, wait).await;
        let session = opened.map_err(|error| wait.not_begun(error))?.opened();
        self.with(|turns| *turns = Turns { session: Some(session), ..Turns::default() });
        Ok(session)
    }

    /// The next turn in this session, once there is room for it; `None` if it is over meanwhile.
    async fn turn(&self, session: Index, wait: &Wait) -> Result<Option<Turn<'_, S>>, Error> {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(place) = self.with(|turns| turns.next(session)) {
                return Ok(Some(Turn { client: self, place }));
            }
            if self.with(|turns| turns.session) != Some(session) {
                return Ok(None);
            }
            wait.within(ended).await.ok_or_else(|| wait.unavailable())?;
        }
    }

    /// A session has expired.
    fn forget(&self, session: Index) {
        self.with(|turns| {
            if turns.session == Some(session) {
                *turns = Turns::default();
            }
        });
        self.ended.notify_waiters();
    }

    fn with<R>(&self, look: impl FnOnce(&mut Turns) -> R) -> R {
        // Nothing that holds the lock can panic.
        look(&mut self.turns.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
