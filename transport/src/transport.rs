//! [`Transport`]: starts the tasks, takes what is to be sent, shows how it stands with each peer,
//! and stops. What arrives comes out as [`Inbound`].

use crate::accept;
use crate::config::{Config, Error, Peer, Security, check_peers};
use crate::epoch::Epoch;
use crate::keys::{KeyRing, PublicKey};
use crate::line::{Line, lock};
use crate::link;
use crate::queue::Load;
use crate::secure::handshake::Party;
use crate::secure::random::Random;
use crate::shared::{Beginning, Shared};
use crate::status::{Lost, Neighbours, PeerStatus, Refusal};
use crate::stranger::{STRANGERS_MAX, Stranger};
use crate::tend;
use bytes::Bytes;
use holm_raft_core::{MemberId, Message, NodeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The links of one member to its peers. Dropping it stops all its tasks.
#[derive(Debug)]
pub struct Transport {
    shared: Arc<Shared>,
    /// The key by which the others know this member, where links are sealed.
    own_key: Option<PublicKey>,
    inbound: mpsc::Sender<Inbound>,
    /// One task keeps up each peer's link.
    links: Mutex<BTreeMap<NodeId, JoinHandle<()>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What a transport hands up.
///
/// Frames are handed up in the order in which a connection carried them; where a connection
/// replaces another one of the same member, or the way through others, there is neither a `Down`
/// nor an `Up`, and what was sent on the two may mix.
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
    /// A member is reached, over a link or through others: what is sent to it from now on is queued
    /// for it.
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
    /// Starts the tasks of a transport: one for each peer, one that accepts, if there is a
    /// listener, and one that finds the ways through others. Whatever arrives comes out of the
    /// receiver, of which at most `inbound_frames_max` items wait; what comes beyond is lost, and
    /// counted as [`Lost::InboundFull`].
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(config: Config) -> Result<(Self, mpsc::Receiver<Inbound>), Error> {
        config.check()?;
        let mut random = Random::new(config.seed.into());
        let own_key = config.security.own_key();
        let party = match config.security {
            Security::Insecure => {
                tracing::warn!(
                    cluster = config.cluster,
                    "links between members are insecure: neither encrypted nor authenticated"
                );
                None
            }
            Security::Sealed { pair, ring } => {
                Some(Party { cluster: config.cluster.clone(), features: 0, ring, pair })
            }
        };
        let mut start = [0; 8];
        random.fill(&mut start);
        let start = u64::from_le_bytes(start);
        let shared = Arc::new(Shared::new(Beginning {
            cluster: config.cluster,
            epoch: config.epoch,
            me: config.me,
            start,
            relaying: config.relaying,
            limits: config.limits,
            timing: config.timing,
            party,
            network: config.network,
            random,
        }));
        let (inbound, received) = mpsc::channel(config.limits.inbound_frames_max);
        let tending = tokio::task::spawn(tend::tend(Arc::clone(&shared)));
        let mut transport = Self {
            shared: Arc::clone(&shared),
            own_key,
            inbound,
            links: Mutex::default(),
            tasks: vec![tending],
        };
        transport.know(config.peers)?;
        if let Some(listener) = config.listener {
            transport.tasks.push(tokio::task::spawn(accept::accept(listener, shared)));
        }
        Ok((transport, received))
    }

    /// From now on, these are the other members. The link to one that is known by another address
    /// or key than before is begun anew; the links to those that are missing end.
    ///
    /// # Errors
    /// When they contradict each other, or one has no key and links are sealed: nothing has
    /// changed then.
    pub fn know(&self, peers: Vec<Peer>) -> Result<(), Error> {
        check_peers(self.shared.me.node, self.own_key, &peers)?;
        let mut links = lock(&self.links);
        let known = peers.iter().map(|peer| peer.node).collect();
        for gone in self.shared.keep_only(&known) {
            if let Some(link) = links.remove(&gone.node) {
                link.abort();
            }
            self.shared.link_down(&gone, "it is no member any more");
        }
        for peer in peers {
            let node = peer.node;
            let Some(line) = self.shared.line(node) else {
                let (line, link) = self.begin(peer);
                self.shared.add(line);
                links.insert(node, link);
                continue;
            };
            line.now_is(peer);
        }
        self.shared.changed.notify_one();
        Ok(())
    }

    /// From now on, whoever knows the secret and calls nobody in particular is heard: its question
    /// comes out here. Where this was never called, such a call is refused. As long as too many
    /// wait, or once the receiver is gone, strangers are turned away.
    #[must_use]
    pub fn hear_strangers(&self) -> mpsc::Receiver<Stranger> {
        let (door, strangers) = mpsc::channel(STRANGERS_MAX);
        self.shared.open_door(door);
        strangers
    }

    /// From now on, handshakes are with these secrets: those that this member begins with the
    /// first, those that others begin with any. Links and sessions that stand go on, whichever
    /// secret they began with.
    ///
    /// # Errors
    /// [`Error::Insecure`]: links are not sealed.
    pub fn change_ring(&self, ring: KeyRing) -> Result<(), Error> {
        if self.shared.change_ring(ring) { Ok(()) } else { Err(Error::Insecure) }
    }

    /// From now on, handshakes are of this epoch. Links and sessions that stand go on.
    pub fn change_epoch(&self, epoch: Epoch) {
        self.shared.change_epoch(epoch);
    }

    fn begin(&self, peer: Peer) -> (Arc<Line>, JoinHandle<()>) {
        let (shared, inbound) = (&self.shared, self.inbound.clone());
        let (line, arrivals) = Line::new(peer, shared.limits, shared.started, inbound);
        let line = Arc::new(line);
        let link = link::keep(Arc::clone(shared), Arc::clone(&line), arrivals);
        (line, tokio::task::spawn(link))
    }

    /// Queues a message for the member it is addressed to. Never waits.
    ///
    /// `Ok` means queued, not arrived: a message may still be lost on its way.
    ///
    /// # Errors
    /// When it can't be queued; it is then lost, and counted with the peer by its reason.
    pub fn send(&self, message: Message) -> Result<(), Lost> {
        debug_assert_eq!(message.from, self.shared.me, "members speak for themselves");
        self.line(message.to.node)?.send(Load::Message(message))
    }

    /// Queues a note of at most `note_bytes_max` bytes for whichever incarnation of `to` is
    /// reached, behind the entries that wait for it. Never waits.
    ///
    /// # Errors
    /// As for [`Transport::send`].
    pub fn tell(&self, to: NodeId, note: Bytes) -> Result<(), Lost> {
        self.line(to)?.send(Load::Note(note))
    }

    /// How it stands with each peer, in the order of their ids.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.lines().iter().map(|line| line.status()).collect()
    }

    /// Who has a live link to whom, as each member says, in the order of their ids.
    #[must_use]
    pub fn matrix(&self) -> Vec<Neighbours> {
        self.shared.matrix()
    }

    /// Connections refused since start, by reason, before they counted as a peer's.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<Refusal, u64> {
        self.shared.refused()
    }

    /// Stops all tasks and waits until they are gone: connections and the listener are closed when
    /// it returns. What still waited to be written is lost. When this future is dropped half-way
    /// the tasks stop all the same.
    pub async fn shutdown(mut self) {
        let links = std::mem::take(&mut *lock(&self.links));
        let tasks: Vec<_> = self.tasks.drain(..).chain(links.into_values()).collect();
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            // Aborted is how it should end; a panic was reported where it happened.
            let _ = task.await;
        }
    }

    fn line(&self, node: NodeId) -> Result<Arc<Line>, Lost> {
        self.shared.line(node).ok_or(Lost::Unknown)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        lock(&self.links).values().for_each(JoinHandle::abort);
    }
}
