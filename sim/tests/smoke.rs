//! A few seeds of the whole node's world, so that plain `cargo test` covers it; the core's is
//! tested in `core.rs`.

use std::path::Path;
use std::process::Command;

/// The whole node needs its own cfg, and so its own target folder: this runs what `cargo sim` runs.
#[test]
fn the_whole_node_keeps_its_promises_and_equal_seeds_have_equal_traces() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim is in the workspace");
    let output = Command::new(env!("CARGO"))
        .args(["sim", "sweep", "--seeds", "0..40", "--twice"])
        .current_dir(root)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("cargo is there");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let lines = out.lines().filter(|line| line.starts_with("seed "));
    assert_eq!(lines.count(), 40, "{out}");
    assert!(out.ends_with(" acknowledged, 0 failing\n"), "{out}");
    assert!(!out.contains(": 0 acknowledged"), "{out}");
}
