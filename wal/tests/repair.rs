//! A damaged log is repaired with what its peers have, if that is proved to be what stood there,
//! and with nothing else.

use holm_raft_core::{Entry, EntryId, EntryKind, HardState, Index, LogTime, Term};
use holm_wal::{Batch, Error, Identity, Options, Proof, SimDisk, Wal};

const OPTIONS: Options = Options { segment_bytes: 1024 };
const ENTRIES: u64 = 12;

fn entry(index: u64) -> Entry {
    // A new term at 4 and at 8.
    let id = EntryId::new(Term(1 + index / 4), Index(index));
    let data = vec![u8::try_from(index).expect("small"); 200].into();
    Entry { id, time: LogTime(index), kind: EntryKind::Command, data }
}

/// Three entries a segment, each durable before the next; a hard state between 4 and 5.
fn written() -> SimDisk {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    for index in 1..=ENTRIES {
        let hard_state = (index == 5).then_some(HardState { term: Term(2), vote: None });
        let batch = Batch { hard_state, entries: &[entry(index)], ..Batch::default() };
        wal.append(&batch).expect("written");
        let job = wal.begin_sync().expect("a write waits").into_job();
        wal.finish_sync(job()).expect("synced");
    }
    disk
}

fn entries(range: std::ops::RangeInclusive<Index>) -> Vec<Entry> {
    (range.start().0..=range.end().0).map(entry).collect()
}

#[test]
fn whatever_bit_rots_in_entries_a_peer_that_has_them_repairs_it() {
    let (mut repaired, mut beyond) = (0, 0);
    for segment in 1..=3 {
        let name = format!("segment-{segment:08x}.wal");
        for offset in (0..856).step_by(3) {
            let disk = written();
            disk.flip(&name, offset, 0x10);
            let attached = disk.attach();
            let repair = match Wal::damage(&*attached) {
                Ok(Some(repair)) => repair,
                Ok(None) => panic!("{name} at {offset}: nothing is found"),
                Err(Error::Irreparable { .. } | Error::Damaged { .. } | Error::Version { .. }) => {
                    beyond += 1;
                    continue;
                }
                Err(error) => panic!("{name} at {offset}: {error}"),
            };
            let missing = repair.missing();
            let known = repair.known(*missing.start());
            let proof = match known {
                Some(_) => Proof::Same,
                None => Proof::Committed { before: repair.before() },
            };
            assert!(known.is_none_or(|id| id == entry(id.index.0).id), "{name} at {offset}");
            repair.fill(&entries(missing), proof).expect("it is what stood there");
            let (wal, recovered) = Wal::open(disk.attach(), OPTIONS).expect("it is whole again");
            let all = wal.entries(Index(1)..=Index(ENTRIES), u64::MAX).expect("held");
            assert_eq!(all, entries(Index(1)..=Index(ENTRIES)), "{name} at {offset}");
            assert_eq!(recovered.hard_state.term, Term(2));
            repaired += 1;
        }
    }
    // Beyond repair are the beginnings of segments, the hard state, and some heads.
    assert!(repaired > 2 * beyond, "{repaired} repaired, {beyond} not");
}

#[test]
fn an_entry_that_is_not_proved_changes_nothing() {
    let disk = written();
    disk.flip("segment-00000001.wal", 136 + 240 + 60, 1);
    let attached = disk.attach();
    let repair = || Wal::damage(&*attached).expect("read").expect("damaged");
    assert_eq!(
        (repair().missing(), repair().known(Index(2))),
        (Index(2)..=Index(2), Some(entry(2).id))
    );
    let before = disk.operations();
    let mut other = entry(2);
    other.data = vec![9; 200].into();
    let mut later = entry(2);
    later.id.term = Term(2);
    let elsewhere = Proof::Committed { before: EntryId::new(Term(7), Index(1)) };
    for (entries, proof) in [
        (vec![], Proof::Same),
        (vec![entry(3)], Proof::Same),
        (vec![entry(2), entry(3)], Proof::Same),
        (vec![later.clone()], Proof::Same),
        (vec![later], Proof::Committed { before: entry(1).id }),
        // The id is right, but what stood there had another checksum.
        (vec![other], Proof::Same),
        (vec![entry(2)], elsewhere),
    ] {
        let error = repair().fill(&entries, proof).expect_err("it is not proved");
        assert!(matches!(error, Error::Unproven { .. }), "{error}");
    }
    assert_eq!(disk.operations(), before);
    repair().fill(&[entry(2)], Proof::Same).expect("it is what stood there");
    assert!(Wal::damage(&*attached).expect("read").is_none());
}

#[test]
fn damage_that_may_cover_a_hard_state_is_beyond_repair() {
    let disk = written();
    // The hard state's record, behind 4 in the second segment.
    disk.flip("segment-00000002.wal", 136 + 240 + 20, 1);
    let result = Wal::damage(&*disk.attach()).map(|repair| repair.map(|r| r.missing()));
    assert!(matches!(&result, Err(Error::Irreparable { .. })), "{result:?}");
    let disk = written();
    disk.flip("segment-00000002.wal", 80, 1);
    let result = Wal::damage(&*disk.attach()).map(|repair| repair.map(|r| r.missing()));
    assert!(matches!(&result, Err(Error::Irreparable { .. })), "{result:?}");
}
