//! The replicated state of the simulated cluster: `Register`, numbers by name, as an embedder would
//! write it, but for one thing: it keeps a sum over all commands that led to it, and each replica
//! compares it with what the others had after as many commands. Equal histories, then, are found to
//! be equal, and others to be others, at the command where they part.

use super::findings::broken;
use crate::checkers::linearizable::What;
use holm::StateMachine;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Register {
    numbers: BTreeMap<u64, u64>,
    applied: u64,
    sum: u64,
    /// Which commands have been applied, by client and number.
    commands: BTreeSet<(u64, u64)>,
}

/// What may be done to a number, by whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Command {
    pub(super) client: u64,
    pub(super) number: u64,
    pub(super) name: u64,
    pub(super) change: Change,
    /// So that logs fill up.
    pub(super) ballast: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Change {
    Put(u64),
    Add(u64),
    /// In the name of the claim with this token.
    Fenced(u64),
}

impl Change {
    /// For the checker of what clients see.
    pub(super) const fn what(self) -> What {
        match self {
            Self::Put(value) | Self::Fenced(value) => What::Put(value),
            Self::Add(value) => What::Add(value),
        }
    }
}

/// The checker's name: paper §5.4.3, figure 3.
const NAME: &str = "state machine safety";

std::thread_local! {
    /// After so many commands, the sum was this.
    static SUMS: RefCell<BTreeMap<u64, u64>> = RefCell::default();
}

impl Register {
    pub(super) fn number(&self, name: u64) -> u64 {
        self.numbers.get(&name).copied().unwrap_or(0)
    }

    /// Whether this command of a client's has been applied.
    pub(super) fn has(&self, client: u64, number: u64) -> bool {
        self.commands.contains(&(client, number))
    }

    /// How many commands have led to it.
    pub(super) const fn applied(&self) -> u64 {
        self.applied
    }

    /// Compares it with what others had after as many commands.
    fn compare(&self) {
        let Self { applied, sum, .. } = self;
        let known = SUMS.with_borrow_mut(|sums| *sums.entry(*applied).or_insert(*sum));
        if known != *sum {
            broken(NAME, format!("after {applied} commands one replica has another state"));
        }
    }
}

impl StateMachine for Register {
    type Command = Command;
    type Reply = u64;
    type Snapshot = Self;

    fn apply(&mut self, command: Command) -> u64 {
        if !self.commands.insert((command.client, command.number)) {
            let Command { client, number, .. } = command;
            broken("exactly once", format!("command {number} of client {client} is applied again"));
        }
        let value = self.numbers.entry(command.name).or_default();
        let (reply, change) = match command.change {
            Change::Put(new) => (std::mem::replace(value, new), new),
            Change::Fenced(token) if token < *value => {
                let says = format!("an effect of claim {token} comes after one of claim {value}");
                broken("late owners are refused", says);
                (0, token)
            }
            Change::Fenced(token) => (std::mem::replace(value, token), token),
            Change::Add(more) => {
                *value = value.wrapping_add(more);
                (*value, more)
            }
        };
        for part in [command.client, command.number, command.name, change] {
            // FNV-1a, by words.
            self.sum = (self.sum ^ part).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
        }
        self.applied += 1;
        self.compare();
        reply
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot.compare();
        snapshot
    }
}
