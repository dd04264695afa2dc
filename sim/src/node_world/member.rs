//! A member of the simulated cluster: `Member` is its machine, which outlives its processes.

use super::findings::{broken, happened};
use super::machine::Register;
use super::network::Net;
use super::plan::{Plan, Rate};
use holm::{Clock, Config, Edges, Entropy, Listen, Node, OpenError, Start, Status, Stop};
use holm_wal::{Runner, SimDisk};
use madsim::rand::{Rng, thread_rng};
use madsim::runtime::{Handle, NodeHandle};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// A machine with a disk and a clock, on which a node runs from time to time.
pub(super) struct Member {
    pub(super) node: u64,
    machine: NodeHandle,
    seat: Arc<Seat>,
    /// Whether something happens to it already.
    pub(super) busy: Rc<Cell<bool>>,
}

/// What outlives its processes.
struct Seat {
    node: u64,
    plan: Arc<Plan>,
    net: Net,
    disk: SimDisk,
    clock: Arc<Skewed>,
    /// Whether its disk fails, so that a stop is no surprise.
    failing: AtomicBool,
    /// What a leader knew to be committed and durable here: whatever happens, it is there.
    floor: AtomicU64,
    /// The node that runs now, or ran last.
    running: Mutex<Option<Node<Register>>>,
}

impl Member {
    /// Makes the machine and starts a node on it, which forms the cluster with the others.
    pub(super) fn start(node: u64, plan: &Arc<Plan>, net: &Net) -> Self {
        let seat = Arc::new(Seat {
            node,
            plan: Arc::clone(plan),
            net: net.clone(),
            disk: SimDisk::new(thread_rng().r#gen(), runner()),
            clock: Arc::new(Skewed { rate: plan.clocks[&node], jumped_ms: AtomicU64::new(0) }),
            failing: AtomicBool::new(false),
            floor: AtomicU64::new(0),
            running: Mutex::default(),
        });
        let seated = Arc::clone(&seat);
        let machine = Handle::current()
            .create_node()
            .name(format!("member {node}"))
            .init(move || serve(Arc::clone(&seated)))
            .build();
        Self { node, machine, seat, busy: Rc::default() }
    }

    /// The node that runs on this machine, if one does.
    pub(super) fn running(&self) -> Option<Node<Register>> {
        self.seat.running()
    }

    /// What the node shows of itself, if one runs.
    pub(super) fn status(&self) -> Option<Status> {
        Some(self.running()?.status().borrow().clone())
    }

    /// A leader shows how far it knows each member to be.
    pub(super) fn must_keep(&self, leader: &Status) {
        let own = leader.members.iter().find(|member| member.node == self.node);
        if let Some(matched) = own.and_then(|own| own.matched) {
            self.seat.floor.fetch_max(matched.min(leader.commit), Ordering::Relaxed);
        }
    }

    /// Its process is killed: what it wrote stays, and its connections are closed for it.
    pub(super) fn kill(&self) {
        self.stop();
        self.seat.net.killed(self.node);
        self.seat.disk.kill();
    }

    /// Its power is cut: what was not synced is lost, in whole or in part, and nobody is told.
    pub(super) fn power_cut(&self) {
        self.stop();
        self.seat.net.power_cut(self.node);
        self.seat.disk.power_cut();
    }

    fn stop(&self) {
        Handle::current().kill(self.machine.id());
        *self.seat.running.lock().expect("nobody panicked") = None;
    }

    /// It is on, and its node is started.
    pub(super) fn start_again(&self) {
        self.seat.net.powered(self.node);
        Handle::current().restart(self.machine.id());
    }

    pub(super) fn pause(&self) {
        Handle::current().pause(self.machine.id());
    }

    pub(super) fn resume(&self) {
        Handle::current().resume(self.machine.id());
    }

    /// Its disk, to be failed.
    pub(super) fn disk(&self) -> &SimDisk {
        &self.seat.disk
    }

    /// From now on, its disk fails syncs, or does not.
    pub(super) fn fails_syncs(&self, count: u32) {
        self.seat.failing.store(count > 0, Ordering::Relaxed);
        self.seat.disk.fail_syncs(count);
    }

    /// Its clock jumps ahead, as that of a machine that was suspended.
    pub(super) fn clock_jumps(&self, millis: u64) {
        self.seat.clock.jumped_ms.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Seat {
    fn running(&self) -> Option<Node<Register>> {
        self.running.lock().expect("nobody panicked").clone()
    }

    fn config(&self, start: Start) -> Config {
        let Self { node, plan, .. } = self;
        let listen = plan.topology.member(*node).and_then(|own| own.address.clone());
        Config {
            listen: listen.map(Listen::Address),
            start,
            tick: plan.clocks[node].real(Duration::from_millis(10)),
            // Small enough for the log to need new files while a disk is full.
            segment_bytes: 9 << 9,
            command_bytes_max: 1 << 9,
            snapshot_entries: 8,
            snapshot_chunk_bytes: 100,
            request_timeout: Duration::from_secs(2),
            ..Config::new("simulated", *node, plan.topology.clone(), plan.security(*node))
        }
    }

    async fn open(&self) -> Result<Node<Register>, OpenError> {
        let edges = Edges {
            disk: self.disk.attach(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(Seeded),
            network: self.net.port(self.node),
        };
        let open = |start| Node::open_with(self.config(start), edges.clone(), Register::default());
        // As an operator would: it forms the cluster unless its storage is part of one already.
        match open(Start::Bootstrap).await {
            Err(OpenError::Storage(_)) => open(Start::Join).await,
            opened => opened,
        }
    }
}

/// What the machine does when it is switched on: it starts a node, and another one when that stops
/// because of its disk, as a service manager would.
async fn serve(seat: Arc<Seat>) {
    loop {
        match seat.open().await {
            Ok(opened) => {
                seat.finds(opened.status().borrow().last);
                *seat.running.lock().expect("nobody panicked") = Some(opened.clone());
                let stop = opened.stopped().await;
                *seat.running.lock().expect("nobody panicked") = None;
                seat.stopped(&stop);
                // Its process ends, and with it whatever its disk still had to do for it.
                seat.disk.kill();
            }
            Err(error) => seat.not_opened(&error),
        }
        sleep(Duration::from_millis(thread_rng().gen_range(50..500))).await;
    }
}

/// The checker's name.
const NAME: &str = "no member stops by itself";

impl Seat {
    /// What a start finds has all that was acknowledged in the member's name (paper figure 2).
    fn finds(&self, last: u64) {
        let (node, floor) = (self.node, self.floor.load(Ordering::Relaxed));
        if last < floor {
            let says = format!("member {node} had acknowledged all up to {floor}, finds {last}");
            broken("durability of acknowledgements", says);
        }
    }

    fn stopped(&self, stop: &Stop) {
        match stop {
            Stop::Disk(_) if self.failing.load(Ordering::Relaxed) => {
                happened("members that a failed sync stopped");
            }
            other => broken(NAME, format!("member {} stopped by itself: {other}", self.node)),
        }
    }

    fn not_opened(&self, error: &OpenError) {
        let excused = self.failing.load(Ordering::Relaxed) || self.disk_is_full(error);
        if !excused {
            broken(NAME, format!("member {} can't be started: {error}", self.node));
        }
        tracing::info!(node = self.node, %error, "not opened");
    }

    fn disk_is_full(&self, error: &OpenError) -> bool {
        matches!(error, OpenError::Log(holm_wal::Error::Full { .. }))
    }
}

/// A disk's job takes its time, on the machine that asked for it: a machine that is switched off
/// finishes nothing.
fn runner() -> Runner {
    Arc::new(|job| {
        let micros = thread_rng().gen_range(50..3000);
        tokio::task::spawn(async move {
            sleep(Duration::from_micros(micros)).await;
            job();
        });
    })
}

/// A clock of its own rate, that may jump ahead.
struct Skewed {
    rate: Rate,
    jumped_ms: AtomicU64,
}

impl Clock for Skewed {
    fn now(&self) -> u64 {
        self.rate.shows(super::trace::now()) + self.jumped_ms.load(Ordering::Relaxed)
    }
}

struct Seeded;

impl Entropy for Seeded {
    fn draw(&self) -> u64 {
        thread_rng().r#gen()
    }
}
