//! Three members of a ledger in one process, their logs in directories: money moves through all of
//! them and snapshots are taken; all are stopped and opened again, and nothing is lost or doubled.

use embed::{Command, Ledger, Reply};
use holm::topology::Topology;
use holm::{Config, Listen, Node, Start, Stop, Storage};
use std::path::Path;

const ACCOUNTS: u64 = 10;
const DEPOSIT: u64 = 1_000;
const TRANSFERS: u64 = 200;

/// What a program says of one of its members.
fn configured(mut config: Config, folder: &Path) -> Config {
    config.storage = Storage::Disk(folder.join(format!("member-{}", config.node)));
    // So that there are some, though few commands come.
    config.snapshot_entries = 40;
    config
}

async fn open(configs: impl IntoIterator<Item = Config>) -> Vec<Node<Ledger>> {
    let mut nodes = Vec::new();
    for config in configs {
        nodes.push(Node::open(config, Ledger::default()).await.expect("opened"));
    }
    nodes
}

/// The same members again, where the others look for them.
fn again(topology: &Topology, folder: &Path) -> Vec<Config> {
    let config = |member: &holm::topology::Member| {
        let security = holm::Security::Insecure;
        let config = Config::new("local", member.id, topology.clone(), security);
        let listen = member.address.clone().map(Listen::Address);
        configured(Config { listen, start: Start::Join, ..config }, folder)
    };
    topology.members.iter().map(config).collect()
}

fn account(number: u64) -> String {
    format!("account-{}", number % ACCOUNTS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_moves_through_three_members_is_all_there_after_they_were_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let configs = Config::local_cluster(3).await.expect("free ports");
    let topology = configs[0].topology.clone();
    let nodes = open(configs.into_iter().map(|config| configured(config, folder.path()))).await;

    // A client of each member: its commands are safe to repeat, and it does so by itself.
    let clients: Vec<_> = nodes.iter().map(Node::client).collect();
    for number in 0..ACCOUNTS {
        let deposit = Command::Deposit { account: account(number), cents: DEPOSIT };
        let done = clients[0].propose(deposit).await.expect("deposited");
        assert_eq!(done.reply, Reply::Done { balance: DEPOSIT });
    }
    for (number, client) in (0..TRANSFERS).zip(clients.iter().cycle()) {
        let (from, to) = (account(number), account(number * 7 + 3));
        let transfer = Command::Transfer { from, to, cents: number };
        let reply = client.propose(transfer).await.expect("answered").reply;
        assert!(matches!(reply, Reply::Done { .. } | Reply::NotEnough { .. }), "{reply:?}");
    }
    let missing = Command::Transfer { from: "nobody".into(), to: account(1), cents: 1 };
    let refused = nodes[1].propose(missing).await.expect("a refusal is an answer");
    assert_eq!(refused.reply, Reply::NoSuchAccount);

    // Any member shows what was answered before, on whichever.
    let before = nodes[2].read(Ledger::clone).await.expect("read");
    assert_eq!(before.total(), u128::from(ACCOUNTS * DEPOSIT));
    for node in &nodes {
        let mut status = node.status();
        let taken = status.wait_for(|status| status.snapshot >= 160).await;
        taken.expect("it runs, and takes snapshots");
    }
    drop(clients);
    for node in nodes {
        assert_eq!(node.shutdown().await, Stop::Shutdown);
    }

    let nodes = open(again(&topology, folder.path())).await;
    for node in &nodes {
        assert_eq!(node.read(Ledger::clone).await.expect("read"), before);
    }
    let deposit = Command::Deposit { account: account(0), cents: 1 };
    nodes[0].client().propose(deposit).await.expect("it goes on");
}
