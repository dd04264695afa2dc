//! What a leader knows of one follower: `Progress`, with every transition a method.
//!
//! A follower is *probed* (one append at a time) until it answers, then *replicated* to (a window
//! of appends in flight, `next` ahead of `matched`), or sent a *snapshot* when the log no longer
//! reaches back to it.

use crate::sending::Sending;
use crate::types::{Index, MemberId};
use crate::weights::Weights;
use alloc::collections::VecDeque;

/// Invariant, asserted by [`Progress::check`]: `matched < next`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    pub(crate) member: MemberId,
    /// The highest index known to be durable there and equal to the leader's.
    pub(crate) matched: Index,
    /// The next index to send.
    pub(crate) next: Index,
    /// The highest commit index sent.
    pub(crate) commit_sent: Index,
    /// The latest heartbeat round it answered.
    pub(crate) round: u64,
    /// The latest heartbeat round when the last append was sent: answers to later ones show that
    /// it should have arrived.
    sent_in: u64,
    /// Whether it answered anything since the last check of the quorum.
    pub(crate) active: bool,
    state: State,
}

/// The appends that are not answered: the last index of each.
type Inflight = VecDeque<Index>;

/// How much may be in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) appends_max: usize,
    /// In one append.
    pub(crate) entries_max: u64,
    pub(crate) bytes_max: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Where the logs agree is not known; `asked` while an append is unanswered.
    Probe { asked: bool },
    /// Appends are under way ahead of their answers.
    /// `nudge`: the last of them may have been lost, with nothing behind it to show that.
    Replicate { inflight: Inflight, nudge: bool },
    /// The log no longer reaches back to it: a snapshot is on its way.
    Snapshot(Sending),
}

impl Progress {
    /// A follower about which nothing is known, asked first whether it holds all before `next`.
    pub(crate) const fn new(member: MemberId, next: Index) -> Self {
        Self {
            member,
            matched: Index(0),
            next,
            commit_sent: Index(0),
            round: 0,
            sent_in: 0,
            active: true,
            state: State::Probe { asked: false },
        }
    }

    /// Whether one more append may be sent.
    pub(crate) fn may_send(&self, window: Window) -> bool {
        match &self.state {
            State::Probe { asked } => !asked,
            State::Replicate { nudge: true, .. } => true,
            State::Replicate { inflight, .. } => inflight.len() < window.appends_max,
            State::Snapshot(_) => false,
        }
    }

    /// Whether an append is wanted for its answer, even if it carries nothing.
    pub(crate) const fn must_ask(&self) -> bool {
        matches!(self.state, State::Probe { .. } | State::Replicate { nudge: true, .. })
    }

    /// The highest index the next append may carry: none where the window is full already.
    /// `weights` says how far so many bytes reach.
    pub(crate) fn window_end(&self, log_end: Index, window: Window, weights: &Weights) -> Index {
        let prev = self.next.prev();
        let after = match &self.state {
            State::Replicate { nudge: true, .. } => return prev,
            State::Replicate { inflight, .. } if !inflight.is_empty() => self.matched,
            _ => prev,
        };
        let most = log_end.min(Index(prev.0 + window.entries_max));
        // One entry may be under way whatever it weighs.
        if most <= after.next() {
            return most;
        }
        let least = if after == prev { prev.next() } else { prev };
        most.min(weights.reach(after, window.bytes_max)).max(least)
    }

    /// The state's name in the status.
    pub(crate) const fn name(&self) -> &'static str {
        match self.state {
            State::Probe { .. } => "probe",
            State::Replicate { .. } => "replicate",
            State::Snapshot(_) => "snapshot",
        }
    }

    /// An append up to `last` was sent, after this heartbeat round; without entries if `last` is
    /// below `next`.
    pub(crate) fn sent(&mut self, last: Index, commit: Index, round: u64) {
        self.sent_in = round;
        self.commit_sent = self.commit_sent.max(commit);
        match &mut self.state {
            State::Probe { asked } => *asked = true,
            State::Replicate { inflight, nudge } => {
                *nudge = false;
                if last >= self.next {
                    inflight.push_back(last);
                    self.next = last.next();
                }
            }
            State::Snapshot(_) => unreachable!("nothing is sent beside a snapshot"),
        }
    }

    /// The follower holds all up to `matched`. Returns whether that is news.
    pub(crate) fn appended(&mut self, matched: Index, log_start: Index) -> bool {
        let news = matched > self.matched;
        self.matched = self.matched.max(matched);
        self.next = self.next.max(self.matched.next());
        match &mut self.state {
            State::Replicate { inflight, .. } => {
                while inflight.front().is_some_and(|last| *last <= matched) {
                    inflight.pop_front();
                }
            }
            // The log has moved on from what it installed; or the answer is from before that.
            State::Snapshot(sending) if self.matched < log_start => {
                if sending.is_done(self.matched) {
                    *sending = Sending::new(sending.began);
                }
            }
            State::Probe { .. } | State::Snapshot(_) => {
                self.next = self.matched.next();
                self.state = State::Replicate { inflight: Inflight::new(), nudge: false };
            }
        }
        news
    }

    /// The follower refused an append behind `prev`; the logs may agree at `agree`. Returns
    /// whether to ask again (an answer to an older question changes nothing).
    pub(crate) fn rejected(&mut self, prev: Index, agree: Index) -> bool {
        let stale = match self.state {
            State::Probe { .. } => prev != self.next.prev(),
            State::Replicate { .. } => prev <= self.matched,
            State::Snapshot(_) => true,
        };
        if stale {
            return false;
        }
        self.next = agree.next().min(prev).max(self.matched.next());
        self.state = State::Probe { asked: false };
        true
    }

    /// A heartbeat was answered: what was sent before it and is not answered may have been lost, so
    /// ask again. Returns whether there is something to ask.
    pub(crate) fn heartbeat_answered(&mut self, round: u64) -> bool {
        self.round = self.round.max(round);
        if round <= self.sent_in {
            return false;
        }
        match &mut self.state {
            State::Probe { asked } => *asked = false,
            State::Replicate { inflight, nudge } => *nudge = !inflight.is_empty(),
            State::Snapshot(_) => {}
        }
        self.must_ask()
    }

    /// The log no longer reaches back to it. `appended_bytes` is what the leader has taken on.
    pub(crate) fn install(&mut self, appended_bytes: u64) {
        self.state = State::Snapshot(Sending::new(appended_bytes));
    }

    /// The snapshot that is on its way to it.
    pub(crate) const fn sending(&self) -> Option<&Sending> {
        match &self.state {
            State::Snapshot(sending) => Some(sending),
            State::Probe { .. } | State::Replicate { .. } => None,
        }
    }

    pub(crate) const fn sending_mut(&mut self) -> Option<&mut Sending> {
        match &mut self.state {
            State::Snapshot(sending) => Some(sending),
            State::Probe { .. } | State::Replicate { .. } => None,
        }
    }

    pub(crate) fn check(&self) {
        assert!(self.matched < self.next, "what is known to match is not sent again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sending::Pieces;
    use crate::snapshot::SnapshotId;
    use crate::types::{EntryId, Incarnation, NodeId, Term};

    const WINDOW: Window = Window { appends_max: 2, entries_max: 4, bytes_max: 50 };

    /// Each entry weighs 10 bytes, but the tenth, which weighs 100.
    fn weights() -> Weights {
        let mut weights = Weights::default();
        (1..=20).for_each(|index| weights.append(Index(index), if index == 10 { 100 } else { 10 }));
        weights
    }

    /// Up to where the next append goes, if one may be sent.
    fn window_end(follower: &Progress) -> Option<u64> {
        let end = || follower.window_end(Index(20), WINDOW, &weights()).0;
        follower.may_send(WINDOW).then(end)
    }

    fn progress(next: u64) -> Progress {
        Progress::new(MemberId::new(NodeId(2), Incarnation(2)), Index(next))
    }

    #[test]
    fn a_probe_waits_for_its_answer_and_then_appends_are_pipelined() {
        let mut follower = progress(12);
        assert_eq!(window_end(&follower), Some(15), "four entries");
        follower.sent(Index(15), Index(0), 0);
        assert_eq!(window_end(&follower), None, "one question at a time");
        assert!(follower.appended(Index(12), Index(0)));
        assert_eq!((follower.matched, follower.next), (Index(12), Index(13)));
        follower.sent(Index(14), Index(0), 0);
        assert_eq!(window_end(&follower), Some(17), "fifty bytes");
        follower.sent(Index(17), Index(0), 0);
        assert_eq!(window_end(&follower), None, "two appends");
        assert!(follower.appended(Index(15), Index(0)));
        assert_eq!(window_end(&follower), Some(20), "what is not answered counts from its middle");
    }

    #[test]
    fn an_entry_larger_than_the_window_goes_alone() {
        let mut follower = progress(8);
        follower.appended(Index(7), Index(0));
        assert_eq!(window_end(&follower), Some(9), "not the large one");
        follower.sent(Index(9), Index(0), 0);
        assert_eq!(window_end(&follower), Some(9), "it has to wait");
        follower.appended(Index(9), Index(0));
        assert_eq!(window_end(&follower), Some(10));
        follower.sent(Index(10), Index(0), 0);
        assert_eq!(window_end(&follower), Some(10), "nothing beside it");
        follower.appended(Index(10), Index(0));
        assert_eq!(window_end(&follower), Some(14));
    }

    #[test]
    fn only_a_heartbeat_sent_after_the_question_has_it_asked_again() {
        let mut follower = progress(12);
        follower.sent(Index(15), Index(0), 3);
        follower.heartbeat_answered(3);
        assert_eq!(window_end(&follower), None, "the answer may still come");
        follower.heartbeat_answered(4);
        assert_eq!(window_end(&follower), Some(15));
        follower.appended(Index(12), Index(0));
        follower.sent(Index(14), Index(0), 4);
        follower.heartbeat_answered(4);
        assert!(!follower.must_ask());
        follower.heartbeat_answered(5);
        assert!(follower.must_ask(), "the last append may be lost");
        assert_eq!(window_end(&follower), Some(14), "asked without entries");
    }

    #[test]
    fn the_window_is_as_wide_as_it_says() {
        let mut follower = progress(12);
        follower.appended(Index(11), Index(0));
        assert!(!follower.must_ask(), "nothing is amiss");
        assert!(!follower.appended(Index(11), Index(0)), "no news");
        follower.sent(Index(12), Index(0), 1);
        let end = |window| follower.window_end(Index(20), window, &weights()).0;
        assert_eq!(end(Window { bytes_max: 40, ..WINDOW }), 15, "three more beside the first");
        assert_eq!(end(Window { bytes_max: 19, ..WINDOW }), 12, "none more");
        assert_eq!(end(Window { entries_max: 2, ..WINDOW }), 14);
        assert_eq!(follower.window_end(Index(13), WINDOW, &weights()), Index(13));
        assert!(!follower.may_send(Window { appends_max: 1, ..WINDOW }));
        assert!(follower.may_send(Window { appends_max: 2, ..WINDOW }));
        follower.appended(Index(12), Index(0));
        assert!(follower.may_send(Window { appends_max: 1, ..WINDOW }), "it is answered");
    }

    #[test]
    fn one_that_answers_heartbeats_alone_is_asked_what_it_has() {
        let mut follower = progress(5);
        follower.appended(Index(4), Index(0));
        follower.heartbeat_answered(1);
        assert!(!follower.must_ask(), "nothing is under way");
        follower.sent(Index(5), Index(0), 1);
        follower.sent(Index(6), Index(0), 1);
        assert!(!follower.may_send(WINDOW));
        follower.heartbeat_answered(2);
        assert!(follower.must_ask() && follower.may_send(WINDOW), "however full the window is");
        assert_eq!(window_end(&follower), Some(6), "with nothing in it");
        follower.sent(Index(6), Index(0), 2);
        assert!(!follower.must_ask(), "once");
    }

    #[test]
    fn a_refusal_steps_back_to_the_hint_but_never_below_what_matches() {
        let mut follower = progress(9);
        follower.sent(Index(9), Index(0), 0);
        assert!(!follower.rejected(Index(5), Index(2)), "an answer to another question");
        assert!(follower.rejected(Index(8), Index(4)));
        assert_eq!(follower.next, Index(5));
        follower.sent(Index(9), Index(0), 0);
        follower.appended(Index(9), Index(0));
        assert!(!follower.rejected(Index(8), Index(0)), "it is known to match");
        follower.sent(Index(12), Index(0), 0);
        assert!(follower.rejected(Index(12), Index(3)));
        assert_eq!(follower.next, Index(10));
    }

    #[test]
    fn a_snapshot_ends_with_an_answer_that_the_log_reaches_back_to() {
        let mut follower = progress(3);
        follower.install(0);
        follower.appended(Index(1), Index(8));
        assert_eq!(follower.name(), "snapshot");
        follower.appended(Index(8), Index(8));
        assert_eq!((follower.name(), follower.next), ("replicate", Index(9)));
    }

    #[test]
    fn one_that_installed_what_the_log_has_moved_on_from_is_offered_another() {
        let pieces = Pieces { bytes_max: 10, inflight_max: 10 };
        let last = EntryId::new(Term(1), Index(8));
        let mut follower = progress(3);
        follower.install(0);
        let sending = follower.sending_mut().expect("begun");
        sending.next_piece(pieces);
        sending.received(SnapshotId { last, length: 5, checksum: 0 }, 5);
        follower.appended(Index(8), Index(9));
        let sending = follower.sending_mut().expect("once more");
        assert_eq!(sending.next_piece(pieces), Some((None, 0)));
    }
}
