//! Holm's log next to other logs on the same disk, in one run: records appended a second, by their
//! size and by how often all is made durable; then opening, replaying and reading a large log. All
//! take turns, in several rounds; the tables give medians, and what they are of the better floor.
//! Plots of them are put into the target folder.
//!
//! `cargo xtask log-peers [--quick] [DIRECTORY]`: which disk is measured is the directory's, by
//! default one in the target folder.
#![forbid(unsafe_code)]

mod appending;
#[path = "../../../benches/wal_open/floor.rs"]
mod floor;
mod opening;
mod plot;
mod subjects;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use subjects::Result;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    rounds: usize,
    /// What one run appends at most, in bytes of data, and for how long, in milliseconds.
    run_bytes: usize,
    run_millis: u64,
    /// How many syncs a run waits for.
    syncs: usize,
    /// How large the log is that is opened, in bytes of data.
    log_bytes: u64,
    random_reads: u64,
}

const QUICK: Effort = Effort {
    rounds: 3,
    run_bytes: 8 << 20,
    run_millis: 150,
    syncs: 20,
    log_bytes: 64 << 20,
    random_reads: 20_000,
};

const WHOLE: Effort = Effort {
    rounds: 7,
    run_bytes: 48 << 20,
    run_millis: 1000,
    syncs: 100,
    log_bytes: 1 << 30,
    random_reads: 200_000,
};

/// walrus-rust's folder, which it takes from nowhere else.
const WALRUS: &str = "WALRUS_DATA_DIR";

fn main() -> Result<()> {
    let mut effort = WHOLE;
    let target = PathBuf::from(env!("HOLM_TARGET"));
    let mut folder = target.clone();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => effort = QUICK,
            option if option.starts_with('-') => {
                return Err(format!("no option {option}; there is --quick").into());
            }
            directory => folder = directory.into(),
        }
    }
    let root = std::path::absolute(folder)?.join("log-peers.data");
    if std::env::var_os(WALRUS).is_none_or(|set| set != root) {
        return again(&root);
    }
    println!("logs in {}, load average {}", root.display(), load());
    println!("medians of {} rounds, one thread that waits for each sync", effort.rounds);
    let appended = appending::measure(&root, effort)?;
    let plot = target.join("log-peers-append.svg");
    fs::write(&plot, plot::appended(&appended))?;
    opening::measure(&root, effort)?;
    clear(&root)?;
    println!("\nload average at the end {}; plot: {}", load(), plot.display());
    Ok(())
}

/// Runs this program once more, in the environment that a peer wants, and ends as it did: a process
/// can't set its own without `unsafe`.
fn again(root: &Path) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(WALRUS, root).env("WALRUS_QUIET", "1");
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("the run failed: {status}").into()) }
}

/// Removes what a run has left.
pub(crate) fn clear(root: &Path) -> Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The machine's own word for how busy it is.
fn load() -> String {
    let known = fs::read_to_string("/proc/loadavg").ok();
    let known = known.and_then(|text| text.split(' ').next().map(str::to_owned));
    known.unwrap_or_else(|| "unknown".into())
}
