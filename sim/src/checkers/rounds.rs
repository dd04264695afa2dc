//! Reads by rounds (thesis §6.4, step 3; TLA+ has no name for it): a leader serves a read only when
//! a majority has answered a heartbeat round that began after the read was asked for.

use super::quorum::decide;
use super::{Check, ensure};
use holm_raft_core::{Body, Configuration, MemberId, Message, RequestNumber, Term};
use std::collections::{BTreeMap, BTreeSet};

/// When rounds began, and who answered them, by leader and term. Moments count the run's events.
#[derive(Debug, Default)]
pub struct Rounds {
    leaders: BTreeMap<MemberId, Leadership>,
    /// The reads that a leader has confirmed for another member, which may lead by the time that it
    /// has applied enough to serve them.
    told: BTreeSet<(MemberId, RequestNumber)>,
}

#[derive(Debug, Default)]
struct Leadership {
    term: Term,
    /// When each round began.
    begun: Vec<u64>,
    /// When the latest round began that each follower has answered.
    answered: BTreeMap<MemberId, u64>,
}

impl Rounds {
    const NAME: &str = "reads wait for a round";

    /// A message leaves a member.
    pub fn sent(&mut self, message: &Message, moment: u64) {
        let Body::Heartbeat { round, .. } = message.body else { return };
        let leadership = self.leaders.entry(message.from).or_default();
        if leadership.term != message.term {
            *leadership = Leadership { term: message.term, ..Leadership::default() };
        }
        let round = usize::try_from(round).expect("rounds are counted from 1");
        if leadership.begun.len() <= round {
            leadership.begun.resize(round + 1, moment);
        }
    }

    /// A message arrives at a member.
    pub fn taken(&mut self, message: &Message) {
        if let Body::ReadAt { number, index: Some(_), .. } = message.body {
            self.told.insert((message.to, number));
        }
        let Body::HeartbeatAck { round } = message.body else { return };
        let Some(leadership) = self.leaders.get_mut(&message.to) else { return };
        let begun = usize::try_from(round).ok().and_then(|round| leadership.begun.get(round));
        if let Some(begun) = begun.filter(|_| leadership.term == message.term && round > 0) {
            let latest = leadership.answered.entry(message.from).or_default();
            *latest = (*latest).max(*begun);
        }
    }

    /// Whether another member, the leader at that time, has confirmed this read of `me`.
    #[must_use]
    pub fn told(&self, me: MemberId, read: RequestNumber) -> bool {
        self.told.contains(&(me, read))
    }

    /// A leader serves a read by a round, which was asked for at a moment.
    ///
    /// # Errors
    /// If no majority has answered a round since.
    pub fn served(
        &self,
        (me, term): (MemberId, Term),
        asked: u64,
        configuration: &Configuration,
    ) -> Check {
        let leadership = self.leaders.get(&me).filter(|leadership| leadership.term == term);
        let answered = |member: MemberId| {
            let answered = leadership.and_then(|leadership| leadership.answered.get(&member));
            member == me || answered.is_some_and(|begun| *begun >= asked)
        };
        ensure(decide(configuration, answered).into(), Self::NAME, || {
            format!("{me} serves a read in term {term} that no majority has confirmed since")
        })
    }
}
