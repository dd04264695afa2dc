//! What a schedule's things do when they begin, go on and end.

use super::happening::Happening;
use super::network::{Direction, index};
use super::operators::Ask;
use super::random::Random;
use super::{Due, World};
use crate::trace::What;

impl World {
    pub(super) fn begin_happening(&mut self, n: usize) {
        let happening = self.plan.happenings[n].1.clone();
        match happening {
            Happening::Put { client, .. }
            | Happening::AddTo { client, .. }
            | Happening::Read { client, .. }
            | Happening::LeaseRead { client, .. } => {
                self.coverage.happens(happening.word());
                self.wish(client, happening);
                return;
            }
            _ => {}
        }
        if self.calm || !self.takes_effect(n, &happening) {
            return;
        }
        self.coverage.happens(happening.word());
        self.trace.say(self.now, || What::Begin {
            n: n as u64 + 1,
            what: happening.word(),
            with: happening.fields().into_iter().collect(),
        });
        if let Some(lasting) = happening.lasting() {
            self.active.insert(n);
            self.plan_after(lasting, Due::End(n));
        }
        self.take_effect(n, happening);
    }

    /// Whether it can be done right now.
    fn takes_effect(&mut self, _n: usize, happening: &Happening) -> bool {
        if matches!(happening, Happening::IsolateLeader { .. }) {
            return self.leader().is_some();
        }
        let (Some(member), true) = (member(happening), happening.is_fault()) else { return true };
        let runs = self.members[member].is_up();
        match happening {
            Happening::Wipe { .. } => runs && self.can_do_without(member),
            // What may be damaged counts as gone until it was looked at.
            Happening::Rot { .. } | Happening::Misdirect { .. } => {
                let known = self.configuration.1.contains(self.members[member].me);
                let sound = !self.members[member].doubtful && self.members[member].stalls == 0;
                runs && known && sound && self.can_do_without(member)
            }
            Happening::Kill { .. }
            | Happening::PowerCut { .. }
            | Happening::LightsOut { .. }
            | Happening::CutAtFiles { .. }
            | Happening::CutAtTerm { .. }
            | Happening::RestartLoop { .. }
            | Happening::SlowStart { .. }
            | Happening::FailSync { .. }
            | Happening::FailRead { .. }
            | Happening::Fill { .. } => runs && !self.members[member].doubtful,
            Happening::Pause { .. } | Happening::Stall { .. } => runs,
            _ => true,
        }
    }

    fn take_effect(&mut self, n: usize, happening: Happening) {
        match happening {
            Happening::Cut { .. }
            | Happening::Part { .. }
            | Happening::HalfOpen { .. }
            | Happening::Flap { .. }
            | Happening::Slow { .. }
            | Happening::Lossy { .. }
            | Happening::Repeat { .. }
            | Happening::Reorder { .. }
            | Happening::Narrow { .. }
            | Happening::Isolate { .. }
            | Happening::IsolateLeader { .. }
            | Happening::IslandOff { .. } => self.links(n, &happening, Change::Begins),
            Happening::NoRelay { .. } => self.network.no_relay += 1,
            Happening::Kill { member, .. } => {
                self.members[index(member)].held_down += 1;
                self.switch_off(index(member), Ending::Kill);
            }
            Happening::PowerCut { member, .. } => {
                self.members[index(member)].held_down += 1;
                self.switch_off(index(member), Ending::PowerCut);
            }
            Happening::LightsOut { member, operations, cuts } => {
                let random = Random::new(self.random.next(), 4);
                self.members[index(member)].go_dark(operations, cuts.clamp(1, 30), random);
            }
            Happening::CutAtFiles { member, soon, cuts } => {
                self.members[index(member)].watch_files(soon, cuts.clamp(1, 30));
            }
            Happening::CutAtTerm { member, cuts } => {
                self.members[index(member)].watch_terms(cuts.clamp(1, 30));
            }
            Happening::Pause { member, .. } => self.members[index(member)].paused += 1,
            Happening::RestartLoop { member, times, period } => {
                for time in 0..times.min(20) {
                    self.plan_after(time * period, Due::Bounce(index(member)));
                }
            }
            Happening::SlowStart { member, .. } => {
                self.bounce(index(member));
                self.stall(index(member));
            }
            Happening::Wipe { member, .. } => {
                self.members[index(member)].held_down += 1;
                self.downed(index(member));
                self.wipe_now(index(member));
            }
            Happening::FailSync { member } => self.members[index(member)].disk.fail_syncs(1),
            Happening::FailRead { member } => self.members[index(member)].disk.fail_reads(1),
            Happening::Fill { member, .. } => self.fill(index(member)),
            Happening::Stall { member, .. } => self.stall(index(member)),
            Happening::Rot { member, .. } => self.rot(index(member)),
            Happening::Misdirect { member, .. } => {
                self.members[index(member)].doubt(WITNESSES);
                self.members[index(member)].disk.misdirect(1);
            }
            Happening::Rate { member, permille, .. } => {
                self.members[index(member)].clock.set_rate(self.now, permille);
            }
            Happening::Jump { member, millis } => {
                self.members[index(member)].clock.jump(self.now, millis);
            }
            other => self.operators_do(other),
        }
    }

    fn operators_do(&mut self, happening: Happening) {
        match happening {
            Happening::Add { member } => self.change(Ask::Add(index(member))),
            Happening::Learn { member } => self.change(Ask::Learn(index(member))),
            Happening::Join { member } => self.change(Ask::Join(index(member))),
            Happening::Remove { member } => self.change(Ask::Remove(index(member))),
            Happening::RemoveLeader {} => self.change(Ask::RemoveLeader),
            Happening::Swap { member, leaves } => {
                self.change(Ask::Swap { joins: index(member), leaves: index(leaves) });
            }
            Happening::Transfer { member } => self.transfer(index(member)),
            Happening::Snapshot { member } => self.snapshot(index(member)),
            _ => {}
        }
    }

    /// A link flaps.
    pub(super) fn again(&mut self, n: usize) {
        if self.active.contains(&n)
            && let (_, happening @ Happening::Flap { period, .. }) = self.plan.happenings[n].clone()
        {
            let change = if self.flipped.contains(&n) { Change::Ends } else { Change::Begins };
            self.links(n, &happening, change);
            self.plan_after(period.max(1_000), Due::Again(n));
        }
    }

    pub(super) fn end_happening(&mut self, n: usize) {
        if !self.active.contains(&n) {
            return;
        }
        let happening = self.plan.happenings[n].1.clone();
        if self.is_not_over(&happening).is_some() {
            // Its disk's last batch is not witnessed by another yet: damage to that can't be told
            // from a torn write, and a crash would cut it.
            self.plan_after(100_000, Due::End(n));
            return;
        }
        self.active.remove(&n);
        self.trace.say(self.now, || What::End { n: n as u64 + 1, what: happening.word() });
        match happening {
            Happening::NoRelay { .. } => {
                self.network.no_relay = self.network.no_relay.saturating_sub(1);
            }
            Happening::Kill { member, .. }
            | Happening::PowerCut { member, .. }
            | Happening::Wipe { member, .. } => {
                let member = index(member);
                self.members[member].held_down = self.members[member].held_down.saturating_sub(1);
                self.start(member);
            }
            Happening::Pause { member, .. } => self.resume(index(member)),
            Happening::SlowStart { member, .. } | Happening::Stall { member, .. } => {
                self.flow(index(member));
            }
            Happening::Fill { member, .. } => {
                self.members[index(member)].disk.set_capacity(u64::MAX);
                self.start(index(member));
            }
            Happening::Rot { member, .. } | Happening::Misdirect { member, .. } => {
                let at = index(member);
                self.members[at].disk.misdirect(0);
                if self.is_to_be_given_up(at) {
                    self.give_up(at);
                }
                self.bounce(at);
            }
            Happening::Rate { member, .. } => {
                self.members[index(member)].clock.set_rate(self.now, 1_000);
            }
            other => self.links(n, &other, Change::Ends),
        }
    }

    /// Damage may be looked for only once later writes bear witness to those that may be damaged.
    fn is_not_over(&self, happening: &Happening) -> Option<usize> {
        let (Happening::Rot { member, .. } | Happening::Misdirect { member, .. }) = happening
        else {
            return None;
        };
        let member = index(*member);
        // Nobody tells it anything, or nobody has to any more: its disk counts as lost.
        if self.calm || !self.configuration.1.contains(self.members[member].me) {
            return None;
        }
        self.members[member].is_unwitnessed().then_some(member)
    }

    fn links(&mut self, n: usize, happening: &Happening, change: Change) {
        let begins = change == Change::Begins;
        let count = self.members.len();
        let pairs: Vec<(usize, usize)> = match *happening {
            Happening::Cut { from, to, .. }
            | Happening::Slow { from, to, .. }
            | Happening::Lossy { from, to, .. }
            | Happening::Repeat { from, to, .. }
            | Happening::Reorder { from, to, .. }
            | Happening::Narrow { from, to, .. } => vec![(index(from), index(to))],
            Happening::Part { a, b, .. }
            | Happening::HalfOpen { a, b, .. }
            | Happening::Flap { a, b, .. } => vec![(index(a), index(b)), (index(b), index(a))],
            Happening::Isolate { .. } | Happening::IsolateLeader { .. } => {
                let member = match happening {
                    Happening::Isolate { member, .. } => Some(index(*member)),
                    _ if begins => self.leader(),
                    _ => self.isolated.remove(&n),
                };
                let Some(member) = member else { return };
                if begins {
                    self.isolated.insert(n, member);
                }
                (0..count).flat_map(|other| [(member, other), (other, member)]).collect()
            }
            Happening::IslandOff { island, .. } => {
                let on = |at: usize| self.plan.islands[at] == island;
                let all = (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
                all.filter(|(a, b)| on(*a) != on(*b)).collect()
            }
            _ => return,
        };
        if let Happening::Flap { period, .. } = happening {
            let flipped = self.flipped.contains(&n);
            if begins == flipped {
                return;
            }
            if begins {
                self.flipped.insert(n);
                if self.now == self.plan.happenings[n].0 {
                    self.plan_after((*period).max(1_000), Due::Again(n));
                }
            } else {
                self.flipped.remove(&n);
            }
        }
        for (from, to) in pairs.into_iter().filter(|(from, to)| from != to) {
            alter(self.network.direction(from, to), happening, change);
        }
        self.network.changed();
    }

    /// A process ends and is started again at once; not one whose disk is doubtful.
    pub(super) fn bounce_sound(&mut self, at: usize) {
        if !self.members[at].doubtful {
            self.bounce(at);
        }
    }

    /// A process ends and is started again at once.
    fn bounce(&mut self, at: usize) {
        if self.members[at].running.is_some() {
            self.switch_off(at, Ending::Kill);
            self.plan_after(1_000, Due::Start(at));
        }
    }

    /// Whether its disk may be damaged where a restart could not tell that from a torn write: the
    /// operator was told not to trust such a disk.
    pub(super) fn is_to_be_given_up(&self, at: usize) -> bool {
        self.members[at].doubtful && self.members[at].is_unwitnessed()
    }

    /// Its disk counts as lost, and another one takes its place.
    fn give_up(&mut self, at: usize) {
        self.downed(at);
        self.wipe_now(at);
        self.plan_after(1_000, Due::Start(at));
    }

    /// Its power is gone.
    pub(super) fn lose_power(&mut self, at: usize) {
        if self.is_to_be_given_up(at) {
            self.give_up(at);
        } else {
            self.switch_off(at, Ending::PowerCut);
        }
    }

    pub(super) fn switch_off(&mut self, at: usize, ending: Ending) {
        match ending {
            Ending::Kill => self.members[at].kill(),
            Ending::PowerCut => self.power_goes(at),
        }
        self.downed(at);
        let node = at as u64 + 1;
        self.trace.say(self.now, || What::Down { node, why: "switched off".to_owned() });
    }

    /// Its machine loses its power.
    pub(super) fn power_goes(&mut self, at: usize) {
        if self.members[at].shadow.mixes() {
            self.coverage.other("power cut in a mixed batch");
        }
        self.members[at].power_cut();
    }

    pub(super) fn resume(&mut self, at: usize) {
        self.members[at].paused = self.members[at].paused.saturating_sub(1);
        if self.members[at].paused > 0 {
            return;
        }
        for due in std::mem::take(&mut self.backlogs[at]) {
            self.plan_after(0, due);
        }
        if self.members[at].running.is_some() {
            self.wind_up(at);
        }
    }

    pub(super) fn wipe_now(&mut self, at: usize) {
        let (settings, seed) = (self.plan.settings.clone(), self.random.next());
        let member = &self.members[at];
        self.graves.push((member.me, member.shadow.clone()));
        self.members[at].wipe(&settings, seed);
        self.members[at].stalls = 0;
        let node = at as u64 + 1;
        self.trace.say(self.now, || What::Down { node, why: "its disk is lost".to_owned() });
    }

    fn stall(&mut self, at: usize) {
        self.members[at].stalls += 1;
        self.members[at].disk.stall();
    }

    pub(super) fn flow(&mut self, at: usize) {
        self.members[at].stalls = self.members[at].stalls.saturating_sub(1);
        if self.members[at].stalls == 0 {
            self.members[at].disk.resume();
            self.plan_jobs(at);
        }
    }

    /// What is on the disk is all it takes.
    fn fill(&mut self, at: usize) {
        let disk = self.members[at].disk.attach();
        let size = |name: &String| disk.open(name).map_or(0, |file| file.len());
        let used: u64 = disk.list().unwrap_or_default().iter().map(size).sum();
        self.members[at].disk.set_capacity(used);
    }

    /// A bit flips, in a segment that is full or in a snapshot: it is looked for once later batches
    /// bear witness to all that is there now, for rot in what nothing bears witness to can't be
    /// told from a torn write.
    fn rot(&mut self, at: usize) {
        let disk = self.members[at].disk.attach();
        let mut names = disk.list().unwrap_or_default();
        names.retain(|name| name.starts_with("segment-") || name.starts_with("snapshot-"));
        let newest = names.iter().filter(|name| name.starts_with("segment-")).max().cloned();
        names.retain(|name| Some(name) != newest.as_ref());
        if names.is_empty() {
            return;
        }
        let name = self.random.pick(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let len = disk.open(name).map_or(0, |file| file.len());
        let offset = usize::try_from(self.random.below(len)).expect("a small file");
        let bit = self.random.below(8);
        self.members[at].disk.flip(name, offset, 1 << bit);
        self.members[at].doubt(WITNESSES_OF_ROT);
    }
}

/// After so many syncs something bears witness to what was misdirected: one may be under way, one
/// is hit, one may hold what was written before that was done, and the next say that it was
/// durable.
const WITNESSES: u64 = 5;
/// The same for rot, which is there at once: the last batch may run over several segments.
const WITNESSES_OF_ROT: u64 = 3;

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Kill,
    PowerCut,
}

/// Whether something begins or ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Begins,
    Ends,
}

fn alter(link: &mut Direction, happening: &Happening, change: Change) {
    let begins = change == Change::Begins;
    let count = |value: u32| if begins { value + 1 } else { value.saturating_sub(1) };
    let value = |on: u64, off: u64| if begins { on } else { off };
    match happening {
        Happening::HalfOpen { .. } => link.half_open = count(link.half_open),
        Happening::Slow { factor, .. } => link.factor = value((*factor).max(1), 1),
        Happening::Lossy { millionths, .. } => link.loss = value(*millionths, 0),
        Happening::Repeat { millionths, .. } => link.repeats = value(*millionths, 0),
        Happening::Reorder { millionths, .. } => link.reorders = value(*millionths, 0),
        Happening::Narrow { bytes, .. } => link.bytes = value(*bytes, 0),
        _ => link.cuts = count(link.cuts),
    }
}

/// The member that it happens to, if it happens to one.
fn member(happening: &Happening) -> Option<usize> {
    let fields = happening.fields();
    let member = fields.iter().find(|(key, _)| *key == "member");
    member.map(|(_, member)| index(*member))
}
