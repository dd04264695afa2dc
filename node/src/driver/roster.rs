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
use crate::member_info::{MemberInfo, epoch_of};
use crate::mutation::{Mutation, on};
use crate::open::peers;
use crate::rendezvous::Placement;
use crate::security::Security;
use crate::stop::Stop;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Configuration, Index, MemberId, NodeId};
use holm_transport::{KeyRing, Peer, PublicKey};
use std::collections::BTreeMap;

/// "These are the members, as is committed here."
pub(super) const ROSTER: u8 = 7;
/// How many ticks long whoever has left is let in still, so that it hears of it.
const FAREWELL_TICKS: u64 = 100;

/// Whom the transport knows.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// The own log's newest configuration that it follows, committed or not.
    followed: Configuration,
    /// The newest one that is committed in the own log, and its index: until another one is, its
    /// members are let in whatever is proposed.
    settled: (Index, Configuration),
    /// The one before that, up to a tick: whoever has left is to hear of it.
    former: Option<(u64, Configuration)>,
    /// The index of the latest of the own log's configurations that this member was part of.
    seated: Option<Index>,
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

    /// The own log's configurations are these: the newest, and the newest committed. Returns
    /// whether others are to be let in than before.
    fn follow(&mut self, newest: &Configuration, settled: (Index, &Configuration)) -> bool {
        let caught_up = self.vouched.take_if(|(vouched, _)| *vouched <= settled.0).is_some();
        let other = self.followed != *newest;
        if other {
            self.followed.clone_from(newest);
        }
        if settled.0 > self.settled.0 {
            self.settled = (settled.0, settled.1.clone());
        }
        other || caught_up
    }

    /// Whoever is not among the members any more is let in until this tick.
    fn bid_farewell(&mut self, until: u64) {
        self.former = Some((until, self.settled.1.clone()));
    }

    /// Another member says that this configuration is committed at this index. What is committed
    /// there outdates what is not committed here, whatever its index.
    fn hear(&mut self, index: Index, configuration: Configuration) -> Word {
        let newest = self.vouched.as_ref().map_or(self.settled.0, |(index, _)| *index);
        if index <= newest || self.followed == configuration {
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

    /// Whether somebody is, by this key, a member of what is known here; where links are insecure
    /// nobody shows one.
    pub(super) fn knows(&self, node: NodeId, shown: Option<PublicKey>) -> bool {
        let known = self.configurations().filter_map(|members| members.member(node));
        known.map(|member| key(&member.info)).any(|known| shown.is_none_or(|_| shown == known))
    }

    /// Whose members are let in: of two that name the same member, or the same key, the first
    /// counts.
    fn configurations(&self) -> impl Iterator<Item = &Configuration> {
        let vouched = self.vouched.as_ref().map(|(_, configuration)| configuration);
        let former = self.former.as_ref().map(|(_, configuration)| configuration);
        let settled = Some(&self.settled.1).filter(|settled| !settled.is_empty());
        vouched.into_iter().chain([&self.followed]).chain(settled).chain(former)
    }
}

fn key(info: &[u8]) -> Option<PublicKey> {
    MemberInfo::decode(info).ok().and_then(|info| info.key)
}

impl<S: StateMachine> Driver<S> {
    /// On each tick: the transport gets the configuration of the log, and the others hear of it
    /// once it is committed.
    pub(super) fn follow_configuration(&mut self) {
        let settled = self.raft.configuration_at(self.raft.glance().committed);
        let news = settled.0 > self.roster.settled.0;
        if news && !self.roster.settled.1.is_empty() {
            self.roster.bid_farewell(self.ticks + FAREWELL_TICKS);
        }
        let over = self.roster.former.take_if(|(until, _)| *until < self.ticks).is_some();
        if self.roster.follow(self.raft.configuration(), settled) || over {
            self.let_in();
        }
        self.look_at_own_seat();
        if news {
            let (index, configuration) = &self.roster.settled;
            self.placement.send_replace(Placement::of(*index, configuration));
            // Some may know nobody else who could tell them.
            for peer in self.transport.peers() {
                self.vouch_to(peer.node);
            }
        }
    }

    /// A leader that has committed its own removal knows of it by its log.
    fn look_at_own_seat(&mut self) {
        let (newest, configuration) = self.raft.configuration_at(Index(u64::MAX));
        if configuration.contains(self.me) {
            self.roster.seated = Some(newest);
        } else if self.roster.seated.is_some_and(|seated| seated < self.roster.settled.0)
            && !self.roster.settled.1.contains(self.me)
        {
            let (index, settled) = &self.roster.settled;
            let stop = removed(self.me, holder(settled, self.me), *index);
            self.part(stop);
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
    pub(super) fn heard_roster(&mut self, from: MemberId, note: &Bytes) -> Result<(), Stop> {
        let node = self.config.node;
        let Some((index, configuration)) = decode(note) else {
            tracing::warn!(node, %from, "a malformed note was ignored");
            return Ok(());
        };
        self.is_still_seated(index, &configuration)?;
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
        Ok(())
    }

    /// Whoever is removed gets no more entries, and so hears of it from the others: what is
    /// committed after the latest configuration that it was part of, and names it no more.
    fn is_still_seated(&self, index: Index, committed: &Configuration) -> Result<(), Stop> {
        let is_later = |seated| seated < index || on(Mutation::OlderRosterBelieved);
        let seated = self.roster.seated.is_some_and(is_later);
        if seated && !committed.contains(self.me) {
            return Err(removed(self.me, holder(committed, self.me), index));
        }
        Ok(())
    }

    /// Whoever connects from now on must know one of these secrets.
    pub(super) fn change_secrets(&mut self, new: KeyRing) -> Result<(), Error> {
        if matches!(self.config.security, Security::Insecure) && self.marks.own.secrets().is_some()
        {
            // Links have none, but the keys of sessions do.
            self.marks.own.use_secrets(new);
            return Ok(());
        }
        let Security::Sealed { ring, .. } = &mut self.config.security else {
            return Err(Error::Insecure);
        };
        ring.clone_from(&new);
        self.marks.own.use_secrets(new.clone());
        self.transport.change_ring(new).map_err(|_| Error::Insecure)?;
        self.publish(None);
        Ok(())
    }

    /// The transport lets in those of the own configuration, and those that are vouched for.
    fn let_in(&self) {
        let epoch = epoch_of(self.raft.configuration());
        self.transport.change_epoch(epoch);
        self.marks.own.belongs_to(epoch);
        let mut all: BTreeMap<_, Peer> = BTreeMap::new();
        // Whoever has not come so far in its log knows its first peers by its file alone.
        let seated = self.roster.followed.contains(self.me);
        let file = Some(Configuration::default()).filter(|_| !seated);
        for configuration in self.roster.configurations().chain(&file) {
            match peers(&self.config, configuration) {
                Ok(found) => {
                    for peer in found {
                        let is_taken = |key| all.values().any(|other| other.key == Some(key));
                        if !peer.key.is_some_and(is_taken) {
                            all.entry(peer.node).or_insert(peer);
                        }
                    }
                }
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

/// Who has this member's number.
fn holder(committed: &Configuration, me: MemberId) -> Option<MemberId> {
    committed.member(me.node).map(|member| member.id)
}

/// By the members that were set at this index.
pub(super) fn removed(me: MemberId, holder: Option<MemberId>, index: Index) -> Stop {
    let (node, index) = (me.node, index.0);
    Stop::Removed(match holder {
        Some(other) => format!(
            "this is member {me}, and by the members set at index {index} {other} has its place; \
             this storage is of no use any more: remove it"
        ),
        None => format!(
            "member {node} was removed from the cluster: it is not among the members set at index \
             {index}; to have it back, empty its storage and have it added"
        ),
    })
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
