//! What one member knows of all links: a [`Table`] of the members' records. It says what is to be
//! told to whom, and over whom each member is reached.

use super::paths::{Route, shortest};
use super::record::{Age, NEIGHBOURS_MAX, Record, Unreadable};
use crate::config::Relaying;
use crate::status::Neighbours;
use bytes::{Bytes, BytesMut};
use holm_raft_core::{MemberId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a member tells of itself when nothing has changed.
pub(crate) const REFRESH: Duration = Duration::from_secs(1);
/// How often at most it does so: a link that comes and goes must not flood the others.
pub(crate) const SPACING: Duration = Duration::from_millis(20);
/// At this age a record says nothing any more. Ages add up over all that have held it, so none
/// goes round for ever.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(5);

/// What one member knows of all links.
#[derive(Debug)]
pub(crate) struct Table {
    me: MemberId,
    start: u64,
    relaying: Relaying,
    /// Whose records are taken: the other members.
    known: BTreeSet<NodeId>,
    /// To whom this member has a link.
    links: BTreeSet<NodeId>,
    /// The number of this member's latest record.
    number: u64,
    told_at: Option<Duration>,
    /// Whether there is something new to tell.
    news: News,
    records: BTreeMap<NodeId, Held>,
    /// When each member's record was passed on last.
    passed: BTreeMap<NodeId, Passed>,
    out: Vec<Flood>,
    /// The routes that were asked for since the last change, by who is avoided.
    routes: BTreeMap<Option<NodeId>, BTreeMap<NodeId, Route>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    None,
    Some,
}

/// A record of another member.
#[derive(Debug)]
struct Held {
    record: Record,
    /// When its age was 0, by this member's clock; before this member's start it is none.
    made_at: Option<Duration>,
    /// When it ends, unless another one follows.
    ends_at: Duration,
}

/// When a member's record was passed on last.
#[derive(Clone, Copy, Debug)]
struct Passed {
    at: Duration,
    /// Who has told of a later one, which waits: records that come without a pause, which no honest
    /// member makes, must not flood the others.
    waits: Option<NodeId>,
}

/// A record that goes to one neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flood {
    pub(crate) to: NodeId,
    pub(crate) bytes: Bytes,
}

/// What a record was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It says that links are other than was known, or is to be passed on in a moment.
    Changed,
    /// It says nothing new.
    Same,
    /// It is of nobody who is a member.
    Stranger,
}

impl Table {
    pub(crate) fn new(me: MemberId, start: u64, relaying: Relaying) -> Self {
        Self {
            me,
            start,
            relaying,
            known: BTreeSet::new(),
            links: BTreeSet::new(),
            number: 0,
            told_at: None,
            news: News::Some,
            records: BTreeMap::new(),
            passed: BTreeMap::new(),
            out: Vec::new(),
            routes: BTreeMap::new(),
        }
    }

    /// These are the other members. Records of others are forgotten, and refused from now on.
    pub(crate) fn know(&mut self, known: BTreeSet<NodeId>) {
        self.records.retain(|node, _| known.contains(node));
        self.passed.retain(|node, _| known.contains(node));
        self.known = known;
        self.routes.clear();
    }

    /// Whether this is another member.
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.known.contains(&node)
    }

    /// There is a link to this member: both ends tell each other all they know.
    pub(crate) fn link_up(&mut self, node: NodeId, now: Duration) {
        self.links.insert(node);
        self.changed(now);
        let all: Vec<_> = self.records.values().map(|held| held.bytes(now)).collect();
        self.out.extend(all.into_iter().map(|bytes| Flood { to: node, bytes }));
        if self.news == News::Some && self.number > 0 {
            // Held back for a moment: the neighbour gets what was told last.
            let bytes = encoded(&self.own());
            self.out.push(Flood { to: node, bytes });
        }
    }

    /// There is no link to it any more.
    pub(crate) fn link_down(&mut self, node: NodeId, now: Duration) {
        if self.links.remove(&node) {
            self.changed(now);
        }
    }

    /// A record has come from a neighbour.
    pub(crate) fn receive(
        &mut self,
        from: NodeId,
        bytes: &[u8],
        now: Duration,
    ) -> Result<Heard, Unreadable> {
        let record = Record::take(bytes)?;
        if record.node == self.me.node {
            self.heard_of_myself(&record, now);
            return Ok(Heard::Same);
        }
        if !self.known.contains(&record.node) {
            return Ok(Heard::Stranger);
        }
        if record.age.duration() >= AGE_MAX {
            return Ok(Heard::Same);
        }
        let held = self.records.get(&record.node);
        match held.map(|held| held.record.rank().cmp(&record.rank())) {
            Some(std::cmp::Ordering::Equal) => Ok(Heard::Same),
            Some(std::cmp::Ordering::Greater) => {
                let bytes = held.map(|held| held.bytes(now)).unwrap_or_default();
                self.out.push(Flood { to: from, bytes });
                Ok(Heard::Same)
            }
            Some(std::cmp::Ordering::Less) | None => Ok(self.take(from, record, now)),
        }
    }

    /// Takes a record that is later than the one held, and passes it on, at once or in a moment.
    fn take(&mut self, from: NodeId, record: Record, now: Duration) -> Heard {
        let node = record.node;
        let age = record.age.duration();
        let ends_at = now + AGE_MAX.saturating_sub(age);
        let held = Held { record, made_at: now.checked_sub(age), ends_at };
        let says = |held: &Held| {
            let Record { incarnation, start, relaying, neighbours, .. } = &held.record;
            (*incarnation, *start, *relaying, neighbours.clone())
        };
        let before = self.records.get(&node).map(says);
        let same = before == Some(says(&held));
        self.records.insert(node, held);
        if !same {
            self.routes.clear();
        }
        match self.passed.get_mut(&node).filter(|passed| now < passed.at + SPACING) {
            Some(passed) => {
                passed.waits = Some(from);
                Heard::Changed
            }
            None => {
                self.pass_on(node, from, now);
                if same { Heard::Same } else { Heard::Changed }
            }
        }
    }

    /// Passes a record on to those who have not got it from `from` or from its maker.
    fn pass_on(&mut self, node: NodeId, from: NodeId, now: Duration) {
        self.passed.insert(node, Passed { at: now, waits: None });
        let Some(held) = self.records.get(&node) else { return };
        let heard = |to: &NodeId| *to != from && *to != node;
        let told = |to: &NodeId| held.record.neighbours.contains(to);
        for to in self.links.iter().copied().filter(|to| heard(to) && !told(to)) {
            self.out.push(Flood { to, bytes: held.bytes(now) });
        }
    }

    /// A record of this member itself has come back. If it outranks what this member has told last
    /// (it comes from an earlier start, then), this member tells again, with a higher number.
    fn heard_of_myself(&mut self, record: &Record, now: Duration) {
        if self.number == 0 || record.rank() > self.own().rank() {
            self.number = self.number.max(record.number);
            self.news = News::Some;
            self.tell_if_due(now);
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Duration) {
        let before = self.records.len();
        self.records.retain(|_, held| held.ends_at > now);
        if self.records.len() < before {
            self.routes.clear();
        }
        let due = |(node, passed): (&NodeId, &Passed)| {
            passed.waits.filter(|_| now >= passed.at + SPACING).map(|from| (*node, from))
        };
        for (node, from) in self.passed.iter().filter_map(due).collect::<Vec<_>>() {
            self.pass_on(node, from, now);
        }
        if self.told_at.is_none_or(|told| now >= told + REFRESH) {
            self.news = News::Some;
        }
        self.tell_if_due(now);
    }

    /// When `tick` has something to do.
    pub(crate) fn deadline(&self) -> Duration {
        let wait = if self.news == News::Some { SPACING } else { REFRESH };
        let tell = self.told_at.map_or(Duration::ZERO, |told| told + wait);
        let ends = self.records.values().map(|held| held.ends_at);
        let waiting = self.passed.values().filter(|passed| passed.waits.is_some());
        let passes = waiting.map(|passed| passed.at + SPACING);
        ends.chain(passes).fold(tell, Duration::min)
    }

    /// What is to be sent, since the last time.
    pub(crate) fn drain(&mut self) -> Vec<Flood> {
        std::mem::take(&mut self.out)
    }

    /// Over whom frames for a member go, and who it is in its present start. `avoided` is nowhere
    /// on the way.
    pub(crate) fn way(
        &mut self,
        node: NodeId,
        avoided: Option<NodeId>,
    ) -> Option<(NodeId, Option<(MemberId, u64)>)> {
        let Self { me, links, records, routes, .. } = self;
        let routes = routes.entry(avoided).or_insert_with(|| {
            let record = |node| records.get(&node).map(|held| &held.record);
            shortest(me.node, links.iter().copied(), record, avoided)
        });
        let via = routes.get(&node)?.via;
        Some((via, self.who(node)))
    }

    /// Who a member is, as it says.
    pub(crate) fn who(&self, node: NodeId) -> Option<(MemberId, u64)> {
        let held = self.records.get(&node)?;
        Some((held.record.member(), held.record.start))
    }

    /// Who has links to whom, this member included, in the order of the ids.
    pub(crate) fn matrix(&self, now: Duration) -> Vec<Neighbours> {
        let own = Neighbours { node: self.me.node, links: self.links.clone(), age: None };
        let others = self.records.values().map(|Held { record, made_at, .. }| Neighbours {
            node: record.node,
            links: record.neighbours.clone(),
            age: Some(made_at.map_or(now, |made| now.saturating_sub(made))),
        });
        let mut rows: Vec<_> = others.chain([own]).collect();
        rows.sort_by_key(|row| row.node);
        rows
    }

    fn changed(&mut self, now: Duration) {
        self.routes.clear();
        self.news = News::Some;
        self.tell_if_due(now);
    }

    fn tell_if_due(&mut self, now: Duration) {
        let early = self.told_at.is_some_and(|told| now < told + SPACING);
        if self.news == News::None || early {
            return;
        }
        (self.news, self.told_at) = (News::None, Some(now));
        // Behind the highest number, which only a lie can reach, it begins again: until the lie has
        // ended, that is no worse than the lie.
        self.number = self.number.checked_add(1).unwrap_or(1);
        let bytes = encoded(&self.own());
        let floods = self.links.iter().map(|to| Flood { to: *to, bytes: bytes.clone() });
        self.out.extend(floods);
    }

    /// What this member tells of itself.
    fn own(&self) -> Record {
        Record {
            node: self.me.node,
            incarnation: self.me.incarnation,
            start: self.start,
            number: self.number,
            relaying: self.relaying,
            neighbours: self.links.iter().copied().take(NEIGHBOURS_MAX).collect(),
            age: Age::default(),
        }
    }
}

impl Held {
    /// Its bytes, with its age now.
    fn bytes(&self, now: Duration) -> Bytes {
        let left = self.ends_at.saturating_sub(now);
        encoded(&Record { age: Age::of(AGE_MAX.saturating_sub(left)), ..self.record.clone() })
    }
}

fn encoded(record: &Record) -> Bytes {
    let mut out = BytesMut::new();
    record.put(&mut out);
    out.freeze()
}
