//! One member of an explored cluster: `Member`, a real core with its disk: what is durable, and
//! the writes that are on their way there. It does at once what the core asks for, but for syncs,
//! which the explorer decides.

use super::marks;
use holm_raft_core::{
    Ballot, Body, Boot, Config, Configuration, Entry, EntryId, EntryKind, Event, HardState,
    Incarnation, Index, MemberId, Message, NodeId, Outbound, Persist, Raft, Ready, RequestNumber,
    Restored, Status, Term,
};
use std::hash::{Hash, Hasher};

/// The shortest election time-out, in ticks: more than the heartbeats of any exploration.
pub(crate) const ELECTION_TICKS: u32 = 8;
/// A write is never this long under way.
const STALLED_TICKS: u32 = 1_000_000;
/// The most ticks until a member has stepped down and begun an election.
const AGE_TICKS_MAX: u32 = 5 * ELECTION_TICKS;
/// The most turns until a member is quiet after one event.
const TURNS_MAX: u32 = 16;

/// Whether a pre-vote is a matter of messages and time, or of the explorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PreVotes {
    /// Requests and answers travel, and whoever believes in a leader refuses.
    Asked,
    /// A pre-vote decides only *when* an election begins, and how long one is loyal; here any time
    /// may be that time. So whoever times out has been granted its pre-votes, and whoever is asked
    /// for a vote has not heard of its leader for long. It allows more than can happen, in fewer
    /// states.
    Given,
}

/// When writes become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Syncs {
    AtOnce,
    /// When the explorer says so.
    Any,
}

/// What survives a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) pre_votes: PreVotes,
    pub(crate) raft: Raft,
    pub(crate) status: Status,
    pub(crate) durable: Disk,
    /// What the log holds, durable or not.
    pub(crate) written: Disk,
    /// The writes that are not acknowledged yet.
    pub(crate) pending: Vec<Persist>,
    /// Whether a record ever dropped entries from the log.
    pub(crate) truncations: u8,
    /// Stands for all of the above.
    mark: u64,
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.mark == other.mark
    }
}

impl Eq for Member {}

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mark.hash(state);
    }
}

pub(crate) fn id(node: u64) -> MemberId {
    MemberId::new(NodeId(node), Incarnation(node))
}

fn config(node: u64, boot: Boot) -> Config {
    let mut config = Config::new(id(node), boot, node);
    config.election_ticks = ELECTION_TICKS;
    config.heartbeat_ticks = 1;
    config.stalled_write_ticks = STALLED_TICKS;
    // One entry at a time: what is sent in one message can't be half of it delivered.
    config.append_entries_max = 1;
    config.inflight_appends_max = 2;
    config
}

impl Member {
    /// A member of `members` that was just started, on a log with these terms after the first
    /// entry, which forms the cluster.
    pub(crate) fn new(
        node: u64,
        members: u64,
        pre_votes: PreVotes,
        hard_state: HardState,
        terms: &[u64],
    ) -> Self {
        let voters = (1..=members)
            .map(|node| holm_raft_core::Member { id: id(node), info: bytes::Bytes::new() });
        let first = Entry {
            id: EntryId::new(Term(1), Index(1)),
            time: holm_raft_core::LogTime(0),
            kind: EntryKind::Configuration,
            data: Configuration::new(voters).encode(),
        };
        let later = (2..).zip(terms).map(|(index, term)| Entry {
            id: EntryId::new(Term(*term), Index(index)),
            time: holm_raft_core::LogTime(0),
            kind: EntryKind::Noop,
            data: bytes::Bytes::new(),
        });
        let entries = std::iter::once(first).chain(later).collect();
        Self::start(node, Boot(1), pre_votes, Disk { hard_state, entries })
    }

    fn start(node: u64, boot: Boot, pre_votes: PreVotes, disk: Disk) -> Self {
        let raft = Raft::new(config(node, boot), disk.restored()).expect("a config that works");
        let status = raft.status();
        let (durable, written) = (disk.clone(), disk);
        let mut member = Self {
            pre_votes,
            raft,
            status,
            durable,
            written,
            pending: vec![],
            truncations: 0,
            mark: 0,
        };
        member.mark = marks::of_member(&member);
        member
    }

    /// A number that stands for this member's state.
    pub(crate) fn mark(&self) -> u64 {
        self.mark
    }

    /// All in memory is lost, and of the writes under way all but the first `kept`.
    pub(crate) fn crash(&mut self, kept: usize) {
        for persist in &self.pending[..kept] {
            self.durable.write(persist);
        }
        let truncations = self.truncations;
        *self = Self::start(self.status.me.node.0, Boot(2), self.pre_votes, self.durable.clone());
        self.truncations = truncations;
        self.mark = marks::of_member(self);
    }

    /// A message arrives. Returns what it sends.
    pub(crate) fn receive(&mut self, message: &Message, syncs: Syncs) -> Vec<Message> {
        let asked_later = matches!(message.body, Body::Vote { .. })
            && message.term > self.status.term
            && matches!(self.status.role, "follower" | "leader");
        if self.pre_votes == PreVotes::Given && asked_later {
            self.age();
        }
        self.raft.handle(Event::Message(message.clone()));
        self.settle(syncs)
    }

    /// Nothing is heard for so long that an election begins.
    pub(crate) fn time_out(&mut self, syncs: Syncs) -> Vec<Message> {
        self.age();
        match self.pre_votes {
            PreVotes::Asked => {
                let (me, last) = (self.status.me, self.status.last);
                let term = self.status.term.next();
                let body = Body::PreVote { last };
                let to_all =
                    self.others().map(|to| Message { from: me, to, term, body: body.clone() });
                let asked = to_all.collect::<Vec<_>>();
                self.settle(syncs).into_iter().chain(asked).collect()
            }
            PreVotes::Given => {
                let (to, term) = (self.status.me, self.status.term.next());
                for from in self.others().collect::<Vec<_>>() {
                    let body = Body::PreVoted(Ballot::Granted);
                    self.raft.handle(Event::Message(Message { from, to, term, body }));
                }
                self.settle(syncs)
            }
        }
    }

    /// Ticks until this member has stepped down, if it led, and asks for pre-votes. What it says
    /// meanwhile is lost.
    fn age(&mut self) {
        for _ in 0..AGE_TICKS_MAX {
            self.raft.handle(Event::Tick { now: 0 });
            if self.raft.status().term > self.status.term {
                // Its own pre-vote was a majority: no core that counts well gets here.
                return;
            }
            if self.raft.status().role == "pre-candidate" {
                let Ready { persist, .. } = self.raft.ready();
                assert!(persist.is_none(), "time alone changes nothing durable");
                self.status = self.raft.status();
                return;
            }
        }
        panic!("no time-out after {AGE_TICKS_MAX} ticks");
    }

    fn others(&self) -> impl Iterator<Item = MemberId> + use<> {
        let me = self.status.me;
        let voters: Vec<_> = self.raft.configuration().voters().map(|voter| voter.id).collect();
        voters.into_iter().filter(move |id| *id != me)
    }

    pub(crate) fn propose(&mut self, syncs: Syncs) -> Vec<Message> {
        let data = bytes::Bytes::from_static(b"x");
        self.raft.handle(Event::Propose { number: RequestNumber(1), data });
        self.settle(syncs)
    }

    /// A leader begins one round of heartbeats.
    pub(crate) fn heartbeat(&mut self) -> Vec<Message> {
        self.raft.handle(Event::Tick { now: 0 });
        let Ready { persist, send, .. } = self.raft.ready();
        assert!(persist.is_none(), "a heartbeat changes nothing durable");
        let mut messages = Vec::new();
        for outbound in send {
            match outbound {
                Outbound::Message(message) => messages.push(message),
                other => self.fill(other, &mut messages),
            }
        }
        self.seen();
        messages
    }

    /// The oldest write is durable.
    pub(crate) fn sync(&mut self, syncs: Syncs) -> Vec<Message> {
        let mut messages = Vec::new();
        self.finish_sync(&mut messages);
        messages.extend(self.settle(syncs));
        messages
    }

    fn finish_sync(&mut self, messages: &mut Vec<Message>) {
        let persist = self.pending.remove(0);
        self.durable.write(&persist);
        self.raft.handle(Event::Persisted(persist.number));
        messages.extend(persist.then);
    }

    /// Does what the core asks for until it asks for nothing more.
    fn settle(&mut self, syncs: Syncs) -> Vec<Message> {
        let mut messages = Vec::new();
        for _ in 0..TURNS_MAX {
            // A write without records is durable when those before it are.
            let due = |write: &Persist| syncs == Syncs::AtOnce || says_only(write);
            while self.pending.first().is_some_and(due) {
                self.finish_sync(&mut messages);
            }
            let ready = self.raft.ready();
            if ready.is_empty() {
                self.seen();
                return messages;
            }
            if let Some(persist) = ready.persist {
                self.truncations |= u8::from(persist.truncate.is_some());
                self.written.write(&persist);
                self.pending.push(persist);
            }
            for outbound in ready.send {
                match outbound {
                    // A new leader's, beside the appends that say as much; and `time_out`'s own.
                    Outbound::Message(Message {
                        body: Body::Heartbeat { .. } | Body::PreVote { .. },
                        ..
                    }) => {}
                    Outbound::Message(message) => messages.push(message),
                    other => self.fill(other, &mut messages),
                }
            }
        }
        panic!("not quiet after {TURNS_MAX} turns");
    }

    fn fill(&self, outbound: Outbound, messages: &mut Vec<Message>) {
        let Outbound::Entries { to, term, prev, last, commit } = outbound else {
            panic!("nothing is compacted here, and yet: {outbound:?}");
        };
        let wanted = |entry: &&Entry| entry.id.index > prev.index && entry.id.index <= last.index;
        let entries: Vec<_> = self.written.entries.iter().filter(wanted).cloned().collect();
        let end = entries.last().map_or(prev, |entry| entry.id);
        assert_eq!(end, last, "what is to be sent is in the log");
        messages.push(Message {
            from: self.status.me,
            to,
            term,
            body: Body::Append { prev, entries, commit },
        });
    }

    fn seen(&mut self) {
        self.status = self.raft.status();
        self.mark = marks::of_member(self);
    }
}

fn says_only(persist: &Persist) -> bool {
    persist.hard_state.is_none() && persist.truncate.is_none() && persist.entries.is_empty()
}

impl Disk {
    fn write(&mut self, persist: &Persist) {
        assert!(persist.compact.is_none() && persist.snapshot.is_none(), "nothing is compacted");
        if let Some(hard_state) = persist.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(from) = persist.truncate {
            self.entries.retain(|entry| entry.id.index < from);
        }
        self.entries.extend(persist.entries.iter().cloned());
    }

    pub(crate) fn id(&self, index: Index) -> Option<EntryId> {
        self.entries.iter().map(|entry| entry.id).find(|id| id.index == index)
    }

    fn restored(&self) -> Restored {
        let mut terms: Vec<EntryId> = Vec::new();
        for entry in &self.entries {
            if terms.last().is_none_or(|first| first.term < entry.id.term) {
                terms.push(entry.id);
            }
        }
        let configuration = Configuration::decode(self.entries[0].data.clone());
        Restored {
            hard_state: self.hard_state,
            terms,
            last: self.entries.last().expect("the cluster is formed").id.index,
            configurations: vec![(Index(1), configuration.expect("written by this test"))],
            ..Restored::default()
        }
    }
}
