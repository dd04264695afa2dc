//! Claims on three nodes in this process, whose clocks a test sets forward: who holds a key, until
//! when by its own clock and by the log, and what is done in a claim's name.

use crate::forward::Forward;
use holm::rendezvous::{Affinity, ClaimError};
use holm::store::{Command, Reply, Store};
use holm::{Node, ProposeOptions};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const TIME: Duration = Duration::from_secs(60);
/// What is left to the holder of [`TIME`], by its own clock: 9 of 11, less 2 ms.
const USED_MS: u64 = 49_088;

struct Three {
    nodes: Vec<Node<Store>>,
    clocks: Vec<Arc<Forward>>,
}

impl Three {
    async fn start() -> Self {
        let (nodes, clocks) = crate::forward::open().await;
        Self { nodes, clocks }
    }

    /// All clocks go forward at once.
    fn pass(&self, millis: u64) {
        self.clocks.iter().for_each(|clock| _ = clock.by.fetch_add(millis, Ordering::SeqCst));
    }

    fn node(&self, id: usize) -> &Node<Store> {
        &self.nodes[id - 1]
    }
}

fn put(value: &'static str) -> Command {
    Command::Put { key: "k".into(), value: value.into(), expect: None }
}

#[tokio::test]
async fn a_key_is_one_members_until_its_time_is_over_and_his_own_clock_says_so_first() {
    let three = Three::start().await;
    let first = three.node(1).claim("key", TIME).await.unwrap();
    assert!(first.still_mine() && first.left() <= Duration::from_millis(USED_MS));
    let taken = three.node(2).claim("key", TIME).await.unwrap_err();
    let ClaimError::Taken { member: 1, token, left } = taken else { panic!("{taken:?}") };
    assert!(token == first.token() && left <= TIME, "{left:?}");

    three.pass(USED_MS);
    assert!(!first.still_mine(), "by its own clock");
    assert_eq!(first.guard(), Err(ClaimError::Lost));
    let taken = three.node(2).claim("key", TIME).await.unwrap_err();
    assert!(matches!(taken, ClaimError::Taken { member: 1, .. }), "not yet by the log: {taken:?}");

    three.pass(60_000 - USED_MS);
    let second = three.node(2).claim("key", TIME).await.unwrap();
    assert!(second.still_mine() && second.token() > first.token());
    assert_eq!(first.renew().await, Err(ClaimError::Lost));
    assert!(!first.still_mine());
    let holder = three.node(2).holder(b"key").unwrap();
    assert_eq!((holder.member, holder.token), (2, second.token()));
    let refused: Vec<_> = three.nodes.iter().map(|node| node.measures().refused["claim"]).collect();
    assert_eq!(refused, [1, 2, 0], "each counts what it has refused");
}

#[tokio::test]
async fn a_claim_is_renewed_for_another_time_and_never_shortened() {
    let three = Three::start().await;
    let claim = three.node(1).claim("key", TIME).await.unwrap();
    claim.renew_for(TIME * 2).await.unwrap();
    three.pass(60_000);
    assert!(claim.still_mine() && three.node(2).claim("key", TIME).await.is_err());
    claim.renew_for(Duration::from_millis(100)).await.unwrap();
    three.pass(20_000);
    assert!(claim.still_mine(), "what was granted before stays");
    let taken = three.node(2).claim("key", TIME).await.unwrap_err();
    assert!(matches!(taken, ClaimError::Taken { member: 1, .. }), "{taken:?}");
    let time = Duration::from_millis(99);
    assert_eq!(claim.renew_for(time).await, Err(ClaimError::Time { time }));
}

#[tokio::test]
async fn a_claim_that_is_renewed_goes_on_and_one_that_is_released_is_anybodys() {
    let three = Three::start().await;
    let first = three.node(1).claim("key", TIME).await.unwrap();
    for _ in 0..3 {
        three.pass(40_000);
        first.renew().await.unwrap();
        assert!(first.still_mine());
    }
    assert!(three.node(3).claim("key", TIME).await.is_err());
    let copy = first.clone();
    first.release().await.unwrap();
    assert!(!copy.still_mine(), "clones are the same claim");
    let third = three.node(3).claim("key", TIME).await.unwrap();
    assert!(third.token() > copy.token());
    assert_eq!(copy.renew().await, Err(ClaimError::Lost));
    assert!(third.still_mine());
}

#[tokio::test]
async fn what_is_done_in_the_name_of_a_claim_that_is_over_is_refused_on_every_member() {
    let three = Three::start().await;
    let first = three.node(1).claim("key", TIME).await.unwrap();
    let done = first.propose(put("first")).await.unwrap();
    assert_eq!(done.reply, Reply::Put { revision: 1 });
    // Its holder goes on as if nothing had happened: his command is on its way.
    three.pass(60_000);
    let second = three.node(2).claim("key", TIME).await.unwrap();
    for node in &three.nodes {
        let late =
            node.propose_fenced(first.fence().clone(), put("late"), ProposeOptions::default());
        assert_eq!(late.await, Err(ClaimError::Lost));
    }
    assert_eq!(first.propose(put("late")).await, Err(ClaimError::Lost), "asked of its own clock");
    second.propose(put("second")).await.unwrap();
    // Over by the log, though nobody else has claimed it.
    three.pass(60_000);
    let late = second.fence().clone();
    let late = three.node(2).propose_fenced(late, put("late"), ProposeOptions::default()).await;
    assert_eq!(late, Err(ClaimError::Lost));
    let value = three.node(3).read(|store| store.key("k").unwrap().value.clone()).await.unwrap();
    assert_eq!(value, "second");
}

#[tokio::test]
async fn a_fenced_command_repeated_under_its_key_is_applied_once_whatever_became_of_the_claim() {
    let three = Three::start().await;
    let claim = three.node(1).claim("key", TIME).await.unwrap();
    let again = || {
        let options = ProposeOptions { key: Some("once".into()), timeout: None };
        let add = Command::Add { name: "n".into(), by: 1 };
        three.node(2).propose_fenced(claim.fence().clone(), add, options)
    };
    let first = again().await.unwrap();
    three.pass(60_000);
    assert_eq!(again().await, Ok(first), "it was done while the claim lasted");
    assert_eq!(three.node(3).read(|store| store.counter("n")).await, Ok(1));
}

#[tokio::test]
async fn a_claim_ends_by_the_holders_clock_alone_though_the_others_stand_still() {
    let three = Three::start().await;
    let claim = three.node(1).claim("key", TIME).await.unwrap();
    // The member was suspended, and nobody else was.
    three.clocks[0].by.fetch_add(USED_MS, Ordering::SeqCst);
    assert!(!claim.still_mine());
    claim.renew().await.expect("the log still grants it to nobody else");
    assert!(claim.still_mine());
}

#[tokio::test]
async fn bad_keys_and_times_are_refused_by_name() {
    let three = Three::start().await;
    let node = three.node(1);
    for bytes in [0, 257] {
        let error = node.claim(vec![b'k'; bytes], TIME).await.unwrap_err();
        assert_eq!(error, ClaimError::Key { bytes });
    }
    for time in [Duration::from_millis(99), Duration::from_millis(86_400_001)] {
        let error = node.claim("key", time).await.unwrap_err();
        assert_eq!(error, ClaimError::Time { time });
    }
    assert!(node.claim(vec![b'k'; 256], Duration::from_millis(100)).await.is_ok());
}

#[tokio::test]
async fn all_members_place_a_key_alike_by_the_committed_configuration() {
    let three = Three::start().await;
    let mut placements = Vec::new();
    for node in &three.nodes {
        // Known here a tick after this is.
        node.read(|_| ()).await.unwrap();
        let mut status = node.status();
        while node.placement().places().is_empty() {
            status.changed().await.unwrap();
        }
        placements.push(node.placement());
    }
    assert!(placements.windows(2).all(|pair| pair[0] == pair[1]), "{placements:?}");
    let owners = placements[0].order(b"host-1", Affinity::None);
    assert_eq!((owners.index.0, owners.order), (1, vec![1, 3, 2]));
}
