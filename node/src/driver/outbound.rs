//! What the driver sends: finished messages, and those that it fills from the log. A lost message
//! costs time only, so nothing here waits or retries.

use super::{Driver, log_failed, told};
use crate::StateMachine;
use crate::stop::Stop;
use holm_raft_core::{Body, Entry, EntryId, Event, Index, MemberId, Message, Outbound, Term};
use std::ops::RangeInclusive;

/// The most bytes of entries in one append; a single entry may be longer.
const APPEND_BYTES_MAX: u64 = 1 << 20;

impl<S: StateMachine> Driver<S> {
    pub(super) fn send(&mut self, outbound: Outbound) -> Result<(), Stop> {
        match outbound {
            Outbound::Message(message) if matches!(message.body, Body::Committed { .. }) => {
                self.gathering.commit(message);
            }
            Outbound::Message(message) => self.send_message(message),
            Outbound::Entries { to, term, prev, last, commit } => {
                self.gathering.sends_entries(to.node);
                return self.send_entries(to, term, prev, last, commit);
            }
            Outbound::Snapshot { to, term, snapshot, offset, bytes_max } => {
                self.send_piece((to, term), snapshot, offset, bytes_max);
            }
        }
        Ok(())
    }

    pub(super) fn send_message(&mut self, message: Message) {
        told::leaves(&message);
        let to = message.to;
        let asked = match message.body {
            Body::Propose { number, .. } | Body::Read { number, .. } => Some(number),
            _ => None,
        };
        let Err(lost) = self.transport.send(message) else { return };
        tracing::trace!(node = self.config.node, %to, %lost, "message lost");
        // What a caller asked and never left can be asked again at once.
        if let Some(number) = asked {
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
            let entries = self.entries(prev.index.next()..=last.index)?;
            let end = entries.last().map_or(prev, |entry: &Entry| entry.id);
            let body = Body::Append { prev, entries, commit };
            self.send_message(Message { from: self.me, to, term, body });
            if end.index >= last.index {
                assert_eq!(end, last, "the log still holds what the core named");
                return Ok(());
            }
            prev = end;
        }
    }

    /// The entries in the range from its first one on, as many as one message takes: those just
    /// written, or of the log, or, where a full disk has refused them, of those that the core
    /// holds.
    fn entries(&self, range: RangeInclusive<Index>) -> Result<Vec<Entry>, Stop> {
        if self.raft.unwritten(*range.start()).is_none() {
            let kept = self.tail.entries(range.clone(), APPEND_BYTES_MAX);
            if !kept.is_empty() {
                return Ok(kept);
            }
            let end = (*range.end()).min(self.wal.last().index);
            let held = self.wal.entries(*range.start()..=end, APPEND_BYTES_MAX);
            return held.map_err(|error| log_failed(&error));
        }
        let (mut entries, mut room) = (Vec::new(), APPEND_BYTES_MAX);
        for index in range.start().0..=range.end().0 {
            let Some(entry) = self.raft.unwritten(Index(index)) else { break };
            if entry.weight() > room && !entries.is_empty() {
                break;
            }
            room = room.saturating_sub(entry.weight());
            entries.push(entry.clone());
        }
        Ok(entries)
    }
}
