//! A member of Holm, embedded: its clients are tasks of the same process, and propose and read on
//! this member, whether it leads or not.

use super::{MemberArgs, leads, obey};
use crate::load::{Client, Load, VALUE_BYTES, Work, key};
use bytes::Bytes;
use holm::store::{Command, Store};
use holm::topology::{Island, Member, Topology};
use holm::{Config, KeyPair, KeyRing, Listen, Node, Secret, Security, Start, Storage};

pub(crate) async fn run(args: &MemberArgs) -> Result<(), String> {
    let mut topology = Topology::default();
    topology.islands.push(Island { name: "loopback".into() });
    for id in args.ids() {
        let mut member = Member::new(id, "loopback", Some(args.address(id)));
        member.key = args.sealed.then(|| pair(id).public());
        topology.members.push(member);
    }
    let security = if args.sealed {
        let secret = Secret::generate(&mut |bytes| bytes.fill(7));
        Security::Sealed { pair: pair(args.id), ring: KeyRing::of(secret) }
    } else {
        Security::Insecure
    };
    let mut config = Config::new("bench", args.id, topology, security);
    config.listen = Some(Listen::Address(args.address(args.id)));
    config.start = if args.again { Start::Join } else { Start::Bootstrap };
    config.allow_memory_majority = args.memory;
    if !args.memory {
        config.storage = Storage::Disk(args.dir.join("data"));
    }
    if args.no_snapshots {
        (config.snapshot_entries, config.snapshot_log_bytes) = (u64::MAX, u64::MAX);
    }
    let node = Node::open(config, Store::default()).await.map_err(|error| error.to_string())?;
    let mut status = node.status();
    tokio::spawn(async move {
        let mut known = None;
        loop {
            let leader = status.borrow_and_update().leader;
            if leader != known {
                known = leader;
                leads(leader.unwrap_or(0));
            }
            if status.changed().await.is_err() {
                return;
            }
        }
    });
    let stopped = node.clone();
    tokio::select! {
        done = obey(|load| clients(&node, load)) => done,
        stop = stopped.stopped() => Err(format!("the member stopped: {stop}")),
    }
}

/// A key that nobody should have, but that all members know of each other.
fn pair(id: u64) -> KeyPair {
    KeyPair::generate(&mut |bytes| bytes.fill(u8::try_from(id).unwrap_or(0)))
}

struct Task {
    node: Node<Store>,
    work: Work,
    client: usize,
}

fn clients(node: &Node<Store>, load: Load) -> Vec<Task> {
    (0..load.clients).map(|client| Task { node: node.clone(), work: load.work, client }).collect()
}

impl Client for Task {
    async fn ask(&mut self, number: u64) -> bool {
        let key = key(self.client, number);
        match self.work {
            Work::Add => {
                let command = Command::Add { name: "bench".into(), by: 1 };
                self.node.propose(command).await.is_ok()
            }
            Work::Put => {
                let value = Bytes::from_static(&[7; VALUE_BYTES]);
                self.node.propose(Command::Put { key, value, expect: None }).await.is_ok()
            }
            Work::Read => {
                let read =
                    self.node.read(move |store| store.key(&key).map(|found| found.value.clone()));
                read.await.is_ok()
            }
        }
    }
}
