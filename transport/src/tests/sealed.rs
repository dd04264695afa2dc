//! Sealed links: who may come in, and that nobody in between can alter, repeat or say anything.

use super::*;
use crate::{Error, Lost, Reached, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Member 2, which listens, with these secrets.
async fn listening(secrets: &[u8]) -> (End, String) {
    let (listener, address) = port().await;
    let two = config(member(2), Some(listener), vec![awaited(1)]);
    (End::start(Config { security: sealed(2, secrets), ..two }), address)
}

fn dialling(address: &str, secrets: &[u8]) -> Config {
    let one = config(member(1), None, vec![dialled(2, address)]);
    Config { security: sealed(1, secrets), ..one }
}

/// Waits until the other end has refused for this reason, and nobody has come up.
pub(super) async fn is_refused(two: &mut End, one: &mut End, why: Refusal) {
    let refused = async {
        while !two.transport.refused().contains_key(&why) {
            tokio::task::yield_now().await;
        }
    };
    within(refused).await;
    assert!(one.inbound.is_empty() && two.inbound.is_empty(), "somebody is up");
}

#[tokio::test]
async fn two_members_that_know_the_secret_and_each_others_keys_talk() {
    let (mut two, address) = listening(&[1]).await;
    let mut one = End::start(dialling(&address, &[1]));
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    one.talks_with(&mut two).await;
    assert_eq!((one.peer(2).reached, two.peer(1).reached), (Reached::Direct, Reached::Inbound));
    assert!(one.peer(2).lost.is_empty() && two.peer(1).lost.is_empty());
}

#[tokio::test]
async fn members_at_neighbouring_steps_of_a_rotation_let_each_other_in() {
    // Each pair is a moment of the rotation: the new secret is known, then begins, then is alone.
    for (first, second) in [(&[1][..], &[1, 2][..]), (&[1, 2], &[2, 1]), (&[2, 1], &[2])] {
        for (mine, other) in [(first, second), (second, first)] {
            let (mut two, address) = listening(other).await;
            let mut one = End::start(dialling(&address, mine));
            one.sees_up(two.me).await;
            two.sees_up(one.me).await;
            one.talks_with(&mut two).await;
        }
    }
}

#[tokio::test]
async fn running_members_change_their_secrets_and_neither_links_nor_sessions_notice() {
    let (listener, address) = port().await;
    let hub = sealed_config(member(2), Some(listener), vec![awaited(1), awaited(3)]);
    let spoke = |node, other, secrets: &[u8], seed| {
        let peers = vec![dialled(2, &address), awaited(other)];
        let (security, seed) = (sealed(node, secrets), [seed; 32]);
        End::start(Config { security, seed, ..sealed_config(member(node), None, peers) })
    };
    let mut hub = End::start(hub);
    let (mut one, mut three) = (spoke(1, 3, &[1], 1), spoke(3, 1, &[1], 3));
    one.sees_all_up(&[hub.me, three.me]).await;
    three.sees_all_up(&[hub.me, one.me]).await;
    hub.sees_all_up(&[one.me, three.me]).await;
    for secrets in [&[1, 2][..], &[2, 1], &[2]] {
        for end in [&one, &hub, &three] {
            end.transport.change_ring(ring(secrets)).expect("sealed");
        }
        one.talks_with(&mut hub).await;
        one.talks_with(&mut three).await;
    }
    three.transport.shutdown().await;
    one.sees_down(three.me).await;
    hub.sees_down(three.me).await;

    let mut three = spoke(3, 1, &[1], 4);
    is_refused(&mut hub, &mut three, Refusal::Secret).await;
    three.transport.change_ring(ring(&[2])).expect("sealed");
    three.sees_all_up(&[hub.me, one.me]).await;
    hub.sees_up(three.me).await;
    hub.talks_with(&mut three).await;
    // Member 1 may have taken it for its earlier start for a moment.
    let note = Bytes::from_static(b"through the hub");
    three.transport.tell(NodeId(1), note.clone()).expect("a way");
    while one.next().await != (Inbound::Note { from: three.me, note: note.clone() }) {}
}

#[tokio::test]
async fn a_member_whose_links_are_insecure_takes_no_secrets() {
    let one = End::start(config(member(1), None, vec![awaited(2)]));
    assert_eq!(one.transport.change_ring(ring(&[1])), Err(Error::Insecure));
}

#[tokio::test]
async fn whoever_lacks_the_secret_is_refused_by_that_reason() {
    let (mut two, address) = listening(&[1]).await;
    let mut one = End::start(dialling(&address, &[2]));
    is_refused(&mut two, &mut one, Refusal::Secret).await;
}

#[tokio::test]
async fn whoever_belongs_to_another_cluster_is_refused_by_that_reason() {
    let (mut two, address) = listening(&[1]).await;
    let other = Config { cluster: "other".to_owned(), ..dialling(&address, &[1]) };
    let mut one = End::start(other);
    is_refused(&mut two, &mut one, Refusal::Cluster).await;
}

#[tokio::test]
async fn whoever_shows_another_key_than_its_own_is_refused_by_that_reason() {
    let (mut two, address) = listening(&[1]).await;
    let stolen = Config { security: sealed(3, &[1]), ..dialling(&address, &[1]) };
    let mut one = End::start(stolen);
    is_refused(&mut two, &mut one, Refusal::Key).await;
}

#[tokio::test]
async fn a_member_that_is_not_known_is_refused_by_that_reason() {
    let (mut two, address) = listening(&[1]).await;
    let four = config(member(4), None, vec![dialled(2, &address)]);
    let mut four = End::start(Config { security: sealed(4, &[1]), ..four });
    is_refused(&mut two, &mut four, Refusal::Stranger).await;
}

#[tokio::test]
async fn a_listener_that_is_another_member_is_refused_by_the_one_that_dials() {
    // Where member 2 should be, member 3 listens: it knows the secret, but has another key.
    let (listener, address) = port().await;
    let three = config(member(3), Some(listener), vec![awaited(1)]);
    let three = End::start(Config { security: sealed(3, &[1]), ..three });
    let one = End::start(dialling(&address, &[1]));
    let failed = async {
        while one.peer(2).dials_failed == 0 {
            tokio::task::yield_now().await;
        }
    };
    within(failed).await;
    assert!(three.transport.refused().contains_key(&Refusal::Destination));
    assert!(one.inbound.is_empty() && three.inbound.is_empty());
}

#[tokio::test]
async fn sealed_and_insecure_members_refuse_each_other_and_say_so() {
    let (_two, address) = listening(&[1]).await;
    let insecure = Config { security: Security::Insecure, ..dialling(&address, &[1]) };
    let (listener, insecure_at) = port().await;
    let _other = End::start(config(member(2), Some(listener), vec![awaited(1)]));
    for config in [insecure, dialling(&insecure_at, &[1])] {
        let one = End::start(config);
        let refused = async {
            while !one.transport.refused().contains_key(&Refusal::Security) {
                tokio::task::yield_now().await;
            }
        };
        within(refused).await;
        let error = one.peer(2).last_error.expect("an error");
        assert!(error.contains("insecure = true"), "{error}");
    }
}

/// What a man in the middle does with the bytes that the dialling end writes.
type Meddle = fn(connection: usize, offset: usize, bytes: &mut Vec<u8>);

/// Stands between a dialler and `address`, and meddles.
async fn middle(address: String, meddle: Meddle) -> (String, Arc<AtomicUsize>) {
    let (listener, middle) = port().await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::task::spawn(async move {
        loop {
            let (dialler, _) = listener.accept().await.expect("a dial");
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let beyond = TcpStream::connect(&address).await.expect("the listener");
            let (mut from, mut back) = tokio::io::split(dialler);
            let (mut answers, mut to) = tokio::io::split(beyond);
            tokio::task::spawn(async move {
                let _ = tokio::io::copy(&mut answers, &mut back).await;
                let _ = back.shutdown().await;
            });
            tokio::task::spawn(async move {
                let (mut offset, mut buffer) = (0, [0; 4096]);
                while let Ok(read @ 1..) = from.read(&mut buffer).await {
                    let mut bytes = buffer[..read].to_vec();
                    meddle(number, offset, &mut bytes);
                    offset += read;
                    if to.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                let _ = to.shutdown().await;
            });
        }
    });
    (middle, connections)
}

#[tokio::test]
async fn whatever_is_altered_on_its_way_ends_the_connection_and_nothing_else_happens() {
    let (mut two, address) = listening(&[1]).await;
    // The first connection is altered far behind its handshake, the ones after it are not.
    let (middle, connections) = middle(address, |connection, offset, bytes| {
        let at = 4000_usize;
        if connection == 0 && offset <= at && at < offset + bytes.len() {
            bytes[at - offset] ^= 1;
        }
    })
    .await;
    let mut one = End::start(dialling(&middle, &[1]));
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    let note = Bytes::from(vec![7; 8000]);
    one.transport.tell(two.me.node, note.clone()).expect("up");
    two.sees_down(one.me).await;
    assert_eq!(two.peer(1).lost[&Lost::Tampered], 1);
    two.sees_up(one.me).await;
    one.sees_down(two.me).await;
    one.sees_up(two.me).await;
    one.talks_with(&mut two).await;
    assert!(connections.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn a_recorded_session_gets_nobody_in() {
    let (two, address) = listening(&[1]).await;
    // Records what an honest dialler says, while it says it.
    let (listener, recorder) = port().await;
    let beyond = address.clone();
    let recording = tokio::task::spawn(async move {
        let (dialler, _) = listener.accept().await.expect("a dial");
        let beyond = TcpStream::connect(beyond).await.expect("the listener");
        let (mut from, mut back) = tokio::io::split(dialler);
        let (mut answers, mut to) = tokio::io::split(beyond);
        tokio::task::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
        let (mut recorded, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            recorded.extend_from_slice(&buffer[..read]);
            to.write_all(&buffer[..read]).await.expect("open");
        }
        recorded
    });
    let mut two = two;
    let mut one = End::start(dialling(&recorder, &[1]));
    one.sees_up(two.me).await;
    two.sees_up(one.me).await;
    for _ in 0..8 {
        one.transport.tell(two.me.node, Bytes::from_static(&[1; 64])).expect("up");
        assert!(matches!(two.next().await, Inbound::Note { .. }));
    }
    one.transport.shutdown().await;
    let recorded = within(recording).await.expect("recorded");
    two.sees_down(member(1)).await;
    let (mut raw, _) = Raw::opened(&address).await;
    raw.say_bytes(&recorded).await;
    assert_eq!(raw.next().await, None, "nothing is said to it");
    assert_eq!(two.transport.refused()[&Refusal::Secret], 1);
    assert!(two.inbound.is_empty(), "nothing else happened");
}
