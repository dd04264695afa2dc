//! The member that `transport_session` attacks, without its tasks and sockets: [`member`] is what
//! it shares, and a [`Link`] the connection that its hostile neighbour has with it.

use crate::config::{Dial, Limits, Peer, Relaying, Timing};
use crate::epoch::Epoch;
use crate::feed::Feed;
use crate::frame::Head;
use crate::incoming::Incoming;
use crate::keys::{KeyPair, KeyRing, Secret};
use crate::line::Line;
use crate::network::Tcp;
use crate::outgoing::Outgoing;
use crate::pieces::Assembly;
use crate::secure::handshake::Party;
use crate::secure::random::Random;
use crate::secure::seal::{Key, Open, Seal};
use crate::shared::{Beginning, Shared};
use crate::transport::Inbound;
use bytes::BufMut;
use holm_raft_core::{Incarnation, MemberId, NodeId};
use std::sync::{Arc, LazyLock};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

pub(super) const ME: MemberId = MemberId::new(NodeId(1), Incarnation(100));
/// The other end of a link, which does as the input says.
pub(super) const HOSTILE: MemberId = MemberId::new(NodeId(2), Incarnation(200));
/// The other end of another link.
pub(super) const HONEST: MemberId = MemberId::new(NodeId(3), Incarnation(300));
/// Beyond the hostile one; honest.
pub(super) const FAR: MemberId = MemberId::new(NodeId(4), Incarnation(400));

pub(super) fn limits() -> Limits {
    Limits {
        frame_bytes_max: 1 << 10,
        message_bytes_max: 4 << 10,
        note_bytes_max: 2 << 10,
        queue_frames_max: 32,
        queue_bytes_max: 8 << 10,
        write_batch_bytes: 4 << 10,
        inbound_frames_max: 128,
        relay_queue_bytes_max: 4 << 10,
        ..Limits::default()
    }
}

/// What a member brings into a handshake.
pub(super) fn party(node: NodeId) -> Party {
    // Made once: a key costs more than many a step.
    static PARTIES: LazyLock<[Party; 4]> = LazyLock::new(|| {
        let ring = KeyRing::of(Secret::generate(&mut |bytes| bytes.fill(1)));
        [1, 2, 3, 4].map(|byte| {
            let pair = KeyPair::generate(&mut |bytes| bytes.fill(byte));
            Party { cluster: "islands".to_owned(), features: 0, ring: ring.clone(), pair }
        })
    });
    PARTIES[usize::try_from(node.0 - 1).expect("one of the four")].clone()
}

/// The member that is attacked, and what it hands up.
pub(super) fn member() -> (Arc<Shared>, mpsc::Receiver<Inbound>) {
    let shared = Shared::new(Beginning {
        cluster: "islands".to_owned(),
        me: ME,
        start: 1,
        epoch: Epoch::FIRST,
        relaying: Relaying::On,
        limits: limits(),
        timing: Timing::default(),
        party: Some(party(ME.node)),
        network: Tcp::shared(),
        random: Random::new(Zeroizing::new([1; 32])),
    });
    let (hands_up, inbound) = mpsc::channel(limits().inbound_frames_max);
    let others = [HOSTILE, HONEST, FAR].map(|member| member.node);
    shared.keep_only(&others.into());
    for node in others {
        let key = Some(party(node).pair.public());
        let peer = Peer { node, address: None, dial: Dial::Wait, key };
        let (line, _) = Line::new(peer, limits(), shared.started, hands_up.clone());
        shared.add(Arc::new(line));
    }
    (Arc::new(shared), inbound)
}

/// One connection with the hostile member.
pub(super) struct Link<'a> {
    says: Outgoing,
    /// The bytes of the last frame that it said.
    last: Vec<u8>,
    pub(super) incoming: Incoming,
    pub(super) assembly: Assembly,
    pub(super) feed: Feed<'a>,
    pub(super) out: Outgoing,
    pub(super) hears: Incoming,
}

impl<'a> Link<'a> {
    pub(super) fn new(shared: &'a Shared, line: &'a Line, number: u8) -> Self {
        let keys: [Key; 2] = [[number; 32], [!number; 32]];
        let bytes_max = limits().frame_bytes_max;
        let [mut says, mut out] = [(); 2].map(|()| Outgoing::default());
        let [mut incoming, mut hears] = [(); 2].map(|()| Incoming::new(bytes_max));
        says.seal(Seal::new(&keys[0]));
        incoming.open(Open::new(&keys[0]));
        out.seal(Seal::new(&keys[1]));
        hears.open(Open::new(&keys[1]));
        let assembly = Assembly::new(limits().message_bytes_max);
        let feed = Feed::new(shared, line);
        Self { says, last: Vec::new(), incoming, assembly, feed, out, hears }
    }

    /// The bytes of a frame that the hostile member seals.
    pub(super) fn sealed(&mut self, head: Head, body: &[u8]) -> Vec<u8> {
        self.says.put(head, |sink| sink.fields().put_slice(body));
        self.last.clear();
        self.last.put(self.says.unwritten());
        self.says.clear(usize::MAX);
        self.last.clone()
    }
}
