//! Time told by the leader though nobody writes: log time moves with entries alone, so what is to
//! be forgotten on an idle cluster would stay. `Marks` says when an entry is due that carries
//! nothing but its time.

use super::Driver;
use crate::StateMachine;
use crate::envelope::{Body, Envelope, Once};
use crate::own::{Command, Shared};
use holm_raft_core::Event;
use std::sync::Arc;

/// How many ticks pass before the next one is proposed.
const PAUSE_TICKS: u64 = 100;

/// When the leader tells the time.
pub(crate) struct Marks {
    own: Arc<Shared>,
    not_before: u64,
}

impl Marks {
    pub(crate) const fn new(own: Arc<Shared>) -> Self {
        Self { own, not_before: 0 }
    }
}

impl<S: StateMachine> Driver<S> {
    /// Proposes a mark if this member leads and one is wanted. Nobody waits for it: one that gets
    /// lost is proposed again.
    pub(super) fn mark_time(&mut self) {
        let waits = self.ticks < self.marks.not_before;
        let can = self.parting.is_none() && !self.health.is_full();
        if waits || !can || self.raft.leader() != Some(self.me) || !self.marks.own.wants_mark() {
            return;
        }
        self.marks.not_before = self.ticks + PAUSE_TICKS;
        let (boot, number) = (self.boot, self.waiting.number());
        let body = Body::Own(Command::Mark.encode());
        let data = Envelope { boot, number, once: Once::ByItself, body }.encode();
        self.raft.handle(Event::Propose { number, data });
    }
}
