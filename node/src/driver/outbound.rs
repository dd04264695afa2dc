//! What the driver sends: finished messages, and those that it fills from the log or from the
//! newest snapshot. A lost message costs time only, so nothing here waits or retries.

use super::{Driver, log_failed};
use crate::StateMachine;
use crate::stop::Stop;
use holm_raft_core::{
    Body, Entry, EntryId, Event, Index, MemberId, Message, Outbound, Snapshot, Term,
};

/// The most bytes of entries in one append; a single entry may be longer.
const APPEND_BYTES_MAX: u64 = 1 << 20;

impl<S: StateMachine> Driver<S> {
    pub(super) fn send(&mut self, outbound: Outbound) -> Result<(), Stop> {
        match outbound {
            Outbound::Message(message) => self.send_message(&message),
            Outbound::Entries { to, term, prev, last, commit } => {
                return self.send_entries(to, term, prev, last, commit);
            }
            Outbound::Snapshot { to, term } => self.send_snapshot(to, term),
        }
        Ok(())
    }

    pub(super) fn send_message(&mut self, message: &Message) {
        let Err(lost) = self.transport.send(message) else { return };
        tracing::trace!(node = self.config.node, to = %message.to, %lost, "message lost");
        // What a caller asked and never left can be asked again at once.
        if let Body::Propose { number, .. } | Body::Read { number, .. } = message.body {
            self.raft.handle(Event::Unsent { number });
        }
    }

    /// Sends what follows `prev` up to `last`, cut to messages of a bounded size.
    fn send_entries(
        &mut self,
        to: MemberId,
        term: Term,
        mut prev: EntryId,
        last: EntryId,
        commit: Index,
    ) -> Result<(), Stop> {
        loop {
            let entries = self
                .wal
                .entries(prev.index.next()..=last.index, APPEND_BYTES_MAX)
                .map_err(|error| log_failed(&error))?;
            let end = entries.last().map_or(prev, |entry: &Entry| entry.id);
            let body = Body::Append { prev, entries, commit };
            self.send_message(&Message { from: self.me, to, term, body });
            if end.index >= last.index {
                assert_eq!(end, last, "the log still holds what the core named");
                return Ok(());
            }
            prev = end;
        }
    }

    fn send_snapshot(&self, to: MemberId, term: Term) {
        let Some(newest) = &self.newest else {
            unreachable!("the log is compacted only behind a snapshot");
        };
        let snapshot = Snapshot { meta: newest.meta.clone(), data: newest.data.clone() };
        tracing::info!(node = self.config.node, %to, last = %snapshot.meta.last, "sending snapshot");
        let message = Message { from: self.me, to, term, body: Body::Snapshot(snapshot) };
        if let Err(lost) = self.transport.send(&message) {
            tracing::warn!(node = self.config.node, %to, %lost, "the snapshot was not sent");
        }
    }
}
