//! Tables that hear each other over links that come and go, lose, delay and repeat: once that is
//! over, each member's routes are the shortest there are.

use super::fuzz::records_taken;
use super::record::Record;
use super::table::{AGE_MAX, REFRESH, SPACING, Table};
use super::*;
use crate::config::{Limits, Relaying};
use crate::status::Lost;
use bytes::{Bytes, BytesMut};
use holm_raft_core::{Incarnation, MemberId, NodeId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

/// Members by number from 0, with what is on its way between them.
struct Net {
    now: Duration,
    tables: Vec<Option<Table>>,
    starts: u64,
    off: BTreeSet<usize>,
    links: BTreeSet<(usize, usize)>,
    flying: Vec<(Duration, usize, usize, Bytes)>,
    carried: usize,
    random: u64,
}

fn node(at: usize) -> NodeId {
    NodeId(at as u64 + 1)
}

fn at(node: NodeId) -> usize {
    usize::try_from(node.0).expect("small") - 1
}

impl Net {
    fn new(members: usize, off: BTreeSet<usize>, seed: u64) -> Self {
        let mut net = Self {
            now: Duration::ZERO,
            tables: Vec::new(),
            starts: seed,
            off,
            links: BTreeSet::new(),
            flying: Vec::new(),
            carried: 0,
            random: seed,
        };
        net.tables.resize_with(members, || None);
        (0..members).for_each(|at| net.start(at));
        net
    }

    /// Starts a member anew: it remembers nothing.
    fn start(&mut self, at: usize) {
        let neighbours: Vec<_> = self.neighbours(at).collect();
        for other in &neighbours {
            self.unlink(at, *other);
        }
        self.starts = self.starts.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        let me = MemberId::new(node(at), Incarnation(self.starts % 3));
        let relaying = if self.off.contains(&at) { Relaying::Off } else { Relaying::On };
        let mut table = Table::new(me, self.starts, relaying);
        let others = (0..self.tables.len()).filter(|other| *other != at).map(node);
        table.know(others.collect());
        self.tables[at] = Some(table);
        for other in neighbours {
            self.link(at, other);
        }
    }

    fn neighbours(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let other = move |(one, two): &(usize, usize)| match at {
            _ if *one == at => Some(*two),
            _ if *two == at => Some(*one),
            _ => None,
        };
        self.links.iter().filter_map(other)
    }

    fn link(&mut self, one: usize, two: usize) {
        if one != two && self.links.insert((one.min(two), one.max(two))) {
            for (at, other) in [(one, two), (two, one)] {
                let now = self.now;
                self.table(at).link_up(node(other), now);
                self.collect(at);
            }
        }
    }

    fn unlink(&mut self, one: usize, two: usize) {
        if self.links.remove(&(one.min(two), one.max(two))) {
            let between = |from, to| (from, to) == (one, two) || (to, from) == (one, two);
            self.flying.retain(|(_, from, to, _)| !between(*from, *to));
            for (at, other) in [(one, two), (two, one)] {
                let now = self.now;
                self.table(at).link_down(node(other), now);
                self.collect(at);
            }
        }
    }

    fn table(&mut self, at: usize) -> &mut Table {
        self.tables[at].as_mut().expect("started")
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % below
    }

    /// Sends what a table has to say; while the faults last some is lost, repeated and late.
    fn collect(&mut self, from: usize) {
        for flood in self.table(from).drain() {
            self.carried += 1;
            let late = MILLI * u32::try_from(self.draw(30)).expect("small");
            self.flying.push((self.now + late, from, at(flood.to), flood.bytes));
        }
    }

    fn spoil(&mut self) {
        for place in (0..self.flying.len()).rev() {
            match self.draw(6) {
                0 => drop(self.flying.swap_remove(place)),
                1 => self.flying.push(self.flying[place].clone()),
                _ => (),
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += MILLI;
            let now = self.now;
            let (due, rest) = self.flying.drain(..).partition(|(at, ..)| *at <= now);
            let _: &Vec<_> = &rest;
            self.flying = rest;
            let due: Vec<(Duration, usize, usize, Bytes)> = due;
            for (_, from, to, bytes) in due {
                self.table(to).receive(node(from), &bytes, now).expect("a record");
                self.collect(to);
            }
            for at in 0..self.tables.len() {
                if self.table(at).deadline() <= now {
                    self.table(at).tick(now);
                    assert!(self.table(at).deadline() > now);
                    self.collect(at);
                }
            }
        }
    }

    /// The fewest links from one member to each other one, through those that relay.
    fn distances(&self, from: usize) -> BTreeMap<usize, usize> {
        let mut found = BTreeMap::from([(from, 0)]);
        let mut queue = VecDeque::from([from]);
        while let Some(next) = queue.pop_front() {
            if next != from && self.off.contains(&next) {
                continue;
            }
            for other in self.neighbours(next) {
                if !found.contains_key(&other) {
                    found.insert(other, found[&next] + 1);
                    queue.push_back(other);
                }
            }
        }
        found
    }

    /// Every member reaches whom it can, by next hops, in the fewest links.
    fn check(&mut self) {
        for from in 0..self.tables.len() {
            let distances = self.distances(from);
            for to in (0..self.tables.len()).filter(|to| *to != from) {
                let mut walked = 0;
                let mut here = from;
                while here != to {
                    let Some((next, who)) = self.table(here).way(node(to), None) else { break };
                    assert!(who.is_some() || next == node(to), "who it is, is known");
                    (here, walked) = (at(next), walked + 1);
                    assert!(walked < self.tables.len(), "a loop from {from} to {to}");
                }
                let reached = (here == to).then_some(walked);
                assert_eq!(reached, distances.get(&to).copied(), "from {from} to {to}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Link(usize, usize),
    Unlink(usize, usize),
    Start(usize),
    Spoil,
    Run(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..12_usize, 0..12_usize).prop_map(|(one, two)| Step::Link(one, two)),
        2 => (0..12_usize, 0..12_usize).prop_map(|(one, two)| Step::Unlink(one, two)),
        1 => (0..12_usize).prop_map(Step::Start),
        3 => Just(Step::Spoil),
        3 => (0..1500_u32).prop_map(Step::Run),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn once_links_stay_as_they_are_every_route_is_the_shortest_there_is(
        members in 2..=12_usize,
        off in proptest::collection::btree_set(0..12_usize, 0..4),
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut net = Net::new(members, off, seed);
        for step in steps {
            match step {
                Step::Link(one, two) => net.link(one % members, two % members),
                Step::Unlink(one, two) => net.unlink(one % members, two % members),
                Step::Start(at) => net.start(at % members),
                Step::Spoil => net.spoil(),
                Step::Run(millis) => net.run(MILLI * millis),
            }
        }
        net.run(AGE_MAX + REFRESH * 2);
        net.check();
        // Nothing but refreshes goes on: each record passes each link at most once each way.
        let before = net.carried;
        net.run(REFRESH * 4);
        prop_assert!(net.carried - before <= 5 * members * 2 * net.links.len());
    }
}

#[test]
fn a_member_started_anew_is_believed_although_its_numbers_begin_again() {
    let mut net = Net::new(3, BTreeSet::new(), 7);
    net.link(0, 1);
    net.link(1, 2);
    net.run(REFRESH * 20);
    net.start(2);
    net.run(SPACING * 10);
    net.check();
    let (_, who) = net.table(0).way(node(2), None).expect("a way");
    let start = net.tables[2].as_ref().expect("started").matrix(net.now).len();
    assert_eq!(start, 3);
    assert_eq!(who.expect("known").1, net.starts, "in its present start");
}

#[test]
fn a_member_that_is_gone_is_forgotten_when_its_record_ends() {
    let mut net = Net::new(4, BTreeSet::new(), 7);
    for (one, two) in [(0, 1), (1, 2), (2, 0), (2, 3)] {
        net.link(one, two);
    }
    net.run(REFRESH);
    assert_eq!(net.table(0).matrix(Duration::ZERO).len(), 4);
    net.unlink(2, 3);
    net.run(AGE_MAX + REFRESH);
    assert_eq!(net.table(0).way(node(3), None), None);
    assert_eq!(net.table(0).matrix(Duration::ZERO).len(), 3);
}

#[test]
fn a_link_that_one_end_alone_tells_of_is_no_way() {
    let mut table = Table::new(MemberId::new(node(0), Incarnation(1)), 1, Relaying::On);
    table.know([node(1), node(2)].into());
    table.link_up(node(1), Duration::ZERO);
    let mut tell = |from: usize, neighbours: &[usize]| {
        let bytes = record(from, 5, neighbours);
        table.receive(NodeId(2), &bytes, Duration::ZERO).expect("a record");
        table.way(NodeId(3), None).map(|(via, _)| via)
    };
    assert_eq!(tell(1, &[0, 2]), None);
    assert_eq!(tell(2, &[1]), Some(node(1)));
}

#[test]
fn a_link_that_flaps_is_told_of_at_intervals_only() {
    let mut table = Table::new(MemberId::new(node(0), Incarnation(1)), 1, Relaying::On);
    table.know([node(1), node(2)].into());
    table.link_up(node(1), Duration::ZERO);
    table.drain();
    for millis in 0..200 {
        let now = MILLI * millis;
        table.link_up(node(2), now);
        table.link_down(node(2), now);
        if table.deadline() <= now {
            table.tick(now);
        }
    }
    let told = table.drain().into_iter().filter(|flood| flood.to == node(1)).count();
    assert!(told <= 200 / 20 + 1, "{told} records");
}

fn record(of: usize, number: u64, neighbours: &[usize]) -> BytesMut {
    let neighbours = neighbours.iter().map(|at| node(*at)).collect();
    let (node, relaying, age) = (node(of), Relaying::On, super::record::Age(0));
    let mut bytes = BytesMut::new();
    Record { node, incarnation: Incarnation(1), start: 1, number, relaying, neighbours, age }
        .put(&mut bytes);
    bytes
}

#[test]
fn records_that_come_without_a_pause_are_passed_on_at_intervals_and_the_last_one_always() {
    let mut table = Table::new(MemberId::new(node(0), Incarnation(1)), 1, Relaying::On);
    table.know([node(1), node(2), node(3)].into());
    table.link_up(node(1), Duration::ZERO);
    table.link_up(node(2), Duration::ZERO);
    let mut passed = Vec::new();
    let mut run = |table: &mut Table, now| {
        if table.deadline() <= now {
            table.tick(now);
        }
        let floods = table.drain().into_iter().filter(|flood| flood.to == node(2));
        let records = floods.map(|flood| Record::take(&flood.bytes).expect("a record"));
        passed.extend(records.filter(|record| record.node == node(3)).map(|record| record.number));
    };
    for number in 0..2000 {
        let now = MILLI * 200 * u32::try_from(number).expect("small") / 2000;
        // Each says something else than the one before, and every third is about to end.
        let mut bytes = record(3, number, &[1, usize::try_from(number % 3).expect("small") + 4]);
        if number % 3 == 0 {
            bytes[4..8].copy_from_slice(&4999_u32.to_le_bytes());
        }
        table.receive(node(1), &bytes, now).expect("a record");
        run(&mut table, now);
    }
    run(&mut table, MILLI * 200 + SPACING);
    assert!(passed.len() <= 200 / 20 + 2, "{} records", passed.len());
    assert!(passed.is_sorted() && passed.last() == Some(&1999), "{passed:?}");
    assert_eq!(table.matrix(MILLI * 200).len(), 2, "one record a member");
}

#[test]
fn a_lie_under_the_highest_number_is_over_once_it_has_ended() {
    let mut net = Net::new(3, BTreeSet::new(), 7);
    net.link(0, 1);
    net.link(1, 2);
    net.run(REFRESH);
    let now = net.now;
    let lie = record(0, u64::MAX, &[]);
    for (at, from) in [(1, 2), (2, 1)] {
        assert_eq!(net.table(at).receive(node(from), &lie, now), Ok(Heard::Changed));
        net.collect(at);
    }
    net.run(REFRESH * 2);
    assert_eq!(net.table(2).way(node(0), None), None, "the lie is believed for a while");
    net.run(AGE_MAX + REFRESH * 2);
    net.check();
}

/// Member 1 between members 0 and 2, which have a link to each other, too, if told so.
fn between() -> (Table, Relay) {
    let mut table = Table::new(MemberId::new(node(1), Incarnation(1)), 1, Relaying::On);
    table.know([node(0), node(2)].into());
    table.link_up(node(0), Duration::ZERO);
    table.link_up(node(2), Duration::ZERO);
    let relay_bytes_per_second = std::num::NonZeroU64::new(1000).expect("above zero");
    let limits = Limits { relay_bytes_per_second, relay_queue_bytes_max: 600, ..Limits::default() };
    (table, Relay::new(Relaying::On, limits))
}

#[test]
fn a_frame_is_carried_on_or_lost_by_its_reason() {
    let (mut table, mut relay) = between();
    let right =
        Transit { from: node(0), source: node(0), destination: node(2), hops: 2, bytes: 400 };
    let mut carry = |transit, now| relay.carry(&mut table, transit, now);
    let start = Duration::ZERO;
    assert_eq!(carry(right, start), Ok(Onward { next: node(2), hops: 1 }));
    assert_eq!(carry(Transit { hops: 0, ..right }, start), Err(Lost::HopsUsedUp));
    assert_eq!(carry(Transit { destination: NodeId(9), ..right }, start), Err(Lost::Misaddressed));
    assert_eq!(carry(Transit { source: NodeId(9), ..right }, start), Err(Lost::Misaddressed));
    assert_eq!(carry(Transit { from: node(2), ..right }, start), Err(Lost::NoWay), "only back");
    assert_eq!(carry(right, start), Err(Lost::QueueFull));
    relay.left(node(0), node(2), 400);
    let mut carry = |transit, now| relay.carry(&mut table, transit, now);
    assert!(carry(right, start).is_ok());
    relay.left(node(0), node(2), 400);
    let mut carry = |transit, now| relay.carry(&mut table, transit, now);
    assert_eq!(carry(right, start), Err(Lost::OverRate));
    let other = Transit { from: node(2), source: node(2), destination: node(0), ..right };
    assert!(carry(other, start).is_ok(), "another pair has a share of its own");
    assert!(carry(right, Duration::from_secs(1)).is_ok(), "and this one again, after a while");
    let limits = Limits::default();
    let mut off = Relay::new(Relaying::Off, limits);
    assert_eq!(off.carry(&mut table, right, start), Err(Lost::RelayingOff));
}

#[test]
fn arbitrary_records_are_taken_or_refused_and_some_are_taken() {
    let mut state = 1_u64;
    let mut taken = 0;
    for _ in 0..2000 {
        let mut input = Vec::new();
        for _ in 0..8 {
            let mut draw = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % below
            };
            let mut piece = BytesMut::new();
            piece.extend_from_slice(&[u8::try_from(draw(256)).expect("a byte")]);
            let neighbours: BTreeSet<_> = (0..4).map(|_| NodeId(draw(7) + 10)).collect();
            Record {
                node: NodeId(draw(8)),
                incarnation: Incarnation(draw(2)),
                start: draw(3),
                number: draw(20),
                relaying: if draw(4) == 0 { Relaying::Off } else { Relaying::On },
                neighbours,
                age: super::record::Age(u32::try_from(draw(6000)).expect("small")),
            }
            .put(&mut piece);
            piece.resize(73, 0);
            if draw(3) == 0 {
                let at = usize::try_from(draw(73)).expect("small");
                piece[at] ^= 1 << draw(8);
            }
            input.extend_from_slice(&piece);
        }
        taken += records_taken(&input);
    }
    assert!(taken > 1000, "{taken} records were understood");
}
