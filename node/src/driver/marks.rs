//! What the leader proposes by itself: log time moves with entries alone, so what is to be
//! forgotten on an idle cluster would stay; and keys for sessions are made by whoever leads.
//! `Marks` says when.

use super::Driver;
use crate::StateMachine;
use crate::envelope::{Body, Envelope, Once};
use crate::own::Shared;
use holm_raft_core::Event;
use std::sync::Arc;

/// How many ticks pass before the next one is proposed.
const PAUSE_TICKS: u64 = 20;

/// When the leader proposes something by itself.
pub(crate) struct Marks {
    pub(super) own: Arc<Shared>,
    not_before: u64,
}

impl Marks {
    pub(crate) const fn new(own: Arc<Shared>) -> Self {
        Self { own, not_before: 0 }
    }
}

impl<S: StateMachine> Driver<S> {
    /// Proposes what Holm's own state wants if this member leads. Nobody waits for it: one that
    /// gets lost is proposed again.
    pub(super) fn mark_time(&mut self) {
        let waits = self.ticks < self.marks.not_before;
        let can = self.parting.is_none() && !self.health.is_full();
        if waits || !can || self.raft.leader() != Some(self.me) {
            return;
        }
        let wanted = self.marks.own.wanted(&*self.edges.entropy);
        let Some(command) = wanted else { return };
        self.marks.not_before = self.ticks + PAUSE_TICKS;
        let (boot, number) = (self.boot, self.waiting.number());
        let body = Body::Own(command.encode());
        let data = Envelope { boot, number, once: Once::ByItself, body }.encode();
        self.raft.handle(Event::Propose { number, data });
    }
}
