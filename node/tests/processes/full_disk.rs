//! A real process on a file system that is full: it refuses writes, goes on running and reading,
//! and takes writes again as soon as there is room; what it has acknowledged outlives a kill. The
//! file system is a tmpfs of this test's own. The seeded disk, on which more can go wrong, is in
//! `bad_disks.rs`.

use axum::http::{Method, StatusCode};
use holm::DiskState;
use holm::server::client::{Answer, Ask};
use holm::server::cluster::Cluster;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Says to this test's child that the temporary folder is a file system of its own.
const CHILD: &str = "FULL_DISK_TEST_CHILD";
/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Less than the least segment: no further one can be made.
const ROOM_BYTES: usize = 4 << 20;
const VALUE_BYTES: usize = 48 << 10;

fn put(number: usize) -> Ask {
    Ask {
        method: Method::PUT,
        path: format!("/v1/kv/key-{number}"),
        key: Some(format!("put-{number}")),
        body: value(number).into(),
    }
}

fn value(number: usize) -> Vec<u8> {
    vec![u8::try_from(number % 251).expect("small"); VALUE_BYTES]
}

/// Fills the file system but for [`ROOM_BYTES`].
fn fill(path: &Path) {
    let piece = vec![1; 64 << 10];
    let mut ballast = File::create(path).expect("made");
    let mut written = 0;
    loop {
        match ballast.write(&piece) {
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == ErrorKind::StorageFull => break,
            Err(error) => panic!("{error}"),
        }
    }
    ballast.set_len(u64::try_from(written - ROOM_BYTES).expect("more was written")).expect("cut");
}

/// Asks for a write until it is answered otherwise than "not now" or "unknown outcome".
async fn written(cluster: &Cluster, number: usize) {
    let endpoint = [cluster.endpoint(1).clone()];
    let answer = cluster.client().ask_until_answered(&endpoint, &put(number), STUCK).await;
    assert_eq!(answer.expect("an answer").status, StatusCode::OK, "write {number}");
}

async fn read(cluster: &Cluster, number: usize) -> Answer {
    let ask = Ask::get(format!("/v1/kv/key-{number}"));
    let endpoint = [cluster.endpoint(1).clone()];
    cluster.client().ask_until_answered(&endpoint, &ask, STUCK).await.expect("an answer")
}

/// The disk's state, once it is this one. The member has not ended meanwhile.
async fn until(cluster: &mut Cluster, state: DiskState) {
    let start = Instant::now();
    loop {
        cluster.leader(STUCK).await.expect("it runs, and leads");
        let status = cluster.status(1).await;
        if status.as_ref().is_some_and(|status| status.disk.state == state) {
            return;
        }
        assert!(start.elapsed() < STUCK, "not {state:?}: {status:#?}");
    }
}

async fn fill_up_and_go_on() {
    let program = Path::new(env!("CARGO_BIN_EXE_holm"));
    let settings = "segment_bytes = 8388608";
    let mut cluster = Cluster::start(program, 1, settings, STUCK).await.expect("started");
    written(&cluster, 0).await;
    let ballast = cluster.folder().join("ballast");
    fill(&ballast);
    // Acknowledged, until the first one that is not.
    let mut acknowledged = 1;
    let refused = loop {
        let answer = cluster.ask(1, &put(acknowledged), ATTEMPT).await.expect("an answer");
        if answer.status != StatusCode::OK {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 2_000, "it never fills up");
    };
    // The entry that did not fit waits in memory: what becomes of it is not known.
    assert!(refused.is_undecided(), "{refused:?}");
    until(&mut cluster, DiskState::Full).await;
    let more = cluster.ask(1, &put(acknowledged + 1), ATTEMPT).await.expect("an answer");
    assert_eq!(more.status, StatusCode::SERVICE_UNAVAILABLE, "{more:?}");
    assert!(String::from_utf8_lossy(&more.body).contains("disk"), "{more:?}");
    assert_eq!(read(&cluster, acknowledged - 1).await.body, value(acknowledged - 1));

    fs::remove_file(&ballast).expect("removed");
    until(&mut cluster, DiskState::Ok).await;
    for number in acknowledged..acknowledged + 20 {
        written(&cluster, number).await;
    }
    cluster.kill(1).expect("killed");
    cluster.restart(1).expect("started again");
    cluster.leader(STUCK).await.expect("it leads again");
    for number in 0..acknowledged + 20 {
        assert_eq!(read(&cluster, number).await.body, value(number), "write {number}");
    }
    println!("filled, and went on");
}

/// In a name space of its own, which takes no privileges where the kernel lets users have them.
/// Where it does not, this says so loudly, and fails if `HOLM_WAL_SMALL_FS=required` is set.
#[test]
fn a_process_on_a_full_disk_refuses_writes_and_goes_on_once_there_is_room() {
    const NAME: &str =
        "full_disk::a_process_on_a_full_disk_refuses_writes_and_goes_on_once_there_is_room";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        return runtime.expect("a runtime").block_on(fill_up_and_go_on());
    }
    let folder = tempfile::tempdir().expect("a folder");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.arg(folder.path());
        command
    };
    let mount = "mount -t tmpfs -o size=64m holm \"$1\"";
    let possible = unshare(mount).output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("HOLM_WAL_SMALL_FS").is_some_and(|it| it == "required");
        assert!(!required, "a small file system can't be had here: {possible:?}");
        eprintln!("NOT SHOWN: {NAME}: a small file system can't be had here: {possible:?}");
        return;
    }
    let test = std::env::current_exe().expect("this test");
    let output = unshare(&format!("{mount} && shift && exec \"$@\""))
        .arg(test)
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, "")
        .env("TMPDIR", folder.path())
        .output()
        .expect("it ran before");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{errors}", output.status);
    assert!(text.contains("filled, and went on"), "{text}{errors}");
}
