//! Frames a second: [`measure`] has the subjects take turns at carrying notes of one size.

use crate::members::{self, Links};
use crate::plain;
use bytes::Bytes;
use holm_raft_core::NodeId;
use holm_transport::Relaying;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

const ROUNDS: usize = 7;
/// The most bytes in a round.
pub(crate) const ROUND_BYTES: usize = 1 << 30;
/// The most frames in a round.
const ROUND_FRAMES: usize = 400_000;
/// Before each round, so great a part of it goes over the same connection untimed: the kernel finds
/// out about a new connection only once, and so do links that last.
const WARM_PART: usize = 4;
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

/// What was measured of a subject.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    /// The median of its frames a second.
    pub(crate) frames: f64,
    /// The median of what it reached of the limit in the same round.
    pub(crate) of_limit: f64,
}

/// Each subject's rate.
pub(crate) fn measure(runtime: &Runtime, bytes: usize) -> [Rate; 3] {
    let mut rounds = [[0.0; 3]; ROUNDS];
    for rates in &mut rounds {
        for (subject, rate) in Subject::ALL.into_iter().zip(rates) {
            *rate = one(runtime, subject, bytes, ROUND_BYTES);
        }
    }
    [0, 1, 2].map(|subject| Rate {
        frames: median(rounds.map(|rates| rates[subject])),
        of_limit: median(rounds.map(|rates| rates[subject] / rates[0])),
    })
}

fn median(mut values: [f64; ROUNDS]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[ROUNDS / 2]
}

/// One round: frames a second, with at most so many bytes.
pub(crate) fn one(runtime: &Runtime, subject: Subject, bytes: usize, most: usize) -> f64 {
    let frames = (most / bytes).min(most / ROUND_BYTES * ROUND_FRAMES);
    let warm = frames / WARM_PART;
    let work = async move {
        match subject {
            Subject::Tokio => plain::copy(warm, frames, bytes).await.expect("loopback"),
            Subject::Members(links) => carry(links, warm, frames, bytes).await,
        }
    };
    // On a worker, as a node is, not beside them.
    let took = runtime.block_on(async { tokio::task::spawn(work).await.expect("no panic") });
    f64::from(u32::try_from(frames).expect("few")) / took.as_secs_f64()
}

async fn carry(links: Links, warm: usize, frames: usize, bytes: usize) -> Duration {
    let [one, mut two] = members::members(links, Relaying::On, members::all).await;
    let window = WINDOW_FRAMES.min(WINDOW_BYTES / bytes);
    // Room is given back and taken by halves, which costs each note next to nothing.
    let half = window / 2;
    let room = Arc::new(Semaphore::new(window));
    let given = Arc::clone(&room);
    let sending = tokio::task::spawn(async move {
        let note = Bytes::from(vec![7; bytes]);
        for number in 0..warm + frames {
            if number % half == 0 {
                let halves = u32::try_from(half).expect("a small window");
                room.acquire_many(halves).await.expect("never closed").forget();
            }
            one.transport.tell(NodeId(2), note.clone()).expect("room for it");
        }
        one
    });
    let mut began = Instant::now();
    for number in 1..=warm + frames {
        assert_eq!(two.hears().await.len(), bytes, "whole");
        if number % half == 0 {
            given.add_permits(half);
        }
        if number == warm {
            began = Instant::now();
        }
    }
    let took = began.elapsed();
    let one = sending.await.expect("no panic");
    one.transport.shutdown().await;
    two.transport.shutdown().await;
    took
}
