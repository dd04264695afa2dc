//! The trace as text, one line a thing, in columns that are made to be read.

use super::{Line, State, What};

pub(super) const COLUMNS: &str = "\
seconds      simulated time
who          the member, client (c1) or `-` for what happens to the whole
what         what happens
the rest     a member's state: role, term, leader, log (start, last], durable, commit, applied;
             a message: its number, kind, sender > receiver, term, what it says";

/// One line of text.
pub(super) fn line(line: &Line) -> String {
    let (who, what, rest) = columns(&line.what);
    let (seconds, micros) = (line.t / 1_000_000, line.t % 1_000_000);
    format!("{seconds:>4}.{micros:06} {who:<4} {what:<9} {rest}\n")
}

fn columns(what: &What) -> (String, &'static str, String) {
    let nobody = || "-".to_owned();
    match what {
        What::Holm { world, seed, members, .. } => {
            let rest = format!("{world} world, seed {seed}, {} members", members.len());
            (nobody(), "begins", rest)
        }
        What::Sent { id, kind, from, to, term, via, due, says } => {
            let via: String = via.iter().map(|relay| format!("{relay} > ")).collect();
            let rest = format!("#{id} {kind} {from} > {via}{to} term={term} {says} due={due}");
            (from.to_string(), "sends", rest)
        }
        What::Delivered { id } => (nobody(), "delivers", format!("#{id}")),
        What::Lost { id, kind, from, to, why } => {
            (nobody(), "loses", format!("#{id} {kind} {from} > {to}: {why}"))
        }
        What::Member(state) => (state.node.to_string(), "is", member(state)),
        What::Log { node, terms } => {
            let terms: Vec<String> =
                terms.iter().map(|(from, term)| format!("{term} from {from}")).collect();
            (node.to_string(), "terms", terms.join(", "))
        }
        What::Configured { index, voters, outgoing, learners } => {
            let rest = format!(
                "by entry {index}: voters {voters:?}, outgoing {outgoing:?}, learners {learners:?}"
            );
            (nobody(), "members", rest)
        }
        What::Down { node, why } => (node.to_string(), "is down", why.clone()),
        What::Begin { n, what, with } => {
            let with: String = with.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            (nobody(), "begins", format!("{what}{with} ({n})"))
        }
        What::End { n, what } => (nobody(), "ends", format!("{what} ({n})")),
        What::Note { says } => (nobody(), "notes", says.clone()),
        What::Said { node, says } => (node.to_string(), "says", says.clone()),
        What::Asks { op, client, what, key, value, at, again } => {
            let again =
                if *again == 0 { String::new() } else { format!(", attempt {}", again + 1) };
            let rest = format!("{what} k{key} {value} at {at} (op {op}{again})");
            (format!("c{client}"), "asks", rest)
        }
        What::Answered { op, client, value } => {
            (format!("c{client}"), "answered", format!("{value} (op {op})"))
        }
        What::Phase { phase } => (nobody(), "phase", (*phase).to_owned()),
        What::Violation { checker, says } => (nobody(), "BROKEN", format!("{checker}: {says}")),
    }
}

fn member(state: &State) -> String {
    let State { role, term, leader, start, last, last_term, durable, commit, applied, .. } = state;
    let leader = if *leader == 0 { "-".to_owned() } else { leader.to_string() };
    format!(
        "{role} term={term} leader={leader} log=({start}, {last}@{last_term}] durable={durable} \
         commit={commit} applied={applied}"
    )
}
