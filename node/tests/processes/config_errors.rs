//! Configuration files as people get them wrong, and what they are told: the file, the key, the
//! line where the format knows it, and the mend.

use holm::server::file::{Overrides, ServeConfig, Storage};
use holm::{Security, VerifyLog};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const SOUND: &str = r#"
cluster = "harbour"
node = 1
data_dir = "data"
listen = "127.0.0.1"
http = "127.0.0.1"
insecure = true

[[islands]]
name = "north"

[[members]]
id = 1
island = "north"
address = "127.0.0.1"
"#;

fn written(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node1.toml");
    fs::write(&path, text).expect("a file");
    (folder, path)
}

fn load(text: &str, overrides: &Overrides) -> Result<ServeConfig, String> {
    let (folder, path) = written(text);
    let inside = format!("{}/", folder.path().display());
    ServeConfig::load(&path, overrides).map_err(|error| error.to_string().replace(&inside, ""))
}

fn told(text: &str) -> String {
    load(text, &Overrides::default()).expect_err("this file is wrong")
}

/// `SOUND` with one of its lines replaced.
fn with(line: &str, replacement: &str) -> String {
    assert!(SOUND.contains(line), "no `{line}`");
    SOUND.replacen(line, replacement, 1)
}

#[test]
fn a_sound_file_is_read_with_default_ports_and_its_directory_beside_it() {
    let (folder, path) = written(SOUND);
    let config = ServeConfig::load(&path, &Overrides::default()).expect("sound");
    assert_eq!((config.cluster.as_str(), config.node), ("harbour", 1));
    assert_eq!(config.listen.as_deref(), Some("127.0.0.1:7600"));
    assert_eq!(config.http, "127.0.0.1:7680");
    assert_eq!(config.storage, Storage::Directory(folder.path().join("data")));
    assert_eq!(config.topology.members[0].address.as_deref(), Some("127.0.0.1:7600"));
    assert_eq!((config.election_timeout, config.segment_bytes), (None, None));
    assert!(matches!(config.security, Security::Insecure));
}

#[test]
fn the_whole_log_is_verified_unless_the_file_or_a_flag_says_otherwise() {
    let (_folder, path) = written(SOUND);
    let read = |overrides| ServeConfig::load(&path, &overrides).expect("sound").verify_log;
    assert_eq!(read(Overrides::default()), VerifyLog::All);
    let flag = Overrides { verify_log: Some(VerifyLog::Tail), ..Overrides::default() };
    assert_eq!(read(flag), VerifyLog::Tail);
    let tail = with("insecure = true", "insecure = true\nverify_log = \"tail\"");
    let (_folder, path) = written(&tail);
    let config = ServeConfig::load(&path, &Overrides::default()).expect("sound");
    assert_eq!(config.verify_log, VerifyLog::Tail);
    let wrong = with("insecure = true", "insecure = true\nverify_log = \"some\"");
    assert!(told(&wrong).contains("expected `all` or `tail`"), "{}", told(&wrong));
}

fn check(cases: impl IntoIterator<Item = (String, &'static str)>) {
    for (text, expected) in cases {
        let message = told(&text);
        assert!(message.starts_with(expected), "told: {message}\nexpected: {expected}");
    }
}

#[test]
fn each_mistake_in_who_and_where_is_told_with_file_key_and_mend() {
    check([
        (
            with("insecure = true", ""),
            "node1.toml: secrets: is missing; add secrets = \"FILE\" (or --secrets, or \
             HOLM_SECRETS), as `holm init` writes it; or add insecure = true to accept that",
        ),
        (with("insecure = true", "insecure = false"), "node1.toml: secrets: is missing; add "),
        (
            with("cluster = \"harbour\"", ""),
            "node1.toml: cluster: is missing; add cluster = \"NAME\" (or --cluster, or \
             HOLM_CLUSTER)",
        ),
        (
            with("\"harbour\"", "\"two words\""),
            "node1.toml: cluster: a name has 1 to 64 visible ASCII characters; choose another name",
        ),
        (
            with("node = 1", ""),
            "node1.toml: node: is missing; add node = ID (or --node, or HOLM_NODE)",
        ),
        (
            with("node = 1", "node = 7"),
            "node1.toml: node: there is no member 7 in the topology; \
             add a [[members]] entry with this id, or correct it",
        ),
        (
            with("node = 1", "node = \"one\""),
            "node1.toml:3: node: invalid type: string \"one\", expected u64",
        ),
        (with("node = 1", "node = -1"), "node1.toml:3: node: invalid value: integer `-1`"),
        (
            with("data_dir = \"data\"", ""),
            "node1.toml: data_dir: is missing; add data_dir = \"DIR\" or storage = \"memory\" \
             (or --data-dir, or HOLM_DATA_DIR)",
        ),
        (
            with("data_dir = \"data\"", "data_dir = \"\""),
            "node1.toml: data_dir: is empty; name a directory",
        ),
        (
            with("data_dir = \"data\"", "data_dir = \"data\"\nstorage = \"memory\""),
            "node1.toml: data_dir: contradicts storage = \"memory\", which keeps nothing on disk; \
             remove one of the two",
        ),
        (
            with("data_dir = \"data\"", "storage = \"tape\""),
            "node1.toml:4: storage: unknown variant `tape`, expected `memory`",
        ),
        (with("http = \"127.0.0.1\"", ""), "node1.toml: http: is missing; add http = "),
        (
            with("http = \"127.0.0.1\"", "http = \"127.0.0.1:7600\""),
            "node1.toml: http: is the same address as listen; give members and HTTP a port each",
        ),
        (
            with("http = \"127.0.0.1\"", "http = \"::1\""),
            "node1.toml: http: `::1` is ambiguous; write an IPv6 address as [::1]:7680",
        ),
        (
            with("listen = \"127.0.0.1\"", ""),
            "node1.toml: listen: is missing, but the topology tells others to dial member 1 at \
             127.0.0.1:7600; add listen = \"127.0.0.1:7600\", or remove member 1's address",
        ),
    ]);
}

#[test]
fn each_mistake_in_bounds_and_topology_is_told_with_file_key_and_mend() {
    check([
        (
            with("insecure = true", "insecure = true\nheartbeat = 5"),
            "node1.toml:8: heartbeat: unknown field `heartbeat`, expected one of ",
        ),
        (
            with("insecure = true", "insecure = true\nheartbeat_ms = 100"),
            "node1.toml: heartbeat_ms: is more than half of election_timeout_ms",
        ),
        (
            with("insecure = true", "insecure = true\nrequest_timeout_ms = 60001"),
            "node1.toml: request_timeout_ms: 60001 is out of bounds; choose 1 to 60000",
        ),
        (
            with("insecure = true", "insecure = true\nsegment_bytes = 4096"),
            "node1.toml: segment_bytes: 4096 is out of bounds; choose 8388608 to 1073741824",
        ),
        (
            with("insecure = true", "insecure = true\nsnapshot_log_bytes = 4095"),
            "node1.toml: snapshot_log_bytes: 4095 is out of bounds; choose 4096 to 1099511627776",
        ),
        (
            with("insecure = true", "insecure = true\nsnapshot_entries = 0"),
            "node1.toml: snapshot_entries: 0 is out of bounds; choose 1 to 1000000000",
        ),
        (
            with("insecure = true", "insecure = true\nsnapshot_bytes_per_second = 0"),
            "node1.toml: snapshot_bytes_per_second: 0 is out of bounds; choose 65536 to \
             1099511627776",
        ),
        (
            with("insecure = true", "insecure = true\nrelay_bytes_per_second = 1"),
            "node1.toml: relay_bytes_per_second: 1 is out of bounds; choose 65536 to",
        ),
        (
            with("insecure = true", "insecure = true\nrelay_queue_bytes = 1"),
            "node1.toml: relay_queue_bytes: 1 is out of bounds; choose 65536 to 1073741824",
        ),
        (
            with("insecure = true", "insecure = true\nrelay_queue_bytes = 65536"),
            "node1.toml: relay_queue_bytes: 65536 is less than frame_bytes_max = 131072; raise it, \
             or lower frame_bytes_max",
        ),
        (
            with("insecure = true", "insecure = true\nframe_bytes_max = 1023"),
            "node1.toml: frame_bytes_max: 1023 is out of bounds; choose 1024 to 16777216",
        ),
        (
            with("island = \"north\"", "island = \"south\""),
            "node1.toml: members 1: island: there is no island `south`; ",
        ),
        (
            with("island = \"north\"", "island = \"north\"\nport = 1"),
            "node1.toml:15: port: unknown field `port`, expected one of ",
        ),
        (
            with("insecure = true", "insecure = true\ntopology = \"t.toml\""),
            "node1.toml: topology: names a file, and there are [[islands]], [[members]] or \
             [[links]] here too; keep one of the two",
        ),
        (
            "cluster = \"c\"\ninsecure = true\n".into(),
            "node1.toml: topology: is missing; add topology = \"FILE\" or [[islands]] and \
             [[members]] entries (or --topology, or HOLM_TOPOLOGY)",
        ),
        (with("node = 1", "node 1"), "node1.toml:3: "),
    ]);
}

#[test]
fn each_mistake_in_the_members_hosts_is_told_with_its_mend() {
    let hosts = |lines: &str| with("insecure = true", &format!("insecure = true\n{lines}"));
    check([
        (
            hosts("hosts_domain = \"a..b\""),
            "node1.toml: hosts_domain: `a..b` is no domain of the members' hosts; give letters,",
        ),
        (
            hosts("hosts_redirect = \"https\""),
            "node1.toml: hosts_redirect: needs hosts_domain; add hosts_domain = \"DOMAIN\", or",
        ),
        (
            hosts("hosts_domain = \"a.b\"\nhosts_redirect = \"ftp\""),
            "node1.toml: hosts_redirect: `ftp` is no way to a member's host; write https, http,",
        ),
        (
            hosts("hosts_domain = \"a.b\"\nhosts_redirect = \"https:0\""),
            "node1.toml: hosts_redirect: `https:0` is no way to a member's host; write https,",
        ),
    ]);
    let options = load(&hosts("hosts_domain = \"a.b\""), &Overrides::default()).expect("sound");
    let options = options.serving.points.expect("hosts");
    assert_eq!(
        (options.hosts.map(|hosts| hosts.of(3)), options.redirect),
        (Some("app-3.a.b".into()), None)
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (folder, _path) = written(SOUND);
    let error = ServeConfig::load(&folder.path().join("none.toml"), &Overrides::default());
    let message = error.expect_err("no such file").to_string();
    assert!(message.contains("none.toml: can't be read: "), "{message}");
    assert!(message.ends_with("; name a readable TOML file"), "{message}");
}

/// The settings of `SOUND` without its topology, which `topology = "FILE"` then names.
fn settings() -> String {
    let (settings, _) = SOUND.split_once("[[islands]]").expect("a topology");
    format!("{settings}topology = \"islands/t.toml\"\n")
}

#[test]
fn a_topology_file_is_found_beside_the_configuration_and_named_in_its_errors() {
    let (folder, path) = written(&settings());
    let topology = folder.path().join("islands/t.toml");
    fs::create_dir(folder.path().join("islands")).expect("a folder");
    let message = |path: &Path| {
        let error = ServeConfig::load(path, &Overrides::default()).expect_err("wrong");
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    assert!(message(&path).starts_with("islands/t.toml: can't be read: "), "{}", message(&path));
    fs::write(&topology, "members = [{ id = 1, island = \"n\" }]").expect("a file");
    let expected = "islands/t.toml: members 1: island: there is no island `n`";
    assert!(message(&path).starts_with(expected), "{}", message(&path));
    fs::write(&topology, "[[members]]\nid = 1\nisle = \"n\"\n").expect("a file");
    let expected = "islands/t.toml:3: isle: unknown field `isle`";
    assert!(message(&path).starts_with(expected), "{}", message(&path));
    let (_, entries) = SOUND.split_at(SOUND.find("[[islands]]").expect("a topology"));
    fs::write(&topology, entries).expect("a file");
    let config = ServeConfig::load(&path, &Overrides::default()).expect("sound");
    assert_eq!(config.topology.members.len(), 1);
}

#[test]
fn what_is_given_wins_over_what_is_written() {
    let overrides = Overrides {
        cluster: Some("other".into()),
        data_dir: Some("given".into()),
        http: Some("localhost".into()),
        request_timeout_ms: Some(900),
        ..Overrides::default()
    };
    let text = with("data_dir = \"data\"", "storage = \"memory\"\nrequest_timeout_ms = 5");
    let config = load(&text, &overrides).expect("sound");
    assert_eq!(config.cluster, "other");
    assert_eq!(config.storage, Storage::Directory("given".into()), "relative to the command");
    assert_eq!(config.http, "localhost:7680");
    assert_eq!(config.request_timeout, Some(Duration::from_millis(900)));
}
