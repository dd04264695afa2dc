//! Tickets a second: three members in one process, with their logs in memory.

use holm::store::Store;
use holm::{Config, KeyRing, Node, Secret};
use std::time::{Duration, Instant};

/// How many tickets are issued and consumed.
const TICKETS: usize = 20_000;
/// How many clients at a time, spread over the members.
const CLIENTS: usize = 192;

pub(crate) async fn open() -> Vec<Node<Store>> {
    let secret = Secret::generate(&mut |out| out.fill(7));
    let mut nodes = Vec::new();
    for mut config in Config::local_cluster(3).await.expect("ports") {
        config.session_secrets = Some(KeyRing::of(secret.clone()));
        nodes.push(Node::open(config, Store::default()).await.expect("it opens"));
    }
    nodes
}

/// Tickets issued and consumed, a second.
pub(crate) async fn measure(nodes: &[Node<Store>]) -> (u128, u128) {
    let began = Instant::now();
    let issue = |client: usize| {
        let tickets = nodes[client % nodes.len()].tickets("bench");
        tokio::spawn(async move {
            let mut texts = Vec::new();
            for _ in 0..TICKETS / CLIENTS {
                let ticket = tickets.issue(Duration::from_secs(600), b"").await;
                texts.push(ticket.expect("it is issued").reveal().to_string());
            }
            texts
        })
    };
    let issuing: Vec<_> = (0..CLIENTS).map(issue).collect();
    let mut texts = Vec::new();
    for issued in issuing {
        texts.push(issued.await.expect("no panic"));
    }
    let issued = rate(&began);
    let began = Instant::now();
    let consume = |(client, texts): (usize, Vec<String>)| {
        // Elsewhere than where it was issued.
        let tickets = nodes[(client + 1) % nodes.len()].tickets("bench");
        tokio::spawn(async move {
            for text in texts {
                tickets.consume(&text, b"bench").await.expect("it is good");
            }
        })
    };
    let consuming: Vec<_> = texts.into_iter().enumerate().map(consume).collect();
    for consumed in consuming {
        consumed.await.expect("no panic");
    }
    (issued, rate(&began))
}

fn rate(began: &Instant) -> u128 {
    (TICKETS / CLIENTS * CLIENTS) as u128 * 1_000_000 / began.elapsed().as_micros().max(1)
}
