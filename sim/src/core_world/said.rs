//! What becomes of messages on a link, and how many bytes they take there.

use bytes::Bytes;
use holm_raft_core::{Body, Entry, Message};

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
