//! Files of each format, as they were first written, are read for ever, and the same history
//! still writes the same bytes.

use holm_raft_core::{
    Configuration, Entry, EntryId, EntryKind, HardState, Incarnation, Index, LogTime, Member,
    MemberId, NodeId, SnapshotMeta, Term,
};
use holm_wal::{
    Batch, Disk, Error, Identity, LogStart, MemoryDisk, Options, Snapshot, Snapshots, Wal,
};
use std::sync::Arc;

const SEGMENT: &[u8] = include_bytes!("golden/segment-v2.bin");
const SEGMENT_NAME: &str = "segment-00000001.wal";
const SNAPSHOT: &[u8] = include_bytes!("golden/snapshot-v1.bin");
const SNAPSHOT_NAME: &str = "snapshot-0000000000000002-0000000000000001.holm";
/// The first 8 of the same snapshot's 16 bytes have arrived, in two pieces.
const RECEIVING: &[u8] = include_bytes!("golden/receiving-v1.bin");
const RECEIVING_NAME: &str = "receiving-0000000000000002-0000000000000001.holm";
const PROGRESS: &[u8] = include_bytes!("golden/progress-v1.bin");
const PROGRESS_NAME: &str = "receiving.progress";
const OPTIONS: Options = Options { segment_bytes: 1024 };

fn identity() -> Identity {
    Identity { cluster: *b"a golden cluster", member: member() }
}

fn member() -> MemberId {
    MemberId::new(NodeId(3), Incarnation(0x1122_3344_5566_7788))
}

fn configuration() -> Configuration {
    Configuration::new([Member { id: member(), info: "an island".into() }])
}

fn entry(index: u64, term: u64, kind: EntryKind, data: &'static [u8]) -> Entry {
    let id = EntryId::new(Term(term), Index(index));
    Entry { id, time: LogTime(index * 100), kind, data: data.into() }
}

fn snapshot() -> Snapshot {
    let meta = SnapshotMeta {
        last: EntryId::new(Term(1), Index(2)),
        time: LogTime(200),
        configuration: configuration(),
        configuration_index: Index(1),
    };
    Snapshot::new(meta, "the state at 2@1".into())
}

/// Every kind of record, and every kind of entry.
fn write(disk: Arc<dyn Disk>) {
    let mut wal = Wal::create(disk, OPTIONS, identity()).expect("created");
    let mut first = entry(1, 1, EntryKind::Configuration, b"");
    first.data = configuration().encode();
    let entries = [
        first,
        entry(2, 1, EntryKind::Command, b"one command"),
        entry(3, 1, EntryKind::Command, b"lost"),
    ];
    let hard_state = Some(HardState { term: Term(1), vote: Some(member()) });
    wal.append(&Batch { hard_state, entries: &entries, ..Batch::default() }).expect("written");
    let job = wal.begin_sync().expect("a write waits").into_job();
    wal.finish_sync(job()).expect("synced");
    let entries = [entry(3, 2, EntryKind::Noop, b""), entry(4, 2, EntryKind::Command, b"won")];
    wal.append(&Batch {
        hard_state: Some(HardState { term: Term(2), vote: None }),
        compact: Some(LogStart { id: EntryId::new(Term(1), Index(2)), time: LogTime(200) }),
        truncate: Some(Index(3)),
        entries: &entries,
    })
    .expect("written");
}

fn read(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("there");
    file.copy(0, usize::try_from(file.len()).expect("small")).expect("read").to_vec()
}

fn put(disk: &dyn Disk, name: &str, bytes: &[u8]) {
    let file = disk.create(name, bytes.len() as u64).expect("made");
    file.write(0, &[bytes]).expect("written");
}

#[test]
fn a_segment_of_version_2_is_read() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    put(&*disk, SEGMENT_NAME, SEGMENT);
    let (wal, recovered) = Wal::open(disk, OPTIONS).expect("recovered");
    assert_eq!(recovered.identity, identity());
    assert_eq!(recovered.hard_state, HardState { term: Term(2), vote: None });
    let start = LogStart { id: EntryId::new(Term(1), Index(2)), time: LogTime(200) };
    assert_eq!((recovered.start, recovered.torn), (start, None));
    let entries = wal.entries(Index(3)..=Index(4), u64::MAX).expect("held");
    let expected = [entry(3, 2, EntryKind::Noop, b""), entry(4, 2, EntryKind::Command, b"won")];
    assert_eq!(entries, expected);
}

#[test]
fn a_segment_is_still_written_as_version_2() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    write(disk.clone());
    assert!(read(&*disk, SEGMENT_NAME) == SEGMENT, "bytes changed: that is another version");
}

#[test]
fn a_snapshot_of_version_1_is_read_and_still_written_so() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    put(&*disk, SNAPSHOT_NAME, SNAPSHOT);
    let (snapshots, found, _) = Snapshots::open(disk.clone()).expect("opened");
    assert_eq!(found, Some(snapshot()));
    snapshots.save_job(&snapshot())().expect("saved");
    assert!(read(&*disk, SNAPSHOT_NAME) == SNAPSHOT, "bytes changed: that is another version");
}

#[test]
fn a_transfer_of_version_1_is_gone_on_from_and_still_written_so() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    put(&*disk, RECEIVING_NAME, RECEIVING);
    put(&*disk, PROGRESS_NAME, PROGRESS);
    let (snapshots, _, partial) = Snapshots::open(disk.clone()).expect("opened");
    assert_eq!(partial.map(|partial| (partial.id(), partial.stored)), Some((snapshot().id(), 8)));
    snapshots.store_job(vec![snapshot().chunk(8, u64::MAX)])().expect("stored");
    snapshots.finish_job(snapshot().meta.last)().expect("finished");
    assert!(read(&*disk, SNAPSHOT_NAME) == SNAPSHOT, "bytes changed: that is another version");

    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (snapshots, _, _) = Snapshots::open(disk.clone()).expect("opened");
    for offset in [0, 4] {
        snapshots.store_job(vec![snapshot().chunk(offset, 4)])().expect("stored");
    }
    assert!(read(&*disk, RECEIVING_NAME) == RECEIVING, "bytes changed: that is another version");
    assert!(read(&*disk, PROGRESS_NAME) == PROGRESS, "bytes changed: that is another version");
}

/// Version 1 was never released.
#[test]
fn a_segment_of_version_1_is_named_as_such() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    put(&*disk, SEGMENT_NAME, include_bytes!("golden/segment-v1.bin"));
    let error = Wal::open(disk, OPTIONS).map(drop).expect_err("it is older");
    assert!(matches!(&error, Error::Version { found: 1, .. }), "{error}");
}
