//! What operators do: they change the members, hand leadership over, take snapshots, repair damaged
//! logs from the others, and put members that lost their disks back into their places.
//!
//! They keep what Holm asks of them: a majority of every configuration that may be in force keeps
//! its disks and can be reached, or nothing would commit any more.

use super::member::Stop;
use super::{Due, World};
use crate::checkers::quorum::decide;
use crate::trace::What;
use holm_raft_core::{
    Configuration, EntryId, EntryKind, Event, Leave, Member, MemberId, Standing, Step,
};

/// Between two looks of the operators, in microseconds.
const EVERY: u64 = 200_000;

/// What operators ask a leader for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Add(usize),
    Learn(usize),
    Join(usize),
    Remove(usize),
    RemoveLeader,
    Swap { joins: usize, leaves: usize },
}

impl World {
    /// Who leads, in the latest term if there are several.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |at: &usize| {
            let glance = self.glances[*at]?;
            (glance.role == "leader" && self.members[*at].is_up()).then_some((glance.term, *at))
        };
        (0..self.members.len()).filter_map(|at| leads(&at)).max().map(|(_, at)| at)
    }

    /// The leader is asked for a change.
    pub(super) fn change(&mut self, ask: Ask) {
        let Some(leader) = self.leader() else { return };
        let member = |at: usize| self.members[at].configured();
        let node = |at: usize| self.members[at].me.node;
        let steps = match ask {
            Ask::Add(at) => vec![Step::Voter(member(at))],
            Ask::Learn(at) => vec![Step::Learner(member(at))],
            Ask::Join(at) => vec![Step::Joining(member(at))],
            Ask::Remove(at) => vec![Step::Remove(node(at))],
            Ask::RemoveLeader => vec![Step::Remove(node(leader))],
            Ask::Swap { joins, leaves } => {
                vec![Step::Voter(member(joins)), Step::Remove(node(leaves))]
            }
        };
        let leave = if self.random.one_in(4) { Leave::Asked } else { Leave::Automatic };
        self.ask_leader(leader, steps, leave);
    }

    /// The leader takes a change, unless the living would lose their majority.
    fn ask_leader(&mut self, leader: usize, steps: Vec<Step>, leave: Leave) {
        let Some(running) = &self.members[leader].running else { return };
        let Ok(next) = running.raft.configuration().change(&steps, leave) else { return };
        let left = next.left().unwrap_or_else(|_| next.clone());
        let few = |one: &Configuration| one.voters().count() < 2;
        if few(&left) || ![next, left].iter().all(|after| works(after, |id| self.is_there(id))) {
            return;
        }
        let number = self.unasked();
        let event = Event::Change { number, expected: None, steps, leave };
        self.handle(leader, event);
        // Written at once: whoever loses its disk next has to be told by what is in force now.
        self.act(leader);
    }

    pub(super) fn transfer(&mut self, to: usize) {
        if let Some(leader) = self.leader() {
            let to = self.members[to].me.node;
            self.handle(leader, Event::Transfer { to });
        }
    }

    pub(super) fn snapshot(&mut self, at: usize) {
        if !self.members[at].is_up() {
            return;
        }
        let Some(running) = &mut self.members[at].running else { return };
        match running.snapshot_now(&mut self.checkers) {
            Ok(()) => self.act(at),
            Err(stop) => self.stop(at, stop),
        }
    }

    /// Whether it has what it promised, and can be reached.
    fn is_there(&self, id: MemberId) -> bool {
        let main = self.main_component();
        (0..self.members.len()).any(|at| {
            let member = &self.members[at];
            let whole = !member.doubtful && member.shadow.acked.last != EntryId::ZERO;
            member.me == id && whole && self.component[at] == main && self.kept_down != Some(at)
        })
    }

    /// The component in which most of those that formed the cluster are.
    pub(super) fn main_component(&self) -> usize {
        let voters = usize::try_from(self.plan.settings.voters).expect("bounded by the settings");
        let size = |component: usize| {
            self.component.iter().take(voters).filter(|of| **of == component).count()
        };
        let all = self.component.iter().copied();
        all.max_by_key(|component| (size(*component), usize::MAX - component)).unwrap_or(0)
    }

    /// Whether the others can decide, in every configuration that may be in force, if this member
    /// forgets all it has promised.
    pub(super) fn can_do_without(&self, at: usize) -> bool {
        let stays = |id: MemberId| self.members[at].me != id && self.is_there(id);
        self.configurations_in_force().iter().all(|one| works(one, stays))
    }

    /// The latest one that was applied, and any that stands behind it in some log.
    fn configurations_in_force(&self) -> Vec<Configuration> {
        let (set_at, applied) = &self.configuration;
        let mut all = vec![applied.clone()];
        for member in &self.members {
            let later = member.shadow.entries(set_at.next(), member.shadow.last().index);
            for entry in later.filter(|entry| entry.kind == EntryKind::Configuration) {
                all.extend(Configuration::decode(entry.data.clone()));
            }
        }
        all
    }

    /// Operators look: whoever lost its disk is put back into its place, step by step, and a joint
    /// configuration that waits to be left is left.
    pub(super) fn operate(&mut self) {
        self.plan_after(EVERY, Due::Operate);
        let Some(leader) = self.leader() else { return };
        let Some(running) = &self.members[leader].running else { return };
        let configuration = running.raft.configuration();
        if configuration.is_joint() {
            if self.calm || self.random.one_in(4) {
                let number = self.unasked();
                self.handle(leader, Event::LeaveJoint { number });
                self.act(leader);
            }
            return;
        }
        if let Some((step, name)) = self.next_step(configuration) {
            self.coverage.other(name);
            self.ask_leader(leader, vec![step], Leave::Automatic);
        }
    }

    /// What has to be done for one that lost its disk.
    fn next_step(&self, configuration: &Configuration) -> Option<(Step, &'static str)> {
        let known = |at: &usize| configuration.member(self.members[*at].me.node);
        let lost = |at: &usize| known(at).is_some_and(|member| member.id != self.members[*at].me);
        let learns = |at: &usize| {
            let me = self.members[*at].me;
            is_another(me) && configuration.standing(me) == Some(Standing::Learner)
        };
        let main = self.main_component();
        let reached = |at: &usize| self.members[*at].is_up() && self.component[*at] == main;
        let all = || (0..self.members.len()).filter(reached);
        if let Some(at) = all().find(lost) {
            return Some((Step::Learner(self.members[at].configured()), "stranger let in"));
        }
        let at = all().find(learns)?;
        Some((Step::Voter(self.members[at].configured()), "stranger made a voter"))
    }

    /// Whether everybody that lost its disk is back.
    pub(super) fn all_are_back(&self, configuration: &Configuration) -> bool {
        !configuration.is_joint() && self.next_step(configuration).is_none()
    }

    /// A damaged log is mended: by the own newest snapshot, if that covers the damage, or by what
    /// the others hold. Says by which.
    pub(super) fn mend(&mut self, at: usize) -> Result<&'static str, Stop> {
        let settings = self.plan.settings.clone();
        if self.members[at].give_up_damage(&settings, &self.checkers)? {
            let says = format!("{} gives up what is damaged, which its snapshot has", at + 1);
            self.trace.say(self.now, || What::Note { says });
            return Ok("damage given up");
        }
        self.repair(at).map(|()| "damage repaired")
    }

    /// The others are asked for what a damaged log lacks.
    fn repair(&mut self, at: usize) -> Result<(), Stop> {
        let leader = self.leader();
        let (before, rest) = self.members.split_at_mut(at);
        let Some((damaged, after)) = rest.split_first_mut() else { return Ok(()) };
        let others = before.iter().chain(after.iter());
        let offers: Vec<_> = others
            .filter(|member| member.is_up() && !member.doubtful)
            .map(|member| {
                let leads = leader.is_some_and(|leader| leader as u64 + 1 == member.me.node.0);
                let running = member.running.as_ref().filter(|_| leads);
                let committed = running.map(|running| running.raft.glance().committed);
                super::member::Offer { log: &member.shadow, committed }
            })
            .collect();
        let repaired = damaged.repair(&offers);
        let node = at as u64 + 1;
        let says = format!("{node} repairs its log: {:?}", repaired.as_ref().err());
        self.trace.say(self.now, || What::Note { says });
        repaired
    }
}

/// Whether it is not who it was at first.
fn is_another(id: MemberId) -> bool {
    id.incarnation.0 != id.node.0 * 1_000
}

/// Whether those that are there can decide: in each half, and also while those that are to join are
/// made voters, one by one. Whoever has caught up first is promoted first, and what it held may be
/// lost by then: the worst is that just those who are not there vote by now.
fn works(configuration: &Configuration, is_there: impl Fn(MemberId) -> bool) -> bool {
    let promoted = configuration.members().map(|(member, standing): &(Member, Standing)| {
        let joins = *standing == Standing::Joining && !is_there(member.id);
        (member.clone(), if joins { Standing::Voter } else { *standing })
    });
    let promoted = Configuration::with_standings(promoted);
    configuration.is_empty() || (decide(configuration, &is_there) && decide(&promoted, &is_there))
}
