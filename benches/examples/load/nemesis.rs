//! What is done to the members: [`Nemesis`] kills one with SIGKILL, or lets it stand still for
//! longer than an election takes, and has it go on again before the next one is struck.

use crate::STUCK;
use crate::random::Random;
use holm::server::cluster::{Cluster, ClusterError};
use std::fmt;
use std::time::Duration;

/// How often it has struck.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Nemesis {
    kills: u64,
    of_leaders: u64,
    pauses: u64,
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, of_leaders, pauses } = self;
        write!(f, "{kills} kills ({of_leaders} of leaders), {pauses} pauses")
    }
}

impl Nemesis {
    /// Waits, strikes one member, waits, and has it go on; returns once it answers again.
    pub(crate) async fn strike(
        &mut self,
        cluster: &mut Cluster,
        random: &mut Random,
    ) -> Result<(), ClusterError> {
        wait(200 + random.below(2_000)).await;
        let leader = cluster.leader(STUCK).await?;
        let ids: Vec<u64> = cluster.ids().collect();
        // Half of the time whoever leads: that is where most can go wrong.
        let any = ids[usize::try_from(random.below(ids.len() as u64)).expect("few")];
        let victim = if random.below(2) == 0 { leader } else { any };
        let long = 50 + random.below(1_500);
        if random.below(4) == 0 {
            self.pauses += 1;
            cluster.pause(victim)?;
            wait(long).await;
            cluster.go_on(victim)?;
        } else {
            self.kills += 1;
            self.of_leaders += u64::from(victim == leader);
            cluster.kill(victim)?;
            wait(long).await;
            cluster.restart(victim)?;
        }
        cluster.caught_up(victim, 1, STUCK).await.map(|_| ())
    }
}

async fn wait(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
