//! The network under the members: `Net` carries their connections, and fails them. A `Port` is one
//! member's view of it, and what its node is given as its `holm::Network`.
//!
//! It is Holm's own, since madsim's is kinder than a real one: here a stream stalls for ever, ends
//! for one end alone, is slow, or takes no more bytes; a dial through a cut hangs; and a machine
//! that has lost its power says nothing to those it was connected to. Only dials that the topology
//! allows come through.

mod hosts;
mod link;
mod pipe;
mod relays;
#[cfg(test)]
mod tests;

pub(super) use pipe::Ending;
pub(super) use relays::{Links, Mischief};

use super::findings::happened;
use super::plan::Quality;
use crate::core_world::random::Random;
use holm::topology::Topology;
use holm::{Accept, Answer, Listener, Network, Stream, Transit};
use hosts::Host;
use link::Link;
use pipe::{Connection, half};
use relays::Relays;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{pending, poll_fn};
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// After so long a connection attempt that nobody answered is repeated, as TCP does it.
const SYN_AGAIN: Duration = Duration::from_secs(1);

/// All that is between the members.
#[derive(Clone)]
pub(super) struct Net(Arc<Inner>);

struct Inner {
    topology: Topology,
    state: Mutex<State>,
    relays: Relays,
}

/// What changes.
struct State {
    random: Random,
    hosts: BTreeMap<u64, Host>,
    links: BTreeMap<(u64, u64), Link>,
    connections: BTreeMap<u64, Connection>,
    /// The name of the next connection.
    next: u64,
}

/// One member's view.
pub(super) struct Port {
    net: Net,
    host: u64,
}

/// What a member listens with.
struct Ear {
    net: Net,
    host: u64,
    life: u64,
}

impl Net {
    /// A network without faults between the members of a topology, of such quality.
    pub(super) fn new(
        topology: &Topology,
        quality: impl Fn(u64, u64) -> Quality,
        (links, mischief): (Links, Mischief),
        seed: u64,
    ) -> Self {
        let ids = || topology.members.iter().map(|member| member.id);
        let pairs = ids().flat_map(|from| ids().map(move |to| (from, to)));
        let qualities = pairs.map(|(from, to)| ((from, to), Link::new(quality(from, to))));
        let state = State {
            random: Random::new(seed, 1),
            hosts: topology.members.iter().map(|member| (member.id, Host::new())).collect(),
            links: qualities.collect(),
            connections: BTreeMap::new(),
            next: 0,
        };
        let relays = Relays::new(links, mischief, Random::new(seed, 2));
        let (topology, state) = (topology.clone(), Mutex::new(state));
        Self(Arc::new(Inner { topology, state, relays }))
    }

    /// A member's view of it.
    pub(super) fn port(&self, host: u64) -> Arc<dyn Network> {
        Arc::new(Port { net: self.clone(), host })
    }

    /// Those that misbehave.
    pub(super) fn relays(&self) -> &Relays {
        &self.0.relays
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nobody panicked")
    }

    /// How long the next bytes take from one member to another.
    fn latency(&self, from: u64, to: u64) -> Duration {
        let state = &mut *self.state();
        state.links[&(from, to)].latency(&mut state.random)
    }

    async fn dial(&self, from: u64, address: &str) -> std::io::Result<Stream> {
        let Some(to) = self.host_at(address) else {
            return Err(Error::new(ErrorKind::NotFound, format!("nobody is at {address}")));
        };
        if !self.0.topology.may_dial(from, to) {
            // A firewall that drops: the dialling end never learns why.
            pending::<()>().await;
        }
        loop {
            sleep(self.latency(from, to)).await;
            if self.state().answers(from, to) {
                break;
            }
            happened("connection attempts that nobody answered");
            sleep(SYN_AGAIN).await;
        }
        let made = self.connect(from, to);
        sleep(self.latency(to, from)).await;
        made
    }

    /// Connects two members, of whom the one listens.
    fn connect(&self, from: u64, to: u64) -> std::io::Result<Stream> {
        let mut state = self.state();
        let Some(life) = state.hosts[&to].listening() else {
            return Err(ErrorKind::ConnectionRefused.into());
        };
        let name = state.next;
        state.next += 1;
        let lives = [state.hosts[&from].life, life];
        state.connections.insert(name, Connection::new([from, to], lives, Instant::now()));
        let end = |side, peer: u64| {
            let (reader, writer) = half(self.clone(), name, side);
            Stream { reader: Box::new(reader), writer: Box::new(writer), from: ip(peer) }
        };
        state.hosts.get_mut(&to).expect("looked at above").arrives(end(1, from));
        Ok(end(0, to))
    }

    fn host_at(&self, address: &str) -> Option<u64> {
        let members = &self.0.topology.members;
        members.iter().find(|member| member.address.as_deref() == Some(address)).map(|m| m.id)
    }
}

fn ip(host: u64) -> String {
    format!("10.0.0.{host}")
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.host)
    }
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ear({})", self.host)
    }
}

impl Network for Port {
    fn dial(&self, address: &str) -> Answer<'_, Stream> {
        let address = address.to_owned();
        Box::pin(async move { self.net.dial(self.host, &address).await })
    }

    fn listen(&self, address: &str) -> Answer<'_, Listener> {
        assert_eq!(self.net.host_at(address), Some(self.host), "each listens on its own address");
        let (net, host) = (self.net.clone(), self.host);
        let listens = net.state().hosts.get_mut(&host).expect("a member").listens();
        Box::pin(async move {
            let life = listens?;
            let listener: Listener = Box::new(Ear { net, host, life });
            Ok(listener)
        })
    }

    fn pass_on(&self, frame: Transit, on: &mut dyn FnMut(Transit)) {
        self.net.0.relays.pass_on(self.host, frame, on);
    }
}

impl Accept for Ear {
    fn accept(&mut self) -> Answer<'_, Stream> {
        let accept = poll_fn(|context| {
            let mut state = self.net.state();
            match state.hosts.get_mut(&self.host).expect("a member").accept(context) {
                Some(stream) => Poll::Ready(Ok(stream)),
                None => Poll::Pending,
            }
        });
        Box::pin(accept)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.net.state();
            state.hosts.get_mut(&self.host).expect("a member").deaf(self.life)
        };
        // Closes them, for which the state is needed.
        drop(waiting);
    }
}
