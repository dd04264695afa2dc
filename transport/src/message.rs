//! A core message as the body of a frame: `put`, `length`, `take`, and `class`, which says what
//! must not wait behind what. The two nodes stand in the frame's head as source and destination.
//!
//! ```text
//!  0     1                   9                 17         25
//! ┌─────┬───────────────────┬─────────────────┬──────────┬─────────────────────────────┐
//! │ tag │ from: incarnation │ to: incarnation │ term u64 │ fields, as the tag says     │
//! │ u8  │ u64               │ u64             │          │ (docs/wire-format.md)       │
//! └─────┴───────────────────┴─────────────────┴──────────┴─────────────────────────────┘
//! ```
//! Each message has one encoding, and `take` accepts no other: not a byte more, not a byte less.

use crate::outgoing::Sink;
use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use holm_raft_core::{
    Ballot, Body, Boot, Cause, Chunk, Configuration, Entry, EntryId, EntryKind, Incarnation, Index,
    LogTime, MemberId, Message, NodeId, RequestNumber, SnapshotId, SnapshotMeta, Term,
};

/// The bytes before the fields.
const HEAD_BYTES: usize = 25;
/// The bytes of an entry before its data.
const ENTRY_HEAD_BYTES: usize = 29;

/// What must not wait behind what: urgent frames overtake all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Small, and awaited: votes, heartbeats, reads, answers.
    Urgent,
    /// As long as its data: entries, proposals, notes.
    Bulk,
    /// Pieces of snapshots, which may be held back.
    Snapshot,
}

/// Why a frame's body is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

impl From<TryGetError> for Malformed {
    fn from(_: TryGetError) -> Self {
        Self("it ends too early")
    }
}

/// The class of a message with this body. All `Append`s are of one class, the empty ones too, so
/// that none is overtaken by one that builds on it.
pub(crate) fn class(body: &Body) -> Class {
    match body {
        Body::Append { .. } | Body::Propose { .. } => Class::Bulk,
        Body::Snapshot(_) => Class::Snapshot,
        Body::PreVote { .. }
        | Body::PreVoted(_)
        | Body::Vote { .. }
        | Body::Voted(_)
        | Body::Appended { .. }
        | Body::Rejected { .. }
        | Body::Heartbeat { .. }
        | Body::HeartbeatAck { .. }
        | Body::TimeoutNow
        | Body::Received { .. }
        | Body::Committed { .. }
        | Body::Proposed { .. }
        | Body::Read { .. }
        | Body::ReadAt { .. } => Class::Urgent,
    }
}

/// How many bytes `put` appends.
pub(crate) fn length(message: &Message) -> usize {
    let fields = match &message.body {
        Body::TimeoutNow => 0,
        Body::PreVoted(_) | Body::Voted(_) => 1,
        Body::PreVote { .. } | Body::Heartbeat { .. } | Body::Read { .. } => 16,
        Body::Vote { .. } => 17,
        Body::Append { entries, .. } => {
            28 + entries.iter().map(|entry| ENTRY_HEAD_BYTES + entry.data.len()).sum::<usize>()
        }
        Body::Appended { .. } | Body::Committed { .. } | Body::HeartbeatAck { .. } => 8,
        Body::Rejected { .. } => 24,
        Body::Snapshot(chunk) => 60 + chunk.meta.configuration.encode().len() + chunk.data.len(),
        Body::Received { .. } => 36,
        Body::Propose { data, .. } => 20 + data.len(),
        Body::Proposed { appended, .. } => 17 + appended.map_or(0, |_| 16),
        Body::ReadAt { index, .. } => 17 + index.map_or(0, |_| 8),
    };
    HEAD_BYTES + fields
}

/// Appends the message's bytes. Its data must be shorter than 4 GiB: the queue has measured it.
pub(crate) fn put(message: &Message, sink: &mut dyn Sink) {
    let out = sink.fields();
    out.put_u8(tag(&message.body));
    out.put_u64_le(message.from.incarnation.0);
    out.put_u64_le(message.to.incarnation.0);
    out.put_u64_le(message.term.0);
    match &message.body {
        Body::PreVote { last } => put_id(*last, out),
        Body::Vote { last, cause } => {
            put_id(*last, out);
            out.put_u8(match cause {
                Cause::Timeout => 0,
                Cause::Transfer => 1,
            });
        }
        Body::TimeoutNow => {}
        Body::PreVoted(ballot) | Body::Voted(ballot) => out.put_u8(match ballot {
            Ballot::Refused => 0,
            Ballot::Granted => 1,
        }),
        Body::Append { prev, entries, commit } => {
            put_id(*prev, out);
            out.put_u64_le(commit.0);
            put_length(entries.len(), out);
            entries.iter().for_each(|entry| put_entry(entry, sink));
        }
        Body::Appended { matched: index } | Body::Committed { commit: index } => {
            out.put_u64_le(index.0);
        }
        Body::Rejected { prev, hint } => {
            out.put_u64_le(prev.0);
            put_id(*hint, out);
        }
        Body::Heartbeat { round, commit } => {
            out.put_u64_le(*round);
            out.put_u64_le(commit.0);
        }
        Body::HeartbeatAck { round } => out.put_u64_le(*round),
        Body::Snapshot(chunk) => {
            put_snapshot(chunk.id(), out);
            out.put_u64_le(chunk.meta.time.0);
            out.put_u64_le(chunk.meta.configuration_index.0);
            out.put_u64_le(chunk.offset);
            put_data(&chunk.meta.configuration.encode(), sink);
            put_data(&chunk.data, sink);
        }
        Body::Received { snapshot, stored } => {
            put_snapshot(*snapshot, out);
            out.put_u64_le(*stored);
        }
        Body::Propose { boot, number, data } => {
            put_request(*boot, *number, out);
            put_data(data, sink);
        }
        Body::Proposed { boot, number, appended } => {
            put_request(*boot, *number, out);
            put_option(*appended, out, put_id);
        }
        Body::Read { boot, number } => put_request(*boot, *number, out),
        Body::ReadAt { boot, number, index } => {
            put_request(*boot, *number, out);
            put_option(*index, out, |index, out| out.put_u64_le(index.0));
        }
    }
}

/// The message in a frame's body; data are slices of it.
pub(crate) fn take(
    source: NodeId,
    destination: NodeId,
    mut bytes: Bytes,
) -> Result<Message, Malformed> {
    let bytes = &mut bytes;
    let tag = bytes.try_get_u8()?;
    let from = MemberId::new(source, Incarnation(bytes.try_get_u64_le()?));
    let to = MemberId::new(destination, Incarnation(bytes.try_get_u64_le()?));
    let term = Term(bytes.try_get_u64_le()?);
    let body = take_body(tag, bytes)?;
    if bytes.has_remaining() {
        return Err(Malformed("bytes stand after its end"));
    }
    Ok(Message { from, to, term, body })
}

const fn tag(body: &Body) -> u8 {
    match body {
        Body::PreVote { .. } => 1,
        Body::PreVoted(_) => 2,
        Body::Vote { .. } => 3,
        Body::Voted(_) => 4,
        Body::Append { .. } => 5,
        Body::Appended { .. } => 6,
        Body::Rejected { .. } => 7,
        Body::Heartbeat { .. } => 8,
        Body::HeartbeatAck { .. } => 9,
        Body::Snapshot(_) => 10,
        Body::Propose { .. } => 11,
        Body::Proposed { .. } => 12,
        Body::Read { .. } => 13,
        Body::ReadAt { .. } => 14,
        Body::TimeoutNow => 15,
        Body::Received { .. } => 16,
        Body::Committed { .. } => 17,
    }
}

fn take_body(tag: u8, bytes: &mut Bytes) -> Result<Body, Malformed> {
    Ok(match tag {
        1 => Body::PreVote { last: take_id(bytes)? },
        2 => Body::PreVoted(take_ballot(bytes)?),
        3 => Body::Vote { last: take_id(bytes)?, cause: take_cause(bytes)? },
        4 => Body::Voted(take_ballot(bytes)?),
        5 => take_append(bytes)?,
        6 => Body::Appended { matched: Index(bytes.try_get_u64_le()?) },
        7 => Body::Rejected { prev: Index(bytes.try_get_u64_le()?), hint: take_id(bytes)? },
        8 => Body::Heartbeat {
            round: bytes.try_get_u64_le()?,
            commit: Index(bytes.try_get_u64_le()?),
        },
        9 => Body::HeartbeatAck { round: bytes.try_get_u64_le()? },
        10 => Body::Snapshot(take_chunk(bytes)?.into()),
        11 => {
            let (boot, number) = take_request(bytes)?;
            Body::Propose { boot, number, data: take_data(bytes)? }
        }
        12 => {
            let (boot, number) = take_request(bytes)?;
            Body::Proposed { boot, number, appended: take_option(bytes, take_id)? }
        }
        13 => {
            let (boot, number) = take_request(bytes)?;
            Body::Read { boot, number }
        }
        14 => {
            let (boot, number) = take_request(bytes)?;
            let index = take_option(bytes, |bytes| Ok(Index(bytes.try_get_u64_le()?)))?;
            Body::ReadAt { boot, number, index }
        }
        15 => Body::TimeoutNow,
        16 => Body::Received { snapshot: take_snapshot(bytes)?, stored: bytes.try_get_u64_le()? },
        17 => Body::Committed { commit: Index(bytes.try_get_u64_le()?) },
        _ => return Err(Malformed("its tag is unknown")),
    })
}

fn take_cause(bytes: &mut Bytes) -> Result<Cause, Malformed> {
    match bytes.try_get_u8()? {
        0 => Ok(Cause::Timeout),
        1 => Ok(Cause::Transfer),
        _ => Err(Malformed("its cause is unknown")),
    }
}

fn take_append(bytes: &mut Bytes) -> Result<Body, Malformed> {
    let prev = take_id(bytes)?;
    let commit = Index(bytes.try_get_u64_le()?);
    let count = take_length(bytes)?;
    if count > bytes.remaining() / ENTRY_HEAD_BYTES {
        return Err(Malformed("it has fewer entries than it says"));
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(take_entry(bytes)?);
    }
    Ok(Body::Append { prev, entries, commit })
}

fn put_snapshot(snapshot: SnapshotId, out: &mut BytesMut) {
    put_id(snapshot.last, out);
    out.put_u64_le(snapshot.length);
    out.put_u32_le(snapshot.checksum);
}

fn take_snapshot(bytes: &mut Bytes) -> Result<SnapshotId, Malformed> {
    let (last, length) = (take_id(bytes)?, bytes.try_get_u64_le()?);
    Ok(SnapshotId { last, length, checksum: bytes.try_get_u32_le()? })
}

fn take_chunk(bytes: &mut Bytes) -> Result<Chunk, Malformed> {
    let SnapshotId { last, length, checksum } = take_snapshot(bytes)?;
    let time = LogTime(bytes.try_get_u64_le()?);
    let configuration_index = Index(bytes.try_get_u64_le()?);
    let offset = bytes.try_get_u64_le()?;
    let configuration = Configuration::decode(take_data(bytes)?)
        .map_err(|_| Malformed("its configuration is none"))?;
    let meta = SnapshotMeta { last, time, configuration, configuration_index };
    Ok(Chunk { meta, length, checksum, offset, data: take_data(bytes)? })
}

fn put_entry(entry: &Entry, sink: &mut dyn Sink) {
    let out = sink.fields();
    put_id(entry.id, out);
    out.put_u64_le(entry.time.0);
    out.put_u8(entry.kind.code());
    put_data(&entry.data, sink);
}

fn take_entry(bytes: &mut Bytes) -> Result<Entry, Malformed> {
    let id = take_id(bytes)?;
    let time = LogTime(bytes.try_get_u64_le()?);
    let kind = EntryKind::from_code(bytes.try_get_u8()?)
        .ok_or(Malformed("the kind of an entry is unknown"))?;
    Ok(Entry { id, time, kind, data: take_data(bytes)? })
}

fn put_id(id: EntryId, out: &mut BytesMut) {
    out.put_u64_le(id.term.0);
    out.put_u64_le(id.index.0);
}

fn take_id(bytes: &mut Bytes) -> Result<EntryId, Malformed> {
    let term = Term(bytes.try_get_u64_le()?);
    Ok(EntryId::new(term, Index(bytes.try_get_u64_le()?)))
}

fn take_ballot(bytes: &mut Bytes) -> Result<Ballot, Malformed> {
    match bytes.try_get_u8()? {
        0 => Ok(Ballot::Refused),
        1 => Ok(Ballot::Granted),
        _ => Err(Malformed("a ballot is neither 0 nor 1")),
    }
}

fn put_request(boot: Boot, number: RequestNumber, out: &mut BytesMut) {
    out.put_u64_le(boot.0);
    out.put_u64_le(number.0);
}

fn take_request(bytes: &mut Bytes) -> Result<(Boot, RequestNumber), Malformed> {
    let boot = Boot(bytes.try_get_u64_le()?);
    Ok((boot, RequestNumber(bytes.try_get_u64_le()?)))
}

fn put_option<T>(value: Option<T>, out: &mut BytesMut, put: impl FnOnce(T, &mut BytesMut)) {
    out.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, out);
    }
}

fn take_option<T>(
    bytes: &mut Bytes,
    take: impl FnOnce(&mut Bytes) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match bytes.try_get_u8()? {
        0 => Ok(None),
        1 => take(bytes).map(Some),
        _ => Err(Malformed("a presence byte is neither 0 nor 1")),
    }
}

fn put_data(data: &Bytes, sink: &mut dyn Sink) {
    put_length(data.len(), sink.fields());
    sink.data(data);
}

fn take_data(bytes: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = take_length(bytes)?;
    if length > bytes.remaining() {
        return Err(Malformed("it has fewer bytes than it says"));
    }
    Ok(bytes.split_to(length))
}

fn put_length(length: usize, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(length).expect("messages are measured before they are queued"));
}

fn take_length(bytes: &mut Bytes) -> Result<usize, Malformed> {
    Ok(usize::try_from(bytes.try_get_u32_le()?).unwrap_or(usize::MAX))
}
