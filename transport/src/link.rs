//! The link to one peer: `keep`, the task that dials, takes what was accepted, decides which
//! connection stands, and announces when the peer comes and goes.
//!
//! The rule where two connections meet, known to both ends, so that both keep the same one: the
//! one dialled by the member with the lower id stays; of two dialled by the same member, the newer.
//! The other one is drained: its last frame says why it is closed, and what is still on its way is
//! received. A connection of an earlier start of the peer is dead, whatever its direction.

use crate::config::Dial;
use crate::connection::{By, Connection, End, Mode, run};
use crate::dial::{Backoff, DialError, dial};
use crate::line::{Line, Who};
use crate::shared::Shared;
use crate::status::Reached;
use crate::tend::settle;
use holm_raft_core::{MemberId, NodeId};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

type Pinned<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Keeps up the link to one peer, until the transport stops.
pub(crate) async fn keep(
    shared: Arc<Shared>,
    line: Arc<Line>,
    mut arrivals: mpsc::Receiver<Connection>,
) {
    let backoff = Backoff::new(shared.start ^ line.node.0.rotate_left(32));
    let mut link = Link {
        shared,
        line,
        current: None,
        draining: None,
        dialling: None,
        redial_at: None,
        replaced_by: None,
        up: None,
        backoff,
    };
    link.start_dialling();
    loop {
        let event = link.next(&mut arrivals).await;
        link.handle(event).await;
    }
}

/// What the task knows.
struct Link {
    shared: Arc<Shared>,
    line: Arc<Line>,
    /// The connection that stands.
    current: Option<Running>,
    /// A duplicate whose last frames are awaited.
    draining: Option<Running>,
    dialling: Option<Pinned<Result<Connection, DialError>>>,
    redial_at: Option<Instant>,
    /// The peer closed the current connection because another one stands at its end: until then
    /// that one is awaited, and the peer counts as reached.
    replaced_by: Option<Instant>,
    /// The member at the other end, and the number of its start.
    up: Option<Who>,
    backoff: Backoff,
}

/// A connection at work.
struct Running {
    by: By,
    start: u64,
    member: MemberId,
    work: Pinned<End>,
    supersede: oneshot::Sender<()>,
}

enum Event {
    Arrived(Connection),
    Ended(End),
    Drained,
    Dialled(Result<Connection, DialError>),
    Redial,
    NotReplaced,
    /// Something else is known of the peer.
    Anew,
}

impl Link {
    async fn next(&mut self, arrivals: &mut mpsc::Receiver<Connection>) -> Event {
        let arrival = async {
            match arrivals.recv().await {
                Some(connection) => connection,
                None => pending().await, // Without a listener nothing arrives.
            }
        };
        tokio::select! { biased;
            connection = arrival => Event::Arrived(connection),
            end = of(self.current.as_mut().map(|running| &mut running.work)) => Event::Ended(end),
            _ = of(self.draining.as_mut().map(|running| &mut running.work)) => Event::Drained,
            dialled = of(self.dialling.as_mut()) => Event::Dialled(dialled),
            () = at(self.redial_at) => Event::Redial,
            () = at(self.replaced_by) => Event::NotReplaced,
            () = self.line.begins_anew() => Event::Anew,
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Arrived(connection) => self.judge(connection).await,
            Event::Ended(End::Duplicate) => {
                self.current = None;
                self.line.duplicate();
                self.replaced_by = Some(Instant::now() + self.shared.timing.hello_timeout);
            }
            Event::Ended(end) => {
                self.current = None;
                self.down(&end.to_string()).await;
                self.redial_later();
            }
            Event::Drained => self.draining = None,
            Event::Dialled(Ok(connection)) => {
                self.dialling = None;
                self.judge(connection).await;
            }
            Event::Dialled(Err(error)) => {
                self.dialling = None;
                self.dial_failed(&error);
                if self.current.is_none() {
                    self.redial_later();
                }
            }
            Event::Redial => self.start_dialling(),
            Event::Anew => {
                (self.current, self.dialling, self.replaced_by) = (None, None, None);
                self.down("the member is known by another address or key now").await;
                self.backoff.reset();
                self.start_dialling();
            }
            Event::NotReplaced => {
                self.replaced_by = None;
                self.down("the peer closed it as a duplicate, and no other came").await;
                self.redial_later();
            }
        }
    }

    /// Decides what becomes of a connection whose hello was right.
    async fn judge(&mut self, new: Connection) {
        let preferred = preferred(self.shared.me.node, self.line.node);
        let standing = self.current.as_ref().map(|old| (old.member, old.start, old.by));
        match verdict(standing, (new.member, new.start, new.by), preferred) {
            Verdict::Stands => self.install(new).await,
            Verdict::Replaces => {
                if let Some(old) = self.current.take() {
                    // Unless it has just ended by itself, it closes with a word.
                    let _ = old.supersede.send(());
                    self.draining = Some(Running { supersede: oneshot::channel().0, ..old });
                    self.line.duplicate();
                }
                self.install(new).await;
            }
            Verdict::Buries => {
                self.current = None;
                self.install(new).await;
            }
            Verdict::Yields => {
                self.line.duplicate();
                self.draining = Some(self.running(new, |_| Mode::Draining));
            }
        }
    }

    async fn install(&mut self, new: Connection) {
        let who = (new.member, new.start);
        let reached = match new.by {
            By::Me => Reached::Direct,
            By::Peer => Reached::Inbound,
        };
        if self.up != Some(who) {
            self.down("the peer was started anew").await;
        }
        self.line.linked(who, reached);
        self.line.announce().await;
        if self.up != Some(who) {
            self.up = Some(who);
            self.shared.link_up(who);
        }
        self.current = Some(self.running(new, Mode::Live));
        self.redial_at = None;
        self.replaced_by = None;
        self.backoff.reset();
    }

    fn running(&self, new: Connection, mode: fn(oneshot::Receiver<()>) -> Mode) -> Running {
        let (by, start, member) = (new.by, new.start, new.member);
        let (supersede, superseded) = oneshot::channel();
        let (shared, line) = (Arc::clone(&self.shared), Arc::clone(&self.line));
        let work = Box::pin(run(new, shared, line, mode(superseded)));
        Running { by, start, member, work, supersede }
    }

    /// There is no link to the member any more, if there was one. It may be reached through others
    /// at once.
    async fn down(&mut self, why: &str) {
        let Some((member, _)) = self.up.take() else { return };
        tracing::debug!(peer = %member, "link down: {why}");
        self.shared.link_down(&self.line, why);
        settle(&self.shared, &self.line).await;
    }

    fn dial_failed(&self, error: &DialError) {
        if let DialError::Duplicate = error {
            return self.line.duplicate();
        }
        self.line.dial_failed(error.to_string());
        if let Some((why, detail)) = error.refusal() {
            self.shared.refuse(&self.line.peer().address.unwrap_or_default(), why, detail);
        }
        let failures = self.backoff.failures() + 1;
        if failures.is_power_of_two() {
            tracing::info!(peer = self.line.node.0, failures, "dial failed: {error}");
        }
    }

    fn redial_later(&mut self) {
        if self.line.peer().dial == Dial::Dial && self.dialling.is_none() {
            self.redial_at = Some(Instant::now() + self.backoff.next(&self.shared.timing));
        }
    }

    fn start_dialling(&mut self) {
        self.redial_at = None;
        if self.line.peer().dial == Dial::Dial {
            let dialled = dial(Arc::clone(&self.shared), Arc::clone(&self.line));
            self.dialling = Some(Box::pin(dialled));
        }
    }
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the only one.
    Stands,
    /// It stands, and the one that stood is drained.
    Replaces,
    /// It stands, and the one that stood belongs to a start of the peer that is over.
    Buries,
    /// It is drained, and the one that stands goes on.
    Yields,
}

/// Who dialled the connection that stays where two in opposite directions meet.
fn preferred(me: NodeId, peer: NodeId) -> By {
    if me < peer { By::Me } else { By::Peer }
}

fn verdict(
    standing: Option<(MemberId, u64, By)>,
    (member, start, by): (MemberId, u64, By),
    preferred: By,
) -> Verdict {
    match standing {
        None => Verdict::Stands,
        Some((old_member, old_start, _)) if (old_member, old_start) != (member, start) => {
            Verdict::Buries
        }
        Some((_, _, old_by)) if old_by == by || by == preferred => Verdict::Replaces,
        Some(_) => Verdict::Yields,
    }
}

/// The slot's future, or one that never ends when the slot is empty.
async fn of<F: Future + Unpin>(slot: Option<&mut F>) -> F::Output {
    match slot {
        Some(future) => future.await,
        None => pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_raft_core::Incarnation;

    #[test]
    fn both_ends_keep_the_connection_dialled_by_the_lower_and_the_newer_of_two_alike() {
        let (low, high) = (NodeId(1), NodeId(2));
        let judge = |me, peer, old, new| {
            let member = MemberId::new(peer, Incarnation(1));
            verdict(Some((member, 7, old)), (member, 7, new), preferred(me, peer))
        };
        // The lower's dial meets the higher's, in either order, at either end.
        assert_eq!(judge(low, high, By::Peer, By::Me), Verdict::Replaces);
        assert_eq!(judge(high, low, By::Me, By::Peer), Verdict::Replaces);
        assert_eq!(judge(low, high, By::Me, By::Peer), Verdict::Yields);
        assert_eq!(judge(high, low, By::Peer, By::Me), Verdict::Yields);
        for by in [By::Me, By::Peer] {
            assert_eq!(judge(low, high, by, by), Verdict::Replaces);
            assert_eq!(judge(high, low, by, by), Verdict::Replaces);
        }
    }

    #[test]
    fn a_connection_of_another_start_or_incarnation_buries_the_one_before() {
        let old = MemberId::new(NodeId(2), Incarnation(1));
        let new = MemberId::new(NodeId(2), Incarnation(2));
        for by in [By::Me, By::Peer] {
            let standing = Some((old, 7, By::Me));
            assert_eq!(verdict(None, (old, 7, by), By::Me), Verdict::Stands);
            assert_eq!(verdict(standing, (old, 8, by), By::Me), Verdict::Buries);
            assert_eq!(verdict(standing, (new, 7, by), By::Me), Verdict::Buries);
        }
    }
}
