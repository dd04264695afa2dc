//! A log is looked at without being touched, whole, torn or damaged.

use holm_raft_core::{Entry, EntryId, EntryKind, HardState, Index, LogTime, Term};
use holm_wal::{Batch, Depth, Disk, Identity, Options, RealDisk, Verdict, Wal, inspect};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const OPTIONS: Options = Options { segment_bytes: 1024 };

fn written(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("removed");
    }
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&path).expect("opened"));
    let mut wal = Wal::create(disk, OPTIONS, Identity::default()).expect("created");
    for index in 1..=8 {
        let id = EntryId::new(Term(2), Index(index));
        let data = format!("command {index} {:>190}", "").into();
        let entry = Entry { id, time: LogTime(index), kind: EntryKind::Command, data };
        let hard_state = (index == 1).then_some(HardState { term: Term(2), vote: None });
        wal.append(&Batch { hard_state, entries: &[entry], ..Batch::default() }).expect("written");
        let job = wal.begin_sync().expect("a write waits").into_job();
        wal.finish_sync(job()).expect("synced");
    }
    path
}

fn look(path: &Path, depth: Depth) -> (Verdict, String) {
    let mut out = Vec::new();
    let verdict = inspect(path, depth, &mut out).expect("inspected");
    (verdict, String::from_utf8(out).expect("text"))
}

fn change(path: &Path, segment: u32, offset: u64) {
    let name = path.join(format!("segment-{segment:08x}.wal"));
    let file = fs::File::options().read(true).write(true).open(name).expect("there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("read");
    file.write_all_at(&[byte[0] ^ 1], offset).expect("written");
}

#[test]
fn segments_and_records_are_printed_and_nothing_is_written() {
    let path = written("inspect-sound");
    let files = || -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(&path)
            .expect("listed")
            .map(|entry| entry.expect("read").path())
            .map(|path| (path.clone(), fs::read(path).expect("read")))
            .collect();
        files.sort();
        files
    };
    let before = files();
    // Also while it is in use.
    let disk = RealDisk::open(&path).expect("opened");
    let (verdict, text) = look(&path, Depth::Records);
    drop(disk);
    assert!(matches!(verdict, Verdict::Sound), "{text}");
    for line in ["hard state: term 2, no vote", "entry 5@2: Command, 200 bytes", "entries 1 to 3"] {
        assert!(text.contains(line), "{text}");
    }
    let (_, text) = look(&path, Depth::Entry(Index(5)));
    assert!(text.contains("command 5") && !text.contains("entry 4@2"), "{text}");
    assert!(files() == before);
}

#[test]
fn a_damaged_log_is_printed_with_what_is_wrong_where() {
    let path = written("inspect-damaged");
    change(&path, 1, 136 + 40 + 240 + 100);
    let (verdict, text) = look(&path, Depth::Segments);
    assert!(matches!(verdict, Verdict::Refused(_)), "{text}");
    assert!(text.contains("416  no whole record up to byte 656"), "{text}");
    assert!(text.contains("segment-00000001.wal is damaged at byte 416"), "{text}");
    let path = written("inspect-torn");
    change(&path, 3, 136 + 240 + 100);
    let (verdict, text) = look(&path, Depth::Segments);
    assert!(matches!(verdict, Verdict::Torn(_)), "{text}");
    assert!(text.contains("cuts segment-00000003.wal at byte 376"), "{text}");
}
