//! Core messages survive their bytes, all of them, and nothing else is taken for one.

use crate::message::{Malformed, length, put, take};
use bytes::{BufMut, Bytes, BytesMut};
use holm_raft_core::{
    Ballot, Body, Boot, Cause, Chunk, Configuration, Entry, EntryId, EntryKind, Incarnation, Index,
    LogTime, Member, MemberId, Message, NodeId, RequestNumber, SnapshotId, SnapshotMeta, Term,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..100).prop_map(Bytes::from)
}

fn id() -> impl Strategy<Value = EntryId> {
    any::<(u64, u64)>().prop_map(|(term, index)| EntryId::new(Term(term), Index(index)))
}

fn member_id() -> impl Strategy<Value = MemberId> {
    any::<(u64, u64)>().prop_map(|(node, of)| MemberId::new(NodeId(node), Incarnation(of)))
}

fn entry() -> impl Strategy<Value = Entry> {
    let kinds = [EntryKind::Noop, EntryKind::Command, EntryKind::Configuration];
    (id(), any::<u64>(), 0..kinds.len(), data()).prop_map(move |(id, time, kind, data)| Entry {
        id,
        time: LogTime(time),
        kind: kinds[kind],
        data,
    })
}

fn ballot() -> impl Strategy<Value = Ballot> {
    prop_oneof![Just(Ballot::Granted), Just(Ballot::Refused)]
}

fn request() -> impl Strategy<Value = (Boot, RequestNumber)> {
    any::<(u64, u64)>().prop_map(|(boot, number)| (Boot(boot), RequestNumber(number)))
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![Just(Cause::Timeout), Just(Cause::Transfer)]
}

fn snapshot() -> impl Strategy<Value = SnapshotId> {
    (id(), any::<u64>(), any::<u32>()).prop_map(|(last, length, checksum)| SnapshotId {
        last,
        length,
        checksum,
    })
}

fn chunk() -> impl Strategy<Value = Chunk> {
    let members = vec((member_id(), data()).prop_map(|(id, info)| Member { id, info }), 0..4);
    (snapshot(), any::<u64>(), members, any::<u64>(), any::<u64>(), data()).prop_map(
        |(snapshot, time, members, at, offset, data)| {
            let SnapshotId { last, length, checksum } = snapshot;
            let meta = SnapshotMeta {
                last,
                time: LogTime(time),
                configuration: Configuration::new(members),
                configuration_index: Index(at),
            };
            Chunk { meta, length, checksum, offset, data }
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let number = any::<u64>;
    prop_oneof![
        id().prop_map(|last| Body::PreVote { last }),
        ballot().prop_map(Body::PreVoted),
        (id(), cause()).prop_map(|(last, cause)| Body::Vote { last, cause }),
        Just(Body::TimeoutNow),
        ballot().prop_map(Body::Voted),
        (id(), vec(entry(), 0..5), number()).prop_map(|(prev, entries, commit)| Body::Append {
            prev,
            entries,
            commit: Index(commit),
        }),
        number().prop_map(|matched| Body::Appended { matched: Index(matched) }),
        number().prop_map(|commit| Body::Committed { commit: Index(commit) }),
        (number(), id()).prop_map(|(prev, hint)| Body::Rejected { prev: Index(prev), hint }),
        (number(), number())
            .prop_map(|(round, commit)| Body::Heartbeat { round, commit: Index(commit) }),
        number().prop_map(|round| Body::HeartbeatAck { round }),
        chunk().prop_map(|chunk| Body::Snapshot(chunk.into())),
        (snapshot(), number()).prop_map(|(snapshot, stored)| Body::Received { snapshot, stored }),
        (request(), data()).prop_map(|((boot, number), data)| Body::Propose { boot, number, data }),
        (request(), option::of(id())).prop_map(|((boot, number), appended)| Body::Proposed {
            boot,
            number,
            appended,
        }),
        request().prop_map(|(boot, number)| Body::Read { boot, number }),
        (request(), option::of(number())).prop_map(|((boot, number), index)| Body::ReadAt {
            boot,
            number,
            index: index.map(Index),
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (member_id(), member_id(), any::<u64>(), body()).prop_map(|(from, to, term, body)| Message {
        from,
        to,
        term: Term(term),
        body,
    })
}

fn bytes_of(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    put(message, &mut out);
    out.freeze()
}

fn take_as(of: &Message, bytes: Bytes) -> Result<Message, Malformed> {
    take(of.from.node, of.to.node, bytes)
}

proptest! {
    #[test]
    fn a_message_survives_its_bytes_and_is_as_long_as_it_says(message in message()) {
        let bytes = bytes_of(&message);
        prop_assert_eq!(bytes.len(), length(&message));
        prop_assert_eq!(take_as(&message, bytes), Ok(message));
    }

    #[test]
    fn a_message_cut_short_or_drawn_out_is_refused(message in message(), at in any::<usize>()) {
        let bytes = bytes_of(&message);
        prop_assert!(take_as(&message, bytes.slice(..at % bytes.len())).is_err());
        let longer = [&bytes[..], &[0]].concat();
        let refused = take_as(&message, longer.into());
        prop_assert_eq!(refused, Err(Malformed("bytes stand after its end")));
    }

    #[test]
    fn a_changed_byte_is_refused_or_gives_another_message_of_the_same_bytes(
        message in message(),
        at in any::<usize>(),
        by in 1..=u8::MAX,
    ) {
        let mut bytes = bytes_of(&message).to_vec();
        let at = at % bytes.len();
        bytes[at] ^= by;
        let bytes = Bytes::from(bytes);
        if let Ok(other) = take_as(&message, bytes.clone()) {
            prop_assert_ne!(&other, &message);
            prop_assert_eq!(bytes_of(&other), bytes);
        }
    }
}

#[test]
fn a_count_of_entries_beyond_the_bytes_is_refused_before_room_is_made() {
    let mut out = BytesMut::new();
    out.put_u8(5);
    out.put_slice(&[0; 24]);
    out.put_slice(&[0; 24]);
    out.put_u32_le(u32::MAX);
    out.put_slice(&[0; 60]);
    let refused = take(NodeId(1), NodeId(2), out.freeze());
    assert_eq!(refused, Err(Malformed("it has fewer entries than it says")));
}

#[test]
fn entries_are_slices_of_the_frame() {
    let id = EntryId::new(Term(2), Index(5));
    let kind = EntryKind::Command;
    let entry = Entry { id, time: LogTime(9), kind, data: Bytes::from_static(&[7; 100]) };
    let member = MemberId::new(NodeId(1), Incarnation(1));
    let body = Body::Append { prev: EntryId::ZERO, entries: vec![entry], commit: Index(0) };
    let bytes = bytes_of(&Message { from: member, to: member, term: Term(2), body });
    let taken = take(NodeId(1), NodeId(1), bytes.clone()).expect("valid");
    let Body::Append { entries, .. } = taken.body else { panic!("an append") };
    assert!(bytes.as_ptr_range().contains(&entries[0].data.as_ptr()));
}
