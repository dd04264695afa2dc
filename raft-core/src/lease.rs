//! Reads without a round (thesis §6.4.1): a `Lease` runs from the *sending* of a round that a
//! majority answered, for less than the shortest election time-out, since nobody who answered helps
//! another leader before that.

use crate::mutation::{self, Mutation};
use alloc::collections::VecDeque;

/// How many rounds may be unanswered before the oldest are no longer remembered.
const ROUNDS_MAX: usize = 64;

/// How long a leader may answer reads by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    /// The rounds that are not confirmed, and the clock when each was sent, in milliseconds.
    sent: VecDeque<(u64, u64)>,
    /// When the latest confirmed round was sent.
    confirmed: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum State {
    #[default]
    Open,
    /// Leadership was offered to another: it may be taken up at any time, whatever anybody
    /// promised, so there is no lease in this term any more.
    Ended,
}

impl Lease {
    /// A round is sent. `now` may be an older reading of the clock, never a newer one.
    pub(crate) fn round_sent(&mut self, round: u64, now: u64) {
        if self.sent.len() == ROUNDS_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((round, now));
    }

    /// A majority answered this round or a later one.
    pub(crate) fn round_confirmed(&mut self, round: u64) {
        while let Some((number, sent)) = self.sent.front().copied()
            && number <= round
        {
            self.confirmed = Some(sent);
            self.sent.pop_front();
        }
    }

    pub(crate) fn end(&mut self) {
        if !mutation::on(Mutation::LeaseKeptOnTransfer) {
            self.state = State::Ended;
        }
    }

    /// For a known bug alone: what was offered to another forgotten.
    #[cfg(any(test, feature = "mutations"))]
    pub(crate) fn reopened(&self) -> Self {
        Self { state: State::Open, ..self.clone() }
    }

    /// Whether a lease of `length` milliseconds holds at `now`.
    pub(crate) fn holds(&self, now: u64, length: u64) -> bool {
        let running = self.confirmed.is_some_and(|sent| now.saturating_sub(sent) < length);
        running && self.state == State::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_runs_from_the_sending_of_a_confirmed_round() {
        let mut lease = Lease::default();
        assert!(!lease.holds(0, 100));
        lease.round_sent(1, 1000);
        lease.round_sent(2, 1050);
        assert!(!lease.holds(1051, 100), "nobody answered");
        lease.round_confirmed(1);
        assert!(lease.holds(1099, 100) && !lease.holds(1100, 100));
        lease.round_confirmed(2);
        assert!(lease.holds(1149, 100) && !lease.holds(1150, 100));
        lease.end();
        lease.round_sent(3, 1150);
        lease.round_confirmed(3);
        assert!(!lease.holds(1151, 100), "once offered away, it never comes back");
    }
}
