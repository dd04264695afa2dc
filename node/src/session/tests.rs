//! Tests of sessions that look inside: no key is anywhere in clear.

use super::ring::Known;
use super::*;
use crate::config::{Config, Storage};
use crate::node::Node;
use crate::store::{Command, Store};
use holm_transport::{KeyRing, Secret};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

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

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(feature = "server")]
#[tokio::test]
async fn no_key_stands_in_clear_in_a_log_a_snapshot_or_a_trace() {
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
    let mut keys = Vec::new();
    for number in 1..=3 {
        let Known::Key(key, _) = sessions.sealing().ring.find(number) else { panic!("{number}") };
        keys.push(key.unprotected_as_ref().to_vec());
    }
    let mut places: Vec<Vec<u8>> = Vec::new();
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
    assert!(places.iter().filter(|place| holds(place, &wrapped)).count() >= 6, "so are the keys");
    for key in keys {
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let listed = format!("{key:?}");
        for place in &places {
            assert!(!holds(place, &key) && !holds(place, &key[..16]));
            assert!(!holds(place, hex.as_bytes()) && !holds(place, listed.as_bytes()));
        }
    }
}
