//! Whether this member is one still. One that was down while it was removed gets no more entries,
//! and the others don't take it for a member: so, once it has known no leader for a while, it asks
//! them at the door where strangers ask to join (`join/seat.rs`), and stops if it has no place any
//! more.
//!
//! Believed is who knows the secret and holds the key of a member of the own configuration, and who
//! had its word confirmed by a majority just now; and only about the same recovery of the cluster
//! and a later configuration than the own log has committed. So a member that is behind or was
//! removed itself sends nobody away, and neither does the other side of a recovery.

use super::Driver;
use super::roster::removed;
use crate::StateMachine;
use crate::join::seat::{Seat, question, told};
use crate::member_info::epoch_of;
use crate::open::{peers, security};
use crate::stop::Stop;
use holm_raft_core::{Index, MemberId, NodeId};
use holm_transport::{Answered, AskError, Caller, Dial, Epoch, Peer, Reached, Timing, ask};
use std::sync::Arc;
use tokio::sync::oneshot;

/// After how many ticks without a leader the first member is asked.
const ALONE_TICKS: u64 = 200;
/// How many ticks pass between two questions.
const PAUSE_TICKS: u64 = 100;

/// What is asked about this member's own seat.
#[derive(Default)]
pub(crate) struct OwnSeat {
    /// The latest tick at which it knew a leader.
    led_at: u64,
    /// That of the latest question, and whom it went to.
    asked: Option<(u64, NodeId)>,
    under_way: Option<oneshot::Receiver<Result<Answered, AskError>>>,
}

impl<S: StateMachine> Driver<S> {
    /// On each tick: hears what was answered, and asks the next one.
    pub(super) fn look_at_seat(&mut self) -> Result<(), Stop> {
        let led = self.raft.glance().leader.is_some() || self.raft.configuration().is_empty();
        if led || self.parting.is_some() {
            self.seat.led_at = self.ticks;
            self.seat.under_way = None;
            return Ok(());
        }
        if let Some(answer) = &mut self.seat.under_way {
            match answer.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => return Ok(()),
                Err(oneshot::error::TryRecvError::Closed) => self.seat.under_way = None,
                Ok(answer) => {
                    self.seat.under_way = None;
                    self.heard_of_seat(answer)?;
                }
            }
        }
        let paused = self.seat.asked.is_some_and(|(at, _)| self.ticks < at + PAUSE_TICKS);
        if !paused && self.ticks >= self.seat.led_at + ALONE_TICKS {
            self.ask_about_seat();
        }
        Ok(())
    }

    /// The next of those who may be dialled and are not linked with this member: those that are
    /// take it for one.
    fn ask_about_seat(&mut self) {
        let Ok(known) = peers(&self.config, self.raft.configuration()) else { return };
        let states = self.transport.peers();
        let linked = |node: NodeId| {
            states.iter().any(|state| state.node == node && state.reached != Reached::Not)
        };
        let asked = |peer: &&Peer| peer.dial == Dial::Dial && !linked(peer.node);
        let mut dialled: Vec<_> = known.iter().filter(asked).collect();
        dialled.sort_by_key(|peer| peer.node);
        let before = self.seat.asked.map_or(NodeId(0), |(_, node)| node);
        let next = dialled.iter().find(|peer| peer.node > before).or(dialled.first());
        let Some((node, address)) = next.and_then(|peer| Some((peer.node, peer.address.clone()?)))
        else {
            return;
        };
        let mut seed = [0; 32];
        for part in seed.chunks_mut(size_of::<u64>()) {
            part.copy_from_slice(&self.edges.entropy.draw().to_le_bytes());
        }
        let (cluster, security) = (self.config.cluster.clone(), security(&self.config));
        let caller = Caller { cluster, me: self.me, security, seed };
        let network = Arc::clone(&self.edges.network);
        let (mut reply, answer) = oneshot::channel();
        self.seat.asked = Some((self.ticks, node));
        self.seat.under_way = Some(answer);
        tokio::task::spawn(async move {
            let question = question();
            tokio::select! { biased;
                () = reply.closed() => {}
                answered = ask(&*network, &address, caller, &question, Timing::default()) => {
                    // A driver that has ended asks nothing any more.
                    let _ = reply.send(answered);
                }
            }
        });
    }

    fn heard_of_seat(&self, answer: Result<Answered, AskError>) -> Result<(), Stop> {
        let node = self.config.node;
        let Answered { by, key, answer } = match answer {
            Ok(answered) => answered,
            Err(error) => {
                tracing::debug!(node, "is this still a member? {error}");
                return Ok(());
            }
        };
        let believed = self.roster.knows(by.node, key);
        let Some(seat) = told(&answer).filter(|_| believed) else {
            tracing::debug!(node, %by, "is this still a member? It can't tell");
            return Ok(());
        };
        let (settled, _) = self.raft.configuration_at(self.raft.glance().committed);
        let epoch = epoch_of(self.raft.configuration());
        match judged(self.me, (epoch, settled), seat) {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }
}

/// Why this member stops, whose log has committed its members at this index of this epoch.
fn judged(me: MemberId, settled: (Epoch, Index), seat: Seat) -> Option<Stop> {
    let holder = seat.holder(me.node);
    let newer = settled.0 == seat.epoch() && settled.1 < Index(seat.index);
    (newer && holder != Some(me)).then(|| removed(me, holder, Index(seat.index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_raft_core::Incarnation;

    #[test]
    fn a_member_goes_by_newer_members_of_its_own_epoch_and_by_nothing_else() {
        let me = MemberId::new(NodeId(3), Incarnation(7));
        let known = (Epoch::FIRST, Index(5));
        let says = |index, epoch, holder| {
            let stop = judged(me, known, Seat::new(index, epoch, holder));
            stop.map(|stop| stop.to_string())
        };
        for (index, epoch, holder) in [
            (5, Epoch::FIRST, None),
            (4, Epoch::FIRST, Some(8)),
            (9, Epoch::FIRST, Some(7)),
            (9, Epoch(1 << 48), None),
            (9, Epoch::NONE_YET, None),
        ] {
            assert_eq!(says(index, epoch, holder), None, "{index} of {epoch}, {holder:?}");
        }
        let removed = says(6, Epoch::FIRST, None).expect("it is told");
        assert!(removed.contains("not among the members set at index 6"), "{removed}");
        let replaced = says(6, Epoch::FIRST, Some(8)).expect("it is told");
        assert!(replaced.contains("3#8 has its place"), "{replaced}");
    }
}
