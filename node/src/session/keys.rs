//! The keys of sessions, for whoever looks after them: `Keys` lists, rotates and revokes them.

use super::error::SessionError;
use crate::StateMachine;
use crate::node::Node;
use crate::own::{self, keys};
use crate::reading::Consistency;
use holm_transport::SecretId;
use serde::{Deserialize, Serialize};

/// The keys that sessions are sealed with; made by [`Node::session_keys`].
pub struct Keys<S: StateMachine> {
    node: Node<S>,
}

/// What is known of a key; never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// Its number; each is given once.
    pub key: u32,
    /// What it is good for.
    pub state: KeyState,
    /// The index of the log at which it was added, from which on it seals.
    pub index: u64,
    /// When that was, in milliseconds of log time.
    pub created_ms: u64,
    /// When it is forgotten, in milliseconds of log time. `None`: not before the next one is made.
    pub until_ms: Option<u64>,
    /// The id of the secret that it is wrapped under. `None`: it is revoked.
    pub secret: Option<String>,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// It seals and opens.
    Active,
    /// It opens what it sealed before, until its grace ends.
    Retiring,
    /// It opens nothing.
    Revoked,
}

impl<S: StateMachine> Node<S> {
    /// The keys that sessions are sealed with, for whoever looks after them.
    #[must_use]
    pub fn session_keys(&self) -> Keys<S> {
        Keys { node: self.clone() }
    }
}

impl<S: StateMachine> Keys<S> {
    /// All keys that are known, the oldest first, by what was committed before the call. Empty as
    /// long as nobody has asked for sessions.
    ///
    /// # Errors
    /// As for [`Node::read`].
    pub async fn list(&self) -> Result<Vec<KeyInfo>, SessionError> {
        let list = |state: &own::State, _| state.keys.all().map(info).collect();
        Ok(self.node.read_own(Consistency::Linearizable, list).await?.value)
    }

    /// Has the leader make a new key, which seals from the moment it is committed; what older ones
    /// sealed still opens until their grace ends. Returns its number once it is applied here.
    ///
    /// # Errors
    /// [`SessionError::NoSecret`] where nobody has asked for sessions yet and this member could not
    /// either, or what [`Node::propose`] may fail with.
    pub async fn rotate(&self) -> Result<u32, SessionError> {
        if self.node.own.secrets().is_none() {
            return Err(SessionError::NoSecret);
        }
        let now = |state: &own::State, _| (state.keys.last(), state.keys.policy().is_some());
        let (key, wanted) = self.node.read_own(Consistency::Linearizable, now).await?.value;
        if !wanted {
            let policy = super::SessionOptions::new("session").policy();
            self.propose(keys::Command::Want(policy)).await?;
        }
        self.propose(keys::Command::Rotate { key }).await?;
        let newer = |state: &own::State| {
            state.keys.active().map(|(active, _)| active).filter(|active| *active > key)
        };
        Ok(self.node.until_own(newer).await?)
    }

    /// Has what this key sealed opened nowhere any more, on each member from the moment it has
    /// applied this. If it is the one that seals, a new one is made first.
    ///
    /// # Errors
    /// [`SessionError::UnknownKey`], or as for [`rotate`](Self::rotate).
    pub async fn revoke(&self, key: u32) -> Result<(), SessionError> {
        let active = |state: &own::State, _| state.keys.active().map(|(active, _)| active);
        let active = self.node.read_own(Consistency::Linearizable, active).await?.value;
        if active == Some(key) {
            self.rotate().await?;
        }
        match self.propose(keys::Command::Revoke { key }).await? {
            keys::Reply::Done => Ok(()),
            keys::Reply::Unknown => Err(SessionError::UnknownKey { key }),
        }
    }

    async fn propose(&self, command: keys::Command) -> Result<keys::Reply, SessionError> {
        match self.node.propose_own(&own::Command::Key(command)).await?.reply {
            own::Reply::Key(reply) => Ok(reply),
            other => unreachable!("a key's command is not answered by {other:?}"),
        }
    }
}

fn info((key, known): (u32, &keys::Key)) -> KeyInfo {
    let state = match (&known.wrapped, known.until) {
        (None, _) => KeyState::Revoked,
        (Some(_), None) => KeyState::Active,
        (Some(_), Some(_)) => KeyState::Retiring,
    };
    KeyInfo {
        key,
        state,
        index: known.index,
        created_ms: known.time,
        until_ms: known.until,
        secret: known.wrapped.as_ref().map(|wrapped| SecretId(wrapped.secret).to_string()),
    }
}
