//! Holm's core as a cluster's member: [`Holm`].

use crate::cluster::Member;
use bytes::Bytes;
use holm_raft_core::{
    Body, Boot, Config, Configuration, Entry, Event, Incarnation, Index, MemberId, Message, NodeId,
    Outbound, Raft, RequestNumber, Restored, Switch,
};

/// A core and what its log holds.
pub(crate) struct Holm {
    raft: Raft,
    entries: Vec<Entry>,
}

fn id(node: u64) -> MemberId {
    MemberId::new(NodeId(node), Incarnation(node))
}

impl Holm {
    /// Member `node` of so many. `checks` stands for pre-votes and check-quorum.
    pub(crate) fn new(node: u64, members: u64, seed: u64, checks: Switch) -> Self {
        let voter = |node| holm_raft_core::Member { id: id(node), info: Bytes::new() };
        let mut config = Config::new(id(node), Boot(1), seed * 1_000 + node);
        (config.pre_vote, config.check_quorum) = (checks, checks);
        let mut raft = Raft::new(config, Restored::default()).expect("the defaults work");
        raft.handle(Event::Form(Configuration::new((1..=members).map(voter))));
        Self { raft, entries: Vec::new() }
    }

    fn fill(&self, outbound: Outbound) -> Message {
        match outbound {
            Outbound::Message(message) => message,
            Outbound::Entries { to, term, prev, last, commit } => {
                let place = |index: Index| usize::try_from(index.0).expect("a short log");
                let entries = self.entries[place(prev.index)..place(last.index)].to_vec();
                let from = self.raft.status().me;
                Message { from, to, term, body: Body::Append { prev, entries, commit } }
            }
            other => panic!("nothing is compacted here, and yet: {other:?}"),
        }
    }
}

impl Member for Holm {
    type Message = Message;

    fn tick(&mut self, now: u64) {
        self.raft.handle(Event::Tick { now });
    }

    fn handle(&mut self, message: Message) {
        self.raft.handle(Event::Message(message));
    }

    fn propose(&mut self, number: u64, command: [u8; 8]) {
        let data = Bytes::copy_from_slice(&command);
        self.raft.handle(Event::Propose { number: RequestNumber(number), data });
    }

    fn settle(&mut self) -> Vec<(u64, Message)> {
        let mut sent = Vec::new();
        loop {
            let ready = self.raft.ready();
            if ready.is_empty() {
                return sent;
            }
            let mut then = Vec::new();
            if let Some(persist) = ready.persist {
                if let Some(from) = persist.truncate {
                    self.entries.retain(|entry| entry.id.index < from);
                }
                self.entries.extend(persist.entries);
                self.raft.handle(Event::Persisted(persist.number));
                then = persist.then;
            }
            let send = ready.send.into_iter().map(|outbound| self.fill(outbound));
            sent.extend(send.chain(then).map(|message| (message.to.node.0, message)));
        }
    }

    fn leads(&self) -> bool {
        self.raft.status().role == "leader"
    }

    fn term(&self) -> u64 {
        self.raft.status().term.0
    }

    fn last(&self) -> u64 {
        self.raft.status().last.index.0
    }

    fn committed(&self) -> Option<[u8; 8]> {
        let committed = self.raft.status().committed;
        let last = self.entries.iter().rev().find(|entry| entry.id.index <= committed)?;
        <[u8; 8]>::try_from(&last.data[..]).ok()
    }

    fn told(&self) -> String {
        self.raft.status().to_string()
    }
}
