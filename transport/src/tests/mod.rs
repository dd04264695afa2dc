//! Tests of the whole crate over loopback, and what they share: an `End`, which is a transport with
//! what it hands up, `Raw`, a peer that can say anything, and `Log`, the lines that were logged.

mod corpora;
mod epochs;
mod golden;
mod golden_handshake;
mod hostile;
mod hostile_members;
mod hostile_relay;
mod hostile_strangers;
mod islands;
mod links;
mod messages;
mod relays;
mod sealed;
mod strangers;

use crate::epoch::Epoch;
use crate::frame::{Frame, Head, Kind};
use crate::hello::{Hello, Links, Opening};
use crate::incoming::Incoming;
use crate::keys::{KeyPair, KeyRing, Secret};
use crate::network::{Stream, Tcp};
use crate::outgoing::Outgoing;
use crate::secure::handshake::{Initiator, Introduction, Party, Via};
use crate::secure::random::Random;
use crate::{Config, Dial, Inbound, Limits, Peer, Relaying, Security, Timing, Transport};
use bytes::{BufMut, Bytes, BytesMut};
use holm_raft_core::{Body, Incarnation, MemberId, Message, NodeId, Term};
use std::fmt::{Debug, Write};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Receiver;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

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

/// A member's key, the same at each call.
fn pair(node: u64) -> KeyPair {
    let byte = u8::try_from(node).expect("few members");
    KeyPair::generate(&mut |bytes| bytes.fill(byte))
}

fn secret(number: u8) -> Secret {
    Secret::generate(&mut |bytes| bytes.fill(number))
}

fn ring(secrets: &[u8]) -> KeyRing {
    let lines: Vec<_> = secrets.iter().map(|number| secret(*number).reveal()).collect();
    let text: String = lines.iter().map(|line| format!("{}\n", line.as_str())).collect();
    text.parse().expect("1 to 8 secrets")
}

fn sealed(node: u64, secrets: &[u8]) -> Security {
    Security::Sealed { pair: pair(node), ring: ring(secrets) }
}

fn dialled(node: u64, address: &str) -> Peer {
    Peer { address: Some(address.to_owned()), dial: Dial::Dial, ..awaited(node) }
}

fn awaited(node: u64) -> Peer {
    let key = Some(pair(node).public());
    Peer { node: NodeId(node), address: None, dial: Dial::Wait, key }
}

fn config(me: MemberId, listener: Option<TcpListener>, peers: Vec<Peer>) -> Config {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&me.incarnation.0.to_le_bytes());
    Config {
        cluster: CLUSTER.to_owned(),
        me,
        listener: listener.map(|listener| Box::new(listener) as _),
        network: Tcp::shared(),
        peers,
        limits: Limits::default(),
        timing: Timing::default(),
        epoch: Epoch::FIRST,
        relaying: Relaying::On,
        seed,
        security: Security::Insecure,
    }
}

fn sealed_config(me: MemberId, listener: Option<TcpListener>, peers: Vec<Peer>) -> Config {
    Config { security: sealed(me.node.0, &[1]), ..config(me, listener, peers) }
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

    /// Waits until the other members are up, whatever the order.
    async fn sees_all_up(&mut self, peers: &[MemberId]) {
        let mut missing = peers.to_vec();
        while !missing.is_empty() {
            let Inbound::Up { peer } = self.next().await else { panic!("a flap") };
            let at = missing.iter().position(|other| *other == peer).expect("each once");
            missing.remove(at);
        }
    }

    fn message(&self, to: MemberId, round: u64) -> Message {
        let body = Body::HeartbeatAck { round };
        Message { from: self.me, to, term: Term(1), body }
    }

    /// Two members that reach each other can talk, both ways.
    async fn talks_with(&mut self, other: &mut End) {
        for round in 1..=3 {
            let there = self.message(other.me, round);
            self.transport.send(there.clone()).expect("a link");
            assert_eq!(other.next().await, Inbound::Message(there));
            let back = other.message(self.me, round);
            other.transport.send(back.clone()).expect("a link");
            assert_eq!(self.next().await, Inbound::Message(back));
        }
    }

    fn peer(&self, node: u64) -> crate::PeerStatus {
        let mut peers = self.transport.peers().into_iter();
        peers.find(|peer| peer.node == NodeId(node)).expect("a peer")
    }
}

/// What a member that is only played brings into a handshake.
fn party(me: MemberId) -> Party {
    let (ring, pair) = (KeyRing::of(secret(1)), pair(me.node.0));
    Party { cluster: CLUSTER.to_owned(), features: 0, ring, pair }
}

/// What was logged, but for traces, by the thread that began this.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// From now on, until the guard is dropped.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        (log.clone(), tracing::subscriber::set_default(log))
    }

    /// How many lines have this text.
    fn lines_with(&self, text: &str) -> usize {
        self.0.lock().expect("whole").iter().filter(|line| line.contains(text)).count()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("whole").push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A logged line: its fields, one after the other.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").expect("a string takes all");
    }
}

/// A peer that can say anything.
struct Raw {
    stream: Stream,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Raw {
    async fn connect(address: &str) -> Self {
        Self::new(TcpStream::connect(address).await.expect("a listener"))
    }

    fn new(stream: TcpStream) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let from = "a test".to_owned();
        Self::over(Stream { reader: Box::new(reader), writer: Box::new(writer), from })
    }

    fn over(stream: Stream) -> Self {
        Self { stream, incoming: Incoming::new(1 << 20), outgoing: Outgoing::default() }
    }

    /// Connects and hears whoever accepts it out.
    async fn opened(address: &str) -> (Self, Opening) {
        let mut raw = Self::connect(address).await;
        let frame = raw.next().await.expect("an opening");
        assert_eq!(frame.head.kind, Kind::Hello);
        let opening = Opening::take(&frame.body).expect("Holm's");
        (raw, opening)
    }

    /// Connects and says a right hello as `from` to `to`.
    async fn greeted(address: &str, from: MemberId, start: u64, to: MemberId) -> Self {
        let (mut raw, opening) = Self::opened(address).await;
        assert_eq!(opening.links, Links::Insecure);
        raw.say(from.node, to.node, Kind::Hello, &hello(CLUSTER, from.incarnation, start)).await;
        let frame = raw.next().await.expect("a welcome");
        assert_eq!(frame.head, Head::new(Kind::Welcome, to.node, from.node));
        raw
    }

    /// Connects and ends a right handshake as `from` with `to`.
    async fn sealed(address: &str, from: MemberId, start: u64, to: MemberId) -> Self {
        let (mut raw, opening) = Self::opened(address).await;
        assert_eq!(opening.links, Links::Sealed);
        let party = party(from);
        let own = Introduction {
            node: from.node,
            incarnation: from.incarnation,
            start,
            epoch: Epoch::FIRST,
        };
        let mut seed = [9; 32];
        seed[..8].copy_from_slice(&start.to_le_bytes());
        let (via, mut random) = (Via::Direct(opening.challenge), Random::new(seed.into()));
        let (initiator, first) = Initiator::begin(&party, via, own, to.node, &mut random);
        raw.say(from.node, to.node, Kind::Hello, &first).await;
        let second = raw.next().await.expect("a second message");
        let (third, established) = initiator.finish(&second.body).expect("genuine");
        raw.say(from.node, to.node, Kind::Hello, &third).await;
        raw.incoming.open(established.open);
        raw.outgoing.seal(established.seal);
        let frame = raw.next().await.expect("a welcome");
        assert_eq!(frame.head, Head::new(Kind::Welcome, to.node, from.node));
        raw
    }

    async fn say(&mut self, from: NodeId, to: NodeId, kind: Kind, body: &[u8]) {
        self.say_frame(Head::new(kind, from, to), body).await;
    }

    async fn say_frame(&mut self, head: Head, body: &[u8]) {
        let bytes = self.shielded(head, body);
        self.say_bytes(&bytes).await;
    }

    /// The bytes of the next frame on this connection.
    fn shielded(&mut self, head: Head, body: &[u8]) -> Vec<u8> {
        self.outgoing.put(head, |sink| sink.fields().put_slice(body));
        let mut bytes = Vec::new();
        bytes.put(self.outgoing.unwritten());
        self.outgoing.clear(0);
        bytes
    }

    async fn say_bytes(&mut self, bytes: &[u8]) {
        within(self.stream.writer.write_all(bytes)).await.expect("connected");
    }

    /// The next frame, or nothing once the other end has closed.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.incoming.next().expect("whole frames") {
                return Some(frame);
            }
            // A reset is as good as an end.
            let read = self.stream.reader.read_buf(self.incoming.buffer());
            if within(read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next frame that is neither a ping nor of the routing.
    async fn next_of_interest(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next().await;
            let dull = |frame: &Frame| matches!(frame.head.kind, Kind::Ping | Kind::Route);
            if !frame.as_ref().is_some_and(dull) {
                return frame;
            }
        }
    }

    /// The bytes of frames.
    fn bytes(head: Head, body: &[u8]) -> BytesMut {
        let mut out = Outgoing::default();
        out.put(head, |sink| sink.fields().put_slice(body));
        let mut bytes = BytesMut::new();
        bytes.put(out.unwritten());
        bytes
    }
}

fn hello(cluster: &str, incarnation: Incarnation, start: u64) -> Bytes {
    let mut out = BytesMut::new();
    Hello { incarnation, start, cluster: cluster.to_owned(), epoch: 0 }.put(&mut out);
    out.freeze()
}
