//! The command line as its users see it: every command's help, what each exit code is for, the JSON
//! that it prints, and that a reader who goes away is no error. What is seen is kept in
//! `golden/cli`; `UPDATE=1 cargo test -p holm --test processes command_line` writes it anew.

use holm::server::cluster::Cluster;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_holm");
/// When something must be stuck.
const STUCK: Duration = Duration::from_secs(30);

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        // What the caller's own environment overrides is not meant for these.
        if name.to_str().is_some_and(|name| name.starts_with("HOLM_")) {
            command.env_remove(name);
        }
    }
    command.args(words).env("COLUMNS", "100").stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    command(words).output().expect("it ran")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli").join(name)
}

/// Holds what was found against what is kept, or keeps it.
fn compare(name: &str, found: &str) {
    let path = golden(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, found).expect("written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == found, "{name} is kept as:\n{kept}\nand is:\n{found}\n{HINT}");
}

const HINT: &str =
    "run UPDATE=1 cargo test -p holm --test processes command_line, and read what changed";

/// The commands that a help names.
fn commands(help: &str) -> Vec<String> {
    let named = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = named.lines().take_while(|line| !line.is_empty());
    // A line that goes on with the one before begins with more space.
    let lines = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    lines.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// Every command and what its help says, from the top down.
fn helps(path: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let output = run(&words);
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}");
    let help = text(&output.stdout);
    let inner = commands(&help);
    found.push((path.to_vec(), help));
    for command in inner {
        helps(&[path, &[command]].concat(), found);
    }
}

#[test]
fn every_command_says_what_it_does_how_and_gives_examples() {
    let mut found = Vec::new();
    helps(&[], &mut found);
    assert!(found.len() > 15, "{found:?}");
    let mut names = BTreeSet::new();
    for (path, help) in &found {
        let name = if path.is_empty() { "holm".to_owned() } else { path.join("-") };
        compare(&format!("help/{name}.txt"), help);
        names.insert(format!("{name}.txt"));
        let leads_on = !commands(help).is_empty();
        // What has no flags of its own needs no example.
        let plain = !help.contains("Arguments:") && !help.contains("--endpoint");
        let plain = plain && help.matches("\n      --").count() == 0;
        // Those of a noun stand for its verbs.
        let noun = found.iter().find(|(noun, _)| path.len() > 1 && noun[..] == path[..1]);
        let shown = [Some(help), noun.map(|(_, help)| help)].into_iter().flatten();
        let shown = shown.into_iter().any(|help| help.contains("\nExamples:\n"));
        assert!(shown || leads_on || plain, "{name} has no examples");
    }
    let kept = fs::read_dir(golden("help"))
        .expect("a folder")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("a name"));
    let kept: BTreeSet<String> = kept.collect();
    assert_eq!(kept, names, "a command is gone, and its file is not");
}

#[test]
fn exit_codes_are_what_the_documents_say_and_each_error_is_one_line_with_a_mend() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("holm.toml");
    fs::write(&config, "cluster = \"a\"\n").expect("written");
    let config = config.to_str().expect("text");
    let cases: [(&[&str], i32); 10] = [
        (&["--version"], 0),
        (&["completions", "bash"], 0),
        (&["token", "new", "--name", "a", "--role", "read"], 0),
        (&["counter", "get", "n", "--endpoint", "127.0.0.1:1", "--timeout", "50ms"], 1),
        (&["status", "--endpoint", "https://127.0.0.1:1", "--timeout", "50ms"], 1),
        (&["kv", "get", "k", "--token-file", "nowhere"], 1),
        (&["serve", "--config", config], 2),
        (&["serve", "--config", "nowhere.toml"], 2),
        (&["counter", "add", "n", "much"], 2),
        (&["nothing"], 2),
    ];
    let mut told = String::new();
    for (words, expected) in cases {
        let output = run(words);
        assert_eq!(output.status.code(), Some(expected), "{words:?}: {}", text(&output.stderr));
        let error = text(&output.stderr).replace(config, "holm.toml");
        let words = words.join(" ").replace(config, "holm.toml");
        told += &format!("$ holm {words}\n{error}= {expected}\n\n");
        if expected == 1 {
            let lines = error.lines().filter(|line| line.starts_with("holm: ")).count();
            assert_eq!(lines, 1, "{words}: {error}");
            assert!(error.contains(';') || error.contains('?'), "{words} names no mend: {error}");
        }
    }
    compare("exit-codes.txt", &told);
}

/// JSON with its values' kinds in place of its values.
fn shape(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(values) => values.iter().take(1).map(shape).collect(),
        Value::Object(object) => {
            object.iter().map(|(name, value)| (name.clone(), shape(value))).collect()
        }
    }
}

/// A member's configuration that is sound, on an empty directory.
const SOUND: &str = "cluster = \"a\"\nnode = 1\ndata_dir = \"data\"\ninsecure = true\n\
    http = \"127.0.0.1:0\"\nmembers = [{ id = 1, island = \"here\" }]\n\
    islands = [{ name = \"here\" }]\n";
const TICKET: &str = "a/4/60rk-4csm-6mv3-ee1s-c5h6-6s35-cst9";

/// A way in which each command fails. `DIR` is a folder with `sound.toml` and a file `there`, and
/// `PORT` one that is taken; those that ask a member find none.
const FAILURES: [(&str, i32); 39] = [
    ("backup DIR/new", 1),
    ("backup DIR/there", 1),
    ("bench --clients 0", 2),
    ("completions tcsh", 2),
    ("counter add n", 1),
    ("counter get n", 1),
    ("demo --loudly", 2),
    ("init --members 3 --dir DIR", 2),
    ("inspect backup DIR/there", 1),
    ("inspect backup DIR/nothing", 1),
    ("inspect wal DIR/nothing", 1),
    ("join --ticket a/4/60rk --member 127.0.0.1 --insecure --dir DIR/new", 2),
    ("join --ticket TICKET --member 127.0.0.1:1 --insecure --dir DIR/new --timeout 50ms", 1),
    ("join --ticket TICKET --member 127.0.0.1:1 --secret-file DIR/nothing --dir DIR/new", 1),
    ("keygen --out DIR/there", 1),
    ("keys list", 1),
    ("keys revoke 1", 1),
    ("keys rotate", 1),
    ("kv delete k", 1),
    ("kv get k", 1),
    ("kv put k v", 1),
    ("members add 4 --incarnation 3fa2c1d05b7e9148", 1),
    ("members add 4 --incarnation 3fa2", 2),
    ("members demote 1", 1),
    ("members invite --ttl 2y", 2),
    ("members invite", 1),
    ("members list", 1),
    ("members promote 1", 1),
    ("members remove 1", 1),
    ("members replace 1 --address 10.0.0.1", 1),
    ("members update 1", 1),
    ("recover --config DIR/sound.toml --members 1 --wait 1ms", 1),
    ("rendezvous where k", 1),
    ("restore DIR/there --config DIR/sound.toml", 1),
    ("restore DIR/there --config DIR/nothing.toml", 2),
    ("serve --config DIR/sound.toml --http 127.0.0.1:PORT", 1),
    ("status --cluster", 1),
    ("token new --name a --role read --out DIR/there", 1),
    ("transfer", 1),
];

#[test]
fn every_command_fails_with_its_code_and_a_mend() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("text");
    fs::write(folder.path().join("sound.toml"), SOUND).expect("written");
    fs::write(folder.path().join("there"), "a letter to somebody").expect("written");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let mut all = Vec::new();
    helps(&[], &mut all);
    let leaves = all.iter().filter(|(_, help)| commands(help).is_empty());
    let mut untried: BTreeSet<String> = leaves.map(|(path, _)| path.join(" ")).collect();
    let ran = |line: &str| {
        let word =
            |word: &str| word.replace("DIR", dir).replace("PORT", &port).replace("TICKET", TICKET);
        let words: Vec<String> = line.split(' ').map(word).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = command(&words);
        command.env("HOLM_ENDPOINT", "127.0.0.1:1").env("HOLM_LOG", "error");
        command.output().expect("it ran")
    };
    // Side by side: many ask again until their time is over.
    let outputs = std::thread::scope(|scope| {
        let running = FAILURES.map(|(line, _)| {
            scope.spawn({
                let ran = &ran;
                move || ran(line)
            })
        });
        running.map(|one| one.join().expect("it ran"))
    });
    let mut told = String::new();
    for ((line, expected), output) in FAILURES.into_iter().zip(outputs) {
        untried.retain(|leaf| !line.starts_with(leaf.as_str()));
        let error = text(&output.stderr).replace(dir, "DIR").replace(&port, "PORT");
        assert_eq!(output.status.code(), Some(expected), "{line}: {error}");
        told += &format!("$ holm {line}\n{error}= {expected}\n\n");
        if expected == 1 {
            let lines = error.lines().filter(|line| line.starts_with("holm: ")).count();
            assert_eq!(lines, 1, "{line}: {error}");
            assert!(error.contains(';') || error.contains('?'), "{line} names no mend: {error}");
        }
    }
    assert!(untried.is_empty(), "no failure of {untried:?} is tried");
    compare("failures.txt", &told);
}

/// What a command prints as JSON, whose form is kept.
fn json(name: &str, endpoint: &str, words: &[&str]) -> serde_json::Value {
    let more = ["-o", "json", "--endpoint", endpoint, "--timeout", "30s"];
    let output = run(&[words, &more].concat());
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{words:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    if !name.is_empty() {
        compare(&format!("json/{name}.json"), &format!("{:#}\n", shape(&json)));
    }
    json
}

#[tokio::test]
async fn changes_of_the_members_print_a_form_that_stays() {
    let mut cluster = Cluster::start(Path::new(PROGRAM), 2, "", STUCK).await.expect("a cluster");
    let leader = cluster.leader(STUCK).await.expect("somebody leads");
    let endpoint = cluster.endpoint(leader).to_string();
    let (leader, other) = (leader.to_string(), (3 - leader).to_string());
    let views = json("", &endpoint, &["status", "--cluster"]);
    for (view, member) in [(&views[0], 1), (&views[1], 2)] {
        assert_eq!((&view["member"], &view["status"]["node"]), (&member.into(), &member.into()));
    }
    let pair = holm::KeyPair::generate(&mut |bytes| bytes.fill(7)).public().to_string();
    let new = ["--incarnation", "3fa2c1d05b7e9148", "--address", "127.0.0.1:1", "--key", &pair];
    let add = [&["members", "add", "9", "--learner"][..], &new].concat();
    json("members-add", &endpoint, &add);
    json("members-update", &endpoint, &["members", "update", "9", "--weight", "3"]);
    json("members-remove", &endpoint, &["members", "remove", "9"]);
    json("members-demote", &endpoint, &["members", "demote", &other]);
    json("members-promote", &endpoint, &["members", "promote", &other]);
    json("transfer", &endpoint, &["transfer", "--to", &other]);
    json("transfer", &endpoint, &["transfer", "--to", &leader]);
    let anew = ["--incarnation", "3fa2c1d05b7e9148", "--force"];
    let replace = [&["members", "replace", &other][..], &anew].concat();
    json("members-replace", &endpoint, &replace);
}

#[tokio::test]
async fn what_is_printed_for_programs_keeps_its_form() {
    let cluster = Cluster::start(Path::new(PROGRAM), 1, "", STUCK).await.expect("a cluster");
    let endpoint = cluster.endpoints()[0].to_string();
    json("status", &endpoint, &["status"]);
    json("status-cluster", &endpoint, &["status", "--cluster"]);
    json("members-list", &endpoint, &["members", "list"]);
    json("members-invite", &endpoint, &["members", "invite"]);
    json("rendezvous-where", &endpoint, &["rendezvous", "where", "k"]);
    for (words, expected) in [
        (&["counter", "add", "n", "7"][..], "7\n"),
        (&["counter", "get", "n"], "7\n"),
        (&["kv", "put", "k", "v"], "1\n"),
        (&["kv", "get", "k"], "v"),
        (&["kv", "get", "k", "--revision"], "1\n"),
        (&["kv", "delete", "k"], "2\n"),
        (&["keys", "list"], "no session has been asked for yet, so there is no key\n"),
        (&["keys", "rotate"], "key 1 seals from now on\n"),
        (&["keys", "rotate"], "key 2 seals from now on\n"),
        (&["keys", "revoke", "1"], "key 1 is revoked\n"),
    ] {
        let output = run(&[words, &["--endpoint", &endpoint]].concat());
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), expected.into()));
        assert_eq!(text(&output.stderr), "", "{words:?}");
    }
    let output = run(&["keys", "list", "-o", "json", "--endpoint", &endpoint]);
    let json = serde_json::from_slice(&output.stdout).expect("JSON");
    compare("json/keys.json", &format!("{:#}\n", shape(&json)));
    let output = run(&["keys", "revoke", "9", "--endpoint", &endpoint]);
    let told = "holm: no such key: there is no session key 9; GET /v1/session-keys lists those";
    assert!(text(&output.stderr).starts_with(told), "{}", text(&output.stderr));
}

#[test]
fn a_flag_wins_over_its_variable_and_that_over_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let held = [taken(), taken(), taken()];
    let at = |which: usize| held[which].local_addr().expect("an address").to_string();
    let config = folder.path().join("holm.toml");
    fs::write(&config, SOUND.replace("127.0.0.1:0", &at(0))).expect("written");
    let config = config.to_str().expect("text");
    // Whichever counts is taken, and named.
    let refused = |variable: Option<String>, flag: Option<String>| {
        let mut command = command(&["serve", "--config", config]);
        command.args(flag.into_iter().flat_map(|flag| ["--http".to_owned(), flag]));
        command.envs(variable.map(|variable| ("HOLM_HTTP", variable)));
        let output = command.output().expect("it ran");
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    for (variable, flag, counts) in
        [(None, None, 0), (Some(1), None, 1), (None, Some(2), 2), (Some(1), Some(2), 2)]
    {
        let error = refused(variable.map(at), flag.map(at));
        let expected = format!("http: can't listen on {}: ", at(counts));
        assert!(error.contains(&expected), "{variable:?} {flag:?}: {error}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for words in [&["completions", "zsh"][..], &["token", "new", "--name", "a", "--role", "read"]] {
        let mut command = command(words);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it ran");
        drop(child.stdout.take());
        let mut error = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut error).expect("text");
        let status = child.wait().expect("it ended");
        assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn colours_are_for_terminals_and_completions_know_every_command() {
    let output = command(&["nothing"]).env("NO_COLOR", "1").output().expect("it ran");
    assert!(!output.stderr.contains(&0x1b), "{}", text(&output.stderr));
    let help = text(&run(&["--help"]).stdout);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&run(&["completions", shell]).stdout);
        for command in commands(&help) {
            assert!(script.contains(&command), "{shell} does not know {command}");
        }
    }
}
