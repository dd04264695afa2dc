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
pub use crate::schedule::TextError;
use crate::schedule::{check_members, happens_at, lines, values};
use std::fmt::Write;

/// The schedules' version. It goes up whenever the simulator would do something else with a
/// schedule than before.
pub const VERSION: u64 = 2;

impl Plan {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("holm-schedule {VERSION}\n");
        out.push_str(&self.settings.text());
        for (member, island) in (1..).zip(&self.islands) {
            writeln!(out, "island member={member} is={island}").expect("a string");
        }
        for Link { from, to, low, high } in &self.links {
            writeln!(out, "link from={from} to={to} low={low} high={high}").expect("a string");
        }
        for (time, happening) in &self.happenings {
            writeln!(out, "at {time} {}", happening.text()).expect("a string takes everything");
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
        lines(text, ("holm-schedule", VERSION), |words| plan.take(words))?;
        let last = text.lines().count();
        plan.check().map_err(|what| TextError { line: last, what })?;
        Ok(plan)
    }

    fn take(&mut self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["set", ref rest @ ..] => self.settings.set(rest),
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
            ["at", time, word, ref rest @ ..] => {
                happens_at(&mut self.happenings, time, || Happening::parse(word, rest))
            }
            _ => Err(format!(
                "`{}` begins no line; write `set`, `island`, `link` or `at`",
                words.first().unwrap_or(&"")
            )),
        }
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
            let fields = happening.fields();
            check_members(*time, (happening.word(), &fields), members)?;
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
