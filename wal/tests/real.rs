//! The same log on real files: locked, mapped, allocated, and found again.

#[path = "disks/at_once.rs"]
mod at_once;

use at_once::AtOnce;
use holm_raft_core::{Entry, EntryId, EntryKind, Index, LogTime, Term};
use holm_wal::{Batch, Disk, Error, Identity, Job, LogStart, Options, RealDisk, Wal};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, mpsc};

const OPTIONS: Options = Options { segment_bytes: 64 << 10 };

/// An empty directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
        _ => path,
    }
}

fn disk(path: &PathBuf) -> Arc<dyn Disk> {
    Arc::new(RealDisk::open(path).expect("opened"))
}

/// The names of the log's segments, without the files that are made ahead of need.
fn segments(disk: &dyn Disk) -> Vec<String> {
    let mut names = disk.list().expect("listed");
    names.retain(|name| name.starts_with("segment-"));
    names
}

fn entry(index: u64, length: usize) -> Entry {
    let id = EntryId::new(Term(1), Index(index));
    let data = vec![u8::try_from(index % 251).expect("small"); length].into();
    Entry { id, time: LogTime(index), kind: EntryKind::Command, data }
}

fn sync(disk: &dyn Disk, wal: &mut Wal) {
    while let Some(job) = wal.begin_sync() {
        let (done, finished) = mpsc::channel();
        disk.run(job.into_job(), Box::new(move |result| done.send(result).expect("awaited")));
        wal.finish_sync(finished.recv().expect("the disk answers")).expect("synced");
    }
}

#[test]
fn segments_roll_and_a_reopening_finds_every_entry() {
    let path = directory("roll");
    let entries: Vec<Entry> = (1..=300).map(|index| entry(index, 1000)).collect();
    {
        let disk = disk(&path);
        let mut wal = Wal::create(disk.clone(), OPTIONS, Identity::default()).expect("created");
        for entries in entries.chunks(7) {
            wal.append(&Batch { entries, ..Batch::default() }).expect("written");
            sync(&*disk, &mut wal);
        }
    }
    let disk = disk(&path);
    let (wal, recovered) = Wal::open(disk.clone(), OPTIONS).expect("recovered");
    assert_eq!((recovered.last, recovered.torn), (entry(300, 0).id, None));
    assert_eq!(wal.entries(Index(1)..=Index(300), u64::MAX).expect("held"), entries);
    assert_eq!(segments(&*disk).len(), 5);
    for name in disk.list().expect("listed") {
        let metadata = fs::metadata(path.join(name)).expect("there");
        assert!(metadata.blocks() * 512 >= metadata.len(), "no holes: a store must never fault");
    }
}

#[test]
fn what_was_read_stays_readable_after_its_segment_and_its_log_are_gone() {
    let path = directory("lent");
    let disk: Arc<dyn Disk> = Arc::new(AtOnce(RealDisk::open(&path).expect("opened")));
    let mut wal = Wal::create(disk.clone(), OPTIONS, Identity::default()).expect("created");
    let entries: Vec<Entry> = (1..=200).map(|index| entry(index, 1000)).collect();
    wal.append(&Batch { entries: &entries, ..Batch::default() }).expect("written");
    let held = wal.entry(Index(1)).expect("held");
    let start = LogStart { id: entries[199].id, time: entries[199].time };
    wal.append(&Batch { compact: Some(start), ..Batch::default() }).expect("written");
    sync(&*disk, &mut wal);
    assert_eq!(segments(&*disk).len(), 1);
    drop(wal);
    drop(disk);
    assert_eq!(held, entries[0]);
}

#[test]
fn bytes_that_were_read_are_never_written_again() {
    let disk = disk(&directory("never"));
    let file = disk.create("file", 4096).expect("made");
    file.write(0, &[b"abc", b"def"]).expect("nothing was read");
    let again = disk.open("file").expect("there");
    let read = again.read(0, 4).expect("there");
    let refused = file.write(3, &[b"x"]).map_err(|error| error.kind());
    assert_eq!(refused, Err(io::ErrorKind::InvalidInput), "through any handle");
    file.write(4, &[b"xy"]).expect("these were not read");
    assert_eq!((&read[..], &file.copy(0, 6).expect("there")[..]), (&b"abcd"[..], &b"abcdxy"[..]));
    for (offset, length) in [(4095, 2), (4096, 1), (u64::MAX, 1)] {
        assert!(file.write(offset, &[&[0; 2][..length]]).is_err());
        assert!(file.read(offset, length).is_err() && file.copy(offset, length).is_err());
    }
    assert!(disk.create("../outside", 512).is_err() && disk.create("file", 512).is_err());
}

#[test]
fn a_second_open_is_refused_here_and_in_another_process() {
    const NAME: &str = "a_second_open_is_refused_here_and_in_another_process";
    const CHILD: &str = "HOLM_WAL_TEST_LOCKED";
    if let Some(path) = std::env::var_os(CHILD) {
        let error = RealDisk::open(PathBuf::from(path)).map(drop).expect_err("it is in use");
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        return;
    }
    let path = directory("locked");
    let first = RealDisk::open(&path).expect("opened");
    let error = RealDisk::open(&path).map(drop).expect_err("it is in use");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    let output = child.args(["--exact", NAME]).env(CHILD, &path).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    drop(first);
    RealDisk::open(&path).expect("it is free again");
}

#[test]
fn a_torn_tail_of_a_real_file_is_cut_wiped_and_appended_behind() {
    let path = directory("torn");
    {
        let disk = disk(&path);
        let mut wal = Wal::create(disk.clone(), OPTIONS, Identity::default()).expect("created");
        let entries = [entry(1, 100), entry(2, 100)];
        wal.append(&Batch { entries: &entries, ..Batch::default() }).expect("written");
        sync(&*disk, &mut wal);
    }
    let name = path.join("segment-00000001.wal");
    let file = OpenOptions::new().write(true).open(&name).expect("there");
    file.write_all_at(&[0xff; 9000], 136 + 2 * 144 + 40).expect("written");
    drop(file);
    // What crashes leave of segments that were being made.
    fs::write(path.join("segment-00000002.wal"), []).expect("written");
    fs::write(path.join("segment-00000003.wal"), [0; 100]).expect("written");
    let disk = disk(&path);
    let (mut wal, recovered) = Wal::open(disk.clone(), OPTIONS).expect("recovered");
    assert_eq!(recovered.torn.map(|torn| torn.offset), Some(136 + 2 * 144));
    let image = fs::read(&name).expect("there");
    assert!(image[136 + 2 * 144..].iter().all(|byte| *byte == 0), "wiped");
    assert_eq!(segments(&*disk), ["segment-00000001.wal"]);
    wal.append(&Batch { entries: &[entry(3, 100)], ..Batch::default() }).expect("written");
    drop(wal);
    let (_, recovered) = Wal::open(disk, OPTIONS).expect("recovered");
    assert_eq!((recovered.last, recovered.torn), (entry(3, 0).id, None));
}

#[test]
fn a_job_that_panics_is_an_error_and_the_disk_goes_on() {
    let disk = disk(&directory("panics"));
    let panics: Job = Box::new(|| -> io::Result<()> { panic!("on purpose") });
    for (job, sound) in [(panics, false), (Box::new(|| Ok(())), true)] {
        let (done, finished) = mpsc::channel();
        disk.run(job, Box::new(move |result| done.send(result).expect("awaited")));
        assert_eq!(finished.recv().expect("the disk answers").is_ok(), sound);
    }
}

#[test]
fn used_up_segments_are_used_again_unless_bytes_of_theirs_are_held() {
    for held in [0, 1] {
        let path = directory(&format!("recycled-{held}"));
        let disk: Arc<dyn Disk> = Arc::new(AtOnce(RealDisk::open(&path).expect("opened")));
        let mut wal = Wal::create(disk.clone(), OPTIONS, Identity::default()).expect("created");
        let inodes = || -> Vec<u64> {
            let names = disk.list().expect("listed");
            let inode = |name: &String| fs::metadata(path.join(name)).expect("there").ino();
            names.iter().map(inode).collect()
        };
        let entries: Vec<Entry> = (1..=100).map(|index| entry(index, 1000)).collect();
        wal.append(&Batch { entries: &entries, ..Batch::default() }).expect("written");
        sync(&*disk, &mut wal);
        let first = fs::metadata(path.join("segment-00000001.wal")).expect("there").ino();
        let lent: Vec<Entry> = (0..held).map(|_| wal.entry(Index(1)).expect("held")).collect();
        let start = LogStart { id: entries[69].id, time: entries[69].time };
        wal.append(&Batch { compact: Some(start), ..Batch::default() }).expect("written");
        sync(&*disk, &mut wal);
        assert_eq!(segments(&*disk), ["segment-00000002.wal"]);
        assert_eq!(inodes().contains(&first), held == 0);
        let entries: Vec<Entry> = (101..=250).map(|index| entry(index, 1000)).collect();
        wal.append(&Batch { entries: &entries, ..Batch::default() }).expect("written");
        assert!(lent.iter().all(|lent| *lent == entry(1, 1000)), "what was read never changes");
        drop(wal);
        let (wal, recovered) = Wal::open(disk, OPTIONS).expect("recovered");
        assert_eq!((recovered.last, recovered.torn), (entry(250, 0).id, None));
        assert_eq!(wal.entry(Index(71)).expect("held"), entry(71, 1000));
    }
}

/// Long enough a run without a sync for a thread of the disk to bring pages in ahead of it.
#[test]
fn pages_brought_in_by_a_thread_change_nothing_and_keep_no_file_open() {
    const BYTES: u64 = 4 << 20;
    let path = directory("ahead");
    let piece = |offset: u64| [u8::try_from(offset / 512 % 251).expect("small"); 512];
    for round in 0..8 {
        let disk = disk(&path);
        let name = format!("file-{round}");
        let file = disk.create(&name, BYTES).expect("made");
        for offset in (0..BYTES).step_by(512) {
            file.write(offset, &[&piece(offset)]).expect("written");
        }
        // While the thread is at it, perhaps. The next round finds the lock free.
        drop(file);
        drop(disk);
        let found = fs::read(path.join(name)).expect("read");
        for (at, found) in found.chunks(512).enumerate() {
            assert_eq!(found, piece(at as u64 * 512), "round {round}");
        }
    }
}
