//! How much memory a core holds: bytes that are really allocated, counted by the allocator, and its
//! own size. Ten million entries in a hundred terms cost no more than what their terms do, however
//! they came into the log.

use allocation_counter::measure;
use bytes::Bytes;
use holm_raft_core::{
    Ballot, Body, Boot, Config, Configuration, Entry, EntryId, EntryKind, Event, HardState,
    Incarnation, Index, LogTime, Member, MemberId, Message, NodeId, Raft, RequestNumber, Restored,
    SnapshotMeta, Switch, Term,
};

const BYTES_MAX: i64 = 64 << 10;
const TERMS: u64 = 100;
const ENTRIES_OF_TERM: u64 = 100_000;
const ENTRIES: u64 = TERMS * ENTRIES_OF_TERM;
/// In one message.
const ENTRIES_AT_ONCE: u64 = 1_000;

fn member(node: u64) -> MemberId {
    MemberId::new(NodeId(node), Incarnation(node * 11))
}

fn configuration() -> Configuration {
    Configuration::new((1..=3).map(|node| Member { id: member(node), info: Bytes::new() }))
}

fn config() -> Config {
    Config { pre_vote: Switch::Off, ..Config::new(member(1), Boot(1), 7) }
}

/// How many bytes stay allocated of what `run` allocates, and what it returns.
fn held<T>(run: impl FnOnce() -> T) -> (i64, T) {
    let mut value = None;
    let information = measure(|| value = Some(run()));
    (information.bytes_current, value.expect("it ran"))
}

fn own_size() -> i64 {
    i64::try_from(size_of::<Raft>()).expect("small")
}

#[test]
fn a_core_restored_to_ten_million_entries_in_a_hundred_terms_holds_less_than_64_kib() {
    let (bytes, raft) = held(|| {
        let first = |term| EntryId::new(Term(term), Index((term - 1) * ENTRIES_OF_TERM + 1));
        let restored = Restored {
            hard_state: HardState { term: Term(TERMS), vote: None },
            terms: (1..=TERMS).map(first).collect(),
            last: Index(ENTRIES),
            last_time: LogTime(ENTRIES),
            configurations: vec![(Index(1), configuration())],
            snapshot: Some(SnapshotMeta::default()),
            ..Restored::default()
        };
        Raft::new(config(), restored).expect("a good configuration")
    });
    assert_eq!(raft.status().last, EntryId::new(Term(TERMS), Index(ENTRIES)));
    println!("{bytes} bytes beside {} of its own", own_size());
    assert!(bytes + own_size() < BYTES_MAX, "{bytes} bytes");
}

#[test]
fn a_core_that_appended_and_committed_them_itself_holds_less_than_64_kib() {
    let (following, mut raft) = held(|| {
        let mut raft = Raft::new(config(), Restored::default()).expect("a good configuration");
        raft.handle(Event::Form(configuration()));
        work(&mut raft);
        follow(&mut raft);
        raft
    });
    let status = raft.status();
    assert_eq!(status.last, EntryId::new(Term(TERMS), Index(ENTRIES + 1)));
    assert_eq!((status.handed, status.start), (Index(ENTRIES + 1), EntryId::ZERO));
    let (more, ()) = held(|| lead(&mut raft));
    assert_eq!(raft.status().role, "leader");
    println!("{following} bytes, and {more} more to lead, beside {} of its own", own_size());
    assert!(following + own_size() < BYTES_MAX, "{following} bytes");
    assert!(following + more + own_size() < BYTES_MAX, "{following} and {more} bytes");
}

/// Takes all the entries from a leader, a thousand at a time, each durable before the next come.
fn follow(raft: &mut Raft) {
    let mut prev = EntryId::new(Term(1), Index(1));
    for term in (1..=TERMS).map(Term) {
        for _ in 0..ENTRIES_OF_TERM / ENTRIES_AT_ONCE {
            let entry = |index| Entry {
                id: EntryId::new(term, Index(index)),
                time: LogTime(index),
                kind: EntryKind::Command,
                data: Bytes::from_static(b"what a client wants to have done"),
            };
            let entries = (prev.index.0 + 1..=prev.index.0 + ENTRIES_AT_ONCE).map(entry);
            let last = EntryId::new(term, Index(prev.index.0 + ENTRIES_AT_ONCE));
            let body = Body::Append { prev, entries: entries.collect(), commit: last.index };
            raft.handle(Event::Message(Message { from: member(2), to: member(1), term, body }));
            work(raft);
            prev = last;
        }
    }
}

/// Is elected, and has as many proposals under way to its followers as it may.
fn lead(raft: &mut Raft) {
    for now in 0..60 {
        raft.handle(Event::Tick { now });
    }
    work(raft);
    let (from, to, term) = (member(2), member(1), raft.status().term);
    raft.handle(Event::Message(Message { from, to, term, body: Body::Voted(Ballot::Granted) }));
    work(raft);
    let body = Body::Appended { matched: Index(ENTRIES + 1) };
    for from in [2, 3].map(member) {
        raft.handle(Event::Message(Message { from, to, term, body: body.clone() }));
    }
    for number in (1..=200).map(RequestNumber) {
        raft.handle(Event::Propose { number, data: Bytes::from_static(b"one more") });
        work(raft);
    }
}

/// A driver with a disk that takes no time and keeps nothing.
fn work(raft: &mut Raft) {
    loop {
        let ready = raft.ready();
        if ready.is_empty() {
            break;
        }
        if let Some(persist) = ready.persist {
            raft.handle(Event::Persisted(persist.number));
        }
    }
}
