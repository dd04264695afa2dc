//! Opening sessions: `Opener` takes whatever a client presents, and says what is in it or nothing.

use super::error::Refused;
use super::ring::{Known, Use};
use super::seal::Sealing;
use super::token::Envelope;
use crate::StateMachine;
use crate::node::Node;
use crate::own::epochs::Subject;
use crate::reading::Consistency;
use orion::hazardous::aead::xchacha20poly1305::SecretKey;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Opens sessions. Clones open alike.
pub struct Opener<S: StateMachine> {
    node: Node<S>,
    sealing: Arc<Sealing>,
    /// Held by whoever asks the leader about a key that is not known here: all others who present
    /// one wait for the same answer.
    asking: Arc<tokio::sync::Mutex<()>>,
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
        let _asking = self.asking.lock().await;
        // Whoever came before may have brought this member up to date.
        if let Ok(opened) = self.attempt(token) {
            return Ok(opened);
        }
        self.open_linearizable(token).await
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
            Known::Key(key, good_for) => (key, good_for),
            // The next few: a key that was made up must not make this member ask.
            Known::Ahead if self.is_near(envelope.key) => return Err(Not::Ahead),
            Known::Ahead | Known::Gone => {
                // The same work as for a key that is known, and nothing comes of it.
                let _ = envelope.open::<T>(&nobodys(), &sealing.context);
                return Err(Not::Valid);
            }
        };
        let opened = envelope.open(&key, &sealing.context);
        let (inside, state): (_, T) = opened.ok_or(Not::Valid)?;
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

    fn is_near(&self, key: u32) -> bool {
        let near = key.saturating_sub(AHEAD_MAX);
        self.sealing.own.look(|state, _| !state.keys.is_ahead(near))
    }

    fn refuse(&self) -> Refused {
        self.sealing.refused.fetch_add(1, Ordering::Relaxed);
        Refused
    }
}

/// How many keys a member may be behind whoever sealed.
const AHEAD_MAX: u32 = 2;

fn nobodys() -> SecretKey {
    SecretKey::try_from(&[0; 32][..]).expect("a length that ChaCha20 has")
}
