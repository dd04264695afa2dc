//! What the lab shows: [`Checks`]. All that is expected follows from the topology file, so any file
//! can be put in the place of the lab's own.

use super::map::{Cut, Map, Way};
use super::members::{Members, Seen};
use super::network::Network;
use crate::output;
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How many increments each member is asked for at a time.
const INCREMENTS: u64 = 5;

pub(super) struct Checks<'a> {
    map: &'a Map,
    network: &'a mut Network,
    members: &'a Members,
    /// How often the counter was incremented.
    sum: u64,
}

impl<'a> Checks<'a> {
    pub(super) fn of(map: &'a Map, network: &'a mut Network, members: &'a Members) -> Self {
        Self { map, network, members, sum: 0 }
    }

    /// All of them, one after the other.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let all = Cut::new();
        self.reached("the topology as it is", &all, &self.everybody())?;
        self.fences_hold()?;
        self.counts(&self.everybody())?;
        let pairs: Vec<_> = self.map.pairs().filter(|(from, to)| from < to).collect();
        for (one, other) in pairs {
            let cut = both_ways([(one, other)]);
            let links = |cut| self.map.ways(cut).values().filter(|way| **way == Way::Link).count();
            let joined = self.map.ways(&cut).values().all(|way| *way != Way::None);
            if joined && links(&cut) < links(&all) {
                let names = [one, other].map(|island| self.map.islands[island].name.as_str());
                self.goes_on(&format!("{} and {} cut from each other", names[0], names[1]), &cut)?;
            }
        }
        for island in 0..self.map.islands.len() {
            self.cut_off(island)?;
        }
        Ok(())
    }

    /// Who may not dial can't, and who may can. All listen by now: nobody is refused by a member
    /// that is just starting.
    fn fences_hold(&self) -> Result<(), String> {
        let (mut open, mut closed) = (0, 0);
        for (from, to) in self.map.pairs() {
            for (dialler, dialled) in
                self.map.on(from).flat_map(|from| self.map.on(to).map(move |to| (from, to)))
            {
                let Some(listens) = dialled.listens()? else { continue };
                let (space, port) = (self.network.member(dialler.id), listens.port());
                let connect = format!("exec 3<>/dev/tcp/{}/{port}", listens.ip());
                let command = ["netns", "exec", &space, "timeout", "5", "bash", "-c", &connect];
                let may = self.map.lets_dial(from, to);
                if output("ip", &command).is_ok() != may {
                    let but = if may { "may dial, and can't" } else { "may not dial, and can" };
                    return Err(format!("member {} {but}: member {}", dialler.id, dialled.id));
                }
                *(if may { &mut open } else { &mut closed }) += 1;
            }
        }
        println!("ok   across islands {open} ways can be dialled, and {closed} can't");
        Ok(())
    }

    /// Waits until they are settled, and tells it.
    fn reached(&self, what: &str, cut: &Cut, members: &[u64]) -> Result<(), String> {
        let start = Instant::now();
        let settled = settled(self.map, self.members, cut, members);
        let Settled { leader, term, seen } = settled.map_err(|error| format!("{what}: {error}"))?;
        let took = start.elapsed().as_secs_f64();
        println!("ok   {what}: member {leader} leads, term {term} ({took:.1} s)");
        println!("     {}", told(&seen));
        Ok(())
    }

    /// Increments at each of these, and reads at each what it comes to.
    fn counts(&mut self, members: &[u64]) -> Result<(), String> {
        let start = Instant::now();
        for _ in 0..INCREMENTS {
            for id in members {
                self.members.increment(*id)?;
                self.sum += 1;
            }
        }
        for id in members {
            let counter = self.members.counter(*id, "30s")?;
            if counter != self.sum {
                return Err(format!("member {id} counts {counter}, and not {}", self.sum));
            }
        }
        let (each, took) = (members.len(), start.elapsed().as_secs_f64());
        println!(
            "ok   {INCREMENTS} increments at each of {each} members: {} ({took:.1} s)",
            self.sum
        );
        Ok(())
    }

    /// A cut over which everybody still finds everybody.
    fn goes_on(&mut self, what: &str, cut: &Cut) -> Result<(), String> {
        self.network.cut(self.map, cut)?;
        self.reached(what, cut, &self.everybody())?;
        self.counts(&self.everybody())?;
        let relayed = self.map.ways(cut).into_iter().find(|(_, way)| matches!(way, Way::Via(_)));
        if let Some(((from, _), _)) = relayed {
            println!("     `holm status` at member {from}:");
            for line in self.members.ask(from, &["status"])?.lines() {
                println!("     | {line}");
            }
        }
        self.heal()
    }

    /// An island that nothing leads to, if the rest is a majority that finds each other.
    fn cut_off(&mut self, island: usize) -> Result<(), String> {
        let cut = both_ways(self.map.pairs().filter(|(from, _)| *from == island));
        let lost: Vec<u64> = self.map.on(island).map(|member| member.id).collect();
        let rest: Vec<u64> = self.everybody().into_iter().filter(|id| !lost.contains(id)).collect();
        let ways = self.map.ways(&cut);
        let apart = |(from, to): &(u64, u64)| rest.contains(from) && rest.contains(to);
        let joined = ways.iter().filter(|(pair, _)| apart(pair)).all(|(_, way)| *way != Way::None);
        if !joined || rest.len() <= lost.len() {
            return Ok(());
        }
        let name = &self.map.islands[island].name;
        self.network.cut(self.map, &cut)?;
        self.reached(&format!("{name} cut off"), &cut, &rest)?;
        self.counts(&rest)?;
        if let Some(id) = lost.iter().find(|id| self.members.counter(**id, "1s").is_ok()) {
            return Err(format!("member {id} answers a read, cut off from a majority"));
        }
        println!("ok   {name} answers no read meanwhile");
        self.heal()
    }

    fn heal(&mut self) -> Result<(), String> {
        let all = Cut::new();
        self.network.cut(self.map, &all)?;
        self.reached("all whole again", &all, &self.everybody())?;
        self.counts(&self.everybody())
    }

    fn everybody(&self) -> Vec<u64> {
        self.map.members.iter().map(|member| member.id).collect()
    }
}

/// Members that reach each other as the map says, and follow one leader.
pub(super) struct Settled {
    pub(super) leader: u64,
    term: u64,
    seen: BTreeMap<u64, Seen>,
}

/// Waits until each of these reaches each as the map says, and all follow one leader.
pub(super) fn settled(
    map: &Map,
    members: &Members,
    cut: &Cut,
    who: &[u64],
) -> Result<Settled, String> {
    let ways = map.ways(cut);
    let look = || -> BTreeMap<u64, Seen> {
        who.iter().filter_map(|id| Some((*id, members.seen(*id)?))).collect()
    };
    let mut seen = BTreeMap::new();
    let found = within(|| {
        seen = look();
        let as_said = |(from, seen): (&u64, &Seen)| {
            let way = |to: &u64| seen.reached.get(to).map_or("", String::as_str);
            ways.iter().filter(|((id, _), _)| id == from).all(|((_, to), it)| it.is(way(to)))
        };
        let leaders: BTreeSet<_> = seen.values().map(|seen| (seen.leader, seen.term)).collect();
        let [(Some(leader), term)] = leaders.into_iter().collect::<Vec<_>>()[..] else {
            return None;
        };
        let all = seen.len() == who.len() && seen.iter().all(as_said);
        all.then_some((leader, term))
    });
    if let Some((leader, term)) = found {
        return Ok(Settled { leader, term, seen });
    }
    let expected = ways.iter().map(|((from, to), way)| format!("{from} to {to} {way:?}"));
    let expected = expected.collect::<Vec<_>>().join(", ");
    Err(format!("expected {expected}; found {}", told(&seen)))
}

pub(super) fn both_ways(pairs: impl IntoIterator<Item = (usize, usize)>) -> Cut {
    pairs.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]).collect()
}

/// Looks again and again until it is found, or [`STUCK`] has passed.
fn within<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = look();
        if found.is_some() || start.elapsed() > STUCK {
            return found;
        }
        sleep(LOOK_AGAIN);
    }
}

/// Who reaches whom how, for people: only what is not a link.
fn told(seen: &BTreeMap<u64, Seen>) -> String {
    let mut others: Vec<String> = Vec::new();
    for (from, seen) in seen {
        let unlinked = seen.reached.iter().filter(|(_, how)| !Way::Link.is(how));
        others.extend(unlinked.map(|(to, how)| format!("{from} to {to} {how}")));
    }
    if others.is_empty() { "all by links of their own".into() } else { others.join(", ") }
}
