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
use crate::member_info::MemberInfo;
use crate::open::peers;
use crate::rendezvous::Placement;
use crate::security::Security;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Configuration, Index, MemberId, NodeId};
use holm_transport::{KeyRing, Peer, PublicKey};
use std::collections::BTreeMap;

/// "These are the members, as is committed here."
pub(super) const ROSTER: u8 = 7;

/// Whom the transport knows.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// The own log's newest configuration that it follows, committed or not.
    followed: Configuration,
    /// The index of the newest one that is committed in the own log.
    settled: Index,
    /// A newer configuration that another member vouches for, and its index.
    vouched: Option<(Index, Configuration)>,
}

/// What another member's word is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It tells something new.
    Believed,
    /// It is known, or no newer than what is.
    Old,
    /// It gives this member, as the own log knows it, another key.
    Forged(MemberId),
}

impl Roster {
    /// That of a transport that was started with this configuration.
    pub(crate) fn following(followed: Configuration) -> Self {
        Self { followed, ..Self::default() }
    }

    /// The own log's configurations are these: the newest, and the index of the newest committed.
    /// Returns whether others are to be let in than before.
    fn follow(&mut self, newest: &Configuration, settled: Index) -> bool {
        self.settled = settled;
        let caught_up = self.vouched.take_if(|(vouched, _)| *vouched <= settled).is_some();
        let other = self.followed != *newest;
        if other {
            self.followed.clone_from(newest);
        }
        other || caught_up
    }

    /// Another member says that this configuration is committed at this index. What is committed
    /// there outdates what is not committed here, whatever its index.
    fn hear(&mut self, index: Index, configuration: Configuration) -> Word {
        let newest = self.vouched.as_ref().map_or(self.settled, |(index, _)| *index);
        let known = self.followed.is_empty() || self.followed == configuration;
        if index <= newest || known {
            return Word::Old;
        }
        // Nobody, not even a member, can make another one's key his own.
        for (member, _) in self.followed.members() {
            let said = configuration.member(member.id.node).filter(|said| said.id == member.id);
            if said.is_some_and(|said| key(&said.info) != key(&member.info)) {
                return Word::Forged(member.id);
            }
        }
        self.vouched = Some((index, configuration));
        Word::Believed
    }

    /// Whose members are let in: of two that name the same member, the last counts.
    fn configurations(&self) -> impl Iterator<Item = &Configuration> {
        let vouched = self.vouched.as_ref().map(|(_, configuration)| configuration);
        [&self.followed].into_iter().chain(vouched)
    }
}

fn key(info: &[u8]) -> Option<PublicKey> {
    MemberInfo::decode(info).ok().and_then(|info| info.key)
}

impl<S: StateMachine> Driver<S> {
    /// On each tick: the transport gets the configuration of the log, and the others hear of it
    /// once it is committed.
    pub(super) fn follow_configuration(&mut self) {
        let (settled, _) = self.raft.configuration_at(self.raft.glance().committed);
        let news = settled > self.roster.settled;
        if self.roster.follow(self.raft.configuration(), settled) {
            self.let_in();
        }
        if news {
            let (index, configuration) = self.raft.configuration_at(settled);
            self.placement.send_replace(Placement::of(index, configuration));
            // Some may know nobody else who could tell them.
            for peer in self.transport.peers() {
                self.vouch_to(peer.node);
            }
        }
    }

    /// Tells a member who the members are.
    pub(super) fn vouch_to(&self, peer: NodeId) {
        let (index, configuration) = self.raft.configuration_at(self.raft.glance().committed);
        if !configuration.is_empty() {
            self.tell(peer, encode(index, configuration));
        }
    }

    /// Another member says who the members are.
    pub(super) fn heard_roster(&mut self, from: MemberId, note: &Bytes) {
        let node = self.config.node;
        let Some((index, configuration)) = decode(note) else {
            tracing::warn!(node, %from, "a malformed note was ignored");
            return;
        };
        match self.roster.hear(index, configuration) {
            Word::Old => {}
            Word::Forged(whose) => tracing::warn!(
                node,
                %from,
                %whose,
                "it says that a member has another key than this log knows; that is not believed"
            ),
            Word::Believed => {
                tracing::info!(
                    node,
                    %from,
                    index = index.0,
                    "members were told of that this log does not know yet; they may connect"
                );
                self.let_in();
            }
        }
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
        for configuration in self.roster.configurations() {
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

fn encode(index: Index, configuration: &Configuration) -> Bytes {
    let encoded = configuration.encode();
    let mut note = BytesMut::with_capacity(9 + encoded.len());
    note.put_u8(ROSTER);
    note.put_u64_le(index.0);
    note.put_slice(&encoded);
    note.freeze()
}

fn decode(note: &Bytes) -> Option<(Index, Configuration)> {
    let mut rest = note.clone();
    rest.try_get_u8().ok()?;
    let index = Index(rest.try_get_u64_le().ok()?);
    let configuration = Configuration::decode(rest).ok()?;
    (!configuration.is_empty()).then_some((index, configuration))
}

#[cfg(test)]
mod tests;
