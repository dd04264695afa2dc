//! The driver: one task that joins the core, the log, the transport and the state machine.
//!
//! It waits for something to happen, takes everything that waits (one *turn*), asks the core once
//! what to do, and does it: writes the log, sends messages, starts a sync off its path, applies
//! what is committed, answers callers. Only this task calls `Raft::handle` and `Raft::ready`.

mod applying;
#[cfg_attr(not(feature = "server"), allow(dead_code, reason = "HTTP alone asks other members"))]
mod calls;
mod disk;
mod formation;
mod gathering;
mod health;
mod marks;
mod membership;
mod outbound;
mod overview;
mod parting;
mod repair;
mod requests;
mod roster;
mod seat;
mod seen;
mod snapshots;
mod tail;
mod told;

pub(crate) use applying::Applying;
pub(crate) use calls::{
    Asked, CALLS_ASKED_MAX, Call, CallFailed, CallRequest, Calls, What, Whence,
};
pub(crate) use disk::run_job;
pub(crate) use formation::Formation;
pub(crate) use gathering::Gathering;
pub(crate) use health::Health;
pub(crate) use marks::Marks;
pub(crate) use membership::Membership;
pub(crate) use overview::Overview;
pub(crate) use parting::Parting;
pub(crate) use requests::{Confirm, Failed, Proposal, Request, Serve, Waiting};
pub(crate) use roster::Roster;
pub(crate) use seat::OwnSeat;
pub(crate) use snapshots::SnapshotTraffic;
pub(crate) use tail::Tail;
pub(crate) use told::Told;

use crate::StateMachine;
use crate::applier::Report;
use crate::config::Config;
use crate::edges::Edges;
use crate::measures::Measures;
use crate::member_info::epoch_of;
use crate::members::IncarnationNumber;
use crate::rendezvous::Placement;
use crate::status::Status;
use crate::stop::Stop;

use disk::{DiskEvent, Held};
use holm_raft_core::{Body, Boot, Event, MemberId, Raft, WriteNumber};
use holm_transport::{Inbound, Transport};
use holm_wal::Wal;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

/// The most inputs that one turn takes before it acts on them.
const TURN_INPUTS_MAX: usize = 1024;

pub(crate) struct Driver<S: StateMachine> {
    pub(crate) config: Config,
    pub(crate) edges: Edges,
    pub(crate) me: MemberId,
    /// Names this start, in the commands that are proposed here.
    pub(crate) boot: Boot,
    pub(crate) raft: Raft,
    pub(crate) wal: Wal,
    /// What was written to it last.
    pub(crate) tail: Tail,
    pub(crate) snapshots: SnapshotTraffic,
    pub(crate) applying: Applying<S>,
    /// When log time is told though nobody writes.
    pub(crate) marks: Marks,
    pub(crate) transport: Transport,
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    pub(crate) requests: mpsc::Receiver<Request<S>>,
    /// At most one sync, one save and one store are under way, so this holds at most three.
    pub(crate) disk_events: (mpsc::UnboundedSender<DiskEvent>, mpsc::UnboundedReceiver<DiskEvent>),
    /// What may be said once its write is durable.
    pub(crate) held: VecDeque<Held>,
    pub(crate) acknowledged: WriteNumber,
    pub(crate) health: Health,
    pub(crate) waiting: Waiting<S>,
    pub(crate) gathering: Gathering<S>,
    /// What members ask each other beside the protocol.
    pub(crate) calls: Calls,
    pub(crate) formation: Formation,
    /// Changes of the members, and hand-overs, that are not answered yet.
    pub(crate) membership: Membership,
    /// How far the members are, as a leader said last.
    pub(crate) overview: Overview,
    /// Whom the transport knows, and since which configuration.
    pub(crate) roster: Roster,
    /// What is asked about the own place among the members.
    pub(crate) seat: OwnSeat,
    /// Whom keys belong to, by the newest committed configuration.
    pub(crate) placement: watch::Sender<Placement>,
    pub(crate) status: watch::Sender<Status>,
    /// Wakes callers that wait for a leader.
    pub(crate) led: Arc<Notify>,
    /// What it does and how long that takes, for whoever looks.
    pub(crate) measures: Arc<Measures>,
    pub(crate) ticks: u64,
    /// What those that listen were told.
    pub(crate) told: Told,
    /// It was asked to stop.
    pub(crate) parting: Option<Parting>,
}

/// Something that a turn begins with.
enum Input<S: StateMachine> {
    Tick,
    Request(Request<S>),
    Inbound(Inbound),
    Disk(DiskEvent),
    /// The state's task says something, or has ended, which it does only by a panic.
    Report(Option<Report<S>>),
    /// Nobody holds the node any more.
    Abandoned,
}

impl<S: StateMachine> Driver<S> {
    /// Runs until the node is shut down, abandoned, or can't go on; says why.
    pub(crate) async fn run(mut self) -> Stop {
        let stop = match self.turns().await {
            Ok(never) => match never {},
            Err(stop) => stop,
        };
        match &stop {
            Stop::Shutdown => tracing::info!(node = self.config.node, "stopped"),
            Stop::Removed(why) => tracing::warn!(node = self.config.node, why, "stopped"),
            Stop::Disk(why) | Stop::Refused(why) | Stop::Fault(why) => {
                tracing::error!(node = self.config.node, why, "stopped");
            }
        }
        self.publish(Some(&stop));
        // Callers learn of the stop by their dropped channels.
        self.applying.stop().await;
        self.transport.shutdown().await;
        stop
    }

    async fn turns(&mut self) -> Result<std::convert::Infallible, Stop> {
        let mut ticker = tokio::time::interval_at(Instant::now(), self.config.tick);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.act().await?;
        self.tell_turn();
        loop {
            let first = tokio::select! {
                biased;
                _ = ticker.tick() => Input::Tick,
                Some(event) = self.disk_events.1.recv() => Input::Disk(event),
                report = self.applying.reports.recv() => Input::Report(report),
                Some(inbound) = self.inbound.recv() => Input::Inbound(inbound),
                request = self.requests.recv() => request.map_or(Input::Abandoned, Input::Request),
            };
            let begun = Instant::now();
            self.take(first)?;
            let others = self.take_waiting()?;
            self.propose_gathered();
            self.act().await?;
            self.measures.turned(begun, 1 + others);
            self.tell_turn();
        }
    }

    /// Takes all that waits already, so that one write and one sync serve it all; says how much.
    fn take_waiting(&mut self) -> Result<usize, Stop> {
        let (mut room, mut own) = (TURN_INPUTS_MAX, 0);
        while let Ok(event) = self.disk_events.1.try_recv() {
            self.take(Input::Disk(event))?;
            own += 1;
        }
        while let Ok(report) = self.applying.reports.try_recv() {
            self.take(Input::Report(Some(report)))?;
            own += 1;
        }
        while room > 0
            && let Ok(inbound) = self.inbound.try_recv()
        {
            self.take(Input::Inbound(inbound))?;
            room -= 1;
        }
        while room > 0
            && let Ok(request) = self.requests.try_recv()
        {
            self.take(Input::Request(request))?;
            room -= 1;
        }
        Ok(own + TURN_INPUTS_MAX - room)
    }

    fn take(&mut self, input: Input<S>) -> Result<(), Stop> {
        match input {
            Input::Tick => self.tick(),
            Input::Request(request) => self.request(request),
            Input::Disk(event) => self.disk_event(event),
            Input::Report(Some(report)) => self.report(report),
            Input::Report(None) => {
                Err(Stop::Fault("the state machine panicked; see its message".into()))
            }
            Input::Abandoned => Err(Stop::Shutdown),
            Input::Inbound(Inbound::Message(message)) => {
                if let Body::Propose { .. } = message.body {
                    self.read_clock();
                }
                told::arrives(&message);
                self.raft.handle(Event::Message(message));
                Ok(())
            }
            Input::Inbound(Inbound::Note { from, note }) => self.note(from, note),
            Input::Inbound(Inbound::Up { peer }) => {
                tracing::debug!(node = self.config.node, %peer, "connected");
                self.vouch_to(peer.node);
                Ok(())
            }
            Input::Inbound(Inbound::Down { peer }) => {
                tracing::debug!(node = self.config.node, %peer, "disconnected");
                self.calls_broken(peer.node);
                Ok(())
            }
        }
    }

    /// Before a proposal: it was asked for before this, whenever the last tick was.
    fn read_clock(&mut self) {
        let now = self.edges.clock.now();
        self.raft.handle(Event::Clock { now });
    }

    fn tick(&mut self) -> Result<(), Stop> {
        self.ticks += 1;
        self.gathering.ticked();
        self.wal.check().map_err(|error| log_failed(&error))?;
        let now = self.edges.clock.now();
        self.raft.handle(Event::Tick { now });
        if self.ticks.is_multiple_of(64) {
            self.forget_abandoned(now);
            self.forget_questions(now);
            self.forget_calls(now);
            self.forget_sent_snapshots();
        }
        self.mark_time();
        self.form()?;
        self.look_at_disk(now);
        self.tell_overview();
        self.follow_configuration();
        self.look_at_seat()?;
        self.readmit_memory_members();
        self.publish(None);
        Ok(())
    }

    /// Does what the core asks, until it asks for nothing more.
    async fn act(&mut self) -> Result<(), Stop> {
        loop {
            let ready = self.raft.ready();
            if ready.is_empty() {
                break;
            }
            if let Some(persist) = ready.persist {
                self.persist(persist).await?;
            }
            self.store(ready.chunks);
            for outbound in ready.send {
                self.send(outbound)?;
            }
            if let Some(range) = ready.committed {
                self.committed(*range.end())?;
            }
            for (number, fate) in ready.proposals {
                self.told(number, fate);
            }
            for (number, changed) in ready.changes {
                self.change_told(number, changed);
            }
            for (number, index) in ready.reads {
                self.may_read(number, index);
            }
            self.start_sync();
            self.acknowledge();
        }
        self.tell_commits();
        if !self.raft.is_full() {
            self.has_room();
        }
        self.settle_changes();
        self.take_snapshot()?;
        self.publish_change();
        self.may_part()
    }

    /// Publishes at once what others wait for: who leads.
    fn publish_change(&mut self) {
        let leader = self.raft.leader().map(|leader| leader.node.0);
        let formed = !self.raft.configuration().is_empty();
        let known = |known: &Status| known.leader == leader && known.formed == formed;
        if !known(&self.status.borrow()) {
            self.publish(None);
        }
    }

    pub(crate) fn publish(&self, stop: Option<&Stop>) {
        let core = self.raft.status();
        let formed = !self.raft.configuration().is_empty();
        let role = match (stop, formed) {
            (Some(_), _) => "stopped",
            (None, false) => self.formation.name(),
            (None, true) => core.role,
        };
        if core.role != self.status.borrow().role && formed {
            tracing::info!(node = self.config.node, "{core}");
        }
        let last = core.last.index.0;
        let leader = core.leader.map(|leader| leader.node.0);
        if leader.is_some() && leader != self.status.borrow().leader {
            self.measures.leader_changed();
        }
        self.measures.dropped(core.dropped);
        let status = Status {
            cluster: self.config.cluster.clone(),
            node: self.config.node,
            incarnation: IncarnationNumber(self.me.incarnation.0),
            formed,
            role: role.into(),
            term: core.term.0,
            leader,
            commit: core.committed.0,
            applied: self.applying.applied.0,
            last,
            members: self.members(&core),
            links: self.links(),
            refused: self.refused(),
            secrets: self.secrets(),
            snapshot: self.snapshots.index(),
            log_bytes: self.wal.bytes(),
            disk: self.health.status(),
            proposals: self.waiting.proposals_seen,
            elections: core.elections,
            messages_dropped: core.dropped.total(),
            epoch: formed.then(|| format!("{:016x}", epoch_of(self.raft.configuration()).0)),
            stopped: stop.map(ToString::to_string),
        };
        let mut led_anew = false;
        self.status.send_if_modified(|known| {
            led_anew = (known.leader, known.formed) != (status.leader, status.formed);
            let changed = *known != status;
            *known = status;
            changed
        });
        if led_anew {
            self.led.notify_waiters();
        }
    }
}

/// A message for the log's reader: bytes that are not there were promised.
pub(crate) fn log_failed(error: &holm_wal::Error) -> Stop {
    Stop::Disk(error.to_string())
}
