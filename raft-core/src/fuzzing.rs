//! A schedule from bytes: `fuzz_events` drives five cores, three of them voters at first, through
//! ticks, deliveries, losses, repetitions, writes that take their time, crashes, proposals, reads,
//! snapshots, changes of the members, hand-overs and lost disks, and asserts the paper's safety
//! properties (figure 3) after each step. The fuzz target, the random histories and the kept corpus
//! all run it.

#[cfg(test)]
mod by_hand;
mod cluster;
mod disk;
mod forge;
mod forged;
#[cfg(test)]
mod known_bugs;
#[cfg(test)]
mod mutations;
mod node;
mod operator;
mod outcome;
#[cfg(test)]
mod scenarios;

use cluster::Cluster;
pub use forged::{Forged, fuzz_forged};
pub use outcome::Outcome;

/// Runs the schedule that `data` encodes, two bytes a step: what, and to whom or which.
///
/// # Panics
/// When a safety property does not hold.
pub fn fuzz_events(data: &[u8]) -> Outcome {
    let mut cluster = Cluster::new(5, 3, data.first().copied().map_or(0, u64::from));
    for step in data.chunks_exact(2) {
        cluster.step(step[0], step[1]);
    }
    cluster.outcome()
}

#[cfg(test)]
mod tests {
    use super::node::Room;
    use super::*;
    use crate::rng::Rng;
    use std::vec::Vec;

    /// Random steps, `calm` of 256 of them being what a healthy cluster does all the time.
    pub(super) fn schedule(seed: u64, steps: usize, calm: u8) -> Vec<u8> {
        let mut rng = Rng::new(seed);
        let mut data = Vec::new();
        for _ in 0..steps {
            let [what, whom, calmly, ..] = rng.next_u64().to_le_bytes();
            data.push(if calmly < calm { Cluster::CALM_STEP } else { what });
            data.push(whom);
        }
        data
    }

    #[test]
    fn random_histories_keep_every_safety_property() {
        let mut total = Outcome::default();
        for seed in 0..400 {
            let calm = [0, 100, 180, 230][usize::try_from(seed % 4).unwrap()];
            total += fuzz_events(&schedule(seed, 1500, calm));
        }
        // A run in which nothing happened shows nothing.
        assert!(total.committed > 4_000, "{total:?}");
        assert!(total.leaders > 1_000, "{total:?}");
        assert!(total.crashes > 2_000, "{total:?}");
        assert!(total.reads > 500, "{total:?}");
        assert!(total.installed > 50, "{total:?}");
        assert!(total.resumed > 10, "{total:?}");
        assert!(total.truncated > 50, "{total:?}");
        assert!(total.changed > 1_000, "{total:?}");
        assert!(total.leased > 50, "{total:?}");
        assert!(total.wiped > 100, "{total:?}");
        assert!(total.replaced > 50, "{total:?}");
        assert!(total.returned > 20, "{total:?}");
    }

    #[test]
    fn disks_that_fill_up_and_have_room_again_break_nothing() {
        let (mut total, mut refused) = (Outcome::default(), 0);
        for seed in (0..200).filter(|seed| seed % 4 != 3) {
            let mut cluster = Cluster::new(5, 3, seed);
            cluster.set_room(Room::FillsUp);
            for step in schedule(seed, 1500, [0, 120, 200][usize::try_from(seed % 3).unwrap()])
                .chunks_exact(2)
            {
                cluster.step(step[0], step[1]);
            }
            let before = cluster.outcome().committed;
            cluster.set_room(Room::Enough);
            cluster.settle(400);
            cluster.replace_all();
            cluster.propose_everywhere();
            cluster.settle(100);
            assert!(cluster.outcome().committed > before, "nothing was committed, seed {seed}");
            assert!(cluster.agrees(), "somebody was left behind, seed {seed}");
            total += cluster.outcome();
            refused += cluster.refused();
        }
        assert!(refused > 1_000, "{refused} writes were refused");
        assert!(total.committed > 1_000 && total.leaders > 200, "{total:?}");
        assert!(total.crashes > 200 && total.truncated > 10, "{total:?}");
        assert!(total.installed > 20 && total.changed > 100, "{total:?}");
    }

    #[test]
    fn the_kept_schedules_reach_elections_commits_and_crashes() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/core_events");
        let mut total = Outcome::default();
        let mut schedules = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            total += fuzz_events(&std::fs::read(file.unwrap().path()).unwrap());
            schedules += 1;
        }
        assert!(schedules >= 16, "{schedules} kept schedules");
        assert!(total.wiped > 0 && total.returned > 0 && total.resumed > 0, "{total:?}");
        assert!(total.committed > 100 && total.leaders > 10 && total.crashes > 10, "{total:?}");
    }

    #[test]
    fn once_the_faults_stop_a_cluster_commits_and_catches_everybody_up() {
        let mut total = Outcome::default();
        // Where members do not keep their leader (seeds 3, 7, ...), one that was removed and does
        // not know it may campaign for ever (paper §6): nothing is promised there.
        for seed in (0..270).filter(|seed| seed % 4 != 3) {
            let mut cluster = Cluster::new(5, 3, seed);
            for step in schedule(seed, 1200, 120).chunks_exact(2) {
                cluster.step(step[0], step[1]);
            }
            let before = cluster.outcome().committed;
            cluster.settle(400);
            cluster.replace_all();
            cluster.propose_everywhere();
            cluster.settle(100);
            assert!(cluster.outcome().committed > before, "nothing was committed, seed {seed}");
            assert!(cluster.agrees(), "somebody was left behind, seed {seed}");
            total += cluster.outcome();
        }
        assert!(total.installed > 50 && total.resumed > 0, "{total:?}");
        assert!(total.wiped > 50 && total.returned > 20, "{total:?}");
    }
}
