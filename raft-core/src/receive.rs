//! How a member takes in a snapshot (paper §7): `Receiving` is what has arrived of it. Its pieces
//! are handed to the driver in order, and when all are stored, the snapshot replaces the log. Any
//! leader may go on with what an earlier one began, as long as its snapshot has the same bytes.

use crate::membership::Membership;
use crate::message::Body;
use crate::mutation::{self, Mutation};
use crate::raft::{Core, Raft};
use crate::ready::LogStart;
use crate::role::Role;
use crate::snapshot::{Chunk, Partial, SnapshotId, SnapshotMeta};
use crate::types::{MemberId, Term};
use crate::weights::Weights;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Invariant: `stored ≤ taken ≤ id.length`, as far as anything is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Receiving {
    id: SnapshotId,
    meta: SnapshotMeta,
    /// In which term a piece of it last came; 0 if that was before a restart.
    term: Term,
    /// How many bytes were handed to the driver.
    taken: u64,
    /// How many of them it has stored, once it has said so: a snapshot of no bytes has to be stored
    /// as well.
    stored: Option<u64>,
}

impl Receiving {
    fn begin(chunk: &Chunk, term: Term) -> Self {
        let (id, meta) = (chunk.id(), chunk.meta.clone());
        Self { id, meta, term, taken: 0, stored: None }
    }

    pub(crate) fn restore(partial: Partial) -> Self {
        let (id, stored) = (partial.id(), partial.stored);
        Self { id, meta: partial.meta, term: Term(0), taken: stored, stored: Some(stored) }
    }

    /// Does nothing but for a known bug: it goes on with another snapshot of the same entry.
    fn take_for(&mut self, id: SnapshotId) {
        if self.id != id
            && self.id.last == id.last
            && mutation::on(Mutation::TransferResumedByEntryAlone)
        {
            self.id = id;
        }
    }

    fn is_whole(&self) -> bool {
        self.stored == Some(self.id.length)
    }

    /// How many of its bytes a sender need not send again.
    fn kept(&self) -> u64 {
        self.stored.unwrap_or(0)
    }

    /// What is new of a piece, if it follows on what was taken and the disk is not too far behind.
    fn take(&mut self, mut chunk: Chunk, inflight_max: u64) -> Option<Chunk> {
        let waiting = self.taken - self.kept();
        let end = chunk.end();
        let gap = chunk.offset > self.taken;
        let follows = self.taken < end && (!gap || mutation::on(Mutation::PieceTakenAtAGap));
        if !follows || (waiting > 0 && waiting.saturating_add(end - self.taken) > inflight_max) {
            return None;
        }
        let known = self.taken.saturating_sub(chunk.offset);
        chunk.data = chunk.data.split_off(usize::try_from(known).ok()?);
        chunk.offset += known;
        self.taken = end;
        Some(chunk)
    }

    pub(crate) fn check(&self) {
        assert!(self.kept() <= self.taken, "nothing is stored that was not handed out");
        assert!(self.taken <= self.id.length, "nothing is taken beyond the snapshot's end");
    }
}

impl Core {
    /// A piece of a snapshot arrived.
    pub(crate) fn on_snapshot(&mut self, leader: MemberId, chunk: Chunk) {
        let (id, last) = (chunk.id(), chunk.meta.last);
        // It is a state of committed entries: a log that matches it has nothing to take (§7).
        if last.index > self.log.committed() && self.log.contains(last) {
            self.log.commit(last.index);
        }
        if last.index <= self.log.committed() && !mutation::on(Mutation::InstallBehindCommit) {
            self.forget_outrun_snapshot();
            let matched = self.log.committed();
            self.answer_durably(leader, Body::Appended { matched });
            return;
        }
        if let Some(receiving) = &mut self.receiving {
            receiving.take_for(id);
        }
        if self.receiving.as_ref().is_none_or(|receiving| receiving.id != id) {
            if self.is_older_than_what_arrives(&chunk) {
                self.dropped.outdated += 1;
                return;
            }
            if chunk.offset > 0 {
                self.answer(leader, Body::Received { snapshot: id, stored: 0 });
                return;
            }
            self.receiving = Some(Box::new(Receiving::begin(&chunk, self.term)));
            if chunk.length == 0 {
                // There is nothing to take, but a snapshot to make.
                self.out.chunks.push(chunk);
                return;
            }
        }
        self.take(leader, chunk);
    }

    /// Takes what is new of a piece of the snapshot that arrives. What is taken is answered once
    /// it is stored, anything else at once.
    fn take(&mut self, leader: MemberId, chunk: Chunk) {
        let Some(receiving) = &mut self.receiving else { return };
        receiving.term = self.term;
        let (snapshot, stored) = (receiving.id, receiving.kept());
        match receiving.take(chunk, self.config.snapshot_inflight_bytes_max) {
            Some(chunk) => {
                self.out.chunks.push(chunk);
                if mutation::on(Mutation::StoredBeforeDurable) {
                    receiving.stored = Some(receiving.taken);
                    if receiving.is_whole() {
                        self.install_received(leader);
                    }
                }
            }
            None if receiving.is_whole() => self.install_received(leader),
            None => self.answer(leader, Body::Received { snapshot, stored }),
        }
    }

    /// A late piece of what its leader has given up must not undo what came of the next one.
    fn is_older_than_what_arrives(&self, chunk: &Chunk) -> bool {
        let arrives = self.receiving.as_ref().filter(|receiving| receiving.term == self.term);
        arrives.is_some_and(|receiving| chunk.meta.last.index <= receiving.id.last.index)
    }

    /// Forgets a snapshot that the log has caught up with.
    pub(crate) fn forget_outrun_snapshot(&mut self) {
        let committed = self.log.committed();
        if self.receiving.as_ref().is_some_and(|receiving| receiving.id.last.index <= committed) {
            self.receiving = None;
        }
    }

    /// All of the snapshot is stored: it replaces the log, unless that has caught up meanwhile.
    fn install_received(&mut self, leader: MemberId) {
        if let Some(receiving) = self.receiving.take() {
            let last = receiving.id.last;
            let behind = last.index <= self.log.committed();
            if behind && mutation::on(Mutation::InstallBehindCommit)
                || !behind && !self.log.contains(last)
            {
                self.install(receiving.meta);
            } else if !behind {
                self.log.commit(last.index);
            }
        }
        let matched = self.log.committed();
        self.answer_durably(leader, Body::Appended { matched });
    }

    fn install(&mut self, meta: SnapshotMeta) {
        let start = LogStart { id: meta.last, time: meta.time };
        self.log.reset(start.id, start.time);
        if !mutation::on(Mutation::SnapshotLosesConfiguration) {
            self.membership = Membership::restore(&meta, Vec::new());
        }
        self.weights = Weights::default();
        self.writes.install(start, Some(meta));
    }
}

impl Raft {
    /// The driver has stored so much of a snapshot; `None`: it has nothing, and must have it anew.
    pub(crate) fn stored(&mut self, snapshot: SnapshotId, stored: Option<u64>) {
        let Some(receiving) = &mut self.core.receiving else { return };
        // A report of what was given up, and perhaps begun anew, says nothing.
        if receiving.id != snapshot || stored.is_some_and(|stored| stored > receiving.taken) {
            return;
        }
        receiving.stored = stored;
        let (whole, kept) = (receiving.is_whole(), receiving.kept());
        if stored.is_none() {
            self.core.receiving = None;
            self.core.out.chunks.retain(|chunk| chunk.id() != snapshot);
        }
        // Without a leader the next piece, from whoever comes, finds what there is.
        if let Role::Follower(follower) = &self.role
            && let Some(leader) = follower.leader
        {
            if whole {
                self.core.install_received(leader);
            } else {
                self.core.answer(leader, Body::Received { snapshot, stored: kept });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, EntryKind};
    use crate::types::{Boot, EntryId, Incarnation, Index, LogTime, NodeId};
    use crate::{Config, Configuration, Event, Member, Message, Ready, Restored};
    use bytes::Bytes;

    fn id(node: u64) -> MemberId {
        MemberId::new(NodeId(node), Incarnation(node))
    }

    fn configuration() -> Configuration {
        Configuration::new((1..=3).map(|node| Member { id: id(node), info: Bytes::new() }))
    }

    fn say(raft: &mut Raft, body: Body) {
        let (from, to, term) = (id(2), id(1), Term(5));
        raft.handle(Event::Message(Message { from, to, term, body }));
    }

    /// A follower of 2 with the entries 1 to 4, of which it knows only the first to be committed.
    fn follower() -> Raft {
        let config = Config { snapshot_inflight_bytes_max: 4, ..Config::new(id(1), Boot(1), 1) };
        let mut raft = Raft::new(config, Restored::default()).unwrap();
        raft.handle(Event::Form(configuration()));
        append(&mut raft, 1, 4, 1);
        _ = done(&mut raft);
        raft
    }

    /// Entries of term 3 after `prev` up to `last` arrive from the leader of term 5.
    fn append(raft: &mut Raft, prev: u64, last: u64, commit: u64) {
        let at = |index| EntryId::new(Term(if index == 1 { 1 } else { 3 }), Index(index));
        let data = Bytes::new();
        let entry = |index| Entry {
            id: at(index),
            time: LogTime(0),
            kind: EntryKind::Command,
            data: data.clone(),
        };
        let entries = (prev + 1..=last).map(entry).collect();
        say(raft, Body::Append { prev: at(prev), entries, commit: Index(commit) });
    }

    /// What it asks for now; its writes are durable at once.
    fn done(raft: &mut Raft) -> Ready {
        let ready = raft.ready();
        if let Some(persist) = &ready.persist {
            raft.handle(Event::Persisted(persist.number));
        }
        ready
    }

    fn chunk(last: u64, length: u64, offset: u64, bytes: usize) -> Chunk {
        let meta = SnapshotMeta {
            last: EntryId::new(Term(3), Index(last)),
            configuration: configuration(),
            configuration_index: Index(1),
            ..SnapshotMeta::default()
        };
        let data = alloc::vec![7; bytes].into();
        Chunk { meta, length, checksum: 1, offset, data }
    }

    fn piece(raft: &mut Raft, piece: Chunk) {
        say(raft, Body::Snapshot(piece.into()));
    }

    fn stored(raft: &mut Raft, of: &Chunk, stored: Option<u64>) {
        raft.handle(Event::Stored { snapshot: of.id(), stored });
    }

    #[test]
    fn only_what_is_new_of_a_piece_is_taken_and_no_more_than_the_disk_may_have_in_hand() {
        let mut receiving = Receiving::begin(&chunk(9, 100, 0, 0), Term(5));
        let mut take = |offset, bytes| {
            let taken = receiving.take(chunk(9, 100, offset, bytes), 10);
            taken.map(|chunk| (chunk.offset, chunk.end()))
        };
        assert_eq!(take(0, 20), Some((0, 20)), "the first may be larger");
        assert_eq!(take(0, 20), None, "there is nothing new in it");
        assert_eq!(take(20, 1), None, "20 bytes wait");
        receiving.stored = Some(16);
        let mut take = |offset, bytes| {
            let taken = receiving.take(chunk(9, 100, offset, bytes), 10);
            taken.map(|chunk| (chunk.offset, chunk.end()))
        };
        assert_eq!(take(18, 9), None, "11 would wait");
        assert_eq!(take(18, 8), Some((20, 26)));
        assert_eq!(take(27, 1), None, "a gap");
    }

    #[test]
    fn a_log_that_matches_takes_nothing_and_forgets_what_has_arrived() {
        let mut raft = follower();
        piece(&mut raft, chunk(9, 8, 0, 4));
        assert_eq!(done(&mut raft).chunks.len(), 1);
        append(&mut raft, 4, 9, 1);
        piece(&mut raft, chunk(9, 8, 0, 4));
        let ready = done(&mut raft);
        assert_eq!((ready.chunks.len(), raft.status().committed), (0, Index(9)));
        let then = ready.persist.map(|persist| persist.then).unwrap_or_default();
        assert_eq!(then.last().map(|m| m.body.clone()), Some(Body::Appended { matched: Index(9) }));
        assert_eq!(raft.core.receiving, None);
    }

    #[test]
    fn a_log_that_caught_up_while_it_was_stored_is_kept() {
        // It holds the snapshot's last entry; the second time it knows that to be committed.
        for (commit, committed) in [(1, 9), (11, 11)] {
            let mut raft = follower();
            let whole = chunk(9, 4, 0, 4);
            piece(&mut raft, whole.clone());
            append(&mut raft, 4, 12, commit);
            _ = done(&mut raft);
            stored(&mut raft, &whole, Some(4));
            let persist = done(&mut raft).persist.expect("an answer");
            assert_eq!((persist.snapshot, persist.compact), (None, None));
            let status = raft.status();
            assert_eq!((status.last.index, status.committed), (Index(12), Index(committed)));
        }
    }

    #[test]
    fn one_that_was_whole_without_a_leader_is_installed_when_the_next_one_speaks() {
        let mut raft = follower();
        let whole = chunk(9, 4, 0, 4);
        piece(&mut raft, whole.clone());
        _ = done(&mut raft);
        for now in 0..60 {
            raft.handle(Event::Tick { now });
        }
        assert_eq!(raft.leader(), None);
        stored(&mut raft, &whole, Some(4));
        assert_eq!(raft.status().start, EntryId::ZERO);
        piece(&mut raft, whole);
        assert_eq!(raft.status().start.index, Index(9));
    }

    #[test]
    fn a_report_of_another_snapshot_or_of_more_than_was_handed_out_says_nothing() {
        let mut raft = follower();
        let (first, other) = (chunk(9, 8, 0, 4), chunk(8, 8, 0, 4));
        piece(&mut raft, first.clone());
        _ = done(&mut raft);
        stored(&mut raft, &other, Some(4));
        stored(&mut raft, &first, Some(8));
        assert!(done(&mut raft).is_empty());
        assert_eq!(raft.status().start, EntryId::ZERO);
        stored(&mut raft, &other, None);
        stored(&mut raft, &first, Some(4));
        assert_eq!(done(&mut raft).send.len(), 1, "and this is answered");
    }

    #[test]
    fn what_was_not_handed_out_of_what_could_not_be_kept_never_is() {
        let mut raft = follower();
        raft.core.config.snapshot_inflight_bytes_max = 100;
        piece(&mut raft, chunk(9, 8, 0, 4));
        _ = done(&mut raft);
        piece(&mut raft, chunk(9, 8, 4, 2));
        stored(&mut raft, &chunk(9, 8, 0, 4), None);
        assert_eq!(done(&mut raft).chunks, []);
        piece(&mut raft, chunk(9, 8, 0, 4));
        assert_eq!(done(&mut raft).chunks.len(), 1, "it comes anew");
    }
}
