//! Dialling a peer: `dial` connects and says the first words; `Backoff` says how long to wait
//! before the next attempt.

use crate::config::Timing;
use crate::connection::Connection;
use crate::greet::introduce;
use crate::hello::Refused;
use crate::line::Line;
use crate::secure::handshake;
use crate::shared::Shared;
use crate::status::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Why a dial did not come to a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("connecting to {address} failed: {error}")]
    Connect { address: String, error: std::io::Error },
    #[error("{address} did not answer within {after:?}")]
    Timeout { address: String, after: Duration },
    #[error("{}; if this goes on, its own log says why", .0.detail)]
    Refused(Refused),
    #[error("the peer closed it as a duplicate")]
    Duplicate,
}

impl From<Refused> for DialError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<handshake::Refused> for DialError {
    fn from(refused: handshake::Refused) -> Self {
        Self::Refused(refused.into())
    }
}

/// Connects to a peer, and lets each end know who the other is. The address is resolved anew.
pub(crate) async fn dial(shared: Arc<Shared>, line: Arc<Line>) -> Result<Connection, DialError> {
    let address = line.peer().address.unwrap_or_default();
    let late = |after| DialError::Timeout { address: address.clone(), after };
    let after = shared.timing.connect_timeout;
    let connecting = timeout(after, shared.network.dial(&address)).await;
    let connected = connecting.map_err(|_| late(after))?;
    let stream =
        connected.map_err(|error| DialError::Connect { address: address.clone(), error })?;
    let after = shared.timing.hello_timeout;
    timeout(after, introduce(&shared, stream, line.node)).await.map_err(|_| late(after))?
}

impl DialError {
    /// What it counts as, if the other end was found to be wrong.
    pub(crate) fn refusal(&self) -> Option<(Refusal, &str)> {
        match self {
            Self::Refused(refused) => Some((refused.why, &refused.detail)),
            _ => None,
        }
    }
}

/// How long to wait before the next attempt: up to `backoff_min` at first, doubling with each
/// failure up to `backoff_max`; at least half of that, the rest is jitter, so that members that
/// lost each other together don't come back in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    random: u64,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: seed, failures: 0 }
    }

    /// Attempts that failed since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed, or a link ended: the wait before the next one.
    pub(crate) fn next(&mut self, timing: &Timing) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let ceiling = timing.backoff_min.saturating_mul(doubled).min(timing.backoff_max);
        ceiling / 2 + (ceiling / 2).mul_f64(self.fraction())
    }

    /// The next number from 0 to below 1, by SplitMix64 (Steele, Lea and Flood, 2014).
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_start_anew_after_a_success() {
        let timing = Timing::default();
        let mut backoff = Backoff::new(7);
        let ceilings = [20, 40, 80, 160, 320, 640, 1000, 1000];
        for ceiling in ceilings.map(Duration::from_millis) {
            let wait = backoff.next(&timing);
            assert!(wait >= ceiling / 2 && wait <= ceiling, "{wait:?} of {ceiling:?}");
        }
        for _ in 0..100 {
            assert!(backoff.next(&timing) <= timing.backoff_max);
        }
        backoff.reset();
        assert!(backoff.next(&timing) <= timing.backoff_min);
    }

    #[test]
    fn one_seed_gives_one_sequence_of_waits_and_another_seed_another() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            [(); 8].map(|()| backoff.next(&Timing::default()))
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
