//! How long one core takes to seal a session's state and to open it again, next to `pasetors`
//! v4.local, `cookie`'s `PrivateJar` and `fernet`; how long their tokens are; and how many one-time
//! tickets a second three members issue and consume.
//!
//! `cargo xtask session-peers`: medians of nine rounds in which the subjects take turns. It fails
//! where Holm takes more than 5 µs for either at 512 B, or where that token is over 770 characters.
#![forbid(unsafe_code)]

mod subjects;
mod tickets;

use std::process::ExitCode;
use std::time::Instant;
use subjects::{Subject, subjects};

const SIZES: [usize; 3] = [64, 512, 2048];
const ROUNDS: usize = 9;
/// How often each does it in each round.
const TIMES: u32 = 2_000;
/// The most nanoseconds that sealing or opening 512 B may take.
const NANOS_MAX: u64 = 5_000;
/// The most characters of a token of 512 B.
const LENGTH_MAX: usize = 770;

/// Median nanoseconds to seal and to open, and characters.
#[derive(Clone, Copy, Default)]
struct Measured {
    seal: u64,
    open: u64,
    length: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let nodes = tickets::open().await;
    let subjects = subjects(&nodes[0]).await;
    let mut ours = Measured::default();
    println!(
        "                     {:>6} {:>9} {:>9} {:>11}",
        "bytes", "seal ns", "open ns", "characters"
    );
    for size in SIZES {
        for (at, measured) in measure(&subjects, size).into_iter().enumerate() {
            let Measured { seal, open, length } = measured;
            println!("{:20} {size:6} {seal:9} {open:9} {length:11}", subjects[at].name);
            if at == 0 && size == 512 {
                ours = measured;
            }
        }
    }
    let (issued, consumed) = tickets::measure(&nodes).await;
    println!("tickets a second on three members: {issued} issued, {consumed} consumed");
    if ours.seal > NANOS_MAX || ours.open > NANOS_MAX || ours.length > LENGTH_MAX {
        eprintln!("at 512 B at most {NANOS_MAX} ns and {LENGTH_MAX} characters are wanted");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(subjects: &[Subject], size: usize) -> Vec<Measured> {
    // Bytes that nothing makes shorter, and that are text for those who take no other.
    let letters = (0..size).map(|at| char::from(b'a' + u8::try_from(at * 7 % 26).expect("small")));
    let state: String = letters.collect();
    let mut rounds = vec![(Vec::new(), Vec::new()); subjects.len()];
    let tokens: Vec<String> = subjects.iter().map(|subject| (subject.seal)(&state)).collect();
    for _ in 0..ROUNDS {
        for ((subject, token), (seals, opens)) in subjects.iter().zip(&tokens).zip(&mut rounds) {
            seals.push(nanos(|| drop(std::hint::black_box((subject.seal)(&state)))));
            opens.push(nanos(|| {
                let opened = std::hint::black_box((subject.open)(token));
                assert_eq!(opened, size);
            }));
        }
    }
    let median = |mut all: Vec<u64>| {
        all.sort_unstable();
        all[ROUNDS / 2]
    };
    let measured = |((seals, opens), token): ((Vec<u64>, Vec<u64>), &String)| Measured {
        seal: median(seals),
        open: median(opens),
        length: token.len(),
    };
    rounds.into_iter().zip(&tokens).map(measured).collect()
}

fn nanos(mut work: impl FnMut()) -> u64 {
    let began = Instant::now();
    for _ in 0..TIMES {
        work();
    }
    u64::try_from(began.elapsed().as_nanos() / u128::from(TIMES)).unwrap_or(u64::MAX)
}
