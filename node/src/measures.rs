//! What a node measures of its own work: [`Measures`] is filled by the driver, the disk's jobs, the
//! state's task and callers, and looked at at any time as [`Measured`]. It decides nothing.

use crate::StateMachine;
use crate::node::Node;
use holm_raft_core::Dropped;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The upper bounds of durations, in microseconds: 16 µs, and twice as much each time, to 2.1 s.
const MICROS: [u64; 18] = doubled(16);
/// The upper bounds of counts, to those that one turn takes at most.
const COUNTS: [u64; 11] = doubled(1);

const fn doubled<const N: usize>(first: u64) -> [u64; N] {
    let mut bounds = [first; N];
    let mut at = 1;
    while at < N {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
}

/// How often something took how long, or was how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Up to which value each bucket counts, ascending: microseconds, or a number.
    pub bounds: &'static [u64],
    /// How often the value was in a bucket and in none before it; the last one has no bound.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
}

/// What a node has measured since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Leaders that it has come to know, one after the other.
    pub leader_changes: u64,
    /// Proposals made here that nobody has answered yet.
    pub proposals_pending: u64,
    /// Proposals made here that ended in an error.
    pub proposals_failed: u64,
    /// Messages that the protocol dropped, by reason.
    pub messages_dropped: BTreeMap<&'static str, u64>,
    /// Snapshots of a leader's that took the place of the own state.
    pub snapshots_installed: u64,
    /// What was presented here and refused: `session`, `ticket` and `claim`. Why, nobody is told.
    pub refused: BTreeMap<&'static str, u64>,
    /// How long the driver's turns took, from the first input to the last action, in microseconds.
    pub turns: Distribution,
    /// How many inputs each turn had.
    pub turn_inputs: Distribution,
    /// How long it took to make writes of the log durable, in microseconds, on the disk's thread.
    pub syncs: Distribution,
    /// How long it took to apply batches of commands, in microseconds.
    pub applies: Distribution,
    /// How long it took to encode a snapshot and save it, in microseconds.
    pub snapshot_saves: Distribution,
    /// How long a frame took to each other member and back, in microseconds.
    pub round_trips: BTreeMap<u64, Distribution>,
}

/// What whoever comes presents, and what may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    Session,
    Ticket,
    /// A key that another claim holds, or something in the name of a claim that is over.
    Claim,
}

impl Presented {
    const ALL: [Self; 3] = [Self::Session, Self::Ticket, Self::Claim];

    const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Ticket => "ticket",
            Self::Claim => "claim",
        }
    }
}

/// What is measured, as it is filled.
#[derive(Debug)]
pub(crate) struct Measures {
    leader_changes: AtomicU64,
    proposals_pending: AtomicU64,
    proposals_failed: AtomicU64,
    snapshots_installed: AtomicU64,
    /// By [`Presented`].
    refused: [AtomicU64; Presented::ALL.len()],
    dropped: Mutex<Dropped>,
    turns: Histogram,
    turn_inputs: Histogram,
    syncs: Histogram,
    applies: Histogram,
    snapshot_saves: Histogram,
    /// By member, with what was measured last.
    round_trips: Mutex<BTreeMap<u64, (Duration, Histogram)>>,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            leader_changes: AtomicU64::new(0),
            proposals_pending: AtomicU64::new(0),
            proposals_failed: AtomicU64::new(0),
            snapshots_installed: AtomicU64::new(0),
            refused: Default::default(),
            dropped: Mutex::default(),
            turns: Histogram::of(&MICROS),
            turn_inputs: Histogram::of(&COUNTS),
            syncs: Histogram::of(&MICROS),
            applies: Histogram::of(&MICROS),
            snapshot_saves: Histogram::of(&MICROS),
            round_trips: Mutex::default(),
        }
    }
}

impl Measures {
    pub(crate) fn leader_changed(&self) {
        self.leader_changes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot_installed(&self) {
        self.snapshots_installed.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was presented and refused.
    pub(crate) fn refused(&self, presented: Presented) {
        self.refused[presented as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A turn that began then has had so many inputs, and is over.
    pub(crate) fn turned(&self, begun: Instant, inputs: usize) {
        self.turns.took(begun.elapsed());
        self.turn_inputs.add(u64::try_from(inputs).unwrap_or(u64::MAX));
    }

    pub(crate) fn applied(&self, begun: Instant) {
        self.applies.took(begun.elapsed());
    }

    pub(crate) fn dropped(&self, dropped: Dropped) {
        *locked(&self.dropped) = dropped;
    }

    /// The latest ping of a member. Whether there was one since the last call shows in its time
    /// alone: two that took the same time to the microsecond count once.
    pub(crate) fn round_trip(&self, node: u64, took: Duration) {
        let mut trips = locked(&self.round_trips);
        let fresh = || (Duration::MAX, Histogram::of(&MICROS));
        let (latest, histogram) = trips.entry(node).or_insert_with(fresh);
        if *latest != took {
            *latest = took;
            histogram.took(took);
        }
    }

    /// A proposal that waits until this is told how it went; one that nobody waits for any more has
    /// failed.
    pub(crate) fn proposal(self: &Arc<Self>) -> Pending {
        self.proposals_pending.fetch_add(1, Ordering::Relaxed);
        Pending { measures: Arc::clone(self), answered: Answered::No }
    }

    /// The same job, timed.
    pub(crate) fn timed<R>(
        self: &Arc<Self>,
        which: fn(&Self) -> &Histogram,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Box<dyn FnOnce() -> R + Send> {
        let measures = Arc::clone(self);
        Box::new(move || {
            let begun = Instant::now();
            let done = job();
            which(&measures).took(begun.elapsed());
            done
        })
    }

    pub(crate) const fn syncs(&self) -> &Histogram {
        &self.syncs
    }

    pub(crate) const fn snapshot_saves(&self) -> &Histogram {
        &self.snapshot_saves
    }

    pub(crate) fn measured(&self) -> Measured {
        let Dropped { misdirected, stranger, impossible, outdated, full } = *locked(&self.dropped);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let trips = locked(&self.round_trips);
        Measured {
            leader_changes: count(&self.leader_changes),
            proposals_pending: count(&self.proposals_pending),
            proposals_failed: count(&self.proposals_failed),
            messages_dropped: BTreeMap::from([
                ("misdirected", misdirected),
                ("stranger", stranger),
                ("impossible", impossible),
                ("outdated", outdated),
                ("full", full),
            ]),
            snapshots_installed: count(&self.snapshots_installed),
            refused: Presented::ALL
                .into_iter()
                .zip(self.refused.each_ref().map(count))
                .map(|(presented, count)| (presented.name(), count))
                .collect(),
            turns: self.turns.read(),
            turn_inputs: self.turn_inputs.read(),
            syncs: self.syncs.read(),
            applies: self.applies.read(),
            snapshot_saves: self.snapshot_saves.read(),
            round_trips: trips.iter().map(|(node, (_, trips))| (*node, trips.read())).collect(),
        }
    }
}

impl<S: StateMachine> Node<S> {
    /// What this member has measured of its own work since it was opened.
    #[must_use]
    pub fn measures(&self) -> Measured {
        self.measures.measured()
    }
}

/// A proposal that is not answered yet.
pub(crate) struct Pending {
    measures: Arc<Measures>,
    answered: Answered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    No,
    Well,
}

impl Pending {
    /// It was answered, and not by an error.
    pub(crate) fn answered<T>(mut self, answer: T) -> T {
        self.answered = Answered::Well;
        answer
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.measures.proposals_pending.fetch_sub(1, Ordering::Relaxed);
        if self.answered == Answered::No {
            self.measures.proposals_failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Counts values by size, from any thread.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [u64],
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    fn of(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    fn took(&self, duration: Duration) {
        self.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    fn add(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self) -> Distribution {
        Distribution {
            bounds: self.bounds,
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::of(&COUNTS);
        for value in [0, 1, 2, 3, 4, 1024, 1025] {
            histogram.add(value);
        }
        let read = histogram.read();
        assert_eq!(read.bounds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]);
        assert_eq!(read.counts, [2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(read.sum, 2059);
    }

    #[test]
    fn a_proposal_is_pending_until_it_is_answered_and_has_failed_if_nobody_waits() {
        let measures = Arc::new(Measures::default());
        let counts = || {
            let measured = measures.measured();
            (measured.proposals_pending, measured.proposals_failed)
        };
        let (one, other) = (measures.proposal(), measures.proposal());
        assert_eq!(counts(), (2, 0));
        assert_eq!(one.answered(7), 7);
        assert_eq!(counts(), (1, 0));
        drop(other);
        assert_eq!(counts(), (0, 1));
    }

    #[test]
    fn a_ping_counts_once_however_often_it_is_looked_at() {
        let measures = Measures::default();
        for micros in [500, 500, 500, 700, 500] {
            measures.round_trip(2, Duration::from_micros(micros));
        }
        let measured = measures.measured();
        assert_eq!(measured.round_trips[&2].counts.iter().sum::<u64>(), 3);
        assert_eq!(measured.round_trips[&2].sum, 1700);
    }
}
