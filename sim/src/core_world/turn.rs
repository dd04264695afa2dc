//! One turn of a member: it takes an event, does what its core asks for, and the checkers look; how
//! messages travel, and how members are started and stopped.

use super::member::{Effects, Power, Running, Stop};
use super::network::Sent;
use super::said;
use super::slab::Slab;
use super::{DiskJob, Due, Flight, World};
use crate::checkers::quorum::{self, Commit};
use crate::checkers::{Check, Violation, completeness, monotonic, strangers};
use crate::trace::{State, What};
use holm_raft_core::{Configuration, Event, Glance, Index, Message, Standing};

/// After so long a process that ended by itself is started again, at most, in microseconds.
const RESTART_MAX: u64 = 300_000;
/// So much waits for a paused process at most.
const BACKLOG_MAX: usize = 10_000;

impl World {
    pub(super) fn tick(&mut self, at: usize, timer: u64) {
        if self.timers[at] != timer || !self.members[at].is_up() {
            return;
        }
        let now = self.members[at].clock.millis(self.now);
        self.plan_tick(at);
        self.members[at].ticks += 1;
        self.handle(at, Event::Tick { now });
    }

    /// Sets a member's timer.
    fn plan_tick(&mut self, at: usize) {
        let after = self.members[at].clock.takes(self.plan.settings.tick);
        self.plan_after(after.max(1), Due::Tick(at, self.timers[at]));
    }

    /// Sets a member's timer anew.
    pub(super) fn wind_up(&mut self, at: usize) {
        self.timers[at] += 1;
        self.plan_tick(at);
    }

    pub(super) fn deliver(&mut self, slot: usize, due: Due) {
        let to = self.flights.get(slot).to;
        if self.members[to].paused > 0 && self.backlogs[to].len() < BACKLOG_MAX {
            self.backlogs[to].push(due);
            return;
        }
        let flight = self.flights.take(slot);
        if !self.members[to].is_up() {
            self.trace.say(self.now, || flight.lost());
            return;
        }
        let Flight { message, id, .. } = flight;
        let message = said::off_the_wire(message);
        self.trace.say(self.now, || What::Delivered { id });
        if let Some(glance) = self.glances[to] {
            self.coverage.takes(glance.role, message.body.name());
        }
        self.checkers.rounds.taken(&message);
        if self.is_strange(to, &message) {
            self.hand_over_strange(to, message);
        } else {
            self.handle(to, Event::Message(message));
        }
    }

    fn is_strange(&self, at: usize, message: &Message) -> bool {
        let member = &self.members[at];
        let judge = |running: &Running| {
            message.to == member.me && strangers::is_strange(message, running.raft.configuration())
        };
        member.running.as_deref().is_some_and(judge)
    }

    /// A message that its receiver has to drop.
    fn hand_over_strange(&mut self, to: usize, message: Message) {
        let dropped = |world: &Self| {
            let running = world.members[to].running.as_ref();
            running.map_or(0, |running| running.raft.status().dropped.stranger)
        };
        self.coverage.other("stranger answers");
        let before = dropped(self);
        self.members[to].handle(Event::Message(message.clone()));
        if let Err(violation) = strangers::dropped(&message, before, dropped(self)) {
            self.broken(violation);
        }
        self.gather(to);
    }

    pub(super) fn handle(&mut self, at: usize, event: Event) {
        self.members[at].handle(event);
        self.gather(at);
    }

    /// A turn follows now, or once more has come in.
    fn gather(&mut self, at: usize) {
        let longest = self.plan.settings.turn;
        if longest == 0 {
            self.act(at);
        } else if !self.members[at].gathers {
            self.members[at].gathers = true;
            let lasting = self.random.between(0, longest);
            self.plan_after(lasting, Due::Turn(at));
        }
    }

    /// What a member has gathered has its turn.
    pub(super) fn take_turn(&mut self, at: usize) {
        if self.members[at].paused > 0 {
            self.backlogs[at].push(Due::Turn(at));
            return;
        }
        self.members[at].gathers = false;
        self.act(at);
    }

    /// Lets a member do what its core asks, and carries what comes of it.
    pub(super) fn act(&mut self, at: usize) {
        if self.members[at].running.is_none() {
            return;
        }
        let mut effects = std::mem::take(&mut self.effects);
        let done = self.members[at].act(&mut effects, &mut self.checkers);
        let done = done.and_then(|()| self.look(at).map_err(Stop::Broken));
        for message in effects.messages.drain(..) {
            self.send(at, message);
        }
        self.plan_jobs(at);
        self.answer(at, &mut effects);
        self.effects = effects;
        if let Err(stop) = done {
            self.stop(at, stop);
        }
    }

    pub(super) fn plan_jobs(&mut self, at: usize) {
        let mut jobs = std::mem::take(&mut self.new_jobs);
        self.members[at].jobs(&mut jobs);
        for job in jobs.drain(..) {
            let settings = &self.plan.settings;
            let lasting = self.random.between(settings.disk_low, settings.disk_high);
            let slot = self.jobs.put(DiskJob { at, job });
            self.plan_after(lasting, Due::Finish(slot));
        }
        self.new_jobs = jobs;
    }

    fn answer(&mut self, at: usize, effects: &mut Effects) {
        for request in effects.confirmed.drain(..) {
            self.read_confirmed(at, request);
        }
        for (command, reply) in effects.applied.drain(..) {
            self.command_applied(at, &command, reply);
        }
        for (request, answer) in effects.answers.drain(..) {
            self.request_answered(at, request, answer);
        }
        for change in effects.changes.drain(..) {
            let name = if change.is_ok() { "change taken" } else { "change refused" };
            self.coverage.other(name);
            let node = at as u64 + 1;
            self.trace.say(self.now, || What::Note {
                says: match change {
                    Ok(id) => format!("{node} changes the configuration by entry {id}"),
                    Err(error) => format!("{node} refuses a change: {error}"),
                },
            });
        }
        for configuration in effects.configurations.drain(..) {
            if configuration.1.is_joint() {
                self.coverage.other("joint configuration");
            }
            self.trace.say(self.now, || configured(&configuration));
            self.configuration = configuration;
        }
    }

    /// The checkers look at a member that has done something.
    fn look(&mut self, at: usize) -> Check {
        let member = &self.members[at];
        let Some(running) = &member.running else { return Ok(()) };
        let after = running.raft.glance();
        let Some(before) = self.glances[at].replace(after) else { return Ok(()) };
        if before == after {
            return Ok(());
        }
        let me = member.me;
        // What is broken is shown as well.
        self.say_state(at);
        let member = &self.members[at];
        monotonic::moves(me, &before, &after)?;
        let committed = before.committed.next();
        self.checkers.committed.commits(
            (committed, after.committed),
            after.term,
            &member.shadow,
        )?;
        if before.role != after.role {
            self.coverage.becomes(before.role, after.role);
        }
        if after.role == "leader" {
            self.look_at_leader(at, &before, &after)?;
        }
        Ok(())
    }

    fn look_at_leader(&mut self, at: usize, before: &Glance, after: &Glance) -> Check {
        let member = &self.members[at];
        let Some(running) = &member.running else { return Ok(()) };
        let me = member.me;
        if before.role != after.role || before.term != after.term {
            self.checkers.election.leads(after.term, me)?;
            if !running.raft.configuration().is_voter(me) {
                self.coverage.other("led without a vote");
            }
            completeness::leads(after.term, me, &member.shadow, &self.checkers.committed)?;
        } else if after.committed > before.committed {
            let commits = |configuration| {
                let (term, index, log) = (after.term, after.committed, &member.shadow);
                let commit = Commit { me, term, index, log, configuration };
                let logs = self.members.iter().map(|member| (member.me, &member.shadow));
                let lost = self.graves.iter().map(|(member, shadow)| (*member, shadow));
                quorum::commits(&commit, logs.chain(lost))
            };
            let by_the_latest = commits(running.raft.configuration());
            // Within one turn it may have committed first, and then changed the configuration.
            let gathers = self.plan.settings.turn > 0;
            let before = running.raft.configuration_at(before.last.index).1;
            by_the_latest.or_else(|error| if gathers { commits(before) } else { Err(error) })?;
        }
        Ok(())
    }

    pub(super) fn say_state(&mut self, at: usize) {
        let member = &self.members[at];
        let (Some(glance), Some(running)) = (self.glances[at], &member.running) else { return };
        let (me, applied) = (member.me, running.applied);
        if self.trace.is_kept() {
            let terms: Vec<_> = member.shadow.terms().iter().map(|(i, t)| (i.0, t.0)).collect();
            if terms != self.terms_said[at] {
                self.terms_said[at].clone_from(&terms);
                self.trace.say(self.now, || What::Log { node: me.node.0, terms });
            }
        }
        self.trace.say(self.now, || {
            What::Member(State {
                node: me.node.0,
                incarnation: me.incarnation.0,
                role: glance.role,
                term: glance.term.0,
                leader: glance.leader.map_or(0, |leader| leader.node.0),
                start: glance.start.index.0,
                last: glance.last.index.0,
                last_term: glance.last.term.0,
                durable: glance.durable.0,
                commit: glance.committed.0,
                applied: applied.0,
            })
        });
    }

    fn send(&mut self, from: usize, message: Message) {
        self.checkers.up_to_date.asks(&message);
        self.checkers.rounds.sent(&message, self.events);
        let (ticks, patience) = (self.members[from].ticks, self.plan.settings.election_ticks);
        let lent = self.checkers.leases.sent(&message, ticks, patience);
        if let Err(violation) = lent.and_then(|()| self.checkers.votes.sent(&message)) {
            self.broken(violation);
        }
        let to = super::network::index(message.to.node.0);
        if to >= self.members.len() {
            return;
        }
        self.messages += 1;
        let id = self.messages;
        let mut via = std::mem::take(&mut self.via);
        let sent = self.network.send(self.now, (from, to), said::bytes(&message), &mut via);
        if !via.is_empty() {
            self.coverage.other("relayed");
        }
        let ends = (from as u64 + 1, to as u64 + 1);
        let kind = message.body.name();
        match sent {
            Sent::Lost(why) => {
                let (from, to) = ends;
                self.trace.say(self.now, || What::Lost { id, kind, from, to, why });
            }
            Sent::Arrives { due, again } => {
                self.say_sent(id, &message, ends, &via, due);
                if let Some(again) = again {
                    self.messages += 1;
                    let id = self.messages;
                    self.coverage.other("arrived twice");
                    self.say_sent(id, &message, ends, &via, again);
                    let copy = Flight { message: message.clone(), from, to, id };
                    self.fly(copy, again);
                }
                self.fly(Flight { message, from, to, id }, due);
            }
        }
        self.via = via;
    }

    fn fly(&mut self, flight: Flight, due: u64) {
        let flights: &mut Slab<Flight> = &mut self.flights;
        let slot = flights.put(flight);
        self.plan_at(due, Due::Deliver(slot));
    }

    fn say_sent(
        &mut self,
        id: u64,
        message: &Message,
        (from, to): (u64, u64),
        via: &[usize],
        due: u64,
    ) {
        self.trace.say(self.now, || What::Sent {
            id,
            kind: message.body.name(),
            from,
            to,
            term: message.term.0,
            via: via.iter().map(|relay| *relay as u64 + 1).collect(),
            due,
            says: message.body.to_string(),
        });
    }

    /// Starts a member, unless something holds it down.
    pub(super) fn start(&mut self, at: usize) {
        if self.members[at].running.is_some()
            || self.members[at].held_down > 0
            || self.kept_down == Some(at)
        {
            return;
        }
        let seed = self.random.next();
        let settings = self.plan.settings.clone();
        match self.members[at].start(&settings, seed, &self.checkers) {
            Ok(()) => {
                self.network.up[at] = true;
                self.network.changed();
                let glance = self.members[at].running.as_ref().map(|r| r.raft.glance());
                self.glances[at] = glance;
                let known = glance.map_or(Index(0), |glance| glance.committed);
                let first = self.members[at].shadow.start.index.next();
                let term = glance.map(|glance| glance.term).unwrap_or_default();
                let member = &self.members[at];
                let commits = self.checkers.committed.commits((first, known), term, &member.shadow);
                self.say_state(at);
                match commits {
                    Ok(()) => {
                        self.wind_up(at);
                        self.act(at);
                    }
                    Err(violation) => self.broken(violation),
                }
            }
            Err(stop) => self.stop(at, stop),
        }
    }

    /// A member has ended, or could not start.
    pub(super) fn stop(&mut self, at: usize, stop: Stop) {
        let node = at as u64 + 1;
        let why = match &stop {
            Stop::Broken(violation) => {
                let running = self.members[at].running.as_ref();
                self.glances[at] = running.map(|running| running.raft.glance());
                self.say_state(at);
                self.broken(violation.clone());
                return;
            }
            Stop::Rotten(says) if !self.members[at].doubtful => {
                let says = format!("{node}: {says}");
                self.broken(Violation { checker: "what was written can be read", says });
                return;
            }
            Stop::Disk(why) | Stop::Damaged(why) | Stop::Rotten(why) | Stop::Lost(why) => {
                why.clone()
            }
        };
        let mut stop = stop;
        if self.is_to_be_given_up(at) {
            stop = Stop::Lost(why.clone());
        }
        self.trace.say(self.now, || What::Down { node, why });
        let dark = self.members[at].power() == Power::Gone;
        if dark {
            self.power_goes(at);
            self.members[at].went_dark();
            self.coverage.other("power cut amid operations");
        } else {
            self.members[at].kill();
        }
        self.members[at].disk.misdirect(0);
        self.downed(at);
        if matches!(stop, Stop::Damaged(_)) {
            self.coverage.other("damage found");
            match self.mend(at) {
                Ok(name) => self.coverage.other(name),
                Err(again) => stop = again,
            }
        }
        if matches!(stop, Stop::Lost(_)) {
            self.coverage.other("disk counted as lost");
            self.wipe_now(at);
        } else {
            self.coverage.other("stopped by its disk");
        }
        let least = if dark { 1_000 } else { 50_000 };
        let after = self.random.between(least, if dark { 30_000 } else { RESTART_MAX });
        self.plan_after(after, Due::Start(at));
    }

    /// A member does not run any more.
    pub(super) fn downed(&mut self, at: usize) {
        self.network.up[at] = false;
        self.network.changed();
        self.glances[at] = None;
        for due in std::mem::take(&mut self.backlogs[at]) {
            match due {
                Due::Deliver(slot) => {
                    let flight = self.flights.take(slot);
                    self.trace.say(self.now, || flight.lost());
                }
                Due::Finish(slot) => drop(self.jobs.take(slot)),
                Due::Turn(_) => self.members[at].gathers = false,
                _ => {}
            }
        }
    }
}

impl Flight {
    /// It found nobody where it went.
    fn lost(&self) -> What {
        What::Lost {
            id: self.id,
            kind: self.message.body.name(),
            from: self.from as u64 + 1,
            to: self.to as u64 + 1,
            why: "nobody there",
        }
    }
}

fn configured((index, configuration): &(Index, Configuration)) -> What {
    let of = |standings: &[Standing]| {
        let members = configuration.members().filter(|(_, standing)| standings.contains(standing));
        members.map(|(member, _)| member.id.node.0).collect()
    };
    What::Configured {
        index: index.0,
        voters: of(&[Standing::Voter, Standing::Incoming]),
        outgoing: of(&[Standing::Outgoing, Standing::Demoted]),
        learners: of(&[Standing::Learner, Standing::Joining]),
    }
}
