//! What the members say of themselves while they run: `Listener` takes every line that Holm logs,
//! with the member whose machine it is from, and makes of it what the trace and the coverage table
//! have. madsim's lines stay out: they carry ids that count through the whole process. What lines
//! say of sessions and ways is handed to their checker.

use super::backups::RESTORED;
use super::configurations;
use super::findings::{self, judge, say, with};
use super::promises;
use super::sessions;
use crate::trace::{State, What};
use holm_raft_core::{Incarnation, MemberId, NodeId, Term};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write};
use std::rc::Rc;
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::{Event, Id, Level, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Listens to the members.
struct Listener;

pub(super) fn subscriber() -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(Listener)
}

/// On which member's machine a span runs.
struct Machine(u64);

/// Who waits for a member's next term.
type Waits = BTreeMap<u64, Rc<Notify>>;

/// What members were last, and which messages are on their way.
#[derive(Default)]
struct Known {
    states: BTreeMap<u64, State>,
    /// From which index on entries are of which term, by member.
    terms: BTreeMap<u64, Vec<(u64, u64)>>,
    /// How often each member has learnt that more of its log is durable.
    syncs: BTreeMap<u64, u64>,
    waits: Waits,
    sent: u64,
    /// The line in which each that has not arrived was sent, with its number, by all that it says.
    flights: BTreeMap<String, VecDeque<(usize, u64)>>,
}

std::thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut line = Line::default();
        attributes.record(&mut line);
        let member = line.fields.split_once("member ").map(|(_, number)| number);
        let digits = |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok();
        if let (Some(member), Some(span)) = (member.and_then(digits), context.span(id)) {
            span.extensions_mut().insert(Machine(member));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let target = metadata.target();
        if !target.starts_with("holm") {
            return;
        }
        let mut line = Line::default();
        match target {
            // A backup is restored beside the cluster.
            "holm::turn" | "holm::members" if is_beside(event) => return,
            "holm::message" => {
                line.says = if with(|found| found.trace.is_kept()) { Says::All } else { Says::Few };
                event.record(&mut line);
                return message(&line);
            }
            "holm::turn" => {
                event.record(&mut line);
                return turn(&line);
            }
            "holm::members" => {
                event.record(&mut line);
                let [node, index] = ["node", "index"].map(|name| line.number(name).unwrap_or(0));
                return configurations::heard(node, index, line.field("members"));
            }
            _ => event.record(&mut line),
        }
        let machine = || {
            let mut scope = context.event_scope(event)?;
            scope.find_map(|span| span.extensions().get::<Machine>().map(|machine| machine.0))
        };
        let node = machine().unwrap_or(0);
        if *metadata.level() <= Level::DEBUG {
            let Line { message, fields, .. } = &line;
            say(|| What::Said { node, says: format!("{target}: {message}{fields}") });
        }
        sessions::heard(node, &line);
    }
}

/// Whether somebody says it who is none of the members.
fn is_beside(event: &Event<'_>) -> bool {
    let mut line = Line { says: Says::Few, ..Line::default() };
    event.record(&mut line);
    line.number("node").is_some_and(|node| node >= RESTORED)
}

/// A message leaves or arrives.
fn message(line: &Line) {
    let [from, to, term] = ["from", "to", "term"].map(|name| line.number(name).unwrap_or(0));
    let kind = line.word("kind");
    let leaves = line.word("way") == "leaves";
    if !leaves {
        let role = KNOWN.with_borrow(|known| known.states.get(&to).map_or("follower", |s| s.role));
        with(|found| {
            found.messages += 1;
            found.coverage.takes(role, kind);
        });
    }
    if leaves {
        promises::leaves(from, kind, (to, term), line.field("says"));
    }
    if line.says == Says::Few {
        return;
    }
    let says = line.field("says").to_owned();
    let key = format!("{from} {to} {kind} {term} {says}");
    KNOWN.with_borrow_mut(|known| {
        if leaves {
            known.sent += 1;
            let id = known.sent;
            let due = findings::now();
            let place = with(|found| found.trace.lines().len());
            say(|| What::Sent { id, kind, from, to, term, via: Vec::new(), due, says });
            known.flights.entry(key).or_default().push_back((place, id));
        } else if let Some((place, id)) = known.flights.get_mut(&key).and_then(VecDeque::pop_front)
        {
            with(|found| found.trace.arrives(place, findings::now()));
            say(|| What::Delivered { id });
        }
    });
}

/// What a member is after a turn.
fn turn(line: &Line) {
    let number = |name: &str| line.number(name).unwrap_or(0);
    let node = number("node");
    let state = State {
        node,
        incarnation: number("incarnation"),
        role: line.word("role"),
        term: number("term"),
        leader: number("leader"),
        start: number("start"),
        last: number("last"),
        last_term: number("last_term"),
        durable: number("durable"),
        commit: number("commit"),
        applied: number("applied"),
    };
    with(|found| {
        found.turns += 1;
        found.commit = found.commit.max(state.commit);
    });
    configurations::committed(node, state.commit);
    promises::turn(node, state.term, state.durable);
    let known = KNOWN.with_borrow_mut(|known| {
        let before = known.states.insert(node, state.clone());
        if before.as_ref().is_some_and(|before| before.durable < state.durable) {
            *known.syncs.entry(node).or_default() += 1;
        }
        if before.as_ref().is_some_and(|before| before.term < state.term)
            && let Some(waits) = known.waits.remove(&node)
        {
            waits.notify_one();
        }
        let terms = known.terms.entry(node).or_default();
        let changed = grow(terms, before.as_ref(), &state);
        (before, changed.then(|| terms.clone()))
    });
    let (before, terms) = known;
    if before.as_ref() == Some(&state) {
        return;
    }
    let role = before.as_ref().map_or("follower", |before| before.role);
    if role != state.role {
        with(|found| found.coverage.becomes(role, state.role));
    }
    if state.role == "leader" {
        let leader = MemberId::new(NodeId(node), Incarnation(state.incarnation));
        judge(with(|found| found.election.leads(Term(state.term), leader)));
    }
    if let Some(terms) = terms {
        say(|| What::Log { node, terms });
    }
    say(|| What::Member(state));
}

/// Follows which term stands where, as far as a member's ends of turns tell: entries of several
/// terms that came in one turn are shown with the last one's. Says whether it has changed.
fn grow(terms: &mut Vec<(u64, u64)>, before: Option<&State>, now: &State) -> bool {
    let known = terms.clone();
    terms.retain(|(first, _)| *first <= now.last);
    let known_last = before.map_or(now.start, |before| before.last);
    if terms.last().is_none_or(|(_, term)| *term != now.last_term) && now.last > now.start {
        let first = (known_last.min(now.last - 1) + 1).max(now.start + 1);
        terms.retain(|(other, _)| *other < first);
        terms.push((first, now.last_term));
    }
    let begun = terms.iter().rposition(|(first, _)| *first <= now.start + 1).unwrap_or(0);
    terms.drain(..begun);
    known != *terms
}

/// A member's process is gone.
pub(super) fn is_down(node: u64, why: &str) {
    KNOWN.with_borrow_mut(|known| _ = known.states.remove(&node));
    say(|| What::Down { node, why: why.to_owned() });
}

/// Until a member comes to another term, while what says so is on its way to its disk.
pub(super) async fn next_term(node: u64) {
    let begun = Rc::new(Notify::new());
    KNOWN.with_borrow_mut(|known| known.waits.insert(node, Rc::clone(&begun)));
    begun.notified().await;
}

/// How often a member has learnt that more of its log is durable.
pub(super) fn syncs(node: u64) -> u64 {
    KNOWN.with_borrow(|known| known.syncs.get(&node).copied().unwrap_or(0))
}

/// Who leads in the highest term, of those that run.
pub(super) fn leader() -> Option<u64> {
    KNOWN.with_borrow(|known| {
        let leaders = known.states.values().filter(|state| state.role == "leader");
        leaders.map(|state| (state.term, state.node)).max().map(|(_, node)| node)
    })
}

/// Those that have not arrived by the end, with the line in which they left.
pub(super) fn never_arrived() -> Vec<(usize, u64)> {
    let flights = KNOWN.with_borrow_mut(|known| std::mem::take(&mut known.flights));
    let mut left: Vec<(usize, u64)> = flights.into_values().flatten().collect();
    left.sort_unstable();
    left
}

/// Whether texts are written down, which takes longer than all else.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Says {
    #[default]
    All,
    /// Those alone that the checkers need.
    Few,
}

/// The kinds of messages whose texts checkers need.
const NEEDED: [&str; 2] = ["appended", "voted"];

/// One event's words.
#[derive(Default)]
pub(super) struct Line {
    pub(super) message: String,
    fields: String,
    numbers: Vec<(&'static str, u64)>,
    words: Vec<(&'static str, &'static str)>,
    says: Says,
}

impl Line {
    /// The value of a field that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.numbers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The value of another field, as it is shown, up to the first space.
    pub(super) fn field_word(&self, name: &str) -> Option<&str> {
        let (_, after) = self.fields.split_once(&format!(" {name}="))?;
        Some(after.split(' ').next().unwrap_or(after))
    }

    /// The value of the last field, all of it.
    fn field(&self, name: &str) -> &str {
        self.fields.split_once(&format!(" {name}=")).map_or("", |(_, after)| after)
    }

    /// The value of a field that is one of the words that cores have for roles and messages.
    fn word(&self, name: &str) -> &'static str {
        self.words.iter().find(|(known, _)| *known == name).map_or("", |(_, word)| *word)
    }
}

/// The words that fields may have as they are.
const WORDS: [&str; 2] = ["leaves", "arrives"];

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.numbers.push((field.name(), value));
        if self.says == Says::All {
            self.record_debug(field, &value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let known = WORDS.iter().chain(&crate::coverage::ROLES).chain(&crate::coverage::KINDS);
        if let Some(word) = { known }.find(|word| **word == value) {
            self.words.push((field.name(), *word));
        }
        self.record_debug(field, &format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let needed = || field.name() == "says" && NEEDED.contains(&self.word("kind"));
        if self.says == Says::Few && !needed() {
            return;
        }
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        written.expect("a string takes everything");
    }
}
