//! Tests of the token by itself: whatever is not as it was sealed does not open.

use super::*;
use proptest::prelude::*;

fn key(number: u8) -> SecretKey {
    SecretKey::try_from(&[number; 32][..]).unwrap()
}

fn context() -> Context {
    Context::new("login", "session", "harbour")
}

const INSIDE: Inside = Inside { issued: 3_600_000, life_s: 43_200, subject: None };

fn sealed(state: &Vec<u8>) -> String {
    seal((1, &key(1)), &context(), INSIDE, state, [7; NONCE_BYTES]).unwrap()
}

fn opened(text: &str, with: &SecretKey, context: &Context) -> Option<(Inside, Vec<u8>)> {
    Envelope::read(text)?.open(with, context)
}

#[test]
fn the_text_of_a_token_stays_as_it_is() {
    let text = sealed(&b"state".to_vec());
    assert_eq!(text, "AQEHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcd8VPpfRtKdA-aBHjYd0wEI8pyIJojzY6PgSNOmSI");
    let opened = opened(&text, &key(1), &context());
    assert_eq!(opened, Some((INSIDE, b"state".to_vec())));
}

#[test]
fn a_state_of_512_bytes_is_at_most_770_characters_with_a_subject_too() {
    let subject = Some(Sealed { subject: [1; 8], epoch: 1_000_000 });
    // Half a year in, for a month.
    let inside = Inside { issued: 15_768_000_000, life_s: 2_592_000, subject };
    let (state, nonce) = (vec![1_u8; 512], [7; NONCE_BYTES]);
    let text = seal((100, &key(1)), &context(), inside, &state, nonce).unwrap();
    assert!(text.len() <= 770, "{}", text.len());
    assert!(sealed(&state).len() <= 760, "{}", sealed(&state).len());
}

#[test]
fn the_empty_state_is_sealed_and_opened() {
    let text = seal((1, &key(1)), &context(), INSIDE, &(), [7; NONCE_BYTES]).unwrap();
    let opened = Envelope::read(&text).unwrap().open::<()>(&key(1), &context());
    assert_eq!(opened, Some((INSIDE, ())));
}

#[test]
fn what_is_sealed_with_bytes_behind_it_does_not_open_as_less() {
    let text = seal((1, &key(1)), &context(), INSIDE, &(7_u8, 8_u8), [7; NONCE_BYTES]).unwrap();
    let less = Envelope::read(&text).unwrap().open::<u8>(&key(1), &context());
    assert_eq!(less, None);
}

proptest! {
    #[test]
    fn any_bit_flipped_and_any_truncation_is_refused(
        state in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let text = sealed(&state);
        let found = opened(&text, &key(1), &context());
        prop_assert_eq!(found, Some((INSIDE, state)));
        // Of the bytes, and of the text.
        let mut bytes = vec![0; text.len()];
        let length = Base64UrlUnpadded::decode(&text, &mut bytes).unwrap().len();
        bytes.truncate(length);
        let flipped = at.index(bytes.len());
        bytes[flipped] ^= 1 << bit;
        let wrong = text_of(&bytes);
        prop_assert_eq!(opened(&wrong, &key(1), &context()), None);
        let mut wrong = text.clone().into_bytes();
        let flipped = at.index(wrong.len());
        wrong[flipped] ^= 1 << (bit % 7);
        let wrong = String::from_utf8(wrong).unwrap();
        prop_assert_eq!(opened(&wrong, &key(1), &context()), None, "{}", wrong);
        for length in 0..text.len() {
            prop_assert_eq!(opened(&text[..length], &key(1), &context()), None);
        }
        prop_assert_eq!(opened(&(text + "A"), &key(1), &context()), None);
    }

    #[test]
    fn any_other_key_purpose_name_or_cluster_is_refused(
        purpose in "[a-z]{0,8}",
        name in "[a-z]{0,8}",
        cluster in "[a-z]{0,8}",
        other in 2..=255_u8,
    ) {
        let text = sealed(&vec![1, 2, 3]);
        prop_assert_eq!(opened(&text, &key(other), &context()), None);
        let elsewhere = Context::new(&purpose, &name, &cluster);
        let same = elsewhere.about == context().about;
        prop_assert_eq!(opened(&text, &key(1), &elsewhere).is_some(), same);
        // The same letters, cut elsewhere.
        let cut = Context::new("logins", "ession", "harbour");
        prop_assert_eq!(opened(&text, &key(1), &cut), None);
    }

    #[test]
    fn any_text_is_refused(text in "[A-Za-z0-9_-]{0,200}|\\PC{0,50}") {
        prop_assert_eq!(opened(&text, &key(1), &context()), None);
    }
}
