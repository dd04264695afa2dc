//! What tells one state from another: `of_member` and `of_message`, numbers that are equal for
//! what behaves alike. A core also holds what never decides anything here: its clock, its
//! generator, its counters, and how many writes it ever made. If these counted, nearly no two ways
//! to a state would meet, and the exploration would not end.
//!
//! The core's `Debug` text is what is read, without those fields, by name: a new field counts until
//! it is named here.

use super::member::{ELECTION_TICKS, Member, PreVotes};
use holm_raft_core::Message;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Time: explored by ticking until something happens. Counters: nobody decides by them. And
/// whether a follower answered since the last check of the quorum, of which there is one a
/// time-out.
const LEFT_OUT: [&str; 11] = [
    "active",
    "config",
    "dropped",
    "elapsed",
    "elections",
    "now",
    "rng",
    "since",
    "ticks",
    "timeout",
    "unheard",
];
const WRITE_NUMBER: &str = "WriteNumber(";

pub(crate) fn of_message(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn of_member(member: &Member) -> u64 {
    let mut text = String::with_capacity(4096);
    write!(text, "{:?}", member.raft).expect("a string takes all");
    let mut hasher = DefaultHasher::new();
    hash_what_decides(&text, acknowledged(member), &mut hasher);
    member.status.me.hash(&mut hasher);
    member.truncations.hash(&mut hasher);
    if member.pre_votes == PreVotes::Asked {
        (unheard(&text) < ELECTION_TICKS).hash(&mut hasher);
    }
    for disk in [&member.durable, &member.written] {
        disk.hard_state.hash(&mut hasher);
        disk.entries.hash(&mut hasher);
    }
    for persist in &member.pending {
        (persist.hard_state, persist.truncate).hash(&mut hasher);
        (&persist.entries, &persist.then).hash(&mut hasher);
    }
    hasher.finish()
}

/// The ticks since this member heard of a leader: while they are few, it is loyal.
fn unheard(text: &str) -> u32 {
    let value = text.split_once("unheard: ").expect("a field of the core").1;
    let end = value.find(',').expect("not the last field");
    value[..end].parse().expect("a number")
}

/// The number of the last write that was acknowledged, if there are others under way.
fn acknowledged(member: &Member) -> u64 {
    member.pending.first().map_or(u64::MAX, |persist| persist.number.0 - 1)
}

fn hash_what_decides(text: &str, acknowledged: u64, hasher: &mut DefaultHasher) {
    let (mut begin, mut at) = (0, 0);
    while let Some(found) = text[at..].find(": ") {
        let colon = at + found;
        let is_name = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
        let length = text.as_bytes()[..colon].iter().rev().take_while(|byte| is_name(byte)).count();
        at = colon + ": ".len();
        if LEFT_OUT.contains(&&text[colon - length..colon]) {
            hash_numbered(&text[begin..at], acknowledged, hasher);
            at = text.len() - after_value(&text[at..]).len();
            begin = at;
        }
    }
    hash_numbered(&text[begin..], acknowledged, hasher);
}

/// Hashes `text` with its write numbers counted from the last acknowledged one.
fn hash_numbered(text: &str, acknowledged: u64, hasher: &mut DefaultHasher) {
    let mut rest = text;
    while let Some(at) = rest.find(WRITE_NUMBER) {
        let (before, after) = rest.split_at(at + WRITE_NUMBER.len());
        before.hash(hasher);
        let end = after.find(')').expect("closed");
        let number: u64 = after[..end].parse().expect("a number");
        number.saturating_sub(acknowledged).hash(hasher);
        rest = &after[end..];
    }
    rest.hash(hasher);
}

/// What follows behind the value that `text` begins with.
fn after_value(text: &str) -> &str {
    let mut depth = 0_u32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b',' if depth == 0 => return &text[at..],
            b')' | b']' | b'}' if depth == 0 => return &text[at..],
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    ""
}
