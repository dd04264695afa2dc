//! Tests of the token by itself: whatever is not as it was sealed does not open.

use super::*;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305 as ByOthers, XNonce};
use holm_transport::Epoch;
use proptest::prelude::*;
use std::cell::Cell;

thread_local! {
    /// How many bytes this thread has tried to open.
    static WORK: Cell<usize> = const { Cell::new(0) };
}

/// So many bytes are gone through, whatever comes of it.
pub(super) fn worked(bytes: usize) {
    WORK.set(WORK.get() + bytes);
}

/// How many bytes `open` goes through to open something.
pub(crate) fn work_of(open: impl FnOnce()) -> usize {
    let before = WORK.get();
    open();
    WORK.get() - before
}

/// The same token under another key's number: the second byte, after the version.
pub(crate) fn under_key(token: &str, key: u8) -> String {
    let mut envelope = Envelope::read(token).unwrap();
    assert!(envelope.head == 2 && key < 128, "numbers of one byte");
    envelope.bytes[1] = key;
    text_of(&envelope.bytes)
}

/// All that stands in a token behind version, number and nonce.
pub(crate) fn sealed_bytes(token: &str) -> usize {
    let envelope = Envelope::read(token).unwrap();
    envelope.bytes.len() - envelope.head - NONCE_BYTES
}

fn key(number: u8) -> SecretKey {
    SecretKey::try_from(&[number; 32][..]).unwrap()
}

fn harbour() -> ClusterId {
    ClusterId::new("harbour", Epoch::FIRST)
}

fn context() -> Context {
    Context::new("login", "session", harbour())
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
    assert_eq!(text, GOLDEN);
    let opened = opened(&text, &key(1), &context());
    assert_eq!(opened, Some((INSIDE, b"state".to_vec())));
}

/// Version 2, key 1, and what [`INSIDE`] and `state` are sealed as.
const GOLDEN: &str = "AgEHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcd8VPpfRtKdA-aBHjYdxRmfnUCJrRSBvYmxBWm8Eg";

/// By another implementation of XChaCha20-Poly1305, byte by byte as the documents say.
#[test]
fn another_implementation_seals_the_same() {
    let mut about = vec![2, 1];
    about.extend(b"holm session ");
    about.extend([&[5, 0, 0, 0, 0, 0, 0, 0][..], b"login"].concat());
    about.extend([&[7, 0, 0, 0, 0, 0, 0, 0][..], b"session"].concat());
    about.extend([&[16, 0, 0, 0, 0, 0, 0, 0][..], &harbour().0].concat());
    // 3,600,000 ms and 43,200 s with seven bits a byte, no subject, five bytes.
    let mut sealed = vec![0x80, 0xdd, 0xdb, 0x01, 0xc0, 0xd1, 0x02, 0, 5];
    sealed.extend(b"state");
    let cipher = ByOthers::new(&[1; 32].into());
    let nonce = XNonce::from([7; NONCE_BYTES]);
    let tag = cipher.encrypt_inout_detached(&nonce, &about, sealed[..].as_mut().into());
    let whole = [&[2, 1][..], &[7; NONCE_BYTES], &sealed, &tag.unwrap()].concat();
    assert_eq!(text_of(&whole), GOLDEN);
}

#[test]
fn a_token_of_the_version_before_is_refused_as_anything_else_is() {
    let first = "AQEHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcd8VPpfRtKdA-aBHjYd0wEI8pyIJojzY6PgSNOmSI";
    assert_eq!(opened(first, &key(1), &context()), None);
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
        epoch in 1..=u64::MAX,
    ) {
        let text = sealed(&vec![1, 2, 3]);
        prop_assert_eq!(opened(&text, &key(other), &context()), None);
        let elsewhere =
            Context::new(&purpose, &name, ClusterId::new(&cluster, Epoch::FIRST));
        let same = elsewhere.about == context().about;
        prop_assert_eq!(opened(&text, &key(1), &elsewhere).is_some(), same);
        // The same letters, cut elsewhere.
        let cut = Context::new("logins", "ession", harbour());
        prop_assert_eq!(opened(&text, &key(1), &cut), None);
        // The same cluster after a recovery.
        let recovered = Context::new("login", "session", ClusterId::new("harbour", Epoch(epoch)));
        prop_assert_eq!(opened(&text, &key(1), &recovered), None);
    }

    #[test]
    fn any_text_is_refused(text in "[A-Za-z0-9_-]{0,200}|\\PC{0,50}") {
        prop_assert_eq!(opened(&text, &key(1), &context()), None);
    }
}
