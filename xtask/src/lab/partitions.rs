//! The partial partitions of `raft-core/tests/partitions/scenarios.rs` on real members: each on an
//! island of its own, with members that relay and with members that don't. Links are cut without a
//! word; what is measured is the time from the cut until an increment is answered, wherever.

use super::Lab;
use super::checks::{both_ways, settled};
use super::map::Cut;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// What is not answered within this counts as never: 50 to 100 election time-outs.
const NEVER: Duration = Duration::from_secs(15);
/// How long an increment waits until another is tried: how exact the times are.
const ATTEMPT: &str = "250ms";
/// How many increments a member misses that is to fall behind.
const MISSED: usize = 3;

/// Members by number, from 1, as the core's tests draw them.
struct Scenario {
    name: &'static str,
    members: u64,
    leader: u64,
    /// Who falls behind before the cut.
    behind: Option<u64>,
    /// Whether the link between `a < b` is whole after it.
    whole: fn(u64, u64) -> bool,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "quorum-loss star",
        members: 5,
        leader: 3,
        behind: None,
        whole: |a, _| a == 1,
    },
    Scenario {
        name: "constrained election",
        members: 5,
        leader: 3,
        behind: Some(1),
        whole: |a, b| a == 1 && b != 3,
    },
    Scenario { name: "chained", members: 3, leader: 3, behind: None, whole: |a, _| a == 1 },
    Scenario {
        name: "bridge",
        members: 5,
        leader: 1,
        behind: None,
        whole: |a, b| b <= 3 || a >= 3,
    },
];

/// Prints a table, and fails if a scenario does not recover though members relay.
pub(super) fn run(up: impl Fn(&str, &str) -> Result<Lab, String>) -> Result<(), String> {
    println!("seconds from the cut to an answered increment, to within {ATTEMPT}; {ROUNDS} rounds");
    println!("| scenario | members relay | they do not |");
    println!("|---|---|---|");
    for (number, scenario) in (0..).zip(&SCENARIOS) {
        let measured = |name: &str, relay: &str| -> Result<Vec<Option<Duration>>, String> {
            let topology = topology(scenario.members, relay);
            let mut lab = up(&format!("{number}{name}"), &topology)?;
            let rounds = (0..ROUNDS).map(|_| scenario.round(&mut lab)).collect::<Result<_, _>>();
            rounds.map_err(|error| format!("{}: {error}\n{}", scenario.name, lab.members.logs()))
        };
        let (on, off) = (measured("on", "relay = true\n")?, measured("off", "relay = false\n")?);
        println!("| {} | {} | {} |", scenario.name, spread(&on), spread(&off));
        if on.contains(&None) {
            return Err(format!("{}: does not recover, though members relay", scenario.name));
        }
    }
    Ok(())
}

impl Scenario {
    /// The time from the cut to an answered increment.
    fn round(&self, lab: &mut Lab) -> Result<Option<Duration>, String> {
        let all: Vec<u64> = (1..=self.members).collect();
        lab.network.cut(&lab.map, &Cut::new())?;
        let leader = settled(&lab.map, &lab.members, &Cut::new(), &all)?.leader;
        lab.members.increment(leader)?;
        // Who leads plays the leader; whose part it plays takes its own.
        let plays = |part: u64| match part {
            part if part == self.leader => leader,
            part if part == leader => self.leader,
            part => part,
        };
        if let Some(behind) = self.behind {
            lab.network.cut(&lab.map, &self.cut(plays, |a, b| a != behind && b != behind))?;
            for _ in 0..MISSED {
                lab.members.increment(leader)?;
            }
        }
        if lab.members.seen(leader).and_then(|seen| seen.leader) != Some(leader) {
            // Another was elected meanwhile, as on a machine that does much else.
            return self.round(lab);
        }
        lab.network.cut(&lab.map, &self.cut(plays, self.whole))?;
        let cut = Instant::now();
        Ok(answered(lab, &all).map(|at| at - cut))
    }

    /// All links but the whole ones.
    fn cut(&self, plays: impl Fn(u64) -> u64, whole: impl Fn(u64, u64) -> bool) -> Cut {
        let pairs = (1..=self.members).flat_map(|b| (1..b).map(move |a| (a, b)));
        let island = |part| usize::try_from(plays(part) - 1).expect("few members");
        let gone = pairs.filter(|(a, b)| !whole(*a, *b));
        both_ways(gone.map(|(a, b)| (island(a), island(b))))
    }
}

/// When the first increment is answered that is tried from now on, at any of these members.
fn answered(lab: &Lab, members: &[u64]) -> Option<Instant> {
    let (over, start) = (AtomicBool::new(false), Instant::now());
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for id in members {
            let (tell, over) = (tell.clone(), &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) && start.elapsed() < NEVER {
                    if lab.members.tries_to_increment(*id, ATTEMPT) {
                        over.store(true, Ordering::Relaxed);
                        // Whoever was first has ended the listening.
                        let _ = tell.send(Instant::now());
                    }
                }
            });
        }
        drop(tell);
        told.recv().ok()
    })
}

/// Members that are each on an island of their own.
fn topology(members: u64, relay: &str) -> String {
    let mut text = String::new();
    for id in 1..=members {
        let member = format!("id = {id}\nisland = \"i{id}\"\naddress = \"10.77.0.{id}\"\n{relay}");
        let island = format!("[[islands]]\nname = \"i{id}\"");
        writeln!(text, "{island}\n[[members]]\n{member}").expect("a String takes all");
    }
    text
}

/// The least, the most and the middle of these times, in seconds.
fn spread(times: &[Option<Duration>]) -> String {
    let mut known: Vec<Duration> = times.iter().flatten().copied().collect();
    known.sort_unstable();
    let never = times.len() - known.len();
    let seconds = |time: &Duration| format!("{:.1}", time.as_secs_f64());
    match (known.first(), known.get(known.len() / 2), known.last()) {
        (Some(least), Some(middle), Some(most)) => {
            let (least, middle, most) = (seconds(least), seconds(middle), seconds(most));
            let but = if never > 0 { format!("; {never} times never") } else { String::new() };
            format!("{least} to {most}, {middle} in the middle{but}")
        }
        _ => format!("never within {} s", NEVER.as_secs()),
    }
}
