//! Members on disks that fill up or hang: the others go on, what was acknowledged is kept, the
//! member says what is wrong, and goes on by itself once there is nothing wrong any more.

use holm::{Clock, Config, DiskState, Edges, Entropy, Error, Node, OpenError, ProposeOptions};
use holm::{Start, StateMachine, Status, VerifyLog};
use holm_wal::{SimDisk, Wal};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SEGMENT_BYTES: u64 = 64 << 10;
/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);

/// Milliseconds of the test's own runtime.
struct Ticking(tokio::time::Instant);

impl Clock for Ticking {
    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn draw(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9, Ordering::Relaxed)
    }
}

/// The numbers of all commands.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Numbers(Vec<u64>);

impl StateMachine for Numbers {
    type Command = (u64, Vec<u8>);
    type Reply = ();
    type Snapshot = Self;

    fn apply(&mut self, (number, _): Self::Command) {
        self.0.push(number);
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

struct Member {
    node: Node<Numbers>,
    disk: SimDisk,
}

impl Member {
    fn node_number(&self) -> u64 {
        self.node.status().borrow().node
    }
}

async fn start(members: u64) -> Vec<Member> {
    start_with(members, |_| ()).await
}

async fn start_with(members: u64, settings: impl Fn(&mut Config)) -> Vec<Member> {
    let mut started = Vec::new();
    for mut config in Config::local_cluster(members).await.unwrap() {
        settings(&mut config);
        let disk = SimDisk::new(config.node, SimDisk::at_once());
        let node = open(config, &disk).await.unwrap();
        started.push(Member { node, disk });
    }
    started
}

async fn open(mut config: Config, disk: &SimDisk) -> Result<Node<Numbers>, OpenError> {
    config.segment_bytes = SEGMENT_BYTES;
    config.command_bytes_max = 8 << 10;
    config.request_timeout = Duration::from_secs(30);
    let edges = Edges {
        disk: disk.attach(),
        clock: Arc::new(Ticking(tokio::time::Instant::now())),
        entropy: Arc::new(Counting(AtomicU64::new(config.node << 32 | 1))),
        network: holm::Tcp::shared(),
    };
    Node::open_with(config, edges, Numbers::default()).await
}

/// Waits until a member's status is as wanted.
async fn until(member: &Member, wanted: impl FnMut(&Status) -> bool) -> Status {
    member.node.status().wait_for(wanted).await.unwrap().clone()
}

async fn leader(members: &[Member]) -> usize {
    let status = until(&members[0], |status| status.leader.is_some()).await;
    usize::try_from(status.leader.unwrap() - 1).unwrap()
}

/// A number in a command of some size; each comes once, for it is proposed under a key.
fn command(number: u64) -> (u64, Vec<u8>) {
    (number, vec![7; 4 << 10])
}

/// Proposes these numbers through a member, each until it is answered.
async fn propose(member: &Member, numbers: Range<u64>) {
    for number in numbers {
        let options = ProposeOptions { key: Some(format!("{number}").into()), timeout: None };
        member.node.propose_with(command(number), options).await.unwrap();
    }
}

/// What a member holds, once it holds all that is committed.
async fn numbers(member: &Member) -> Vec<u64> {
    let mut numbers = member.node.read(|numbers| numbers.0.clone()).await.unwrap();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_follower_whose_disk_is_full_says_so_and_goes_on_once_there_is_room() {
    let members = start(3).await;
    let leader = leader(&members).await;
    let follower = &members[(leader + 1) % 3];
    propose(&members[leader], 0..3).await;
    follower.disk.set_capacity(0);
    propose(&members[leader], 3..60).await;
    let status = until(follower, |status| status.disk.state == DiskState::Full).await;
    assert!(status.stopped.is_none());
    let refused = follower.node.propose(command(1000)).await;
    assert_eq!(refused, Err(Error::DiskFull));
    propose(&members[leader], 60..70).await;
    follower.disk.set_capacity(u64::MAX);
    until(follower, |status| status.disk.state == DiskState::Ok).await;
    assert_eq!(numbers(follower).await, Vec::from_iter(0..70));
    propose(follower, 70..72).await;
    assert_eq!(numbers(&members[leader]).await, Vec::from_iter(0..72));
}

#[tokio::test]
async fn a_leader_whose_disk_is_full_hands_over_and_nothing_acknowledged_is_lost() {
    let members = start(3).await;
    let leader = leader(&members).await;
    let other = &members[(leader + 1) % 3];
    propose(other, 0..3).await;
    members[leader].disk.set_capacity(0);
    propose(other, 3..60).await;
    let old = &members[leader];
    let status = until(old, |status| {
        status.disk.state == DiskState::Full && status.leader.is_some_and(|id| id != status.node)
    });
    assert_eq!(status.await.role, "follower");
    assert_eq!(numbers(other).await, Vec::from_iter(0..60));
    old.disk.set_capacity(u64::MAX);
    until(old, |status| status.disk.state == DiskState::Ok).await;
    assert_eq!(numbers(old).await, Vec::from_iter(0..60));
}

#[tokio::test]
async fn a_leader_whose_disk_hangs_hands_over_and_catches_up_when_it_goes_on() {
    let members = start(3).await;
    let leader = leader(&members).await;
    let (old, other) = (&members[leader], &members[(leader + 1) % 3]);
    propose(other, 0..3).await;
    old.disk.stall();
    propose(other, 3..10).await;
    let handed_over = |status: &Status| status.leader.is_some_and(|id| id != old.node_number());
    until(other, handed_over).await;
    let status = until(old, |status| status.disk.state == DiskState::Stalled).await;
    assert!(status.disk.for_ms >= 150, "{}", status.disk);
    propose(other, 10..20).await;
    old.disk.resume();
    until(old, |status| status.disk.state == DiskState::Ok).await;
    assert_eq!(numbers(old).await, Vec::from_iter(0..20));
}

#[tokio::test]
async fn a_follower_whose_disk_hangs_says_so_and_acknowledges_nothing_until_it_goes_on() {
    let members = start(3).await;
    let leader = leader(&members).await;
    let (hangs, third) = (&members[(leader + 1) % 3], &members[(leader + 2) % 3]);
    propose(&members[leader], 0..3).await;
    hangs.disk.stall();
    propose(&members[leader], 3..10).await;
    let status = until(hangs, |status| status.disk.state == DiskState::Stalled).await;
    assert!(status.stopped.is_none());
    // Two of three are needed now, and only one disk of the two that are left writes.
    third.disk.stall();
    let waits = ProposeOptions { key: None, timeout: Some(Duration::from_millis(500)) };
    let lost = members[leader].node.propose_with(command(1000), waits).await.unwrap_err();
    assert!(matches!(lost, Error::Unknown { .. } | Error::Unavailable { .. }), "{lost}");
    for member in [hangs, third] {
        member.disk.resume();
        until(member, |status| status.disk.state == DiskState::Ok).await;
    }
    propose(hangs, 10..20).await;
    let held = numbers(hangs).await;
    assert!(Vec::from_iter(0..20).iter().all(|number| held.contains(number)), "{held:?}");
}

#[tokio::test]
async fn a_leader_whose_power_fails_while_its_disk_hangs_loses_nothing_acknowledged() {
    let configs = Config::local_cluster(3).await.unwrap();
    let topology = configs[0].topology.clone();
    let mut members = Vec::new();
    for config in configs {
        let disk = SimDisk::new(config.node, SimDisk::at_once());
        members.push(Member { node: open(config, &disk).await.unwrap(), disk });
    }
    let leader = leader(&members).await;
    let old = members.remove(leader);
    propose(&members[0], 0..3).await;
    old.disk.stall();
    // Also what the one with the hanging disk took part in.
    propose(&members[0], 3..30).await;
    until(&old, |status| status.disk.state == DiskState::Stalled).await;
    let number = old.node_number();
    old.disk.power_cut();
    old.node.shutdown().await;
    old.disk.resume();
    propose(&members[1], 30..40).await;
    let address = topology.member(number).unwrap().address.clone().unwrap();
    let mut config = Config::new("local", number, topology, holm::Security::Insecure);
    config.listen = Some(holm::Listen::Address(address));
    let again = Member { node: open(config, &old.disk).await.unwrap(), disk: old.disk };
    assert_eq!(numbers(&again).await, Vec::from_iter(0..40));
    propose(&again, 40..42).await;
}

#[tokio::test]
async fn a_snapshot_that_does_not_fit_is_taken_once_there_is_room() {
    let members = start_with(1, |config| config.snapshot_entries = 4).await;
    let alone = &members[0];
    leader(&members).await;
    alone.disk.set_capacity(0);
    propose(alone, 0..10).await;
    assert_eq!(numbers(alone).await, Vec::from_iter(0..10));
    assert_eq!(alone.node.status().borrow().snapshot, 0);
    alone.disk.set_capacity(u64::MAX);
    until(alone, |status| status.snapshot > 0).await;
}

#[tokio::test]
async fn a_member_that_verifies_the_tail_alone_reads_no_full_segment_and_lacks_nothing() {
    let configs = || async { Config::local_cluster(1).await.unwrap().pop().unwrap() };
    let restarted = async |verify_log, disk: &SimDisk| {
        let config = Config { verify_log, start: Start::Join, ..configs().await };
        open(config, disk).await
    };
    let disk = SimDisk::new(1, SimDisk::at_once());
    let node = open(Config { verify_log: VerifyLog::Tail, ..configs().await }, &disk).await;
    let member = Member { node: node.unwrap(), disk };
    propose(&member, 0..60).await;
    member.node.shutdown().await;
    let Member { disk, .. } = member;
    let node = restarted(VerifyLog::Tail, &disk).await.unwrap();
    let again = Member { node, disk };
    assert_eq!(numbers(&again).await, Vec::from_iter(0..60));
    again.node.shutdown().await;
    // In the midst of an entry of the first segment.
    again.disk.flip("segment-00000001.wal", 20_000, 1);
    let Err(damaged) = restarted(VerifyLog::All, &again.disk).await else { panic!("opened") };
    assert!(matches!(damaged, OpenError::Log(holm_wal::Error::Damaged { .. })), "{damaged}");
    assert!(restarted(VerifyLog::Tail, &again.disk).await.is_ok());
}

#[tokio::test]
async fn a_member_alone_whose_log_has_rotted_below_its_snapshot_starts_and_lacks_nothing() {
    let config = || async {
        let config = Config::local_cluster(1).await.unwrap().pop().unwrap();
        Config { snapshot_entries: 12, ..config }
    };
    let disk = SimDisk::new(1, SimDisk::at_once());
    let node = open(config().await, &disk).await.unwrap();
    let member = Member { node, disk };
    propose(&member, 0..30).await;
    // The log begins behind the snapshot before the newest: in the first segment, which ends with
    // entry 17 or so.
    until(&member, |status| status.snapshot >= 24).await;
    member.node.shutdown().await;
    let Member { disk, .. } = member;
    // In the midst of an entry behind 12.
    disk.flip("segment-00000001.wal", 56_000, 1);
    assert!(Wal::damage(&*disk.attach()).unwrap().is_some());
    let again = open(Config { start: Start::Join, ..config().await }, &disk).await.unwrap();
    let again = Member { node: again, disk };
    assert_eq!(numbers(&again).await, Vec::from_iter(0..30));
    propose(&again, 30..40).await;
    assert_eq!(numbers(&again).await, Vec::from_iter(0..40));
}

#[tokio::test]
async fn a_member_that_verifies_the_tail_alone_waits_for_nobody_to_repair_what_it_did_not_read() {
    let mut members = start_with(3, |config| config.verify_log = VerifyLog::Tail).await;
    propose(&members[0], 0..60).await;
    for member in &members {
        until(member, |status| status.applied >= 60).await;
        member.node.shutdown().await;
    }
    let Member { disk, node } = members.pop().unwrap();
    drop((node, members));
    disk.flip("segment-00000001.wal", 20_000, 1);
    // The others are not there, and what is known of them now is another cluster of three.
    let config = Config::local_cluster(3).await.unwrap().pop().unwrap();
    let config = Config { verify_log: VerifyLog::Tail, start: Start::Join, ..config };
    let opened = tokio::time::timeout(STUCK, open(config, &disk)).await;
    let node = opened.expect("it waits for nobody").unwrap();
    assert!(node.status().borrow().stopped.is_none());
}
