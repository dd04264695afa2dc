//! Clients: each asks for one thing after the other, waits, asks another member when it is refused
//! or hears nothing, under the same number, and remembers what it was told.

use super::guest;
use super::happening::Happening;
use super::machine::{Command, Write};
use super::member::Answer;
use super::network::index;
use super::{Due, World};
use crate::checkers::fresh_reads::By;
use crate::checkers::linearizable::{Handle, What as Does};
use crate::trace::What;
use holm_raft_core::{Event, Index, RequestNumber};
use std::collections::{BTreeMap, VecDeque};

/// How long a client waits for an answer, and before it asks again, in microseconds.
const PATIENCE: u64 = 500_000;
const BACKOFF: u64 = 30_000;

/// All clients.
#[derive(Default)]
pub(super) struct Clients {
    clients: BTreeMap<u64, Client>,
    operations: u64,
    /// Counts all requests, and says who waits for which.
    requests: u64,
    asking: BTreeMap<u64, u64>,
}

#[derive(Default)]
struct Client {
    waiting: VecDeque<Happening>,
    current: Option<Current>,
    /// Who answered it when others did not.
    prefers: Option<usize>,
    /// Counts its commands.
    commands: u64,
}

/// What a client waits for.
#[derive(Clone, Copy)]
struct Current {
    operation: u64,
    handle: Handle,
    ask: Ask,
    key: u64,
    at: usize,
    request: u64,
    /// Up to where a read has to see.
    asked: Index,
    /// At which event of the run it was asked.
    moment: u64,
    again: u64,
}

#[derive(Clone, Copy)]
enum Ask {
    Write(Command),
    Read(By),
}

impl Clients {
    /// Whether nobody waits for anything.
    pub(super) fn are_idle(&self) -> bool {
        self.clients.values().all(|client| client.current.is_none() && client.waiting.is_empty())
    }

    /// Who waits, in words.
    pub(super) fn waiting(&self) -> String {
        let waits = |(client, state): (&u64, &Client)| {
            let current = state.current?;
            Some(format!("client {client} for operation {}", current.operation))
        };
        self.clients.iter().filter_map(waits).collect::<Vec<_>>().join(", ")
    }
}

impl World {
    /// A client has something to ask for.
    pub(super) fn wish(&mut self, client: u64, wish: Happening) {
        self.clients.clients.entry(client).or_default().waiting.push_back(wish);
        self.next_wish(client);
    }

    fn next_wish(&mut self, client: u64) {
        let clients = &mut self.clients;
        let Some(state) = clients.clients.get_mut(&client) else { return };
        if state.current.is_some() {
            return;
        }
        let Some(wish) = state.waiting.pop_front() else { return };
        let mut write = |what, key, value| {
            state.commands += 1;
            let number = state.commands;
            Ask::Write(Command { client, number, what, key, value })
        };
        let (ask, key, at, does) = match wish {
            Happening::Put { key, value, at, .. } => {
                (write(Write::Put, key, value), key, at, Does::Put(value))
            }
            Happening::AddTo { key, value, at, .. } => {
                (write(Write::Add, key, value), key, at, Does::Add(value))
            }
            Happening::Read { key, at, .. } => (Ask::Read(By::Round), key, at, Does::Read),
            Happening::LeaseRead { key, at, .. } => (Ask::Read(By::Lease), key, at, Does::Read),
            _ => return,
        };
        let at = state.prefers.filter(|_| self.calm).unwrap_or_else(|| index(at));
        clients.operations += 1;
        state.current = Some(Current {
            operation: clients.operations,
            handle: self.checkers.history.begin(key, does),
            ask,
            key,
            at,
            request: 0,
            asked: Index(0),
            moment: 0,
            again: 0,
        });
        self.ask(client);
    }

    /// A client asks for what it wants, the first time or again.
    fn ask(&mut self, client: u64) {
        let fresh = self.checkers.fresh_reads.now();
        let clients = &mut self.clients;
        let Some(state) = clients.clients.get_mut(&client) else { return };
        let Some(current) = &mut state.current else { return };
        clients.requests += 1;
        clients.asking.remove(&current.request);
        clients.asking.insert(clients.requests, client);
        (current.request, current.asked) = (clients.requests, fresh);
        current.moment = self.events;
        let Current { operation, ask, key, at, request, again, .. } = *current;
        current.again += 1;
        let (what, value) = match ask {
            Ask::Write(command) if command.what == Write::Put => ("put", command.value),
            Ask::Write(command) => ("add", command.value),
            Ask::Read(By::Round) => ("read", 0),
            Ask::Read(By::Lease) => ("lease-read", 0),
        };
        let node = at as u64 + 1;
        self.trace.say(self.now, || What::Asks {
            op: operation,
            client,
            what,
            key,
            value,
            at: node,
            again,
        });
        self.plan_after(PATIENCE, Due::TimeOut(client, request));
        if !self.members[at].is_up() {
            return;
        }
        let number = RequestNumber(request);
        let event = match ask {
            Ask::Write(command) => {
                match guest::encode(&command, self.plan.settings.padding, self.host.as_deref()) {
                    Ok(data) => Event::Propose { number, data },
                    Err(violation) => return self.broken(violation),
                }
            }
            Ask::Read(By::Round) => Event::Read { number },
            Ask::Read(By::Lease) => {
                Event::ReadByLease { number, now: self.members[at].clock.millis(self.now) }
            }
        };
        self.handle(at, event);
    }

    pub(super) fn time_out(&mut self, client: u64, request: u64) {
        let Some(current) = self.current(client, request) else { return };
        let at = current.at;
        let number = RequestNumber(request);
        if self.members[at].is_up() {
            self.handle(at, Event::Forget { number });
        }
        self.retry(client, request);
    }

    /// A client asks the next member.
    pub(super) fn retry(&mut self, client: u64, request: u64) {
        let count = self.members.len();
        let Some(current) = self.current(client, request) else { return };
        current.at = (current.at + 1) % count;
        self.ask(client);
    }

    /// A number for what no client asks.
    pub(super) const fn unasked(&mut self) -> RequestNumber {
        self.clients.requests += 1;
        RequestNumber(self.clients.requests)
    }

    fn current(&mut self, client: u64, request: u64) -> Option<&mut Current> {
        let current = self.clients.clients.get_mut(&client)?.current.as_mut()?;
        (current.request == request).then_some(current)
    }

    /// A member has applied a command: if its client waits at that member, it is told.
    pub(super) fn command_applied(&mut self, at: usize, command: &Command, reply: u64) {
        let Some(client) = self.clients.clients.get(&command.client) else { return };
        let Some(current) = client.current else { return };
        let Ask::Write(asked) = current.ask else { return };
        if current.at != at || asked.number != command.number {
            return;
        }
        if let Err(violation) = self.checkers.exactly_once.acknowledged(command, reply) {
            self.broken(violation);
        }
        self.told(command.client, current, reply);
    }

    /// A core says that a read may be served, at once or once more is applied. It is judged now, by
    /// the configuration that is in force now: that may change before the read is answered.
    pub(super) fn read_confirmed(&mut self, at: usize, request: RequestNumber) {
        let count = request.0;
        let Some(client) = self.clients.asking.get(&count).copied() else { return };
        let Some(current) = self.current(client, count).copied() else { return };
        let Some(running) = &self.members[at].running else { return };
        let glance = running.raft.glance();
        let me = self.members[at].me;
        let kept = if current.moment == self.events {
            self.checkers.leases.served_at_once(me, &glance)
        } else if glance.role == "leader"
            && matches!(current.ask, Ask::Read(By::Round))
            && !self.checkers.rounds.told(me, request)
        {
            let (leads, asked) = ((me, glance.term), current.moment);
            let (set_at, configuration) = running.raft.configuration_at(glance.last.index);
            let by_the_latest = self.checkers.rounds.served(leads, asked, configuration);
            // Within one turn it may have confirmed it first, and then changed the configuration.
            let before = running.raft.configuration_at(set_at.prev()).1;
            let gathers = self.plan.settings.turn > 0;
            by_the_latest.or_else(|error| {
                if gathers { self.checkers.rounds.served(leads, asked, before) } else { Err(error) }
            })
        } else {
            Ok(())
        };
        if let Err(violation) = kept {
            self.broken(violation);
        }
    }

    pub(super) fn request_answered(&mut self, at: usize, request: RequestNumber, answer: Answer) {
        let count = request.0;
        let Some(client) = self.clients.asking.get(&count).copied() else { return };
        let Some(current) = self.current(client, count).copied() else { return };
        let (Answer::Read { index }, Ask::Read(by)) = (answer, current.ask) else {
            self.plan_after(BACKOFF, Due::Retry(client, count));
            return;
        };
        let Some(running) = &self.members[at].running else { return };
        let value = running.state.machine.read(current.key);
        if let Err(violation) = self.checkers.fresh_reads.served(by, current.asked, index) {
            if by == By::Lease && self.plan.settings.beyond == 1 {
                // What the mode is there to show. The client is never told, so that nothing else
                // is judged by it.
                self.checkers.fresh_reads.stale_leases += 1;
                self.coverage.other("stale lease read");
                self.clients.clients.entry(client).or_default().current = None;
                self.next_wish(client);
                return;
            }
            self.broken(violation);
        }
        self.told(client, current, value);
    }

    fn told(&mut self, client: u64, current: Current, value: u64) {
        self.checkers.history.end(current.handle, value);
        self.clients.asking.remove(&current.request);
        let op = current.operation;
        self.trace.say(self.now, || What::Answered { op, client, value });
        if let Some(state) = self.clients.clients.get_mut(&client) {
            state.current = None;
            let probes = client == super::liveness::PROBE;
            state.prefers = (current.again > 1 && !probes).then_some(current.at).or(state.prefers);
        }
        self.next_wish(client);
    }
}
