//! A cluster with a million entries: its memory, and how long it takes from the start of its three
//! processes until it has a leader and has done a write. And an idle one's memory.

use crate::cluster::Cluster;
use crate::load::{Load, Work, count};
use crate::subject::{Programs, Subject};
use std::path::Path;
use std::time::{Duration, Instant};

/// How many clients fill it.
const FILLING: usize = 256;
const IDLE: Duration = Duration::from_secs(3);

pub(crate) fn run(
    subjects: &[Subject],
    programs: &Programs,
    folder: &Path,
    entries: u64,
) -> Result<(), String> {
    println!("\n{entries} entries: anonymous memory of a member; back after all were killed");
    for subject in subjects {
        for no_snapshots in [false, true] {
            if no_snapshots && *subject == Subject::Etcd {
                continue;
            }
            one(*subject, programs, folder, entries, no_snapshots)?;
        }
    }
    Ok(())
}

fn one(
    subject: Subject,
    programs: &Programs,
    folder: &Path,
    entries: u64,
    no_snapshots: bool,
) -> Result<(), String> {
    let mut cluster = Cluster::start(subject, programs, folder, no_snapshots)?;
    std::thread::sleep(IDLE);
    let idle = cluster.anonymous();
    let mut written = 0;
    let load = |millis| Load {
        work: Work::Put,
        clients: FILLING,
        warm_up: Duration::ZERO,
        measured: Duration::from_millis(millis),
    };
    while written < entries {
        written += cluster.load(load(1000))?.loaded.total;
    }
    let full = cluster.anonymous();
    for id in cluster.ids() {
        cluster.kill(id)?;
    }
    let begun = Instant::now();
    for id in cluster.ids() {
        cluster.restart(id)?;
    }
    cluster.leader()?;
    let led = begun.elapsed();
    let one = Load { clients: 1, ..load(1) };
    while cluster.load(one)?.loaded.total == 0 {}
    let back = begun.elapsed();
    let megabytes = |bytes| count(bytes) / 1e6;
    println!(
        "{:<26} {:<22} idle {:>6.1} MB  full {:>6.1} MB  again {:>6.1} MB  leader {:>6.2} s  \
         back {:>6.2} s  ({written} entries)",
        subject.name(),
        if no_snapshots { "the log holds them all" } else { "default settings" },
        megabytes(idle),
        megabytes(full),
        megabytes(cluster.anonymous()),
        led.as_secs_f64(),
        back.as_secs_f64(),
    );
    Ok(())
}
