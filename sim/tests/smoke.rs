//! A few seeds of both worlds, so that plain `cargo test` covers the simulator.

use std::path::Path;
use std::process::Command;

#[test]
fn the_core_and_the_log_keep_their_promises_under_partitions_and_power_cuts() {
    let (mut partitions, mut crashes, mut acknowledged, mut installed) = (0, 0, 0, 0);
    for seed in 0..100 {
        let report = holm_sim::core_world::run(seed);
        partitions += report.faults.partitions;
        crashes += report.faults.crashes;
        acknowledged += report.acknowledged;
        installed += report.installed;
    }
    // A run in which nothing happened shows nothing.
    assert!(partitions > 200 && crashes > 200 && acknowledged > 30_000);
    assert!(installed > 50, "{installed} snapshots installed");
}

#[test]
fn equal_seeds_have_equal_histories_and_others_do_not() {
    let traces: Vec<String> = [1, 1, 2].map(|seed| holm_sim::core_world::run(seed).trace).into();
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], traces[2]);
}

/// The whole node needs its own cfg, and so its own target folder: this runs what `cargo sim` runs.
#[test]
fn the_whole_node_keeps_its_promises_and_equal_seeds_have_equal_traces() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim is in the workspace");
    let output = Command::new(env!("CARGO"))
        .args(["sim", "sweep", "--seeds", "0..8", "--twice"])
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
    assert_eq!(lines.count(), 8, "{out}");
    assert!(out.ends_with("8 seeds, 960 acknowledged, 0 failing\n"), "{out}");
}
