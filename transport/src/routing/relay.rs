//! What is carried on for others: [`Relay`] decides for each frame, and keeps each two members to
//! their share, so that no two of them can take from the others, nor all of them from the member
//! that carries.

use super::bucket::{Bucket, Taken};
use super::table::Table;
use crate::config::{Limits, Relaying};
use crate::mutation::{Mutation, on};
use crate::status::Lost;
use holm_raft_core::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// The shares of all pairs of members. There are at most members² of them.
#[derive(Debug)]
pub(crate) struct Relay {
    relaying: Relaying,
    limits: Limits,
    pairs: BTreeMap<(NodeId, NodeId), Share>,
}

/// What two members have of this one, in one direction.
#[derive(Debug)]
struct Share {
    bucket: Bucket,
    /// How many bytes wait to be written.
    queued: usize,
}

/// A frame from a neighbour that is for somebody else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transit {
    pub(crate) from: NodeId,
    pub(crate) source: NodeId,
    pub(crate) destination: NodeId,
    pub(crate) hops: u8,
    pub(crate) bytes: usize,
}

/// Where such a frame goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Onward {
    pub(crate) next: NodeId,
    pub(crate) hops: u8,
}

impl Relay {
    pub(crate) fn new(relaying: Relaying, limits: Limits) -> Self {
        Self { relaying, limits, pairs: BTreeMap::new() }
    }

    /// Where a frame goes on, or why it does not. What goes on counts as queued until it has
    /// `left`.
    pub(crate) fn carry(
        &mut self,
        table: &mut Table,
        transit: Transit,
        now: Duration,
    ) -> Result<Onward, Lost> {
        let Transit { source, destination, hops, bytes, .. } = transit;
        if self.relaying == Relaying::Off {
            return Err(Lost::RelayingOff);
        }
        let hops = hops.checked_sub(1).ok_or(Lost::HopsUsedUp)?;
        if !table.knows(source) || !table.knows(destination) {
            return Err(Lost::Misaddressed);
        }
        let next = onward(table, transit).ok_or(Lost::NoWay)?;
        let Limits { relay_bytes_per_second: rate, relay_queue_bytes_max: most, .. } = self.limits;
        let share = self
            .pairs
            .entry((source, destination))
            .or_insert_with(|| Share { bucket: Bucket::new(rate, rate.get()), queued: 0 });
        if share.queued.saturating_add(bytes) > most {
            return Err(Lost::QueueFull);
        }
        let counted = u64::try_from(bytes).unwrap_or(u64::MAX);
        if share.bucket.take(counted, now) == Taken::NotYet {
            return Err(Lost::OverRate);
        }
        share.queued += bytes;
        Ok(Onward { next, hops })
    }

    /// A frame that was carried on has been written, or lost.
    pub(crate) fn left(&mut self, source: NodeId, destination: NodeId, bytes: usize) {
        if let Some(share) = self.pairs.get_mut(&(source, destination)) {
            share.queued = share.queued.saturating_sub(bytes);
        }
    }

    /// Only pairs of these members have shares from now on.
    pub(crate) fn know(&mut self, known: impl Fn(NodeId) -> bool) {
        self.pairs.retain(|(source, destination), _| known(*source) && known(*destination));
    }
}

/// To whom a frame goes: never back to its source, nor to whoever gave it.
fn onward(table: &mut Table, transit: Transit) -> Option<NodeId> {
    let Transit { from, source, destination, .. } = transit;
    if cfg!(feature = "mutations")
        && let Some((next, _)) = table.way(destination, None)
        && (next == from || next == source)
        && on(Mutation::RelaySendsBack)
    {
        return Some(next);
    }
    let (next, _) = table.way(destination, Some(from))?;
    (next != source).then_some(next)
}
