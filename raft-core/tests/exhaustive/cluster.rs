//! What is explored: `Exploration` tells `stateright` what can happen next in a `Cluster`. A
//! message that was sent can arrive at any time from then on, any number of times or never: that is
//! loss, repetition and reordering in one rule, and the network is the set of all that was said.

use super::member::{Member, PreVotes, Syncs};
use super::safety::{self, History};
use super::steps::{Marked, Step, Steps};
use holm_raft_core::{Body, HardState, Message, Term};
use stateright::{Model, Property};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// How far an exploration goes. Within it, everything that can happen is gone through.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// No election begins beyond this term.
    pub(crate) term: u64,
    /// How many commands are proposed, to whoever leads.
    pub(crate) proposals: u8,
    /// How many crashes there are.
    pub(crate) crashes: u8,
    /// How many rounds of heartbeats are sent, beside those of new leaders, which are lost.
    pub(crate) heartbeats: u8,
    /// Beyond so many writes under way, a member is too busy for messages. 0: no write is ever
    /// under way, as each is durable at once.
    pub(crate) writes: usize,
    pub(crate) pre_votes: PreVotes,
    pub(crate) stale: Stale,
    /// The places of those who campaign.
    pub(crate) candidates: Vec<usize>,
}

/// What happens to a request of a term that its addressee has durably left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It is answered by the later term, which the sender learns so.
    Answered,
    /// It is lost. The sender still learns of each later term, by its candidate's request.
    Lost,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cluster {
    pub(crate) members: Vec<Arc<Member>>,
    /// All that was ever sent and still says something, by mark.
    network: Arc<Vec<Marked>>,
    pub(crate) history: History,
    pub(crate) proposals: u8,
    pub(crate) crashes: u8,
    heartbeats: u8,
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.members.hash(state);
        for (mark, _) in self.network.iter() {
            mark.hash(state);
        }
        self.history.hash(state);
        (self.proposals, self.crashes, self.heartbeats).hash(state);
    }
}

/// A step, and the place of the member that takes it.
pub(crate) type Action = (usize, Step);

/// Where an exploration begins.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// A cluster that was just formed.
    Formed(usize),
    /// Members with these hard states, and the terms of their entries after the first.
    Logs(Vec<(HardState, Vec<u64>)>),
}

#[derive(Debug)]
pub(crate) struct Exploration {
    pub(crate) start: Start,
    pub(crate) bounds: Bounds,
    pub(crate) steps: Steps,
}

impl Exploration {
    /// While a crash can still happen it matters what is durable; later, a sync that is late is
    /// like a message that is late.
    fn syncs(&self, cluster: &Cluster) -> Syncs {
        let late = cluster.crashes < self.bounds.crashes && self.bounds.writes > 0;
        if late { Syncs::Any } else { Syncs::AtOnce }
    }

    /// All members of a newly formed cluster are alike but for their numbers, so it is the first
    /// whose time is out first.
    fn may_time_out(&self, cluster: &Cluster, at: usize) -> bool {
        let begun = !cluster.network.is_empty()
            || cluster.members.iter().any(|member| member.status.term > Term(1));
        let member = &cluster.members[at];
        (begun || at == 0)
            && self.bounds.candidates.contains(&at)
            && match member.status.role {
                "pre-candidate" => false,
                // Where time is given, it steps down when the next candidate asks.
                "leader" => self.bounds.pre_votes == PreVotes::Asked,
                _ => true,
            }
            && member.status.term.0 < self.bounds.term
    }

    fn is_busy(&self, member: &Member) -> bool {
        !member.pending.is_empty() && member.pending.len() >= self.bounds.writes
    }
}

impl Model for Exploration {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        let logs = match &self.start {
            Start::Formed(members) => {
                let hard_state = HardState { term: Term(1), vote: None };
                vec![(hard_state, Vec::new()); *members]
            }
            Start::Logs(logs) => logs.clone(),
        };
        let count = u64::try_from(logs.len()).expect("a few");
        let member = |(node, (hard_state, terms)): (u64, &(HardState, Vec<u64>))| {
            Member::new(node, count, self.bounds.pre_votes, *hard_state, terms)
        };
        let members = (1..).zip(&logs).map(member);
        vec![Cluster {
            members: members.map(Arc::new).collect(),
            network: Arc::default(),
            history: History::default(),
            proposals: 0,
            crashes: 0,
            heartbeats: 0,
        }]
    }

    fn actions(&self, cluster: &Cluster, actions: &mut Vec<Action>) {
        for (mark, message) in cluster.network.iter() {
            if !self.is_busy(&cluster.members[place_of(message)]) {
                actions.push((place_of(message), Step::Receive(*mark)));
            }
        }
        for (at, member) in cluster.members.iter().enumerate() {
            if self.may_time_out(cluster, at) && !self.is_busy(member) {
                actions.push((at, Step::TimeOut));
            }
            let leads = member.status.role == "leader";
            if leads && cluster.proposals < self.bounds.proposals {
                actions.push((at, Step::Propose));
            }
            if leads && cluster.heartbeats < self.bounds.heartbeats {
                actions.push((at, Step::Heartbeat));
            }
            if !member.pending.is_empty() {
                actions.push((at, Step::Sync));
            }
            if cluster.crashes < self.bounds.crashes {
                let kept = 0..=member.pending.len();
                actions.extend(kept.map(|kept| (at, Step::Crash(kept))));
            }
        }
    }

    fn next_state(&self, before: &Cluster, (at, step): Action) -> Option<Cluster> {
        let mut after = before.clone();
        match step {
            Step::Propose => after.proposals += 1,
            Step::Heartbeat => after.heartbeats += 1,
            Step::Crash(_) => after.crashes += 1,
            Step::Receive(_) | Step::TimeOut | Step::Sync => {}
        }
        let message = match step {
            Step::Receive(mark) => Some(before.message(mark)),
            _ => None,
        };
        let syncs = self.syncs(before);
        let (member, sent) = self.steps.outcome(&before.members[at], step, message, syncs);
        after.members[at] = member;
        after.send(&sent, self.bounds.stale);
        after.history.observe(&after.members[at]);
        (after != *before).then_some(after)
    }

    fn format_action(&self, (at, step): &Action) -> String {
        format!("{} {step:?}", at + 1)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let members = self.init_states().first().map_or(0, |cluster| cluster.members.len());
        safety::properties(members, self.bounds.term)
    }
}

impl Cluster {
    fn message(&self, mark: u64) -> &Message {
        let at = self.network.binary_search_by_key(&mark, |(mark, _)| *mark);
        &self.network[at.expect("what arrives was sent")].1
    }

    fn send(&mut self, messages: &[Marked], stale: Stale) {
        for (mark, message) in messages {
            let place = self.network.binary_search_by_key(mark, |(mark, _)| *mark);
            if let (Err(place), false) = (place, self.is_void(message, stale)) {
                Arc::make_mut(&mut self.network).insert(place, (*mark, Arc::clone(message)));
            }
        }
        if self.network.iter().any(|(_, message)| self.is_void(message, stale)) {
            let kept = self.network.iter().filter(|(_, message)| !self.is_void(message, stale));
            self.network = Arc::new(kept.cloned().collect());
        }
    }

    /// An answer in a term that its addressee has durably left changes nothing, whenever it comes.
    fn is_void(&self, message: &Message, stale: Stale) -> bool {
        message.term < self.members[place_of(message)].durable.hard_state.term
            && (stale == Stale::Lost || is_answer(&message.body))
    }

    /// A step in words.
    pub(crate) fn tell(&self, (at, step): Action) -> String {
        let who = at + 1;
        match step {
            Step::Receive(mark) => {
                let Message { from, term, body, .. } = self.message(mark);
                format!("{who} receives of {}, term {term}: {body:?}", from.node)
            }
            Step::TimeOut => format!("{who} times out"),
            Step::Propose => format!("{who} is given a command"),
            Step::Heartbeat => format!("{who} sends heartbeats"),
            Step::Sync => format!("a write of {who} is durable"),
            Step::Crash(kept) => format!("{who} crashes; {kept} of its writes are on its disk"),
        }
    }
}

fn is_answer(body: &Body) -> bool {
    matches!(
        body,
        Body::Voted(_) | Body::Appended { .. } | Body::Rejected { .. } | Body::HeartbeatAck { .. }
    )
}

/// The place of the member a message is addressed to.
fn place_of(message: &Message) -> usize {
    usize::try_from(message.to.node.0 - 1).expect("a few members")
}
