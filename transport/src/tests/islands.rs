//! Members that have no link of their own reach each other through others, sealed or not.

use super::*;
use crate::{Lost, Reached};

type Configure = fn(MemberId, Option<TcpListener>, Vec<Peer>) -> Config;

const BOTH: [Configure; 2] = [config, sealed_config];

/// Member 2 listens, members 1 and 3 dial it and nobody else.
async fn hub_and_spokes(configure: Configure, spoil: fn(&mut Config)) -> [End; 3] {
    let (listener, address) = port().await;
    let mut hub = configure(member(2), Some(listener), vec![awaited(1), awaited(3)]);
    spoil(&mut hub);
    let hub = End::start(hub);
    let spoke = |me, other| {
        let peers = vec![dialled(2, &address), awaited(other)];
        End::start(configure(member(me), None, peers))
    };
    [spoke(1, 3), hub, spoke(3, 1)]
}

#[tokio::test]
async fn spokes_that_only_dial_talk_through_the_hub() {
    for configure in BOTH {
        let [mut one, mut hub, mut three] = hub_and_spokes(configure, |_| ()).await;
        one.sees_all_up(&[hub.me, three.me]).await;
        three.sees_all_up(&[hub.me, one.me]).await;
        hub.sees_all_up(&[one.me, three.me]).await;
        one.talks_with(&mut three).await;
        one.talks_with(&mut hub).await;
        assert_eq!(one.peer(3).reached, Reached::Via(NodeId(2)));
        assert_eq!(three.peer(1).reached, Reached::Via(NodeId(2)));
        assert_eq!(hub.peer(1).reached, Reached::Inbound);
        // The three messages each way, and what keeps the way alive.
        for seen in [one.peer(3), three.peer(1)] {
            assert!(seen.sent.frames >= 3 && seen.received.frames >= 3, "{seen:?}");
            assert!(seen.sent.bytes > 3 * 32 && seen.received.bytes > 3 * 32, "{seen:?}");
        }
        let note = Bytes::from_static(b"a note");
        one.transport.tell(NodeId(3), note.clone()).expect("a way");
        assert_eq!(three.next().await, Inbound::Note { from: one.me, note });
        let links = |node: u64| {
            let matrix = three.transport.matrix();
            matrix.into_iter().find(|row| row.node == NodeId(node)).expect("known").links
        };
        assert_eq!(links(2), [NodeId(1), NodeId(3)].into());
        assert_eq!((links(1), links(3)), ([NodeId(2)].into(), [NodeId(2)].into()));
    }
}

#[tokio::test]
async fn a_message_in_many_pieces_is_carried_whole_through_two_relays() {
    for configure in BOTH {
        // 1 dials 2, 2 dials 3, 3 dials 4.
        let ports = [port().await, port().await, port().await, port().await];
        let addresses: Vec<String> = ports.iter().map(|(_, address)| address.clone()).collect();
        let mut ends = Vec::new();
        for (node, (listener, _)) in (1..=4_u64).zip(ports) {
            let peer = |other: u64| match usize::try_from(node) {
                Ok(at) if other == node + 1 => dialled(other, &addresses[at]),
                _ => awaited(other),
            };
            let peers = (1..=4).filter(|other| *other != node).map(peer).collect();
            ends.push(End::start(configure(member(node), Some(listener), peers)));
        }
        for end in &mut ends {
            let others: Vec<_> = (1..=4).map(member).filter(|other| *other != end.me).collect();
            end.sees_all_up(&others).await;
        }
        let [one, .., four] = &mut ends[..] else { panic!("four") };
        assert_eq!(one.peer(4).reached, Reached::Via(NodeId(2)));
        let data: Bytes = (0..=u8::MAX).cycle().take(3 << 20).collect();
        let (boot, number) = (holm_raft_core::Boot(1), holm_raft_core::RequestNumber(1));
        let mut message = one.message(four.me, 0);
        message.body = Body::Propose { boot, number, data };
        one.transport.send(message.clone()).expect("a way");
        assert!(four.next().await == Inbound::Message(message), "the message changed");
        four.talks_with(one).await;
    }
}

/// Carries one connection to `address`, until it is aborted.
fn gate(listener: TcpListener, address: String) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn(async move {
        let (mut dialler, _) = listener.accept().await.expect("a dial");
        drop(listener);
        let mut beyond = TcpStream::connect(address).await.expect("a listener");
        let _ = tokio::io::copy_bidirectional(&mut dialler, &mut beyond).await;
    })
}

#[tokio::test]
async fn a_link_of_their_own_takes_over_and_the_way_through_others_once_it_is_gone_without_a_flap()
{
    for configure in BOTH {
        let ((hub_port, hub_at), (port_3, at_3)) = (port().await, port().await);
        let mut hub =
            End::start(configure(member(2), Some(hub_port), vec![awaited(1), awaited(3)]));
        let peers = vec![dialled(2, &hub_at), awaited(3)];
        let mut one = End::start(configure(member(1), None, peers));
        let peers = vec![dialled(2, &hub_at), awaited(1)];
        let mut three = End::start(configure(member(3), Some(port_3), peers));
        one.sees_all_up(&[hub.me, three.me]).await;
        three.sees_all_up(&[hub.me, one.me]).await;
        hub.sees_all_up(&[one.me, three.me]).await;
        let (gate_port, gate_at) = port().await;
        let gate = gate(gate_port, at_3);
        let peers = vec![dialled(2, &hub_at), dialled(3, &gate_at)];
        one.transport.know(peers).expect("a sound list");
        let reach = async |one: &End, three: &End, how: [Reached; 2]| {
            while [one.peer(3).reached, three.peer(1).reached] != how {
                tokio::task::yield_now().await;
            }
        };
        within(reach(&one, &three, [Reached::Direct, Reached::Inbound])).await;
        one.talks_with(&mut three).await;
        gate.abort();
        within(reach(&one, &three, [Reached::Via(NodeId(2)); 2])).await;
        one.talks_with(&mut three).await;
    }
}

#[tokio::test]
async fn a_member_that_passes_nothing_on_is_no_way() {
    let off = |config: &mut Config| config.relaying = Relaying::Off;
    let [mut one, mut hub, mut three] = hub_and_spokes(config, off).await;
    one.sees_up(hub.me).await;
    three.sees_up(hub.me).await;
    hub.sees_all_up(&[one.me, three.me]).await;
    // What follows the records on the same connection shows that they have been taken.
    for spoke in [&mut one, &mut three] {
        while spoke.transport.matrix().iter().all(|row| row.links.len() < 2) {
            hub.talks_with(spoke).await;
        }
    }
    let message = one.message(three.me, 1);
    assert_eq!(one.transport.send(message.clone()), Err(Lost::NoLink));
    assert_eq!(one.peer(3).reached, Reached::Not);
}

#[tokio::test]
async fn a_member_that_leaves_takes_its_ways_with_it() {
    for configure in BOTH {
        let [mut one, hub, mut three] = hub_and_spokes(configure, |_| ()).await;
        one.sees_all_up(&[hub.me, three.me]).await;
        three.sees_all_up(&[hub.me, one.me]).await;
        let gone = [hub.me, three.me];
        hub.transport.shutdown().await;
        let mut downs = vec![one.next().await, one.next().await];
        downs.sort_by_key(|down| format!("{down:?}"));
        assert_eq!(downs, gone.map(|peer| Inbound::Down { peer }));
        let message = one.message(three.me, 1);
        assert_eq!(one.transport.send(message.clone()), Err(Lost::NoLink));
    }
}
