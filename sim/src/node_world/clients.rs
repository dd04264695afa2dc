//! Clients of the simulated cluster: a `Client` changes numbers and reads them, and repeats what
//! was not answered under its key, until it is; `Saw` holds what they all saw, for the checkers.

use super::findings::{any_broken, broken, happened};
use super::machine::{Change, Command, Register};
use super::member::Member;
use crate::checkers::linearizable::{Handle, History, What};
use holm::{Error, Index, ProposeOptions};
use madsim::rand::{Rng, thread_rng};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::sleep;

/// So many numbers are only added to, and as many are only put.
const COUNTERS: u64 = 2;
const REGISTERS: u64 = 2;
/// The client that has sessions.
pub(super) const SESSIONS: u64 = 3;
/// The most operations of one client.
const OPERATIONS_MAX: u64 = 60;

/// What all clients share.
pub(super) struct Saw {
    pub(super) history: RefCell<History>,
    /// What was added to each counter, each once.
    added: RefCell<BTreeMap<u64, u64>>,
    /// How many commands there were.
    commands: Cell<u64>,
    /// How many more there may have been.
    uncertain: Cell<u64>,
    /// Whether clients begin anything more.
    pub(super) enough: Cell<bool>,
}

/// A session, and at which member.
type Session = (u64, holm::Client<Register>);

/// Someone who asks, one thing after the other.
pub(super) struct Client {
    name: u64,
    members: Rc<Vec<Member>>,
    saw: Rc<Saw>,
    pause_ms: u64,
    /// Up to which index it has seen the state.
    seen: Cell<u64>,
}

impl Saw {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            history: RefCell::default(),
            added: RefCell::default(),
            commands: Cell::new(0),
            uncertain: Cell::new(0),
            enough: Cell::new(false),
        })
    }

    /// How many commands were answered.
    pub(super) fn commands(&self) -> u64 {
        self.commands.get()
    }

    /// How many more may have taken effect.
    pub(super) fn uncertain(&self) -> u64 {
        self.uncertain.get()
    }

    /// What each counter ought to be now that nothing is under way.
    pub(super) fn sums(&self) -> BTreeMap<u64, u64> {
        self.added.borrow().clone()
    }
}

impl Client {
    pub(super) fn new(name: u64, members: &Rc<Vec<Member>>, saw: &Rc<Saw>, pause_ms: u64) -> Self {
        let (members, saw) = (Rc::clone(members), Rc::clone(saw));
        Self { name, members, saw, pause_ms, seen: Cell::new(0) }
    }

    /// Asks until it is enough, and everything is answered: under keys, or in sessions.
    pub(super) async fn run(self) {
        let mut session = None;
        for number in 0..OPERATIONS_MAX {
            sleep(Duration::from_millis(thread_rng().gen_range(0..self.pause_ms))).await;
            if self.saw.enough.get() || any_broken() {
                return;
            }
            if thread_rng().gen_bool(0.3) {
                self.read().await;
            } else if self.name == SESSIONS {
                session = self.put_in_session(number, session).await;
            } else {
                self.change(number).await;
            }
        }
    }

    async fn change(&self, number: u64) {
        let name = thread_rng().gen_range(0..COUNTERS + REGISTERS);
        let value = thread_rng().gen_range(1..100);
        let change = if name < COUNTERS { Change::Add(value) } else { Change::Put(value) };
        let ballast = vec![7; thread_rng().gen_range(0..100)];
        let command = Command { client: self.name, number, name, change, ballast };
        let key = format!("client {} command {number}", self.name);
        let handle = self.begins(name, change.what());
        while !any_broken() {
            let member = self.any_member();
            if let Some(node) = member.running() {
                let options = ProposeOptions { key: Some(key.clone().into()), timeout: None };
                match node.propose_with(command.clone(), options).await {
                    Ok(applied) => {
                        let reply = applied.reply;
                        tracing::info!(client = self.name, number, name, reply, "changed");
                        self.ends(handle, reply);
                        self.saw.commands.set(self.saw.commands.get() + 1);
                        if let Change::Add(value) = change {
                            *self.saw.added.borrow_mut().entry(name).or_default() += value;
                        }
                        return;
                    }
                    Err(error) => self.expected(member.node, &error),
                }
            }
            sleep(Duration::from_millis(thread_rng().gen_range(1..100))).await;
        }
    }

    /// Puts a number once in a session, which goes on until an answer is missing.
    async fn put_in_session(&self, number: u64, session: Option<Session>) -> Option<Session> {
        let name = thread_rng().gen_range(COUNTERS..COUNTERS + REGISTERS);
        let change = Change::Put(thread_rng().gen_range(1..100));
        let command = Command { client: self.name, number, name, change, ballast: Vec::new() };
        let (member, client) = match session {
            Some(session) => session,
            None => {
                let member = self.any_member();
                (member.node, member.running()?.client())
            }
        };
        let handle = self.begins(name, change.what());
        match client.propose(command).await {
            Ok(applied) => {
                let reply = applied.reply;
                tracing::info!(client = self.name, number, name, reply, "put in a session");
                happened("commands in sessions");
                self.ends(handle, reply);
                self.saw.commands.set(self.saw.commands.get() + 1);
                Some((member, client))
            }
            Err(error) => {
                self.expected(member, &error);
                if matches!(error, Error::Unknown { .. } | Error::Stopped { .. }) {
                    self.saw.uncertain.set(self.saw.uncertain.get() + 1);
                }
                None
            }
        }
    }

    /// Reads a member's own state from where it was seen last, anywhere.
    async fn read_on(&self) {
        let member = self.any_member();
        let Some(node) = member.running() else { return };
        let from = self.seen.get();
        match node.read_from(Index(from), Register::applied).await {
            Ok(seen) if seen.index.0 < from => {
                let says = format!("a read from {from} saw the state at {}", seen.index);
                broken("reads from an index", says);
            }
            Ok(seen) => {
                happened("reads from an index");
                self.seen.set(seen.index.0);
            }
            Err(error) => self.expected(member.node, &error),
        }
    }

    async fn read(&self) {
        if thread_rng().gen_bool(0.2) {
            return self.read_on().await;
        }
        let name = thread_rng().gen_range(0..COUNTERS + REGISTERS);
        let member = self.any_member();
        let Some(node) = member.running() else { return };
        let handle = self.begins(name, What::Read);
        let look = move |register: &Register| register.number(name);
        let read = if thread_rng().gen_bool(0.5) {
            node.read(look).await
        } else {
            happened("reads by lease");
            node.read_lease(look).await
        };
        match read {
            Ok(value) => {
                tracing::info!(client = self.name, member = member.node, name, value, "read");
                self.ends(handle, value);
            }
            Err(error) => self.expected(member.node, &error),
        }
    }

    fn begins(&self, name: u64, what: What) -> Handle {
        self.saw.history.borrow_mut().begin(name, what)
    }

    fn ends(&self, handle: Handle, answer: u64) {
        self.saw.history.borrow_mut().end(handle, answer);
    }

    fn any_member(&self) -> &Member {
        &self.members[thread_rng().gen_range(0..self.members.len())]
    }

    fn expected(&self, member: u64, error: &Error) {
        match error {
            Error::Unavailable { .. }
            | Error::Unknown { .. }
            | Error::Stopped { .. }
            | Error::Busy { .. }
            | Error::DiskFull => {
                tracing::info!(client = self.name, member, %error, "not answered");
            }
            other => broken("expected errors", format!("member {member} answered with {other}")),
        }
    }
}
