//! What holds for every file: lengths, first paragraphs, the map's arrows, where `unsafe` may
//! stand, and which licences the dependencies have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders of the map, and the crates of the workspace that each may depend on outside tests.
const ARROWS: [(&str, &[&str]); 7] = [
    ("raft-core", &[]),
    ("wal", &["holm-raft-core"]),
    ("transport", &["holm-raft-core"]),
    ("node", &["holm-raft-core", "holm-transport", "holm-wal"]),
    ("sim", &["holm", "holm-raft-core", "holm-transport", "holm-wal"]),
    ("benches", &["holm", "holm-raft-core", "holm-transport", "holm-wal"]),
    ("xtask", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The Rust files of the workspace, of `fuzz` and of the examples, by their paths within it.
fn sources() -> BTreeMap<String, String> {
    fn visit(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    for (folder, _) in ARROWS {
        visit(&root().join(folder), &mut found);
    }
    visit(&root().join("fuzz").join("fuzz_targets"), &mut found);
    visit(&root().join("examples"), &mut found);
    assert!(found.len() > 60, "{} files were found", found.len());
    found
}

#[test]
fn files_functions_and_lines_fit() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > 500 {
            wrong.push(format!("{name}: {} lines, at most 500", lines.len()));
        }
        for (at, line) in (1..).zip(&lines) {
            if line.chars().count() > 100 && !line.contains("\"") {
                wrong.push(format!("{name}:{at}: longer than 100 characters"));
            }
        }
        wrong.extend(long_functions(&lines).map(|at| format!("{name}:{at}: over 70 lines")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where functions of more than 70 lines begin. rustfmt puts a function's last brace under its
/// first word, so indentation tells where it ends.
fn long_functions<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let begins = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().take(5).collect();
        words.contains(&"fn") && !line.trim_start().starts_with("//")
    };
    lines.iter().enumerate().filter(move |(_, line)| begins(line)).filter_map(move |(at, line)| {
        let close = format!("{}}}", " ".repeat(indent(line)));
        let end = lines[at..].iter().position(|line| **line == close)?;
        (end > 70).then_some(at + 1)
    })
}

#[test]
fn every_file_says_first_what_it_holds() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! ") && !text.starts_with("//!\n"))
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "no first paragraph: {silent:?}");
}

#[test]
fn unsafe_stands_in_one_file_of_the_log() {
    let allowed = "wal/src/disk/map.rs";
    for (name, text) in sources() {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let uses =
            code.clone().any(|line| line.contains("unsafe {") || line.contains("unsafe impl"));
        assert!(!uses || name == allowed || name == "xtask/tests/tidy.rs", "{name} is unsafe");
    }
    for (folder, _) in ARROWS.into_iter().filter(|(folder, _)| *folder != "wal") {
        let roots = ["src/lib.rs", "src/main.rs"].map(|file| root().join(folder).join(file));
        let forbids = |path: &PathBuf| {
            std::fs::read_to_string(path).is_ok_and(|text| text.contains("#![forbid(unsafe_code)]"))
        };
        assert!(folder == "xtask" || roots.iter().any(forbids), "{folder} does not forbid unsafe");
    }
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_to_do() {
    for (name, text) in sources() {
        for word in [concat!("#[", "ignore"), concat!("to", "do!("), concat!("unimplemen", "ted!(")]
        {
            assert!(!text.contains(word), "{name} contains {word}");
        }
    }
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    metadata["packages"].as_array().unwrap().iter()
}

#[test]
fn crates_depend_on_each_other_only_along_the_maps_arrows() {
    let metadata = metadata();
    for (folder, allowed) in ARROWS {
        let manifest = root().join(folder).join("Cargo.toml");
        let package = packages(&metadata)
            .find(|package| Path::new(package["manifest_path"].as_str().unwrap()) == manifest)
            .unwrap_or_else(|| panic!("{folder} is no package of the workspace"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            let tests_only = dependency["kind"].as_str() == Some("dev");
            if name.starts_with("holm") && !tests_only {
                assert!(allowed.contains(&name), "{folder} must not depend on {name}");
            }
        }
    }
}

#[test]
fn every_dependency_may_be_used_freely() {
    let free = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "0BSD",
        "Unlicense",
        "CC0-1.0",
        "BSL-1.0",
        "MPL-2.0",
        "Apache-2.0 WITH LLVM-exception",
    ];
    let metadata = metadata();
    for package in packages(&metadata) {
        let name = package["name"].as_str().unwrap();
        let licence =
            package["license"].as_str().unwrap_or_else(|| panic!("{name} has no licence"));
        let every_part = licence.replace(['(', ')'], "").replace('/', " OR ");
        let usable = every_part
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|one| free.contains(&one.trim())));
        assert!(usable, "{name} is under {licence}");
    }
}

#[test]
fn no_crate_comes_in_two_versions_without_a_reason() {
    let excused: BTreeSet<&str> = include_str!("duplicates.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages(&metadata) {
        let name = package["name"].as_str().unwrap();
        versions.entry(name).or_default().insert(package["version"].as_str().unwrap());
    }
    let twice: BTreeSet<&str> = versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, _)| name)
        .collect();
    let unexcused: Vec<_> = twice.difference(&excused).collect();
    assert!(unexcused.is_empty(), "twice without a reason in duplicates.txt: {unexcused:?}");
    let settled: Vec<_> = excused.difference(&twice).collect();
    assert!(settled.is_empty(), "no longer twice, remove from duplicates.txt: {settled:?}");
}

#[test]
fn nothing_draws_from_a_source_that_the_simulator_cannot_seed() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "holm", "--no-default-features", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("holm-raft-core"), "{tree}");
    for unseeded in ["rand v0.8", "getrandom v0.2", "ahash v"] {
        assert!(!tree.contains(unseeded), "holm depends on {unseeded}");
    }
}

#[test]
fn the_transport_holds_no_source_of_entropy() {
    // Keys and challenges come from the seed that it is given, in production as in simulation.
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "holm-transport", "--all-features", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("snow v"), "{tree}");
    let sources = ["getrandom", "rand", "rand_core", "rand_chacha", "fastrand", "ahash", "ring"];
    let held: Vec<&str> = tree
        .lines()
        .filter(|line| line.split_whitespace().next().is_some_and(|name| sources.contains(&name)))
        .collect();
    assert!(held.is_empty(), "holm-transport depends on {held:?}");
}
