//! Members whose logs know different configurations, made by hand: who lets in whom.

use super::{Roster, Word, decode, encode};
use crate::member_info::MemberInfo;
use crate::topology::{Island, Member, Topology};
use crate::{
    Config, Edges, KeyPair, KeyRing, Listen, Node, Secret, Security, StateMachine, Status,
};
use holm_raft_core as raft;
use holm_raft_core::{Configuration, Entry, EntryId, EntryKind, HardState, Incarnation, Index};
use holm_raft_core::{LogTime, MemberId, NodeId, Standing, Term};
use holm_wal::{Batch, Identity, Options, Wal};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Nothing but a log.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
struct Nothing;

impl StateMachine for Nothing {
    type Command = ();
    type Reply = ();
    type Snapshot = Self;

    fn apply(&mut self, (): ()) {}

    fn snapshot(&self) -> Self {
        Self
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

const CLUSTER: &str = "away";

fn member(node: u64) -> MemberId {
    MemberId::new(NodeId(node), Incarnation(node * 100))
}

fn pair(node: u64) -> KeyPair {
    let byte = u8::try_from(node).unwrap();
    KeyPair::generate(&mut |bytes| bytes.fill(byte))
}

/// The configuration in which these members of the topology stand like this.
fn configuration(topology: &Topology, standings: &[Standing]) -> Configuration {
    let member = |(node, standing): (u64, &Standing)| {
        let info = MemberInfo::from(topology.member(node).unwrap()).encode();
        (raft::Member { id: member(node), info }, *standing)
    };
    Configuration::with_standings((1..).zip(standings).map(member))
}

/// A cluster that is to be.
struct Plan {
    topology: Topology,
    listeners: Vec<Option<TcpListener>>,
}

impl Plan {
    async fn of(members: u64) -> Self {
        let island = Island { name: "here".into() };
        let mut topology = Topology { islands: vec![island], ..Topology::default() };
        let mut listeners = Vec::new();
        for node in 1..=members {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let mut member = Member::new(node, "here", Some(address));
            member.key = Some(pair(node).public());
            topology.members.push(member);
            listeners.push(Some(listener));
        }
        Self { topology, listeners }
    }

    /// Opens a member whose log holds these configurations, an entry each, and who was told of the
    /// first `named` members by its file.
    async fn open(&mut self, node: u64, named: usize, log: &[Configuration]) -> Node<Nothing> {
        let edges = Edges::in_memory();
        let cluster = crate::digest::digest(CLUSTER.as_bytes());
        let identity = Identity { cluster, member: member(node) };
        let mut topology = self.topology.clone();
        topology.members.truncate(named);
        let ring = KeyRing::of(Secret::generate(&mut |bytes| bytes.fill(7)));
        let security = Security::Sealed { pair: pair(node), ring };
        let mut config = Config::new(CLUSTER, node, topology, security);
        let listener = self.listeners[usize::try_from(node).unwrap() - 1].take().unwrap();
        config.listen = Some(Listen::Bound(Box::new(listener)));
        let options = Options { segment_bytes: config.segment_bytes };
        let mut wal = Wal::create(Arc::clone(&edges.disk), options, identity).unwrap();
        let entry = |(index, configuration): (u64, &Configuration)| Entry {
            id: EntryId::new(Term(1), Index(index)),
            time: LogTime(0),
            kind: EntryKind::Configuration,
            data: configuration.encode(),
        };
        let entries: Vec<_> = (1..).zip(log).map(entry).collect();
        let hard_state = Some(HardState { term: Term(1), ..HardState::default() });
        wal.append(&Batch { hard_state, entries: &entries, ..Batch::default() }).unwrap();
        let job = wal.begin_sync().unwrap();
        wal.finish_sync(job.into_job()()).unwrap();
        drop(wal);
        Node::open_with(config, edges, Nothing).await.unwrap()
    }
}

fn reaches(status: &Status, node: u64) -> bool {
    status.members.iter().any(|member| member.node == node && member.reached != "not connected")
}

#[tokio::test]
async fn a_member_that_was_away_follows_a_leader_for_whom_others_can_vouch_only_later() {
    let mut plan = Plan::of(3).await;
    let before = configuration(&plan.topology, &[Standing::Voter; 2]);
    // 3 joined while 1 was away, and is the only one who can lead. 2 can vouch for it only once it
    // has heard from it what is committed.
    let standings = [Standing::Learner, Standing::Learner, Standing::Voter];
    let now = configuration(&plan.topology, &standings);
    let away = plan.open(1, 2, std::slice::from_ref(&before)).await;
    let other = plan.open(2, 2, &[before.clone(), now.clone()]).await;
    let mut status = away.status();
    status.wait_for(|status| reaches(status, 2)).await.unwrap();
    let joined = plan.open(3, 3, &[before, now]).await;
    let follows = |status: &Status| status.leader == Some(3) && status.applied > 2;
    tokio::time::timeout(Duration::from_secs(60), async {
        for node in [&other, &joined, &away] {
            node.status().wait_for(follows).await.unwrap();
        }
        status.wait_for(|status| reaches(status, 3)).await.unwrap();
    })
    .await
    .expect("the member that was away follows the one it had not heard of");
}

/// Members 1 to 3 of a cluster whose configuration was appended at 4, and is committed.
fn settled(topology: &Topology) -> Roster {
    let own = configuration(topology, &[Standing::Voter; 3]);
    let mut roster = Roster::following(own.clone());
    assert!(!roster.follow(&own, (Index(4), &own)), "nothing new");
    roster
}

/// Who is let in.
fn nodes(roster: &Roster) -> Vec<u64> {
    let ids = roster.configurations().flat_map(Configuration::members);
    let nodes: std::collections::BTreeSet<_> = ids.map(|(member, _)| member.id.node.0).collect();
    nodes.into_iter().collect()
}

#[tokio::test]
async fn a_newer_configuration_is_believed_until_the_log_has_it() {
    let topology = Plan::of(5).await.topology;
    let mut roster = settled(&topology);
    let own = roster.followed.clone();
    let [four, five] = [4, 5].map(|count| configuration(&topology, &[Standing::Voter; 5][..count]));
    assert_eq!(roster.hear(Index(9), four.clone()), Word::Believed);
    assert_eq!(nodes(&roster), [1, 2, 3, 4]);
    assert_eq!(roster.hear(Index(12), five.clone()), Word::Believed);
    assert_eq!(roster.hear(Index(9), four.clone()), Word::Old, "an older one than that");
    assert_eq!(nodes(&roster), [1, 2, 3, 4, 5]);
    // The log catches up: with the first, then with the second.
    assert!(roster.follow(&four, (Index(4), &own)), "appended");
    assert!(!roster.follow(&four, (Index(9), &four)), "committed");
    assert_eq!(nodes(&roster), [1, 2, 3, 4, 5], "the second one is newer still");
    assert!(roster.follow(&five, (Index(9), &four)));
    assert!(roster.follow(&five, (Index(12), &five)));
    assert_eq!((nodes(&roster), roster.vouched), (vec![1, 2, 3, 4, 5], None));
}

#[tokio::test]
async fn an_older_configuration_is_not_believed() {
    let topology = Plan::of(4).await.topology;
    let mut roster = settled(&topology);
    let four = configuration(&topology, &[Standing::Voter; 4]);
    for index in [0, 3, 4] {
        assert_eq!(roster.hear(Index(index), four.clone()), Word::Old, "committed at {index}");
    }
    assert_eq!(nodes(&roster), [1, 2, 3]);
    // After a restart nobody has said yet what of the log is committed.
    let own = configuration(&topology, &[Standing::Voter; 3]);
    let mut restarted = Roster::following(own.clone());
    assert_eq!(restarted.hear(Index(4), own), Word::Old, "that is the log's own");
    let mut unformed = Roster::default();
    assert_eq!(unformed.hear(Index(9), four), Word::Believed, "its file may be older still");
}

#[tokio::test]
async fn what_is_committed_elsewhere_counts_beside_a_later_one_that_is_not_committed_here() {
    let topology = Plan::of(5).await.topology;
    let mut roster = settled(&topology);
    let mut standings = [Standing::Voter; 5];
    let (four, five) = (&standings[..4], &standings[..]);
    let (four, five) = (configuration(&topology, four), configuration(&topology, five));
    let own = roster.followed.clone();
    assert!(roster.follow(&five, (Index(4), &own)), "appended at 9, by a leader that has lost");
    assert_eq!(roster.hear(Index(8), four.clone()), Word::Believed);
    // Another one takes its place, at the same index.
    standings[3] = Standing::Learner;
    let other = configuration(&topology, &standings[..4]);
    assert!(roster.follow(&other, (Index(8), &four)), "another one at 9");
    assert_eq!(nodes(&roster), [1, 2, 3, 4]);
}

#[tokio::test]
async fn nobody_can_vouch_for_another_key_of_a_member_that_is_known() {
    let topology = Plan::of(4).await.topology;
    let mut roster = settled(&topology);
    let mut forged = topology.clone();
    forged.members[1].key = Some(pair(9).public());
    let all = [Standing::Voter; 4];
    let told = configuration(&forged, &all);
    assert_eq!(roster.hear(Index(9), told), Word::Forged(member(2)));
    forged.members[1].key = None;
    assert_eq!(roster.hear(Index(9), configuration(&forged, &all)), Word::Forged(member(2)));
    assert_eq!(nodes(&roster), [1, 2, 3]);

    // A member that has lost its disk comes back in another incarnation, and may have another key.
    let mut replaced = topology.clone();
    replaced.members[1].key = Some(pair(9).public());
    let members = configuration(&replaced, &all).members().cloned().collect::<Vec<_>>();
    let anew = members.into_iter().map(|(member, standing)| {
        let node = member.id.node;
        let id = MemberId::new(node, Incarnation(node.0 * 100 + u64::from(node == NodeId(2))));
        (raft::Member { id, ..member }, standing)
    });
    let anew = Configuration::with_standings(anew);
    assert_eq!(roster.hear(Index(9), anew), Word::Believed);
    assert_eq!(nodes(&roster), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_note_survives_its_bytes_and_nothing_else_is_one() {
    let topology = Plan::of(3).await.topology;
    let own = configuration(&topology, &[Standing::Voter; 3]);
    let note = encode(Index(7), &own);
    assert_eq!(decode(&note), Some((Index(7), own)));
    for length in 0..note.len() {
        assert_eq!(decode(&note.slice(..length)), None, "{length} bytes");
    }
    assert_eq!(decode(&encode(Index(7), &Configuration::default())), None, "of nobody");
}
