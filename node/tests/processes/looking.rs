//! Waiting for what a member's status says: [`until`].

use holm::Status;
use holm::server::cluster::Cluster;
use std::time::{Duration, Instant};

/// When something that must happen counts as not happening.
pub(crate) const STUCK: Duration = Duration::from_secs(60);
/// From one look at a status to the next.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// What is found in a member's status, once it is.
pub(crate) async fn until<T>(
    cluster: &Cluster,
    id: u64,
    mut find: impl FnMut(&Status) -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        let status = cluster.status(id).await;
        if let Some(found) = status.as_ref().and_then(&mut find) {
            return found;
        }
        assert!(start.elapsed() < STUCK, "member {id} does not get there: {status:#?}");
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}
