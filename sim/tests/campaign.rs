//! What runs a campaign elsewhere: the manifests name what this build takes, the script for Slurm
//! does what it says, and `merge` joins shards as if one sweep had run them all, or says what is
//! missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SIM: &str = env!("CARGO_BIN_EXE_holm-sim");

fn manifest(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("campaign").join(name);
    std::fs::read_to_string(path).expect("it is kept")
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn sim(arguments: &[String]) -> Output {
    Command::new(SIM).args(arguments).output().expect("it is built")
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// The lines of a list under a key, without their dashes.
fn list<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let mut lines = yaml.lines().skip_while(|line| line.trim() != format!("{key}:"));
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = indent(lines.next().expect("the key is there"));
    let under = lines.take_while(|line| indent(line) > depth);
    under.map(|line| line.trim().strip_prefix("- ").expect("an item")).collect()
}

#[test]
fn the_kubernetes_job_is_one_and_runs_what_this_build_takes() {
    let yaml = manifest("kubernetes.yaml");
    for line in yaml.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        assert!(indent % 2 == 0 && !line.contains('\t'), "{line}");
        let item = line.trim_start().trim_start_matches("- ");
        let (key, _) = item.split_once(':').unwrap_or((item, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-=.$(){}_/".contains(c);
        assert!(!key.is_empty() && key.chars().all(plain), "{line}");
    }
    for needed in ["apiVersion: batch/v1", "kind: Job", "completionMode: Indexed"] {
        assert!(yaml.lines().any(|line| line.trim() == needed), "{needed}");
    }
    // What is to be filled in, and nothing else.
    let known = ["HOLM_IMAGE", "HOLM_WORLD", "HOLM_SEEDS", "HOLM_SHARDS", "HOLM_PARALLEL"];
    for part in yaml.split("${").skip(1) {
        let (name, _) = part.split_once('}').expect("it ends");
        assert!(known.contains(&name), "{name}");
    }
    let fill = |argument: &&str| {
        let filled = argument.replace("${HOLM_SEEDS}", "0..6").replace("${HOLM_SHARDS}", "3");
        let filled = filled.replace("${HOLM_WORLD}", "core");
        filled.replace("$(JOB_COMPLETION_INDEX)", "1")
    };
    let arguments: Vec<String> = list(&yaml, "args").iter().map(fill).collect();
    let output = sim(&arguments);
    assert!(output.status.success(), "{}", said(&output));
    let seeds: Vec<u64> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|line| line["seed"].as_u64().expect("a seed"))
        .collect();
    assert_eq!(seeds, [1, 4]);
}

#[test]
fn the_slurm_tasks_write_what_merge_joins() {
    let folder = folder("slurm");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("campaign/slurm.sh");
    let task = |id: u64| {
        let output = Command::new("sh")
            .arg(&script)
            .env("HOLM_SIM", SIM)
            .env("HOLM_OUT", &folder)
            .env("HOLM_SEEDS", "0..6")
            .env("SLURM_ARRAY_TASK_ID", id.to_string())
            .env("SLURM_ARRAY_TASK_COUNT", "3")
            .output()
            .expect("a shell");
        assert!(output.status.success(), "{}", said(&output));
        folder.join(format!("{id}.jsonl")).display().to_string()
    };
    let files = [task(0), task(1), task(2)];
    let merge = |files: &[&String]| {
        let fixed = ["merge", "--seeds", "0..6"].map(str::to_owned);
        sim(&fixed.into_iter().chain(files.iter().copied().cloned()).collect::<Vec<_>>())
    };
    let [a, b, c] = &files;
    let merged = merge(&[a, b, c]);
    assert!(merged.status.success(), "{}", said(&merged));
    let whole = ["sweep", "--world=core", "--seeds", "0..6"].map(str::to_owned);
    assert_eq!(merged.stdout, sim(&whole).stdout, "as if one had run them all");
    let without = merge(&[a, c]);
    assert!(said(&without).contains("seed 1 and 1 others are missing; give all shards"));
    let twice = merge(&[a, b, c, b]);
    assert!(
        said(&twice).contains("line 1: `seed` 1 is there twice; give what"),
        "{}",
        said(&twice)
    );
    assert!(!without.status.success() && !twice.status.success());
}

#[test]
fn the_script_for_slurm_says_what_it_needs() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("campaign/slurm.sh");
    let output = Command::new("sh").arg(script).env_remove("HOLM_SIM").output().expect("a shell");
    assert!(!output.status.success() && said(&output).contains("the holm-sim binary"));
    assert!(manifest("slurm.sh").starts_with("#!/bin/sh\n#SBATCH "));
}
