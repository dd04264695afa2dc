//! One direction between two members: a `Link` has a `Quality` (latency by distribution, bandwidth,
//! loss, bits that flip), and may be cut.

use super::pipe::Ending;
use super::{Net, State};
use crate::core_world::random::Random;
use crate::node_world::plan::Quality;
use std::time::Duration;
use tokio::time::Instant;

/// What is lost is sent again after so long, and after twice that if it is lost again, as TCP does
/// it.
const RETRANSMIT: Duration = Duration::from_millis(200);
/// At most so long after a cut has ended, what waited goes on: TCP tries less and less often.
const AFTER_A_CUT_MS: u64 = 2_000;

/// One direction.
pub(super) struct Link {
    quality: Quality,
    /// Since when it is cut.
    cut: Option<Instant>,
    /// By how many faults at once.
    cuts: u32,
}

impl Link {
    pub(super) const fn new(quality: Quality) -> Self {
        Self { quality, cut: None, cuts: 0 }
    }

    pub(super) const fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// How long the next bytes take.
    pub(super) fn latency(&self, random: &mut Random) -> Duration {
        let Quality { latency, jitter, slow, lost, .. } = self.quality;
        let mut micros = latency + random.below(jitter + 1);
        if random.happens(slow) {
            micros *= 10;
        }
        let (mut again, mut wait) = (RETRANSMIT, Duration::ZERO);
        while random.happens(lost) && wait < 8 * RETRANSMIT {
            super::happened("packets lost and sent again");
            wait += again;
            again *= 2;
        }
        Duration::from_micros(micros) + wait
    }

    pub(super) fn window(&self) -> usize {
        usize::try_from(self.quality.window).unwrap_or(usize::MAX)
    }

    /// Whether a bit of what is written now flips.
    pub(super) fn garbles(&self, random: &mut Random) -> bool {
        random.happens(self.quality.garbled)
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
        let state = &mut *self.state();
        let link = state.links.get_mut(&(from, to)).expect("members");
        link.cuts += 1;
        link.cut.get_or_insert_with(Instant::now);
    }

    /// One cut ends. With the last one, all that waited goes on, after a while.
    pub(in super::super) fn heal(&self, from: u64, to: u64) {
        let state = &mut *self.state();
        let link = state.links.get_mut(&(from, to)).expect("members");
        link.cuts = link.cuts.saturating_sub(1);
        if link.cuts > 0 {
            return;
        }
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
