//! One member without async: `Member`, who it is, its disk, and what runs on it: `running` joins a
//! core to a log, as the node's driver does, and `starting` finds what a crash left.

mod power;
mod running;
mod starting;

use super::guest::Host;
use super::machine::Command;
use super::plan::Settings;
use crate::checkers::shadow::Shadow;
use crate::checkers::{Checkers, Violation};
use bytes::Bytes;
use holm_raft_core as raft;
use holm_raft_core::{
    Configuration, EntryId, Event, Incarnation, Index, MemberId, Message, NodeId, RequestNumber,
};
use holm_wal::{Identity, Options, SimDisk, Wal};
use power::Dark;
pub(super) use power::Power;
pub(super) use running::Running;
pub(super) use starting::Offer;
use std::sync::{Arc, Mutex};

/// A disk's work, to be done at a time that the world chooses.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// A member, running or not.
pub(super) struct Member {
    pub(super) me: MemberId,
    pub(super) boots: u64,
    pub(super) disk: SimDisk,
    jobs: Arc<Mutex<Vec<Job>>>,
    pub(super) running: Option<Box<Running>>,
    /// What its log has to hold.
    pub(super) shadow: Shadow,
    /// Its disk may be damaged: it counts as one that is not there until it was started again.
    pub(super) doubtful: bool,
    /// How many syncs it must have done until the damage can be told from a torn write.
    witnessed_after: u64,
    /// Whether it has inputs that wait for its next turn.
    pub(super) gathers: bool,
    /// When its power goes next, if that is to be.
    dark: Option<Dark>,
    /// Whether it has lost its power since it was started last.
    lost_power: bool,
    /// How many ticks its core was told of since it was started.
    pub(super) ticks: u64,
    /// How often nobody had what its damaged log lacks.
    pub(super) unrepaired: u32,
    /// Starts fail as long as these last, and processes are paused.
    pub(super) paused: u32,
    pub(super) held_down: u32,
    pub(super) stalls: u32,
    pub(super) clock: Clock,
    host: Option<Arc<dyn Host>>,
}

/// Why a member does not go on, or does not start.
#[derive(Debug)]
pub(super) enum Stop {
    /// Its disk failed: whoever supervises it starts it again.
    Disk(String),
    /// Its log is damaged: that was found when it was opened, or when it was read.
    Damaged(String),
    Rotten(String),
    /// Its disk holds nothing that it may go on with.
    Lost(String),
    /// A promise is broken.
    Broken(Violation),
}

impl Stop {
    /// A disk that failed, unless it only refused what no log may ask of it.
    fn of_disk(error: &holm_wal::Error) -> Self {
        let source = std::error::Error::source(error);
        let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
        let says = error.to_string();
        match io.map(std::io::Error::kind) {
            Some(std::io::ErrorKind::InvalidInput) => {
                Self::Broken(Violation { checker: "bytes that are held stay", says })
            }
            _ => Self::Disk(says),
        }
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

/// What comes of a turn.
#[derive(Default)]
pub(super) struct Effects {
    /// What is to be sent.
    pub(super) messages: Vec<Message>,
    /// Reads that may be served from an index on, as soon as that is applied here.
    pub(super) confirmed: Vec<RequestNumber>,
    /// What became of what clients asked for.
    pub(super) answers: Vec<(RequestNumber, Answer)>,
    /// Commands that were applied here, each with its reply.
    pub(super) applied: Vec<(Command, u64)>,
    /// Entries that were applied here, and are the first of their index anywhere.
    pub(super) configurations: Vec<(Index, Configuration)>,
    /// What an operator was answered.
    pub(super) changes: Vec<Result<EntryId, raft::ChangeError>>,
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A read may be served from this index on; it is applied, and the state is as told.
    Read { index: Index },
    /// Ask somebody else.
    Refused,
}

/// A member's own clock: it goes at its own rate, and never back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// In thousandths.
    rate: u64,
    /// Simulated and own microseconds when it was last set.
    set: (u64, u64),
}

impl Clock {
    const fn new(offset: u64) -> Self {
        Self { rate: 1_000, set: (0, offset) }
    }

    /// Its own microseconds.
    pub(super) const fn micros(&self, now: u64) -> u64 {
        self.set.1 + (now - self.set.0) * self.rate / 1_000
    }

    /// Its own milliseconds.
    pub(super) const fn millis(&self, now: u64) -> u64 {
        self.micros(now) / 1_000
    }

    /// How many simulated microseconds so many of its own take.
    pub(super) const fn takes(&self, micros: u64) -> u64 {
        micros * 1_000 / self.rate
    }

    pub(super) const fn set_rate(&mut self, now: u64, permille: u64) {
        self.set = (now, self.micros(now));
        self.rate = if permille == 0 { 1 } else { permille };
    }

    pub(super) const fn jump(&mut self, now: u64, millis: u64) {
        self.set = (now, self.micros(now) + millis * 1_000);
    }
}

impl Member {
    pub(super) fn new(
        at: usize,
        settings: &Settings,
        seed: u64,
        host: Option<Arc<dyn Host>>,
    ) -> Self {
        let node = at as u64 + 1;
        let me = MemberId::new(NodeId(node), Incarnation(node * 1_000));
        let jobs = Arc::new(Mutex::new(Vec::new()));
        let mut member = Self {
            me,
            boots: 0,
            disk: SimDisk::new(seed, runner(&jobs)),
            jobs,
            running: None,
            shadow: Shadow::default(),
            doubtful: false,
            witnessed_after: 0,
            gathers: false,
            dark: None,
            lost_power: false,
            ticks: 0,
            unrepaired: 0,
            paused: 0,
            held_down: 0,
            stalls: 0,
            clock: Clock::new(seed % 100_000_000),
            host,
        };
        member.format(settings);
        member
    }

    fn format(&mut self, settings: &Settings) {
        let identity = Identity { cluster: [7; 16], member: self.me };
        Wal::create(self.disk.attach(), options(settings), identity).expect("an empty disk");
    }

    /// The disk is lost: whoever comes back is another incarnation, and a stranger.
    pub(super) fn wipe(&mut self, settings: &Settings, seed: u64) {
        self.switch_off();
        self.disk.power_cut();
        if !super::mutations::wiped_disk_votes_again() {
            self.me.incarnation.0 += 1;
        }
        self.disk = SimDisk::new(seed, runner(&self.jobs));
        self.shadow = Shadow::default();
        (self.doubtful, self.unrepaired, self.witnessed_after) = (false, 0, 0);
        self.lost_power = false;
        self.format(settings);
    }

    pub(super) fn configured(&self) -> raft::Member {
        raft::Member { id: self.me, info: Bytes::new() }
    }

    /// The process ends. What was not synced is still in the page cache.
    pub(super) fn kill(&mut self) {
        self.switch_off();
        self.disk.kill();
    }

    /// The machine loses its power.
    pub(super) fn power_cut(&mut self) {
        self.switch_off();
        self.tear();
        self.disk.power_cut();
        self.lost_power = true;
    }

    fn switch_off(&mut self) {
        self.running = None;
        self.jobs.lock().expect("nobody panicked").clear();
    }

    /// The core takes an event.
    pub(super) fn handle(&mut self, event: Event) {
        if let Some(running) = &mut self.running {
            running.raft.handle(event);
        }
    }

    /// Does all that the core asks for.
    pub(super) fn act(
        &mut self,
        effects: &mut Effects,
        checkers: &mut Checkers,
    ) -> Result<(), Stop> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let done = running.act(&mut self.shadow, effects, checkers);
        self.look_at_log();
        done
    }

    /// What the disk has to do since the last call.
    pub(super) fn jobs(&mut self, into: &mut Vec<Job>) {
        into.append(&mut *self.jobs.lock().expect("nobody panicked"));
    }

    /// Its disk may be damaged from now on, in what later batches bear witness to: those of so many
    /// syncs.
    pub(super) fn doubt(&mut self, witnesses: u64) {
        self.doubtful = true;
        let syncs = self.running.as_ref().map_or(0, |running| running.syncs);
        self.witnessed_after = self.witnessed_after.max(syncs + witnesses);
    }

    /// Whether later writes do not bear witness yet to those that may be damaged.
    pub(super) fn is_unwitnessed(&self) -> bool {
        let waits = self.witnessed_after > 0;
        self.running.as_ref().filter(|_| waits).is_some_and(|running| {
            running.syncs < self.witnessed_after || running.wal.durable().0 < running.writes
        })
    }

    /// Whether it runs, and is not paused.
    pub(super) fn is_up(&self) -> bool {
        self.running.is_some() && self.paused == 0
    }
}

fn runner(jobs: &Arc<Mutex<Vec<Job>>>) -> holm_wal::Runner {
    let queue = Arc::clone(jobs);
    Arc::new(move |job| queue.lock().expect("nobody panicked").push(job))
}

const fn options(settings: &Settings) -> Options {
    Options { segment_bytes: settings.segment_bytes }
}
