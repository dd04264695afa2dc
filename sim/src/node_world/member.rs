//! A member of the simulated cluster: `Member` is its machine, which outlives its process.

use holm::store::Store;
use holm::topology::Topology;
use holm::{Clock, Config, Edges, Entropy, Listen, Node, OpenError, Security, Start};
use holm_wal::{Runner, SimDisk};
use madsim::rand::{Rng, thread_rng};
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// A machine with a disk, on which a node runs from time to time.
pub(super) struct Member {
    pub(super) node: u64,
    machine: NodeHandle,
    disk: SimDisk,
    /// The node that runs now, or ran last.
    running: Arc<Mutex<Option<Node<Store>>>>,
}

/// Where a member accepts the others.
pub(super) fn address(node: u64) -> String {
    format!("10.0.0.{node}:7600")
}

impl Member {
    /// Makes the machine and starts a node on it, which forms the cluster with the others.
    pub(super) fn start(node: u64, topology: &Topology) -> Self {
        let running = Arc::new(Mutex::new(None));
        let disk = SimDisk::new(thread_rng().r#gen(), runner());
        let (started, topology, attached) = (Arc::clone(&running), topology.clone(), disk.clone());
        let machine = Handle::current()
            .create_node()
            .name(format!("member {node}"))
            .ip(format!("10.0.0.{node}").parse().expect("an address"))
            .init(move || {
                let (running, disk) = (Arc::clone(&started), attached.clone());
                serve(node, topology.clone(), disk, running)
            })
            .build();
        Self { node, machine, disk, running }
    }

    pub(super) fn id(&self) -> NodeId {
        self.machine.id()
    }

    /// What was not synced is lost, in whole or in part.
    pub(super) fn power_cut(&self) {
        *self.running.lock().expect("nobody panicked") = None;
        self.disk.power_cut();
    }

    /// No file fits on the disk any more.
    pub(super) fn fill(&self) {
        self.disk.set_capacity(0);
    }

    /// There is room again.
    pub(super) fn make_room(&self) {
        self.disk.set_capacity(u64::MAX);
    }

    /// The disk hangs.
    pub(super) fn stall(&self) {
        self.disk.stall();
    }

    /// It does all that it was asked to meanwhile.
    pub(super) fn resume(&self) {
        self.disk.resume();
    }

    /// The node that runs on this machine, if one does.
    pub(super) fn running(&self) -> Option<Node<Store>> {
        self.running.lock().expect("nobody panicked").clone()
    }

    /// This member's own value of a counter, once it has applied all that is committed.
    pub(super) async fn counter_at_last(&self, name: &'static str) -> i64 {
        loop {
            if let Some(node) = self.running()
                && node.read(|_| ()).await.is_ok()
                && let Ok(seen) = node.read_local(move |store| store.counter(name)).await
            {
                return seen.value;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn config(node: u64, topology: Topology, start: Start) -> Config {
    Config {
        listen: Some(Listen::Address(address(node))),
        start,
        // Small enough for the log to need new files while a disk is full.
        segment_bytes: 9 << 9,
        command_bytes_max: 1 << 9,
        snapshot_entries: 8,
        snapshot_chunk_bytes: 100,
        request_timeout: Duration::from_secs(2),
        ..Config::new("simulated", node, topology, Security::Insecure)
    }
}

/// What the machine does when it is switched on: as an operator would, it forms the cluster unless
/// its storage is part of one already.
async fn serve(
    node: u64,
    topology: Topology,
    disk: SimDisk,
    running: Arc<Mutex<Option<Node<Store>>>>,
) {
    let edges = Edges {
        disk: disk.attach(),
        clock: Arc::new(Virtual),
        entropy: Arc::new(Seeded),
        network: holm::Tcp::shared(),
    };
    let open = |start| {
        let config = config(node, topology.clone(), start);
        Node::open_with(config, edges.clone(), Store::default())
    };
    let opened = match open(Start::Bootstrap).await {
        Err(OpenError::Storage(_)) => open(Start::Join).await,
        opened => opened,
    };
    let opened = opened.expect("what a power cut leaves can be opened");
    *running.lock().expect("nobody panicked") = Some(opened.clone());
    let stop = opened.stopped().await;
    panic!("member {node} stopped by itself: {stop}");
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

struct Virtual;

impl Clock for Virtual {
    fn now(&self) -> u64 {
        super::trace::now()
    }
}

struct Seeded;

impl Entropy for Seeded {
    fn draw(&self) -> u64 {
        thread_rng().r#gen()
    }
}
