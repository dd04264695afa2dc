//! How long a small note takes there and back: [`measure`] has the ways take turns.

use crate::members::{self, Links, Talker};
use bytes::Bytes;
use holm_raft_core::NodeId;
use holm_transport::Relaying;
use std::time::Instant;
use tokio::runtime::Runtime;

const ROUNDS: usize = 20;
const TURNS: usize = 500;
const NOTE: Bytes = Bytes::from_static(&[7; 128]);

/// How members 1 and 3 of three reach each other.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    RelayingOff,
    RelayingOn,
    Relayed,
}

impl Way {
    const ALL: [Self; 3] = [Self::RelayingOff, Self::RelayingOn, Self::Relayed];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RelayingOff => "direct, relaying off",
            Self::RelayingOn => "direct, relaying on",
            Self::Relayed => "through another",
        }
    }

    async fn open(self, links: Links) -> [Talker; 3] {
        match self {
            Self::RelayingOff => members::members(links, Relaying::Off, members::all).await,
            Self::RelayingOn => members::members(links, Relaying::On, members::all).await,
            Self::Relayed => members::members(links, Relaying::On, members::neighbours).await,
        }
    }
}

/// The 50th and the 99th percentile by each way, in microseconds.
pub(crate) fn measure(runtime: &Runtime, links: Links) -> Vec<(Way, [f64; 2])> {
    let work = async move {
        let mut ways = Vec::new();
        for way in Way::ALL {
            ways.push((way, way.open(links).await, Vec::new()));
        }
        for _ in 0..ROUNDS {
            for (_, [one, _, three], times) in &mut ways {
                for _ in 0..TURNS {
                    times.push(there_and_back(one, three).await);
                }
            }
        }
        let sorted = ways.into_iter().map(|(way, _, mut times)| {
            times.sort_by(f64::total_cmp);
            (way, [times[times.len() / 2], times[times.len() / 100 * 99]])
        });
        sorted.collect()
    };
    runtime.block_on(async { tokio::task::spawn(work).await.expect("no panic") })
}

async fn there_and_back(one: &mut Talker, three: &mut Talker) -> f64 {
    let began = Instant::now();
    one.transport.tell(NodeId(3), NOTE).expect("a way");
    three.hears().await;
    three.transport.tell(NodeId(1), NOTE).expect("a way");
    one.hears().await;
    began.elapsed().as_secs_f64() * 1e6
}
