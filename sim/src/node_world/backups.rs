//! Backups of the simulated cluster: any member that runs is backed up in the middle of it all, and
//! the backup restored as a cluster of one member beside the others. Invariants: what is restored
//! is what the committed commands up to the backup's index lead to, and these alone (the replicas
//! compare their sums, in `machine.rs`); and a command that is asked for again there under its key
//! is answered as it was, and has no effect.

use super::clients::{Client, Saw};
use super::clock::Skewed;
use super::findings::{any_broken, broken, happened};
use super::machine::{Command, Register};
use super::plan::Place;
use holm::topology::{Island, Member, Topology};
use holm::{
    Answer, Applied, Backup, Clock, Config, Consistency, Edges, Entropy, Listener, Network, Node,
    ProposeOptions, ReadOptions, Security, Stream,
};
use holm_wal::MemoryDisk;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "backups are what they say";
const RETRIES: &str = "backups keep what is remembered of keys";

/// The number of the member that a backup is restored as. Its lines are not those of the cluster.
pub(super) const RESTORED: u64 = 1_000;

/// A command that was answered, and under which key if it had one.
#[derive(Clone)]
pub(super) struct Answered {
    pub(super) command: Command,
    pub(super) key: Option<String>,
    pub(super) applied: Applied<u64>,
}

std::thread_local! {
    /// What was restored, and from a backup of which index.
    static TAKEN: RefCell<Vec<(u64, Register)>> = RefCell::default();
}

impl Client {
    /// Backs a member up and restores that.
    pub(super) async fn back_up(&self, at: u64) {
        let member = self.member(at);
        let Some(node) = member.running() else { return };
        let op = self.begins("back-up", 0, 0, at);
        let consistency =
            if self.draw() % 2 == 0 { Consistency::Local } else { Consistency::Linearizable };
        match node.backup(ReadOptions { consistency, timeout: None }).await {
            Ok(backup) => {
                happened("backups taken");
                let index = backup.index().0;
                self.ends(op, index);
                let asked = self.saw().asked_again(index, self.draw());
                restores(&backup, asked, self.draw()).await;
            }
            Err(error) => self.expected(member.node, &error),
        }
    }
}

impl Saw {
    /// One of the commands with a key that were answered up to this index.
    fn asked_again(&self, index: u64, draw: u64) -> Option<Answered> {
        let answers = self.answers.borrow();
        let within = |it: &&Answered| it.key.is_some() && it.applied.index.0 <= index;
        let within: Vec<&Answered> = answers.iter().filter(within).collect();
        let count = u64::try_from(within.len()).expect("a few").max(1);
        within.get(usize::try_from(draw % count).expect("a few")).copied().cloned()
    }
}

async fn restores(backup: &Backup, asked: Option<Answered>, draw: u64) {
    let edges = edges(draw);
    let members = [(alone(), edges.clone())];
    if let Err(error) = holm::restore(backup, "simulated", &members).await {
        return broken(NAME, format!("it can't be restored: {error}"));
    }
    let node = match Node::open_with(alone(), edges, Register::default()).await {
        Ok(node) => node,
        Err(error) => return broken(NAME, format!("what is restored can't be opened: {error}")),
    };
    match node.read(Register::clone).await {
        Ok(state) => TAKEN.with_borrow_mut(|taken| taken.push((backup.index().0, state))),
        Err(error) => broken(NAME, format!("what is restored serves no read: {error}")),
    }
    if let Some(Answered { command, key: Some(key), applied }) = asked {
        let options = ProposeOptions { key: Some(key.into()), timeout: None };
        let told = node.propose_with(command, options).await;
        if told.as_ref() == Ok(&applied) {
            happened("commands asked for again of a backup");
        } else {
            broken(RETRIES, format!("{told:?} where {applied:?} was answered"));
        }
    }
    node.shutdown().await;
}

/// A cluster of one member, in memory.
fn alone() -> Config {
    let name = "island".to_owned();
    let topology = Topology {
        islands: vec![Island { name: name.clone() }],
        members: vec![Member::new(RESTORED, name, None)],
        links: Vec::new(),
    };
    let config = Config::new("restored", RESTORED, topology, Security::Insecure);
    Config { allow_memory_majority: true, ..config }
}

fn edges(draw: u64) -> Edges {
    let place = Place { island: 1, listens: 0, relays: 0, rate: 1_000_000, ahead: 0 };
    Edges {
        disk: Arc::new(MemoryDisk::new()),
        clock: Arc::new(Skewed::new(&place)) as Arc<dyn Clock>,
        entropy: Arc::new(Counting(AtomicU64::new(draw))),
        network: Arc::new(Nowhere),
    }
}

/// Now that all clients are answered: what was restored has what was answered up to its index, and
/// nothing that was answered behind it.
pub(super) fn conclude(saw: &Saw) {
    for (index, state) in TAKEN.take() {
        for answered in saw.answers.borrow().iter() {
            let Command { client, number, .. } = answered.command;
            let at = answered.applied.index.0;
            if state.has(client, number) != (at <= index) && !any_broken() {
                let says = format!(
                    "command {number} of client {client} is at {at}, and a backup of {index} says \
                     otherwise"
                );
                broken(NAME, says);
            }
        }
    }
}

/// Numbers that never repeat.
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn draw(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// A network on which nobody is.
#[derive(Debug)]
struct Nowhere;

impl Network for Nowhere {
    fn dial(&self, _: &str) -> Answer<'_, Stream> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }

    fn listen(&self, _: &str) -> Answer<'_, Listener> {
        Box::pin(async { Err(io::ErrorKind::AddrNotAvailable.into()) })
    }
}
