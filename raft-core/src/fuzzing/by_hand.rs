//! What scenarios do to a `Cluster` by hand, beside the steps of a schedule.

use super::cluster::Cluster;
use super::node::Node;
use crate::{Body, Event, Message};
use std::vec::Vec;

impl Cluster {
    /// Nobody is cut off any more, and everything that is on its way arrives, for `ticks` ticks.
    pub(super) fn settle(&mut self, ticks: u32) {
        self.cut = None;
        self.run(ticks);
    }

    /// Everybody that lost its disk is put back into its place.
    pub(super) fn replace_all(&mut self) {
        for step in 0..40 {
            if !self.replace(step) {
                return;
            }
            self.settle(50);
        }
        panic!("the operator's steps come to no end: {self:?}");
    }

    /// Everything that is on its way arrives, but to and from whoever is cut off.
    pub(super) fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.now += 10;
            for at in 0..self.nodes.len() {
                self.handle(at, Event::Tick { now: self.now });
            }
            while self.any_work() {}
        }
    }

    /// One proposal at each member.
    pub(super) fn propose_everywhere(&mut self) {
        for at in 0..self.nodes.len() {
            self.propose(at);
        }
    }

    /// Whether all members have applied the same, which is all there is.
    #[must_use]
    pub(super) fn agrees(&self) -> bool {
        let last = self.last_committed();
        let Some(leader) = self.leader().map(|at| &self.nodes[at]) else { return false };
        let configuration = leader.raft.configuration();
        let member = |node: &&Node| configuration.contains(node.me);
        self.nodes.iter().filter(member).all(|node| node.applied == last)
    }

    /// A member hears nothing for some ticks.
    pub(super) fn wait(&mut self, at: usize, ticks: u32) {
        for _ in 0..ticks {
            self.tick(at);
        }
    }

    /// What is on its way from one member to another arrives, if `wanted`; the rest of it is lost.
    pub(super) fn pass(&mut self, from: usize, to: usize, wanted: impl Fn(&Body) -> bool) {
        let (from, at) = (self.nodes[from].me, to);
        let to = self.nodes[at].me;
        let between = |message: &Message| message.from == from && message.to == to;
        let all = core::mem::take(&mut self.network);
        let (passing, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(between);
        self.network = rest;
        for message in passing.into_iter().filter(|message| wanted(&message.body)) {
            self.handle(at, Event::Message(message));
        }
    }

    /// Two members talk to each other for some ticks of the first, and their disks work.
    pub(super) fn run_between(&mut self, one: usize, other: usize, ticks: u32) {
        for _ in 0..ticks {
            self.tick(one);
            self.pass(one, other, |_| true);
            self.acknowledge(other);
            self.acknowledge(one);
            self.pass(other, one, |_| true);
        }
    }

    /// All that is on its way is lost.
    pub(super) fn lose_all(&mut self) {
        self.network.clear();
    }

    /// What is on its way to a member is lost.
    pub(super) fn lose_all_to(&mut self, at: usize) {
        let to = self.nodes[at].me;
        self.network.retain(|message| message.to != to);
    }
}
