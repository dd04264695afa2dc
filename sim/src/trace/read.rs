//! Whether a text is a trace: `check` says by line, key and mend what is wrong with one. Whoever
//! shows a trace need not look twice at what it has.

use super::VERSION;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// What is wrong with a trace's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and how to mend it.
    pub what: String,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for TraceError {}

/// What a key has.
#[derive(Clone, Copy)]
enum Shape {
    Number,
    Text,
    /// One of the first line's members.
    Member,
    Members,
    /// Pairs of numbers, and of members.
    Runs,
    Links,
    Places,
    /// Numbers by name.
    Keys,
    /// Members that relay: may be left out.
    Relays,
}

use Shape::{Keys, Links, Member, Members, Number, Places, Relays, Runs, Text};

/// The keys of each kind of line, beside `t` and `e`.
const KINDS: &[(&str, &[(&str, Shape)])] = &[
    (
        "holm",
        &[
            ("version", Number),
            ("world", Text),
            ("seed", Number),
            ("members", Places),
            ("links", Links),
            ("faults_end", Number),
        ],
    ),
    (
        "sent",
        &[
            ("id", Number),
            ("kind", Text),
            ("from", Member),
            ("to", Member),
            ("term", Number),
            ("via", Relays),
            ("due", Number),
            ("says", Text),
        ],
    ),
    ("delivered", &[("id", Number)]),
    ("lost", &[("id", Number), ("kind", Text), ("from", Member), ("to", Member), ("why", Text)]),
    (
        "member",
        &[
            ("node", Member),
            ("incarnation", Number),
            ("role", Text),
            ("term", Number),
            ("leader", Number),
            ("start", Number),
            ("last", Number),
            ("last_term", Number),
            ("durable", Number),
            ("commit", Number),
            ("applied", Number),
        ],
    ),
    ("log", &[("node", Member), ("terms", Runs)]),
    (
        "configured",
        &[("index", Number), ("voters", Members), ("outgoing", Members), ("learners", Members)],
    ),
    ("down", &[("node", Member), ("why", Text)]),
    ("begin", &[("n", Number), ("what", Text), ("with", Keys)]),
    ("end", &[("n", Number), ("what", Text)]),
    ("note", &[("says", Text)]),
    ("said", &[("node", Number), ("says", Text)]),
    (
        "asks",
        &[
            ("op", Number),
            ("client", Number),
            ("what", Text),
            ("key", Number),
            ("value", Number),
            ("at", Member),
            ("again", Number),
        ],
    ),
    ("answered", &[("op", Number), ("client", Number), ("value", Number)]),
    ("phase", &[("phase", Text)]),
    ("violation", &[("checker", Text), ("says", Text)]),
];

/// Whether a text is a whole trace, as [`Trace::json`](super::Trace::json) writes it, of this
/// build's version.
///
/// # Errors
/// Names the first line that is wrong, the key in question, and what to write instead.
pub fn check(text: &str) -> Result<(), TraceError> {
    let mut reader = Reader { members: BTreeSet::new(), t: 0, ended: false };
    let mut count = 0;
    for (line, text) in (1..).zip(text.lines()) {
        reader.take(line, text).map_err(|what| TraceError { line, what })?;
        count = line;
    }
    if count == 0 {
        return Err(TraceError { line: 1, what: BEGINS.to_owned() });
    }
    Ok(())
}

const BEGINS: &str =
    "a trace begins with a line of kind `holm`; give what `holm-sim trace --form json` prints";

struct Reader {
    members: BTreeSet<u64>,
    t: u64,
    ended: bool,
}

impl Reader {
    fn take(&mut self, line: usize, text: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let column = error.column();
            let cut = format!("no JSON from column {column} on; is the file whole?");
            if line == 1 { BEGINS.to_owned() } else { cut }
        })?;
        let object = value.as_object().ok_or("no JSON object; write one for each line")?;
        let kind = object.get("e").and_then(Value::as_str).unwrap_or_default();
        if (kind == "holm") != (line == 1) {
            let again = "a second line of kind `holm`; give one trace at a time";
            return Err(if line == 1 { BEGINS } else { again }.to_owned());
        }
        let Some((_, keys)) = KINDS.iter().find(|(known, _)| *known == kind) else {
            let known: Vec<&str> = KINDS.iter().map(|(known, _)| *known).collect();
            return Err(format!("`e` is `{kind}`; there are {}", known.join(", ")));
        };
        if line == 1 {
            self.begin(object)?;
        }
        self.time(object)?;
        for (key, shape) in *keys {
            self.key(object, key, *shape)?;
        }
        let known =
            |key: &str| ["t", "e"].contains(&key) || keys.iter().any(|(own, _)| *own == key);
        if let Some(key) = object.keys().find(|key| !known(key)) {
            return Err(format!("`{kind}` has no key `{key}`; leave it out"));
        }
        if self.ended {
            return Err("a line behind the violation, which is the last; leave it out".to_owned());
        }
        self.ended = kind == "violation";
        Ok(())
    }

    fn begin(&mut self, object: &Map<String, Value>) -> Result<(), String> {
        let version = object.get("version").and_then(Value::as_u64).unwrap_or_default();
        if version != u64::from(VERSION) {
            return Err(format!(
                "`version` is {version}, and this build shows {VERSION}; write the trace again \
                 with this build, from its seed or schedule"
            ));
        }
        let places = object.get("members").and_then(Value::as_array);
        let node = |place: &Value| place.get("node").and_then(Value::as_u64);
        self.members = places.into_iter().flatten().filter_map(node).collect();
        Ok(())
    }

    fn time(&mut self, object: &Map<String, Value>) -> Result<(), String> {
        let t = object.get("t").and_then(Value::as_u64);
        let t = t.ok_or("`t` is missing; write whole microseconds")?;
        if t < self.t {
            return Err(format!("`t` is {t}, before the line above; write the lines in order"));
        }
        self.t = t;
        Ok(())
    }

    fn key(&self, object: &Map<String, Value>, key: &str, shape: Shape) -> Result<(), String> {
        let Some(value) = object.get(key) else {
            let optional = matches!(shape, Relays);
            return if optional { Ok(()) } else { Err(format!("`{key}` is missing; add it")) };
        };
        let all = |each: &dyn Fn(&Value) -> bool| {
            value.as_array().is_some_and(|values| values.iter().all(each))
        };
        let pair = |each: &dyn Fn(&Value) -> bool, value: &Value| {
            value.as_array().is_some_and(|pair| pair.len() == 2 && pair.iter().all(each))
        };
        let place = |value: &Value| value["node"].is_u64() && value["island"].is_u64();
        let (right, what) = match shape {
            Number => (value.is_u64(), "a whole number"),
            Text => (value.is_string(), "a text"),
            Member => (self.is_member(value), "one of the first line's members"),
            Members | Relays => {
                (all(&|one| self.is_member(one)), "a list of the first line's members")
            }
            Runs => (all(&|one| pair(&Value::is_u64, one)), "a list of pairs of whole numbers"),
            Links => {
                let links = all(&|one| pair(&|end| self.is_member(end), one));
                (links, "a list of pairs of members")
            }
            Places => (all(&place), "a list with `node` and `island` for each member"),
            Keys => {
                let numbers = |keys: &Map<String, Value>| keys.values().all(Value::is_u64);
                (value.as_object().is_some_and(numbers), "whole numbers by name")
            }
        };
        if right { Ok(()) } else { Err(format!("`{key}` is {value}; write {what}")) }
    }

    fn is_member(&self, value: &Value) -> bool {
        value.as_u64().is_some_and(|node| self.members.contains(&node))
    }
}
