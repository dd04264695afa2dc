//! The smallest state machine that shows what was applied: a sum.

use holm::StateMachine;
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Counter(pub(crate) i64);

impl StateMachine for Counter {
    type Command = i64;
    type Reply = i64;
    type Snapshot = Self;

    fn apply(&mut self, add: i64) -> i64 {
        self.0 += add;
        self.0
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}
