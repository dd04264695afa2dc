//! Members that come, go and are replaced, through the library: in one process, on loopback, with
//! their logs in memory.

use crate::counter::Counter;
use holm::join::{JoinError, join};
use holm::members::{
    Change, ChangeOptions, IncarnationNumber, Members, NewMember, NotChanged, Refusal, Risk,
    Standing, StorageKind, Votes,
};
use holm::topology::{Member, Topology};
use holm::{Config, Edges, Index, Listen, Node, Security, Start, Stop};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);

/// Members in one process. Whoever comes in is told of those that formed the cluster.
struct Cluster {
    topology: Topology,
    nodes: Vec<Option<Node<Counter>>>,
    folder: TempDir,
    /// How many data directories there have been.
    directories: u64,
}

/// A member that is opened on an empty storage.
struct Empty {
    config: Config,
    edges: Edges,
    member: Member,
}

impl Cluster {
    /// With their logs in memory.
    async fn of(members: u64) -> Self {
        let cluster = Self::start(members, StorageKind::Memory).await;
        cluster.at(1).propose(0).await.unwrap();
        cluster
    }

    /// With their logs in directories.
    async fn on_disk(members: u64) -> Self {
        let cluster = Self::start(members, StorageKind::Disk).await;
        cluster.at(1).propose(0).await.unwrap();
        cluster
    }

    async fn start(members: u64, storage: StorageKind) -> Self {
        let configs = Config::local_cluster(members).await.unwrap();
        let (topology, folder) = (configs[0].topology.clone(), tempfile::tempdir().unwrap());
        let mut cluster = Self { topology, nodes: vec![None], folder, directories: 0 };
        for mut config in configs {
            config.request_timeout = STUCK;
            let edges = cluster.edges(storage);
            let opened = Node::open_with(config, edges, Counter::default()).await;
            cluster.nodes.push(Some(opened.unwrap()));
        }
        cluster
    }

    /// An empty storage.
    fn edges(&mut self, storage: StorageKind) -> Edges {
        self.directories += 1;
        let directory = self.folder.path().join(self.directories.to_string());
        match storage {
            StorageKind::Disk => Edges::in_directory(&directory).unwrap(),
            StorageKind::Memory => Edges::in_memory(),
        }
    }

    fn at(&self, node: u64) -> &Node<Counter> {
        self.nodes[usize::try_from(node).unwrap()].as_ref().expect("it runs")
    }

    /// A member on an empty storage, in place of one that is there, if there is one.
    async fn empty(&mut self, node: u64, storage: StorageKind) -> Empty {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Some(listener.local_addr().unwrap().to_string());
        let member = Member::new(node, "local", address);
        let mut topology = self.topology.clone();
        topology.members.retain(|other| other.id != node);
        topology.members.push(member.clone());
        let mut config = Config::new("local", node, topology, Security::Insecure);
        config.listen = Some(Listen::Bound(Box::new(listener)));
        config.request_timeout = STUCK;
        config.start = Start::Join;
        Empty { config, edges: self.edges(storage), member }
    }

    async fn run(&mut self, empty: Empty) {
        let at = usize::try_from(empty.config.node).unwrap();
        let opened = Node::open_with(empty.config, empty.edges, Counter::default()).await;
        self.nodes.resize(self.nodes.len().max(at + 1), None);
        self.nodes[at] = Some(opened.unwrap());
    }

    /// Opens a member that waits; it is on a disk.
    async fn open(&mut self, node: u64) -> NewMember {
        self.open_in(node, StorageKind::Disk).await
    }

    async fn open_in(&mut self, node: u64, storage: StorageKind) -> NewMember {
        let empty = self.empty(node, storage).await;
        let member = empty.member.clone();
        self.run(empty).await;
        let incarnation = self.at(node).status().borrow().incarnation;
        NewMember { incarnation, member, storage }
    }

    /// Where a member accepts others.
    fn address(&self, node: u64) -> String {
        self.topology.member(node).unwrap().address.clone().unwrap()
    }

    async fn leader(&self) -> u64 {
        let mut status = self.any().status();
        let led = status.wait_for(|status| status.leader.is_some()).await.unwrap();
        led.leader.unwrap()
    }

    fn any(&self) -> &Node<Counter> {
        self.nodes.iter().flatten().next().expect("somebody runs")
    }

    /// Waits until the members are as they are to be, as `node` sees them.
    async fn until(&self, node: u64, is: impl Fn(&Members) -> bool) -> Members {
        let mut seen = Members::default();
        let looked = tokio::time::timeout(STUCK, async {
            while !is(&seen) {
                tokio::task::yield_now().await;
                seen = self.at(node).members().await.unwrap();
            }
        });
        looked.await.unwrap_or_else(|_| panic!("the members stay {seen:#?}"));
        seen
    }

    async fn change(&self, node: u64, change: Change) -> Result<Index, NotChanged> {
        self.at(node).change_members(change, None).await
    }

    async fn refused(&self, node: u64, change: Change) -> Refusal {
        match self.change(node, change).await {
            Err(NotChanged::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

fn standings(members: &Members) -> Vec<(u64, Standing)> {
    members.members.iter().map(|member| (member.node, member.standing)).collect()
}

fn voters(nodes: &[u64]) -> Vec<(u64, Standing)> {
    nodes.iter().map(|node| (*node, Standing::Voter)).collect()
}

#[tokio::test]
async fn a_new_member_is_a_learner_and_votes_by_itself_once_it_has_caught_up() {
    let mut cluster = Cluster::of(3).await;
    let before = cluster.at(1).members().await.unwrap();
    assert_eq!(standings(&before), voters(&[1, 2, 3]));
    let follower = 1 + cluster.leader().await % 3;
    let new = cluster.open(4).await;
    let incarnation = new.incarnation;
    let add = Change::Add { new, votes: Votes::OnceCaughtUp };
    // Whoever is asked passes it on.
    let index = cluster.change(follower, add).await.unwrap();
    assert!(index.0 > before.index);
    let all = cluster.until(4, |seen| standings(seen) == voters(&[1, 2, 3, 4])).await;
    assert_eq!(all.members[3].incarnation, incarnation);
    cluster.at(4).propose(5).await.unwrap();
    assert_eq!(cluster.at(4).read(|counter| counter.0).await.unwrap(), 5);
}

#[tokio::test]
async fn members_are_promoted_demoted_and_removed_and_one_that_is_removed_stops() {
    let mut cluster = Cluster::of(3).await;
    let new = cluster.open(4).await;
    let add = Change::Add { new, votes: Votes::WhenPromoted };
    cluster.change(1, add).await.unwrap();
    let caught_up = |seen: &Members| {
        seen.members.iter().any(|member| member.node == 4 && member.trails == Some(0))
    };
    let seen = cluster.until(2, caught_up).await;
    assert_eq!(seen.members[3].standing, Standing::Learner);
    cluster.change(2, Change::Promote { node: 4 }).await.unwrap();
    let nothing = Refusal::Nothing { node: 4, standing: Standing::Voter };
    assert_eq!(cluster.refused(2, Change::Promote { node: 4 }).await, nothing);
    cluster.change(3, Change::Demote { node: 4 }).await.unwrap();
    let seen = cluster.at(1).members().await.unwrap();
    assert_eq!(seen.members[3].standing, Standing::Learner);

    cluster.change(4, Change::Remove { node: 4 }).await.unwrap();
    let stop = cluster.at(4).stopped().await;
    assert!(matches!(stop, Stop::Removed(_)), "{stop:?}");
    assert_eq!(standings(&cluster.at(1).members().await.unwrap()), voters(&[1, 2, 3]));
    assert_eq!(cluster.refused(2, Change::Remove { node: 4 }).await, Refusal::Unknown { node: 4 });
}

#[tokio::test]
async fn what_is_said_of_a_member_changes_and_it_stays_the_same_voter() {
    let cluster = Cluster::of(3).await;
    let before = cluster.at(1).members().await.unwrap().members[2].clone();
    let moved = Member { weight: 5, ..Member::new(3, "local", Some("127.0.0.1:9".into())) };
    let (incarnation, storage) = (before.incarnation, before.storage);
    let new = NewMember { incarnation, member: moved.clone(), storage };
    cluster.change(2, Change::Replace { new: new.clone() }).await.unwrap();
    let seen = cluster.until(3, |seen| seen.members.get(2).is_some_and(|it| it.weight == 5)).await;
    let after = &seen.members[2];
    assert_eq!((after.incarnation, after.standing), (before.incarnation, Standing::Voter));
    assert_eq!(after.address, moved.address);
    cluster.at(3).propose(1).await.unwrap();

    let nothing = Refusal::Nothing { node: 3, standing: Standing::Voter };
    assert_eq!(cluster.refused(1, Change::Replace { new: new.clone() }).await, nothing);
    let kept = NewMember { storage: StorageKind::Disk, ..new.clone() };
    let keyed = Member { key: Some(holm::PublicKey([1; 32])), ..moved };
    for other in [kept, NewMember { member: keyed, ..new }] {
        let refused = cluster.refused(1, Change::Replace { new: other }).await;
        assert_eq!(refused, Refusal::Fixed { node: 3 });
    }
    assert_eq!(cluster.at(1).members().await.unwrap().index, seen.index);
}

#[tokio::test]
async fn a_leader_that_is_removed_leaves_once_that_is_committed() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    cluster.change(leader, Change::Remove { node: leader }).await.unwrap();
    let stop = cluster.at(leader).stopped().await;
    assert!(matches!(stop, Stop::Removed(_)), "{stop:?}");
    let other = 1 + leader % 3;
    cluster.at(other).propose(3).await.unwrap();
    let left = cluster.at(other).members().await.unwrap();
    assert_eq!(left.members.len(), 2);
    assert_ne!(left.leader, Some(leader));
}

#[tokio::test]
async fn a_wiped_member_is_readmitted_as_it_is_connected_and_votes_once_it_has_caught_up() {
    let mut cluster = Cluster::on_disk(3).await;
    let leader = cluster.leader().await;
    let wiped = 1 + leader % 3;
    let there = Refusal::NotThere { node: wiped };
    assert_eq!(cluster.refused(leader, Change::Readmit { node: wiped }).await, there);
    cluster.at(wiped).shutdown().await;
    let new = cluster.open(wiped).await;
    // It listens elsewhere, so that it is the one who dials.
    let connected = |seen: &Members| {
        seen.members.iter().any(|member| member.reached == "in another incarnation")
    };
    cluster.until(leader, connected).await;
    cluster.at(leader).propose(7).await.unwrap();
    cluster.change(leader, Change::Readmit { node: wiped }).await.unwrap();
    let seen = cluster.until(wiped, |seen| standings(seen) == voters(&[1, 2, 3])).await;
    let of = |seen: &Members| seen.members[usize::try_from(wiped).unwrap() - 1].incarnation;
    assert_eq!(of(&seen), new.incarnation);
    assert_eq!(cluster.at(wiped).read(|counter| counter.0).await.unwrap(), 7);
}

#[tokio::test]
async fn what_a_change_expects_is_compared_and_one_that_is_refused_changes_nothing() {
    let cluster = Cluster::of(3).await;
    let before = cluster.at(1).members().await.unwrap();
    let moved = cluster.at(1).change_members(Change::Demote { node: 1 }, Some(Index(99))).await;
    let now = before.index;
    assert_eq!(moved, Err(NotChanged::Refused(Refusal::Moved { now })));
    assert!(moved.unwrap_err().to_string().contains(&format!("at index {now};")));
    for node in [0, 9] {
        let unknown = Refusal::Unknown { node };
        assert_eq!(cluster.refused(2, Change::Promote { node }).await, unknown);
    }
    let member = cluster.topology.members[1].clone();
    let storage = StorageKind::Disk;
    let mut taken = NewMember { incarnation: IncarnationNumber(7), member, storage };
    taken.member.id = 4;
    let add = Change::Add { new: taken.clone(), votes: Votes::OnceCaughtUp };
    let refusal = cluster.refused(3, add).await;
    assert!(refusal.to_string().contains("is another member's address too"), "{refusal}");
    taken.member.id = 2;
    let add = Change::Add { new: taken, votes: Votes::OnceCaughtUp };
    assert_eq!(cluster.refused(3, add).await, Refusal::Already { node: 2 });
    assert_eq!(cluster.at(2).members().await.unwrap().index, before.index);
}

#[tokio::test]
async fn a_change_that_would_leave_no_reachable_quorum_is_refused_unless_it_is_forced() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let (down, up) = (1 + leader % 3, 1 + (leader + 1) % 3);
    cluster.at(down).shutdown().await;
    let is_down = |seen: &Members| {
        seen.members.iter().any(|member| member.node == down && member.reached == "not connected")
    };
    cluster.until(leader, is_down).await;
    let refusal = cluster.refused(leader, Change::Remove { node: up }).await;
    let expected = Refusal::NoQuorum { reached: 1, voters: 2, missing: vec![down] };
    assert_eq!(refusal, expected);
    assert!(refusal.to_string().starts_with("that would leave 1 of 2 voters reachable"));
    // Whoever is down may go.
    cluster.change(leader, Change::Remove { node: down }).await.unwrap();
    cluster.change(leader, Change::Remove { node: up }).await.unwrap();
    let last = cluster.refused(leader, Change::Demote { node: leader }).await;
    assert_eq!(last, Refusal::LastVoter { node: leader });
    let forced = ChangeOptions { allow: vec![Risk::NoQuorum], ..ChangeOptions::default() };
    let last = cluster.at(leader).change_members_with(Change::Remove { node: leader }, forced);
    assert_eq!(last.await, Err(NotChanged::Refused(Refusal::LastVoter { node: leader })));
}

#[tokio::test]
async fn leadership_is_handed_over_to_whoever_is_named_by_whoever_is_asked() {
    let mut cluster = Cluster::of(3).await;
    for to in [3, 1, 2] {
        assert_eq!(cluster.at(1).transfer(Some(to)).await, Ok(to));
    }
    let next = cluster.at(3).transfer(None).await.unwrap();
    assert_ne!(next, 2);
    let new = cluster.open(4).await;
    cluster.change(1, Change::Add { new, votes: Votes::WhenPromoted }).await.unwrap();
    let learner = Refusal::NoVoter { node: 4, standing: Standing::Learner };
    assert_eq!(cluster.at(1).transfer(Some(4)).await, Err(NotChanged::Refused(learner)));
    let unknown = Refusal::Unknown { node: 9 };
    assert_eq!(cluster.at(2).transfer(Some(9)).await, Err(NotChanged::Refused(unknown)));
}

#[tokio::test]
async fn a_member_in_memory_that_restarts_is_readmitted_as_a_learner_by_itself() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let restarts = 1 + leader % 3;
    let at = usize::try_from(restarts).unwrap() - 1;
    let before = cluster.at(leader).members().await.unwrap();
    assert_eq!(before.members[at].storage, StorageKind::Memory);
    cluster.at(leader).propose(3).await.unwrap();
    cluster.at(restarts).shutdown().await;
    let new = cluster.open_in(restarts, StorageKind::Memory).await;
    let back = |seen: &Members| {
        standings(seen) == voters(&[1, 2, 3]) && seen.members[at].incarnation == new.incarnation
    };
    let after = cluster.until(restarts, back).await;
    // Once to give the place to another incarnation, as a learner, and once to let it vote.
    assert!(after.index >= before.index + 2, "{before:?} {after:?}");
    assert_eq!(cluster.at(restarts).read(|counter| counter.0).await.unwrap(), 3);
}

#[tokio::test]
async fn most_voters_in_memory_are_refused_unless_that_is_said() {
    let mut nodes = Vec::new();
    for mut config in Config::local_cluster(3).await.unwrap() {
        config.allow_memory_majority = false;
        nodes.push(Node::open(config, Counter::default()).await.unwrap());
    }
    for node in nodes {
        let Stop::Refused(why) = node.stopped().await else { panic!("it is formed") };
        assert!(why.starts_with("3 of 3 voters keep nothing over a restart"), "{why}");
    }

    let mut cluster = Cluster::on_disk(2).await;
    let new = cluster.open_in(3, StorageKind::Memory).await;
    cluster.change(1, Change::Add { new, votes: Votes::OnceCaughtUp }).await.unwrap();
    cluster.until(3, |seen| standings(seen) == voters(&[1, 2, 3])).await;
    let new = cluster.open_in(4, StorageKind::Memory).await;
    let add = Change::Add { new, votes: Votes::OnceCaughtUp };
    cluster.change(1, add.clone()).await.expect("two of four are no majority");
    cluster.until(4, |seen| standings(seen) == voters(&[1, 2, 3, 4])).await;
    let new = cluster.open_in(5, StorageKind::Memory).await;
    let add = Change::Add { new, votes: Votes::OnceCaughtUp };
    let refusal = Refusal::MemoryMajority { memory: 3, voters: 5 };
    assert_eq!(cluster.refused(1, add.clone()).await, refusal);
    let options = ChangeOptions { allow: vec![Risk::MemoryMajority], ..ChangeOptions::default() };
    cluster.at(1).change_members_with(add, options).await.unwrap();
    cluster.until(5, |seen| standings(seen) == voters(&[1, 2, 3, 4, 5])).await;
}

#[tokio::test]
async fn whoever_has_a_ticket_joins_by_one_address_and_a_ticket_is_good_for_one_member_once() {
    let mut cluster = Cluster::of(3).await;
    cluster.at(2).propose(4).await.unwrap();
    let ticket = cluster.at(2).invite(None, Duration::from_secs(600)).await.unwrap();
    assert_eq!((ticket.cluster.as_str(), ticket.node), ("local", 4));
    let addresses = [cluster.address(3)];
    let mut empty = cluster.empty(4, StorageKind::Disk).await;
    // It knows nobody, and not where it is.
    empty.config.topology.members = vec![Member { island: String::new(), ..empty.member.clone() }];
    join(&mut empty.config, &empty.edges, &ticket, &addresses, STUCK).await.unwrap();
    assert_eq!(empty.config.topology.members.len(), 4);
    assert_eq!(empty.config.topology.member(4).unwrap().island, "local");
    // The answer was lost, say: the same member is answered alike.
    let again = join(&mut empty.config, &empty.edges, &ticket, &addresses, STUCK).await;
    again.expect("it is the same member");
    cluster.run(empty).await;
    cluster.until(4, |seen| standings(seen) == voters(&[1, 2, 3, 4])).await;
    assert_eq!(cluster.at(4).read(|counter| counter.0).await.unwrap(), 4);

    // Another one with the same ticket is not admitted, and nothing is changed.
    let before = cluster.at(1).members().await.unwrap().index;
    let mut thief = cluster.empty(4, StorageKind::Disk).await;
    let refused = join(&mut thief.config, &thief.edges, &ticket, &addresses, STUCK).await;
    let Err(JoinError::Refused { why }) = refused else { panic!("{refused:?}") };
    assert!(why.starts_with("the ticket was used already"), "{why}");
    assert_eq!(cluster.at(1).members().await.unwrap().index, before);
}

#[tokio::test]
async fn a_ticket_that_has_made_a_member_does_not_bring_it_back_once_it_is_removed() {
    let mut cluster = Cluster::of(3).await;
    let ticket = cluster.at(1).invite(None, Duration::from_secs(600)).await.unwrap();
    let addresses = [cluster.address(2)];
    let mut empty = cluster.empty(4, StorageKind::Disk).await;
    join(&mut empty.config, &empty.edges, &ticket, &addresses, STUCK).await.unwrap();
    // It has never run, and so it is the same one still.
    cluster.change(3, Change::Remove { node: 4 }).await.unwrap();
    let refused = join(&mut empty.config, &empty.edges, &ticket, &addresses, STUCK).await;
    let Err(JoinError::Refused { why }) = refused else { panic!("{refused:?}") };
    assert!(why.starts_with("the ticket was used already"), "{why}");
    assert_eq!(standings(&cluster.at(1).members().await.unwrap()), voters(&[1, 2, 3]));
}

#[tokio::test]
async fn a_ticket_of_another_cluster_for_another_number_or_out_of_date_admits_nobody() {
    let mut cluster = Cluster::of(3).await;
    let before = cluster.at(1).members().await.unwrap().index;
    let (addresses, hour) = ([cluster.address(1)], Duration::from_secs(3600));
    let brief = Duration::from_millis(400);

    let mut elsewhere = cluster.empty(4, StorageKind::Disk).await;
    elsewhere.config.cluster = "other".into();
    let ticket = cluster.at(1).invite(Some(4), hour).await.unwrap();
    let asked = join(&mut elsewhere.config, &elsewhere.edges, &ticket, &addresses, brief).await;
    let Err(JoinError::Unanswered { why, .. }) = asked else { panic!("{asked:?}") };
    assert!(why.contains("is it a member of cluster \"other\""), "{why}");

    let mut other = cluster.empty(5, StorageKind::Disk).await;
    let asked = join(&mut other.config, &other.edges, &ticket, &addresses, STUCK).await;
    let Err(JoinError::Refused { why }) = asked else { panic!("{asked:?}") };
    assert!(why.contains("the ticket is not for member 5"), "{why}");

    let ticket = cluster.at(2).invite(Some(6), Duration::from_secs(1)).await.unwrap();
    let mut late = cluster.empty(6, StorageKind::Disk).await;
    let tickets = cluster.at(2).tickets("holm: join");
    while tickets.open().await.unwrap() > 0 {
        // Log time goes on with what is written.
        cluster.at(1).propose(1).await.unwrap();
    }
    let asked = join(&mut late.config, &late.edges, &ticket, &addresses, STUCK).await;
    let Err(JoinError::Refused { why }) = asked else { panic!("{asked:?}") };
    assert!(why.starts_with("the ticket has expired"), "{why}");

    let mut stranger = cluster.empty(6, StorageKind::Disk).await;
    let unknown = "local/6/60rk-4csm-6mv3-ee1s-c5h6-6s35-cst9".parse().unwrap();
    let asked = join(&mut stranger.config, &stranger.edges, &unknown, &addresses, STUCK).await;
    let Err(JoinError::Refused { why }) = asked else { panic!("{asked:?}") };
    assert!(why.starts_with("the ticket is not known here"), "{why}");
    assert_eq!(cluster.at(3).members().await.unwrap().index, before);
}
