//! A member of the simulated cluster: `Member` is its machine, which outlives its processes.

use super::clock::Skewed;
use super::findings::happened;
use super::joining::Invitation;
use super::machine::Register;
use super::network::Net;
use super::plan::{Plan, address};
use super::service::serve;
use super::trace::is_down;
use crate::core_world::random::Random;
use holm::members::{NewMember, StorageKind};
use holm::topology::Topology;
use holm::{Clock, Config, Edges, Entropy, KeyPair, KeyRing, Listen, Node, OpenError, Secret};
use holm::{Security, Start, Status};
use holm_wal::{MemoryDisk, Runner, SimDisk};
use madsim::runtime::{Handle, NodeHandle};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// A machine with a disk and a clock, on which a node runs from time to time.
pub(super) struct Member {
    pub(super) node: u64,
    machine: NodeHandle,
    seat: Arc<Seat>,
    /// Whether something happens to its process already, and to its disk.
    pub(super) process_busy: Cell<bool>,
    pub(super) disk_busy: Cell<bool>,
}

/// What all members know.
struct Common {
    plan: Arc<Plan>,
    net: Net,
    topology: Topology,
    /// The same with those alone that form the cluster.
    founding: Topology,
    pairs: BTreeMap<u64, KeyPair>,
    secret: Secret,
}

/// What outlives its processes.
pub(super) struct Seat {
    pub(super) node: u64,
    common: Arc<Common>,
    disk: Mutex<SimDisk>,
    /// What it keeps over a restart.
    pub(super) storage: StorageKind,
    /// It is to join by this, before its node is started.
    pub(super) invitation: Mutex<Option<Invitation>>,
    /// Whom it was told of when it joined.
    pub(super) told: Mutex<Option<Topology>>,
    /// Which incarnation it was last; 0: none, its disk is empty.
    pub(super) incarnation: AtomicU64,
    /// It may be told that it is no member any more.
    pub(super) leaves: AtomicBool,
    /// It forms the cluster with the others, unless its storage is part of one already.
    pub(super) founds: AtomicBool,
    /// What it stops by, or is not opened for, is no surprise.
    pub(super) doubtful: AtomicBool,
    clock: Arc<Skewed>,
    random: Arc<Mutex<Random>>,
    /// Whether its disk fails, so that a stop is no surprise.
    pub(super) failing: AtomicBool,
    /// What a leader knew to be committed and durable here: whatever happens, it is there.
    pub(super) floor: AtomicU64,
    /// The node that runs now, or ran last.
    pub(super) running: Mutex<Option<Node<Register>>>,
}

impl Member {
    /// Makes the machines and starts a node on each, which form the cluster.
    pub(super) fn all(plan: &Arc<Plan>, net: &Net) -> Vec<Self> {
        let mut random = Random::new(plan.settings.seed, 6);
        let mut fill = |bytes: &mut [u8]| {
            for part in bytes.chunks_mut(8) {
                part.copy_from_slice(&random.next().to_le_bytes()[..part.len()]);
            }
        };
        let ids = 1..=plan.settings.members;
        let secret = Secret::generate(&mut fill);
        let pairs: BTreeMap<u64, KeyPair> =
            ids.clone().map(|id| (id, KeyPair::generate(&mut fill))).collect();
        let sealed = plan.settings.sealed == 1;
        let topology = plan.topology(|id| sealed.then(|| pairs[&id].public()));
        let mut founding = topology.clone();
        founding.members.retain(|member| member.id <= plan.founders());
        let (plan, net) = (Arc::clone(plan), net.clone());
        let common = Arc::new(Common { plan, net, topology, founding, pairs, secret });
        ids.map(|node| Self::new(node, &common)).collect()
    }

    /// One that founds the cluster starts at once, the others when they are to come in.
    fn new(node: u64, common: &Arc<Common>) -> Self {
        let settings = &common.plan.settings;
        let stream = |purpose: u64| Random::new(settings.seed, 1_000 * node + purpose);
        let durations = (settings.disk_low, settings.disk_high);
        let place = &common.plan.places[usize::try_from(node - 1).expect("a few")];
        let seat = Arc::new(Seat {
            node,
            common: Arc::clone(common),
            disk: Mutex::new(SimDisk::new(stream(1).next(), runner(durations, stream(2)))),
            storage: if common.plan.is_in_memory(node) {
                StorageKind::Memory
            } else {
                StorageKind::Disk
            },
            invitation: Mutex::default(),
            told: Mutex::default(),
            incarnation: AtomicU64::new(0),
            leaves: AtomicBool::new(false),
            founds: AtomicBool::new(node <= common.plan.founders()),
            doubtful: AtomicBool::new(false),
            clock: Arc::new(Skewed::new(place)),
            random: Arc::new(Mutex::new(stream(3))),
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
        Self { node, machine, seat, process_busy: Cell::default(), disk_busy: Cell::default() }
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

    /// The run is over: nothing of it is left.
    pub(super) fn switch_off(&self) {
        self.end();
        self.disk().kill();
    }

    /// Its process is killed: what it wrote stays, and its connections are closed for it.
    pub(super) fn kill(&self) {
        self.stop("its process was killed");
        self.seat.common.net.killed(self.node);
        self.disk().kill();
        self.restarts_anew();
    }

    /// Its power is cut: what was not synced is lost, in whole or in part, and nobody is told.
    pub(super) fn power_cut(&self) {
        self.stop("its power was cut");
        self.seat.common.net.power_cut(self.node);
        self.disk().power_cut();
        self.restarts_anew();
    }

    /// If its log was in memory, all of it is forgotten: from now on it waits to be let in.
    fn restarts_anew(&self) {
        if self.forgets() {
            happened("members in memory that restarted");
            self.is_nobody();
        }
    }

    /// Whether its log is in memory.
    pub(super) fn forgets(&self) -> bool {
        self.seat.storage == StorageKind::Memory
    }

    fn is_nobody(&self) {
        self.seat.founds.store(false, Ordering::Relaxed);
        self.seat.leaves.store(false, Ordering::Relaxed);
        self.seat.incarnation.store(0, Ordering::Relaxed);
        self.seat.floor.store(0, Ordering::Relaxed);
        super::configurations::forget(self.node);
        super::promises::forget(self.node);
    }

    fn stop(&self, why: &str) {
        self.end();
        is_down(self.node, why);
    }

    fn end(&self) {
        Handle::current().kill(self.machine.id());
        *self.seat.running.lock().expect("nobody panicked") = None;
    }

    /// It is on, and its node is started.
    pub(super) fn start_again(&self) {
        self.seat.common.net.powered(self.node);
        Handle::current().restart(self.machine.id());
    }

    pub(super) fn pause(&self) {
        Handle::current().pause(self.machine.id());
    }

    pub(super) fn resume(&self) {
        Handle::current().resume(self.machine.id());
    }

    /// Whether this is the node that runs there now.
    pub(super) fn is_still(&self, node: &Node<Register>) -> bool {
        self.running().is_some_and(|running| running.status().same_channel(&node.status()))
    }

    /// How long its callers wait.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_micros(self.seat.common.plan.settings.request_timeout)
    }

    /// Does something on its machine, which is stopped and killed with it.
    pub(super) fn runs(
        &self,
        what: impl Future<Output = ()> + Send + 'static,
    ) -> madsim::task::JoinHandle<()> {
        let machine = Handle::current().get_node(self.machine.id());
        machine.expect("it is never taken away").spawn(what)
    }

    /// Its disk, to be failed.
    pub(super) fn disk(&self) -> SimDisk {
        self.seat.disk()
    }

    /// Its machine is switched off, and has another disk, which is empty: from now on it waits to
    /// be let in. What is asked of that disk is done as before.
    pub(super) fn wipe(&self) {
        self.power_cut();
        let Seat { common, random, .. } = &*self.seat;
        let settings = &common.plan.settings;
        let [seed, jobs] = {
            let mut random = random.lock().expect("nobody panicked");
            [random.next(), random.next()]
        };
        let durations = (settings.disk_low, settings.disk_high);
        let disk = SimDisk::new(seed, runner(durations, Random::new(jobs, 2)));
        *self.seat.disk.lock().expect("nobody panicked") = disk;
        *self.seat.told.lock().expect("nobody panicked") = None;
        self.is_nobody();
    }

    /// It is to join by this when it is started, or no more.
    pub(super) fn is_invited(&self, invitation: Option<Invitation>) {
        *self.seat.invitation.lock().expect("nobody panicked") = invitation;
    }

    /// Where members listen whom this one may dial.
    pub(super) fn addresses(&self, of: impl Fn(u64) -> bool) -> Vec<String> {
        let topology = &self.seat.common.topology;
        let dialled = topology.members.iter().filter(|member| of(member.id));
        let dialled = dialled.filter(|member| topology.may_dial(self.node, member.id));
        dialled.filter_map(|member| member.address.clone()).collect()
    }

    /// One who says to be this member, on another storage and with a key of its own.
    pub(super) fn impostor(&self) -> (Config, Edges) {
        let draw = || self.seat.random.lock().expect("nobody panicked").next();
        let mut config = self.seat.config_to_join();
        if let Security::Sealed { pair, .. } = &mut config.security {
            *pair = KeyPair::generate(&mut |bytes: &mut [u8]| {
                bytes.chunks_mut(8).for_each(|part| {
                    part.copy_from_slice(&draw().to_le_bytes()[..part.len()]);
                });
            });
            config.topology.members[0].key = Some(pair.public());
        }
        (config, Edges { disk: Arc::new(MemoryDisk::new()), ..self.seat.edges() })
    }

    /// Which incarnation it is, or was last; 0 if its disk is empty.
    pub(super) fn incarnation(&self) -> u64 {
        self.seat.incarnation.load(Ordering::Relaxed)
    }

    /// What the others have to be told of it, if it waits to be let in.
    pub(super) fn as_new(&self) -> Option<NewMember> {
        let incarnation = self.status().filter(|status| status.role == "waiting")?.incarnation;
        let member = self.seat.common.topology.member(self.node)?.clone();
        Some(NewMember { incarnation, member, storage: self.seat.storage })
    }

    /// It may be told that it is no member any more.
    pub(super) fn leaves(&self) {
        self.seat.leaves.store(true, Ordering::Relaxed);
    }

    pub(super) fn stays(&self) {
        self.seat.leaves.store(false, Ordering::Relaxed);
    }

    /// Its disk may have lost what it promised: whatever it stops by is no surprise, and it is
    /// looked at before it is started again.
    pub(super) fn doubt(&self) {
        self.seat.doubtful.store(true, Ordering::Relaxed);
    }

    pub(super) fn trust(&self) {
        self.seat.doubtful.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.seat.doubtful.load(Ordering::Relaxed)
    }

    /// Its clock, to be set wrong.
    pub(super) fn clock(&self) -> &Skewed {
        &self.seat.clock
    }

    /// From now on, its disk fails reads, or does not.
    pub(super) fn fails_reads(&self, count: u32) {
        self.seat.failing.store(count > 0, Ordering::Relaxed);
        self.disk().fail_reads(count);
    }

    /// From now on, its disk fails syncs, or does not.
    pub(super) fn fails_syncs(&self, count: u32) {
        self.seat.failing.store(count > 0, Ordering::Relaxed);
        self.disk().fail_syncs(count);
    }
}

impl Common {
    fn security(&self, node: u64) -> Security {
        if self.plan.settings.sealed == 0 {
            return Security::Insecure;
        }
        let ring = KeyRing::of(self.secret.clone());
        Security::Sealed { pair: self.pairs[&node].clone(), ring }
    }

    fn config(&self, node: u64, start: Start) -> Config {
        let settings = &self.plan.settings;
        let place = &self.plan.places[usize::try_from(node - 1).expect("a few")];
        // Who comes in later, or again, is told of all.
        let topology = match start {
            Start::Bootstrap => &self.founding,
            Start::Join => &self.topology,
        };
        let ticks = |value: u64| u32::try_from(value).expect("bounded by the settings");
        Config {
            listen: (place.listens == 1).then(|| Listen::Address(address(node))),
            start,
            tick: Duration::from_micros(place.real(settings.tick)),
            election_ticks: ticks(settings.election_ticks),
            heartbeat_ticks: ticks(settings.heartbeat_ticks),
            segment_bytes: settings.segment_bytes,
            command_bytes_max: 1 << 9,
            snapshot_entries: settings.snapshot_entries,
            snapshot_chunk_bytes: settings.snapshot_chunk_bytes,
            request_timeout: Duration::from_micros(settings.request_timeout),
            session_secrets: Some(KeyRing::of(self.secret.clone())),
            ..Config::new("simulated", node, topology.clone(), self.security(node))
        }
    }
}

impl Seat {
    pub(super) fn disk(&self) -> SimDisk {
        self.disk.lock().expect("nobody panicked").clone()
    }

    fn running(&self) -> Option<Node<Register>> {
        self.running.lock().expect("nobody panicked").clone()
    }

    pub(super) fn edges(&self) -> Edges {
        Edges {
            disk: match self.storage {
                StorageKind::Disk => self.disk().attach(),
                StorageKind::Memory => Arc::new(MemoryDisk::new()),
            },
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(Seeded(Arc::clone(&self.random))),
            network: self.common.net.port(self.node),
        }
    }

    /// What it says of itself when it joins: it knows nobody.
    pub(super) fn config_to_join(&self) -> Config {
        let mut config = self.common.config(self.node, Start::Join);
        config.topology.members.retain(|member| member.id == self.node);
        config.topology.links.clear();
        let own = config.topology.members[0].island.clone();
        config.topology.islands.retain(|island| island.name == own);
        config
    }

    pub(super) async fn open(&self, edges: Edges) -> Result<Node<Register>, OpenError> {
        let Self { node, common, .. } = self;
        let open = |start| {
            let mut config = common.config(*node, start);
            if let Some(told) = &*self.told.lock().expect("nobody panicked") {
                config.topology.clone_from(told);
            }
            Node::open_with(config, edges.clone(), Register::default())
        };
        if !self.founds.load(Ordering::Relaxed) {
            return open(Start::Join).await;
        }
        // As an operator would: it forms the cluster unless its storage is part of one already.
        match open(Start::Bootstrap).await {
            Err(OpenError::Storage(_)) => open(Start::Join).await,
            opened => opened,
        }
    }

    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        self.random.lock().expect("nobody panicked").between(low, high)
    }

    /// Waits as a service manager does before it tries again.
    pub(super) async fn pause(&self) {
        sleep(Duration::from_millis(self.between(50, 500))).await;
    }
}

/// A disk's job takes its time, on the machine that asked for it: a machine that is switched off
/// finishes nothing.
fn runner((low, high): (u64, u64), random: Random) -> Runner {
    let random = Mutex::new(random);
    Arc::new(move |job| {
        let micros = random.lock().expect("nobody panicked").between(low, high);
        tokio::task::spawn(async move {
            sleep(Duration::from_micros(micros)).await;
            job();
        });
    })
}

struct Seeded(Arc<Mutex<Random>>);

impl Entropy for Seeded {
    fn draw(&self) -> u64 {
        self.0.lock().expect("nobody panicked").next()
    }
}
