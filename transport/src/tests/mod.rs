//! Tests of the whole crate over loopback, and what they share: an `End`, which is a transport with
//! what it hands up, and `Raw`, a peer that can say anything.

mod golden;
mod hostile;
mod links;
mod messages;

use crate::connection::write_out;
use crate::frame::{Decoder, Frame, Head, Kind, put};
use crate::hello::Hello;
use crate::{Config, Dial, Inbound, Limits, Peer, Security, Timing, Transport};
use bytes::{BufMut, Bytes, BytesMut};
use holm_raft_core::{Body, Incarnation, MemberId, Message, NodeId, Term};
use std::future::Future;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Receiver;

const CLUSTER: &str = "islands";

fn member(node: u64) -> MemberId {
    MemberId::new(NodeId(node), Incarnation(node * 100))
}

/// A free port of loopback: its listener and its address.
async fn port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, address)
}

fn dialled(node: u64, address: &str) -> Peer {
    Peer { node: NodeId(node), address: Some(address.to_owned()), dial: Dial::Dial }
}

fn awaited(node: u64) -> Peer {
    Peer { node: NodeId(node), address: None, dial: Dial::Wait }
}

fn config(me: MemberId, listener: Option<TcpListener>, peers: Vec<Peer>) -> Config {
    Config {
        cluster: CLUSTER.to_owned(),
        me,
        listener,
        peers,
        limits: Limits::default(),
        timing: Timing::default(),
        seed: me.incarnation.0,
        security: Security::Insecure,
    }
}

/// Fails a test that waits for what never comes, instead of hanging.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("what a test waits for")
}

/// A transport, and what it hands up.
struct End {
    me: MemberId,
    transport: Transport,
    inbound: Receiver<Inbound>,
}

impl End {
    fn start(config: Config) -> Self {
        let me = config.me;
        let (transport, inbound) = Transport::start(config).expect("a sound configuration");
        Self { me, transport, inbound }
    }

    async fn next(&mut self) -> Inbound {
        within(self.inbound.recv()).await.expect("running")
    }

    async fn sees_up(&mut self, peer: MemberId) {
        assert_eq!(self.next().await, Inbound::Up { peer });
    }

    async fn sees_down(&mut self, peer: MemberId) {
        assert_eq!(self.next().await, Inbound::Down { peer });
    }

    fn message(&self, to: MemberId, round: u64) -> Message {
        let body = Body::HeartbeatAck { round };
        Message { from: self.me, to, term: Term(1), body }
    }

    /// Two members that reach each other can talk, both ways.
    async fn talks_with(&mut self, other: &mut End) {
        for round in 1..=3 {
            let there = self.message(other.me, round);
            self.transport.send(&there).expect("a link");
            assert_eq!(other.next().await, Inbound::Message(there));
            let back = other.message(self.me, round);
            other.transport.send(&back).expect("a link");
            assert_eq!(self.next().await, Inbound::Message(back));
        }
    }
}

/// A peer that can say anything.
struct Raw {
    stream: TcpStream,
    decoder: Decoder,
}

impl Raw {
    async fn connect(address: &str) -> Self {
        Self::new(TcpStream::connect(address).await.expect("a listener"))
    }

    fn new(stream: TcpStream) -> Self {
        Self { stream, decoder: Decoder::new(1 << 20) }
    }

    /// Connects and says a right hello as `from` to `to`.
    async fn greeted(address: &str, from: MemberId, start: u64, to: MemberId) -> Self {
        let mut raw = Self::connect(address).await;
        raw.say(from.node, to.node, Kind::Hello, &hello(CLUSTER, from.incarnation, start)).await;
        let frame = raw.next().await.expect("a hello");
        assert_eq!(frame.head, Head::new(Kind::Hello, to.node, from.node));
        raw
    }

    async fn say(&mut self, from: NodeId, to: NodeId, kind: Kind, body: &[u8]) {
        let mut out = BytesMut::new();
        put(&mut out, Head::new(kind, from, to), |out| out.put_slice(body));
        self.say_bytes(&out).await;
    }

    async fn say_bytes(&mut self, bytes: &[u8]) {
        within(write_out(&mut self.stream, bytes)).await.expect("connected");
    }

    /// The next frame, or nothing once the other end has closed.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next().expect("whole frames") {
                return Some(frame);
            }
            // A reset is as good as an end.
            if within(self.stream.read_buf(self.decoder.buffer())).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next frame that is no ping.
    async fn next_beside_pings(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next().await;
            if frame.as_ref().is_none_or(|frame| frame.head.kind != Kind::Ping) {
                return frame;
            }
        }
    }
}

fn hello(cluster: &str, incarnation: Incarnation, start: u64) -> Bytes {
    let mut out = BytesMut::new();
    Hello { incarnation, start, cluster: cluster.to_owned() }.put(&mut out);
    out.freeze()
}
