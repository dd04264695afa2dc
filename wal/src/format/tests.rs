//! What is written is read, and nothing else passes for it.

use super::*;

fn entry(data: &[u8]) -> Record<'_> {
    let id = EntryId::new(Term(3), Index(9));
    Record::Entry { id, time: LogTime(77), kind: EntryKind::Command, data }
}

fn written(record: &Record<'_>, salt: u32, offset: usize) -> Vec<u8> {
    let mut bytes = vec![0; offset];
    record.encode(seed(salt, offset), 24, &mut bytes);
    bytes.extend_from_slice(record.data());
    bytes.extend_from_slice(record.padding());
    bytes
}

#[test]
fn every_record_survives_its_bytes() {
    let vote = Some(MemberId::new(NodeId(2), Incarnation(5)));
    let hard_state = HardState { term: Term(4), vote };
    let start = LogStart { id: EntryId::new(Term(2), Index(6)), time: LogTime(1) };
    for record in [
        Record::State(State { hard_state, start, last: Index(8) }),
        Record::HardState(HardState { term: Term(4), vote: None }),
        Record::HardState(hard_state),
        Record::Compact { start, keeps: Keeps::Suffix },
        Record::Compact { start, keeps: Keeps::Nothing },
        Record::Truncate(Index(7)),
        Record::Filler(0),
        Record::Filler(13),
        entry(b""),
        entry(b"12345"),
        entry(b"12345678"),
    ] {
        let bytes = written(&record, 11, 64);
        let found = Record::find(&bytes, 64, 11).expect("it was just written");
        assert_eq!((found.record, found.unsynced), (record, 24));
        assert_eq!((found.span, 64 + found.span), (record.span(), bytes.len()));
    }
}

#[test]
fn a_record_is_none_in_another_segment_at_another_place_or_with_any_bit_changed() {
    let bytes = written(&entry(b"12345"), 11, 64);
    assert!(Record::find(&bytes, 64, 12).is_none());
    assert!(Record::find(&bytes[8..], 56, 11).is_none());
    for bit in 64 * 8..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::find(&changed, 64, 11).is_none(), "bit {bit}");
    }
}

#[test]
fn a_header_survives_its_bytes_and_names_another_version() {
    let header =
        Header { identity: Identity::default(), sequence: 3, base: 4096, behind: Behind::Old };
    let mut bytes = header.encode();
    assert_eq!(Header::decode(&bytes), Ok(header));
    bytes[20] ^= 1;
    assert_eq!(Header::decode(&bytes), Err(HeaderError::Malformed));
    bytes[8] = 9;
    assert_eq!(Header::decode(&bytes), Err(HeaderError::Version(9)));
    assert_eq!(Header::decode(&bytes[..63]), Err(HeaderError::Malformed));
}
