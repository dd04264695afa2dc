//! Members of any core in memory, whose disks take no time, and the links between them:
//! [`Cluster`]. Whoever leads is given a command in each tick.

use crate::ways::Ways;
use std::collections::BTreeMap;

/// The shortest election time-out; the longest is twice this. The default of Holm's `Config`.
pub(crate) const ELECTION_TICKS: u64 = 15;
const TICK_MILLISECONDS: u64 = 10;
/// The most ticks until a whole cluster has the leader that a scenario wants.
const SETTLE_TICKS_MAX: u64 = 5_000;
/// The most messages that one tick leads to.
const MESSAGES_MAX: usize = 10_000;

/// What a cluster asks of a member's core and what is around it.
pub(crate) trait Member {
    type Message;

    /// A tick, at so many milliseconds.
    fn tick(&mut self, now: u64);
    fn handle(&mut self, message: Self::Message);
    /// Only asked of who leads.
    fn propose(&mut self, number: u64, command: [u8; 8]);
    /// Does what the core asks for, with a disk that is done at once, and says what goes to whom.
    fn settle(&mut self) -> Vec<(u64, Self::Message)>;
    fn leads(&self) -> bool;
    fn term(&self) -> u64;
    /// The last index of its log.
    fn last(&self) -> u64;
    /// The last command that it knows to be committed.
    fn committed(&self) -> Option<[u8; 8]>;
    /// What it is, for people.
    fn told(&self) -> String;
}

/// Members by number, from 1. A command is the time at which it was proposed.
pub(crate) struct Cluster<M: Member> {
    members: BTreeMap<u64, M>,
    pub(crate) ways: Ways<M::Message>,
    now: u64,
    proposals: u64,
}

impl<M: Member> Cluster<M> {
    pub(crate) fn new(members: u64, start: impl Fn(u64) -> M) -> Self {
        let (ways, members) = (Ways::new(members), (1..=members).map(|node| (node, start(node))));
        let mut cluster = Self { members: members.collect(), ways, now: 0, proposals: 0 };
        cluster.run_until_quiet();
        cluster
    }

    /// The same once `wanted` leads it, with a few commands committed everywhere.
    pub(crate) fn led_by(mut self, wanted: u64, seed: u64) -> Self {
        for _ in 0..SETTLE_TICKS_MAX {
            match self.leader() {
                Some(leader) if leader == wanted => {
                    self.ways.keep(|_, _| true);
                    // What follows comes at any moment of the leader's round of checks.
                    self.run(10 * ELECTION_TICKS + seed % ELECTION_TICKS);
                    assert_eq!(self.leader(), Some(wanted), "nothing is broken yet");
                    return self;
                }
                // Another leads: it is shut out until it no longer does.
                Some(leader) => self.ways.keep(|a, b| a != leader && b != leader),
                None => self.ways.keep(|_, _| true),
            }
            self.tick();
        }
        panic!("member {wanted} never led:{}", self.told());
    }

    /// The leader of the latest term.
    pub(crate) fn leader(&self) -> Option<u64> {
        let leading = self.members.iter().filter(|(_, member)| member.leads());
        leading.max_by_key(|(_, member)| member.term()).map(|(number, _)| *number)
    }

    pub(crate) fn latest_term(&self) -> u64 {
        self.members.values().map(M::term).max().expect("there are members")
    }

    /// The last index of this member's log.
    pub(crate) fn last(&self, member: u64) -> u64 {
        self.members[&member].last()
    }

    /// All members, for people.
    pub(crate) fn told(&self) -> String {
        self.members.values().map(|member| format!("\n{}", member.told())).collect()
    }

    /// Ticks everybody once; whoever leads is given a command.
    fn tick(&mut self) {
        self.now += TICK_MILLISECONDS;
        self.ways.tick();
        for member in self.members.values_mut() {
            member.tick(self.now);
            if member.leads() {
                self.proposals += 1;
                member.propose(self.proposals, self.now.to_le_bytes());
            }
        }
        self.run_until_quiet();
    }

    pub(crate) fn run(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.tick();
        }
    }

    fn run_until_quiet(&mut self) {
        self.settle();
        for _ in 0..MESSAGES_MAX {
            let Some((to, message)) = self.ways.arrived() else { return };
            self.members.get_mut(&to).expect("a member").handle(message);
            self.settle();
        }
        panic!("more than {MESSAGES_MAX} messages in a tick");
    }

    fn settle(&mut self) {
        for (from, member) in &mut self.members {
            for (to, message) in member.settle() {
                self.ways.send(*from, to, message);
            }
        }
    }

    /// How many ticks pass until a command of after now commits, if at most `most` do.
    pub(crate) fn ticks_to_commit(&mut self, most: u64) -> Option<u64> {
        let since = self.now;
        let after = |member: &M| {
            member.committed().is_some_and(|command| u64::from_le_bytes(command) > since)
        };
        (1..=most).find(|_| {
            self.tick();
            self.members.values().any(after)
        })
    }
}
