//! Whom the transport lets in: the members of the replicated configuration, by the keys that it
//! gives them. A member that was away for long may not know the newest ones yet, and they could not
//! bring it up to date if it refused them; so members tell each other the configuration that is
//! committed where they are, and one that is newer than the own is believed for this, and for
//! nothing else: whoever said so has shown its own key.
//!
//! The note: a byte that says which, the configuration's index (u64, little-endian), its bytes.

use super::Driver;
use crate::StateMachine;
use crate::error::Error;
use crate::open::peers;
use crate::security::Security;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Configuration, Index, MemberId};
use holm_transport::{KeyRing, Peer};
use std::collections::BTreeMap;

/// "These are the members, as is committed here."
pub(super) const ROSTER: u8 = 7;

/// Whom the transport knows.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// The index of the own log's configuration that it follows.
    followed: Index,
    /// A newer configuration that another member vouches for, and its index.
    vouched: Option<(Index, Configuration)>,
}

impl Roster {
    /// That of a transport that was started with the configuration at this index.
    pub(crate) fn following(followed: Index) -> Self {
        Self { followed, vouched: None }
    }
}

impl<S: StateMachine> Driver<S> {
    /// After each turn: if the log has another configuration than the transport, the transport
    /// gets it.
    pub(super) fn follow_configuration(&mut self) {
        let (index, _) = self.raft.configuration_at(Index(u64::MAX));
        if index == self.roster.followed {
            return;
        }
        self.roster.followed = index;
        self.roster.vouched.take_if(|(vouched, _)| *vouched <= index);
        self.let_in();
    }

    /// Tells a member that has just come up who the members are.
    pub(super) fn vouch_to(&self, peer: MemberId) {
        let (index, configuration) = self.raft.configuration_at(self.raft.status().committed);
        if configuration.is_empty() {
            return;
        }
        let encoded = configuration.encode();
        let mut note = BytesMut::with_capacity(9 + encoded.len());
        note.put_u8(ROSTER);
        note.put_u64_le(index.0);
        note.put_slice(&encoded);
        self.tell(peer.node, note.freeze());
    }

    /// Another member says who the members are.
    pub(super) fn heard_roster(&mut self, from: MemberId, note: &Bytes) {
        let Some((index, configuration)) = decode(note) else {
            tracing::warn!(node = self.config.node, %from, "a malformed note was ignored");
            return;
        };
        let newest = self.roster.vouched.as_ref().map_or(self.roster.followed, |(index, _)| *index);
        if index <= newest || self.raft.configuration().is_empty() {
            return;
        }
        tracing::info!(
            node = self.config.node,
            %from,
            index = index.0,
            "members were told of that this log does not know yet; they may connect"
        );
        self.roster.vouched = Some((index, configuration));
        self.let_in();
    }

    /// Whoever connects from now on must know one of these secrets.
    pub(super) fn change_secrets(&mut self, new: KeyRing) -> Result<(), Error> {
        let Security::Sealed { ring, .. } = &mut self.config.security else {
            return Err(Error::Insecure);
        };
        ring.clone_from(&new);
        self.transport.change_ring(new).map_err(|_| Error::Insecure)?;
        self.publish(None);
        Ok(())
    }

    /// The transport lets in those of the own configuration, and those that are vouched for.
    fn let_in(&self) {
        let mut all: BTreeMap<_, Peer> = BTreeMap::new();
        let vouched = self.roster.vouched.as_ref().map(|(_, configuration)| configuration);
        for configuration in [Some(self.raft.configuration()), vouched].into_iter().flatten() {
            match peers(&self.config, configuration) {
                Ok(found) => all.extend(found.into_iter().map(|peer| (peer.node, peer))),
                Err(error) => {
                    tracing::warn!(node = self.config.node, "a configuration is unusable: {error}");
                }
            }
        }
        if let Err(error) = self.transport.know(all.into_values().collect()) {
            tracing::warn!(node = self.config.node, "the members contradict each other: {error}");
        }
    }
}

fn decode(note: &Bytes) -> Option<(Index, Configuration)> {
    let mut rest = note.clone();
    rest.try_get_u8().ok()?;
    let index = Index(rest.try_get_u64_le().ok()?);
    let configuration = Configuration::decode(rest).ok()?;
    (!configuration.is_empty()).then_some((index, configuration))
}
