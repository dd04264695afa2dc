//! A member's clock: `Skewed` has a rate of its own, which may change, is ahead of the world's, and
//! may jump ahead.

use super::plan::Place;
use holm::Clock;
use std::sync::Mutex;

/// A clock that goes its own way, forward.
pub(super) struct Skewed(Mutex<State>);

#[derive(Clone, Copy)]
struct State {
    /// What it showed, in microseconds, at this moment of the world.
    shown: u64,
    at: u64,
    /// Microseconds that it shows in a second of the world.
    rate: u64,
    /// What that is when nothing is wrong.
    plain: u64,
}

impl Skewed {
    pub(super) fn new(place: &Place) -> Self {
        let (shown, rate) = (place.ahead * 1_000, place.rate);
        Self(Mutex::new(State { shown, at: 0, rate, plain: rate }))
    }

    /// From now on it runs at so many thousandths of its rate.
    pub(super) fn set_rate(&self, permille: u64) {
        self.change(|state| state.rate = state.plain * permille / 1_000);
    }

    /// It leaps ahead, as that of a machine that was suspended.
    pub(super) fn jump(&self, micros: u64) {
        self.change(|state| state.shown += micros);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let now = super::findings::now();
        let mut state = self.0.lock().expect("nobody panicked");
        *state = State { shown: state.shows(now), at: now, ..*state };
        change(&mut state);
    }
}

impl State {
    fn shows(&self, now: u64) -> u64 {
        let passed = u128::from(now - self.at) * u128::from(self.rate) / 1_000_000;
        self.shown + u64::try_from(passed).unwrap_or(u64::MAX)
    }
}

impl Clock for Skewed {
    fn now(&self) -> u64 {
        self.0.lock().expect("nobody panicked").shows(super::findings::now()) / 1_000
    }
}
