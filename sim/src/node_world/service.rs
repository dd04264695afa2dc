//! What a machine does when it is switched on: `serve` starts its node, again and again, as a
//! service manager would, and looks at what each start finds and each stop says.

use super::findings::{broken, happened, now};
use super::forgotten;
use super::joining;
use super::member::Seat;
use super::promises;
use super::trace::is_down;
use holm::members::StorageKind;
use holm::{OpenError, Stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the machine does when it is switched on: it starts a node, and another one when that stops
/// because of its disk, as a service manager would. Not after it has left, and not on a disk that
/// somebody has to look at first.
pub(super) async fn serve(seat: Arc<Seat>) {
    // Who is to come in later is switched on then.
    if !seat.founds.load(Ordering::Relaxed) && now() == 0 {
        return;
    }
    loop {
        let edges = seat.edges();
        if !joining::has_joined(&seat, &edges).await {
            seat.pause().await;
            continue;
        }
        match seat.open(edges).await {
            Ok(opened) => {
                let found = opened.status().borrow().clone();
                seat.finds(found.last);
                promises::finds(seat.node, found.term);
                if seat.storage == StorageKind::Memory {
                    forgotten::starts(seat.node, found.incarnation.0);
                }
                seat.incarnation.store(found.incarnation.0, Ordering::Relaxed);
                *seat.running.lock().expect("nobody panicked") = Some(opened.clone());
                let stop = opened.stopped().await;
                *seat.running.lock().expect("nobody panicked") = None;
                is_down(seat.node, &format!("it stopped: {stop}"));
                // Its process ends, and with it whatever its disk still had to do for it.
                seat.disk().kill();
                if seat.stopped(&stop) == Next::Off {
                    return;
                }
            }
            Err(error) => seat.not_opened(&error),
        }
        seat.pause().await;
    }
}

/// What a service manager does about a stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Starts,
    Off,
}

/// The checker's name.
const NAME: &str = "no member stops by itself";

impl Seat {
    /// What a start finds has all that was acknowledged in the member's name (paper figure 2).
    fn finds(&self, last: u64) {
        let (node, floor) = (self.node, self.floor.load(Ordering::Relaxed));
        if last < floor {
            let says = format!("member {node} had acknowledged all up to {floor}, finds {last}");
            broken("durability of acknowledgements", says);
        }
    }

    fn stopped(&self, stop: &Stop) -> Next {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        match stop {
            Stop::Disk(_) if is(&self.doubtful) => {
                happened("members that a damaged disk stopped");
                return Next::Off;
            }
            Stop::Disk(_) if is(&self.failing) => {
                happened("members that a failed sync stopped");
            }
            Stop::Removed(_) if is(&self.leaves) => {
                happened("members that left");
                return Next::Off;
            }
            other => broken(NAME, format!("member {} stopped by itself: {other}", self.node)),
        }
        Next::Starts
    }

    pub(super) fn not_opened(&self, error: &OpenError) {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let excused = is(&self.failing) || is(&self.doubtful) || self.disk_is_full(error);
        if !excused {
            broken(NAME, format!("member {} can't be started: {error}", self.node));
        }
        tracing::info!(node = self.node, %error, "not opened");
    }

    fn disk_is_full(&self, error: &OpenError) -> bool {
        matches!(error, OpenError::Log(holm_wal::Error::Full { .. }))
    }
}
