//! A snapshot on its way to one follower, as its leader sees it: `Sending`. The first piece is a
//! question, alone; the answer says how much of that snapshot the follower has, and a window of
//! pieces goes on from there. What is lost is sent again after a while, at growing distances.

use crate::snapshot::SnapshotId;
use crate::types::Index;

/// How many times the first patience the last one is.
const PATIENCE_GROWS_TO: u32 = 16;

/// The state of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sending {
    state: State,
    /// Ticks since the last piece was sent anew, or the last news.
    waited: u32,
    /// After how many ticks without news pieces are sent again; 0 before the first time.
    patience: u32,
    /// Ticks since the follower was last heard to have kept more.
    silent: u32,
    /// How many bytes of entries the leader had taken on when it began, since it runs.
    pub(crate) began: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Which snapshot it will be is not settled: the newest is offered.
    Offer { sent: Sent },
    /// It has `stored` bytes of this one; the next piece begins at `next`.
    Transfer { snapshot: SnapshotId, stored: u64, next: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sent {
    NotYet,
    Already,
}

/// How large pieces are, and how many bytes may be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces {
    pub(crate) bytes_max: u64,
    pub(crate) inflight_max: u64,
}

impl Sending {
    pub(crate) const fn new(began: u64) -> Self {
        let state = State::Offer { sent: Sent::NotYet };
        Self { state, waited: 0, patience: 0, silent: 0, began }
    }

    /// The next piece, if one may be sent: of which snapshot, from where.
    pub(crate) fn next_piece(&mut self, pieces: Pieces) -> Option<(Option<SnapshotId>, u64)> {
        match &mut self.state {
            State::Offer { sent: Sent::Already } => None,
            State::Offer { sent } => {
                *sent = Sent::Already;
                Some((None, 0))
            }
            State::Transfer { snapshot, stored, next } => {
                let offset = *next;
                let end = snapshot.length.min(offset.saturating_add(pieces.bytes_max));
                let alone = offset == *stored;
                if offset == snapshot.length || (!alone && end - *stored > pieces.inflight_max) {
                    return None;
                }
                *next = end;
                Some((Some(*snapshot), offset))
            }
        }
    }

    /// The follower has so much of a snapshot. Returns whether that changes anything.
    pub(crate) fn received(&mut self, snapshot: SnapshotId, has: u64) -> bool {
        // One of no bytes has no next piece: its offer is repeated until it is installed.
        if snapshot.length == 0 {
            return false;
        }
        match &mut self.state {
            State::Transfer { snapshot: under_way, stored, next } if *under_way == snapshot => {
                if has == *stored {
                    return false;
                }
                // It may have lost what it had: a late answer that says so costs a few pieces.
                *next = if has < *stored { has } else { has.max(*next) };
                *stored = has;
            }
            State::Transfer { snapshot: under_way, .. } if snapshot.last <= under_way.last => {
                return false;
            }
            State::Offer { .. } | State::Transfer { .. } => {
                self.state = State::Transfer { snapshot, stored: has, next: has };
            }
        }
        (self.waited, self.patience, self.silent) = (0, 0, 0);
        true
    }

    /// A tick passed, of which the shortest election time-out has `patience`.
    pub(crate) fn tick(&mut self, patience: u32, pieces: Pieces) {
        self.silent = self.silent.saturating_add(1);
        self.waited += 1;
        if self.waited < self.patience.max(patience) {
            return;
        }
        self.waited = 0;
        let longest = patience.saturating_mul(PATIENCE_GROWS_TO);
        self.patience = self.patience.max(patience).saturating_mul(2).min(longest);
        match &mut self.state {
            State::Offer { sent } => *sent = Sent::NotYet,
            State::Transfer { snapshot, stored, next } => {
                // Even if it has all of it: the last piece is answered by what became of it.
                let last = snapshot.length.saturating_sub(pieces.bytes_max);
                *next = (*stored).min(last);
            }
        }
    }

    /// Whether a follower that matches up to here has installed it.
    pub(crate) fn is_done(&self, matched: Index) -> bool {
        matches!(self.state, State::Transfer { snapshot, .. } if snapshot.last.index <= matched)
    }

    /// The snapshot that the follower is installing, behind which it needs the log; none if
    /// nothing has come of it for long.
    pub(crate) fn needs_log_behind(&self, patience: u32) -> Option<SnapshotId> {
        let silent_max = patience.saturating_mul(PATIENCE_GROWS_TO);
        match self.state {
            State::Transfer { snapshot, .. } if self.silent <= silent_max => Some(snapshot),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EntryId, Term};

    const PIECES: Pieces = Pieces { bytes_max: 10, inflight_max: 30 };

    fn id(index: u64, length: u64) -> SnapshotId {
        SnapshotId { last: EntryId::new(Term(1), Index(index)), length, checksum: 7 }
    }

    fn offsets(sending: &mut Sending) -> [Option<u64>; 4] {
        [(); 4].map(|()| sending.next_piece(PIECES).map(|(_, offset)| offset))
    }

    #[test]
    fn the_first_piece_is_a_question_and_then_a_window_goes_on_from_its_answer() {
        let mut sending = Sending::new(0);
        assert_eq!(sending.next_piece(PIECES), Some((None, 0)));
        assert_eq!(sending.next_piece(PIECES), None, "one question");
        let snapshot = id(5, 100);
        assert!(sending.received(snapshot, 10));
        assert_eq!(offsets(&mut sending), [Some(10), Some(20), Some(30), None]);
        assert!(sending.received(snapshot, 25), "its pieces were cut otherwise");
        assert_eq!(offsets(&mut sending), [Some(40), None, None, None]);
        assert!(sending.received(snapshot, 96));
        assert_eq!(offsets(&mut sending), [Some(96), None, None, None]);
    }

    #[test]
    fn a_follower_that_has_a_part_already_is_sent_only_the_rest() {
        let mut sending = Sending::new(0);
        sending.next_piece(PIECES);
        sending.received(id(5, 100), 95);
        assert_eq!(sending.next_piece(PIECES), Some((Some(id(5, 100)), 95)));
        assert_eq!(sending.next_piece(PIECES), None);
    }

    #[test]
    fn what_is_lost_is_sent_again_at_growing_distances() {
        let mut sending = Sending::new(0);
        let mut sent = [0; 6];
        for place in &mut sent {
            while sending.next_piece(PIECES).is_none() {
                sending.tick(3, PIECES);
                *place += 1;
            }
        }
        assert_eq!(sent, [0, 3, 6, 12, 24, 48]);
        sending.received(id(5, 100), 10);
        assert_eq!(offsets(&mut sending), [Some(10), Some(20), Some(30), None]);
        (0..3).for_each(|_| sending.tick(3, PIECES));
        assert_eq!(offsets(&mut sending), [Some(10), Some(20), Some(30), None], "news in between");
    }

    #[test]
    fn a_follower_that_lost_what_it_had_is_sent_it_again() {
        let mut sending = Sending::new(0);
        sending.received(id(5, 100), 90);
        assert_eq!(offsets(&mut sending), [Some(90), None, None, None]);
        assert!(sending.received(id(5, 100), 0));
        assert_eq!(offsets(&mut sending)[0], Some(0));
        assert!(!sending.received(id(4, 80), 80), "of an older snapshot");
        assert!(sending.received(id(6, 50), 0), "of a newer one, since the older is gone");
        assert_eq!(sending.next_piece(PIECES), Some((Some(id(6, 50)), 0)));
    }

    #[test]
    fn one_that_has_all_is_asked_by_the_last_piece_what_became_of_it() {
        let mut sending = Sending::new(0);
        sending.received(id(5, 95), 95);
        assert_eq!(sending.next_piece(PIECES), None);
        (0..3).for_each(|_| sending.tick(3, PIECES));
        assert_eq!(sending.next_piece(PIECES), Some((Some(id(5, 95)), 85)));
        assert_eq!(sending.next_piece(PIECES), None);
    }

    #[test]
    fn a_snapshot_of_no_bytes_is_offered_until_it_is_installed() {
        let mut sending = Sending::new(0);
        for _ in 0..3 {
            let offered = (0..50).any(|_| {
                sending.tick(3, PIECES);
                sending.next_piece(PIECES) == Some((None, 0))
            });
            assert!(offered);
            assert!(!sending.received(id(5, 0), 0), "there is nothing to go on with");
        }
    }

    #[test]
    fn a_silent_follower_holds_no_log() {
        let mut sending = Sending::new(0);
        assert_eq!(sending.needs_log_behind(3), None, "it has taken nothing yet");
        sending.received(id(5, 95), 10);
        (0..48).for_each(|_| sending.tick(3, PIECES));
        assert_eq!(sending.needs_log_behind(3), Some(id(5, 95)));
        sending.tick(3, PIECES);
        assert_eq!(sending.needs_log_behind(3), None);
    }
}
