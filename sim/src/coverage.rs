//! What runs reached: `Coverage`, the faults that took effect, which message found which role, and
//! which role became which.

use crate::core_world::happening::Happening;
use crate::schedule::Class;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

/// The roles.
pub(crate) const ROLES: [&str; 4] = ["follower", "pre-candidate", "candidate", "leader"];
/// The kinds of messages.
pub(crate) const KINDS: [&str; 17] = [
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

/// What finds a role so seldom that not every sweep sees it: answers to what a role before asked,
/// and what one leader says while another leads or is being elected.
const SELDOM_TAKEN: [(&str, &[&str]); 4] = [
    ("rejected", &["pre-candidate", "candidate"]),
    ("timeout-now", &["pre-candidate", "candidate", "leader"]),
    ("snapshot", &["pre-candidate", "candidate", "leader"]),
    ("received", &["follower", "pre-candidate", "candidate"]),
];
/// Which role becomes which (paper, figure 4, and the pre-vote of the thesis, §9.6).
const STEPS: [(&str, &str); 8] = [
    ("follower", "pre-candidate"),
    ("follower", "candidate"),
    ("pre-candidate", "follower"),
    ("pre-candidate", "candidate"),
    ("candidate", "follower"),
    ("candidate", "pre-candidate"),
    ("candidate", "leader"),
    ("leader", "follower"),
];

/// In which of the two worlds something ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Core and log.
    #[default]
    Core,
    /// The whole node.
    Node,
}

/// The words of a schedule, their classes and their keys.
type Words = &'static [(&'static str, Class, &'static [&'static str])];

impl World {
    /// The words of its schedules.
    pub(crate) const fn words(self) -> Words {
        match self {
            Self::Core => Happening::WORDS,
            Self::Node => crate::node_world::happening::Happening::WORDS,
        }
    }

    /// What must come of many runs, beside the words of schedules, though seldom.
    const fn seldom(self) -> &'static [&'static str] {
        match self {
            Self::Core => &[
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
            ],
            Self::Node => &[],
        }
    }

    /// What else a sweep must have seen, or it has shown too little.
    const fn expected(self) -> &'static [&'static str] {
        match self {
            Self::Core => &[],
            Self::Node => crate::node_world::EXPECTED,
        }
    }
}

/// What was reached, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Where.
    pub world: World,
    /// What happened of a schedule's things and took effect, by word.
    pub happened: BTreeMap<String, u64>,
    /// Messages that were taken, by role and kind.
    pub taken: Vec<Vec<u64>>,
    /// Changes of roles.
    pub became: Vec<Vec<u64>>,
    /// What else is worth knowing, by name.
    pub others: BTreeMap<String, u64>,
}

impl Coverage {
    pub(crate) fn happens(&mut self, word: &'static str) {
        if let Some(count) = self.happened.get_mut(word) {
            *count += 1;
        } else {
            self.happened.insert(word.to_owned(), 1);
        }
    }

    pub(crate) fn other(&mut self, name: &'static str) {
        *self.others.entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn takes(&mut self, role: &str, kind: &str) {
        add(&mut self.taken, (place(&ROLES, role), KINDS.len()), place(&KINDS, kind));
    }

    pub(crate) fn becomes(&mut self, before: &str, after: &str) {
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
        let faults = self.world.words().iter().filter(|(_, class, _)| class.is_fault());
        faults.filter_map(|(word, ..)| self.happened.get(*word)).sum()
    }

    /// The words of a schedule that never took effect, and what else never came of them.
    #[must_use]
    pub fn missing(&self) -> BTreeSet<&'static str> {
        let words = self.world.words().iter().map(|(word, ..)| *word);
        let words = words.filter(|word| !self.happened.contains_key(*word));
        let others = self.world.expected().iter().copied();
        words.chain(others.filter(|name| !self.others.contains_key(*name))).collect()
    }

    /// What should have come of many runs, and never did.
    #[must_use]
    pub fn missing_consequences(&self) -> BTreeSet<&'static str> {
        let seldom = self.world.seldom().iter().copied();
        seldom.filter(|name| !self.others.contains_key(*name)).collect()
    }

    /// The arms of the core's table of messages, and the changes of roles, that many runs should
    /// have reached, and never did. Core's world alone: sweeps of the other one are shorter.
    #[must_use]
    pub fn missing_arms(&self) -> BTreeSet<String> {
        if self.world == World::Node {
            return BTreeSet::new();
        }
        let is_seldom = |kind: &str, role: &str| {
            SELDOM_TAKEN.iter().any(|(of, roles)| *of == kind && roles.contains(&role))
        };
        let reached = |table: &[Vec<u64>], row: usize, column: usize| {
            table.get(row).and_then(|row| row.get(column)).is_some_and(|count| *count > 0)
        };
        let arms = ROLES.iter().enumerate().flat_map(|(row, role)| {
            KINDS.iter().enumerate().map(move |(column, kind)| (row, role, column, kind))
        });
        let arms = arms.filter(|(_, role, _, kind)| !is_seldom(kind, role));
        let arms = arms.filter(|(row, _, column, _)| !reached(&self.taken, *row, *column));
        let arms = arms.map(|(_, role, _, kind)| format!("a {role} takes {kind}"));
        let steps = STEPS
            .iter()
            .filter(|(from, to)| !reached(&self.became, place(&ROLES, from), place(&ROLES, to)));
        arms.chain(steps.map(|(from, to)| format!("a {from} becomes {to}"))).collect()
    }

    /// The faults that took effect, in words.
    #[must_use]
    pub fn faults_in_words(&self) -> String {
        let faults = self.world.words().iter().filter(|(_, class, _)| class.is_fault());
        let counted = faults.filter_map(|(word, ..)| Some((word, self.happened.get(*word)?)));
        let counted: Vec<String> = counted.map(|(word, count)| format!("{word} {count}")).collect();
        let each =
            if counted.is_empty() { String::new() } else { format!(" ({})", counted.join(", ")) };
        format!("{} faults{each}", self.faults())
    }

    /// As a table to read.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::from("what happened                  times\n");
        for (word, ..) in self.world.words() {
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
