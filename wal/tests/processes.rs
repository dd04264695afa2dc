//! The log in real processes: children that append, say over a pipe what is acknowledged, and are
//! killed at random; and a child on a file system that is full. A killed process leaves the page
//! cache: what a power cut leaves is shown on the simulated disk, in `crash.rs`.

use holm_raft_core::{Entry, EntryId, EntryKind, HardState, Index, LogStart, LogTime, Term};
use holm_wal::{Batch, Disk, Error, Identity, Options, RealDisk, Wal, random_bytes};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};

const OPTIONS: Options = Options { segment_bytes: 16 << 10 };
/// Says to a child of a test which directory is its own.
const CHILD: &str = "HOLM_WAL_TEST_CHILD";
const KILLS: u64 = 300;
/// From how many entries on a child compacts its log.
const ENTRIES_MAX: u64 = 400;

fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("removed");
    }
    path
}

fn entry(index: u64) -> Entry {
    let id = EntryId::new(Term(1), Index(index));
    let length = usize::try_from(index * 7919 % 1500).expect("small");
    let data = random_bytes(index, length).into();
    Entry { id, time: LogTime(index), kind: EntryKind::Command, data }
}

fn sync(disk: &dyn Disk, wal: &mut Wal) {
    while let Some(job) = wal.begin_sync() {
        let (done, finished) = mpsc::channel();
        disk.run(job.into_job(), Box::new(move |result| done.send(result).expect("awaited")));
        wal.finish_sync(finished.recv().expect("the disk answers")).expect("synced");
    }
}

fn open_or_create(disk: &Arc<dyn Disk>) -> Wal {
    if Wal::exists(&**disk).expect("listed") {
        return Wal::open(Arc::clone(disk), OPTIONS).expect("recovered").0;
    }
    Wal::create(Arc::clone(disk), OPTIONS, Identity::default()).expect("created")
}

/// Appends for ever, and says first what was there, and after each sync which entry is
/// acknowledged. `cargo xtask flakey` listens too.
fn append_for_ever(path: &Path) -> ! {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path).expect("opened"));
    let mut wal = open_or_create(&disk);
    let mut out = std::io::stdout().lock();
    writeln!(out, "recovered {}", wal.last().index.0).expect("somebody listens");
    loop {
        let last = wal.last().index.0;
        let count = last % 5 + 1;
        let entries: Vec<Entry> = (last + 1..=last + count).map(entry).collect();
        let compact = (last - wal.start().id.index.0 > ENTRIES_MAX).then(|| {
            let kept = entry(last - ENTRIES_MAX / 2);
            LogStart { id: kept.id, time: kept.time }
        });
        wal.append(&Batch { compact, entries: &entries, ..Batch::default() }).expect("written");
        sync(&*disk, &mut wal);
        writeln!(out, "acknowledged {}", last + count).expect("somebody listens");
        out.flush().expect("somebody listens");
    }
}

/// This very test, in a process of its own.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", test, "--nocapture"]).env(CHILD, path);
    command
}

fn kill(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("it ended");
}

#[test]
fn every_acknowledged_entry_survives_hundreds_of_kills() {
    const NAME: &str = "every_acknowledged_entry_survives_hundreds_of_kills";
    if let Some(path) = std::env::var_os(CHILD) {
        append_for_ever(Path::new(&path));
    }
    let path = directory("kills");
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let mut process = child(NAME, &path).stdout(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let number = |line: String| -> Option<u64> {
            line.strip_prefix("acknowledged ").and_then(|number| number.parse().ok())
        };
        // Killed after so many acknowledgements, in the midst of what comes next.
        let wait = usize::from(random_bytes(round, 1)[0] % 4);
        let mut numbers = lines.map_while(Result::ok).filter_map(number);
        if let Some(last) = numbers.by_ref().take(wait).last() {
            acknowledged = last;
        }
        kill(process);
        // What was said before it was killed counts as well.
        acknowledged = numbers.last().unwrap_or(acknowledged);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&path).expect("the lock is free again"));
        if !Wal::exists(&*disk).expect("listed") {
            assert_eq!(acknowledged, 0, "round {round}: the log is gone");
            continue;
        }
        let (wal, recovered) = Wal::open(disk, OPTIONS).expect("recovered");
        let last = recovered.last.index.0;
        assert!(last >= acknowledged, "round {round}: {last} of {acknowledged}");
        for index in recovered.start.id.index.0 + 1..=last {
            assert_eq!(wal.entry(Index(index)).expect("held"), entry(index), "round {round}");
        }
    }
    assert!(acknowledged > KILLS, "{acknowledged} were acknowledged");
}

/// Fills the file system, and goes on as a member would: hard states and truncations are still
/// taken, entries are refused until there is room.
fn fill(path: &Path) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(path).expect("opened"));
    let mut wal = open_or_create(&disk);
    let mut full = 0;
    let mut index = 0;
    // The file system has room for 16 segments.
    while full < 3 {
        let entries = [entry(index + 1)];
        match wal.append(&Batch { entries: &entries, ..Batch::default() }) {
            Ok(_) => index += 1,
            Err(Error::Full { .. }) => full += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(index < 5_000, "it never fills up");
    }
    sync(&*disk, &mut wal);
    // Not even a stranger's file would fit, and yet:
    for term in 1..=20 {
        let hard_state = Some(HardState { term: Term(term), vote: None });
        wal.append(&Batch { hard_state, ..Batch::default() }).expect("a hard state is taken");
    }
    let truncate = Some(Index(index - 5));
    wal.append(&Batch { truncate, ..Batch::default() }).expect("a truncation is taken");
    let kept = entry(index - 20);
    let compact = Some(LogStart { id: kept.id, time: kept.time });
    wal.append(&Batch { compact, ..Batch::default() }).expect("a compaction is taken");
    sync(&*disk, &mut wal);
    // That has made room, as soon as a thread of the disk has got to it.
    let entries: Vec<Entry> = (index - 5..index + 50).map(entry).collect();
    while let Err(error) = wal.append(&Batch { entries: &entries, ..Batch::default() }) {
        assert!(matches!(error, Error::Full { .. }), "{error}");
        std::thread::yield_now();
    }
    sync(&*disk, &mut wal);
    drop(wal);
    let (wal, recovered) = Wal::open(disk, OPTIONS).expect("recovered");
    assert_eq!((recovered.last, recovered.hard_state.term), (entry(index + 49).id, Term(20)));
    assert_eq!(wal.entry(Index(index + 49)).expect("held"), entry(index + 49));
    println!("filled, and went on");
}

/// On a tmpfs of its own, in a name space of its own, which takes no privileges where the kernel
/// lets users have them. Where it does not, this says so loudly, and fails if
/// `HOLM_WAL_SMALL_FS=required` is set.
#[test]
fn no_write_faults_on_a_full_file_system_and_hard_states_still_fit() {
    const NAME: &str = "no_write_faults_on_a_full_file_system_and_hard_states_still_fit";
    if let Some(path) = std::env::var_os(CHILD) {
        return fill(Path::new(&path));
    }
    let path = directory("full");
    fs::create_dir_all(&path).expect("made");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command
    };
    let mount = "mount -t tmpfs -o size=256k holm \"$1\"";
    let possible = unshare(mount).arg(&path).output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("HOLM_WAL_SMALL_FS").is_some_and(|it| it == "required");
        assert!(!required, "a small file system can't be had here: {possible:?}");
        eprintln!("NOT SHOWN: {NAME}: a small file system can't be had here: {possible:?}");
        return;
    }
    let script = format!("{mount} && shift && exec \"$@\"");
    let test = std::env::current_exe().expect("this test");
    let output = unshare(&script)
        .arg(&path)
        .arg(test)
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, &path)
        .output()
        .expect("it ran before");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{errors}", output.status);
    assert!(text.contains("filled, and went on"), "{text}{errors}");
}
