//! How the log loses its beginning: behind a snapshot of what it drops, but, within a bound, not
//! before the followers that install an older snapshot have what comes after that.

use crate::progress::Progress;
use crate::raft::{Core, Raft};
use crate::ready::LogStart;
use crate::role::Role;
use crate::types::NodeId;

impl Raft {
    /// The driver has a durable snapshot of all up to `start`.
    pub(crate) fn compact(&mut self, start: LogStart) {
        if self.is_wanted_behind(start) {
            let later = self.core.deferred.is_none_or(|known| known.id.index < start.id.index);
            if later {
                self.core.deferred = Some(start);
            }
        } else {
            self.core.compact(start);
        }
    }

    /// The followers that a leader is sending a snapshot to: the driver keeps what it began to send
    /// for as long.
    pub fn installing(&self) -> impl Iterator<Item = NodeId> + '_ {
        let followers = match &self.role {
            Role::Leader(leader) => Some(&leader.followers),
            _ => None,
        };
        let sent = |(node, progress): (&NodeId, &Progress)| progress.sending().map(|_| *node);
        followers.into_iter().flatten().filter_map(sent)
    }

    /// Does what had to wait, if it no longer has to.
    pub(crate) fn compact_deferred(&mut self) {
        if let Some(start) = self.core.deferred
            && !self.is_wanted_behind(start)
        {
            self.core.deferred = None;
            self.core.compact(start);
        }
    }

    /// Whether a follower is installing a snapshot that the log would no longer reach back to, and
    /// not so much was appended since it began that it has to start over.
    fn is_wanted_behind(&self, start: LogStart) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let (core, patience) = (&self.core, self.core.config.election_ticks);
        leader.followers.values().filter_map(|progress| progress.sending()).any(|sending| {
            let grown = core.weights.total() - sending.began;
            let kept = grown <= core.config.install_log_bytes_max;
            let needed = sending.needs_log_behind(patience);
            kept && needed.is_some_and(|snapshot| snapshot.last.index < start.id.index)
        })
    }
}

impl Core {
    fn compact(&mut self, start: LogStart) {
        let within = start.id.index > self.log.start().index && start.id.index <= self.log.handed();
        if within && self.log.contains(start.id) {
            self.log.compact(start.id);
            self.membership.compact(start.id.index);
            self.writes.compact(start);
        }
    }
}
