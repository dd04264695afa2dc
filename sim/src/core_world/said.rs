//! What messages say, in a few words, and how many bytes they take on a link.

use bytes::Bytes;
use holm_raft_core::{Body, Entry, Message};

/// What a message says beside its kind, sender, receiver and term.
pub(super) fn says(message: &Message) -> String {
    match &message.body {
        Body::PreVote { last } => format!("last={last}"),
        Body::Vote { last, cause } => format!("last={last} {cause:?}"),
        Body::PreVoted(ballot) | Body::Voted(ballot) => format!("{ballot:?}"),
        Body::Append { prev, entries, commit } => {
            let last = entries.last().map_or(*prev, |entry| entry.id);
            format!("({prev}, {last}] commit={commit}")
        }
        Body::Appended { matched } => format!("matched={matched}"),
        Body::Rejected { prev, hint } => format!("prev={prev} hint={hint}"),
        Body::Committed { commit } => format!("commit={commit}"),
        Body::Heartbeat { round, commit } => format!("round={round} commit={commit}"),
        Body::HeartbeatAck { round } => format!("round={round}"),
        Body::TimeoutNow => String::new(),
        Body::Snapshot(chunk) => {
            format!("{} {}..{} of {}", chunk.meta.last, chunk.offset, chunk.end(), chunk.length)
        }
        Body::Received { snapshot, stored } => format!("{} {stored}", snapshot.last),
        Body::Propose { number, .. } => format!("number={number}"),
        Body::Proposed { number, appended, .. } => match appended {
            Some(id) => format!("number={number} appended={id}"),
            None => format!("number={number} refused"),
        },
        Body::Read { number, .. } => format!("number={number}"),
        Body::ReadAt { number, index, .. } => match index {
            Some(index) => format!("number={number} index={index}"),
            None => format!("number={number} refused"),
        },
    }
}

/// The message as its receiver decodes it: its entries are no part of the sender's log any more.
pub(super) fn off_the_wire(mut message: Message) -> Message {
    if let Body::Append { entries, .. } = &mut message.body {
        entries.iter_mut().for_each(own);
    }
    message
}

/// The entry's bytes become its own, so that no file of a log is held by them.
pub(super) fn own(entry: &mut Entry) {
    entry.data = Bytes::copy_from_slice(&entry.data);
}

/// About how many bytes it has in a frame.
pub(super) fn bytes(message: &Message) -> u64 {
    64 + match &message.body {
        Body::Append { entries, .. } => entries.iter().map(Entry::weight).sum(),
        Body::Snapshot(chunk) => chunk.data.len() as u64,
        Body::Propose { data, .. } => data.len() as u64,
        _ => 0,
    }
}
