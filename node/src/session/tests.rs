//! Tests of sessions that look inside: no key is anywhere in clear.

use super::ring::Known;
use super::*;
use crate::config::{Config, Storage};
use crate::node::Node;
use crate::reading::ReadOptions;
use crate::store::{Command, Store};
use holm_transport::{KeyRing, Secret};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

async fn alone() -> (Node<Store>, Sessions<Store>) {
    let mut config = Config::local_cluster(1).await.unwrap().remove(0);
    config.session_secrets = Some(KeyRing::of(Secret::generate(&mut |out| out.fill(1))));
    let node = Node::open(config, Store::default()).await.unwrap();
    let sessions = node.sessions(SessionOptions::new("app")).await.unwrap();
    (node, sessions)
}

/// No clock could show it without chance: the work is counted, in bytes that are gone through.
#[tokio::test]
async fn a_wrong_key_costs_the_same_work_as_a_wrong_body() {
    let (node, sessions) = alone().await;
    let sealed = sessions.sealer().seal(&[7_u8; 300].to_vec()).unwrap();
    node.session_keys().rotate().await.unwrap();
    let revoked = sessions.sealer().seal(&[7_u8; 300].to_vec()).unwrap();
    node.session_keys().revoke(2).await.unwrap();
    // There never is a key 0.
    let unknown = token::under_key(&sealed, 0);
    let (body, last) = sealed.split_at(sealed.len() - 4);
    let altered = format!("{body}{}", if last == "AAAA" { "BBBB" } else { "AAAA" });
    let opener = sessions.opener();
    for token in [&altered, &unknown, &revoked] {
        let work = token::work_of(|| {
            assert_eq!(opener.open_here::<Vec<u8>>(token), Err(Refused));
        });
        assert_eq!(work, token::sealed_bytes(token));
    }
    assert_eq!(node.measures().refused["session"], 3);
}

#[tokio::test]
async fn all_who_make_up_the_number_of_a_key_meanwhile_share_one_question() {
    let (_node, sessions) = alone().await;
    let sealed = sessions.sealer().seal(&7_u8).unwrap();
    let made_up = token::under_key(&sealed, 99);
    let opener = sessions.opener();
    let open = || {
        let (opener, made_up) = (opener.clone(), made_up.clone());
        Box::pin(async move { opener.open::<u8>(&made_up).await })
    };
    let mut opening: Vec<_> = (0..200).map(|_| open()).collect();
    // The first one asks, all others come while it waits for the answer.
    let mut context = Context::from_waker(Waker::noop());
    for one in &mut opening {
        assert!(one.as_mut().poll(&mut context).is_pending());
    }
    for one in opening {
        assert_eq!(one.await, Err(Refused));
    }
    assert_eq!(opener.asked(), 2);
    assert_eq!(opener.open::<u8>(&sealed).await.map(|opened| opened.state), Ok(7));
}

/// All that a member logs.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn read_all(directory: &Path, into: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            into.push(std::fs::read(path).unwrap());
        }
    }
}

/// What is compressed in there.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let at = bytes.windows(magic.len()).position(|window| window == magic);
    let mut reader = &bytes[at.expect("zstd's magic number")..];
    let mut decoder = zstd::stream::read::Decoder::new(&mut reader).unwrap().single_frame();
    let mut plain = Vec::new();
    decoder.read_to_end(&mut plain).unwrap();
    plain
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(feature = "server")]
#[tokio::test]
async fn no_key_stands_in_clear_in_a_log_a_snapshot_a_backup_or_a_trace() {
    let logged = Logged::default();
    let writer = logged.clone();
    let tracing = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _tracing = tracing::subscriber::set_default(tracing);
    let directory = tempfile::tempdir().unwrap();
    let secret = Secret::generate(&mut |out| out.fill(0x5a));
    let mut nodes = Vec::new();
    for mut config in Config::local_cluster(3).await.unwrap() {
        config.storage = Storage::Disk(directory.path().join(config.node.to_string()));
        config.session_secrets = Some(KeyRing::of(secret.clone()));
        config.snapshot_entries = 10;
        nodes.push(Node::open(config, Store::default()).await.unwrap());
    }
    let sessions = nodes[0].sessions(SessionOptions::new("app")).await.unwrap();
    for _ in 0..2 {
        nodes[1].session_keys().rotate().await.unwrap();
    }
    // Beyond two snapshots, so that the log is compacted.
    for _ in 0..30 {
        nodes[2].propose(Command::Add { name: "hits".into(), by: 1 }).await.unwrap();
    }
    assert_eq!(nodes[0].session_keys().list().await.unwrap().len(), 3, "they are here");
    let mut keys = Vec::new();
    for number in 1..=3 {
        let Known::Key(key, _) = sessions.sealing().ring.find(number) else { panic!("{number}") };
        keys.push(key.unprotected_as_ref().to_vec());
    }
    let mut places: Vec<Vec<u8>> = Vec::new();
    for node in &nodes {
        // What is compressed in a backup is looked at as well.
        let backup = node.backup(ReadOptions::default()).await.unwrap();
        places.extend([unpacked(backup.file()), backup.file().to_vec()]);
    }
    for node in &nodes {
        // Snapshots are compressed: what is in them is looked at as well.
        places.push(postcard::to_stdvec(&node.own.freeze()).unwrap());
        node.shutdown().await;
    }
    assert!(nodes[0].status().borrow().snapshot > 0, "there are snapshots");
    read_all(directory.path(), &mut places);
    places.push(logged.0.lock().unwrap().clone());
    let logged = String::from_utf8_lossy(places.last().unwrap()).into_owned();
    assert!(logged.contains("took a snapshot"), "the trace is there");
    let wrapped = secret.id().0;
    assert!(places.iter().filter(|place| holds(place, &wrapped)).count() >= 9, "so are the keys");
    for key in keys {
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let listed = format!("{key:?}");
        for place in &places {
            assert!(!holds(place, &key) && !holds(place, &key[..16]));
            assert!(!holds(place, hex.as_bytes()) && !holds(place, listed.as_bytes()));
        }
    }
}
