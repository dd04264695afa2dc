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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Boot, EntryId, Incarnation, Index, LogTime, MemberId, NodeId, Term};
    use crate::{
        Ballot, Body, Config, Configuration, Event, Member, Message, RequestNumber, Restored,
        SnapshotId, Switch,
    };
    use bytes::Bytes;

    fn id(node: u64) -> MemberId {
        MemberId::new(NodeId(node), Incarnation(node))
    }

    /// All that is asked for is done at once.
    fn work(raft: &mut Raft) {
        while let Some(persist) = raft.ready().persist {
            raft.handle(Event::Persisted(persist.number));
        }
    }

    fn say(raft: &mut Raft, from: u64, body: Body) {
        let term = raft.status().term;
        raft.handle(Event::Message(Message { from: id(from), to: id(1), term, body }));
        work(raft);
    }

    fn propose(raft: &mut Raft, count: u64) {
        for number in (1..=count).map(RequestNumber) {
            raft.handle(Event::Propose { number, data: Bytes::from_static(b"12345678") });
        }
        work(raft);
    }

    /// The leader of three, with twelve entries of which the second holds all, and a log from 5.
    fn leader() -> Raft {
        let config = Config {
            pre_vote: Switch::Off,
            install_log_bytes_max: 300,
            ..Config::new(id(1), Boot(1), 1)
        };
        let mut raft = Raft::new(config, Restored::default()).unwrap();
        let member = |node| Member { id: id(node), info: Bytes::new() };
        raft.handle(Event::Form(Configuration::new((1..=3).map(member))));
        raft.set_election_timeout(1);
        raft.handle(Event::Tick { now: 1 });
        work(&mut raft);
        say(&mut raft, 2, Body::Voted(Ballot::Granted));
        propose(&mut raft, 10);
        say(&mut raft, 2, Body::Appended { matched: Index(12) });
        compact(&mut raft, 5);
        assert_eq!(starts(&raft), 5);
        raft
    }

    /// The same, whose third member has some of a snapshot up to `index`.
    fn leader_that_sends(index: u64) -> Raft {
        let mut raft = leader();
        let (prev, hint) = (raft.status().start.index, EntryId::ZERO);
        // The first probe was behind entry 1.
        for prev in [prev, Index(1)] {
            say(&mut raft, 3, Body::Rejected { prev, hint });
        }
        let last = EntryId::new(raft.status().term, Index(index));
        let snapshot = SnapshotId { last, length: 100, checksum: 1 };
        say(&mut raft, 3, Body::Received { snapshot, stored: 10 });
        raft
    }

    fn compact(raft: &mut Raft, index: u64) {
        let id = EntryId::new(raft.status().term, Index(index));
        raft.handle(Event::Compact(LogStart { id, time: LogTime(0) }));
    }

    fn starts(raft: &Raft) -> u64 {
        raft.status().start.index.0
    }

    #[test]
    fn only_what_was_handed_out_is_dropped_and_only_once() {
        let mut raft = leader();
        work(&mut raft);
        compact(&mut raft, 5);
        assert_eq!(raft.ready().persist, None, "it begins there already");
        propose(&mut raft, 1);
        compact(&mut raft, 13);
        let id = EntryId::new(Term(1), Index(7));
        raft.handle(Event::Compact(LogStart { id, time: LogTime(0) }));
        assert_eq!(starts(&raft), 5, "13 is not committed, and 7 is of another term");
        assert_eq!(raft.ready().persist, None);
    }

    #[test]
    fn the_log_is_kept_behind_a_snapshot_that_is_under_way_and_the_latest_wish_stays() {
        let mut raft = leader_that_sends(5);
        for wish in [8, 7, 10, 9] {
            compact(&mut raft, wish);
            assert_eq!(starts(&raft), 5, "a follower needs what comes behind 5");
        }
        raft.handle(Event::Tick { now: 2 });
        assert_eq!(starts(&raft), 5, "it still does");
        say(&mut raft, 3, Body::Appended { matched: Index(12) });
        raft.handle(Event::Tick { now: 3 });
        assert_eq!(starts(&raft), 10);
    }

    #[test]
    fn a_log_that_begins_where_the_snapshot_ends_still_follows_on_it() {
        let mut raft = leader_that_sends(8);
        compact(&mut raft, 8);
        assert_eq!(starts(&raft), 8);
        compact(&mut raft, 9);
        assert_eq!(starts(&raft), 8);
    }

    #[test]
    fn no_more_is_kept_than_its_bound() {
        let mut raft = leader_that_sends(5);
        compact(&mut raft, 8);
        propose(&mut raft, 7);
        raft.handle(Event::Tick { now: 2 });
        assert_eq!(starts(&raft), 5, "280 bytes were taken on");
        propose(&mut raft, 1);
        raft.handle(Event::Tick { now: 3 });
        assert_eq!(starts(&raft), 8);
    }
}
