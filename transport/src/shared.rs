//! What the tasks of a transport share: [`Shared`], who this member is, what it must keep to, whom
//! it knows, and how the members reach each other.

use crate::config::{Limits, Relaying, Timing};
use crate::connection::Connection;
use crate::epoch::Epoch;
use crate::frame::Head;
use crate::hello::{Hello, Refused};
use crate::keys::KeyRing;
use crate::line::{Line, Who, lock};
use crate::network::Network;
use crate::routing::{Onward, Relay, Table, Transit};
use crate::secure::handshake::{Established, Introduction, Party};
use crate::secure::random::Random;
use crate::status::{Counts, Lost, Refusal, Worth};
use crate::stranger::Stranger;
use holm_raft_core::{MemberId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// What all tasks of a transport share.
pub(crate) struct Shared {
    pub(crate) cluster: String,
    epoch: AtomicU64,
    pub(crate) me: MemberId,
    /// Names this start: a peer that meets another number knows that the old connections are dead.
    pub(crate) start: u64,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
    /// This member's side of a handshake, unless links are insecure. Each handshake holds on to the
    /// one that it began with.
    party: Option<Mutex<Arc<Party>>>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) started: Instant,
    /// Wakes the task that tends to how each member is reached.
    pub(crate) changed: Notify,
    lines: Mutex<BTreeMap<NodeId, Arc<Line>>>,
    routing: Mutex<Routing>,
    random: Mutex<Random>,
    refused: Mutex<Counts<Refusal>>,
    /// Where strangers' questions go, if anybody hears them.
    door: Mutex<Option<mpsc::Sender<Stranger>>>,
}

/// How the members reach each other.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) table: Table,
    pub(crate) relay: Relay,
}

impl Routing {
    /// Where a frame of others goes on, or why it does not.
    pub(crate) fn carry(&mut self, transit: Transit, now: Duration) -> Result<Onward, Lost> {
        self.relay.carry(&mut self.table, transit, now)
    }

    fn know(&mut self, known: &BTreeSet<NodeId>) {
        self.table.know(known.clone());
        self.relay.know(|node| known.contains(&node));
    }
}

/// What a transport begins with.
pub(crate) struct Beginning {
    pub(crate) cluster: String,
    pub(crate) epoch: Epoch,
    pub(crate) me: MemberId,
    pub(crate) start: u64,
    pub(crate) relaying: Relaying,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
    pub(crate) party: Option<Party>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) random: Random,
}

/// Redacted: it holds keys.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, me, start, .. } = self;
        write!(f, "Shared({cluster:?}, {me}, {start}, ..)")
    }
}

/// Members hold each other: one is the way to another, whose frames wait in its queue. Without
/// this they would do so for ever.
impl Drop for Shared {
    fn drop(&mut self) {
        for line in self.lines() {
            line.goes_via(None);
            drop(line.queue.close());
        }
    }
}

impl Shared {
    pub(crate) fn new(beginning: Beginning) -> Self {
        let Beginning { cluster, me, start, relaying, limits, timing, .. } = beginning;
        Self {
            cluster,
            epoch: AtomicU64::new(beginning.epoch.0),
            me,
            start,
            limits,
            timing,
            party: beginning.party.map(|party| Mutex::new(Arc::new(party))),
            network: beginning.network,
            started: Instant::now(),
            changed: Notify::new(),
            lines: Mutex::default(),
            routing: Mutex::new(Routing {
                table: Table::new(me, start, relaying),
                relay: Relay::new(relaying, limits),
            }),
            random: Mutex::new(beginning.random),
            refused: Mutex::default(),
            door: Mutex::default(),
        }
    }

    /// Whether links are sealed.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.party.is_some()
    }

    /// This member's side of a handshake that begins now, unless links are insecure.
    pub(crate) fn party(&self) -> Option<Arc<Party>> {
        self.party.as_ref().map(|party| Arc::clone(&lock(party)))
    }

    /// Handshakes that begin from now on are with these secrets. False: links are insecure.
    pub(crate) fn change_ring(&self, ring: KeyRing) -> bool {
        let Some(party) = &self.party else { return false };
        let mut party = lock(party);
        *party = Arc::new(Party { ring, ..Party::clone(&party) });
        true
    }

    /// Where strangers' questions go from now on.
    pub(crate) fn open_door(&self, door: mpsc::Sender<Stranger>) {
        *lock(&self.door) = Some(door);
    }

    /// Where strangers' questions go, if anybody hears them.
    pub(crate) fn door(&self) -> Option<mpsc::Sender<Stranger>> {
        lock(&self.door).clone()
    }

    /// Which recovery of the cluster this member belongs to.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Relaxed))
    }

    /// Handshakes that begin from now on are of this epoch.
    pub(crate) fn change_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Relaxed);
    }

    /// One more member.
    pub(crate) fn add(&self, line: Arc<Line>) {
        lock(&self.lines).insert(line.node, line);
    }

    /// Forgets all members but these; returns those it has forgotten.
    pub(crate) fn keep_only(&self, nodes: &BTreeSet<NodeId>) -> Vec<Arc<Line>> {
        self.routing().know(nodes);
        let mut lines = lock(&self.lines);
        let gone = lines.extract_if(.., |node, _| !nodes.contains(node));
        gone.map(|(_, line)| line).collect()
    }

    /// The time since the transport was started.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The other members, in the order of their ids.
    pub(crate) fn lines(&self) -> Vec<Arc<Line>> {
        lock(&self.lines).values().cloned().collect()
    }

    pub(crate) fn line(&self, node: NodeId) -> Option<Arc<Line>> {
        lock(&self.lines).get(&node).cloned()
    }

    /// What this member says of itself.
    pub(crate) fn introduction(&self) -> Introduction {
        let MemberId { node, incarnation } = self.me;
        Introduction { node, incarnation, start: self.start, epoch: self.epoch() }
    }

    pub(crate) fn with_random<T>(&self, work: impl FnOnce(&mut Random) -> T) -> T {
        work(&mut lock(&self.random))
    }

    pub(crate) fn routing(&self) -> MutexGuard<'_, Routing> {
        lock(&self.routing)
    }

    /// How many members may pass on a frame of this one.
    pub(crate) fn hops_max(&self) -> u8 {
        let peers = || u8::try_from(lock(&self.lines).len()).unwrap_or(u8::MAX);
        self.limits.hops_max.unwrap_or_else(peers)
    }

    /// Hands an accepted connection to the link of its peer.
    pub(crate) fn route(&self, connection: Connection) -> Result<(), Refused> {
        let node = connection.member.node;
        let line = self.line(node).ok_or_else(|| stranger(node))?;
        line.arrives(connection).map_err(|()| {
            let detail = format!("member {node} connects faster than its link takes it up");
            Refused::new(Refusal::Busy, detail)
        })
    }

    /// Counts a refused connection and, at times, logs it.
    pub(crate) fn refuse(&self, whom: &str, why: Refusal, detail: &str) {
        if let Worth::Line(total) = lock(&self.refused).count(why, 1) {
            let reason = why.name();
            tracing::warn!(whom, reason, total, "connection refused: {detail}");
        }
    }

    pub(crate) fn refused(&self) -> BTreeMap<Refusal, u64> {
        lock(&self.refused).by_reason()
    }

    /// Whether an insecure hello is from a member of this cluster, and for this one.
    pub(crate) fn judge_hello(&self, hello: &Hello, head: Head) -> Result<(), Refused> {
        self.judge_cluster(hello)?;
        if head.destination != self.me.node {
            let detail = format!(
                "member {} wanted member {} and found {}; check the addresses",
                head.source, head.destination, self.me.node
            );
            return Err(Refused::new(Refusal::Destination, detail));
        }
        let own = self.epoch();
        if !own.meets_short(hello.epoch) {
            return Err(left_behind(head.source, "another epoch", own));
        }
        self.line(head.source).map(|_| ()).ok_or_else(|| stranger(head.source))
    }

    /// Whether an insecure hello is from this cluster.
    pub(crate) fn judge_cluster(&self, hello: &Hello) -> Result<(), Refused> {
        if hello.cluster != self.cluster {
            let (theirs, ours) = (&hello.cluster, &self.cluster);
            let detail = format!("it belongs to cluster {theirs:?}, this member to {ours:?}");
            return Err(Refused::new(Refusal::Cluster, detail));
        }
        Ok(())
    }

    /// Whether whoever has finished a handshake is `node`: it must hold the key by which that
    /// member is known.
    pub(crate) fn judge(&self, node: NodeId, found: &Established) -> Result<Who, Refused> {
        let line = self.line(node).ok_or_else(|| stranger(node))?;
        let introduction = &found.introduction;
        if introduction.node != node || line.peer().key != Some(found.key) {
            let detail = format!(
                "it says it is member {}, and shows the key {}, by which member {node} is not \
                 known; check its `key` in the topology",
                introduction.node, found.key
            );
            return Err(Refused::new(Refusal::Key, detail));
        }
        let (own, other) = (self.epoch(), introduction.epoch);
        if !own.meets(other) {
            return Err(left_behind(node, &other.to_string(), own));
        }
        Ok((MemberId::new(node, introduction.incarnation), introduction.start))
    }
}

/// Whoever of two was left behind, neither may talk to the other.
fn left_behind(node: NodeId, its: &str, own: Epoch) -> Refused {
    let detail = format!(
        "member {node} is of {its}, this member of {own}: one of them was left behind when the \
         cluster was recovered, and can only come back wiped"
    );
    Refused::new(Refusal::Epoch, detail)
}

fn stranger(node: NodeId) -> Refused {
    Refused::new(Refusal::Stranger, format!("member {node} is not among this member's peers"))
}
