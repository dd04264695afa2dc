//! What a relay can do to the frames that it passes on: a `Holding` network makes a member one that
//! holds some of them back.

use super::*;
use crate::network::{Answer, Listener, Network, Transit};
use crate::{Lost, Reached};
use std::sync::{Arc, Mutex};

/// Loopback, on which long frames of one member are held back until they are let go.
#[derive(Debug, Default)]
struct Holding(Mutex<Hold>);

#[derive(Debug, Default)]
enum Hold {
    /// Long frames are kept.
    Keeps(Vec<Transit>),
    #[default]
    /// Nothing is kept.
    Passes,
    /// What was kept goes before the next frame.
    LetsGo(Vec<Transit>),
}

impl Holding {
    fn held(&self) -> usize {
        match &*self.0.lock().expect("nobody panicked") {
            Hold::Keeps(held) | Hold::LetsGo(held) => held.len(),
            Hold::Passes => 0,
        }
    }

    fn keeps(&self) {
        *self.0.lock().expect("nobody panicked") = Hold::Keeps(Vec::new());
    }

    fn lets_go(&self) {
        let mut hold = self.0.lock().expect("nobody panicked");
        if let Hold::Keeps(held) = &mut *hold {
            *hold = Hold::LetsGo(std::mem::take(held));
        }
    }
}

impl Network for Holding {
    fn dial(&self, address: &str) -> Answer<'_, Stream> {
        Tcp.dial(address)
    }

    fn listen(&self, address: &str) -> Answer<'_, Listener> {
        Tcp.listen(address)
    }

    fn pass_on(&self, frame: Transit, on: &mut dyn FnMut(Transit)) {
        let released = {
            let mut hold = self.0.lock().expect("nobody panicked");
            if let Hold::Keeps(held) = &mut *hold
                && frame.body.len() > NOTE_BYTES
            {
                return held.push(frame);
            }
            match &mut *hold {
                Hold::LetsGo(held) => std::mem::take(held),
                _ => Vec::new(),
            }
        };
        released.into_iter().for_each(&mut *on);
        on(frame);
    }
}

/// What is longer is a note, and no ping or handshake.
const NOTE_BYTES: usize = 300;

#[tokio::test]
async fn what_a_relay_held_back_over_a_restart_of_its_sender_is_not_taken() {
    let ((hub_port, hub_at), (port_3, at_3)) = (port().await, port().await);
    let network = Arc::new(Holding::default());
    let hub = sealed_config(member(2), Some(hub_port), vec![awaited(1), awaited(3), awaited(4)]);
    let mut hub = End::start(Config { network: Arc::clone(&network) as _, ..hub });
    let spoke = |me, listener, others: [u64; 2]| {
        let peers = vec![dialled(2, &hub_at), awaited(others[0]), awaited(others[1])];
        sealed_config(member(me), listener, peers)
    };
    let mut one = End::start(spoke(1, None, [3, 4]));
    let mut three = End::start(spoke(3, Some(port_3), [1, 4]));
    let mut four = End::start(spoke(4, None, [1, 3]));
    one.sees_all_up(&[hub.me, three.me, four.me]).await;
    three.sees_all_up(&[hub.me, one.me, four.me]).await;
    four.sees_all_up(&[hub.me, one.me, three.me]).await;
    hub.sees_all_up(&[one.me, three.me, four.me]).await;
    network.keeps();
    one.transport.tell(NodeId(3), Bytes::from(vec![1; 2 * NOTE_BYTES])).expect("a way");
    within(async {
        while network.held() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    one.transport.shutdown().await;
    three.sees_down(member(1)).await;
    // Started anew, it has a link of its own to member 3 as well.
    let mut again = spoke(1, None, [3, 4]);
    again.peers = vec![dialled(2, &hub_at), dialled(3, &at_3), awaited(4)];
    again.seed[31] = 1;
    let _again = End::start(again);
    within(async {
        while three.peer(1).reached != Reached::Inbound {
            tokio::task::yield_now().await;
        }
    })
    .await;
    network.lets_go();
    let note = Bytes::from(vec![4; 2 * NOTE_BYTES]);
    four.transport.tell(NodeId(3), note.clone()).expect("a way");
    // It may have come and gone in its old start meanwhile, as far as records tell.
    let told = loop {
        match three.next().await {
            Inbound::Up { peer } | Inbound::Down { peer } => assert_eq!(peer, member(1)),
            told => break told,
        }
    };
    assert_eq!(told, Inbound::Note { from: four.me, note });
    assert_eq!(three.peer(1).lost[&Lost::NoSession], 1);
}
