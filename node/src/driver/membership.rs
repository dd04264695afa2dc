//! How the members change: whoever is asked passes it on to the leader, who judges it, has the core
//! append the next configuration, and answers once that is committed. Leadership is handed over
//! the same way.
//!
//! The notes: a byte that says which, then what it holds, with postcard.

mod shown;

use super::Driver;
use crate::StateMachine;
use crate::member_info::{MemberInfo, epoch_of};
use crate::members::{Ask, Attempt, Change, Refusal, Risk, StorageKind, Told, Votes};
use crate::mutation::{Mutation, on};
use crate::open::members_of;
use bytes::Bytes;
use holm_raft_core as raft;
use holm_raft_core::{
    Boot, ChangeError, Configuration, EntryId, Event, Index, Leave, MemberId, NodeId,
    RequestNumber, Standing, Step,
};
use holm_transport::{PeerStatus, Reached};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// "Do this, if you lead."
pub(super) const ASK_LEADER: u8 = 8;
/// "This is what became of it."
pub(super) const LEADER_TOLD: u8 = 9;

/// How many ticks pass between two looks at whether a member in memory has restarted.
const READMIT_TICKS: u64 = 10;

/// What is asked of leaders, here and by others, and not answered yet.
#[derive(Default)]
pub(crate) struct Membership {
    last_number: u64,
    /// Passed on to the leader, by number.
    passed_on: BTreeMap<u64, Waiter>,
    /// The core was told of it, in this very turn.
    begun: BTreeMap<RequestNumber, Asker>,
    /// In the log, and not committed yet.
    appended: Vec<(EntryId, Asker)>,
    /// The latest question of each member, so that none counts twice.
    latest: BTreeMap<MemberId, (u64, u64)>,
}

struct Waiter {
    /// By the node's clock.
    until: u64,
    reply: oneshot::Sender<Told>,
}

/// Who waits for an answer of the leader.
enum Asker {
    Here(oneshot::Sender<Told>),
    Member { member: MemberId, boot: u64, number: u64 },
}

#[derive(Serialize, Deserialize)]
struct Question {
    boot: u64,
    number: u64,
    ask: Ask,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    boot: u64,
    number: u64,
    told: Told,
}

/// What a change comes to.
enum Verdict {
    Begin(Vec<Step>),
    /// It was done by an earlier attempt.
    Done(Index),
    /// It is being done by an earlier attempt.
    UnderWay,
}

impl<S: StateMachine> Driver<S> {
    /// A caller on this member asks the leader for something.
    pub(super) fn ask_leader(&mut self, ask: Ask, until: u64, reply: oneshot::Sender<Told>) {
        let glance = self.raft.glance();
        match glance.leader {
            _ if glance.role == "leader" => self.asked(ask, Asker::Here(reply)),
            Some(leader) => {
                self.membership.last_number += 1;
                let number = self.membership.last_number;
                let question = Question { boot: self.boot.0, number, ask };
                self.tell(leader.node, encode(ASK_LEADER, &question));
                self.membership.passed_on.insert(number, Waiter { until, reply });
            }
            None => {
                // A caller that no longer listens has given up waiting.
                let _ = reply.send(Told::NotBegun);
            }
        }
    }

    /// Another member asks this one as the leader.
    pub(super) fn heard_question(&mut self, from: MemberId, note: &[u8]) {
        let Some(Question { boot, number, ask }) = decode(note) else {
            tracing::warn!(node = self.config.node, %from, "a malformed note was ignored");
            return;
        };
        let latest = self.membership.latest.entry(from).or_default();
        if latest.0 == boot && number <= latest.1 {
            return;
        }
        *latest = (boot, number);
        self.asked(ask, Asker::Member { member: from, boot, number });
    }

    /// The leader answers.
    pub(super) fn heard_answer(&mut self, from: MemberId, note: &[u8]) {
        let Some(Answer { boot, number, told }) = decode(note) else {
            tracing::warn!(node = self.config.node, %from, "a malformed note was ignored");
            return;
        };
        if Boot(boot) == self.boot
            && let Some(waiter) = self.membership.passed_on.remove(&number)
        {
            let _ = waiter.reply.send(told);
        }
    }

    fn asked(&mut self, ask: Ask, asker: Asker) {
        if self.raft.glance().role != "leader" || self.parting.is_some() {
            return self.answer_asker(asker, Told::NotBegun);
        }
        let (change, expect, allow, attempt) = match ask {
            Ask::Change { change, expect, allow, attempt } => (change, expect, allow, attempt),
            Ask::Transfer { to } => {
                let told = self.begin_transfer(to).unwrap_or_else(Told::Refused);
                return self.answer_asker(asker, told);
            }
        };
        match self.judge(&change, Index(expect), &allow, attempt) {
            Ok(Verdict::Begin(steps)) => {
                tracing::info!(node = self.config.node, ?change, "changing the members");
                self.membership.last_number += 1;
                let number = RequestNumber(self.membership.last_number);
                self.membership.begun.insert(number, asker);
                let (expected, leave) = (Some(Index(expect)), Leave::Automatic);
                self.raft.handle(Event::Change { number, expected, steps, leave });
            }
            Ok(Verdict::Done(index)) => self.answer_asker(asker, Told::Changed { index: index.0 }),
            Ok(Verdict::UnderWay) => self.answer_asker(asker, Told::Unclear),
            Err(refusal) => self.answer_asker(asker, Told::Refused(refusal)),
        }
    }

    /// The core knows what becomes of a change.
    pub(super) fn change_told(
        &mut self,
        number: RequestNumber,
        changed: Result<EntryId, ChangeError>,
    ) {
        let Some(asker) = self.membership.begun.remove(&number) else { return };
        match changed {
            Ok(id) => self.membership.appended.push((id, asker)),
            Err(error) => self.answer_asker(asker, refused(error)),
        }
    }

    /// After each turn: answers those whose change is committed, or may never be.
    pub(super) fn settle_changes(&mut self) {
        if self.membership.appended.is_empty() {
            return;
        }
        let glance = self.raft.glance();
        let appended = std::mem::take(&mut self.membership.appended);
        for (id, asker) in appended {
            if glance.term != id.term {
                self.answer_asker(asker, Told::Unclear);
            } else if glance.committed >= id.index {
                self.answer_asker(asker, Told::Changed { index: id.index.0 });
            } else {
                self.membership.appended.push((id, asker));
            }
        }
    }

    /// Callers that gave up are not waited for.
    pub(super) fn forget_questions(&mut self, now: u64) {
        self.membership.passed_on.retain(|_, waiter| waiter.until >= now);
    }

    fn answer_asker(&self, asker: Asker, told: Told) {
        match asker {
            Asker::Here(reply) => {
                let _ = reply.send(told);
            }
            Asker::Member { member, boot, number } => {
                self.tell(member.node, encode(LEADER_TOLD, &Answer { boot, number, told }));
            }
        }
    }

    /// What a change comes to, and whether it may be made.
    fn judge(
        &self,
        change: &Change,
        expect: Index,
        allow: &[Risk],
        attempt: Attempt,
    ) -> Result<Verdict, Refusal> {
        let (set_at, current) = self.raft.configuration_at(Index(u64::MAX));
        let settled = set_at <= self.raft.glance().committed;
        if attempt == Attempt::Again && set_at != expect && self.is_done(change, current) {
            return Ok(if settled { Verdict::Done(set_at) } else { Verdict::UnderWay });
        }
        if !settled || current.is_joint() {
            return Err(Refusal::Pending);
        }
        if set_at != expect {
            return Err(Refusal::Moved { now: set_at.0 });
        }
        let steps = self.steps(change, current)?;
        let next = match current.change(&steps, Leave::Automatic) {
            Ok(next) => next,
            Err(ChangeError::NoVoters) => {
                return Err(Refusal::LastVoter { node: change.node() });
            }
            Err(error) => return Err(Refusal::Contradiction { why: error.to_string() }),
        };
        self.check_contradictions(current, &next)?;
        if !allow.contains(&Risk::NoQuorum) {
            self.check_reachable(current, &next)?;
        }
        if !allow.contains(&Risk::MemoryMajority) {
            check_memory(current, &next)?;
        }
        Ok(Verdict::Begin(steps))
    }

    /// What the core is to do.
    fn steps(&self, change: &Change, current: &Configuration) -> Result<Vec<Step>, Refusal> {
        let node = change.node();
        let known = || current.member(NodeId(node)).ok_or(Refusal::Unknown { node });
        let standing = |member: &raft::Member| current.standing(member.id).expect("it is there");
        let nothing = |standing: Standing| Refusal::Nothing { node, standing: standing.into() };
        let step = match change {
            Change::Add { .. } if current.member(NodeId(node)).is_some() => {
                return Err(Refusal::Already { node });
            }
            Change::Add { new, votes: Votes::OnceCaughtUp } => {
                Step::Joining(new.configured(epoch_of(current)))
            }
            Change::Add { new, votes: Votes::WhenPromoted } => {
                Step::Learner(new.configured(epoch_of(current)))
            }
            Change::Promote { .. } => match (known()?, standing(known()?)) {
                (_, Standing::Voter) => return Err(nothing(Standing::Voter)),
                (member, _) => Step::Voter(member.clone()),
            },
            Change::Demote { .. } => match (known()?, standing(known()?)) {
                (_, Standing::Learner) => return Err(nothing(Standing::Learner)),
                (member, _) => Step::Learner(member.clone()),
            },
            Change::Remove { .. } => Step::Remove(known()?.id.node),
            Change::Replace { new } if known()?.id == new.id() => {
                let new = new.configured(epoch_of(current));
                said_anew(known()?, standing(known()?), new)?
            }
            Change::Replace { new } => {
                replacement(known()?, current, new.configured(epoch_of(current)))
            }
            Change::Readmit { .. } => {
                let member = known()?;
                let id = self.another_incarnation(member.id).ok_or(Refusal::NotThere { node })?;
                replacement(member, current, raft::Member { id, info: member.info.clone() })
            }
        };
        Ok(vec![step])
    }

    /// The incarnation of a member that is connected in place of the configured one.
    fn another_incarnation(&self, configured: MemberId) -> Option<MemberId> {
        let found = self.transport.peers().into_iter().find(|peer| peer.node == configured.node)?;
        found.member.filter(|member| *member != configured && found.reached != Reached::Not)
    }

    /// Whether this is as the change would have it.
    fn is_done(&self, change: &Change, current: &Configuration) -> bool {
        let configured = current.member(NodeId(change.node()));
        let standing = configured.and_then(|member| current.standing(member.id));
        match change {
            Change::Add { new, .. } => current.contains(new.id()),
            Change::Replace { new } => {
                let wanted = new.configured(epoch_of(current));
                configured.is_some_and(|member| *member == wanted)
            }
            Change::Promote { .. } => standing == Some(Standing::Voter),
            Change::Demote { .. } => standing == Some(Standing::Learner),
            Change::Remove { .. } => configured.is_none(),
            Change::Readmit { .. } => {
                configured.is_some_and(|member| self.another_incarnation(member.id).is_none())
            }
        }
    }

    /// Members that could not find or trust each other are refused, unless it is so already.
    fn check_contradictions(
        &self,
        current: &Configuration,
        next: &Configuration,
    ) -> Result<(), Refusal> {
        let check = |configuration: &Configuration| -> Result<(), String> {
            let mut topology = self.config.topology.clone();
            topology.members = members_of(configuration).map_err(|error| error.to_string())?;
            for member in &topology.members {
                let island = crate::topology::Island { name: member.island.clone() };
                if !topology.islands.contains(&island) {
                    topology.islands.push(island);
                }
            }
            topology.check().map_err(|error| error.to_string())?;
            let checked = self.config.security.check(&topology, self.config.node);
            checked.map_err(|error| error.to_string())
        };
        match check(next) {
            Err(why) if check(current).is_ok() => Err(Refusal::Contradiction { why }),
            _ => Ok(()),
        }
    }

    /// Where voters come or go, a majority of those that remain has to be reached.
    fn check_reachable(
        &self,
        current: &Configuration,
        next: &Configuration,
    ) -> Result<(), Refusal> {
        let voters = |configuration: &Configuration| -> Vec<MemberId> {
            configuration.voters().map(|member| member.id).collect()
        };
        let (before, after) = (voters(current), voters(next));
        let peers = self.transport.peers();
        let reached = |voter: &MemberId| {
            let seen =
                |peer: &PeerStatus| peer.member == Some(*voter) && peer.reached != Reached::Not;
            *voter == self.me || peers.iter().any(seen)
        };
        let missing = after.iter().filter(|voter| !reached(voter));
        let missing: Vec<u64> = missing.map(|voter| voter.node.0).collect();
        let (voters, reached) = (after.len(), after.len() - missing.len());
        if before == after || reached > voters / 2 {
            return Ok(());
        }
        Err(Refusal::NoQuorum { reached, voters, missing })
    }

    /// On each tick of a leader: a member in memory that has restarted comes back as another
    /// incarnation, proved by its key (or number, where links are insecure). It gets the place of
    /// the one before, as a learner: it must not vote on what it has forgotten.
    pub(super) fn readmit_memory_members(&mut self) {
        let due = self.ticks.is_multiple_of(READMIT_TICKS) && self.raft.glance().role == "leader";
        if !due || self.parting.is_some() || on(Mutation::MemoryLeftOutside) {
            return;
        }
        let (set_at, current) = self.raft.configuration_at(Index(u64::MAX));
        let restarted = current.members().find(|(member, _)| {
            let info = MemberInfo::decode(&member.info);
            let forgets = info.is_ok_and(|info| info.storage == StorageKind::Memory);
            forgets && member.id != self.me && self.another_incarnation(member.id).is_some()
        });
        let Some((member, _)) = restarted else { return };
        let change = Change::Readmit { node: member.id.node.0 };
        let allow = [Risk::NoQuorum, Risk::MemoryMajority];
        // What can't be now is tried again.
        if let Ok(Verdict::Begin(steps)) = self.judge(&change, set_at, &allow, Attempt::First) {
            tracing::info!(node = self.config.node, ?change, "it has restarted, without its log");
            self.membership.last_number += 1;
            let number = RequestNumber(self.membership.last_number);
            let (expected, leave) = (Some(set_at), Leave::Automatic);
            self.raft.handle(Event::Change { number, expected, steps, leave });
        }
    }

    /// Begins to hand leadership over.
    fn begin_transfer(&mut self, to: Option<u64>) -> Result<Told, Refusal> {
        let from = self.me.node.0;
        let to = match to {
            Some(to) => to,
            None => self.best_successor().ok_or(Refusal::Alone { node: from })?.0,
        };
        let current = self.raft.configuration();
        let member = current.member(NodeId(to)).ok_or(Refusal::Unknown { node: to })?;
        match current.standing(member.id) {
            Some(standing) if !standing.votes() => {
                return Err(Refusal::NoVoter { node: to, standing: standing.into() });
            }
            _ => {}
        }
        if to != from {
            tracing::info!(node = from, to, "handing over, as was asked");
            self.raft.handle(Event::Transfer { to: NodeId(to) });
        }
        Ok(Told::Transferring { from, to })
    }

    /// Of the other voters that are reached, the one that holds most.
    fn best_successor(&self) -> Option<NodeId> {
        let core = self.raft.status();
        let peers = self.transport.peers();
        let current = self.raft.configuration();
        let reached = |node: NodeId| {
            peers.iter().any(|peer| peer.node == node && peer.reached != Reached::Not)
        };
        let voters = current.new_voters().filter(|node| reached(*node));
        voters.max_by_key(|node| core.followers.get(node).map(|known| known.matched))
    }
}

/// Where more voters keep nothing than before, they must not be most of them.
fn check_memory(current: &Configuration, next: &Configuration) -> Result<(), Refusal> {
    let (before, _) = memory_voters(current);
    let (memory, voters) = memory_voters(next);
    if memory <= voters / 2 || memory <= before {
        return Ok(());
    }
    Err(Refusal::MemoryMajority { memory, voters })
}

/// How many vote, or will, without keeping anything over a restart, and how many in all.
fn memory_voters(configuration: &Configuration) -> (usize, usize) {
    let votes = |standing: Standing| standing.votes() || standing == Standing::Joining;
    let voters = configuration.members().filter(|(_, standing)| votes(*standing));
    let infos: Vec<_> = voters.map(|(member, _)| MemberInfo::decode(&member.info)).collect();
    let memory = |info: &&Result<MemberInfo, _>| {
        info.as_ref().is_ok_and(|info| info.storage == StorageKind::Memory)
    };
    (infos.iter().filter(memory).count(), infos.len())
}

/// Another incarnation takes a member's place: as a learner, whatever stood there, that votes
/// again once it has caught up if the one before it did, or was to.
fn replacement(old: &raft::Member, current: &Configuration, new: raft::Member) -> Step {
    match current.standing(old.id) {
        Some(Standing::Learner) => Step::Learner(new),
        _ => Step::Joining(new),
    }
}

/// The same incarnation, elsewhere: its standing stays, and so does what it is known by.
fn said_anew(old: &raft::Member, standing: Standing, new: raft::Member) -> Result<Step, Refusal> {
    let node = old.id.node.0;
    let fixed = |member: &raft::Member| {
        MemberInfo::decode(&member.info).map(|info| (info.key, info.storage)).ok()
    };
    if fixed(old) != fixed(&new) {
        return Err(Refusal::Fixed { node });
    }
    if old.info == new.info {
        return Err(Refusal::Nothing { node, standing: standing.into() });
    }
    Ok(match standing {
        Standing::Learner => Step::Learner(new),
        Standing::Joining => Step::Joining(new),
        _ => Step::Voter(new),
    })
}

fn refused(error: ChangeError) -> Told {
    match error {
        ChangeError::Pending | ChangeError::Joint => Told::Refused(Refusal::Pending),
        ChangeError::Moved(now) => Told::Refused(Refusal::Moved { now: now.0 }),
        ChangeError::Behind(node) => Told::Refused(Refusal::Behind { node: node.0 }),
        ChangeError::NotLeader
        | ChangeError::TooEarly
        | ChangeError::HandingOver
        | ChangeError::DiskFull => Told::NotBegun,
        other => Told::Refused(Refusal::Contradiction { why: other.to_string() }),
    }
}

fn encode(kind: u8, what: &impl Serialize) -> Bytes {
    postcard::to_extend(what, vec![kind]).expect("made of numbers and strings").into()
}

fn decode<'a, T: Deserialize<'a>>(note: &'a [u8]) -> Option<T> {
    let (decoded, rest) = postcard::take_from_bytes(note.get(1..)?).ok()?;
    rest.is_empty().then_some(decoded)
}
