//! Runs the golden scripts in `tests/scripts`, named `area_situation_outcome.txt`: commands behind
//! `> `, and beneath each what it changed. `UPDATE=1` rewrites what they print; otherwise a
//! difference fails, and is shown. The commands are listed in `harness/commands.rs`.

mod harness;

use harness::Cluster;
use std::fs;
use std::path::{Path, PathBuf};

/// Fewer would mean that scripts went missing.
const SCRIPTS_MIN: usize = 255;

#[test]
fn every_script_prints_what_it_says() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let scripts = scripts();
    assert!(scripts.len() >= SCRIPTS_MIN, "only {} scripts", scripts.len());
    for path in scripts {
        let golden = fs::read_to_string(&path).expect("a readable script");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("{name}"); // So that a panic below is told with its script.
        let printed = match run(&golden) {
            Ok(printed) => printed,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        if update && printed != golden {
            fs::write(&path, &printed).expect("a writable script");
        } else if printed != golden {
            wrong.push(format!("{name}:\n{}", difference(&golden, &printed)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} scripts differ (UPDATE=1 rewrites them, after you have judged the difference)\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_command_that_cannot_be_read_names_its_line() {
    let error = |script: &str| run(script).expect_err("a wrong script");
    assert_eq!(error("> nodes 3\n\n> fly 1\n"), "line 3: there is no command `fly`");
    assert_eq!(error("> nodes 3\n> tick 4\n"), "line 2: there is no member 4");
    assert_eq!(error("> nodes 3\n> tick 1 x\n"), "line 2: `x` is not a count");
    assert_eq!(error("> nodes 3\n> heal 1\n"), "line 2: `1` is too much");
    assert_eq!(error("> nodes 3\nwhat\n"), "line 2: neither a command, a comment nor output");
    assert_eq!(error("> nodes 3 pre-vote=no\n"), "line 1: `pre-vote=no` is neither on nor off");
    assert_eq!(error("> nodes 3 drift=x\n"), "line 1: `drift=x` can't be read");
}

#[test]
fn settings_that_cannot_work_together_begin_no_script() {
    let error = |settings: &str| run(&format!("> nodes 3 {settings}\n")).expect_err("refused");
    assert!(error("check-quorum=off").contains("pre_vote without check_quorum"));
    assert!(error("stalled=14").contains("less than an election time-out"));
    assert!(error("drift=1000").contains("clock_drift_permille less than 1000"));
    assert!(error("entries=0").contains("or nothing is sent"));
}

/// The script with what its commands print now. Comments and empty lines stay.
fn run(script: &str) -> Result<String, String> {
    let mut cluster = Cluster::default();
    let mut printed = String::new();
    for (number, line) in (1..).zip(script.lines()) {
        if line.starts_with("  ") {
            continue;
        }
        if !(line.is_empty() || line.starts_with("> ") || line.starts_with('#')) {
            return Err(format!("line {number}: neither a command, a comment nor output"));
        }
        printed += line;
        printed.push('\n');
        if let Some(command) = line.strip_prefix("> ") {
            let lines = cluster.command(command);
            for line in lines.map_err(|error| format!("line {number}: {error}"))? {
                printed += &format!("  {line}\n");
            }
        }
    }
    Ok(printed)
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let files = fs::read_dir(folder).expect("the folder of scripts");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths
}

/// The first line that differs, with what stands around it.
fn difference(golden: &str, printed: &str) -> String {
    let (golden, printed): (Vec<&str>, Vec<&str>) =
        (golden.lines().collect(), printed.lines().collect());
    let same = golden.iter().zip(&printed).take_while(|(a, b)| a == b).count();
    let tail = |lines: &[&str], sign: &str| -> String {
        let tail = lines.iter().skip(same).take(6);
        tail.map(|line| format!("{sign}{line}\n")).collect()
    };
    let before: String =
        golden[same.saturating_sub(4)..same].iter().map(|line| format!("  {line}\n")).collect();
    let place = format!("from line {}:\n", same + 1);
    place + &before + &tail(&golden, "- ") + &tail(&printed, "+ ")
}
