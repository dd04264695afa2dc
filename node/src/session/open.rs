//! Opening sessions: `Opener` takes whatever a client presents, and says what is in it or nothing.

use super::error::Refused;
use super::ring::{Known, Use};
use super::seal::Sealing;
use super::token::Envelope;
use crate::StateMachine;
use crate::measures::Presented;
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

/// How the leader is asked about keys that are not known here: anybody can write a number that is
/// none yet, so one question is under way at a time, and all who wait meanwhile share the next.
#[derive(Default)]
struct Asking {
    /// Held while it is asked.
    lock: tokio::sync::Mutex<()>,
    /// How many questions have begun, and which was answered last. One that was dropped never is.
    begun: AtomicU64,
    answered: AtomicU64,
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
    /// Its key is not known here yet.
    Ahead,
    Valid,
}

impl<S: StateMachine> Opener<S> {
    pub(crate) fn new(node: Node<S>, sealing: Arc<Sealing>) -> Self {
        Self { node, sealing, asking: Arc::default() }
    }

    /// Opens a token that any member has sealed, by what is applied here. Only where this member
    /// has not heard of its key yet, it asks the leader before it refuses.
    ///
    /// # Errors
    /// [`Refused`], whatever is wrong.
    pub async fn open<T: DeserializeOwned>(&self, token: &str) -> Result<Opened<T>, Refused> {
        match self.attempt(token) {
            Ok(opened) => return Ok(opened),
            Err(Not::Valid) => return Err(self.refuse()),
            Err(Not::Ahead) => {}
        }
        let came = self.asking.begun.load(Ordering::Acquire);
        let asking = self.asking.lock.lock().await;
        if self.asking.answered.load(Ordering::Acquire) > came {
            drop(asking);
            // What was asked after this token came is answered: its key is known now, or is none.
            return self.open_here(token);
        }
        let number = self.asking.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let opened = self.open_linearizable(token).await;
        self.asking.answered.store(number, Ordering::Release);
        opened
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
        let read = self.node.read_own(Consistency::Linearizable, |_, _| ()).await;
        read.map_err(|_| self.refuse())?;
        self.attempt(token).map_err(|_| self.refuse())
    }

    /// Opens a token by what is applied here, and asks nobody.
    ///
    /// # Errors
    /// [`Refused`], whatever is wrong.
    pub fn open_here<T: DeserializeOwned>(&self, token: &str) -> Result<Opened<T>, Refused> {
        self.attempt(token).map_err(|_| self.refuse())
    }

    fn attempt<T: DeserializeOwned>(&self, token: &str) -> Result<Opened<T>, Not> {
        let sealing = &*self.sealing;
        let envelope = Envelope::read(token).ok_or(Not::Valid)?;
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
        let revoked = subject.is_some_and(|(subject, epoch)| {
            epoch < sealing.own.look(|state, _| state.epochs.of(subject))
        });
        if left_ms == 0 || revoked {
            return Err(Not::Valid);
        }
        Ok(Opened { state, left_ms, subject: subject.map(|(subject, _)| subject), good_for })
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
