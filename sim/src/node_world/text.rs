//! The text of a plan of the node's world: a line for each thing, versioned, as the core world's
//! schedules are. What is wrong with one is said by line, key and mend.
//!
//! ```text
//! holm-node-schedule 1
//! set members 3
//! member number=1 island=1 listens=1 relays=1 rate=1000000 ahead=0
//! closed from=2 to=1
//! link from=1 to=2 latency=100 jitter=100 slow=0 lost=0 bandwidth=10000000 window=16384
//! at 1200000 power-cut member=2 lasting=300000
//! ```

use super::happening::Happening;
use super::plan::{Directed, Place, Plan, Quality, Settings};
use crate::schedule::{TextError, check_members, happens_at, lines, values};
use std::fmt::Write;

/// The word with which such a text begins.
pub const NAME: &str = "holm-node-schedule";
/// The schedules' version. It goes up whenever the simulator would do something else with a
/// schedule than before.
pub const VERSION: u64 = 1;

impl Plan {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{NAME} {VERSION}\n{}", self.settings.text());
        for (number, place) in (1..).zip(&self.places) {
            let Place { island, listens, relays, rate, ahead } = place;
            writeln!(
                out,
                "member number={number} island={island} listens={listens} relays={relays} \
                 rate={rate} ahead={ahead}"
            )
            .expect("a string takes everything");
        }
        for (from, to) in &self.closed {
            writeln!(out, "closed from={from} to={to}").expect("a string takes everything");
        }
        for Directed { from, to, quality } in &self.qualities {
            let Quality { latency, jitter, slow, lost, bandwidth, window, .. } = quality;
            writeln!(
                out,
                "link from={from} to={to} latency={latency} jitter={jitter} slow={slow} \
                 lost={lost} bandwidth={bandwidth} window={window}"
            )
            .expect("a string takes everything");
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
            places: Vec::new(),
            closed: Vec::new(),
            qualities: Vec::new(),
            happenings: Vec::new(),
        };
        lines(text, (NAME, VERSION), |words| plan.take(words))?;
        let line = text.lines().count();
        plan.check().map_err(|what| TextError { line, what })?;
        Ok(plan)
    }

    fn take(&mut self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["set", ref rest @ ..] => self.settings.set(rest),
            ["member", ref rest @ ..] => {
                let keys = ["number", "island", "listens", "relays", "rate", "ahead"];
                let [number, island, listens, relays, rate, ahead] = values(rest, keys)?;
                let next = self.places.len() as u64 + 1;
                if number != next {
                    return Err(format!(
                        "`number` is {number}; members go by number, write {next}"
                    ));
                }
                at_most("listens", listens, 1)?;
                at_most("relays", relays, 1)?;
                at_most("ahead", ahead, 1_000_000_000_000)?;
                if !(1_000..=1_000_000_000).contains(&rate) {
                    return Err(format!(
                        "`rate` is {rate}; write the microseconds that the clock shows in a \
                         second, from 1000 to 1000000000"
                    ));
                }
                self.places.push(Place { island, listens, relays, rate, ahead });
                Ok(())
            }
            ["closed", ref rest @ ..] => {
                let [from, to] = values(rest, ["from", "to"])?;
                self.closed.push((from, to));
                Ok(())
            }
            ["link", ref rest @ ..] => {
                let keys =
                    ["from", "to", "latency", "jitter", "slow", "lost", "bandwidth", "window"];
                let [from, to, latency, jitter, slow, lost, bandwidth, window] =
                    values(rest, keys)?;
                at_most("latency", latency, 1_000_000_000)?;
                at_most("jitter", jitter, 1_000_000_000)?;
                at_most("slow", slow, 1_000_000)?;
                at_most("lost", lost, 1_000_000)?;
                at_most("window", window, 1 << 30)?;
                for (key, value) in [("bandwidth", bandwidth), ("window", window)] {
                    if value == 0 {
                        return Err(format!("`{key}` is 0; write how many bytes, from 1 on"));
                    }
                }
                let quality =
                    Quality { latency, jitter, slow, lost, bandwidth, window, garbled: 0 };
                self.qualities.push(Directed { from, to, quality });
                Ok(())
            }
            ["at", time, word, ref rest @ ..] => {
                happens_at(&mut self.happenings, time, || Happening::parse(word, rest))
            }
            _ => Err(format!(
                "`{}` begins no line; write `set`, `member`, `closed`, `link` or `at`",
                words.first().unwrap_or(&"")
            )),
        }
    }

    /// What no single line shows.
    pub(super) fn check(&self) -> Result<(), String> {
        let Settings { members, election_ticks, heartbeat_ticks, keys, .. } = self.settings;
        if heartbeat_ticks >= election_ticks {
            return Err(format!(
                "`heartbeat_ticks` is {heartbeat_ticks}; write less than `election_ticks`, \
                 {election_ticks}"
            ));
        }
        if !self.settings.segment_bytes.is_multiple_of(512) {
            let found = self.settings.segment_bytes;
            return Err(format!("`segment_bytes` is {found}; write a multiple of 512"));
        }
        let (founders, in_memory) = (self.founders(), self.settings.in_memory);
        if in_memory * 2 >= founders {
            return Err(format!(
                "`in_memory` is {in_memory}; write less than half of those that form the cluster, \
                 {founders}"
            ));
        }
        if self.settings.disk_low > self.settings.disk_high {
            return Err("`disk_low` is above `disk_high`; write no more than that".to_owned());
        }
        if self.places.len() as u64 != members {
            let found = self.places.len();
            return Err(format!("there are {found} `member` lines; write one a member, {members}"));
        }
        for Directed { from, to, .. } in &self.qualities {
            let known = |member: &u64| (1..=members).contains(member);
            if !known(from) || !known(to) || from == to {
                return Err(format!("a link from {from} to {to}; members are 1 to {members}"));
            }
        }
        self.topology(|_| None).check().map_err(|error| {
            format!("the members and islands make no topology: {error}; change `member`, `closed`")
        })?;
        let mut founding = self.topology(|_| None);
        founding.members.retain(|member| member.id <= self.founders());
        founding.check().map_err(|error| {
            format!("the first `voters` members make no topology: {error}; change `voters`")
        })?;
        for (time, happening) in &self.happenings {
            let fields = happening.fields();
            check_members(*time, (happening.word(), &fields), members)?;
            let field = |key| happening.field(key).unwrap_or(0);
            if field("key") >= keys {
                let (key, last) = (field("key"), keys - 1);
                return Err(format!("at {time}, key={key}; write a key from 0 to {last}"));
            }
            let (a, b) = (happening.field("a"), happening.field("b"));
            let (from, to) = (happening.field("from"), happening.field("to"));
            if (a.is_some() && a == b) || (from.is_some() && from == to) {
                let word = happening.word();
                return Err(format!("at {time}, `{word}` has one member twice; write two"));
            }
            if field("client") > 60_000 {
                return Err(format!("at {time}, `client` is too high; write at most 60000"));
            }
            if happening.field("permille") == Some(0) {
                return Err(format!("at {time}, `permille` is 0; write at least 1"));
            }
        }
        Ok(())
    }
}

fn at_most(key: &str, value: u64, most: u64) -> Result<(), String> {
    if value <= most {
        return Ok(());
    }
    Err(format!("`{key}` is {value}; write at most {most}"))
}
