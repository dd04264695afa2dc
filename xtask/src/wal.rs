//! What is special about the log's checks: `wal-device` counts at the block device, `miri` runs
//! under an interpreter that sees undefined behaviour. Each needs something that a machine may not
//! have; then it says NOT RUN, loudly, and ends with the exit code 3, so that nobody takes it for a
//! success.

use crate::{cargo, run};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The exit code of a check that could not be run.
const NOT_RUN: u8 = 3;

/// Counts what durable appends cost at the device under this directory (`benches/wal_device.rs`).
pub(crate) fn device(directory: Option<&Path>) -> Result<ExitCode, String> {
    let mut command = cargo(&["bench", "-p", "holm-benches", "--bench", "wal_device", "--"]);
    // The bench runs elsewhere.
    let directory = directory.map(std::path::absolute).transpose();
    command.args(directory.map_err(|error| format!("the directory: {error}"))?);
    pass_on(command)
}

/// Runs the log's format and positions, and whole logs (so the table too) in memory and on the
/// simulated disk, under Miri, which the nightly toolchain may have. The real disk maps files,
/// which Miri can't.
pub(crate) fn miri() -> Result<ExitCode, String> {
    let mut version = cargo(&["+nightly", "miri", "--version"]);
    if !version.stderr(Stdio::null()).output().is_ok_and(|output| output.status.success()) {
        return Ok(not_run(
            "miri",
            "the nightly toolchain lacks it; `rustup component add --toolchain nightly miri`",
        ));
    }
    for what in
        [&["--lib", "--", "format::", "positions::"][..], &["--test", "golden", "--test", "faults"]]
    {
        let mut command = cargo(&["+nightly", "miri", "test", "-p", "holm-wal"]);
        // Few cases: each takes a thousand times what it takes outside.
        command.args(what).env("PROPTEST_CASES", "8").env("MIRIFLAGS", "-Zmiri-disable-isolation");
        run(command)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn not_run(what: &str, why: &str) -> ExitCode {
    eprintln!("xtask {what}: NOT RUN: {why}");
    ExitCode::from(NOT_RUN)
}

/// Runs it, and ends as it ends.
fn pass_on(mut command: Command) -> Result<ExitCode, String> {
    eprintln!("xtask: {command:?}");
    let status = command.status().map_err(|error| format!("{command:?} did not start: {error}"))?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        Some(code) if code == i32::from(NOT_RUN) => ExitCode::from(NOT_RUN),
        _ => ExitCode::FAILURE,
    })
}
