//! What people do to a `Cluster`: they change its members, hand leadership over, and put members
//! that lost their disks back into their places, step by step.
//!
//! A lost disk never costs what was committed, however many there are: who lost it no longer votes
//! for who it was, as if it had been switched off for good. But a majority of every configuration
//! that may be in force has to keep its disks, or nothing commits any more, and no operator steps
//! help. So no more are lost than that (with three voters, one at a time), and nobody removes the
//! living while the lost are still counted.

use super::cluster::Cluster;
use super::node::Node;
use crate::configuration::Configuration;
use crate::quorum::{self, Tally};
use crate::{ChangeError, EntryId, Event, Leave, Member, MemberId, NodeId, Standing, Step};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::vec::Vec;

impl Cluster {
    /// The leader is asked for one or two steps of a change.
    pub(super) fn change(&mut self, whom: usize) {
        let Some(at) = self.leader() else { return };
        let steps = [whom, whom / 7].map(|which| {
            let node = &self.nodes[which % self.nodes.len()];
            match which / self.nodes.len() % 4 {
                0 => Step::Voter(node.as_member()),
                1 => Step::Learner(node.as_member()),
                2 => Step::Joining(node.as_member()),
                _ => Step::Remove(node.me.node),
            }
        });
        let steps = steps[..=whom % 2].to_vec();
        let leave = if whom.is_multiple_of(5) { Leave::Asked } else { Leave::Automatic };
        self.ask(at, steps, leave);
        if whom.is_multiple_of(3) {
            let number = self.next_request();
            self.handle(at, Event::LeaveJoint { number });
        }
    }

    /// The leader takes a change, unless the living would lose their majority.
    fn ask(
        &mut self,
        at: usize,
        steps: Vec<Step>,
        leave: Leave,
    ) -> Option<Result<EntryId, ChangeError>> {
        let next = self.nodes[at].raft.configuration().change(&steps, leave).ok()?;
        let left = next.left().unwrap_or_else(|_| next.clone());
        if ![next, left].iter().all(|after| works(after, |id| self.is_there(id))) {
            return None;
        }
        let number = self.next_request();
        self.handle(at, Event::Change { number, expected: None, steps, leave });
        self.changes.last().copied()
    }

    /// Whether it is there, and has a configuration, without which nobody votes.
    fn is_there(&self, id: MemberId) -> bool {
        let is_it = |node: &Node| node.me == id && node.durable.last() != EntryId::ZERO;
        self.nodes.iter().any(is_it)
    }

    pub(super) fn transfer(&mut self, at: usize) {
        let to = self.nodes[at].me.node;
        if let Some(leader) = self.leader() {
            self.handle(leader, Event::Transfer { to });
        }
    }

    /// The member's disk is lost, if the cluster can bear it.
    pub(super) fn wipe(&mut self, at: usize) {
        let stays = |id: MemberId| self.nodes[at].me != id && self.is_there(id);
        if self.configurations_in_force().into_iter().all(|one| works(one, stays)) {
            self.outcome.wiped += 1;
            self.nodes[at].wipe();
            self.last_seen_terms[at] = crate::Term(0);
            self.act(at);
        }
    }

    /// The latest one that was committed, and any that stands behind it in some log.
    fn configurations_in_force(&self) -> Vec<&Configuration> {
        let (set_at, committed) = &self.configuration;
        let latest = |node: &Node| node.raft.status().last.index;
        let of = |node: &'_ Node| node.raft.configuration_at(latest(node)).0;
        let later = self.nodes.iter().filter(|node| of(node) > *set_at);
        let later = later.map(|node| node.raft.configuration());
        core::iter::once(committed).chain(later).collect()
    }

    /// One step towards a cluster in which everybody that lost its disk is what it was: a leader
    /// takes the stranger in as a learner, in the place of who it was; and lets it vote when it
    /// has caught up. Returns whether there was one to take.
    pub(super) fn replace(&mut self, whom: usize) -> bool {
        let Some(at) = self.leader() else { return true };
        let configuration = self.nodes[at].raft.configuration();
        if configuration.is_joint() {
            let number = self.next_request();
            self.handle(at, Event::LeaveJoint { number });
            return true;
        }
        let lost = |node: &&Node| {
            configuration.member(node.me.node).is_some_and(|member| member.id != node.me)
        };
        let learns = |node: &&Node| {
            node.is_another() && configuration.standing(node.me) == Some(Standing::Learner)
        };
        let step = if let Some(node) = self.nodes.iter().find(lost) {
            let member = node.as_member();
            if whom.is_multiple_of(2) { Step::Learner(member) } else { Step::Joining(member) }
        } else if let Some(node) = self.nodes.iter().find(learns) {
            Step::Voter(node.as_member())
        } else {
            return false;
        };
        self.ask(at, [step].into(), Leave::Automatic);
        true
    }

    /// A configuration was committed: what became of those that lost their disks.
    pub(super) fn note_configuration(&mut self, next: (crate::Index, Configuration)) {
        let before = &self.configuration.1;
        for node in self.nodes.iter().filter(|node| node.is_another()) {
            let was = before.member(node.me.node).map(|member| member.id);
            let replaced = was.is_some_and(|id| id != node.me) && next.1.contains(node.me);
            let returned = !before.is_voter(node.me) && next.1.is_voter(node.me);
            self.outcome.replaced += u64::from(replaced);
            self.outcome.returned += u64::from(returned);
        }
        self.configuration = next;
    }
}

impl Node {
    pub(super) fn as_member(&self) -> Member {
        Member { id: self.me, info: Bytes::new() }
    }

    /// Whether it is not who it was at first.
    fn is_another(&self) -> bool {
        self.me.incarnation != Cluster::first_incarnation(self.me.node)
    }
}

/// Whether those that are there can decide: in each half, and also once all that are to join vote.
fn works(configuration: &Configuration, is_there: impl Fn(MemberId) -> bool) -> bool {
    let members = configuration.members();
    let answer = |(member, _): &(Member, Standing)| (member.id.node, is_there(member.id));
    let votes: BTreeMap<NodeId, bool> = members.map(answer).collect();
    let joined = configuration.members().map(|(member, standing)| {
        let joins = *standing == Standing::Joining;
        (member.clone(), if joins { Standing::Voter } else { *standing })
    });
    let joined = Configuration::with_standings(joined);
    let wins = |one: &Configuration| one.is_empty() || quorum::tally(one, &votes) == Tally::Won;
    wins(configuration) && wins(&joined)
}
