//! What no honest peer does: it is refused or dropped, counted, and harms nobody else.

use super::*;
use crate::{Error, Lost, Refusal, message};

/// Member 2, which listens, in touch with an honest member 1, and waiting for member 3.
async fn honest_pair() -> (End, End, String) {
    let (listener, address) = port().await;
    let peers = vec![awaited(1), awaited(3)];
    let mut config_2 = config(member(2), Some(listener), peers);
    config_2.limits.frame_bytes_max = 64 << 10;
    config_2.limits.note_bytes_max = 1 << 10;
    let mut two = End::start(config_2);
    let mut one = End::start(config(member(1), None, vec![dialled(2, &address)]));
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    (one, two, address)
}

#[tokio::test]
async fn a_wrong_first_frame_is_refused_by_its_reason_and_the_others_go_on() {
    let (mut one, mut two, address) = honest_pair().await;
    let (three, to) = (member(3), two.me.node);
    let right = hello(CLUSTER, three.incarnation, 7);
    let frame =
        |from: u64, to, kind, body: &[u8]| Raw::bytes(Head::new(kind, NodeId(from), to), body);
    let with_crc = |mut bytes: BytesMut, at: usize, value: u8| {
        bytes[at] = value;
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    };
    let other_cluster = hello("other", three.incarnation, 7);
    let cases = [
        (Refusal::Garbage, BytesMut::from(&b"GET / HTTP/1.1\r\nHost: holm\r\n\r\n"[..])),
        (Refusal::Garbage, BytesMut::from(&[0xff; 64][..])),
        (Refusal::Garbage, BytesMut::from(&[0; 64][..])),
        (Refusal::Garbage, frame(3, to, Kind::Note, b"no hello")),
        (Refusal::Garbage, frame(3, to, Kind::Hello, b"holmpeer")),
        (Refusal::Cluster, frame(3, to, Kind::Hello, &other_cluster)),
        (Refusal::Destination, frame(3, NodeId(5), Kind::Hello, &right)),
        (Refusal::Stranger, frame(4, to, Kind::Hello, &right)),
        (Refusal::Stranger, frame(2, to, Kind::Hello, &right)),
        (Refusal::Version, with_crc(frame(3, to, Kind::Hello, &right), 8, 9)),
        (Refusal::Version, with_crc(frame(3, to, Kind::Hello, &right), 36 + 8, 9)),
    ];
    for (why, bytes) in cases {
        let before = two.transport.refused().get(&why).copied().unwrap_or_default();
        let (mut raw, _) = Raw::opened(&address).await;
        raw.say_bytes(&bytes).await;
        assert_eq!(raw.next().await, None, "nothing is said to it");
        assert_eq!(two.transport.refused()[&why], before + 1, "{why:?}");
    }
    assert_eq!(two.transport.refused().values().sum::<u64>(), 11);
    one.talks_with(&mut two).await;
    assert!(two.inbound.is_empty(), "nothing else happened");
}

#[tokio::test]
async fn a_dialler_of_another_cluster_sees_itself_refused_and_nobody_is_up() {
    let (listener, address) = port().await;
    let two = End::start(config(member(2), Some(listener), vec![awaited(1)]));
    let mut other = config(member(1), None, vec![dialled(2, &address)]);
    other.cluster = "other".to_owned();
    let one = End::start(other);
    let failed = async {
        while one.transport.peers()[0].dials_failed == 0 {
            tokio::task::yield_now().await;
        }
    };
    within(failed).await;
    let error = one.transport.peers()[0].last_error.clone().expect("an error");
    assert!(error.contains("its own log says why"), "{error}");
    assert!(two.transport.refused()[&Refusal::Cluster] >= 1);
    assert!(one.inbound.is_empty() && two.inbound.is_empty());
}

#[tokio::test]
async fn a_frame_of_u32_max_after_the_hello_ends_that_connection_alone() {
    let (mut one, mut two, address) = honest_pair().await;
    let mut raw = Raw::greeted(&address, member(3), 7, two.me).await;
    two.sees_up(member(3)).await;
    raw.say_bytes(&u32::MAX.to_le_bytes()).await;
    two.sees_down(member(3)).await;
    let status = &two.transport.peers()[1];
    assert_eq!(status.lost[&Lost::Malformed], 1);
    assert!(status.last_error.as_deref().is_some_and(|error| error.contains("are allowed")));
    one.talks_with(&mut two).await;
}

#[tokio::test]
async fn a_member_cannot_speak_as_another_nor_to_another_nor_as_another_incarnation() {
    let (one, mut two, address) = honest_pair().await;
    let (three, to) = (member(3), two.me);
    let mut raw = Raw::greeted(&address, three, 7, to).await;
    two.sees_up(three).await;
    let body = |from: MemberId, to: MemberId| {
        let mut out = BytesMut::new();
        let body = Body::HeartbeatAck { round: 1 };
        message::put(&Message { from, to, term: Term(1), body }, &mut out);
        out
    };
    let earlier = MemberId::new(three.node, Incarnation(1));
    let earlier_to = MemberId::new(to.node, Incarnation(1));
    raw.say(one.me.node, to.node, Kind::Message, &body(one.me, to)).await;
    raw.say(one.me.node, to.node, Kind::Note, b"as another").await;
    raw.say(three.node, one.me.node, Kind::Note, b"to another").await;
    raw.say(three.node, one.me.node, Kind::Message, &body(three, one.me)).await;
    raw.say(three.node, to.node, Kind::Message, &body(earlier, to)).await;
    raw.say(three.node, to.node, Kind::Message, &body(three, earlier_to)).await;
    raw.say(three.node, to.node, Kind::Message, b"no message").await;
    raw.say(three.node, to.node, Kind::Ping, b"short").await;
    raw.say(three.node, to.node, Kind::Note, &[0; 1025]).await;
    raw.say(three.node, to.node, Kind::Message, &body(three, to)).await;
    let Inbound::Message(message) = two.next().await else { panic!("a message") };
    assert_eq!((message.from, message.to), (three, to), "only the last was right");
    let lost = &two.transport.peers()[1].lost;
    assert_eq!(lost[&Lost::Misaddressed], 6);
    assert_eq!(lost[&Lost::Malformed], 2);
    assert_eq!(lost[&Lost::TooLong], 1);
}

#[tokio::test]
async fn a_second_hello_ends_the_connection() {
    let (_one, mut two, address) = honest_pair().await;
    let three = member(3);
    let mut raw = Raw::greeted(&address, three, 7, two.me).await;
    two.sees_up(three).await;
    let again = hello(CLUSTER, three.incarnation, 8);
    raw.say(three.node, two.me.node, Kind::Hello, &again).await;
    two.sees_down(three).await;
}

#[tokio::test]
async fn idle_connections_beyond_their_bound_push_out_the_oldest_and_never_an_honest_peer() {
    let (listener, address) = port().await;
    let mut config_2 = config(member(2), Some(listener), vec![awaited(1)]);
    (config_2.limits.handshakes_max, config_2.limits.handshakes_per_address_max) = (2, 2);
    config_2.timing.hello_timeout = Duration::from_secs(3600);
    let mut two = End::start(config_2);
    let (mut first, _) = Raw::opened(&address).await;
    let _second = Raw::connect(&address).await;
    let _third = Raw::connect(&address).await;
    assert_eq!(first.next().await, None);
    assert_eq!(two.transport.refused()[&Refusal::Crowded], 1);
    let mut one = End::start(config(member(1), None, vec![dialled(2, &address)]));
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    one.talks_with(&mut two).await;
}

#[tokio::test]
async fn a_connection_that_says_no_hello_in_time_is_refused() {
    let (listener, address) = port().await;
    let mut config_2 = config(member(2), Some(listener), vec![awaited(1)]);
    config_2.timing.hello_timeout = Duration::from_millis(20);
    let two = End::start(config_2);
    let (mut slow, _) = Raw::opened(&address).await;
    slow.say_bytes(&[60, 0]).await;
    assert_eq!(slow.next().await, None);
    assert_eq!(two.transport.refused()[&Refusal::Silent], 1);
}

#[tokio::test]
async fn a_configuration_that_contradicts_itself_is_refused_with_its_mend() {
    let refused = |spoil: fn(&mut Config)| {
        let mut config = config(member(1), None, vec![awaited(2)]);
        spoil(&mut config);
        Transport::start(config).expect_err("spoilt")
    };
    assert_eq!(refused(|c| c.cluster.clear()), Error::Cluster { bytes: 0 });
    assert_eq!(refused(|c| c.cluster = "x".repeat(65)), Error::Cluster { bytes: 65 });
    assert_eq!(refused(|c| c.me = member(2)), Error::Myself { node: NodeId(2) });
    assert_eq!(refused(|c| c.peers.push(awaited(2))), Error::Twice { node: NodeId(2) });
    assert_eq!(refused(|c| c.peers[0].dial = Dial::Dial), Error::NoAddress { node: NodeId(2) });
    let error = refused(|c| c.limits.queue_bytes_max = 1).to_string();
    assert!(
        error.starts_with("queue_bytes_max is 1; give it at least message_bytes_max"),
        "{error}"
    );
    let error = refused(|c| c.timing.keepalive_timeout = c.timing.keepalive_interval).to_string();
    assert_eq!(error, "keepalive_timeout is 500ms; give it more than keepalive_interval");
}
