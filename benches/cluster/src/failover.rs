//! How long a cluster is without a leader after its leader's SIGKILL, with default settings.

use crate::cluster::Cluster;
use crate::load::count;
use crate::member::clock;
use crate::subject::{Programs, Subject};
use crate::table::middle;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a member that was started again is left alone, so that it has caught up.
const SETTLE: Duration = Duration::from_millis(700);
/// How long a cluster may be without a leader.
const LEADERLESS_MAX: Duration = Duration::from_secs(30);

pub(crate) fn run(
    subjects: &[Subject],
    programs: &Programs,
    folder: &Path,
    kills: usize,
) -> Result<(), String> {
    println!("\ntime without a leader after SIGKILL, in milliseconds, of {kills} kills");
    for subject in subjects {
        let mut times = Vec::new();
        let mut cluster = Cluster::start(*subject, programs, folder, false)?;
        for _ in 0..kills {
            let leader = cluster.leader()?;
            std::thread::sleep(SETTLE);
            times.push(kill(&mut cluster, *subject, leader)?);
            if *subject == Subject::Openraft {
                // Its log here can't be opened again.
                cluster = Cluster::start(*subject, programs, folder, false)?;
            } else {
                cluster.restart(leader)?;
            }
        }
        let most = times.iter().copied().fold(0.0, f64::max);
        println!("{:<26} median {:>6.0}  most {most:>6.0}", subject.name(), middle(times));
    }
    Ok(())
}

/// Kills the leader; how long it took until a survivor knew another one.
fn kill(cluster: &mut Cluster, subject: Subject, leader: u64) -> Result<f64, String> {
    let killed = clock();
    cluster.kill(leader)?;
    let begun = Instant::now();
    let found = loop {
        // Those that print it say when they knew; others are looked at.
        let others = cluster.ids().filter(|id| *id != leader);
        let known: Vec<_> = others.filter_map(|id| Some(cluster.process(id)?.leader())).collect();
        let first = known.iter().filter(|known| known.leader > 0 && known.leader != leader);
        if let Some(since) = first.map(|known| known.since).min() {
            break since;
        }
        if subject == Subject::Etcd && cluster.known_leader().is_some_and(|new| new != leader) {
            break clock();
        }
        if begun.elapsed() > LEADERLESS_MAX {
            return Err(format!("{}: no leader after {LEADERLESS_MAX:?}", subject.name()));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    Ok(count(found.saturating_sub(killed)) / 1e6)
}
