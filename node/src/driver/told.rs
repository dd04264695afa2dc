//! What can be seen of a driver from outside, as events of level TRACE: each message that leaves or
//! arrives (target `holm::message`), what the member is after each turn (`holm::turn`), and the
//! newest configuration of its log when that is another (`holm::members`). The simulator takes its
//! traces from them; where nobody listens they cost next to nothing.

use super::Driver;
use crate::StateMachine;
use holm_raft_core::{Configuration, Index, Message};
use std::fmt;

/// What was told.
#[derive(Default)]
pub(crate) struct Told {
    members: Option<(Index, Configuration)>,
}

/// The members with their incarnations and standings, one word each.
struct Standings<'a>(&'a Configuration);

impl fmt::Display for Standings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (member, standing) in self.0.members() {
            let (node, incarnation) = (member.id.node.0, member.id.incarnation.0);
            write!(f, "{node}:{incarnation}:{standing:?} ")?;
        }
        Ok(())
    }
}

/// Of a message that is handed to the transport.
pub(super) fn leaves(message: &Message) {
    let Message { from, to, term, body } = message;
    tracing::trace!(
        target: "holm::message",
        way = "leaves",
        from = from.node.0,
        to = to.node.0,
        kind = body.name(),
        term = term.0,
        says = %body,
    );
}

/// Of a message that the core is about to take.
pub(super) fn arrives(message: &Message) {
    let Message { from, to, term, body } = message;
    tracing::trace!(
        target: "holm::message",
        way = "arrives",
        from = from.node.0,
        to = to.node.0,
        kind = body.name(),
        term = term.0,
        says = %body,
    );
}

impl<S: StateMachine> Driver<S> {
    /// What the member is after a turn.
    pub(super) fn tell_turn(&mut self) {
        if tracing::enabled!(target: "holm::members", tracing::Level::TRACE) {
            self.tell_members();
        }
        let glance = self.raft.glance();
        tracing::trace!(
            target: "holm::turn",
            node = self.config.node,
            incarnation = self.me.incarnation.0,
            role = glance.role,
            term = glance.term.0,
            leader = glance.leader.map_or(0, |leader| leader.node.0),
            start = glance.start.index.0,
            last = glance.last.index.0,
            last_term = glance.last.term.0,
            durable = glance.durable.0,
            commit = glance.committed.0,
            applied = self.applying.applied.0,
        );
    }

    fn tell_members(&mut self) {
        let (index, newest) = self.raft.configuration_at(Index(u64::MAX));
        let is_known = |(known, of): &(Index, Configuration)| *known == index && of == newest;
        if self.told.members.as_ref().is_some_and(is_known) {
            return;
        }
        tracing::trace!(
            target: "holm::members",
            node = self.config.node,
            index = index.0,
            members = %Standings(newest),
        );
        self.told.members = Some((index, newest.clone()));
    }
}
