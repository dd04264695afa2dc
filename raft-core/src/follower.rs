//! What a follower does with its leader's messages (paper §5.3), and how a member without a
//! configuration becomes one of a newly formed cluster.

use crate::configuration::Configuration;
use crate::entry::{Entry, EntryKind};
use crate::message::Body;
use crate::mutation::{self, Mutation};
use crate::raft::Core;
use crate::types::{EntryId, Index, LogTime, MemberId, Term};
use alloc::vec::Vec;

impl Core {
    pub(crate) fn on_append(
        &mut self,
        leader: MemberId,
        prev: EntryId,
        entries: Vec<Entry>,
        commit: Index,
    ) {
        let end = entries.last().map_or(prev, |entry| entry.id).index;
        // Up to the commit index the logs agree whatever `prev` says (Leader Completeness, §5.4.3).
        if prev.index > self.log.committed() && !self.log.contains(prev) {
            let hint = self.log.at_or_below(prev);
            self.answer(leader, Body::Rejected { prev: prev.index, hint });
            return;
        }
        if self.contradicts(prev, &entries) {
            self.dropped.impossible += 1;
            return;
        }
        if self.has_no_room_for(&entries) {
            self.dropped.full += 1;
            return;
        }
        self.append_new(entries);
        let matched = end.max(self.log.committed());
        self.log.commit(commit.min(matched).min(self.log.last().index));
        if mutation::on(Mutation::AckBeforeDurable) {
            self.answer(leader, Body::Appended { matched });
        } else {
            self.answer_durably(leader, Body::Appended { matched });
        }
    }

    /// Whether no correct leader can have sent this: what is committed here can't stand in another
    /// term there, and what follows on the end of this log can't be older than that.
    fn contradicts(&self, prev: EntryId, entries: &[Entry]) -> bool {
        let committed = self.log.committed();
        let differs = |id: EntryId| {
            let held = self.log.term(id.index);
            id.index <= committed && held.is_some_and(|term| term != id.term)
        };
        let ids = core::iter::once(prev).chain(entries.iter().map(|entry| entry.id));
        let older = |(before, entry): (EntryId, &Entry)| {
            before == self.log.last() && entry.time < self.log.last_time()
        };
        ids.clone().any(differs) || ids.zip(entries).any(older)
    }

    /// Whether there are to be no more entries in memory, while the disk is full: one leader has no
    /// more under way than its window, unless its members are set up differently.
    fn has_no_room_for(&self, entries: &[Entry]) -> bool {
        if entries.is_empty() || !self.writes.is_full() {
            return false;
        }
        let waiting = self.weights.between(self.writes.written(), self.log.last().index);
        let bytes: u64 = entries.iter().map(Entry::weight).sum();
        waiting.saturating_add(bytes) > self.config.inflight_bytes_max.saturating_mul(2)
    }

    /// Appends what is not there yet. Only a conflict truncates: an old message, reordered behind
    /// a newer one, must not cut off what the newer one brought (paper, figure 2, receiver rule 3).
    fn append_new(&mut self, mut entries: Vec<Entry>) {
        let always = mutation::on(Mutation::TruncateWithoutConflict);
        let committed = self.log.committed();
        let is_new =
            |entry: &Entry| entry.id.index > committed && (always || !self.log.contains(entry.id));
        let Some(first) = entries.iter().position(is_new) else { return };
        let index = entries[first].id.index;
        if index <= self.log.last().index {
            self.log.truncate(index);
            self.membership.truncate(index);
            self.weights.truncate(index);
            self.writes.truncate(index);
        }
        // Behind the first that is new, all are.
        entries.drain(..first);
        for entry in &entries {
            self.note_entry(entry);
        }
        self.writes.entries(entries);
    }

    /// Appends one entry behind the last. A configuration is in force from now on.
    pub(crate) fn append_entry(&mut self, entry: Entry) {
        self.note_entry(&entry);
        self.writes.entry(entry);
    }

    fn note_entry(&mut self, entry: &Entry) {
        if entry.kind == EntryKind::Configuration {
            let configuration = Configuration::decode(entry.data.clone())
                .expect("looked at before it was admitted");
            self.membership.append(entry.id.index, configuration);
        }
        self.log.append(entry.id, entry.time);
        self.weights.append(entry.id.index, entry.weight());
    }

    /// The leader says what is committed, clipped to what this member has acknowledged as durable.
    /// Returns whether that can be.
    pub(crate) fn on_committed(&mut self, commit: Index) -> bool {
        let possible = commit <= self.log.last().index;
        if possible {
            self.log.commit(commit);
        } else {
            self.dropped.impossible += 1;
        }
        possible
    }

    /// The first entry of the cluster's log: the same on every member that forms it.
    pub(crate) fn form(&mut self, configuration: Configuration) {
        let empty = self.log.last() == EntryId::ZERO && self.membership.current().is_empty();
        if !empty || configuration.is_empty() {
            return;
        }
        let id = EntryId::new(Term(1), Index(1));
        self.advance_term(self.term.max(id.term));
        let data = configuration.encode();
        self.append_entry(Entry { id, time: LogTime(0), kind: EntryKind::Configuration, data });
    }
}
