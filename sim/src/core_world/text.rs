//! A plan's text: a line for each thing, versioned, so that a schedule can be kept, read, changed
//! by hand and replayed. What is wrong with one is said by line, key and mend.
//!
//! ```text
//! holm-schedule 2
//! set members 3
//! island member=1 is=1
//! link from=1 to=2 low=100 high=3000
//! at 1200000 power-cut member=2 lasting=300000
//! ```

use super::happening::Happening;
use super::plan::{Link, Plan, Settings};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// The schedules' version. It goes up whenever the simulator would do something else with a
/// schedule than before.
pub const VERSION: u64 = 2;

/// What is wrong with a schedule's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and how to mend it.
    pub what: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for TextError {}

impl Plan {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("holm-schedule {VERSION}\n");
        for (key, value, _) in self.settings.all() {
            writeln!(out, "set {key} {value}").expect("a string takes everything");
        }
        for (member, island) in (1..).zip(&self.islands) {
            writeln!(out, "island member={member} is={island}").expect("a string");
        }
        for Link { from, to, low, high } in &self.links {
            writeln!(out, "link from={from} to={to} low={low} high={high}").expect("a string");
        }
        for (time, happening) in &self.happenings {
            write!(out, "at {time} {}", happening.word()).expect("a string takes everything");
            for (key, value) in happening.fields() {
                write!(out, " {key}={value}").expect("a string takes everything");
            }
            out.push('\n');
        }
        out
    }

    /// The plan with this text.
    ///
    /// # Errors
    /// Names the first line that is wrong, the key in question, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut plan = Self {
            settings: Settings::default(),
            islands: Vec::new(),
            links: Vec::new(),
            happenings: Vec::new(),
        };
        let mut lines = (1..).zip(text.lines());
        let (line, first) = lines.next().unwrap_or((1, ""));
        check_version(first).map_err(|what| TextError { line, what })?;
        for (line, text) in lines {
            let text = text.split('#').next().unwrap_or_default().trim();
            if !text.is_empty() {
                plan.take(text).map_err(|what| TextError { line, what })?;
            }
        }
        let last = text.lines().count();
        plan.check().map_err(|what| TextError { line: last, what })?;
        Ok(plan)
    }

    fn take(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match *words {
            ["set", key, value] => self.set(key, value),
            ["set", ..] => Err("`set` takes a key and a value, as in `set members 3`".to_owned()),
            ["island", ref rest @ ..] => {
                let [member, is] = values(rest, ["member", "is"])?;
                let next = self.islands.len() as u64 + 1;
                if member != next {
                    return Err(format!(
                        "`member` is {member}; islands go by members, write {next}"
                    ));
                }
                self.islands.push(is);
                Ok(())
            }
            ["link", ref rest @ ..] => {
                let [from, to, low, high] = values(rest, ["from", "to", "low", "high"])?;
                if low > high || high > 1_000_000_000 {
                    return Err(format!(
                        "`low` is {low} and `high` is {high}; write microseconds, `low` not above \
                         `high`"
                    ));
                }
                self.links.push(Link { from, to, low, high });
                Ok(())
            }
            ["at", time, word, ref rest @ ..] => self.happen(time, word, rest),
            _ => Err(format!(
                "`{}` begins no line; write `set`, `island`, `link` or `at`",
                words.first().unwrap_or(&"")
            )),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number = number(key, value)?;
        let known = self.settings.all();
        let Some((_, _, allowed)) = known.iter().find(|(known, ..)| *known == key) else {
            let known: Vec<&str> = known.iter().map(|(key, ..)| *key).collect();
            return Err(format!("`{key}` is no setting; there are {}", known.join(", ")));
        };
        if !allowed.contains(&number) {
            let (low, high) = (allowed.start(), allowed.end());
            return Err(format!("`{key}` is {number}; write a number from {low} to {high}"));
        }
        if let Some(value) = self.settings.value(key) {
            *value = number;
        }
        Ok(())
    }

    fn happen(&mut self, time: &str, word: &str, rest: &[&str]) -> Result<(), String> {
        let time = number("at", time)?;
        if let Some((before, _)) = self.happenings.last()
            && *before > time
        {
            return Err(format!("`at` is {time}, before the line above; write the lines in order"));
        }
        let mut given = pairs(rest)?;
        let built = Happening::build(word, |key| {
            given.remove(key).ok_or_else(|| format!("`{key}` is missing; write `{key}=NUMBER`"))
        });
        let Some(happening) = built else {
            let words: Vec<&str> = Happening::WORDS.iter().map(|(word, ..)| *word).collect();
            return Err(format!("nothing is called `{word}`; there are {}", words.join(", ")));
        };
        let happening = happening?;
        if let Some(key) = given.keys().next() {
            return Err(format!("`{word}` has no key `{key}`; leave it out"));
        }
        self.happenings.push((time, happening));
        Ok(())
    }

    /// What no single line shows.
    fn check(&self) -> Result<(), String> {
        let Settings { members, voters, election_ticks, heartbeat_ticks, .. } = self.settings;
        if voters > members {
            return Err(format!("`voters` is {voters}; write at most `members`, {members}"));
        }
        if heartbeat_ticks >= election_ticks {
            return Err(format!(
                "`heartbeat_ticks` is {heartbeat_ticks}; write less than `election_ticks`, \
                 {election_ticks}"
            ));
        }
        if self.islands.len() as u64 != members {
            let found = self.islands.len();
            return Err(format!("there are {found} `island` lines; write one a member, {members}"));
        }
        let known = |member: &u64| (1..=members).contains(member);
        for Link { from, to, .. } in &self.links {
            if !known(from) || !known(to) || from == to {
                return Err(format!("a link from {from} to {to}; members are 1 to {members}"));
            }
        }
        for (time, happening) in &self.happenings {
            let keys = ["member", "from", "to", "a", "b", "leaves", "at"];
            let fields = happening.fields();
            let wrong = fields.iter().find(|(key, value)| keys.contains(key) && !known(value));
            if let Some((key, value)) = wrong {
                return Err(format!(
                    "at {time}, `{}` has {key}={value}; members are 1 to {members}",
                    happening.word()
                ));
            }
            let key = fields.iter().find(|(key, _)| *key == "key").map_or(0, |(_, key)| *key);
            if key >= self.settings.keys {
                let last = self.settings.keys - 1;
                return Err(format!("at {time}, key={key}; write a key from 0 to {last}"));
            }
            let client = fields.iter().find(|(key, _)| *key == "client");
            if client.is_some_and(|(_, client)| *client > 60_000) {
                return Err(format!("at {time}, `client` is too high; write at most 60000"));
            }
        }
        Ok(())
    }
}

fn check_version(first: &str) -> Result<(), String> {
    let Some(version) = first.strip_prefix("holm-schedule ") else {
        return Err(format!("a schedule begins with `holm-schedule {VERSION}`; write that"));
    };
    match number("holm-schedule", version.trim())? {
        VERSION => Ok(()),
        other => Err(format!(
            "this schedule is of version {other}, and this build replays {VERSION}: it would do \
             something else with it. Use the build that wrote it"
        )),
    }
}

fn number(key: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("`{key}` is `{value}`; write a whole number from 0 on"))
}

fn pairs<'a>(words: &[&'a str]) -> Result<BTreeMap<&'a str, u64>, String> {
    let mut pairs = BTreeMap::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(format!("`{word}` is no key with a value; write KEY=NUMBER"));
        };
        if pairs.insert(key, number(key, value)?).is_some() {
            return Err(format!("`{key}` is there twice; leave one out"));
        }
    }
    Ok(pairs)
}

/// The values of exactly these keys.
fn values<const N: usize>(words: &[&str], keys: [&str; N]) -> Result<[u64; N], String> {
    let given = pairs(words)?;
    if let Some(other) = given.keys().find(|key| !keys.contains(key)) {
        return Err(format!("there is no key `{other}` here; there are {}", keys.join(", ")));
    }
    let mut values = [0; N];
    for (value, key) in values.iter_mut().zip(keys) {
        let given = given.get(key);
        *value = *given.ok_or_else(|| format!("`{key}` is missing; write `{key}=NUMBER`"))?;
    }
    Ok(values)
}
