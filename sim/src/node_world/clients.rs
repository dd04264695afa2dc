//! Clients of the simulated cluster: `Client` increments and reads, and repeats what was not
//! answered under its key; `History` holds what they saw against what a counter may show.

use super::COUNTER;
use super::member::Member;
use holm::store::{Command, Reply};
use holm::{Error, ProposeOptions};
use madsim::rand::{Rng, thread_rng};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// Someone who increments the counter.
pub(super) struct Client {
    name: u64,
    members: Arc<Vec<Member>>,
    history: Arc<Mutex<History>>,
}

/// What was asked and answered, in simulated time.
#[derive(Default)]
pub(super) struct History {
    operations: Vec<Operation>,
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    what: What,
    asked: u64,
    answered: u64,
    value: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Increment,
    Read,
}

impl Client {
    pub(super) const fn new(
        name: u64,
        members: Arc<Vec<Member>>,
        history: Arc<Mutex<History>>,
    ) -> Self {
        Self { name, members, history }
    }

    /// Makes `count` increments, each until it is answered, with a read now and then.
    pub(super) async fn increments(self, count: u64) {
        for number in 0..count {
            sleep(Duration::from_millis(thread_rng().gen_range(0..150))).await;
            self.increment(number).await;
            if thread_rng().gen_bool(0.3) {
                self.read().await;
            }
        }
    }

    async fn increment(&self, number: u64) {
        let asked = super::trace::now();
        // As long as a key may be, so that logs fill up.
        let key = format!("client {} increment {number:>100}", self.name);
        loop {
            let member = self.any_member();
            if let Some(node) = member.running() {
                let command = Command::Add { name: COUNTER.into(), by: 1 };
                let options = ProposeOptions { key: Some(key.clone().into()), timeout: None };
                match node.propose_with(command, options).await {
                    Ok(applied) => {
                        let Reply::Added { value } = applied.reply else {
                            panic!("an increment was answered with {:?}", applied.reply)
                        };
                        tracing::info!(client = self.name, number, value, "incremented");
                        return self.record(What::Increment, asked, value);
                    }
                    Err(error) => self.expected(member.node, &error),
                }
            }
            sleep(Duration::from_millis(thread_rng().gen_range(1..100))).await;
        }
    }

    async fn read(&self) {
        let asked = super::trace::now();
        let member = self.any_member();
        let Some(node) = member.running() else { return };
        match node.read(|store| store.counter(COUNTER)).await {
            Ok(value) => {
                tracing::info!(client = self.name, member = member.node, value, "read");
                self.record(What::Read, asked, value);
            }
            Err(error) => self.expected(member.node, &error),
        }
    }

    fn any_member(&self) -> &Member {
        &self.members[thread_rng().gen_range(0..self.members.len())]
    }

    fn expected(&self, member: u64, error: &Error) {
        match error {
            Error::Unavailable { .. }
            | Error::Unknown { .. }
            | Error::Stopped { .. }
            | Error::DiskFull => {
                tracing::info!(client = self.name, member, %error, "not answered");
            }
            other => panic!("member {member} answered with {other}"),
        }
    }

    fn record(&self, what: What, asked: u64, value: i64) {
        let answered = super::trace::now();
        let mut history = self.history.lock().expect("nobody panicked");
        history.operations.push(Operation { what, asked, answered, value });
    }
}

impl History {
    /// How many increments were answered.
    pub(super) fn acknowledged(&self) -> u64 {
        let increments = self.operations.iter().filter(|op| op.what == What::Increment);
        increments.count() as u64
    }

    /// Asserts that the history is linearizable. All increments are by one, so each value belongs
    /// to exactly one increment, and the order of values must respect the order in time.
    pub(super) fn check(&self) {
        for (at, first) in self.operations.iter().enumerate() {
            for second in &self.operations[..at] {
                let both = (first.what, second.what) == (What::Increment, What::Increment);
                assert!(!(both && first.value == second.value), "twice: {first:?} {second:?}");
                Self::check_order(first, second);
                Self::check_order(second, first);
            }
        }
    }

    fn check_order(earlier: &Operation, later: &Operation) {
        if earlier.answered >= later.asked {
            return;
        }
        let least = earlier.value + i64::from(later.what == What::Increment);
        assert!(later.value >= least, "{later:?} does not see {earlier:?}");
    }
}
