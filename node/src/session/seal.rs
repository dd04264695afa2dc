//! Sealing sessions: `Sessions`, made by `Node::sessions`, and their `Sealer`.

use super::cookie::Cookie;
use super::error::{SealError, SessionError};
use super::open::Opener;
use super::options::SessionOptions;
use super::ring::{NONCE_BYTES, Ring, draw};
use super::token::{self, Context, Inside, Sealed, TOKEN_BYTES_MAX};
use crate::StateMachine;
use crate::digest;
use crate::edges::Entropy;
use crate::error::Error;
use crate::node::Node;
use crate::own::epochs::{REVOKED_SUBJECTS_MAX, Reply, Subject};
use crate::own::{self, Shared, keys};
use orion::hazardous::aead::xchacha20poly1305::SecretKey;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sessions that are in their clients' hands, sealed: readable and changeable on every member,
/// without a look-up; made by [`Node::sessions`].
pub struct Sessions<S: StateMachine> {
    node: Node<S>,
    sealing: Arc<Sealing>,
}

impl<S: StateMachine> Clone for Sessions<S> {
    fn clone(&self) -> Self {
        Self { node: self.node.clone(), sealing: Arc::clone(&self.sealing) }
    }
}

/// What sealing and opening share.
pub(crate) struct Sealing {
    pub(crate) own: Arc<Shared>,
    pub(crate) ring: Ring,
    pub(crate) context: Context,
    pub(crate) cookie: Cookie,
    /// What is opened with where there is no key, and nothing comes of it.
    pub(crate) nobodys: Arc<SecretKey>,
    life_s: u32,
    entropy: Arc<dyn Entropy>,
    pub(crate) refused: AtomicU64,
}

impl Sealing {
    /// How a subject is named.
    pub(crate) fn subject(&self, subject: &[u8]) -> Subject {
        subject_of(self.own.name(), subject)
    }
}

fn subject_of(cluster: &str, subject: &[u8]) -> Subject {
    let hash = digest::of(&[b"holm subject", cluster.as_bytes(), subject]);
    Subject(hash[..8].try_into().expect("eight of 32"))
}

/// Seals sessions. Clones seal alike.
#[derive(Clone)]
pub struct Sealer(pub(crate) Arc<Sealing>);

impl<S: StateMachine> Node<S> {
    /// Sessions of this kind. The first call on a cluster has the leader make a key, and each sees
    /// to it that keys are made by these options from now on; it returns once there is a key that
    /// this member can use; or, where there is one that it can't use for want of its secret, after
    /// [`Config::request_timeout`](crate::Config::request_timeout): then it seals nothing yet.
    ///
    /// # Errors
    /// An option that is out of its bounds, [`SessionError::NoSecret`], or what
    /// [`propose`](Self::propose) may fail with.
    pub async fn sessions(&self, options: SessionOptions) -> Result<Sessions<S>, SessionError> {
        options.check()?;
        if self.own.secrets().is_none() {
            return Err(SessionError::NoSecret);
        }
        let policy = options.policy();
        if self.own.look(|state, _| state.keys.policy()) != Some(policy) {
            self.propose_own(&own::Command::Key(keys::Command::Want(policy))).await?;
        }
        let ring = Ring::new(Arc::clone(&self.own));
        let usable = |state: &own::State| {
            let (key, known) = state.keys.active()?;
            known.wrapped.as_ref().filter(|wrapped| ring.unwraps(key, wrapped)).map(|_| ())
        };
        if let Err(error) = self.until_own(usable).await
            && self.own.look(|state, _| state.keys.active().is_none())
        {
            return Err(error.into());
        }
        let nobodys = SecretKey::try_from(&[0; 32][..]).expect("a length that ChaCha20 has");
        let sealing = Sealing {
            own: Arc::clone(&self.own),
            ring,
            // By the key's entry that was waited for this member knows which cluster it is of.
            context: Context::new(&options.purpose, &options.name, self.own.cluster()),
            cookie: Cookie::new(&options),
            nobodys: Arc::new(nobodys),
            life_s: u32::try_from(options.life.as_secs()).expect("its bound is checked"),
            entropy: Arc::clone(&self.entropy),
            refused: AtomicU64::new(0),
        };
        Ok(Sessions { node: self.clone(), sealing: Arc::new(sealing) })
    }

    /// Voids all that was sealed for this subject before, on each member from the moment it has
    /// applied this: "log out everywhere". Dropping the future does not take it back.
    ///
    /// # Errors
    /// [`SessionError::SubjectsFull`], or what [`propose`](Self::propose) may fail with.
    pub async fn revoke_sessions(&self, subject: &[u8]) -> Result<(), SessionError> {
        let command = own::Command::Revoke(subject_of(self.own.name(), subject));
        match self.propose_own(&command).await?.reply {
            own::Reply::Revoke(Reply::Revoked) => Ok(()),
            own::Reply::Revoke(Reply::Full) => {
                Err(SessionError::SubjectsFull { limit: REVOKED_SUBJECTS_MAX })
            }
            other => unreachable!("a revocation is not answered by {other:?}"),
        }
    }

    /// Waits until Holm's own state, as it is applied here, has something.
    pub(crate) async fn until_own<R>(
        &self,
        look: impl Fn(&own::State) -> Option<R>,
    ) -> Result<R, Error> {
        let wait = crate::node::Wait::new(self.request_timeout());
        let found = wait.within(self.own.until(|state, _| look(state))).await;
        found.ok_or_else(|| wait.unavailable())
    }
}

impl<S: StateMachine> Sessions<S> {
    /// What seals them.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer(Arc::clone(&self.sealing))
    }

    /// What opens them.
    #[must_use]
    pub fn opener(&self) -> Opener<S> {
        Opener::new(self.node.clone(), Arc::clone(&self.sealing))
    }

    #[cfg(test)]
    pub(crate) fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// The cookie's whole name.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        &self.sealing.cookie.name
    }

    /// How many tokens these have refused on this member.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.sealing.refused.load(Ordering::Relaxed)
    }
}

impl Sealer {
    /// The most bytes of a token together with its cookie's name and attributes.
    pub const TOKEN_BYTES_MAX: usize = TOKEN_BYTES_MAX;

    /// Seals a state that belongs to nobody in particular: it is void when it expires, or when its
    /// key is revoked.
    ///
    /// # Errors
    /// Says why it can't be sealed.
    pub fn seal<T: Serialize>(&self, state: &T) -> Result<String, SealError> {
        self.seal_with(None, state)
    }

    /// Seals a subject's state: it is void also when the subject's sessions are revoked
    /// ([`Node::revoke_sessions`]).
    ///
    /// # Errors
    /// Says why it can't be sealed.
    pub fn seal_for<T: Serialize>(&self, subject: &[u8], state: &T) -> Result<String, SealError> {
        self.seal_with(Some(self.0.subject(subject)), state)
    }

    pub(crate) fn seal_with<T: Serialize>(
        &self,
        subject: Option<Subject>,
        state: &T,
    ) -> Result<String, SealError> {
        let sealing = &*self.0;
        let (number, key) = sealing.ring.active().ok_or(SealError::NoKey)?;
        let subject = subject.map(|subject| Sealed {
            subject: subject.0,
            epoch: sealing.own.look(|state, _| state.epochs.of(subject)),
        });
        let issued = sealing.own.believed_now().0;
        let inside = Inside { issued, life_s: sealing.life_s, subject };
        let mut nonce = [0; NONCE_BYTES];
        draw(&*sealing.entropy, &mut nonce);
        let text = token::seal((number, &*key), &sealing.context, inside, state, nonce)
            .map_err(|error| SealError::Encode(error.to_string()))?;
        let bytes = text.len() + sealing.cookie.overhead();
        if bytes > TOKEN_BYTES_MAX {
            return Err(SealError::TooLarge { bytes, limit: TOKEN_BYTES_MAX });
        }
        Ok(text)
    }
}
