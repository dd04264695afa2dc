//! What a member does so that others reach each other: [`Shared::pass_on`] carries their frames
//! further, and the records that say who has links to whom are taken, sent and passed on.

use crate::frame::{Flags, Head, Kind};
use crate::greetings::{Own, Reply};
use crate::line::{Line, Via, Who};
use crate::mutation::{Mutation, on};
use crate::network;
use crate::queue::{Lane, Load, Queue};
use crate::routing::{Heard, Onward, Transit};
use crate::shared::Shared;
use crate::status::{Lost, Neighbours};
use bytes::Bytes;
use holm_raft_core::NodeId;
use std::time::Duration;

impl Shared {
    /// This member has a link to that one.
    pub(crate) fn link_up(&self, (member, _): Who) {
        self.routing().table.link_up(member.node, self.now());
        self.flood();
    }

    /// It has none any more.
    pub(crate) fn link_down(&self, line: &Line, why: &str) {
        for item in line.unlinked(why.to_owned()) {
            if let Load::Frame(head, body) = item.load {
                self.left(head, body.len());
            }
        }
        self.routing().table.link_down(line.node, self.now());
        self.flood();
    }

    /// A record has arrived on the link of `line`.
    pub(crate) fn heard_route(&self, line: &Line, body: &[u8]) {
        let heard = self.routing().table.receive(line.node, body, self.now());
        match heard {
            Ok(Heard::Changed) => self.flood(),
            Ok(Heard::Same) => self.send_records(),
            Ok(Heard::Stranger) => line.lost(Lost::Misaddressed, 1),
            Err(error) => {
                tracing::trace!(peer = line.node.0, "{error}");
                line.lost(Lost::Malformed, 1);
            }
        }
    }

    /// Does what is due, and says when something is due again.
    pub(crate) fn refresh_routes(&self) -> Duration {
        self.routing().table.tick(self.now());
        self.send_records();
        self.routing().table.deadline()
    }

    /// Sends what has to be sent, and has the ways found anew.
    fn flood(&self) {
        self.send_records();
        self.changed.notify_one();
    }

    fn send_records(&self) {
        let floods = self.routing().table.drain();
        for flood in floods {
            let Some(line) = self.line(flood.to) else { continue };
            let head = Head::new(Kind::Route, self.me.node, flood.to);
            // A lost record is said again.
            let _ = line.queue.send(Load::Frame(head, flood.bytes));
        }
    }

    /// The way to a member through others, if there is one: no link of its own.
    pub(crate) fn way_to(&self, line: &Line) -> Option<Via> {
        let (next, who) = self.routing().table.way(line.node, None)?;
        (next != line.node).then_some(())?;
        Some(Via { who: who?, next: self.line(next)? })
    }

    /// Who a member is, as it says itself.
    pub(crate) fn who(&self, node: NodeId) -> Result<Who, Lost> {
        self.routing().table.who(node).ok_or(Lost::NoSession)
    }

    /// Carries a frame further that has come over the link of `from`, or loses it.
    pub(crate) fn pass_on(&self, from: &Line, head: Head, body: Bytes) {
        let from = from.node;
        self.network.pass_on(network::Transit { from, head, body }, &mut |frame| {
            let Some(from) = self.line(frame.from) else { return };
            if on(Mutation::RelayDuplicates) {
                let _ = self.try_pass_on(&from, frame.head, frame.body.clone());
            }
            if let Err(reason) = self.try_pass_on(&from, frame.head, frame.body) {
                from.lost(reason, 1);
            }
        });
    }

    fn try_pass_on(&self, from: &Line, head: Head, body: Bytes) -> Result<(), Lost> {
        let Head { source, destination, hops, .. } = head;
        let bytes = body.len();
        let transit = Transit { from: from.node, source, destination, hops, bytes };
        let Onward { next, hops } = self.routing().carry(transit, self.now())?;
        let lane = if head.flags.has(Flags::URGENT) { Lane::UrgentTransit } else { Lane::Transit };
        let onward = Head { hops, ..head };
        let next = self.line(next).ok_or(Lost::NoWay);
        let queued = next.and_then(|next| next.queue.pass_on(lane, onward, body));
        queued.inspect_err(|_| self.left(onward, bytes))
    }

    /// What was carried on for others has been written, or lost.
    pub(crate) fn left(&self, head: Head, bytes: usize) {
        if head.source != self.me.node {
            self.routing().relay.left(head.source, head.destination, bytes);
        }
    }

    /// A message of the handshake with the sender has arrived, which others have passed on.
    pub(crate) fn greeted(&self, link: &Line, head: Head, body: &[u8]) {
        let (Some(party), Some(line)) = (self.party(), self.line(head.source)) else {
            return link.lost(Lost::Misaddressed, 1);
        };
        let own = self.introduction();
        let reply = line.relayed.sessions(|sessions| {
            self.with_random(|random| {
                let own = Own { party: &party, own, random, now: self.now() };
                sessions.greeted(own, body, |found| self.judge(line.node, found))
            })
        });
        match reply {
            Ok(Reply::Nothing) => (),
            Ok(Reply::Greeting(body)) => self.send_greeting(&link.queue, line.node, body),
            Ok(Reply::Welcome) => {
                // Should it be lost, the third message comes again.
                let _ = link.queue.send_beyond(Load::Word(Kind::Welcome, 0), &line);
                self.changed.notify_one();
            }
            Err(refused) => {
                let whom = format!("member {} through member {}", head.source, link.node);
                self.refuse(&whom, refused.why, &refused.detail);
            }
        }
    }

    /// Sends a message of the handshake with `to` on a link. Should it be lost, it comes again.
    pub(crate) fn send_greeting(&self, link: &Queue, to: NodeId, body: Bytes) {
        let head = Head::new(Kind::Greeting, self.me.node, to).with(Flags::URGENT);
        let head = Head { hops: self.hops_max(), ..head };
        let _ = link.send(Load::Frame(head, body));
    }

    /// Who has links to whom.
    pub(crate) fn matrix(&self) -> Vec<Neighbours> {
        self.routing().table.matrix(self.now())
    }
}
