//! What a leader does (paper §5.3, §5.4.2; thesis §6.2, §6.4): it appends, replicates, counts,
//! confirms reads, and steps down when it no longer hears a majority.

use crate::entry::{Entry, EntryKind};
use crate::lease::Lease;
use crate::message::Body;
use crate::mutation::{self, Mutation};
use crate::progress::Progress;
use crate::quorum;
use crate::raft::{Core, Raft};
use crate::reads::{ReadQueue, Reader};
use crate::ready::Outbound;
use crate::role::{Leader, Role};
use crate::sending::Sending;
use crate::snapshot::SnapshotId;
use crate::types::{EntryId, Index, LogTime, MemberId};
use alloc::collections::BTreeMap;
use bytes::Bytes;

impl Raft {
    /// Becomes the leader of this term. An empty entry of its own term lets it commit what it
    /// found (§8); until then it serves no read.
    pub(crate) fn lead(&mut self) {
        let next = self.core.log.last().index.next();
        let follower = |id: MemberId| (id.node, Progress::new(id, next));
        let leader = Leader {
            followers: self.core.other_members().into_iter().map(follower).collect(),
            reads: ReadQueue::default(),
            round: 0,
            seen: BTreeMap::new(),
            time_base: self.core.log.last_time(),
            since: self.core.now,
            transfer: None,
            lease: Lease::default(),
            stirred: true,
        };
        self.become_role(Role::Leader(leader));
        self.core.receiving = None;
        self.append(EntryKind::Noop, Bytes::new());
        self.heartbeat();
    }

    /// Appends an entry of this term. Only for a leader.
    pub(crate) fn append(&mut self, kind: EntryKind, data: Bytes) -> EntryId {
        let Role::Leader(leader) = &self.role else { unreachable!("only a leader appends") };
        let led = self.core.now - leader.since;
        let time = LogTime(leader.time_base.0.saturating_add(led)).max(self.core.log.last_time());
        let id = EntryId::new(self.core.term, self.core.log.last().index.next());
        self.core.append_entry(Entry { id, time, kind, data });
        self.stir();
        id
    }

    /// Something happened that may have something sent to followers.
    pub(crate) const fn stir(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.stirred = true;
        }
    }

    pub(crate) fn tick_leader(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let election_ticks = self.core.config.election_ticks;
        let pieces = self.core.config.pieces();
        for sending in leader.followers.values_mut().filter_map(Progress::sending_mut) {
            sending.tick(election_ticks, pieces);
            leader.stirred = true;
        }
        self.compact_deferred();
        self.tick_transfer();
        if self.hands_over_from_a_bad_disk() {
            return;
        }
        self.promote_who_caught_up();
        if self.core.elapsed >= election_ticks {
            self.core.elapsed = 0;
            if self.core.config.check_quorum.is_on() && !self.hears_a_majority() {
                self.follow(self.core.term, None);
                return;
            }
        }
        if self.core.elapsed.is_multiple_of(self.core.config.heartbeat_ticks) {
            self.heartbeat();
        }
    }

    /// Whether a majority answered within the last election time-out (thesis §6.2). Whoever leads
    /// without one only keeps callers waiting.
    fn hears_a_majority(&mut self) -> bool {
        let Role::Leader(leader) = &mut self.role else {
            return false;
        };
        let active = quorum::reached(self.core.membership.current(), |node| {
            leader.followers.get(&node).map_or(1, |progress| u64::from(progress.active))
        });
        for progress in leader.followers.values_mut() {
            progress.active = false;
        }
        active == 1
    }

    /// Begins a heartbeat round; it serves the reads that wait, once this term has committed.
    pub(crate) fn heartbeat(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.round += 1;
        leader.lease.round_sent(leader.round, self.core.now);
        let committed = self.core.log.committed();
        let own = self.core.log.term(committed) == Some(self.core.term);
        if own || mutation::on(Mutation::ReadBeforeOwnTermCommit) {
            let reused = u64::from(mutation::on(Mutation::ReadRoundReused));
            leader.reads.begin(leader.round - reused, committed);
        }
        for progress in leader.followers.values() {
            let clip = !mutation::on(Mutation::HeartbeatCommitNotClipped);
            let commit = if clip { committed.min(progress.matched) } else { committed };
            self.core.answer(progress.member, Body::Heartbeat { round: leader.round, commit });
        }
        self.confirm_reads();
    }

    /// Serves the reads of every round that a majority has answered, and extends the lease.
    pub(crate) fn confirm_reads(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let own = leader.round;
        let confirmed = quorum::reached(self.core.membership.current(), |node| {
            leader.followers.get(&node).map_or(own, |progress| progress.round)
        });
        leader.lease.round_confirmed(confirmed);
        for (reader, index) in leader.reads.confirmed(confirmed) {
            self.core.serve_read(reader, Some(index));
        }
    }

    /// Commits what a majority holds durably, if it is of this term: older entries commit only
    /// with one of this term behind them (§5.4.2, figure 8).
    pub(crate) fn commit(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let core = &mut self.core;
        let durable = core.log.durable();
        let held = quorum::committed(core.membership.current(), |node| {
            leader.followers.get(&node).map_or(durable, |progress| progress.matched)
        });
        let own = core.log.term(held) == Some(core.term);
        if held > core.log.committed() && (own || mutation::on(Mutation::OlderTermCommit)) {
            core.log.commit(held);
            self.after_commit();
        }
    }

    /// The index of a read that is answered at `now` without a round, if the lease holds. By a
    /// follower's ticks one may be due at once, so the lease is a tick shorter than its time-out.
    pub(crate) fn leased_index(&self, now: u64) -> Option<Index> {
        let core = &self.core;
        let committed = core.log.committed();
        #[cfg(any(test, feature = "mutations"))]
        if let Some(lease) = &core.kept_lease
            && !matches!(self.role, Role::Leader(_))
        {
            return lease.holds(now, core.config.lease_millis()).then_some(committed);
        }
        let Role::Leader(leader) = &self.role else { return None };
        let own = core.log.term(committed) == Some(core.term);
        let length = core.config.lease_millis();
        let holds = core.config.check_quorum.is_on() && leader.lease.holds(now, length);
        (own && holds).then_some(committed)
    }

    pub(crate) fn on_appended(&mut self, from: MemberId, matched: Index) {
        let end = self.core.log.last().index;
        let start = self.core.log.start().index;
        let Some(progress) = self.progress(from) else { return };
        progress.active = true;
        if matched > end {
            self.core.dropped.impossible += 1;
        } else if progress.appended(matched, start) {
            if matched > self.core.log.committed() {
                self.commit();
            }
            self.tell_next_leader();
        }
    }

    pub(crate) fn on_rejected(&mut self, from: MemberId, prev: Index, hint: EntryId) {
        let agree = self.core.log.at_or_below(hint).index;
        // The log may begin behind the hint: then only a snapshot helps.
        let agree = if hint.index < self.core.log.start().index { hint.index } else { agree };
        if let Some(progress) = self.progress(from) {
            progress.active = true;
            progress.rejected(prev, agree);
        }
    }

    pub(crate) fn on_heartbeat_ack(&mut self, from: MemberId, round: u64) {
        let Role::Leader(leader) = &self.role else { return };
        if round > leader.round {
            self.core.dropped.impossible += 1;
            return;
        }
        let Some(progress) = self.progress(from) else { return };
        progress.active = true;
        let asks = progress.heartbeat_answered(round);
        if let Role::Leader(leader) = &mut self.role {
            leader.stirred |= asks;
            // The lease is looked after when it is asked for.
            if leader.reads.is_confirming() {
                self.confirm_reads();
            }
        }
    }

    /// The follower has so much of a snapshot: it is sent what comes next.
    pub(crate) fn on_received(&mut self, from: MemberId, snapshot: SnapshotId, stored: u64) {
        let Some(progress) = self.progress(from) else { return };
        progress.active = true;
        if let Some(sending) = progress.sending_mut() {
            sending.received(snapshot, stored);
        }
    }

    fn progress(&mut self, from: MemberId) -> Option<&mut Progress> {
        let Role::Leader(leader) = &mut self.role else {
            return None;
        };
        leader.followers.get_mut(&from.node).filter(|progress| progress.member == from)
    }

    /// Sends to each follower whatever it lacks and may be sent; called once a turn, so that what
    /// was proposed in one turn travels together.
    pub(crate) fn send_appends(&mut self) {
        if let Role::Leader(leader) = &self.role
            && leader.reads.wants_round()
            && (self.core.log.term(self.core.log.committed()) == Some(self.core.term)
                || mutation::on(Mutation::ReadBeforeOwnTermCommit))
        {
            self.heartbeat();
        }
        let Role::Leader(leader) = &mut self.role else { return };
        if !core::mem::replace(&mut leader.stirred, false) {
            return;
        }
        for progress in leader.followers.values_mut() {
            while self.core.send_append(progress, leader.round) {}
        }
    }
}

impl Core {
    /// Sends one append, or a snapshot, if it is due. Returns whether there may be more to send.
    fn send_append(&mut self, progress: &mut Progress, round: u64) -> bool {
        let to = progress.member;
        if let Some(sending) = progress.sending_mut() {
            return self.send_piece(to, sending);
        }
        let window = self.config.window();
        if !progress.may_send(window) {
            return false;
        }
        let prev = progress.next.prev();
        let (term, commit) = (self.term, self.log.committed());
        // A log that begins right behind `prev` still knows it.
        let reachable = !mutation::on(Mutation::SnapshotOffByOne) || prev > self.log.start().index;
        let Some(prev) = self.log.id(prev).filter(|_| reachable) else {
            progress.install(self.weights.total());
            return true;
        };
        let end = progress.window_end(self.log.last().index, window, &self.weights);
        let asks = progress.must_ask();
        if end == prev.index && !asks {
            self.tell_commit(progress);
            return false;
        }
        let last = self.log.id(end).expect("within the log");
        self.out.send.push(Outbound::Entries { to, term, prev, last, commit });
        progress.sent(end, commit.min(end), round);
        end > prev.index && !asks
    }

    /// Tells a follower what is committed of what it is known to hold, if that is news.
    fn tell_commit(&mut self, progress: &mut Progress) {
        let commit = self.log.committed().min(progress.matched);
        if progress.commit_sent < commit {
            progress.commit_sent = commit;
            self.answer(progress.member, Body::Committed { commit });
        }
    }

    fn send_piece(&mut self, to: MemberId, sending: &mut Sending) -> bool {
        let pieces = self.config.pieces();
        let Some((snapshot, offset)) = sending.next_piece(pieces) else { return false };
        let (term, bytes_max) = (self.term, pieces.bytes_max);
        self.out.send.push(Outbound::Snapshot { to, term, snapshot, offset, bytes_max });
        true
    }

    pub(crate) fn serve_read(&mut self, reader: Reader, index: Option<Index>) {
        match reader {
            Reader::Own(number) => self.out.reads.push((number, index)),
            Reader::Member { member, boot, number } => {
                self.answer(member, Body::ReadAt { boot, number, index });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Configuration, Member};
    use crate::types::{Boot, Incarnation, NodeId, RequestNumber};
    use crate::{Config, Event, Restored};
    use alloc::vec::Vec;

    fn alone() -> Raft {
        let me = MemberId::new(NodeId(1), Incarnation(1));
        let mut raft = Raft::new(Config::new(me, Boot(1), 1), Restored::default()).unwrap();
        raft.handle(Event::Form(Configuration::new([Member { id: me, info: Bytes::new() }])));
        raft.set_election_timeout(1);
        raft.handle(Event::Tick { now: 1_000 });
        times(&mut raft);
        raft
    }

    /// The times of the entries that are to be written.
    fn times(raft: &mut Raft) -> Vec<u64> {
        let mut found = Vec::new();
        while let Some(persist) = raft.ready().persist {
            found.extend(persist.entries.iter().map(|entry| entry.time.0));
            raft.handle(Event::Persisted(persist.number));
        }
        found
    }

    #[test]
    fn an_entry_bears_the_time_of_the_clock_that_was_read_for_it() {
        let mut raft = alone();
        let propose = |raft: &mut Raft, number, now| {
            raft.handle(Event::Clock { now });
            let data = Bytes::new();
            raft.handle(Event::Propose { number: RequestNumber(number), data });
            times(raft)
        };
        // The member stood still for a minute since its tick.
        assert_eq!(propose(&mut raft, 1, 61_000), [60_000]);
        assert_eq!(propose(&mut raft, 2, 60_000), [60_000], "a clock that falls is not believed");
        raft.handle(Event::Tick { now: 61_010 });
        assert_eq!(propose(&mut raft, 3, 61_012), [60_012]);
    }
}
