//! Sealed sessions on a cluster: sealed by one member and opened by another, while keys rotate and
//! are revoked, and subjects are logged out.

use holm::session::{KeyState, Opened, Refused, SealError, SessionError, SessionOptions, Sessions};
use holm::store::Store;
use holm::{Config, Edges, KeyRing, Node, ReadOptions, Secret, Start, StateMachine, Storage};
use std::sync::mpsc;
use std::time::Duration;

fn secret(number: u8) -> Secret {
    Secret::generate(&mut |out| out.fill(number))
}

async fn open() -> Vec<Node<Store>> {
    let mut nodes = Vec::new();
    for mut config in Config::local_cluster(3).await.unwrap() {
        config.request_timeout = Duration::from_secs(60);
        config.session_secrets = Some(KeyRing::of(secret(1)));
        nodes.push(Node::open(config, Store::default()).await.unwrap());
    }
    nodes
}

async fn sessions<S: StateMachine>(nodes: &[Node<S>]) -> Vec<Sessions<S>> {
    let mut all = Vec::new();
    for node in nodes {
        all.push(node.sessions(SessionOptions::new("app")).await.unwrap());
    }
    all
}

fn state(opened: Result<Opened<String>, Refused>) -> Result<String, Refused> {
    opened.map(|opened| opened.state)
}

#[tokio::test]
async fn what_one_member_seals_another_opens_across_rotations_and_not_once_its_key_is_revoked() {
    let nodes = open().await;
    let at = sessions(&nodes).await;
    let token = at[0].sealer().seal(&"ada").unwrap();
    assert_eq!(state(at[2].opener().open(&token).await), Ok("ada".into()));
    assert_eq!(nodes[1].session_keys().rotate().await, Ok(2));
    let opened = at[2].opener().open_linearizable::<String>(&token).await.unwrap();
    assert!(opened.is_to_be_resealed());
    let newer = at[1].sealer().seal(&"eve").unwrap();
    let opened = at[0].opener().open::<String>(&newer).await.unwrap();
    assert!(!opened.is_to_be_resealed());
    let listed = nodes[0].session_keys().list().await.unwrap();
    let states: Vec<_> = listed.iter().map(|key| (key.key, key.state)).collect();
    assert_eq!(states, [(1, KeyState::Retiring), (2, KeyState::Active)]);
    // The active one: another is made first.
    nodes[0].session_keys().revoke(2).await.unwrap();
    assert_eq!(state(at[2].opener().open_linearizable(&newer).await), Err(Refused));
    assert_eq!(state(at[2].opener().open(&token).await), Ok("ada".into()));
    assert!(at[0].sealer().seal(&"bob").is_ok());
    let unknown = nodes[0].session_keys().revoke(9).await;
    assert_eq!(unknown, Err(SessionError::UnknownKey { key: 9 }));
    assert_eq!(at[2].refused(), 1);
}

#[tokio::test]
async fn a_subject_is_logged_out_everywhere_and_nobody_else_is() {
    let nodes = open().await;
    let at = sessions(&nodes).await;
    let seal = |subject: &[u8]| at[0].sealer().seal_for(subject, &"state").unwrap();
    let (ada, eve) = (seal(b"ada"), seal(b"eve"));
    let nobodys = at[0].sealer().seal(&"state").unwrap();
    nodes[1].revoke_sessions(b"ada").await.unwrap();
    assert!(at[1].opener().open_here::<String>(&ada).is_err(), "where it is applied");
    for at in &at {
        assert_eq!(state(at.opener().open_linearizable(&ada).await), Err(Refused));
        assert!(at.opener().open::<String>(&eve).await.is_ok());
        assert!(at.opener().open::<String>(&nobodys).await.is_ok());
    }
    let again = at[2].sealer().seal_for(b"ada", &"state").unwrap();
    assert!(at[0].opener().open_linearizable::<String>(&again).await.is_ok());
}

#[tokio::test]
async fn a_token_is_for_its_cookie_its_purpose_and_its_cluster_alone() {
    let (nodes, elsewhere) = (open().await, open().await);
    let at = sessions(&nodes).await;
    let token = at[0].sealer().seal(&"ada").unwrap();
    let options = |name: &str, purpose: &str| SessionOptions {
        purpose: purpose.into(),
        ..SessionOptions::new(name)
    };
    for wrong in [options("other", "session"), options("app", "other")] {
        let other = nodes[0].sessions(wrong).await.unwrap();
        assert_eq!(state(other.opener().open(&token).await), Err(Refused));
    }
    // Another cluster draws other keys, though all its names and secrets are the same.
    let there = sessions(&elsewhere).await;
    assert_eq!(state(there[0].opener().open(&token).await), Err(Refused));
    assert_eq!(state(at[0].opener().open("nonsense").await), Err(Refused));
}

#[tokio::test]
async fn a_session_that_browsers_would_not_keep_is_refused_with_its_size() {
    let nodes = open().await;
    let at = sessions(&nodes[..1]).await;
    let error = at[0].sealer().seal(&vec![1_u8; 3_100]).unwrap_err();
    let SealError::TooLarge { bytes, limit: 4096 } = error else { panic!("{error}") };
    assert!(bytes > 4096);
    let attributes = "__Host-app=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=43200".len();
    let longest = (1..3_100).rev().find_map(|size| at[0].sealer().seal(&vec![1_u8; size]).ok());
    let longest = longest.unwrap().len() + attributes;
    assert!((4_090..=4_096).contains(&longest), "{longest}");
}

#[tokio::test]
async fn without_a_secret_there_are_no_sessions_and_the_mend_is_told() {
    let config = Config::local_cluster(1).await.unwrap().remove(0);
    let node = Node::open(config, Store::default()).await.unwrap();
    let refused = node.sessions(SessionOptions::new("app")).await.err().unwrap();
    assert!(refused.to_string().contains("set session_secrets"), "{refused}");
    assert_eq!(node.session_keys().rotate().await, Err(SessionError::NoSecret));
    assert_eq!(node.session_keys().list().await, Ok(Vec::new()));
}

#[tokio::test]
async fn the_secret_is_exchanged_and_the_keys_move_under_the_new_one_without_a_stop() {
    let nodes = open().await;
    let at = sessions(&nodes).await;
    let token = at[0].sealer().seal(&"ada").unwrap();
    let ring = |numbers: &[u8]| -> KeyRing {
        let lines = numbers.iter().map(|number| format!("{}\n", *secret(*number).reveal()));
        lines.collect::<String>().parse().unwrap()
    };
    let new = secret(2).id().to_string();
    for step in [&[1, 2][..], &[2, 1], &[2]] {
        if step == [2] {
            // Before the old one goes, the keys are under the new one.
            while nodes[0].session_keys().list().await.unwrap()[0].secret.as_ref() != Some(&new) {
                tokio::task::yield_now().await;
            }
        }
        for node in &nodes {
            node.change_secrets(ring(step)).await.unwrap();
        }
    }
    nodes[0].session_keys().rotate().await.unwrap();
    for at in &at {
        assert_eq!(state(at.opener().open_linearizable(&token).await), Ok("ada".into()));
    }
}

#[tokio::test]
async fn what_a_member_has_refused_as_revoked_it_refuses_when_it_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |start| {
        let mut config = Config::local_cluster(1).await.unwrap().remove(0);
        config.start = start;
        config.storage = Storage::Disk(folder.path().to_owned());
        config.session_secrets = Some(KeyRing::of(secret(1)));
        config.request_timeout = Duration::from_secs(60);
        config.snapshot_entries = 20;
        Node::open(config, Store::default()).await.unwrap()
    };
    let node = open(Start::Bootstrap).await;
    let before = sessions(std::slice::from_ref(&node)).await.remove(0);
    let token = before.sealer().seal_for(b"ada", &"state").unwrap();
    // A snapshot has the key, and not yet that it was revoked.
    let mut status = node.status();
    let mut applied = 0;
    while applied < 20 {
        node.revoke_sessions(b"eve").await.unwrap();
        applied = status.wait_for(|status| status.applied > applied).await.unwrap().applied;
    }
    // No more is written meanwhile: it would come into a second one.
    status.wait_for(|status| status.snapshot > 0).await.unwrap();
    node.revoke_sessions(b"ada").await.unwrap();
    assert!(before.opener().open_here::<String>(&token).is_err());
    let at_snapshot = status.borrow().snapshot;
    drop(before);
    node.shutdown().await;
    drop(node);
    let node = open(Start::Join).await;
    assert_eq!(node.status().borrow().applied, at_snapshot, "it begins from its snapshot");
    let after = sessions(std::slice::from_ref(&node)).await.remove(0);
    assert!(after.opener().open_here::<String>(&token).is_err());
    assert_eq!(state(after.opener().open(&token).await), Err(Refused));
    let again = after.sealer().seal_for(b"ada", &"state").unwrap();
    assert_eq!(state(after.opener().open(&again).await), Ok("state".into()));
}

/// Members of a cluster of this name whose surroundings outlast them.
async fn configs(cluster: &str, number: u8) -> Vec<(Config, Edges)> {
    let configs = Config::local_cluster(3).await.unwrap();
    let configured = |mut config: Config| {
        config.cluster = cluster.into();
        config.request_timeout = Duration::from_secs(60);
        config.session_secrets = Some(KeyRing::of(secret(number)));
        (config, Edges::in_memory())
    };
    configs.into_iter().map(configured).collect()
}

async fn open_all(members: Vec<(Config, Edges)>, start: Start) -> Vec<Node<Store>> {
    let mut nodes = Vec::new();
    for (mut config, edges) in members {
        config.start = start;
        nodes.push(Node::open_with(config, edges, Store::default()).await.unwrap());
    }
    nodes
}

#[tokio::test]
async fn what_was_sealed_before_a_restore_is_void_and_new_sessions_begin_at_once() {
    let before = open_all(configs("harbour", 1).await, Start::Bootstrap).await;
    let at = sessions(&before).await;
    let token = at[0].sealer().seal_for(b"ada", &"ada").unwrap();
    let backup = before[1].backup(ReadOptions::default()).await.unwrap();
    // The backup knows nothing of this.
    before[0].revoke_sessions(b"ada").await.unwrap();
    for node in before {
        node.shutdown().await;
    }
    // The same name and secret, another name, another secret.
    for (cluster, number) in [("harbour", 1), ("pier", 1), ("harbour", 2)] {
        let members = configs(cluster, number).await;
        holm::restore(&backup, "harbour", &members).await.unwrap();
        let after = open_all(members, Start::Join).await;
        let at = sessions(&after).await;
        assert_eq!(state(at[0].opener().open_linearizable(&token).await), Err(Refused));
        let new = at[1].sealer().seal(&"eve").unwrap();
        assert_eq!(state(at[2].opener().open_linearizable(&new).await), Ok("eve".into()));
        let keys = after[0].session_keys().list().await.unwrap();
        let states: Vec<_> = keys.iter().map(|key| (key.key, key.state)).collect();
        assert_eq!(states, [(1, KeyState::Retiring), (2, KeyState::Active)], "{cluster} {number}");
        for node in after {
            node.shutdown().await;
        }
    }
}

/// Waits in `apply` until it may go on, where it is told to.
#[derive(Default)]
struct Gated(Option<mpsc::Receiver<()>>);

impl StateMachine for Gated {
    type Command = ();
    type Reply = ();
    type Snapshot = ();

    fn apply(&mut self, (): ()) {
        if let Some(gate) = &self.0 {
            gate.recv().unwrap();
        }
    }

    fn snapshot(&self) {}

    fn restore((): ()) -> Self {
        Self::default()
    }
}

/// Three members, of which the third waits at a gate. It never leads: a leader that has not applied
/// that a key is wanted makes none.
async fn standing(gate: mpsc::Receiver<()>) -> Vec<Node<Gated>> {
    let mut gate = Some(gate);
    let mut nodes = Vec::new();
    for mut config in Config::local_cluster(3).await.unwrap() {
        config.request_timeout = Duration::from_secs(60);
        config.session_secrets = Some(KeyRing::of(secret(1)));
        let gate = if config.node == 3 { gate.take() } else { None };
        if gate.is_some() {
            config.election_ticks = 60_000;
        }
        nodes.push(Node::open(config, Gated(gate)).await.unwrap());
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_member_asks_before_it_refuses_however_many_keys_it_is_behind() {
    let (pass, gate) = mpsc::channel();
    let nodes = standing(gate).await;
    let at = sessions(&nodes).await;
    // Member 3 has this committed, and stands before it.
    nodes[0].propose(()).await.unwrap();
    for _ in 0..5 {
        nodes[0].session_keys().rotate().await.unwrap();
    }
    let token = at[0].sealer().seal(&"ada").unwrap();
    assert_eq!(state(at[2].opener().open_here(&token)), Err(Refused));
    let opener = at[2].opener();
    let opening = tokio::task::spawn(async move { opener.open::<String>(&token).await });
    pass.send(()).unwrap();
    assert_eq!(state(opening.await.unwrap()), Ok("ada".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_member_that_has_not_heard_of_a_revocation_asks_before_it_opens_what_came_after_it() {
    let (pass, gate) = mpsc::channel();
    let nodes = standing(gate).await;
    let at = sessions(&nodes).await;
    // Member 3 has this committed, and stands before it.
    nodes[0].propose(()).await.unwrap();
    nodes[0].revoke_sessions(b"ada").await.unwrap();
    let token = at[0].sealer().seal_for(b"ada", &"ada").unwrap();
    // What it sealed for her now would be void.
    assert_eq!(state(at[2].opener().open_here(&token)), Err(Refused));
    let opener = at[2].opener();
    let opening = tokio::task::spawn(async move { opener.open::<String>(&token).await });
    pass.send(()).unwrap();
    assert_eq!(state(opening.await.unwrap()), Ok("ada".into()));
    let again = at[2].sealer().seal_for(b"ada", &"ada").unwrap();
    assert_eq!(state(at[0].opener().open(&again).await), Ok("ada".into()));
}
