//! `holm init` and `holm keygen`: what they write can be served, is their owner's alone, and never
//! takes the place of what is there.

use holm::server::file::{Overrides, ServeConfig, Storage};
use holm::{KeyPair, KeyRing, PrivateKey, PublicKey, Security};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Runs `holm` in `folder`; its exit code, standard output and standard error.
fn holm(folder: &Path, line: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
    let output = command.args(line.split(' ')).current_dir(folder).output().expect("it ran");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn done(folder: &Path, line: &str) -> String {
    let (code, out, error) = holm(folder, line);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{line}");
    out
}

fn refused(folder: &Path, line: &str) -> (i32, String) {
    let (code, out, error) = holm(folder, line);
    assert_eq!(out, "", "{line}");
    (code.expect("it ended by itself"), error)
}

fn load(folder: &Path, id: u64) -> ServeConfig {
    let path = folder.join(format!("node{id}/holm.toml"));
    ServeConfig::load(&path, &Overrides::default()).expect("it can be served")
}

/// Everything under `folder`, with its permissions.
fn files(folder: &Path) -> BTreeSet<(PathBuf, u32)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("readable") {
            let path = entry.expect("readable").path();
            let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            found.insert((path.strip_prefix(folder).expect("inside").to_owned(), mode));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn what_is_written_can_be_served_and_is_its_owners_alone() {
    let folder = folder();
    let told = done(folder.path(), "init --members 3 --dir new --cluster harbour");
    assert!(told.contains("    holm serve --bootstrap --config new/node2/holm.toml\n"), "{told}");
    let mut expected = BTreeSet::from([("new".into(), 0o700), ("new/topology.toml".into(), 0o600)]);
    for id in 1..=3 {
        expected.insert((format!("new/node{id}").into(), 0o700));
        for file in ["holm.toml", "member.key", "secrets"] {
            expected.insert((format!("new/node{id}/{file}").into(), 0o600));
        }
    }
    assert_eq!(files(folder.path()), expected, "and nothing is left beside it");
    let mut known = BTreeSet::new();
    for id in 1..=3 {
        let config = load(&folder.path().join("new"), id);
        assert_eq!((config.cluster.as_str(), config.node), ("harbour", id));
        assert_eq!(config.listen, Some(format!("127.0.0.1:760{id}")));
        assert_eq!(config.http, format!("127.0.0.1:768{id}"));
        let data = folder.path().join(format!("new/node{id}/data"));
        assert_eq!(config.storage, Storage::Directory(data));
        let Security::Sealed { pair, ring } = config.security else { panic!("insecure") };
        known.insert((pair.public(), ring.first().id()));
    }
    let keys: BTreeSet<_> = known.iter().map(|(key, _)| key).collect();
    let secrets: BTreeSet<_> = known.iter().map(|(_, secret)| secret).collect();
    assert_eq!((keys.len(), secrets.len()), (3, 1), "keys of their own, and one secret");
}

#[test]
fn an_empty_directory_is_filled_and_another_is_not_touched() {
    let folder = folder();
    fs::create_dir(folder.path().join("new")).expect("made");
    done(folder.path(), "init --members 1 --dir new");
    let before = files(folder.path());
    let key = fs::read(folder.path().join("new/node1/member.key")).expect("there");
    fs::write(folder.path().join("file"), "").expect("written");
    for (dir, expected) in [
        ("new", "holm: --dir: new is not empty; name one that is not there yet\n"),
        ("file", "holm: --dir: file is not a directory; name one that is not there yet\n"),
    ] {
        let line = format!("init --members 1 --dir {dir}");
        assert_eq!(refused(folder.path(), &line), (2, expected.into()));
    }
    let (code, error) = refused(folder.path(), "init --members 1 --dir none/new");
    assert!(code == 1 && error.starts_with("holm: none/new can't be made: "), "{error}");
    fs::remove_file(folder.path().join("file")).expect("removed");
    assert_eq!(files(folder.path()), before);
    assert_eq!(fs::read(folder.path().join("new/node1/member.key")).expect("there"), key);
    let empty = self::folder();
    let expected = "holm: --dir: . is where this command runs; name one that is not there yet\n";
    let told = refused(empty.path(), "init --members 1 --dir .");
    assert_eq!(told, (2, expected.into()));
}

#[test]
fn addresses_are_those_of_machines_of_their_own() {
    let folder = folder();
    done(folder.path(), "init --members 2 --address 10.0.0.1 --address [fd00::2]:99 --dir new");
    let new = folder.path().join("new");
    assert_eq!(load(&new, 1).listen.as_deref(), Some("10.0.0.1:7600"));
    assert_eq!(load(&new, 2).listen.as_deref(), Some("[fd00::2]:99"));
    assert_eq!([load(&new, 1).http, load(&new, 2).http], ["127.0.0.1:7680"; 2]);
    let told = refused(folder.path(), "init --members 3 --address 10.0.0.1 --dir other");
    let expected = "holm: --address: 1 are given for 3 members; give each member its own\n";
    assert_eq!(told, (2, expected.into()));
    let told = refused(folder.path(), "init --address a --address a --dir other");
    let expected = "holm: members 2: address: `a:7600` is another member's address too; give each \
                    its own\n";
    assert_eq!(told, (2, expected.into()));
    assert!(!folder.path().join("other").exists());
}

const ISLANDS: &str = r#"
    islands = [{ name = "north" }, { name = "south \"2\"" }]
    members = [
        { id = 4, island = "north", address = "10.0.0.4" },
        { id = 7, island = "south \"2\"", relay = false },
    ]
    links = [{ from = "north", to = "south \"2\"", dial = false }]
"#;

#[test]
fn a_topology_file_keeps_what_it_says_and_gets_keys() {
    let folder = folder();
    fs::write(folder.path().join("t.toml"), ISLANDS).expect("written");
    done(folder.path(), "init --topology t.toml --dir new");
    let new = folder.path().join("new");
    let (four, seven) = (load(&new, 4), load(&new, 7));
    assert_eq!((four.listen.as_deref(), seven.listen), (Some("10.0.0.4:7600"), None));
    let mut topology = four.topology.clone();
    for (member, config) in topology.members.iter_mut().zip([four.security, seven.security]) {
        let Security::Sealed { pair, .. } = config else { panic!("insecure") };
        assert_eq!(member.key.take(), Some(pair.public()));
    }
    assert_eq!(holm::topology::Topology::parse(ISLANDS), Ok(topology));

    fs::copy(new.join("topology.toml"), folder.path().join("t.toml")).expect("copied");
    let expected = "holm: t.toml: members 4: key: is there already; \
                    remove the keys: holm init draws new ones\n";
    let told = refused(folder.path(), "init --topology t.toml --dir other");
    assert_eq!(told, (2, expected.into()));
    fs::write(folder.path().join("t.toml"), ISLANDS.replace("10.0.0.4", "::1")).expect("written");
    let (code, error) = refused(folder.path(), "init --topology t.toml --dir other");
    assert!(code == 2 && error.starts_with("holm: t.toml:4: "), "{error}");
    assert!(!folder.path().join("other").exists());
}

#[test]
fn keygen_prints_what_may_be_known_and_writes_the_rest_for_its_owner() {
    let folder = folder();
    let known = done(folder.path(), "keygen --out member.key");
    let public: PublicKey = known.trim().parse().expect("a public key");
    let text = fs::read_to_string(folder.path().join("member.key")).expect("there");
    let (comment, private) = text.split_once('\n').expect("two lines");
    assert_eq!(comment, format!("# {public}"));
    let private: PrivateKey = private.trim().parse().expect("a private key");
    assert_eq!(KeyPair::of(private).public(), public);

    let known = done(folder.path(), "keygen --secret --out secrets");
    let text = fs::read_to_string(folder.path().join("secrets")).expect("there");
    let ring: KeyRing = text.parse().expect("a ring");
    assert_eq!(ring.first().id().to_string(), known.trim());
    for (file, mode) in files(folder.path()) {
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    let told = refused(folder.path(), "keygen --secret --out member.key");
    let expected = "holm: member.key is there already; choose another name\n";
    assert_eq!(told, (1, expected.into()));
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn keygen_without_a_file_prints_one_and_each_differs() {
    let folder = folder();
    let texts = ["keygen", "keygen", "keygen --secret", "keygen --secret"];
    let drawn: BTreeSet<_> = texts.iter().map(|line| done(folder.path(), line)).collect();
    assert_eq!(drawn.len(), 4);
    assert_eq!(drawn.iter().filter(|text| text.parse::<KeyRing>().is_ok()).count(), 2);
    assert_eq!(drawn.iter().filter(|text| text.contains("\nholm-private-")).count(), 2);
}

#[test]
fn a_name_that_no_member_would_take_is_refused() {
    let folder = folder();
    let told = refused(folder.path(), "init --members 1 --dir new --cluster é");
    let expected =
        "holm: cluster: a name has 1 to 64 visible ASCII characters; choose another name\n";
    assert_eq!(told, (2, expected.into()));
}
