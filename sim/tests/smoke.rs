//! A few seeds of the whole node's world, so that plain `cargo test` covers it; the core's is
//! tested in `core.rs`.

use std::path::Path;
use std::process::Command;

/// What a cargo command of the simulated build prints. It needs its own cfg, and so its own target
/// folder.
fn printed(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim is in the workspace");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("cargo is there");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

#[test]
fn the_simulated_network_does_what_its_own_tests_say() {
    let out = printed(&["sim-test", "network"]);
    assert!(out.contains("test result: ok. 6 passed"), "{out}");
}

#[test]
fn the_whole_node_keeps_its_promises_and_equal_seeds_have_equal_traces() {
    let out = printed(&["sim", "sweep", "--seeds", "0..40", "--twice"]);
    let lines = |out: &str| -> Vec<String> {
        out.lines().filter(|line| line.starts_with("seed ")).map(str::to_owned).collect()
    };
    let first = lines(&out);
    assert_eq!(first.len(), 40, "{out}");
    assert!(out.ends_with(" acknowledged, 0 failing\n"), "{out}");
    assert!(!out.contains(": 0 acknowledged"), "{out}");
    // Each line ends with its trace's fingerprint: another process comes to the same.
    let again = lines(&printed(&["sim", "sweep", "--seeds", "0..10"]));
    assert_eq!(again, first[..10]);
}
