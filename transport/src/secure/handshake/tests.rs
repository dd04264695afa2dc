//! Who is let in and who is refused, why, and what a refusal costs.

use super::wire::{HEAD_BYTES, INTRODUCTION_BYTES, PSK_PURPOSE, Way, prologue};
use super::*;
use crate::config::Config;
use crate::epoch::Epoch;
use crate::keys::{PrivateKey, Secret};
use crate::secure::curve::tests::operations_of;
use crate::secure::fuzz::{Stage, fuzz_handshake, reaches};
use crate::secure::seal::Tampered;
use holm_raft_core::Incarnation;
use proptest::prelude::*;

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const DIRECT: Via = Via::Direct(Challenge([7; Challenge::BYTES]));

fn secret(number: u8) -> Secret {
    Secret::generate(&mut |out| out.fill(number))
}

fn ring(numbers: &[u8]) -> KeyRing {
    let lines: Vec<String> = numbers.iter().map(|n| secret(*n).reveal().to_string()).collect();
    lines.join("\n").parse().unwrap()
}

fn party(key: u8, secrets: &[u8]) -> Party {
    Party {
        cluster: "islands".to_owned(),
        features: 0b0110,
        ring: ring(secrets),
        pair: KeyPair::generate(&mut |out| out.fill(key)),
    }
}

fn own(node: NodeId) -> Introduction {
    Introduction {
        node,
        incarnation: Incarnation(node.0 + 10),
        start: node.0 + 20,
        epoch: Epoch(node.0 + 30),
    }
}

fn random(seed: u8) -> Random {
    Random::new(Zeroizing::new([seed; 32]))
}

fn first(party: &Party, via: Via) -> (Initiator, Bytes) {
    Initiator::begin(party, via, own(ONE), TWO, &mut random(1))
}

fn accept(party: &Party, via: Via, first: &[u8]) -> Result<(Responder, Bytes), Refused> {
    Responder::accept(party, via, own(TWO), first, &mut random(2))
}

/// A whole handshake: what each side has of it.
fn both(a: &Party, b: &Party, via: Via) -> Result<(Established, Established), Refused> {
    let (initiator, first) = first(a, via);
    let (responder, second) = accept(b, via, &first)?;
    let (third, at_a) = initiator.finish(&second)?;
    Ok((at_a, responder.finish(&third)?))
}

fn why<T>(result: Result<T, Refused>) -> Why {
    result.map(drop).expect_err("it is to be refused").why
}

#[test]
fn both_sides_know_each_other_and_read_what_the_other_one_seals() {
    let mut b = party(4, &[1]);
    b.features = 0b1100;
    for via in [DIRECT, Via::Relayed] {
        let a = party(3, &[1]);
        let (mut at_a, mut at_b) = both(&a, &b, via).unwrap();
        assert_eq!((at_a.introduction, at_a.key), (own(TWO), b.pair.public()));
        assert_eq!((at_b.introduction, at_b.key), (own(ONE), a.pair.public()));
        assert_eq!((at_a.features, at_b.features), (0b0100, 0b0100));
        let mut text = *b"text";
        let tag = at_a.seal.seal_in_place(7, b"clear", &mut text);
        assert_ne!(&text, b"text");
        let mut back = text;
        let own = at_a.open.open_in_place(7, b"clear", &mut back, &tag);
        assert_eq!(own, Err(Tampered), "each direction has a key of its own");
        at_b.open.open_in_place(7, b"clear", &mut text, &tag).unwrap();
        assert_eq!(&text, b"text");
        let mut text = *b"back";
        let tag = at_b.seal.seal_in_place(7, b"", &mut text);
        at_a.open.open_in_place(7, b"", &mut text, &tag).unwrap();
        assert_eq!(&text, b"back");
    }
}

#[test]
fn every_message_fits_256_bytes_however_long_its_fields_are() {
    let longest = Introduction {
        node: NodeId(u64::MAX),
        incarnation: Incarnation(u64::MAX),
        start: u64::MAX,
        epoch: Epoch::NONE_YET,
    };
    let all = ring(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let cluster = "n".repeat(Config::CLUSTER_BYTES_MAX);
    let a = Party { cluster, features: u64::MAX, ring: all, ..party(3, &[1]) };
    let to = NodeId(u64::MAX - 1);
    let (initiator, first) = Initiator::begin(&a, DIRECT, longest, to, &mut random(1));
    let answerer = Introduction { node: to, ..longest };
    let accepted = Responder::accept(&a, DIRECT, answerer, &first, &mut random(2));
    let (responder, second) = accepted.unwrap();
    let (third, _) = initiator.finish(&second).unwrap();
    responder.finish(&third).unwrap();
    let lengths = [first.len(), second.len(), third.len()];
    assert_eq!(lengths, [100, 144, 112]);
    assert!(lengths.into_iter().all(|length| length <= MESSAGE_BYTES_MAX));
}

#[test]
fn the_same_seed_gives_the_same_messages_and_another_seed_others() {
    let messages = |seed: u8| {
        let (a, b) = (party(3, &[1]), party(4, &[1]));
        let mut random = random(seed);
        let (initiator, first) = Initiator::begin(&a, DIRECT, own(ONE), TWO, &mut random);
        let (_, second) = Responder::accept(&b, DIRECT, own(TWO), &first, &mut random).unwrap();
        let (third, _) = initiator.finish(&second).unwrap();
        [first, second, third]
    };
    assert_eq!(messages(1), messages(1));
    for (one, other) in messages(1).iter().zip(messages(2)) {
        assert_ne!(*one, other);
    }
}

/// First messages that a member of ring 1 refuses, each with why.
fn refused_firsts() -> Vec<(&'static str, Vec<u8>, Why)> {
    let genuine = first(&party(3, &[1]), DIRECT).1.to_vec();
    let changed = |at: usize, to: u8| {
        let mut bytes = genuine.clone();
        assert_ne!(bytes[at], to);
        bytes[at] = to;
        bytes
    };
    let mut cluster = party(3, &[1]);
    cluster.cluster = "another".to_owned();
    let mut named = first(&party(3, &[9]), DIRECT).1.to_vec();
    named[28..36].copy_from_slice(&secret(1).id().0);
    let other = Via::Direct(Challenge([8; Challenge::BYTES]));
    let to = |node| Initiator::begin(&party(3, &[1]), DIRECT, own(ONE), node, &mut random(1)).1;
    let namesake = Initiator::begin(&party(3, &[1]), DIRECT, own(TWO), TWO, &mut random(1)).1;
    vec![
        ("nothing", vec![], Why::Garbage),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec(), Why::Garbage),
        ("too short", genuine[..99].to_vec(), Why::Garbage),
        ("too long", [&genuine[..], &[0]].concat(), Why::Garbage),
        ("reserved byte", changed(11, 1), Why::Garbage),
        ("unknown way", changed(10, 3), Why::Garbage),
        ("made for relays", first(&party(3, &[1]), Via::Relayed).1.to_vec(), Why::Garbage),
        ("version", changed(8, 2), Why::Version),
        ("version, of another length", changed(8, 2)[..60].to_vec(), Why::Version),
        ("cluster", first(&cluster, DIRECT).1.to_vec(), Why::Cluster),
        ("unknown secret", first(&party(3, &[9]), DIRECT).1.to_vec(), Why::Secret),
        ("secret named, not held", named, Why::Secret),
        ("recorded", first(&party(3, &[1]), other).1.to_vec(), Why::Secret),
        (
            "way changed by hand",
            {
                let mut bytes = first(&party(3, &[1]), Via::Relayed).1.to_vec();
                bytes[10] = Way::Direct as u8;
                bytes
            },
            Why::Secret,
        ),
        ("features changed", changed(12, 0xff), Why::Secret),
        ("another key", changed(HEAD_BYTES, genuine[HEAD_BYTES] ^ 1), Why::Secret),
        ("destination", to(NodeId(5)).to_vec(), Why::Destination),
        ("namesake", namesake.to_vec(), Why::Introduction),
    ]
}

#[test]
fn whoever_has_not_shown_the_secret_costs_no_exchange_of_keys() {
    let b = party(4, &[1]);
    for (name, bytes, reason) in refused_firsts() {
        let (result, operations) = operations_of(|| accept(&b, DIRECT, &bytes));
        let refused = result.map(drop).expect_err(name);
        assert_eq!((refused.why, operations), (reason, 0), "{name}: {refused}");
    }
    let genuine = first(&party(3, &[1]), DIRECT).1;
    let (accepted, operations) = operations_of(|| accept(&b, DIRECT, &genuine));
    assert!(accepted.is_ok());
    assert_eq!(operations, 3, "an ephemeral key, ee, es: the counter counts");
}

#[test]
fn a_refusal_names_what_is_wrong_and_how_it_is_mended() {
    let b = party(4, &[1]);
    let said = |wanted: &str| {
        let mut cases = refused_firsts().into_iter();
        let (_, bytes, _) = cases.find(|(name, ..)| *name == wanted).unwrap();
        accept(&b, DIRECT, &bytes).map(drop).unwrap_err().to_string()
    };
    let (ours, theirs) = (secret(1).id(), secret(9).id());
    assert_eq!(
        said("unknown secret"),
        format!(
            "member 1 uses secret {theirs}, this member has {ours}; add it to this member's \
             ring, or one of these to the other's"
        )
    );
    assert_eq!(said("destination"), "member 1 wanted member 5 and found 2; check the addresses");
    assert_eq!(
        said("version"),
        "its handshake has version 2, this build's 1; run builds of one version, or two \
         neighbouring ones"
    );
}

#[test]
fn a_secret_is_exchanged_for_another_without_a_refusal() {
    let steps: [&[u8]; 4] = [&[1], &[1, 2], &[2, 1], &[2]];
    for (at, before) in steps.iter().enumerate() {
        for (after_at, after) in steps.iter().enumerate().skip(at) {
            let (a, b) = (party(3, before), party(4, after));
            let results = [both(&a, &b, DIRECT), both(&b, &a, DIRECT)];
            let refused = results.map(|result| result.map(drop).err().map(|refused| refused.why));
            if after_at - at <= 1 {
                assert_eq!(refused, [None, None], "{before:?} with {after:?}");
            } else {
                assert!(refused.contains(&Some(Why::Secret)), "{before:?} with {after:?}");
            }
        }
    }
}

#[test]
fn a_member_that_introduces_itself_as_another_is_refused() {
    let (a, b) = (party(3, &[1]), party(4, &[1]));
    let (mut initiator, bytes) = first(&a, DIRECT);
    let (responder, second) = accept(&b, DIRECT, &bytes).unwrap();
    initiator.own.node = NodeId(5);
    let (third, _) = initiator.finish(&second).unwrap();
    assert_eq!(why(responder.finish(&third)), Why::Introduction);
    let (mut initiator, bytes) = first(&a, DIRECT);
    initiator.to = NodeId(5);
    let (_, second) = accept(&b, DIRECT, &bytes).unwrap();
    assert_eq!(why(initiator.finish(&second)), Why::Introduction);
}

#[test]
fn an_answer_to_another_handshake_is_refused() {
    let (a, b) = (party(3, &[1]), party(4, &[1]));
    let (initiator, bytes) = first(&a, DIRECT);
    let (responder, _) = accept(&b, DIRECT, &bytes).unwrap();
    let (other, bytes) = Initiator::begin(&a, DIRECT, own(ONE), TWO, &mut random(9));
    let (_, second) = accept(&b, DIRECT, &bytes).unwrap();
    assert_eq!(why(initiator.finish(&second)), Why::Garbage);
    let (third, _) = other.finish(&second).unwrap();
    assert_eq!(why(responder.finish(&third)), Why::Garbage);
}

#[test]
fn an_introduction_of_a_later_version_is_understood_and_one_of_another_form_is_not() {
    let mut later = own(ONE).payload(3).to_vec();
    later[1..8].fill(1);
    later.extend_from_slice(&[1; 104]);
    assert_eq!(Introduction::take(&later), Ok((own(ONE), 3)));
    for length in 0..INTRODUCTION_BYTES {
        assert_eq!(why(Introduction::take(&later[..length])), Why::Introduction);
    }
    later[0] = 2;
    assert_eq!(why(Introduction::take(&later)), Why::Introduction);
}

/// A key whose public part is a point of low order.
fn low() -> KeyPair {
    KeyPair::forged(PrivateKey::from([6; 32]), [0; 32])
}

fn refused_as_no_key<T>(result: Result<T, Refused>) {
    let refused = result.map(drop).expect_err("it is to be refused");
    assert_eq!(refused.why, Why::Garbage);
    assert!(refused.detail.contains("message is none"), "{refused}");
}

#[test]
fn static_keys_that_are_points_of_low_order_are_refused() {
    let forger = Party { pair: low(), ..party(3, &[1]) };
    let (initiator, bytes) = first(&forger, DIRECT);
    let (responder, second) = accept(&party(4, &[1]), DIRECT, &bytes).unwrap();
    let (third, _) = initiator.finish(&second).unwrap();
    refused_as_no_key(responder.finish(&third));
    let (initiator, bytes) = first(&party(4, &[1]), DIRECT);
    let (_, second) = accept(&forger, DIRECT, &bytes).unwrap();
    refused_as_no_key(initiator.finish(&second));
}

#[test]
fn an_ephemeral_key_that_is_a_point_of_low_order_is_refused() {
    let forger = Party { pair: low(), ..party(3, &[1]) };
    let psk = forger.ring.first().derive(PSK_PURPOSE);
    let (_, genuine) = first(&forger, DIRECT);
    let clear = genuine.first_chunk().unwrap();
    let prologue = prologue(clear, DIRECT, &forger.cluster);
    let ephemeral = [6; 32];
    let fixed = || {
        let built = builder(&forger, &psk, &prologue, &mut random(1));
        built.fixed_ephemeral_key_for_testing_only(&ephemeral)
    };
    let mut noise = fixed().build_initiator().unwrap();
    let forged = [&clear[..], &written(&mut noise, &[])].concat();
    assert_eq!(forged[HEAD_BYTES..HEAD_BYTES + 32], [0; 32]);
    refused_as_no_key(accept(&party(4, &[1]), DIRECT, &forged));
}

#[test]
fn nothing_of_a_party_or_an_end_prints_what_is_secret() {
    let a = party(3, &[1]);
    let (at_a, _) = both(&a, &party(4, &[1]), DIRECT).unwrap();
    let printed = format!("{a:?} {at_a:?}");
    assert!(!printed.contains("[3, 3") && !printed.contains("[1, 1"), "{printed}");
    assert!(printed.ends_with(", 0x6, ..)"), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_bit_flipped_in_any_message_is_refused(at: prop::sample::Index, bit in 0..8_u32) {
        for via in [DIRECT, Via::Relayed] {
            prop_assert!(reaches(via, Stage::First, |_| ()), "unchanged");
            for stage in Stage::ALL {
                let flip = |message: &mut Vec<u8>| {
                    let at = at.index(message.len());
                    message[at] ^= 1 << bit;
                };
                prop_assert!(!reaches(via, stage, flip), "{:?} of {:?}", stage, via);
            }
        }
    }

    #[test]
    fn the_body_of_the_fuzz_target_holds(
        data in proptest::collection::vec(any::<u8>(), 0..160),
        how in 0..8_u8,
    ) {
        fuzz_handshake(&data);
        fuzz_handshake(&[how, 0]);
        fuzz_handshake(&[&[how, 0], &data[..]].concat());
    }
}
