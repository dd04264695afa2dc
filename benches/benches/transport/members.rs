//! Members in one process, over loopback: [`Talker`] is a transport with what it hands up.

use bytes::Bytes;
use holm_raft_core::{Incarnation, MemberId, NodeId};
use holm_transport::{
    Config, Dial, Inbound, KeyPair, Limits, Peer, Relaying, Secret, Security, Tcp, Timing,
    Transport,
};
use std::collections::BTreeSet;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;

/// Whether links are sealed.
#[derive(Clone, Copy)]
pub(crate) enum Links {
    Insecure,
    Sealed,
}

impl Links {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Insecure => "insecure",
            Self::Sealed => "sealed",
        }
    }

    fn security(self, me: u8) -> Security {
        match self {
            Self::Insecure => Security::Insecure,
            Self::Sealed => {
                let secret = Secret::generate(&mut |bytes| bytes.fill(77));
                let ring = secret.reveal().parse().expect("one secret");
                Security::Sealed { pair: pair(me), ring }
            }
        }
    }
}

/// One member.
pub(crate) struct Talker {
    pub(crate) transport: Transport,
    pub(crate) inbound: Receiver<Inbound>,
}

impl Talker {
    /// The next note.
    pub(crate) async fn hears(&mut self) -> Bytes {
        loop {
            if let Inbound::Note { note, .. } = self.inbound.recv().await.expect("it runs") {
                return note;
            }
        }
    }

    async fn sees_up(&mut self, mut missing: BTreeSet<MemberId>) {
        while !missing.is_empty() {
            if let Inbound::Up { peer } = self.inbound.recv().await.expect("it runs") {
                missing.remove(&peer);
            }
        }
    }
}

/// Members 1 to `N`, all of them up, of which `linked` says who dials whom, with relaying on or
/// off.
pub(crate) async fn members<const N: usize>(
    links: Links,
    relaying: Relaying,
    linked: fn(u8, u8) -> Dial,
) -> [Talker; N] {
    let numbers = (1..).take(N);
    let mut ports = Vec::new();
    for _ in 0..N {
        ports.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
    }
    let addresses: Vec<String> =
        ports.iter().map(|port| port.local_addr().expect("bound").to_string()).collect();
    let mut talkers = Vec::new();
    for (me, port) in numbers.clone().zip(ports) {
        let peer = |other: u8| Peer {
            node: NodeId(other.into()),
            address: Some(addresses[usize::from(other) - 1].clone()),
            dial: linked(me, other),
            key: Some(pair(other).public()),
        };
        let config = Config {
            cluster: "bench".into(),
            me: member(me),
            listener: Some(Box::new(port)),
            network: Tcp::shared(),
            peers: numbers.clone().filter(|other| *other != me).map(peer).collect(),
            limits: Limits::default(),
            timing: Timing::default(),
            epoch: holm_transport::Epoch::FIRST,
            relaying,
            seed: [me; 32],
            security: links.security(me),
        };
        let (transport, inbound) = Transport::start(config).expect("a sound configuration");
        talkers.push(Talker { transport, inbound });
    }
    for (me, talker) in numbers.clone().zip(&mut talkers) {
        talker.sees_up(numbers.clone().filter(|other| *other != me).map(member).collect()).await;
    }
    talkers.try_into().unwrap_or_else(|_| panic!("{N} members"))
}

/// Each dials those above it.
pub(crate) fn all(me: u8, other: u8) -> Dial {
    if me < other { Dial::Dial } else { Dial::Wait }
}

/// Each dials the one above it, and no other.
pub(crate) fn neighbours(me: u8, other: u8) -> Dial {
    if me + 1 == other { Dial::Dial } else { Dial::Wait }
}

fn member(node: u8) -> MemberId {
    MemberId::new(NodeId(node.into()), Incarnation(1))
}

fn pair(node: u8) -> KeyPair {
    KeyPair::generate(&mut |bytes| bytes.fill(node))
}
