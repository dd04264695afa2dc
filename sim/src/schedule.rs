//! What the schedules of both worlds have in common: what kind of runs are drawn (`Mode`), kinds of
//! things that happen (`Class`), the macros that make a world's list of them and its settings, each
//! with its text, and how a line that is wrong is named.

pub(crate) mod shrink;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What kind of runs are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All that Holm promises to bear.
    #[default]
    Within,
    /// Clocks that exceed the drift that leases allow for: lease reads may break, nothing else may.
    BeyondDrift,
    /// Disks that fail on a majority at once: what was acknowledged may be lost, or nothing be
    /// committed any more; nothing else may break. In the node's world alone.
    BeyondDisks,
}

/// What kind of thing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Something is wrong with links.
    Link,
    /// Something is wrong with a process.
    Process,
    /// Something is wrong with a disk.
    Disk,
    /// Something is wrong with a clock.
    Clock,
    /// An operator does something.
    Operator,
    /// A client asks for something.
    Client,
}

impl Class {
    /// Whether it is a class of faults.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Operator | Self::Client)
    }
}

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

/// The keys that name members.
pub(crate) const MEMBERS: [&str; 7] = ["member", "from", "to", "a", "b", "leaves", "at"];

/// Makes a world's type of happenings from a list of classes, words, names and keys.
macro_rules! happenings {
    ($($(#[$doc:meta])* $class:ident $word:literal $name:ident { $($field:ident),* })*) => {
        /// Something that a schedule makes happen. Members count from 1; times and durations are
        /// simulated microseconds.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the fields' names are the keys of the schedule's text")]
        pub enum Happening {
            $($(#[$doc])* $name { $($field: u64),* },)*
        }

        impl Happening {
            /// All words, their classes and their keys.
            pub const WORDS: &[(&str, $crate::schedule::Class, &[&str])] =
                &[$(($word, $crate::schedule::Class::$class, &[$(stringify!($field)),*]),)*];

            /// Its word in a schedule.
            #[must_use]
            pub const fn word(&self) -> &'static str {
                match self { $(Self::$name { .. } => $word,)* }
            }

            /// Its class.
            #[must_use]
            pub const fn class(&self) -> $crate::schedule::Class {
                match self { $(Self::$name { .. } => $crate::schedule::Class::$class,)* }
            }

            /// Its keys and values.
            #[must_use]
            pub fn fields(&self) -> Vec<(&'static str, u64)> {
                match self { $(Self::$name { $($field),* } => {
                    vec![$((stringify!($field), *$field)),*]
                })* }
            }

            /// The happening with this word, whose values are asked for by their keys.
            ///
            /// # Errors
            /// What asking for a value says; `None` if there is no such word.
            pub fn build<E>(
                word: &str,
                mut value: impl FnMut(&'static str) -> Result<u64, E>,
            ) -> Option<Result<Self, E>> {
                match word {
                    $($word => {
                        #[allow(unused_mut, reason = "some have no fields")]
                        let mut built = || {
                            Ok(Self::$name { $($field: value(stringify!($field))?),* })
                        };
                        Some(built())
                    })*
                    _ => None,
                }
            }

            /// Whether it is a fault.
            #[must_use]
            pub const fn is_fault(&self) -> bool {
                self.class().is_fault()
            }

            /// How long it lasts, if it has an end.
            #[must_use]
            pub fn lasting(&self) -> Option<u64> {
                self.field("lasting")
            }

            /// The value of a key, if it has that.
            #[must_use]
            pub fn field(&self, key: &str) -> Option<u64> {
                let fields = self.fields();
                fields.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
            }

            /// The same, with another value under one key.
            #[must_use]
            pub fn with(&self, key: &str, value: u64) -> Self {
                let fields = self.fields();
                let of = |known| fields.iter().find(|(key, _)| *key == known);
                let built = Self::build(self.word(), |known| {
                    let same = of(known).map_or(0, |(_, value)| *value);
                    Ok::<_, std::convert::Infallible>(if known == key { value } else { same })
                });
                match built {
                    Some(Ok(built)) => built,
                    _ => unreachable!("its own word"),
                }
            }

            /// Whether it has to do with a member that has a higher number than this.
            #[must_use]
            pub fn concerns_above(&self, member: u64) -> bool {
                let members = $crate::schedule::MEMBERS;
                self.fields().iter().any(|(key, value)| members.contains(key) && *value > member)
            }

            /// The words of its line in a schedule, behind the time.
            pub(crate) fn text(&self) -> String {
                let fields = self.fields().into_iter();
                let fields: String = fields.map(|(key, value)| format!(" {key}={value}")).collect();
                format!("{}{fields}", self.word())
            }

            /// What such words say.
            pub(crate) fn parse(word: &str, rest: &[&str]) -> Result<Self, String> {
                let mut given = $crate::schedule::pairs(rest)?;
                let built = Self::build(word, |key| {
                    let missing = || format!("`{key}` is missing; write `{key}=NUMBER`");
                    given.remove(key).ok_or_else(missing)
                });
                let Some(happening) = built else {
                    let words: Vec<&str> = Self::WORDS.iter().map(|(word, ..)| *word).collect();
                    let words = words.join(", ");
                    return Err(format!("nothing is called `{word}`; there are {words}"));
                };
                let happening = happening?;
                match given.keys().next() {
                    Some(key) => Err(format!("`{word}` has no key `{key}`; leave it out")),
                    None => Ok(happening),
                }
            }
        }
    };
}
pub(crate) use happenings;

/// Makes a world's settings, all of them numbers, from a list of keys, defaults and bounds.
macro_rules! settings {
    ($($(#[$doc:meta])* $key:ident = $default:literal in $low:literal ..= $high:expr;)*) => {
        /// A run's settings, all of them numbers.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $($(#[$doc])* pub $key: u64,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($key: $default),* }
            }
        }

        impl Settings {
            /// Each key with its value, and what that may be.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, u64, std::ops::RangeInclusive<u64>)> {
                vec![$((stringify!($key), self.$key, $low..=$high)),*]
            }

            /// The value of this key, to be changed.
            pub fn value(&mut self, key: &str) -> Option<&mut u64> {
                match key { $(stringify!($key) => Some(&mut self.$key),)* _ => None }
            }

            /// Its lines in a schedule.
            pub(crate) fn text(&self) -> String {
                let all = self.all().into_iter();
                all.map(|(key, value, _)| format!("set {key} {value}\n")).collect()
            }

            /// What the words of such a line say, behind `set`.
            pub(crate) fn set(&mut self, rest: &[&str]) -> Result<(), String> {
                let [key, value] = rest else {
                    let as_in = "as in `set members 3`";
                    return Err(format!("`set` takes a key and a value, {as_in}"));
                };
                let number = $crate::schedule::number(key, value)?;
                let known = self.all();
                let Some((_, _, allowed)) = known.iter().find(|(known, ..)| known == key) else {
                    let known: Vec<&str> = known.iter().map(|(key, ..)| *key).collect();
                    return Err(format!("`{key}` is no setting; there are {}", known.join(", ")));
                };
                if !allowed.contains(&number) {
                    let (low, high) = (allowed.start(), allowed.end());
                    let bounds = format!("write a number from {low} to {high}");
                    return Err(format!("`{key}` is {number}; {bounds}"));
                }
                if let Some(value) = self.value(key) {
                    *value = number;
                }
                Ok(())
            }
        }
    };
}
pub(crate) use settings;

/// Takes each line of a schedule but the first, which says `name` and this version.
pub(crate) fn lines(
    text: &str,
    (name, version): (&str, u64),
    mut take: impl FnMut(&[&str]) -> Result<(), String>,
) -> Result<(), TextError> {
    let mut lines = (1..).zip(text.lines());
    let (line, first) = lines.next().unwrap_or((1, ""));
    check_version(first, name, version).map_err(|what| TextError { line, what })?;
    for (line, text) in lines {
        let text = text.split('#').next().unwrap_or_default().trim();
        if !text.is_empty() {
            let words: Vec<&str> = text.split_whitespace().collect();
            take(&words).map_err(|what| TextError { line, what })?;
        }
    }
    Ok(())
}

fn check_version(first: &str, name: &str, version: u64) -> Result<(), String> {
    let Some(found) = first.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')) else {
        return Err(format!("a schedule begins with `{name} {version}`; write that"));
    };
    let found = number(name, found.trim())?;
    if found == version {
        return Ok(());
    }
    Err(format!(
        "this schedule is of version {found}, and this build replays {version}: it would do \
         something else with it. Use the build that wrote it"
    ))
}

/// Adds what happens at a time, which is not before all that came before it.
pub(crate) fn happens_at<H>(
    happenings: &mut Vec<(u64, H)>,
    time: &str,
    happening: impl FnOnce() -> Result<H, String>,
) -> Result<(), String> {
    let time = number("at", time)?;
    if let Some((before, _)) = happenings.last()
        && *before > time
    {
        return Err(format!("`at` is {time}, before the line above; write the lines in order"));
    }
    happenings.push((time, happening()?));
    Ok(())
}

pub(crate) fn number(key: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("`{key}` is `{value}`; write a whole number from 0 on"))
}

pub(crate) fn pairs<'a>(words: &[&'a str]) -> Result<BTreeMap<&'a str, u64>, String> {
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
pub(crate) fn values<const N: usize>(words: &[&str], keys: [&str; N]) -> Result<[u64; N], String> {
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

/// Whether each member that something happens to is one of so many.
pub(crate) fn check_members(
    time: u64,
    (word, fields): (&str, &[(&'static str, u64)]),
    members: u64,
) -> Result<(), String> {
    let known = |member: &u64| (1..=members).contains(member);
    let wrong = fields.iter().find(|(key, value)| MEMBERS.contains(key) && !known(value));
    let Some((key, value)) = wrong else { return Ok(()) };
    Err(format!("at {time}, `{word}` has {key}={value}; members are 1 to {members}"))
}

/// A count with its word.
fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// How many members, faults, operators' steps and clients' operations a schedule has, in words.
pub(crate) fn words(members: u64, what: &[(Class, Option<u64>)]) -> String {
    let count = |of: fn(Class) -> bool| what.iter().filter(|(class, _)| of(*class)).count();
    let clients: BTreeSet<u64> = what.iter().filter_map(|(_, client)| *client).collect();
    let steps = count(|class| class == Class::Operator);
    format!(
        "{}, {}, {}, {} of {}, {} in all",
        plural(usize::try_from(members).unwrap_or(usize::MAX), "node", "nodes"),
        plural(count(Class::is_fault), "fault", "faults"),
        plural(steps, "operator's step", "operators' steps"),
        plural(count(|class| class == Class::Client), "operation", "operations"),
        plural(clients.len(), "client", "clients"),
        plural(what.len(), "event", "events"),
    )
}
