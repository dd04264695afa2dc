//! `Transport`: starts the tasks, takes what is to be sent, shows how it stands with each peer,
//! and stops. What arrives comes out as `Inbound`.

use crate::accept;
use crate::config::{Config, Dial, Error, Security};
use crate::link;
use crate::peer::{PeerLine, Shared};
use crate::status::{Counts, Lost, PeerStatus, Refusal};
use bytes::Bytes;
use holm_raft_core::{MemberId, Message, NodeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Connections accepted from one peer that its link has not dealt with yet.
const ARRIVALS_MAX: usize = 4;

/// The links of one member to its peers. Dropping it stops all its tasks.
#[derive(Debug)]
pub struct Transport {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What a transport hands up.
///
/// Frames are handed up in the order in which a connection carried them; where a connection
/// replaces another one of the same member there is neither a `Down` nor an `Up`, and what was
/// sent on the two may mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A message for this member and incarnation, from the member at the other end.
    Message(Message),
    /// A note of the node above, from the member at the other end.
    Note {
        /// Who sent it.
        from: MemberId,
        /// Its bytes; at most `note_bytes_max`.
        note: Bytes,
    },
    /// A member is reached: what is sent to it from now on is queued for it.
    Up {
        /// The member.
        peer: MemberId,
    },
    /// It is not reached any more. A member that comes back in another incarnation, or was started
    /// anew, goes down before it is up again.
    Down {
        /// The member.
        peer: MemberId,
    },
}

impl Transport {
    /// Starts the tasks of a transport: one for each peer, and one that accepts, if there is a
    /// listener. Whatever arrives comes out of the receiver, of which at most `inbound_frames_max`
    /// items wait; what comes beyond is lost, and counted as [`Lost::InboundFull`].
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(config: Config) -> Result<(Self, mpsc::Receiver<Inbound>), Error> {
        config.check()?;
        match config.security {
            Security::Insecure => tracing::warn!(
                cluster = config.cluster,
                "links between members are insecure: neither encrypted nor authenticated"
            ),
        }
        let (inbound, received) = mpsc::channel(config.limits.inbound_frames_max);
        let lines = config.peers.into_iter().map(|peer| {
            let node = peer.node;
            (node, Arc::new(PeerLine::new(peer, config.limits, inbound.clone())))
        });
        let shared = Arc::new(Shared {
            cluster: config.cluster,
            me: config.me,
            start: config.seed,
            limits: config.limits,
            timing: config.timing,
            peers: lines.collect(),
            refused: Mutex::new(Counts::default()),
        });
        let mut tasks = Vec::new();
        let mut routes = BTreeMap::new();
        for (node, line) in &shared.peers {
            let (route, arrivals) = mpsc::channel(ARRIVALS_MAX);
            routes.insert(*node, route);
            let dials = line.peer.dial == Dial::Dial;
            if dials || config.listener.is_some() {
                let link = link::keep(Arc::clone(&shared), Arc::clone(line), arrivals);
                tasks.push(tokio::task::spawn(link));
            }
        }
        if let Some(listener) = config.listener {
            let accept = accept::accept(listener, Arc::clone(&shared), routes);
            tasks.push(tokio::task::spawn(accept));
        }
        Ok((Self { shared, tasks }, received))
    }

    /// Queues a message for the member it is addressed to. Never waits.
    ///
    /// `Ok` means queued, not arrived: a message may still be lost on its way.
    ///
    /// # Errors
    /// When it can't be queued; it is then lost, and counted with the peer by its reason.
    pub fn send(&self, message: &Message) -> Result<(), Lost> {
        debug_assert_eq!(message.from, self.shared.me, "members speak for themselves");
        self.line(message.to.node)?.send(message)
    }

    /// Queues a note of at most `note_bytes_max` bytes for whichever incarnation of `to` is
    /// reached, behind the entries and snapshots that wait for it. Never waits.
    ///
    /// # Errors
    /// As for [`Transport::send`].
    pub fn tell(&self, to: NodeId, note: Bytes) -> Result<(), Lost> {
        self.line(to)?.tell(note)
    }

    /// How it stands with each peer, in the order of their ids.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.peers.values().map(|line| line.status()).collect()
    }

    /// Connections refused since start, by reason, before they counted as a peer's.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<Refusal, u64> {
        self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).by_reason()
    }

    /// Stops all tasks and waits until they are gone: connections and the listener are closed when
    /// it returns. What still waited to be written is lost. When this future is dropped half-way
    /// the tasks stop all the same.
    pub async fn shutdown(mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            // Aborted is how it should end; a panic was reported where it happened.
            let _ = task.await;
        }
    }

    fn line(&self, node: NodeId) -> Result<&PeerLine, Lost> {
        self.shared.peers.get(&node).map(Arc::as_ref).ok_or(Lost::Unknown)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
