//! Links between members: they come up, are shared, replaced, found dead, and end.

use super::*;
use crate::connection::CLOSE_DUPLICATE;
use crate::{Lost, Reached};
use std::collections::BTreeSet;

/// Member 1, which dials, and member 2, which only waits; both up.
async fn linked() -> (End, End, String) {
    let (listener, address) = port().await;
    let mut waits = End::start(config(member(2), Some(listener), vec![awaited(1)]));
    let mut dials = End::start(config(member(1), None, vec![dialled(2, &address)]));
    dials.sees_up(waits.me).await;
    waits.sees_up(dials.me).await;
    (dials, waits, address)
}

#[tokio::test]
async fn one_connection_carries_messages_and_notes_both_ways_also_to_one_that_only_dials() {
    let (mut dials, mut waits, _) = linked().await;
    dials.talks_with(&mut waits).await;
    let note = Bytes::from_static(b"a note");
    waits.transport.tell(NodeId(1), note.clone()).expect("a link");
    assert_eq!(dials.next().await, Inbound::Note { from: waits.me, note });
    let (there, back) = (&dials.transport.peers()[0], &waits.transport.peers()[0]);
    assert_eq!((there.reached, back.reached), (Reached::Direct, Reached::Inbound));
    assert_eq!((there.member, back.member), (Some(waits.me), Some(dials.me)));
    assert_eq!((there.duplicates, back.duplicates), (0, 0));
    assert!(there.lost.is_empty() && back.lost.is_empty());
}

#[tokio::test]
async fn three_members_reach_each_other() {
    let ports = [port().await, port().await, port().await];
    let addresses: Vec<String> = ports.iter().map(|(_, address)| address.clone()).collect();
    let mut ends = Vec::new();
    for (node, (listener, _)) in (1..).zip(ports) {
        let peers = (1..).zip(&addresses).filter(|(peer, _)| *peer != node);
        let peers = peers.map(|(peer, address)| dialled(peer, address)).collect();
        ends.push(End::start(config(member(node), Some(listener), peers)));
    }
    for end in &mut ends {
        let both = [end.next().await, end.next().await];
        let others = (1..=3).map(member).filter(|other| *other != end.me);
        for peer in others {
            assert!(both.contains(&Inbound::Up { peer }), "{both:?}");
        }
    }
    let [one, two, three] = &mut ends[..] else { panic!("three") };
    one.talks_with(two).await;
    two.talks_with(three).await;
    three.talks_with(one).await;
}

#[tokio::test]
async fn members_that_dial_each_other_at_once_end_with_one_connection_and_lose_nothing() {
    for _ in 0..20 {
        let ((listener, one_at), (other_listener, two_at)) = (port().await, port().await);
        let mut one = End::start(config(member(1), Some(listener), vec![dialled(2, &two_at)]));
        let mut two =
            End::start(config(member(2), Some(other_listener), vec![dialled(1, &one_at)]));
        one.sees_up(two.me).await;
        two.sees_up(one.me).await;
        let mut settled = false;
        let mut sent = 0_u64;
        while !settled {
            assert!(sent < 100_000, "two connections stay, or the wrong one");
            // Sends while the two connections are being sorted out. Neither `Down` nor a gap.
            let notes = sent..sent + 10;
            sent = notes.end;
            for number in notes.clone() {
                let note = Bytes::copy_from_slice(&number.to_le_bytes());
                one.transport.tell(two.me.node, note.clone()).expect("up");
                two.transport.tell(one.me.node, note).expect("up");
            }
            for (end, other) in [(&mut one, member(2)), (&mut two, member(1))] {
                let mut due: BTreeSet<u64> = notes.clone().collect();
                while !due.is_empty() {
                    let Inbound::Note { from, note } = end.next().await else { panic!("a flap") };
                    assert_eq!(from, other);
                    let number = u64::from_le_bytes(note[..].try_into().expect("a number"));
                    assert!(due.remove(&number), "{number} twice, or late");
                }
            }
            let (there, back) = (&one.transport.peers()[0], &two.transport.peers()[0]);
            settled = (there.reached, back.reached) == (Reached::Direct, Reached::Inbound)
                && there.duplicates + back.duplicates > 0;
        }
    }
}

#[tokio::test]
async fn a_second_connection_of_the_same_dialler_replaces_the_first_without_a_flap() {
    let (listener, address) = port().await;
    let mut waits = End::start(config(member(2), Some(listener), vec![awaited(1)]));
    let (me, to) = (member(1), waits.me);
    let mut first = Raw::greeted(&address, me, 7, to).await;
    waits.sees_up(me).await;
    let mut second = Raw::greeted(&address, me, 7, to).await;
    let last = first.next_of_interest().await.expect("a close");
    assert_eq!((last.head.kind, &last.body[..]), (Kind::Close, &[CLOSE_DUPLICATE][..]));
    // What was still on its way on the first is received, and the second is in use.
    first.say(me.node, to.node, Kind::Note, b"late").await;
    let note = Bytes::from_static(b"late");
    assert_eq!(waits.next().await, Inbound::Note { from: me, note: note.clone() });
    waits.transport.tell(me.node, note).expect("up");
    assert_eq!(second.next_of_interest().await.expect("a note").head.kind, Kind::Note);
    assert_eq!(waits.transport.peers()[0].duplicates, 1);
}

#[tokio::test]
async fn a_member_started_anew_goes_down_and_up_though_its_old_connection_looks_alive() {
    let (listener, address) = port().await;
    let mut waits = End::start(config(member(2), Some(listener), vec![awaited(1)]));
    let (old, to) = (member(1), waits.me);
    let mut half_open = Raw::greeted(&address, old, 7, to).await;
    waits.sees_up(old).await;
    let new = MemberId::new(old.node, Incarnation(9));
    let _raw = Raw::greeted(&address, new, 8, to).await;
    waits.sees_down(old).await;
    waits.sees_up(new).await;
    assert_eq!(half_open.next_of_interest().await, None);
    let (stale, right) = (waits.message(old, 1), waits.message(new, 1));
    assert_eq!(waits.transport.send(stale.clone()), Err(Lost::OtherIncarnation));
    assert_eq!(waits.transport.send(right.clone()), Ok(()));
    assert_eq!(waits.transport.peers()[0].lost[&Lost::OtherIncarnation], 1);
}

#[tokio::test]
async fn a_member_that_stops_and_comes_back_as_another_incarnation_is_reached_again() {
    let (mut dials, waits, address) = linked().await;
    let old = waits.me;
    waits.transport.shutdown().await;
    dials.sees_down(old).await;
    let early = dials.message(old, 1);
    assert_eq!(dials.transport.send(early.clone()), Err(Lost::NoLink));
    let listener = TcpListener::bind(&address).await.expect("shutdown has freed the port");
    let new = MemberId::new(old.node, Incarnation(9));
    let mut back = End::start(config(new, Some(listener), vec![awaited(1)]));
    dials.sees_up(new).await;
    back.sees_up(dials.me).await;
    dials.talks_with(&mut back).await;
}

/// A member that gives a link up after 100 ms, and one that has linked to it and is silent.
async fn impatient() -> (End, Raw) {
    let (listener, address) = port().await;
    let mut config = config(member(2), Some(listener), vec![awaited(1)]);
    config.timing.keepalive_interval = Duration::from_millis(10);
    config.timing.keepalive_timeout = Duration::from_millis(100);
    let mut waits = End::start(config);
    let raw = Raw::greeted(&address, member(1), 7, waits.me).await;
    waits.sees_up(member(1)).await;
    (waits, raw)
}

#[tokio::test]
async fn a_link_on_which_nothing_arrives_is_given_up() {
    let (mut waits, mut silent) = impatient().await;
    waits.sees_down(member(1)).await;
    let status = &waits.transport.peers()[0];
    assert_eq!(status.last_error.as_deref(), Some("nothing arrived for 100ms"));
    assert_eq!((status.reached, status.member), (Reached::Not, None));
    while silent.next().await.is_some() {}
}

#[tokio::test]
async fn a_link_whose_frame_never_comes_to_its_end_is_given_up_though_bytes_arrive() {
    let (mut waits, mut raw) = impatient().await;
    // As if the length had been altered on the way: what follows counts as the frame's.
    raw.say_bytes(&1000_u32.to_le_bytes()).await;
    let trickle = tokio::task::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        while raw.stream.writer.write_all(&[0]).await.is_ok() {
            interval.tick().await;
        }
    });
    waits.sees_down(member(1)).await;
    trickle.abort();
    let error = waits.transport.peers()[0].last_error.clone().expect("why");
    assert!(error.starts_with("a frame of 1004 bytes took longer than 100ms"), "{error}");
}

#[tokio::test]
async fn a_ping_is_answered_with_its_number_and_a_pong_gives_the_round_trip() {
    let (listener, address) = port().await;
    let mut waits = End::start(config(member(2), Some(listener), vec![awaited(1)]));
    let (me, to) = (member(1).node, waits.me.node);
    let mut raw = Raw::greeted(&address, member(1), 7, waits.me).await;
    waits.sees_up(member(1)).await;
    raw.say(me, to, Kind::Ping, &42_u64.to_le_bytes()).await;
    let pong = raw.next_of_interest().await.expect("a pong");
    assert_eq!((pong.head.kind, &pong.body[..]), (Kind::Pong, &42_u64.to_le_bytes()[..]));
    assert_eq!(waits.transport.peers()[0].round_trip, None);
    raw.say(me, to, Kind::Pong, &0_u64.to_le_bytes()).await;
    raw.say(me, to, Kind::Note, b"after").await;
    assert!(matches!(waits.next().await, Inbound::Note { .. }));
    assert!(waits.transport.peers()[0].round_trip.is_some());
}

#[tokio::test]
async fn an_end_that_takes_the_connection_but_says_no_hello_is_dialled_again() {
    let (listener, address) = port().await;
    let mut config = config(member(1), None, vec![dialled(2, &address)]);
    config.timing.hello_timeout = Duration::from_millis(50);
    let end = End::start(config);
    let first = within(listener.accept()).await.expect("a dial");
    let second = within(listener.accept()).await.expect("another dial");
    let status = &end.transport.peers()[0];
    assert!(status.last_error.as_deref().unwrap_or_default().contains("did not answer"));
    assert!(status.dials_failed >= 1);
    drop((first, second));
}

#[tokio::test]
async fn a_full_queue_loses_what_is_sent_and_delivers_what_it_took() {
    let (listener, address) = port().await;
    let mut waits = End::start(config(member(2), Some(listener), vec![awaited(1)]));
    let mut config = config(member(1), None, vec![dialled(2, &address)]);
    config.limits.queue_frames_max = 3;
    let mut dials = End::start(config);
    dials.sees_up(waits.me).await;
    waits.sees_up(dials.me).await;
    // The test does not yield meanwhile, so nothing is written.
    let sent: Vec<_> =
        (0..5).map(|round| dials.transport.send(dials.message(waits.me, round))).collect();
    let full = Err(Lost::QueueFull);
    assert_eq!(sent, [Ok(()), Ok(()), Ok(()), full, full]);
    for round in 0..3 {
        assert_eq!(waits.next().await, Inbound::Message(dials.message(waits.me, round)));
    }
    assert_eq!(dials.transport.peers()[0].lost[&Lost::QueueFull], 2);
    dials.talks_with(&mut waits).await;
}

#[tokio::test]
async fn what_nobody_takes_from_the_transport_is_lost_and_counted() {
    let (listener, address) = port().await;
    let mut config = config(member(2), Some(listener), vec![awaited(1)]);
    config.limits.inbound_frames_max = 2;
    let mut waits = End::start(config);
    let (me, to) = (member(1), waits.me);
    let mut raw = Raw::greeted(&address, me, 7, to).await;
    waits.sees_up(me).await;
    for _ in 0..5 {
        raw.say(me.node, to.node, Kind::Note, b"note").await;
    }
    // The answer to the ping proves that the notes before it have been dealt with.
    raw.say(me.node, to.node, Kind::Ping, &[0; 8]).await;
    assert_eq!(raw.next_of_interest().await.expect("a pong").head.kind, Kind::Pong);
    assert_eq!(waits.transport.peers()[0].lost[&Lost::InboundFull], 3);
    for _ in 0..2 {
        assert!(matches!(waits.next().await, Inbound::Note { .. }));
    }
}

#[tokio::test]
async fn a_dropped_transport_leaves_nothing_running() {
    let (mut dials, waits, address) = linked().await;
    let End { me, transport, mut inbound } = waits;
    drop(transport);
    // The tasks hold the senders: the end of the channel is the end of the last task.
    assert_eq!(within(inbound.recv()).await, None);
    dials.sees_down(me).await;
    TcpListener::bind(&address).await.expect("the listener is closed");
}

#[tokio::test]
async fn a_large_piece_of_a_snapshot_is_carried_whole() {
    let (dials, mut waits, _) = linked().await;
    let data: Vec<u8> = (0..=u8::MAX).cycle().take(8 << 20).collect();
    let (length, data) = (9 << 20, Bytes::from(data));
    let meta = holm_raft_core::SnapshotMeta::default();
    let chunk = holm_raft_core::Chunk { meta, length, checksum: 7, offset: 1 << 20, data };
    let mut message = dials.message(waits.me, 0);
    message.body = Body::Snapshot(chunk.into());
    dials.transport.send(message.clone()).expect("a link");
    assert!(waits.next().await == Inbound::Message(message), "the snapshot changed");
}
