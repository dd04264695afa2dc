//! Strangers at the door: thousands of connections that say nothing, or very slowly. They hold no
//! more than is allowed, and the members that know each other notice nothing.

use super::*;
use crate::Refusal;
use crate::network::{Accept, Answer, Listener, Network};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::Notify;
use tokio::time::Instant;

/// All that are ever there.
const STRANGERS: usize = 10_000;

/// A member's door, without a network: what has been dialled, and strangers.
#[derive(Debug, Default)]
struct Door {
    dialled: Mutex<VecDeque<Stream>>,
    /// Strangers that stand there, and how many have been let in so far.
    outside: AtomicUsize,
    inside: AtomicUsize,
    /// Connections of strangers that have not been dropped.
    live: Arc<AtomicUsize>,
    rings: Notify,
}

impl Door {
    /// Somebody at this address connects: his end.
    fn dial(&self, from: &str) -> DuplexStream {
        let (here, there) = duplex(64 << 10);
        self.dialled.lock().expect("whole").push_back(stream(there, from));
        self.rings.notify_one();
        here
    }

    fn arrives(&self) -> Option<Stream> {
        if let Some(stream) = self.dialled.lock().expect("whole").pop_front() {
            return Some(stream);
        }
        let one = self
            .outside
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |outside| outside.checked_sub(1));
        one.ok()?;
        let number = self.inside.fetch_add(1, Ordering::SeqCst);
        // Every second one has an address of its own, the others share one.
        let from =
            if number.is_multiple_of(2) { format!("10.{number}") } else { "192.0.2.1".to_owned() };
        let live = Arc::clone(&self.live);
        live.fetch_add(1, Ordering::SeqCst);
        let silent = Silent { live };
        Some(Stream { reader: Box::new(silent), writer: Box::new(tokio::io::sink()), from })
    }

    /// So many strangers connect, and all of them have been taken from the door.
    async fn crowd(&self, strangers: usize) {
        let inside = self.inside.load(Ordering::SeqCst) + strangers;
        self.outside.fetch_add(strangers, Ordering::SeqCst);
        self.rings.notify_one();
        let all = async {
            while self.inside.load(Ordering::SeqCst) < inside {
                tokio::task::yield_now().await;
            }
        };
        within(all).await;
    }
}

fn stream(both: DuplexStream, from: &str) -> Stream {
    let (reader, writer) = tokio::io::split(both);
    Stream { reader: Box::new(reader), writer: Box::new(writer), from: from.to_owned() }
}

/// Says nothing.
#[derive(Debug)]
struct Silent {
    live: Arc<AtomicUsize>,
}

impl AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Pending
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The door from inside, and from outside.
#[derive(Clone, Debug, Default)]
struct Doors(Arc<Door>);

impl Accept for Doors {
    fn accept(&mut self) -> Answer<'_, Stream> {
        Box::pin(async move {
            loop {
                if let Some(stream) = self.0.arrives() {
                    return Ok(stream);
                }
                self.0.rings.notified().await;
            }
        })
    }
}

impl Network for Doors {
    fn dial(&self, address: &str) -> Answer<'_, Stream> {
        let here = stream(self.0.dial("198.51.100.1"), address);
        Box::pin(async move { Ok(here) })
    }

    fn listen(&self, _: &str) -> Answer<'_, Listener> {
        let listener: Listener = Box::new(self.clone());
        Box::pin(async move { Ok(listener) })
    }
}

/// Members 1 and 2, sealed and in touch; 2 has this door.
async fn behind_a_door() -> (End, End, Doors) {
    let doors = Doors::default();
    let two = sealed_config(member(2), None, vec![awaited(1)]);
    let two = Config { listener: Some(Box::new(doors.clone())), ..two };
    let mut two = End::start(two);
    let one = sealed_config(member(1), None, vec![dialled(2, "the door")]);
    let mut one = End::start(Config { network: Arc::new(doors.clone()), ..one });
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    (one, two, doors)
}

/// What strangers may make a member hold, in bytes: the read buffers of those that are heard, and
/// something for each of them, for each address that is told apart, and for the member's own links.
fn bytes_max(limits: &Limits) -> u64 {
    let connections = limits.handshakes_max * ((64 << 10) + (4 << 10));
    let addresses = 1024 * 256;
    u64::try_from(connections + addresses + (512 << 10)).expect("a few megabytes")
}

/// The lines that so many refusals for one reason may cost.
fn lines_max(refused: u64) -> usize {
    usize::try_from(refused.checked_ilog2().map_or(0, |doublings| doublings + 1)).expect("few")
}

#[test]
fn ten_thousand_half_open_connections_hold_no_more_than_their_bound_and_nobody_notices() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    let (log, _guard) = Log::begin();
    let (mut one, mut two, doors) = runtime.block_on(behind_a_door());
    let limits = Limits::default();
    let before = doors.0.live.load(Ordering::SeqCst);
    assert_eq!(before, 0);
    let held = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..10 {
                doors.0.crowd(STRANGERS / 10).await;
                assert!(doors.0.live.load(Ordering::SeqCst) <= limits.handshakes_max);
                one.talks_with(&mut two).await;
            }
        });
    });
    assert!(held.bytes_max <= bytes_max(&limits), "{} bytes at a time", held.bytes_max);
    assert!(doors.0.live.load(Ordering::SeqCst) > 0, "some are being heard");
    runtime.block_on(async {
        tokio::time::advance(Timing::default().hello_timeout).await;
        let gone = async {
            while doors.0.live.load(Ordering::SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        };
        within(gone).await;
        one.talks_with(&mut two).await;
    });
    let refused = two.transport.refused();
    assert_eq!(refused.keys().collect::<Vec<_>>(), [&Refusal::Silent, &Refusal::Crowded]);
    assert_eq!(refused.values().sum::<u64>(), 10_000, "{refused:?}");
    for (why, total) in refused {
        let lines = log.lines_with(&format!("reason={:?}", why.name()));
        assert!((1..=lines_max(total)).contains(&lines), "{lines} lines for {total}");
    }
    assert!(one.inbound.is_empty() && two.inbound.is_empty(), "nobody went or came");
}

#[tokio::test]
async fn ten_thousand_connections_over_tcp_that_say_nothing_leave_the_link_as_it_is() {
    // Few at a time, so that a machine that allows a thousand open files can run this.
    const WAVE: usize = 250;
    let (listener, address) = port().await;
    let mut two = End::start(sealed_config(member(2), Some(listener), vec![awaited(1)]));
    let mut one = End::start(sealed_config(member(1), None, vec![dialled(2, &address)]));
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    let refused = |two: &End| {
        let refused = two.transport.refused();
        assert!(refused.keys().all(|why| matches!(why, Refusal::Crowded | Refusal::Silent)));
        usize::try_from(refused.values().sum::<u64>()).expect("few")
    };
    let of_one_address = Limits::default().handshakes_per_address_max;
    for wave in 1..=STRANGERS / WAVE {
        let mut strangers = Vec::new();
        for _ in 0..WAVE {
            strangers.push(TcpStream::connect(&address).await.expect("a listener"));
        }
        let heard = async {
            while refused(&two) < wave * WAVE - of_one_address {
                tokio::task::yield_now().await;
            }
        };
        within(heard).await;
        one.talks_with(&mut two).await;
    }
    let over = async {
        while refused(&two) < STRANGERS {
            tokio::task::yield_now().await;
        }
    };
    within(over).await;
    one.talks_with(&mut two).await;
    assert!(one.inbound.is_empty() && two.inbound.is_empty(), "nobody went or came");
}

/// Writes these bytes one at a time, each long after the one before.
async fn drip(mut to: impl AsyncWrite + Unpin, bytes: Vec<u8>) {
    let mut interval = tokio::time::interval(Duration::from_millis(50));
    for byte in bytes {
        interval.tick().await;
        if to.write_all(&[byte]).await.is_err() {
            return;
        }
    }
}

/// How far a slow one has come when it becomes slow.
#[derive(Clone, Copy, Debug)]
enum Slow {
    FromTheStart,
    /// It knows the secret.
    AtTheThird,
}

/// Connects, becomes slow, and says how long it was heard.
async fn slow(doors: &Doors, how: Slow, number: u64) -> Duration {
    let three = member(3);
    let began = Instant::now();
    let both = stream(doors.0.dial(&format!("203.0.113.{number}")), "the door");
    let mut raw = Raw::over(both);
    let opening = raw.next().await.expect("an opening");
    let opening = Opening::take(&opening.body).expect("Holm's");
    let (via, mut random) = (Via::Direct(opening.challenge), Random::new([5; 32].into()));
    let own = Introduction {
        node: three.node,
        incarnation: three.incarnation,
        start: number,
        epoch: Epoch::FIRST,
    };
    let (initiator, first) = Initiator::begin(&party(three), via, own, NodeId(2), &mut random);
    let bytes = match how {
        Slow::FromTheStart => raw.shielded(Head::new(Kind::Hello, three.node, NodeId(2)), &first),
        Slow::AtTheThird => {
            raw.say(three.node, NodeId(2), Kind::Hello, &first).await;
            let second = raw.next().await.expect("a second message");
            let (third, _) = initiator.finish(&second.body).expect("genuine");
            raw.shielded(Head::new(Kind::Hello, three.node, NodeId(2)), &third)
        }
    };
    let Raw { stream: Stream { mut reader, writer, .. }, .. } = raw;
    let dripping = tokio::task::spawn(drip(writer, bytes));
    let end = within(reader.read(&mut [0; 64])).await.unwrap_or(0);
    assert_eq!(end, 0, "nothing is said to it");
    dripping.abort();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn however_slowly_a_stranger_speaks_he_is_heard_for_the_hello_timeout_and_no_longer() {
    let (mut one, mut two, doors) = behind_a_door().await;
    for (number, how) in (1..).zip([Slow::FromTheStart, Slow::AtTheThird]) {
        let heard = slow(&doors, how, number).await;
        let timeout = Timing::default().hello_timeout;
        let tick = Duration::from_millis(2);
        assert!(heard >= timeout && heard <= timeout + tick, "{how:?}: heard for {heard:?}");
        assert_eq!(two.transport.refused(), [(Refusal::Silent, number)].into());
        one.talks_with(&mut two).await;
    }
    assert!(one.inbound.is_empty() && two.inbound.is_empty(), "nobody went or came");
}

#[tokio::test(start_paused = true)]
async fn a_member_comes_in_while_as_many_as_may_speak_slowly() {
    let (mut one, mut two, doors) = behind_a_door().await;
    let most = u64::try_from(Limits::default().handshakes_max).expect("few");
    let slow: Vec<_> = (0..most)
        .map(|number| {
            let doors = doors.clone();
            tokio::task::spawn(async move { slow(&doors, Slow::FromTheStart, number).await })
        })
        .collect();
    one.talks_with(&mut two).await;
    one.transport.shutdown().await;
    two.sees_down(member(1)).await;
    let one = sealed_config(member(1), None, vec![dialled(2, "the door")]);
    let mut one = End::start(Config { network: Arc::new(doors), seed: [3; 32], ..one });
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    assert_eq!(two.transport.refused(), [(Refusal::Crowded, 1)].into(), "while they speak");
    one.talks_with(&mut two).await;
    for slow in slow {
        slow.await.expect("heard out");
    }
}

/// A network on which whoever is dialled answers in drips; it tells of each dial.
#[derive(Debug)]
struct Dripping(tokio::sync::mpsc::UnboundedSender<()>);

impl Network for Dripping {
    fn dial(&self, address: &str) -> Answer<'_, Stream> {
        self.0.send(()).expect("the test waits");
        let (here, there) = duplex(1024);
        let mut opening = BytesMut::new();
        let challenge = crate::secure::handshake::Challenge([1; 16]);
        Opening { links: Links::Sealed, challenge }.put(&mut opening);
        let bytes = Raw::bytes(Head::new(Kind::Hello, NodeId(2), NodeId(0)), &opening);
        tokio::task::spawn(drip(there, bytes.to_vec()));
        let here = stream(here, address);
        Box::pin(async move { Ok(here) })
    }

    fn listen(&self, _: &str) -> Answer<'_, Listener> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_speaks_slowly_is_given_up_and_dialled_again() {
    let (tells, mut dials) = tokio::sync::mpsc::unbounded_channel();
    let one = sealed_config(member(1), None, vec![dialled(2, "slow")]);
    let one = End::start(Config { network: Arc::new(Dripping(tells)), ..one });
    let began = Instant::now();
    for _ in 0..4 {
        within(dials.recv()).await.expect("it goes on");
    }
    let peer = one.peer(2);
    assert_eq!(peer.dials_failed, 3);
    assert_eq!(peer.last_error.as_deref(), Some("slow did not answer within 1s"));
    assert!(began.elapsed() >= 3 * Timing::default().hello_timeout);
    assert!(one.inbound.is_empty());
}

#[tokio::test]
async fn each_refusal_is_counted_by_its_reason_and_logged_when_its_count_has_doubled() {
    let (log, _guard) = Log::begin();
    let (listener, address) = port().await;
    let mut two = sealed_config(member(2), Some(listener), vec![awaited(1)]);
    two.limits.handshakes_per_second = std::num::NonZeroU32::MAX;
    let two = End::start(two);
    let first = |by: MemberId, cluster: &str, number: u8, opening: Opening| {
        let mut party = party(by);
        (party.cluster, party.ring) = (cluster.to_owned(), KeyRing::of(secret(number)));
        let own = Introduction {
            node: by.node,
            incarnation: by.incarnation,
            start: 1,
            epoch: Epoch::FIRST,
        };
        let (via, mut random) = (Via::Direct(opening.challenge), Random::new([5; 32].into()));
        Initiator::begin(&party, via, own, NodeId(2), &mut random).1
    };
    type Say<'a> = &'a dyn Fn(Opening) -> Bytes;
    let says: [(Refusal, Say<'_>); 4] = [
        (Refusal::Garbage, &|_| Bytes::from_static(b"garbage")),
        (Refusal::Cluster, &|opening| first(member(1), "other", 1, opening)),
        (Refusal::Secret, &|opening| first(member(1), CLUSTER, 2, opening)),
        (Refusal::Version, &|opening| {
            let mut other = first(member(1), CLUSTER, 1, opening).to_vec();
            other[8] = 9;
            other.into()
        }),
    ];
    for (why, say) in says {
        for times in 1..=20 {
            let (mut raw, opening) = Raw::opened(&address).await;
            raw.say(NodeId(1), NodeId(2), Kind::Hello, &say(opening)).await;
            assert_eq!(raw.next().await, None, "nothing is said to it");
            assert_eq!(two.transport.refused()[&why], times, "{why:?}");
        }
        // At 1, 2, 4, 8 and 16.
        assert_eq!(log.lines_with(&format!("reason={:?}", why.name())), 5, "{why:?}");
    }
    assert_eq!(two.transport.refused().values().sum::<u64>(), 80);
    assert!(two.inbound.is_empty(), "nothing else happened");
}
