//! A member of openraft 0.10 over the thinnest file log, network and state that are honest: what is
//! acknowledged is durable on a majority. Clients are tasks of the process, or connect over TCP.

mod log;
mod machine;
mod network;
mod serve;

use crate::load::{Client, Load, VALUE_BYTES, Work, key};
use crate::member::{MemberArgs, leads, obey};
use ::openraft::async_runtime::WatchReceiver;
use ::openraft::raft::linearizable_read::LinearizerOption;
use ::openraft::{BasicNode, Config, SnapshotPolicy};
use log::FileLog;
use machine::Machine;
use network::Network;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

::openraft::declare_raft_types!(
    /// What openraft is used with: the rest is its default.
    pub(crate) Types: D = Request, R = Reply
);

pub(crate) use network::Framed;
pub(crate) use serve::{Given, Wanted};

pub(crate) type Raft = ::openraft::Raft<Types, Machine>;

/// What may be proposed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Add { name: String, by: i64 },
    Put { key: String, value: Vec<u8> },
}

/// A counter's value, or a change's revision.
pub(crate) type Reply = u64;

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

pub(crate) async fn run(args: &MemberArgs) -> Result<(), String> {
    let config = Config {
        // As Holm's, by default: 150 to 300 ms, a heartbeat each 30.
        election_timeout_min: 150,
        election_timeout_max: 300,
        heartbeat_interval: 30,
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    let config = Arc::new(config.validate().map_err(|error| error.to_string())?);
    let log = FileLog::create(&args.dir).map_err(|error| error.to_string())?;
    let machine = Machine::default();
    let raft = Raft::new(args.id, config, Network, log, machine.clone());
    let raft = raft.await.map_err(|error| error.to_string())?;
    serve::members(raft.clone(), &args.address(args.id)).await.map_err(|e| e.to_string())?;
    let clients_at = format!("127.0.0.1:{}", args.clients);
    let served = serve::clients(raft.clone(), machine.clone(), &clients_at).await;
    served.map_err(|error| error.to_string())?;
    if args.id == 1 {
        // The others need not listen yet: it is tried until they do.
        let node = |id| (id, BasicNode::new(args.address(id)));
        let members: BTreeMap<u64, BasicNode> = args.ids().map(node).collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        raft.initialize(members).await.map_err(|error| error.to_string())?;
    }
    let mut metrics = raft.metrics();
    tokio::spawn(async move {
        let mut known = None;
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if leader != known {
                known = leader;
                leads(leader.unwrap_or(0));
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    });
    obey(|load| clients(&raft, &machine, load)).await
}

/// Waits for a round to a majority that begins now; from then on the own state may be read.
pub(crate) async fn confirm(raft: &Raft) -> bool {
    let by_round = LinearizerOption::new(Some(Duration::ZERO), true);
    raft.ensure_linearizable(by_round).await.is_ok()
}

struct Task {
    raft: Raft,
    machine: Machine,
    work: Work,
    client: usize,
}

fn clients(raft: &Raft, machine: &Machine, load: Load) -> Vec<Task> {
    let task =
        |client| Task { raft: raft.clone(), machine: machine.clone(), work: load.work, client };
    (0..load.clients).map(task).collect()
}

impl Client for Task {
    async fn ask(&mut self, number: u64) -> bool {
        let key = key(self.client, number);
        let request = match self.work {
            Work::Add => Request::Add { name: "bench".into(), by: 1 },
            Work::Put => Request::Put { key, value: vec![7; VALUE_BYTES] },
            Work::Read => {
                let confirmed = confirm(&self.raft).await;
                self.machine.value(&key);
                return confirmed;
            }
        };
        self.raft.client_write(request).await.is_ok()
    }
}
