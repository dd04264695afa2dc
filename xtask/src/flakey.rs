//! The log on a device that loses its power: a child appends and says what is acknowledged, the
//! kernel's device mapper begins to drop all writes, and what was acknowledged before that must be
//! there when the device is mounted again.

use crate::wal::not_run;
use crate::{cargo, output, root};
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

const ROUNDS: u64 = 20;
/// How much is acknowledged in a round before the writes are dropped, and after it, in batches.
const BATCHES: usize = 40;
/// The device's size, in sectors of 512 bytes: 64 MiB.
const SECTORS: u64 = 128 << 10;
const DEVICE: &str = "holm-flakey";
const TEST: &str = "every_acknowledged_entry_survives_hundreds_of_kills";

/// Runs it where this is root and the kernel has dm-flakey.
pub(crate) fn flakey() -> Result<ExitCode, String> {
    if output("id", &["-u"])? != "0" {
        return Ok(not_run("flakey", "a device is made by root only"));
    }
    let targets = output("dmsetup", &["targets"]).unwrap_or_default();
    if !targets.lines().any(|line| line.starts_with("flakey")) {
        return Ok(not_run("flakey", "this kernel has no dm-flakey, or there is no `dmsetup`"));
    }
    let test = test_binary()?;
    let folder = root().join("target/flakey");
    std::fs::create_dir_all(folder.join("mount")).map_err(|e| format!("target/flakey: {e}"))?;
    let image = text(&folder.join("image"));
    call("truncate", &["--size", &(SECTORS * 512).to_string(), &image])?;
    let backing = output("losetup", &["--find", "--show", &image])?;
    let result = on_device(&test, &folder.join("mount"), &backing);
    // Whatever became of it: the first error is the one that counts.
    let _ = call("umount", &[&text(&folder.join("mount"))]);
    let _ = call("dmsetup", &["remove", DEVICE]);
    let _ = call("losetup", &["--detach", &backing]);
    result.map(|()| ExitCode::SUCCESS)
}

fn on_device(test: &Path, mount: &Path, backing: &str) -> Result<(), String> {
    let sound = format!("0 {SECTORS} linear {backing} 0");
    // Up for no second, down for a minute, again and again: all writes are dropped.
    let down = format!("0 {SECTORS} flakey {backing} 0 0 60 1 drop_writes");
    let (device, mount_text) = (format!("/dev/mapper/{DEVICE}"), text(mount));
    call("dmsetup", &["create", DEVICE, "--table", &sound])?;
    call("mkfs.ext4", &["-q", "-F", &device])?;
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        call("mount", &[&device, &mount_text])?;
        let (mut child, mut lines) = start(test, &mount.join("log"))?;
        let recovered = number(&mut lines, "recovered ")?;
        if recovered < acknowledged {
            stop(&mut child)?;
            return Err(format!("round {round}: {acknowledged} was durable, not {recovered}"));
        }
        for _ in 0..BATCHES {
            acknowledged = number(&mut lines, "acknowledged ")?;
        }
        switch(&down)?;
        // What is said from now on is a lie of the device.
        for _ in 0..BATCHES {
            number(&mut lines, "acknowledged ")?;
        }
        stop(&mut child)?;
        call("umount", &[&mount_text])?;
        switch(&sound)?;
    }
    println!("{ROUNDS} power cuts: each of {acknowledged} acknowledged entries was there");
    Ok(())
}

fn switch(table: &str) -> Result<(), String> {
    call("dmsetup", &["suspend", "--nolockfs", "--noflush", DEVICE])?;
    call("dmsetup", &["reload", DEVICE, "--table", table])?;
    call("dmsetup", &["resume", DEVICE])
}

fn start(test: &Path, log: &Path) -> Result<(Child, Lines<BufReader<ChildStdout>>), String> {
    let mut command = Command::new(test);
    command.args(["--exact", TEST, "--nocapture"]).env("HOLM_WAL_TEST_CHILD", log);
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|e| format!("{TEST}: {e}"))?;
    let out = child.stdout.take().ok_or("the child has no output")?;
    Ok((child, BufReader::new(out).lines()))
}

fn stop(child: &mut Child) -> Result<(), String> {
    child.kill().and_then(|()| child.wait()).map_err(|e| format!("the child: {e}")).map(|_| ())
}

/// The next number that the child says behind this word.
fn number(lines: &mut Lines<BufReader<ChildStdout>>, word: &str) -> Result<u64, String> {
    let mut numbers = lines.map_while(Result::ok);
    let number = numbers.find_map(|line| line.strip_prefix(word)?.parse().ok());
    number.ok_or_else(|| format!("the child ended before it said \"{word}\""))
}

/// The log's test as a program, built.
fn test_binary() -> Result<PathBuf, String> {
    let mut command = cargo(&["test", "-p", "holm-wal", "--test", "processes", "--no-run"]);
    let built = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&built.stderr);
    let path = said.lines().find_map(|line| {
        line.trim().strip_prefix("Executable tests/processes.rs (")?.strip_suffix(')')
    });
    let path = path.ok_or_else(|| format!("{command:?} built nothing:\n{said}"))?;
    Ok(root().join(path))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn call(program: &str, arguments: &[&str]) -> Result<(), String> {
    output(program, arguments).map(|_| ())
}
