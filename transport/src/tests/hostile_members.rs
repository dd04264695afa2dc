//! Whoever has come in by a right handshake and then says what no member says: garbage, old bytes,
//! as somebody else, too much. It ends that connection or costs that frame, and harms nobody else.

use super::*;
use crate::Lost;
use crate::routing::record;
use std::collections::BTreeSet;

/// Member 2, which listens, in touch with an honest member 1, and waiting for member 3; sealed.
async fn honest_pair() -> (End, End, String) {
    let (listener, address) = port().await;
    let mut two = sealed_config(member(2), Some(listener), vec![awaited(1), awaited(3)]);
    two.limits.frame_bytes_max = 64 << 10;
    let mut two = End::start(two);
    let mut one = End::start(sealed_config(member(1), None, vec![dialled(2, &address)]));
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    (one, two, address)
}

fn note(from: MemberId) -> Head {
    Head::new(Kind::Note, from.node, NodeId(2))
}

/// What is said on a connection after a right handshake.
type Say = fn(&mut Raw) -> Vec<u8>;

#[tokio::test]
async fn whatever_is_not_the_next_sealed_frame_ends_that_connection_alone_and_is_counted() {
    let (log, _guard) = Log::begin();
    let (mut one, mut two, address) = honest_pair().await;
    let three = member(3);
    let cases: [(&str, Lost, Say); 8] = [
        ("u32::MAX as a length", Lost::Malformed, |_| u32::MAX.to_le_bytes().to_vec()),
        ("a length of nothing", Lost::Malformed, |_| vec![0; 4]),
        ("a length just too long", Lost::Malformed, |_| (64_u32 << 10).to_le_bytes().to_vec()),
        ("garbage", Lost::Tampered, |_| [&60_u32.to_le_bytes()[..], &[0xa5; 60]].concat()),
        ("a checked frame", Lost::Tampered, |_| Raw::bytes(note(member(3)), &[7; 64]).to_vec()),
        ("a frame twice", Lost::Tampered, |raw| {
            let frame = raw.shielded(note(member(3)), b"once");
            [&frame[..], &frame].concat()
        }),
        ("a frame left out", Lost::Tampered, |raw| {
            raw.shielded(note(member(3)), b"left out");
            raw.shielded(note(member(3)), b"after it")
        }),
        ("a changed bit", Lost::Tampered, |raw| {
            let mut frame = raw.shielded(note(member(3)), b"changed");
            frame[40] ^= 1;
            frame
        }),
    ];
    let (mut malformed, mut tampered) = (0, 0);
    for (start, (name, reason, say)) in (1..).zip(cases) {
        let mut raw = Raw::sealed(&address, three, start, two.me).await;
        two.sees_up(three).await;
        let bytes = say(&mut raw);
        raw.say_bytes(&bytes).await;
        if name == "a frame twice" {
            let note = Bytes::from_static(b"once");
            assert_eq!(two.next().await, Inbound::Note { from: three, note });
        }
        two.sees_down(three).await;
        malformed += u64::from(reason == Lost::Malformed);
        tampered += u64::from(reason == Lost::Tampered);
        let lost = two.peer(3).lost;
        let found = [Lost::Malformed, Lost::Tampered].map(|why| lost.get(&why).copied());
        assert_eq!(found.map(Option::unwrap_or_default), [malformed, tampered], "{name}");
        assert!(two.peer(3).last_error.is_some_and(|why| why.contains("the peer sent")), "{name}");
        one.talks_with(&mut two).await;
    }
    // At 1 and 2, and at 1, 2 and 4.
    assert_eq!(log.lines_with("reason=\"malformed\""), 2);
    assert_eq!(log.lines_with("reason=\"tampered\""), 3);
    assert!(one.inbound.is_empty() && two.inbound.is_empty(), "nobody else went or came");
}

#[tokio::test]
async fn what_a_member_says_out_of_turn_costs_that_frame_and_is_logged_when_it_has_doubled() {
    let (log, _guard) = Log::begin();
    let (_one, mut two, address) = honest_pair().await;
    let three = member(3);
    let mut raw = Raw::sealed(&address, three, 1, two.me).await;
    two.sees_up(three).await;
    for _ in 0..20 {
        raw.say(NodeId(1), NodeId(2), Kind::Note, b"as another").await;
        raw.say(three.node, NodeId(2), Kind::Ping, b"no number").await;
        raw.say(three.node, NodeId(2), Kind::Message, b"nothing that is a message").await;
        raw.say(three.node, NodeId(2), Kind::Route, b"no record").await;
    }
    raw.say(three.node, NodeId(2), Kind::Note, b"the last").await;
    let note = Bytes::from_static(b"the last");
    assert_eq!(two.next().await, Inbound::Note { from: three, note });
    let lost = two.peer(3).lost;
    assert_eq!((lost[&Lost::Misaddressed], lost[&Lost::Malformed]), (20, 60));
    for (reason, lines) in [("misaddressed", 5), ("malformed", 6)] {
        assert_eq!(log.lines_with(&format!("reason={reason:?}")), lines, "{reason}");
    }
    for each in ["no message", "a record"] {
        assert_eq!(log.lines_with(each), 0, "a line for each of them");
    }
}

#[tokio::test]
async fn a_member_cannot_speak_as_another_through_itself() {
    let (mut one, mut two, address) = honest_pair().await;
    let three = member(3);
    let mut raw = Raw::sealed(&address, three, 1, two.me).await;
    two.sees_up(three).await;
    // As if it passed on what member 1 says: there is no session in which it could.
    let body = [&[7; 16][..], &[Kind::Note.code(), 0], b"as another", &[0; 16]].concat();
    for source in [1, 2, 3, 9] {
        raw.say(NodeId(source), NodeId(2), Kind::Relayed, &body).await;
        raw.say(NodeId(source), NodeId(2), Kind::Greeting, &body).await;
    }
    // And to others, as if from those that it is not, or whom nobody knows.
    for (source, destination) in [(9, 1), (3, 9), (2, 1)] {
        raw.say(NodeId(source), NodeId(destination), Kind::Relayed, &body).await;
    }
    raw.say(three.node, NodeId(2), Kind::Note, b"the last").await;
    let note = Bytes::from_static(b"the last");
    assert_eq!(two.next().await, Inbound::Note { from: three, note }, "nothing else came");
    assert_eq!(two.peer(1).lost, [(Lost::NoSession, 1)].into());
    // For itself there is no session either; 2 and 9 are nobody that could have sent this, each
    // with a relayed frame and a greeting; two of the last three are for nobody or from nobody,
    // and those of member 2 are not to be passed on by itself. That of hops is used up.
    let lost = two.peer(3).lost;
    assert_eq!((lost[&Lost::NoSession], lost[&Lost::Misaddressed]), (1, 4));
    assert_eq!(lost[&Lost::HopsUsedUp], 3);
    one.talks_with(&mut two).await;
}

#[tokio::test]
async fn bytes_of_an_earlier_session_do_not_open_in_a_later_one() {
    // The dialler's bytes up to the end of its handshake: two checked frames.
    const HANDSHAKE: usize = 36 + 100 + 36 + 112;
    let (listener, address) = port().await;
    let mut two = End::start(sealed_config(member(2), Some(listener), vec![awaited(1)]));
    let (middle, middle_at) = port().await;
    // Keeps what the first connection says, and says it again within the second.
    let (enough, mut ends) = tokio::sync::oneshot::channel();
    tokio::task::spawn(async move {
        let mut kept = Vec::new();
        for connection in 0.. {
            let (dialler, _) = middle.accept().await.expect("a dial");
            let beyond = TcpStream::connect(&address).await.expect("the listener");
            let (mut from, mut back) = tokio::io::split(dialler);
            let (mut answers, mut to) = tokio::io::split(beyond);
            tokio::task::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
            let (mut said, mut buffer) = (0, [0; HANDSHAKE]);
            while said < HANDSHAKE {
                let read = from.read(&mut buffer[said..]).await.expect("a handshake");
                to.write_all(&buffer[said..said + read]).await.expect("open");
                said += read;
            }
            if connection == 1 {
                to.write_all(&kept).await.expect("open");
            }
            let mut buffer = [0; 4096];
            loop {
                let read = tokio::select! {
                    read = from.read(&mut buffer) => read.unwrap_or(0),
                    _ = &mut ends, if connection == 0 => 0,
                };
                kept.extend_from_slice(&buffer[..read]);
                if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        }
    });
    let mut one = End::start(sealed_config(member(1), None, vec![dialled(2, &middle_at)]));
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    let note = Bytes::from(vec![5; 512]);
    for _ in 0..8 {
        one.transport.tell(two.me.node, note.clone()).expect("up");
        assert_eq!(two.next().await, Inbound::Note { from: one.me, note: note.clone() });
    }
    enough.send(()).expect("it is at work");
    // The first connection ends, the second one has the old bytes in it, the third has not.
    for lost in [0, 1] {
        two.sees_down(one.me).await;
        assert_eq!(two.peer(1).lost.get(&Lost::Tampered).copied().unwrap_or_default(), lost);
        two.sees_up(one.me).await;
    }
    assert!(two.inbound.is_empty(), "nothing was said twice");
}

#[tokio::test]
async fn a_flood_of_records_leaves_one_a_member_and_the_others_undisturbed() {
    let (mut one, mut two, address) = honest_pair().await;
    let three = member(3);
    let mut raw = Raw::sealed(&address, three, 1, two.me).await;
    two.sees_up(three).await;
    let sent_before = one.peer(2).received.frames;
    let mut bytes = Vec::new();
    for number in 0..5000 {
        let record = |node: u64, other: u64| {
            let mut out = BytesMut::new();
            let neighbours: BTreeSet<_> = [NodeId(2), NodeId(20 + other)].into();
            let (node, incarnation) = (NodeId(node), Incarnation(node * 100));
            let (start, relaying, age) = (1, Relaying::On, record::Age(0));
            record::Record { node, incarnation, start, number, relaying, neighbours, age }
                .put(&mut out);
            out
        };
        let route = Head::new(Kind::Route, three.node, NodeId(2));
        // Of itself, of member 1, whose links are not its affair, and of nobody who is a member.
        for node in [3, 1, 1000 + number] {
            bytes.extend(raw.shielded(route, &record(node, number % 3)));
        }
    }
    bytes.extend(raw.shielded(note(three), b"the last"));
    let saying = async {
        raw.say_bytes(&bytes).await;
        // Whatever comes back is read, so that nobody waits for this end.
        while let Some(frame) = raw.next().await {
            assert_ne!(frame.head.kind, Kind::Close);
        }
    };
    tokio::select! {
        () = saying => panic!("the connection ended"),
        next = two.next() => {
            let note = Bytes::from_static(b"the last");
            assert_eq!(next, Inbound::Note { from: three, note });
        }
    }
    assert_eq!(two.peer(3).lost[&Lost::Misaddressed], 5000);
    let rows: Vec<_> = two.transport.matrix().into_iter().map(|row| row.node).collect();
    assert_eq!(rows, [1, 2, 3].map(NodeId), "one record a member");
    one.talks_with(&mut two).await;
    // Member 1 was told of member 3 at intervals, not ten thousand times.
    let told = one.peer(2).received.frames - sent_before;
    assert!(told < 2000, "{told} frames");
    assert!(one.inbound.is_empty() && two.inbound.is_empty());
}

#[tokio::test]
async fn a_frame_is_passed_on_as_often_as_its_hops_allow_and_no_more() {
    // 1 dials 2, 2 dials 3, 3 dials 4: from 1 to 4 two members pass a frame on.
    for (hops_max, arrives) in [(2, true), (1, false)] {
        let ports = [port().await, port().await, port().await, port().await];
        let addresses: Vec<String> = ports.iter().map(|(_, address)| address.clone()).collect();
        let mut ends = Vec::new();
        for (node, (listener, _)) in (1..=4_u64).zip(ports) {
            let peer = |other: u64| match usize::try_from(node) {
                Ok(at) if other == node + 1 => dialled(other, &addresses[at]),
                _ => awaited(other),
            };
            let peers = (1..=4).filter(|other| *other != node).map(peer).collect();
            let mut config = config(member(node), Some(listener), peers);
            config.limits.hops_max = Some(hops_max);
            ends.push(End::start(config));
        }
        for end in &mut ends {
            let others: Vec<_> = (1..=4).map(member).filter(|other| *other != end.me).collect();
            end.sees_all_up(&others).await;
        }
        let [one, two, three, four] = &mut ends[..] else { panic!("four") };
        one.talks_with(three).await;
        let message = one.message(four.me, 1);
        one.transport.send(message.clone()).expect("a way");
        if arrives {
            assert_eq!(four.next().await, Inbound::Message(message));
            continue;
        }
        let lost = async {
            while !three.peer(2).lost.contains_key(&Lost::HopsUsedUp) {
                tokio::task::yield_now().await;
            }
        };
        within(lost).await;
        assert!(!two.peer(1).lost.contains_key(&Lost::HopsUsedUp), "the first relay passed it on");
        assert!(four.inbound.is_empty());
    }
}
