//! Opening sessions: `Opener` takes whatever a client presents, and says what is in it or nothing.

use super::error::Refused;
use super::ring::{Known, Use};
use super::seal::Sealing;
use super::token::Envelope;
use crate::StateMachine;
use crate::error::Error;
use crate::measures::Presented;
use crate::mutation::{Mutation, on};
use crate::node::Node;
use crate::own::epochs::Subject;
use crate::reading::Consistency;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Opens sessions. Clones open alike.
pub struct Opener<S: StateMachine> {
    node: Node<S>,
    sealing: Arc<Sealing>,
    asking: Arc<Asking>,
}

/// What the leader is asked by those who present what this member can't judge yet: one question at
/// a time, and one for all who came before it was begun. So nobody waits for more than two, however
/// many others present keys that they made up.
#[derive(Default)]
struct Asking {
    begun: AtomicU64,
    last: tokio::sync::Mutex<Asked>,
}

/// The last question that has ended.
#[derive(Default)]
struct Asked {
    number: u64,
    answered: bool,
}

impl<S: StateMachine> Clone for Opener<S> {
    fn clone(&self) -> Self {
        let asking = Arc::clone(&self.asking);
        Self { node: self.node.clone(), sealing: Arc::clone(&self.sealing), asking }
    }
}

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<T> {
    /// What was sealed.
    pub state: T,
    /// For how long it is good from now on, in milliseconds of log time.
    pub left_ms: u64,
    pub(crate) subject: Option<Subject>,
    good_for: Use,
}

impl<T> Opened<T> {
    /// Whether its key seals nothing any more: seal it anew, before the key's grace ends.
    #[must_use]
    pub const fn is_to_be_resealed(&self) -> bool {
        matches!(self.good_for, Use::Opens)
    }
}

/// Why a token was not opened.
enum Not {
    /// This member knows less than whoever sealed it, or than it did before it was started again.
    Ahead,
    Valid,
}

impl<S: StateMachine> Opener<S> {
    pub(crate) fn new(node: Node<S>, sealing: Arc<Sealing>) -> Self {
        Self { node, sealing, asking: Arc::default() }
    }

    /// Opens a token that any member has sealed, by what is applied here. Only where this member
    /// has not heard yet of its key or of what its subject was revoked by before it was sealed, or
    /// was started and has not applied again what its log holds, it asks the leader first: so what
    /// it has refused as revoked it never opens again.
    ///
    /// # Errors
    /// [`Refused`], whatever is wrong.
    pub async fn open<T: DeserializeOwned>(&self, token: &str) -> Result<Opened<T>, Refused> {
        match self.attempt(token) {
            Ok(opened) => return Ok(opened),
            Err(Not::Valid) => return Err(self.refuse()),
            Err(Not::Ahead) if on(Mutation::UnknownKeyRefused) => return Err(self.refuse()),
            Err(Not::Ahead) => {}
        }
        let arrived = self.asking.begun.load(Ordering::Acquire);
        let mut last = self.asking.last.lock().await;
        if last.number <= arrived {
            // No question that was begun after this token had come has been answered yet.
            let number = self.asking.begun.fetch_add(1, Ordering::AcqRel) + 1;
            let answered = self.catch_up().await.is_ok();
            *last = Asked { number, answered };
        }
        let answered = last.answered;
        drop(last);
        if !answered {
            return Err(self.refuse());
        }
        self.attempt(token).map_err(|_| self.refuse())
    }

    /// Opens a token by what was committed before the call, anywhere: what was revoked by then is
    /// refused here, at the price of a round to a majority.
    ///
    /// # Errors
    /// [`Refused`], whatever is wrong, also if no leader with a quorum answered.
    pub async fn open_linearizable<T: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<Opened<T>, Refused> {
        self.catch_up().await.map_err(|_| self.refuse())?;
        self.attempt(token).map_err(|_| self.refuse())
    }

    /// Opens a token by what is applied here, and asks nobody: where [`open`](Self::open) would
    /// ask, it refuses.
    ///
    /// # Errors
    /// [`Refused`], whatever is wrong.
    pub fn open_here<T: DeserializeOwned>(&self, token: &str) -> Result<Opened<T>, Refused> {
        self.attempt(token).map_err(|_| self.refuse())
    }

    fn attempt<T: DeserializeOwned>(&self, token: &str) -> Result<Opened<T>, Not> {
        let sealing = &*self.sealing;
        let envelope = Envelope::read(token).ok_or(Not::Valid)?;
        if sealing.own.is_behind_itself() {
            return Err(Not::Ahead);
        }
        let (key, good_for) = match sealing.ring.find(envelope.key) {
            Known::Key(key, good_for) => (key, Some(good_for)),
            Known::Ahead => return Err(Not::Ahead),
            // All of it is gone through as with a key that is known, so that the time it takes does
            // not tell a key that is none from a body that is none; and nothing comes of it.
            Known::Gone => (Arc::clone(&sealing.nobodys), None),
        };
        let opened: Option<(_, T)> = envelope.open(&key, &sealing.context);
        let (Some((inside, state)), Some(good_for)) = (opened, good_for) else {
            return Err(Not::Valid);
        };
        let now = sealing.own.believed_now().0;
        let left_ms = inside.expires().saturating_sub(now);
        let subject = inside.subject.map(|sealed| (Subject(sealed.subject), sealed.epoch));
        let known = subject.map_or((0, 0), |(subject, _)| {
            sealing.own.look(|state, last| (state.epochs.of(subject), last.index.0))
        });
        let epoch = subject.map_or(0, |(_, epoch)| epoch);
        let revoked = epoch < known.0;
        // An epoch is an index: this member has not come so far. What it sealed for the subject now
        // would be void.
        if epoch > known.1 {
            return Err(Not::Ahead);
        }
        if left_ms == 0 || revoked {
            return Err(Not::Valid);
        }
        Ok(Opened { state, left_ms, subject: subject.map(|(subject, _)| subject), good_for })
    }

    /// What was committed anywhere before this is applied here once it has returned.
    async fn catch_up(&self) -> Result<(), Error> {
        self.node.read_own(Consistency::Linearizable, |_, _| ()).await.map(|_| ())
    }

    /// How often the leader was asked about a key.
    #[cfg(test)]
    pub(super) fn asked(&self) -> u64 {
        self.asking.begun.load(Ordering::Acquire)
    }

    fn refuse(&self) -> Refused {
        self.sealing.refused.fetch_add(1, Ordering::Relaxed);
        self.node.measures.refused(Presented::Session);
        Refused
    }
}
