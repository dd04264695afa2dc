//! How many owners a second one core looks up, and whole fail-over orders, among 3, 51 and 1,001
//! members, of equal weights and of different ones.
//!
//! `cargo bench -p holm-benches --bench rendezvous`: medians of five rounds, over keys of 32 bytes.
#![forbid(unsafe_code)]

use holm::Index;
use holm::rendezvous::{Affinity, Place, Placement};
use std::hint::black_box;
use std::time::Instant;

const MEMBERS: [u16; 3] = [3, 51, 1_001];
const ROUNDS: usize = 5;
const KEYS: usize = 4_096;
/// How many draws, one for each key and member, make a round.
const ROUND_DRAWS: usize = 4_000_000;

fn main() {
    let keys: Vec<String> = (0..KEYS).map(|number| format!("{number:032x}")).collect();
    println!("look-ups a second     {:>11} {:>11} {:>11}", 3, 51, "1,001");
    let owner = |placement: &Placement, key: &[u8]| placement.owner(key);
    let order = |placement: &Placement, key: &[u8]| placement.order(key, Affinity::None).owner();
    row("owner, even weights", even, owner, &keys);
    row("owner, other weights", other, owner, &keys);
    row("order, even weights", even, order, &keys);
    row("order, other weights", other, order, &keys);
}

fn even(_: u16) -> u16 {
    1
}

fn other(id: u16) -> u16 {
    1 + id % 7
}

fn row(
    name: &str,
    weight: fn(u16) -> u16,
    look: fn(&Placement, &[u8]) -> Option<u64>,
    keys: &[String],
) {
    print!("{name:21}");
    for members in MEMBERS {
        let place = |id: u16| Place { id: id.into(), island: String::new(), weight: weight(id) };
        let placement = Placement::new(Index(1), (1..=members).map(place));
        print!(" {:>11}", rate(&placement, look, keys));
    }
    println!();
}

/// The median of the rounds, in look-ups a second.
fn rate(
    placement: &Placement,
    look: fn(&Placement, &[u8]) -> Option<u64>,
    keys: &[String],
) -> u128 {
    let looks = (ROUND_DRAWS / placement.places().len()).max(KEYS);
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            for key in keys.iter().cycle().take(looks) {
                black_box(look(placement, black_box(key.as_bytes())));
            }
            looks as u128 * 1_000_000_000 / began.elapsed().as_nanos().max(1)
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}
