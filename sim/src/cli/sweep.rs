//! Many seeds: `sweep`, on several threads, and `merge`, which joins what several sweeps printed.

use super::one::quiet;
use super::schedule::Schedule;
use super::{Ended, How, Shard, compare};
use holm_sim::{Coverage, Mode, Outcome, Tracing, World};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

/// What a sweep prints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
}

/// So many seeds must a sweep have before it fails for what it never reached, in either world.
const SEEDS_FOR_COVERAGE: u64 = 300;
/// The same for what seldom comes of it.
const SEEDS_FOR_CONSEQUENCES: u64 = 2_000;

/// What many runs come to.
#[derive(Default)]
struct Total {
    world: Option<World>,
    sums: BTreeMap<&'static str, u64>,
    coverage: Coverage,
    failing: BTreeMap<u64, String>,
    /// Seeds that broke what had to break where disks fail beyond what is promised, by checker.
    foretold: BTreeMap<&'static str, u64>,
}

const SUMMED: [&str; 8] = [
    "commits",
    "elections",
    "installed",
    "operations",
    "answered",
    "messages",
    "events",
    "stale_leases",
];

pub(super) fn sweep(
    seeds: Range<u64>,
    shard: Shard,
    jobs: usize,
    format: Format,
    how: &How,
) -> Ended {
    how.check()?;
    quiet();
    let count = (seeds.end - seeds.start).saturating_sub(shard.first).div_ceil(shard.count);
    let bar = ProgressBar::new(count);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} {msg}");
    bar.set_style(style.map_err(|error| error.to_string())?);
    let next = AtomicU64::new(0);
    let (done, outcomes) = mpsc::channel::<(u64, Result<Outcome, String>)>();
    let mut total = Total::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (done, next, seeds) = (done.clone(), &next, seeds.clone());
            scope.spawn(move || {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= count {
                        return;
                    }
                    let seed = seeds.start + shard.first + nth * shard.count;
                    if done.send((nth, one(seed, how))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        // Printed in the order of the seeds, whoever is done first.
        let (mut waiting, mut due) = (BTreeMap::new(), 0);
        for (nth, outcome) in outcomes {
            waiting.insert(nth, outcome);
            while let Some(outcome) = waiting.remove(&due) {
                let seed = seeds.start + shard.first + due * shard.count;
                total.take(seed, outcome, (format, how.mode()), &bar);
                due += 1;
            }
        }
    });
    bar.finish_and_clear();
    total.judge(count, format, how.mode())
}

fn one(seed: u64, how: &How) -> Result<Outcome, String> {
    let schedule = Schedule::draw(seed, how);
    if !how.twice {
        return schedule.run(Tracing::Off);
    }
    let (first, second) = (schedule.run(Tracing::Kept)?, schedule.run(Tracing::Kept)?);
    compare(seed, &first.trace.json(), &second.trace.json())?;
    Ok(first)
}

pub(super) fn merge(seeds: Option<Range<u64>>, files: &[PathBuf]) -> Ended {
    let mut total = Total::default();
    let mut known = BTreeSet::new();
    for path in files {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("reading {} failed: {error}", path.display()))?;
        for (line, text) in (1..).zip(text.lines()) {
            let wrong = |what: &str| {
                format!("{}, line {line}: {what}; give what `sweep --json` prints", path.display())
            };
            let json: Value = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
            let seed = json["seed"].as_u64().ok_or_else(|| wrong("no `seed`"))?;
            if !known.insert(seed) {
                return Err(wrong(&format!("`seed` {seed} is there twice")));
            }
            total.add(&json).map_err(|what| wrong(&what))?;
            if let Some(violation) = json["violation"].as_object() {
                let part = |key: &str| violation[key].as_str().unwrap_or_default().to_owned();
                let says = format!("seed {seed}: {}: {}", part("checker"), part("says"));
                total.failing.insert(seed, says);
            }
        }
    }
    let mut missing = seeds.into_iter().flatten().filter(|seed| !known.contains(seed));
    if let Some(first) = missing.next() {
        let others = missing.count();
        return Err(format!("seed {first} and {others} others are missing; give all shards"));
    }
    total.judge(known.len() as u64, Format::Table, Mode::Within)
}

impl Total {
    fn take(
        &mut self,
        seed: u64,
        outcome: Result<Outcome, String>,
        (format, mode): (Format, Mode),
        bar: &ProgressBar,
    ) {
        bar.inc(1);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(differs) => {
                bar.suspend(|| eprintln!("{differs}"));
                self.failing.insert(seed, differs);
                return;
            }
        };
        let json = outcome.json();
        if format == Format::Json {
            bar.suspend(|| println!("{json}"));
        }
        if let Some(checker) = outcome.foretold(mode) {
            *self.foretold.entry(checker).or_default() += 1;
        } else if outcome.violation.is_some() {
            bar.suspend(|| eprintln!("{outcome}"));
            self.failing.insert(seed, outcome.to_string());
            bar.set_message(format!("{} failing", self.failing.len()));
        }
        let parsed = serde_json::from_str(&json).map_err(|error| error.to_string());
        let added = parsed.and_then(|json| self.add(&json));
        debug_assert_eq!(added, Ok(()), "its own JSON can be read");
    }

    fn add(&mut self, json: &Value) -> Result<(), String> {
        for key in SUMMED {
            let value = json[key].as_u64().ok_or_else(|| format!("no `{key}`"))?;
            *self.sums.entry(key).or_default() += value;
        }
        let coverage = Coverage::parse(&json["coverage"])?;
        if self.world.is_some_and(|world| world != coverage.world) {
            return Err("`coverage` is of the other world than that of the lines above".to_owned());
        }
        self.world = Some(coverage.world);
        self.coverage.world = coverage.world;
        self.coverage += &coverage;
        Ok(())
    }

    fn judge(&self, count: u64, format: Format, mode: Mode) -> Ended {
        let sums: Vec<String> =
            self.sums.iter().map(|(key, sum)| format!("{sum} {}", key.replace('_', " "))).collect();
        if format == Format::Table {
            println!("{}", self.coverage.table());
            for (checker, seeds) in &self.foretold {
                println!("beyond what is promised, {checker} broke in {seeds} seeds");
            }
            println!("{count} seeds: {}; {} failing", sums.join(", "), self.failing.len());
        }
        if !self.failing.is_empty() {
            let seeds: Vec<String> = self.failing.keys().map(ToString::to_string).collect();
            return Err(format!("failing seeds: {}", seeds.join(" ")));
        }
        let mut missing: Vec<String> =
            self.coverage.missing().into_iter().map(str::to_owned).collect();
        if count >= SEEDS_FOR_CONSEQUENCES {
            missing.extend(self.coverage.missing_consequences().into_iter().map(str::to_owned));
            missing.extend(self.coverage.missing_arms());
        }
        if mode == Mode::Within && count >= SEEDS_FOR_COVERAGE && !missing.is_empty() {
            return Err(format!("never happened in {count} seeds: {missing:?}"));
        }
        let stale = self.sums.get("stale_leases").copied().unwrap_or(0);
        if mode == Mode::BeyondDrift && count >= SEEDS_FOR_COVERAGE && stale == 0 {
            return Err("no lease read was stale, though clocks strayed: nothing is shown".into());
        }
        if mode == Mode::BeyondDisks && self.foretold.is_empty() {
            return Err("nothing broke, though a majority's disks failed: nothing is shown".into());
        }
        Ok(ExitCode::SUCCESS)
    }
}
