//! `holm inspect wal` prints a log, and its exit code says whether a member could start on it.

use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use holm_wal::{Batch, Disk, Identity, Options, RealDisk, Wal};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn inspect(path: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
    let output = command.args(["inspect", "wal"]).arg(path).args(more).output().expect("it ran");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_log_is_printed_and_a_damaged_one_fails() {
    let directory = tempfile::tempdir().expect("made");
    let path = directory.path();
    {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path).expect("opened"));
        let options = Options { segment_bytes: 4096 };
        let mut wal = Wal::create(disk, options, Identity::default()).expect("created");
        for index in 1..=3 {
            let id = EntryId::new(Term(1), Index(index));
            let data = format!("command {index}").into();
            let entry = Entry { id, time: LogTime(0), kind: EntryKind::Command, data };
            wal.append(&Batch { entries: &[entry], ..Batch::default() }).expect("written");
            let job = wal.begin_sync().expect("a write waits").into_job();
            wal.finish_sync(job()).expect("synced");
        }
    }
    let (code, text) = inspect(path, &[]);
    assert!(code == Some(0) && text.contains("entry 2@1") && text.contains("sound"), "{text}");
    let (code, text) = inspect(path, &["--index", "2"]);
    assert!(code == Some(0) && text.contains("command 2") && !text.contains("3@1"), "{text}");
    let segment = fs::File::options().write(true).open(path.join("segment-00000001.wal"));
    segment.expect("there").write_all_at(b"!", 136 + 56 + 45).expect("written");
    let (code, text) = inspect(path, &["--verify"]);
    assert!(code == Some(1) && text.contains("segment-00000001.wal is damaged"), "{text}");
    let (code, text) = inspect(&path.join("absent"), &[]);
    assert!(code == Some(1) && text.contains("failed"), "{text}");
}
