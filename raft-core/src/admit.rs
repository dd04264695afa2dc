//! What a message must be before anybody looks at it: addressed to this member, possible at all,
//! and, if it is an answer, from a current member in its current incarnation.

use crate::configuration::Configuration;
use crate::entry::{Entry, EntryKind};
use crate::message::{Ballot, Body, Message};
use crate::mutation::{self, Mutation};
use crate::raft::Core;
use crate::snapshot::Chunk;
use crate::status::Reason;
use crate::types::{EntryId, Index, Term};

/// No term and no index comes near this; a message that says so is damaged or hostile. It keeps
/// every sum below far from an overflow.
const NUMBER_MAX: u64 = 1 << 62;

impl Core {
    pub(crate) fn admit(&self, message: &Message) -> Result<(), Reason> {
        if message.to != self.config.me || message.from.node == self.config.me.node {
            return Err(Reason::Misdirected);
        }
        if !is_possible(message) {
            return Err(Reason::Impossible);
        }
        let known = self.membership.current().member(message.from.node).is_some();
        let any = known && mutation::on(Mutation::AnswersFromAnyIncarnation);
        let current = self.membership.current().contains(message.from);
        if message.body.is_answer() && !current && !any {
            return Err(Reason::Stranger);
        }
        Ok(())
    }

    /// A message of an earlier term: whoever leads or campaigns there has to learn of this term.
    pub(crate) fn answer_stale(&mut self, message: &Message) {
        let body = match message.body {
            Body::PreVote { .. } => Body::PreVoted(Ballot::Refused),
            Body::Vote { .. } => Body::Voted(Ballot::Refused),
            Body::Heartbeat { round, .. } => Body::HeartbeatAck { round },
            Body::Append { .. } | Body::Committed { .. } | Body::Snapshot(_) => {
                Body::HeartbeatAck { round: 0 }
            }
            Body::Propose { boot, number, .. } => Body::Proposed { boot, number, appended: None },
            Body::Read { boot, number } => Body::ReadAt { boot, number, index: None },
            _ => {
                self.dropped.outdated += 1;
                return;
            }
        };
        self.answer(message.from, body);
    }
}

impl Body {
    /// A refusal says nothing about terms unless its own is higher: it counts whatever its term.
    pub(crate) const fn is_refused_pre_vote(&self) -> bool {
        matches!(self, Self::PreVoted(Ballot::Refused))
    }

    /// Whether it answers something that this member asked, and so must come from a member.
    pub(crate) const fn is_answer(&self) -> bool {
        match self {
            Self::PreVoted(_)
            | Self::Voted(_)
            | Self::Appended { .. }
            | Self::Rejected { .. }
            | Self::HeartbeatAck { .. }
            | Self::Received { .. }
            | Self::Proposed { .. }
            | Self::ReadAt { .. } => true,
            // What a caller asks through a member is a member's affair as well.
            Self::Propose { .. } | Self::Read { .. } => true,
            Self::PreVote { .. }
            | Self::Vote { .. }
            | Self::Append { .. }
            | Self::Committed { .. }
            | Self::Heartbeat { .. }
            | Self::TimeoutNow
            | Self::Snapshot(_) => false,
        }
    }
}

fn is_possible(message: &Message) -> bool {
    let term = message.term;
    // Only who is not formed yet is in term 0, and it says no more than that it does not vote.
    let unformed = term == Term(0) && !message.body.is_refused_pre_vote();
    if unformed || term.0 > NUMBER_MAX {
        return false;
    }
    let index = |index: Index| index.0 <= NUMBER_MAX;
    let before = |id: EntryId| index(id.index) && id.term < term;
    let within = |id: EntryId| index(id.index) && id.term <= term;
    match &message.body {
        Body::PreVote { last } | Body::Vote { last, .. } => before(*last),
        Body::Append { prev, entries, commit } => {
            within(*prev) && index(*commit) && entries_follow(*prev, entries, term)
        }
        Body::Appended { matched } => index(*matched),
        Body::Committed { commit } => index(*commit),
        Body::Rejected { prev, hint } => index(*prev) && index(hint.index) && hint.index <= *prev,
        Body::Heartbeat { round, commit } => *round > 0 && *round <= NUMBER_MAX && index(*commit),
        Body::HeartbeatAck { round } => *round <= NUMBER_MAX,
        Body::Snapshot(chunk) => within(chunk.meta.last) && is_a_piece(chunk),
        Body::Received { snapshot, stored } => {
            within(snapshot.last) && *stored <= snapshot.length && snapshot.length <= NUMBER_MAX
        }
        Body::Proposed { appended, .. } => appended.is_none_or(within),
        Body::ReadAt { index: at, .. } => at.is_none_or(index),
        Body::PreVoted(_)
        | Body::Voted(_)
        | Body::TimeoutNow
        | Body::Propose { .. }
        | Body::Read { .. } => true,
    }
}

/// Whether it is a piece of some snapshot. Only an empty snapshot has an empty piece.
fn is_a_piece(chunk: &Chunk) -> bool {
    let meta = &chunk.meta;
    meta.time.0 <= NUMBER_MAX
        && meta.last.index > Index(0)
        && meta.configuration_index <= meta.last.index
        && !meta.configuration.is_empty()
        && meta.configuration.is_sound()
        && meta.configuration.fits()
        && chunk.length <= NUMBER_MAX
        && chunk.end() <= chunk.length
        && chunk.data.is_empty() == (chunk.length == 0)
}

/// Whether `entries` could stand right behind `prev` in the log of a leader of `term`.
fn entries_follow(prev: EntryId, entries: &[Entry], term: Term) -> bool {
    let mut last = prev;
    let mut time = None;
    entries.iter().all(|entry| {
        let follows = entry.id.index == last.index.next()
            && entry.id.index.0 <= NUMBER_MAX
            && entry.id.term >= last.term
            && entry.id.term > Term(0)
            && entry.id.term <= term
            && entry.time.0 <= NUMBER_MAX
            && time.is_none_or(|before| entry.time >= before);
        last = entry.id;
        time = Some(entry.time);
        follows && is_readable(entry)
    })
}

fn is_readable(entry: &Entry) -> bool {
    match entry.kind {
        EntryKind::Noop => entry.data.is_empty(),
        EntryKind::Command => true,
        EntryKind::Configuration => Configuration::decode(entry.data.clone())
            .is_ok_and(|configuration| !configuration.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Member, Standing};
    use crate::snapshot::SnapshotMeta;
    use crate::types::{Boot, Incarnation, LogTime, MemberId, NodeId};
    use crate::{Config, Event, Raft, Restored};
    use alloc::vec;
    use bytes::Bytes;

    fn member(node: u64, info: &[u8]) -> Member {
        let id = MemberId::new(NodeId(node), Incarnation(node));
        Member { id, info: Bytes::copy_from_slice(info) }
    }

    #[test]
    fn a_snapshot_whose_configuration_could_not_be_in_force_is_dropped() {
        let long = vec![0; Configuration::INFO_BYTES_MAX + 1];
        let voters = |count: u64| Configuration::new((1..=count).map(|node| member(node, b"")));
        let learners = [(member(1, b""), Standing::Learner)];
        let nobody_votes_for_the_new = [(member(1, b""), Standing::Outgoing)];
        for (configuration, dropped) in [
            (Configuration::with_standings(learners), 1),
            (Configuration::with_standings(nobody_votes_for_the_new), 1),
            (Configuration::new([member(1, &long)]), 1),
            (voters(256), 1),
            (voters(0), 1),
            (voters(255), 0),
        ] {
            let (me, from) = (member(1, b"").id, member(2, b"").id);
            let mut raft = Raft::new(Config::new(me, Boot(1), 1), Restored::default()).unwrap();
            let last = EntryId::new(Term(1), Index(9));
            let configuration_index = Index(1);
            let time = LogTime(0);
            let meta = SnapshotMeta { last, time, configuration, configuration_index };
            let data = Bytes::from_static(b"state");
            let chunk = Chunk { meta, length: 5, checksum: 0, offset: 0, data };
            let body = Body::Snapshot(chunk.into());
            raft.handle(Event::Message(Message { from, to: me, term: Term(1), body }));
            assert_eq!(raft.status().dropped.impossible, dropped);
        }
    }
}
