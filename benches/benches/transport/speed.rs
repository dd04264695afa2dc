//! Frames a second: [`measure`] has the subjects take turns at carrying notes of one size.

use crate::members::{self, Links};
use crate::plain;
use bytes::Bytes;
use holm_raft_core::NodeId;
use holm_transport::Relaying;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

const ROUNDS: usize = 7;
/// The most bytes in a round.
pub(crate) const ROUND_BYTES: usize = 256 << 20;
/// The most frames in a round.
const ROUND_FRAMES: usize = 400_000;
/// So many notes may be on their way, so that none is lost.
const WINDOW_FRAMES: usize = 2_048;
/// And so many bytes.
const WINDOW_BYTES: usize = 8 << 20;

/// What carries notes.
#[derive(Clone, Copy)]
pub(crate) enum Subject {
    Tokio,
    Members(Links),
}

impl Subject {
    pub(crate) const ALL: [Self; 3] =
        [Self::Tokio, Self::Members(Links::Insecure), Self::Members(Links::Sealed)];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Members(links) => links.name(),
        }
    }
}

/// The median of each subject's frames a second.
pub(crate) fn measure(runtime: &Runtime, bytes: usize) -> [f64; 3] {
    let mut rates = [[0.0; ROUNDS]; 3];
    for round in 0..ROUNDS {
        for (subject, rates) in Subject::ALL.into_iter().zip(&mut rates) {
            rates[round] = one(runtime, subject, bytes, ROUND_BYTES);
        }
    }
    rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    })
}

/// One round: frames a second, with at most so many bytes.
pub(crate) fn one(runtime: &Runtime, subject: Subject, bytes: usize, most: usize) -> f64 {
    let frames = (most / bytes).min(most / ROUND_BYTES * ROUND_FRAMES);
    let work = async move {
        match subject {
            Subject::Tokio => {
                let began = Instant::now();
                plain::copy(frames, bytes).await.expect("loopback");
                began.elapsed()
            }
            Subject::Members(links) => carry(links, frames, bytes).await,
        }
    };
    // On a worker, as a node is, not beside them.
    let took = runtime.block_on(async { tokio::task::spawn(work).await.expect("no panic") });
    f64::from(u32::try_from(frames).expect("few")) / took.as_secs_f64()
}

async fn carry(links: Links, frames: usize, bytes: usize) -> std::time::Duration {
    let [one, mut two] = members::members(links, Relaying::On, members::all).await;
    let window = WINDOW_FRAMES.min(WINDOW_BYTES / bytes);
    // Room is given back and taken by halves, which costs each note next to nothing.
    let half = window / 2;
    let room = Arc::new(Semaphore::new(window));
    let given = Arc::clone(&room);
    let began = Instant::now();
    let sending = tokio::task::spawn(async move {
        let note = Bytes::from(vec![7; bytes]);
        for number in 0..frames {
            if number % half == 0 {
                let halves = u32::try_from(half).expect("a small window");
                room.acquire_many(halves).await.expect("never closed").forget();
            }
            one.transport.tell(NodeId(2), note.clone()).expect("room for it");
        }
        one
    });
    for number in 1..=frames {
        assert_eq!(two.hears().await.len(), bytes, "whole");
        if number % half == 0 {
            given.add_permits(half);
        }
    }
    let took = began.elapsed();
    let one = sending.await.expect("no panic");
    one.transport.shutdown().await;
    two.transport.shutdown().await;
    took
}
