//! How many bytes a second one core seals and opens, by each cipher that the transport could use
//! without a source of entropy in its tree, next to copying them: in frames of 128 B, 1 KiB and
//! 64 KiB, each with 36 bytes beside it.
//!
//! `cargo bench -p holm-benches --bench transport_seal`: medians of five rounds in which the
//! subjects take turns. It fails where the chosen cipher (AES-256-GCM) is below 700 MB/s at 64 KiB.
#![forbid(unsafe_code)]

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;
use orion::hazardous::aead::chacha20poly1305 as by_orion;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

const SIZES: [usize; 3] = [128, 1024, 64 * 1024];
const ROUNDS: usize = 5;
/// How much each subject seals in each round, in bytes.
const ROUND_BYTES: usize = 32 * 1024 * 1024;
const KEY: [u8; 32] = [3; 32];
/// As long as the head of a frame.
const BESIDE: [u8; 36] = [1; 36];
/// What the chosen cipher has to reach at the largest size, in MB/s.
const FLOOR: u64 = 700;

/// What is done to a buffer of text under a number.
type Work = Box<dyn FnMut(&mut [u8], u64)>;
/// A name, and what it does.
type Subject = (&'static str, Work);

fn main() -> ExitCode {
    let mut subjects = subjects();
    println!("MB/s of one core      {:>9} {:>9} {:>9}", "128 B", "1 KiB", "64 KiB");
    let mut speeds = vec![[0; SIZES.len()]; subjects.len()];
    for (column, size) in SIZES.into_iter().enumerate() {
        let mut rounds = vec![Vec::new(); subjects.len()];
        for _ in 0..ROUNDS {
            for ((_, work), speeds) in subjects.iter_mut().zip(&mut rounds) {
                speeds.push(megabytes_a_second(size, work));
            }
        }
        for (speeds, mut rounds) in speeds.iter_mut().zip(rounds) {
            rounds.sort_unstable();
            speeds[column] = rounds[ROUNDS / 2];
        }
    }
    for ((name, _), [small, middle, large]) in subjects.iter().zip(&speeds) {
        println!("{name:21} {small:9} {middle:9} {large:9}");
    }
    let [.., chosen] = speeds[0];
    if chosen < FLOOR {
        eprintln!("AES-256-GCM seals {chosen} MB/s, at least {FLOOR} are wanted");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn megabytes_a_second(size: usize, work: &mut impl FnMut(&mut [u8], u64)) -> u64 {
    let mut text = vec![7; size];
    let began = Instant::now();
    for number in (0..).take(ROUND_BYTES / size) {
        work(black_box(&mut text), number);
    }
    // Bytes a microsecond are megabytes a second.
    let took = began.elapsed().as_micros().max(1);
    u64::try_from(u128::try_from(ROUND_BYTES).expect("it is small") / took).expect("it is small")
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn subjects() -> Vec<Subject> {
    let aes = Aes256Gcm::new(&KEY.into());
    let chacha = ChaCha20Poly1305::new(&KEY.into());
    let orion = by_orion::SecretKey::from(KEY);
    let mut copied = vec![0; SIZES[2]];
    vec![
        ("AES-256-GCM, aes-gcm", sealing(aes.clone())),
        ("  seal, then open", sealing_and_opening(aes)),
        ("chacha20poly1305", sealing(chacha.clone())),
        ("  seal, then open", sealing_and_opening(chacha)),
        (
            "the same of orion",
            Box::new(move |text, number| {
                let nonce = by_orion::Nonce::from(nonce(number));
                let tag =
                    by_orion::ChaCha20Poly1305::seal_inplace(&orion, &nonce, Some(&BESIDE), text);
                black_box(tag.expect("it is short"));
            }),
        ),
        (
            "copying",
            Box::new(move |text, _| {
                copied[..text.len()].copy_from_slice(text);
                black_box(&mut copied);
            }),
        ),
    ]
}

fn sealing<C: AeadInOut<NonceSize = aes_gcm::aead::consts::U12> + 'static>(cipher: C) -> Work {
    Box::new(move |text, number| {
        let nonce = nonce(number).into();
        let tag = cipher.encrypt_inout_detached(&nonce, &BESIDE, text.into());
        black_box(tag.expect("it is short"));
    })
}

fn sealing_and_opening<C: AeadInOut<NonceSize = aes_gcm::aead::consts::U12> + 'static>(
    cipher: C,
) -> Work {
    Box::new(move |text, number| {
        let nonce = nonce(number).into();
        let tag = cipher.encrypt_inout_detached(&nonce, &BESIDE, text.into());
        let tag = tag.expect("it is short");
        let opened = cipher.decrypt_inout_detached(&nonce, &BESIDE, text.into(), &tag);
        opened.expect("it was sealed");
    })
}
