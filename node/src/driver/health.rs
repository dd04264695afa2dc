//! How the disk does, as far as it has not failed: `Health` knows since when it is full, and for
//! how long a write waits to become durable, and says so now and then.

use super::Driver;
use crate::StateMachine;
use crate::status::{DiskState, DiskStatus};

/// How many milliseconds lie between two lines about the same trouble.
const LINES_MS: u64 = 10_000;

/// What is known of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    now: u64,
    full_since: Option<u64>,
    stalled_for: u64,
    /// When something was last said of it.
    said: Option<u64>,
}

impl Health {
    pub(super) const fn is_full(&self) -> bool {
        self.full_since.is_some()
    }

    pub(super) const fn status(&self) -> DiskStatus {
        match (self.full_since, self.stalled_for) {
            (Some(since), _) => DiskStatus { state: DiskState::Full, for_ms: self.now - since },
            (None, 0) => DiskStatus { state: DiskState::Ok, for_ms: 0 },
            (None, for_ms) => DiskStatus { state: DiskState::Stalled, for_ms },
        }
    }

    /// Whether it is time to say something of the present trouble.
    fn says(&mut self) -> bool {
        let due = self.said.is_none_or(|said| self.now - said >= LINES_MS);
        if due {
            self.said = Some(self.now);
        }
        due
    }
}

impl<S: StateMachine> Driver<S> {
    /// On each tick.
    pub(super) fn look_at_disk(&mut self, now: u64) {
        let health = &mut self.health;
        health.now = health.now.max(now);
        let patience = self.config.tick * self.config.election_ticks;
        let stalled_for = self.wal.stalled_for(health.now);
        let stalls = u128::from(stalled_for) >= patience.as_millis();
        let node = self.config.node;
        if stalls && health.says() {
            tracing::warn!(
                node,
                for_ms = stalled_for,
                "the disk hangs: a write is not durable yet"
            );
        }
        if health.stalled_for > 0 && !stalls {
            tracing::info!(node, "the disk goes on");
        }
        health.stalled_for = if stalls { stalled_for } else { 0 };
        if !stalls && !health.is_full() {
            health.said = None;
        }
    }

    /// The log has refused a write.
    pub(super) fn no_room(&mut self, error: &str) {
        let health = &mut self.health;
        health.full_since.get_or_insert(health.now);
        if health.says() {
            let (node, for_ms) = (self.config.node, health.status().for_ms);
            tracing::warn!(
                node,
                for_ms,
                error,
                "the disk is full: this member takes no proposals and waits for room"
            );
        }
    }

    /// The log has taken all that it was asked to.
    pub(super) fn has_room(&mut self) {
        if let Some(since) = self.health.full_since.take() {
            self.health.said = None;
            let (node, for_ms) = (self.config.node, self.health.now - since);
            tracing::info!(node, for_ms, "there is room on the disk again; going on");
        }
    }
}
