//! The data files that crate `raft` tests its quorums and configuration changes with, run against
//! Holm. They are read where cargo keeps that crate's sources, never copied; how many cases are
//! found is asserted, and where Holm answers otherwise on purpose, it stands here with why.
#![forbid(unsafe_code)]

#[path = "../adapter/mod.rs"]
mod adapter;
mod changes;
mod quorums;

use std::path::PathBuf;
use std::process::Command;

/// The folder of data files about `what` in the sources of crate `raft`.
fn data(what: &str) -> String {
    assert!(std::env::var_os("REWRITE").is_none(), "unset REWRITE: these files are not ours");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--manifest-path", manifest])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let raft = packages.iter().find(|package| package["name"] == "raft").expect("a dependency");
    let manifest = PathBuf::from(raft["manifest_path"].as_str().expect("a path"));
    let folder = manifest.with_file_name("src").join(what).join("testdata");
    assert!(folder.is_dir(), "no data files in {}", folder.display());
    folder.into_os_string().into_string().expect("a path in UTF-8")
}
