//! One direction between two members: a `Link` has a `Quality` (latency by distribution, bandwidth,
//! loss), and may be cut.

use super::pipe::Ending;
use super::{Net, State};
use crate::core_world::random::Random;
use std::time::Duration;
use tokio::time::Instant;

/// What is lost is sent again after so long, and after twice that if it is lost again, as TCP does
/// it.
const RETRANSMIT: Duration = Duration::from_millis(200);
/// At most so long after a cut has ended, what waited goes on: TCP tries less and less often.
const AFTER_A_CUT_MS: u64 = 2_000;

/// How good a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Quality {
    /// The least latency, in microseconds.
    pub(in super::super) latency_us: u64,
    /// Up to so much more, evenly.
    pub(in super::super) jitter_us: u64,
    /// In so many of a million cases ten times as much.
    pub(in super::super) slow_millionths: u64,
    /// In so many of a million cases something is lost, and sent again later.
    pub(in super::super) lost_millionths: u64,
    /// Bytes a second.
    pub(in super::super) bandwidth: u64,
    /// So many bytes may be written that were not read: then writing waits.
    pub(in super::super) window: usize,
}

/// One direction.
pub(super) struct Link {
    quality: Quality,
    /// Since when it is cut.
    cut: Option<Instant>,
}

impl Link {
    pub(super) const fn new(quality: Quality) -> Self {
        Self { quality, cut: None }
    }

    pub(super) const fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// How long the next bytes take.
    pub(super) fn latency(&self, random: &mut Random) -> Duration {
        let Quality { latency_us, jitter_us, slow_millionths, lost_millionths, .. } = self.quality;
        let mut micros = latency_us + random.below(jitter_us + 1);
        if random.happens(slow_millionths) {
            micros *= 10;
        }
        let (mut again, mut wait) = (RETRANSMIT, Duration::ZERO);
        while random.happens(lost_millionths) && wait < 8 * RETRANSMIT {
            super::happened("packets lost and sent again");
            wait += again;
            again *= 2;
        }
        Duration::from_micros(micros) + wait
    }

    pub(super) const fn window(&self) -> usize {
        self.quality.window
    }

    /// How long so many bytes take to be put on it.
    pub(super) fn occupied(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Duration::from_micros(bytes.saturating_mul(1_000_000) / self.quality.bandwidth.max(1))
    }
}

impl Net {
    /// Nothing gets through in this direction from now on.
    pub(in super::super) fn cut(&self, from: u64, to: u64) {
        let link = &mut *self.state();
        link.links.get_mut(&(from, to)).expect("members").cut.get_or_insert_with(Instant::now);
    }

    /// All that waited goes on, after a while.
    pub(in super::super) fn heal(&self, from: u64, to: u64) {
        let state = &mut *self.state();
        let link = state.links.get_mut(&(from, to)).expect("members");
        let Some(since) = link.cut.take() else { return };
        let (now, most) = (Instant::now(), Duration::from_millis(AFTER_A_CUT_MS));
        let long = u64::try_from((now - since).min(most).as_micros()).unwrap_or(0);
        let at = now + Duration::from_micros(state.random.below(long + 1));
        state.delay(from, to, at);
    }

    /// Whether both directions are open.
    pub(in super::super) fn is_open(&self, one: u64, other: u64) -> bool {
        let state = self.state();
        !state.links[&(one, other)].is_cut() && !state.links[&(other, one)].is_cut()
    }

    /// A direction is as good as this from now on; says how good it was.
    pub(in super::super) fn change(&self, from: u64, to: u64, quality: Quality) -> Quality {
        let state = &mut *self.state();
        let link = state.links.get_mut(&(from, to)).expect("members");
        std::mem::replace(&mut link.quality, quality)
    }

    /// Fails the connections between two members, and says how many there were.
    pub(in super::super) fn fail(&self, one: u64, other: u64, ending: Ending) -> u64 {
        self.state().fail(one, other, ending)
    }
}

impl State {
    /// Everything that is on its way in a direction arrives at this time, or later.
    fn delay(&mut self, from: u64, to: u64, at: Instant) {
        for connection in self.connections.values_mut() {
            connection.delay(from, to, at);
        }
    }
}
