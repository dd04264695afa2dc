//! One-time tickets on a cluster: made on any member, consumed on any member, once.

use holm::session::TicketError;
use holm::store::Store;
use holm::{Config, Node};
use std::collections::BTreeSet;
use std::time::Duration;

async fn open(members: u64) -> Vec<Node<Store>> {
    let mut nodes = Vec::new();
    for mut config in Config::local_cluster(members).await.unwrap() {
        config.request_timeout = Duration::from_secs(60);
        config.snapshot_entries = 200;
        nodes.push(Node::open(config, Store::default()).await.unwrap());
    }
    nodes
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_ticket_made_on_one_member_is_consumed_once_on_another() {
    let nodes = open(3).await;
    let ticket = nodes[0].tickets("login").issue(HOUR, b"ada").await.unwrap();
    let text = ticket.reveal();
    assert_eq!(nodes[2].tickets("login").open().await, Ok(1));
    let refused = Err(TicketError::Refused);
    assert_eq!(nodes[1].tickets("mail").consume(&text, b"x").await, refused, "another purpose");
    assert_eq!(nodes[1].tickets("login").consume(&text[..30], b"x").await, refused);
    assert_eq!(nodes[1].tickets("login").consume(&text, b"x").await, Ok(b"ada".to_vec()));
    assert_eq!(nodes[2].tickets("login").consume(&text, b"x").await, Ok(b"ada".to_vec()), "again");
    assert_eq!(nodes[2].tickets("login").consume(&text, b"y").await, refused);
    assert_eq!(nodes[0].tickets("login").withdraw(&text).await, Err(TicketError::Refused));
    assert_eq!(nodes[2].tickets("login").open().await, Ok(0));
    let refused: Vec<_> = nodes.iter().map(|node| node.measures().refused["ticket"]).collect();
    assert_eq!(refused, [1, 2, 1], "each counts what it has refused");
}

#[tokio::test]
async fn what_is_beyond_a_bound_is_refused_by_its_name_and_no_ticket_is_made() {
    let nodes = open(1).await;
    let tickets = nodes[0].tickets("login");
    let told = |error: TicketError| error.to_string();
    let error = tickets.issue(HOUR, &[0; 1025]).await.unwrap_err();
    assert_eq!(
        told(error),
        "a ticket's payload of 1025 bytes is over the limit of 1024; send less"
    );
    let error = tickets.issue(Duration::from_millis(999), b"").await.unwrap_err();
    assert_eq!(told(error), "a ticket can't live for 999ms; give it from 1 s to 400 days");
    let error = nodes[0].tickets(&"p".repeat(65)).issue(HOUR, b"").await.unwrap_err();
    assert_eq!(told(error), "a ticket's purpose of 65 bytes is over the limit of 64; send less");
    assert_eq!(tickets.open().await, Ok(0));
}

#[tokio::test]
async fn a_thousand_tickets_presented_at_all_members_at_once_are_consumed_once_each() {
    let nodes = open(3).await;
    let issue = |nth: usize| {
        let tickets = nodes[nth % 3].tickets("login");
        tokio::task::spawn(async move { tickets.issue(HOUR, b"").await.unwrap().reveal() })
    };
    let mut texts = Vec::new();
    for issued in (0..1_000).map(issue).collect::<Vec<_>>() {
        texts.push(issued.await.unwrap());
    }
    let present = |client: u8| {
        let (tickets, texts) = (nodes[usize::from(client) % 3].tickets("login"), texts.clone());
        let consumer = [client];
        tokio::task::spawn(async move {
            let present = |nth: usize| tickets.consume(&texts[nth], &consumer);
            let mut consumed = BTreeSet::new();
            // Each begins elsewhere, and many are under way.
            for step in 0..texts.len() {
                let nth = (step + usize::from(client) * 150) % texts.len();
                match present(nth).await {
                    Ok(_) => assert!(consumed.insert(nth)),
                    Err(error) => assert_eq!(error, TicketError::Refused),
                }
            }
            consumed
        })
    };
    let mut seen = BTreeSet::new();
    for client in (0..6).map(present).collect::<Vec<_>>() {
        for nth in client.await.unwrap() {
            assert!(seen.insert(nth), "ticket {nth} was consumed twice");
        }
    }
    assert_eq!(seen.len(), 1_000);
    assert_eq!(nodes[0].tickets("login").open().await, Ok(0));
}
