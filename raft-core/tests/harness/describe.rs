//! One line for each thing that happens: messages, writes and entries as scripts print them.

use holm_raft_core::{Ballot, Body, Cause, Chunk, Entry, EntryKind, MemberId, Message, Persist};

pub(crate) fn message(message: &Message) -> String {
    let (from, to) = (message.from.node, message.to.node);
    let head = format!("{from}->{to} {} term={}", message.body.name(), message.term);
    let rest = body(&message.body);
    if rest.is_empty() { head } else { format!("{head} {rest}") }
}

fn body(body: &Body) -> String {
    match body {
        Body::PreVote { last } => format!("last={last}"),
        Body::Vote { last, cause } => match cause {
            Cause::Timeout => format!("last={last}"),
            Cause::Transfer => format!("last={last} transfer"),
        },
        Body::TimeoutNow => String::new(),
        Body::PreVoted(ballot) | Body::Voted(ballot) => match ballot {
            Ballot::Granted => "granted".into(),
            Ballot::Refused => "refused".into(),
        },
        Body::Append { prev, entries, commit } => {
            format!("prev={prev} entries=[{}] commit={commit}", ids(entries))
        }
        Body::Appended { matched } => format!("matched={matched}"),
        Body::Rejected { prev, hint } => format!("prev={prev} hint={hint}"),
        Body::Committed { commit } => format!("commit={commit}"),
        Body::Heartbeat { round, commit } => format!("round={round} commit={commit}"),
        Body::HeartbeatAck { round } => format!("round={round}"),
        Body::Snapshot(chunk) => piece(chunk),
        Body::Received { snapshot, stored } => {
            format!("last={} stored={stored}/{}", snapshot.last, snapshot.length)
        }
        Body::Propose { boot, number, data } => {
            format!("boot={boot} number={number} {}", self::data(data))
        }
        Body::Proposed { boot, number, appended } => match appended {
            Some(id) => format!("boot={boot} number={number} appended={id}"),
            None => format!("boot={boot} number={number} refused"),
        },
        Body::Read { boot, number } => format!("boot={boot} number={number}"),
        Body::ReadAt { boot, number, index } => match index {
            Some(index) => format!("boot={boot} number={number} index={index}"),
            None => format!("boot={boot} number={number} refused"),
        },
        #[allow(unreachable_patterns)] // Whatever is added is at least shown.
        other => format!("{other:?}"),
    }
}

/// A piece of a snapshot; which one, only if it is not the whole.
pub(crate) fn piece(chunk: &Chunk) -> String {
    let last = chunk.meta.last;
    if chunk.data.len() as u64 == chunk.length {
        return format!("last={last}");
    }
    format!("last={last} bytes={}..{}/{}", chunk.offset, chunk.end(), chunk.length)
}

fn ids(entries: &[Entry]) -> String {
    let ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
    ids.join(" ")
}

pub(crate) fn entry(entry: &Entry) -> String {
    match entry.kind {
        EntryKind::Noop => format!("{} noop", entry.id),
        EntryKind::Command => format!("{} {}", entry.id, data(&entry.data)),
        EntryKind::Configuration => format!("{} configuration", entry.id),
    }
}

/// A command as scripts write it: `a*9000` for a letter that is repeated that often.
fn data(data: &[u8]) -> String {
    match data {
        [first, .., _, _] if data.iter().all(|byte| byte == first) => {
            format!("{}*{}", char::from(*first), data.len())
        }
        _ => String::from_utf8_lossy(data).into_owned(),
    }
}

pub(crate) fn vote(vote: Option<MemberId>) -> String {
    vote.map_or_else(|| "-".into(), |vote| vote.node.to_string())
}

/// A write that has not been acknowledged, in the order of its records.
pub(crate) fn persist(persist: &Persist) -> String {
    let mut line = format!("write {}:", persist.number);
    if let Some(hard_state) = persist.hard_state {
        line += &format!(" term={} vote={}", hard_state.term, vote(hard_state.vote));
    }
    if let Some(snapshot) = &persist.snapshot {
        line += &format!(" snapshot={}", snapshot.last);
    }
    if let Some(start) = persist.compact {
        line += &format!(" compact={}", start.id);
    }
    if let Some(from) = persist.truncate {
        line += &format!(" truncate={from}");
    }
    if !persist.entries.is_empty() {
        line += &format!(" entries=[{}]", ids(&persist.entries));
    }
    if !persist.then.is_empty() {
        let then: Vec<String> = persist.then.iter().map(message).collect();
        line += &format!(" then ({})", then.join("; "));
    }
    line
}

/// What of a status line is another than before: the role, and each `key=value` that changed. What
/// was handed out is told by the entries that are applied.
pub(crate) fn changes(before: &str, after: &str) -> Option<String> {
    let (before, after) = (tokens(before), tokens(after));
    let news = after.iter().skip(1).filter(|token| !before.contains(token));
    let news: Vec<&str> =
        news.filter(|token| !token.starts_with("handed=")).map(String::as_str).collect();
    (!news.is_empty()).then(|| format!("{} {}", after[0], news.join(" ")))
}

/// Words, but a parenthesis is one with what stands in it.
fn tokens(line: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match tokens.last_mut() {
            Some(open) if open.contains('(') && !open.ends_with([']', ')']) => {
                open.push(' ');
                open.push_str(word);
            }
            _ => tokens.push(word.to_string()),
        }
    }
    tokens
}
