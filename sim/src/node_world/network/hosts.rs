//! The machines at the ends of the network: a `Host` is on or off, listens or not, and has a life
//! after the other, each of which ends the connections of the one before.

use super::{Net, State};
use holm::Stream;
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Waker};
use tokio::time::Instant;

/// A machine.
pub(super) struct Host {
    power: Power,
    /// Counts kills and power cuts.
    pub(super) life: u64,
    listening: Option<Backlog>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    Off,
}

/// Connections that nobody has accepted yet.
#[derive(Default)]
struct Backlog {
    waiting: VecDeque<Stream>,
    waker: Option<Waker>,
}

impl Host {
    pub(super) const fn new() -> Self {
        Self { power: Power::On, life: 0, listening: None }
    }

    /// The life of whoever listens there.
    pub(super) fn listening(&self) -> Option<u64> {
        self.listening.as_ref().map(|_| self.life)
    }

    /// Whether a packet to it is answered, if only with a refusal.
    pub(super) fn is_on(&self) -> bool {
        self.power == Power::On
    }

    pub(super) fn listens(&mut self) -> io::Result<u64> {
        if self.listening.is_some() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.listening = Some(Backlog::default());
        Ok(self.life)
    }

    pub(super) fn arrives(&mut self, stream: Stream) {
        if let Some(backlog) = &mut self.listening {
            backlog.waiting.push_back(stream);
            backlog.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn accept(&mut self, context: &Context<'_>) -> Option<Stream> {
        let backlog = self.listening.as_mut()?;
        let stream = backlog.waiting.pop_front();
        if stream.is_none() {
            backlog.waker = Some(context.waker().clone());
        }
        stream
    }

    /// Whoever listened in this life does so no longer. Returns what nobody has accepted.
    pub(super) fn deaf(&mut self, life: u64) -> VecDeque<Stream> {
        let own = self.life == life;
        let backlog = self.listening.take_if(|_| own);
        backlog.map(|backlog| backlog.waiting).unwrap_or_default()
    }

    fn ends(&mut self, power: Power) -> VecDeque<Stream> {
        let waiting = self.deaf(self.life);
        self.life += 1;
        self.power = power;
        waiting
    }
}

impl State {
    /// Whether an attempt to connect is answered at all.
    pub(super) fn answers(&self, from: u64, to: u64) -> bool {
        let cut = |from, to| self.links[&(from, to)].is_cut();
        self.hosts[&to].is_on() && !cut(from, to) && !cut(to, from)
    }
}

impl Net {
    /// A member's process is gone: its machine closes what it had open.
    pub(in super::super) fn killed(&self, host: u64) {
        let now = Instant::now();
        let mut state = self.state();
        state.close_all(host, now);
        let waiting = state.hosts.get_mut(&host).expect("a member").ends(Power::On);
        drop(state);
        drop(waiting);
        self.0.relays.forget(host);
    }

    /// A member's machine is off: nobody is told.
    pub(in super::super) fn power_cut(&self, host: u64) {
        let mut state = self.state();
        state.abandon_all(host);
        let waiting = state.hosts.get_mut(&host).expect("a member").ends(Power::Off);
        drop(state);
        drop(waiting);
        self.0.relays.forget(host);
    }

    /// A member's machine is on again.
    pub(in super::super) fn powered(&self, host: u64) {
        self.state().hosts.get_mut(&host).expect("a member").power = Power::On;
    }
}
