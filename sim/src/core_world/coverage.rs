//! What runs reached: `Coverage`, the faults that took effect, which message found which role, and
//! which role became which.

use super::happening::Happening;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

/// The roles.
pub(super) const ROLES: [&str; 4] = ["follower", "pre-candidate", "candidate", "leader"];
/// The kinds of messages.
pub(super) const KINDS: [&str; 17] = [
    "pre-vote",
    "pre-voted",
    "vote",
    "voted",
    "append",
    "appended",
    "rejected",
    "committed",
    "heartbeat",
    "heartbeat-ack",
    "timeout-now",
    "snapshot",
    "received",
    "propose",
    "proposed",
    "read",
    "read-at",
];

/// What was reached, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// What happened of a schedule's things and took effect, by word.
    pub happened: BTreeMap<String, u64>,
    /// Messages that were taken, by role and kind.
    pub taken: Vec<Vec<u64>>,
    /// Changes of roles.
    pub became: Vec<Vec<u64>>,
    /// What else is worth knowing, by name.
    pub others: BTreeMap<String, u64>,
}

/// What must come of many runs, beside the words of schedules.
const CONSEQUENCES: [&str; 10] = [
    "change taken",
    "damage found",
    "damage given up",
    "damage repaired",
    "disk counted as lost",
    "joint configuration",
    "led without a vote",
    "power cut in a mixed batch",
    "relayed",
    "stranger made a voter",
];

impl Coverage {
    pub(super) fn happens(&mut self, word: &'static str) {
        if let Some(count) = self.happened.get_mut(word) {
            *count += 1;
        } else {
            self.happened.insert(word.to_owned(), 1);
        }
    }

    pub(super) fn other(&mut self, name: &'static str) {
        *self.others.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn takes(&mut self, role: &str, kind: &str) {
        add(&mut self.taken, (place(&ROLES, role), KINDS.len()), place(&KINDS, kind));
    }

    pub(super) fn becomes(&mut self, before: &str, after: &str) {
        add(&mut self.became, (place(&ROLES, before), ROLES.len()), place(&ROLES, after));
    }

    /// What was written as JSON.
    ///
    /// # Errors
    /// When that is something else.
    pub fn parse(json: &serde_json::Value) -> Result<Self, String> {
        serde_json::from_value(json.clone()).map_err(|error| format!("`coverage`: {error}"))
    }

    /// How many faults took effect.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.words(Happening::is_fault_class).map(|(_, count)| count).sum()
    }

    fn words(&self, of: fn(&str) -> Option<()>) -> impl Iterator<Item = (&str, u64)> {
        let count = |word: &str| self.happened.get(word).copied().unwrap_or(0);
        let words = Happening::WORDS.iter().filter(move |(word, ..)| of(word).is_some());
        words.map(move |(word, ..)| (*word, count(word)))
    }

    /// The words of a schedule that never took effect.
    #[must_use]
    pub fn missing(&self) -> BTreeSet<&'static str> {
        let words = Happening::WORDS.iter().map(|(word, ..)| *word);
        words.filter(|word| !self.happened.contains_key(*word)).collect()
    }

    /// What should have come of many runs, and never did.
    #[must_use]
    pub fn missing_consequences(&self) -> BTreeSet<&'static str> {
        CONSEQUENCES.into_iter().filter(|name| !self.others.contains_key(*name)).collect()
    }

    /// As a table to read.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::from("what happened                  times\n");
        for (word, ..) in Happening::WORDS {
            let count = self.happened.get(*word).copied().unwrap_or(0);
            out.push_str(&format!("{word:<28} {count:>7}\n"));
        }
        for (name, count) in &self.others {
            out.push_str(&format!("{name:<28} {count:>7}\n"));
        }
        out.push_str("\nmessage        ");
        out.push_str(&ROLES.map(|role| format!("{role:>14}")).concat());
        for (at, kind) in KINDS.iter().enumerate() {
            let count = |role: usize| self.taken.get(role).and_then(|row| row.get(at)).copied();
            let row: String =
                (0..ROLES.len()).map(|role| format!("{:>14}", count(role).unwrap_or(0))).collect();
            out.push_str(&format!("\n{kind:<15}{row}"));
        }
        out.push_str("\n\nfrom \\ to      ");
        out.push_str(&ROLES.map(|role| format!("{role:>14}")).concat());
        for (at, role) in ROLES.iter().enumerate() {
            let count = |to: usize| self.became.get(at).and_then(|row| row.get(to)).copied();
            let row: String =
                (0..ROLES.len()).map(|to| format!("{:>14}", count(to).unwrap_or(0))).collect();
            out.push_str(&format!("\n{role:<15}{row}"));
        }
        out.push('\n');
        out
    }
}

impl Happening {
    fn is_fault_class(word: &str) -> Option<()> {
        use super::happening::Class;
        let (_, class, _) = Self::WORDS.iter().find(|(known, ..)| *known == word)?;
        (!matches!(class, Class::Operator | Class::Client)).then_some(())
    }
}

impl AddAssign<&Self> for Coverage {
    fn add_assign(&mut self, other: &Self) {
        for (word, count) in &other.happened {
            *self.happened.entry(word.clone()).or_default() += count;
        }
        for (name, count) in &other.others {
            *self.others.entry(name.clone()).or_default() += count;
        }
        for (role, row) in other.taken.iter().enumerate() {
            for (kind, count) in row.iter().enumerate() {
                add_so_many(&mut self.taken, (role, KINDS.len()), kind, *count);
            }
        }
        for (role, row) in other.became.iter().enumerate() {
            for (to, count) in row.iter().enumerate() {
                add_so_many(&mut self.became, (role, ROLES.len()), to, *count);
            }
        }
    }
}

fn place(names: &[&str], name: &str) -> usize {
    names.iter().position(|known| *known == name).expect("a name that is known")
}

fn add(table: &mut Vec<Vec<u64>>, row: (usize, usize), column: usize) {
    add_so_many(table, row, column, 1);
}

fn add_so_many(table: &mut Vec<Vec<u64>>, (row, width): (usize, usize), column: usize, count: u64) {
    if table.len() <= row {
        table.resize_with(ROLES.len(), Vec::new);
    }
    if table[row].len() <= column {
        table[row].resize(width, 0);
    }
    table[row][column] += count;
}
