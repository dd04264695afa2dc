//! The body of the fuzz target `transport_handshake`: no message that is not the genuine one ends
//! in a handshake, and nothing panics.

use crate::epoch::Epoch;
use crate::keys::{KeyPair, KeyRing, Secret};
use crate::secure::handshake::{Challenge, Initiator, Introduction, Party, Responder, Via};
use crate::secure::random::Random;
use holm_raft_core::{Incarnation, NodeId};
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// The first byte says which of the three messages, and on which way. Takes the others once as that
/// message, and then as a change to the genuine one: the second byte says how many bytes are cut
/// off its end, the rest is laid over it (exclusive or; what is longer is appended).
///
/// # Panics
/// When a message that is not the genuine one is taken, or the genuine one is not.
pub fn fuzz_handshake(data: &[u8]) {
    handshake_tried(data);
}

/// How far the input got: whether a message that it has, or has not, changed was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// It was the genuine one.
    Established,
    /// It was changed, and found to be so, at this message.
    Refused(Stage),
    /// The input was too short to change anything.
    Nothing,
}

pub(crate) fn handshake_tried(data: &[u8]) -> Depth {
    let [how, raw @ ..] = data else { return Depth::Nothing };
    let [cut, over @ ..] = raw else { return Depth::Nothing };
    let stage = Stage::ALL[usize::from(how % 3)];
    let via = if how & 4 == 0 { Via::Relayed } else { Via::Direct(Challenge([*how; 16])) };
    assert!(!reaches(via, stage, |message| *message = raw.to_vec()), "{stage:?} of {via:?}");
    let mut changed = false;
    let established = reaches(via, stage, |message| {
        let genuine = message.clone();
        message.truncate(message.len().saturating_sub(usize::from(*cut)));
        for (at, byte) in over.iter().enumerate() {
            match message.get_mut(at) {
                Some(under) => *under ^= byte,
                None => message.push(*byte),
            }
        }
        changed = *message != genuine;
    });
    assert_eq!(established, !changed, "{stage:?} of {via:?}");
    if established { Depth::Established } else { Depth::Refused(stage) }
}

/// A message of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    First,
    Second,
    Third,
}

impl Stage {
    pub(crate) const ALL: [Self; 3] = [Self::First, Self::Second, Self::Third];
}

/// Runs a handshake with one message changed, and says whether whoever takes it goes on.
pub(super) fn reaches(via: Via, stage: Stage, change: impl FnOnce(&mut Vec<u8>)) -> bool {
    // Made once: a key costs more than all else here.
    static PARTIES: LazyLock<[Party; 2]> = LazyLock::new(|| [2, 3].map(party));
    let [party_1, party_2] = &*PARTIES;
    let own =
        |node| Introduction { node, incarnation: Incarnation(3), start: 9, epoch: Epoch::FIRST };
    let mut random = Random::new(Zeroizing::new([8; 32]));
    let (one, two) = (NodeId(1), NodeId(2));
    let mut change = Some(change);
    let mut changed = |at: Stage, message: &[u8]| {
        let mut message = message.to_vec();
        if at == stage {
            change.take().expect("each is sent once")(&mut message);
        }
        message
    };
    let (initiator, first) = Initiator::begin(party_1, via, own(one), two, &mut random);
    let first = changed(Stage::First, &first);
    let Ok((responder, second)) = Responder::accept(party_2, via, own(two), &first, &mut random)
    else {
        return false;
    };
    let second = changed(Stage::Second, &second);
    let Ok((third, at_initiator)) = initiator.finish(&second) else { return false };
    let third = changed(Stage::Third, &third);
    let Ok(at_responder) = responder.finish(&third) else { return false };
    at_initiator.introduction.node == two && at_responder.introduction.node == one
}

fn party(seed: u8) -> Party {
    Party {
        cluster: "islands".to_owned(),
        features: 5,
        ring: KeyRing::of(Secret::generate(&mut |out| out.fill(1))),
        pair: KeyPair::generate(&mut |out| out.fill(seed)),
    }
}
