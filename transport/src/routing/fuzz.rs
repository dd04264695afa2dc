//! The body of the fuzz target `transport_records`: whatever is taken for a record encodes to the
//! same bytes, and a table that is told arbitrary records answers all questions.

use super::record::Record;
use super::table::{AGE_MAX, Table};
use crate::config::Relaying;
use bytes::BytesMut;
use holm_raft_core::{Incarnation, MemberId, NodeId};
use std::time::Duration;

/// Members 1 to so many know each other.
const MEMBERS: u64 = 6;

/// Takes each 72 bytes of the input as a record from a neighbour, which is named by its first
/// byte.
///
/// # Panics
/// When a record encodes to other bytes, a route leads where there is no link, or a table promises
/// what it can't do.
pub fn fuzz_records(data: &[u8]) {
    records_taken(data);
}

/// How many records were understood.
pub(crate) fn records_taken(data: &[u8]) -> usize {
    let me = MemberId::new(NodeId(1), Incarnation(1));
    let mut table = Table::new(me, 1, Relaying::On);
    table.know((2..=MEMBERS).map(NodeId).collect());
    let mut now = Duration::ZERO;
    let mut taken = 0;
    for neighbour in [2, 3] {
        table.link_up(NodeId(neighbour), now);
    }
    for piece in data.chunks(73) {
        let Some((from, bytes)) = piece.split_first() else { continue };
        now += Duration::from_millis(u64::from(*from) * 4);
        if let Ok(record) = Record::take(bytes) {
            let mut again = BytesMut::new();
            record.put(&mut again);
            assert_eq!(again, bytes, "a record has one encoding");
            taken += 1;
        }
        let from = NodeId(u64::from(*from) % MEMBERS + 1);
        // What is refused is refused by its reason.
        let _ = table.receive(from, bytes, now);
        if now >= table.deadline() {
            table.tick(now);
            assert!(table.deadline() > now, "what was due is done");
        }
        assert!(table.drain().len() <= 64, "one record leads to few");
        assert!(table.matrix(now).iter().all(|row| row.age.is_none_or(|age| age <= AGE_MAX * 2)));
        for node in (2..=MEMBERS).map(NodeId) {
            if let Some((via, _)) = table.way(node, Some(from)) {
                assert!(via == NodeId(2) || via == NodeId(3), "a route begins with a link");
                assert_ne!(via, from, "never back");
            }
        }
    }
    taken
}
