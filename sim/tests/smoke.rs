//! A few seeds of the whole node's world, so that plain `cargo test` covers it, and what people do
//! with one that fails; the core's world is tested in `core.rs`.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim is in the workspace")
}

/// What a cargo command of the simulated build comes to. It needs its own cfg, and so its own
/// target folder.
fn ran(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("cargo is there")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What one prints that succeeds.
fn printed(arguments: &[&str]) -> String {
    let output = ran(arguments);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn the_simulated_network_does_what_its_own_tests_say() {
    let out = printed(&["sim-test", "network"]);
    assert!(out.contains("test result: ok. 7 passed"), "{out}");
}

#[test]
fn the_whole_node_keeps_its_promises_and_equal_seeds_have_equal_traces() {
    let sweep = ["sim", "sweep", "--seeds", "0..60", "--twice", "--jobs", "2", "--json"];
    let out = printed(&sweep);
    let lines: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 60, "{out}");
    for (seed, line) in lines.iter().enumerate() {
        assert_eq!(line["seed"].as_u64(), u64::try_from(seed).ok());
        assert_eq!(line["coverage"]["world"], "node");
        assert_eq!(line["violation"], Value::Null);
        assert!(line["answered"].as_u64() > Some(0), "{line}");
    }
    for seed in ["0", "7"] {
        // Another process comes to the same.
        let trace = ["sim", "trace", "--form", "json", "--seed", seed];
        let (one, other) = (printed(&trace), printed(&trace));
        assert!(one.lines().count() > 1_000);
        assert!(one == other, "seed {seed}");
    }
}

#[test]
fn clocks_that_stray_further_than_leases_allow_for_break_lease_reads_and_nothing_else() {
    let out = printed(&["sim", "sweep", "--seeds", "0..60", "--beyond-drift", "--jobs", "2"]);
    let last = out.lines().last().expect("a line");
    assert!(last.ends_with("; 0 failing"), "{last}");
    let stale = last.split([',', ';']).find_map(|part| part.strip_suffix(" stale leases"));
    let stale: Option<u64> = stale.and_then(|count| count.trim().parse().ok());
    assert!(stale > Some(0), "{last}");
}

#[test]
fn disks_that_fail_on_a_majority_break_what_they_must_and_nothing_else() {
    let out = printed(&["sim", "sweep", "--seeds", "0..20", "--beyond-disks", "--jobs", "2"]);
    let last = out.lines().last().expect("a line");
    assert!(last.ends_with("; 0 failing"), "{last}");
    for checker in ["durability of acknowledgements", "liveness"] {
        let broke = format!("beyond what is promised, {checker} broke in ");
        assert!(out.contains(&broke), "{out}");
    }
}

#[test]
fn what_was_found_once_in_the_nodes_world_stays_mended() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions/node");
    for file in std::fs::read_dir(kept).into_iter().flatten() {
        let path = file.expect("listed").path();
        if path.extension().is_some_and(|extension| extension == "schedule") {
            printed(&["sim", "replay", &path.display().to_string()]);
        }
    }
}

/// A schedule that gives nobody any time to catch up, so that liveness is broken.
fn hurried(folder: &Path) -> String {
    let whole = printed(&["sim", "schedule", "--seed", "3"]);
    let text = whole.replace("set patience 20000000\n", "set patience 0\n");
    assert_ne!(text, whole);
    let path = folder.join("hurried.schedule");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn a_failing_schedule_of_the_nodes_world_is_shrunk_kept_replayed_and_looked_at() {
    let folder = folder("failing");
    let hurried = hurried(&folder);
    let replay = ran(&["sim", "replay", &hurried]);
    assert!(!replay.status.success());
    assert!(text(&replay.stdout).contains("BROKEN: liveness: "), "{}", text(&replay.stdout));
    let kept = folder.join("kept").display().to_string();
    let said = printed(&["sim", "regress", &hurried, "--tries", "60", "--folder", &kept]);
    let (path, words) = said.trim_end().split_once(": ").expect("a path, and what is left");
    assert!(path.ends_with("kept/node/liveness-3.schedule"), "{said}");
    assert!(words.contains("0 operations of 0 clients"), "{words}");
    let again = ran(&["sim", "replay", path]);
    assert!(text(&again.stdout).contains("BROKEN: liveness: "), "{}", text(&again.stdout));
    let page = folder.join("page.html");
    printed(&["sim", "view", path, "--out", &page.display().to_string()]);
    let browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000"])
        .arg(format!("--user-data-dir={}", folder.join("browser").display()))
        .args(["--dump-dom", &format!("file://{}", page.display())])
        .output();
    // `view.rs` says so where there is none.
    let Ok(shown) = browser else { return };
    let (shown, _) = text(&shown.stdout).split_once("id=\"trace\"").map_or_else(
        || panic!("the trace's place"),
        |(document, rest)| (document.to_owned(), rest.len()),
    );
    assert!(shown.contains("data-ready=") && !shown.contains("data-error"), "it was shown");
    assert!(shown.contains("BROKEN: liveness: "), "it opens at the violation");
}
