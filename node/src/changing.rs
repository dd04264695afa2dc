//! The members, as a handle to a node shows and changes them: `Node::members`,
//! `Node::change_members`, `Node::transfer`. Whichever member is asked passes the question on to
//! the leader; one whose answer is lost is asked again, and by compare-and-set takes effect once.

use crate::StateMachine;
use crate::driver::Request;
use crate::error::Error;
use crate::members::{Ask, Attempt, Change, ChangeOptions, Members, NotChanged, Refusal, Told};
use crate::node::{Node, Wait};
use crate::reading::{Consistency, ReadOptions};
use holm_raft_core::Index;
use tokio::sync::oneshot;

impl<S: StateMachine> Node<S> {
    /// The members, as no older configuration than was in force before the call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no leader with a quorum confirmed in time that this member knows
    /// the newest ones: [`members_local`](Self::members_local) shows those it knows.
    pub async fn members(&self) -> Result<Members, Error> {
        self.members_with(ReadOptions::default()).await
    }

    /// The members, as new as asked for, with a time-out of its own.
    ///
    /// # Errors
    /// As for [`members`](Self::members).
    pub async fn members_with(&self, options: ReadOptions) -> Result<Members, Error> {
        if options.consistency != Consistency::Local {
            // Whoever has applied that index has the configuration of it.
            self.read_with(options, |_| ()).await?;
        }
        self.members_local().await
    }

    /// The members, as far as this member knows: without a leader, and however old that is.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Stopped`].
    pub async fn members_local(&self) -> Result<Members, Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Members { reply })?;
        answer.await.map_err(|_| self.stopped_error())
    }

    /// Changes the members, on any member of the cluster, and waits until that is committed; gives
    /// the index of the members that result. With `expect`, only if they are those that were set at
    /// this index ([`Members::index`]).
    ///
    /// Dropping the future does not take the change back.
    ///
    /// # Errors
    /// [`NotChanged::Refused`] with the reason: nothing was changed. [`Error::Unknown`] if the
    /// change may or may not take effect; with any other error it never will.
    pub async fn change_members(
        &self,
        change: Change,
        expect: Option<Index>,
    ) -> Result<Index, NotChanged> {
        self.change_members_with(change, ChangeOptions { expect, ..Default::default() }).await
    }

    /// Changes the members, with a time-out of its own, or though that is refused otherwise.
    ///
    /// # Errors
    /// As for [`change_members`](Self::change_members).
    pub async fn change_members_with(
        &self,
        change: Change,
        options: ChangeOptions,
    ) -> Result<Index, NotChanged> {
        let wait = Wait::new(options.timeout.unwrap_or_else(|| self.request_timeout()));
        let mut expect = match options.expect {
            Some(index) => index.0,
            None => self.members_local().await?.index,
        };
        let mut attempt = Attempt::First;
        let mut pending = false;
        loop {
            let (change, allow) = (change.clone(), options.allow.clone());
            match self.told(Ask::Change { change, expect, allow, attempt }, &wait).await? {
                Told::Changed { index } => return Ok(Index(index)),
                // Whoever expects nothing in particular means those that there are.
                Told::Refused(Refusal::Moved { now })
                    if options.expect.is_none() && attempt == Attempt::First && now > expect =>
                {
                    expect = now;
                    continue;
                }
                // The one that is under way is waited for.
                Told::Refused(Refusal::Pending)
                    if options.expect.is_none() && attempt == Attempt::First =>
                {
                    pending = true;
                }
                Told::Refused(refusal) => return Err(refusal.into()),
                Told::NotBegun => pending = false,
                Told::Unclear | Told::Transferring { .. } => attempt = Attempt::Again,
            }
            if !self.pause(&wait).await {
                return Err(match attempt {
                    Attempt::First if pending => Refusal::Pending.into(),
                    Attempt::First => wait.unavailable().into(),
                    Attempt::Again => wait.unknown().into(),
                });
            }
        }
    }

    /// Hands leadership over, on any member of the cluster: to voter `to`, or to the one that holds
    /// most of the log. Waits until it leads, and says who does.
    ///
    /// # Errors
    /// [`NotChanged::Refused`] with the reason, [`Refusal::NotTakenOver`] if the other one does not
    /// lead in time.
    pub async fn transfer(&self, to: Option<u64>) -> Result<u64, NotChanged> {
        let wait = Wait::new(self.request_timeout());
        let mut next = None;
        loop {
            let leader = self.status().borrow().leader;
            if let Some(next) = next.filter(|next| leader == Some(*next)) {
                return Ok(next);
            }
            // Whoever was named first is meant, also by a second attempt.
            match self.told(Ask::Transfer { to: to.or(next) }, &wait).await? {
                Told::Transferring { from, to } if from == to => {
                    if leader == Some(to) {
                        return Ok(to);
                    }
                    next = Some(to);
                }
                Told::Transferring { to, .. } => next = Some(to),
                Told::Refused(refusal) => return Err(refusal.into()),
                Told::NotBegun | Told::Unclear | Told::Changed { .. } => {}
            }
            if !self.pause(&wait).await {
                return Err(match next {
                    Some(to) => Refusal::NotTakenOver { to }.into(),
                    None => wait.unavailable().into(),
                });
            }
        }
    }

    /// One attempt.
    async fn told(&self, ask: Ask, wait: &Wait) -> Result<Told, Error> {
        let (reply, answer) = oneshot::channel();
        let attempt = wait.attempt();
        self.ask(Request::Membership { ask, until: self.until(&attempt), reply })?;
        match attempt.within(answer).await {
            Some(Ok(told)) => Ok(told),
            Some(Err(_)) => Err(self.stopped_error()),
            None => Ok(Told::Unclear),
        }
    }
}
