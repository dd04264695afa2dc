//! The command line: which world, which seed or schedule, and what to do with it.

#[cfg(feature = "mutations")]
mod mutants;
mod one;
mod schedule;
mod sweep;
mod view;

use clap::{Args, Parser, Subcommand, ValueEnum};
use holm::topology::Topology;
use holm_sim::Mode;
use holm_sim::core_world::Given;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the commands come to.
type Ended = Result<ExitCode, String>;

/// Deterministic simulation of Holm: one seed, one history.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one seed and print its trace.
    Run {
        /// The seed.
        #[arg(long, value_parser = parse_seed)]
        seed: u64,
        #[command(flatten)]
        how: How,
    },
    /// Run a range of seeds; exits with 1 and the failing seeds if any fails.
    Sweep {
        /// The seeds, as FIRST..END (END is not run).
        #[arg(long, value_parser = parse_range)]
        seeds: Range<u64>,
        /// How many run at once.
        #[arg(long, value_parser = parse_jobs, default_value = "1")]
        jobs: usize,
        /// Print a JSON line for each seed, and nothing else.
        #[arg(long)]
        json: bool,
        /// Run every N-th seed, from the I-th on, as I/N (from 0/N).
        #[arg(long, value_parser = parse_shard, default_value = "0/1")]
        shard: Shard,
        #[command(flatten)]
        how: How,
    },
    /// Join the JSON lines of sweeps, and print what they come to.
    Merge {
        /// All seeds that there have to be, as FIRST..END.
        #[arg(long, value_parser = parse_range)]
        seeds: Option<Range<u64>>,
        /// Files of JSON lines.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run a schedule, and print its trace; exits with 1 if a promise is broken.
    Replay {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
    },
    /// Print a seed's schedule.
    Schedule {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        how: How,
    },
    /// Print a trace.
    Trace {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        how: How,
    },
    /// Write a trace as one HTML file, to be looked at in a browser.
    View {
        #[command(flatten)]
        which: Viewed,
        /// Where it is written; by default the input's name, or `seed-N`, with `.html`, here.
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    /// Leave out what a failing schedule does not need, and print what is left.
    Shrink {
        #[command(flatten)]
        which: Which,
        /// How many smaller schedules are tried at most.
        #[arg(long, default_value_t = 3_000)]
        tries: u64,
        #[command(flatten)]
        how: How,
    },
    /// Shrink a failing seed into a file that `cargo test` replays for ever.
    Regress {
        #[command(flatten)]
        which: Which,
        /// Where the schedules are kept; those of the node's world in `node` below that.
        #[arg(long, default_value = "sim/regressions")]
        folder: PathBuf,
        /// How many smaller schedules are tried at most.
        #[arg(long, default_value_t = 3_000)]
        tries: u64,
        #[command(flatten)]
        how: How,
    },
    /// Switch known bugs on, one by one, and print by which checker and in how many seeds each is
    /// caught.
    #[cfg(feature = "mutations")]
    Mutants {
        /// After so many seeds a bug counts as not caught.
        #[arg(long, default_value_t = 2_000)]
        seeds: u64,
        /// From how many first seeds.
        #[arg(long, default_value_t = 10)]
        starts: u64,
        /// Only bugs whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
        /// In which world: `core` hunts bugs of core and log, `node` those of transport and node.
        #[arg(long, value_enum, default_value_t = World::DEFAULT)]
        world: World,
        /// Hunt those of core and log in the node's world, too.
        #[arg(long)]
        everywhere: bool,
    },
}

#[derive(Args, Clone)]
struct How {
    /// `core` (core and log, quick) or `node` (the whole node; under `cargo sim` only).
    #[arg(long, value_enum, default_value_t = World::DEFAULT)]
    world: World,
    /// Run each seed twice and compare the traces, byte by byte.
    #[arg(long)]
    twice: bool,
    /// Let clocks stray beyond the drift that leases allow for.
    #[arg(long)]
    beyond_drift: bool,
    /// Let disks fail on a majority of the members at once: `node` alone.
    #[arg(long, conflicts_with = "beyond_drift")]
    beyond_disks: bool,
    /// The islands, members and links of this topology file instead of drawn ones: `core` alone.
    #[arg(long, value_name = "FILE", value_parser = read_topology)]
    topology: Option<Given>,
}

/// A schedule: of a seed, or in a file.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A schedule's file.
    file: Option<PathBuf>,
    /// The seed that draws it.
    #[arg(long, value_parser = parse_seed)]
    seed: Option<u64>,
}

/// What is looked at: a seed's run, a schedule's, or a trace.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Viewed {
    /// A schedule's file, or a trace's (JSON lines).
    file: Option<PathBuf>,
    /// The seed that draws a schedule.
    #[arg(long, value_parser = parse_seed)]
    seed: Option<u64>,
}

/// As what a trace is printed: text, unless it is said otherwise.
#[derive(Args)]
#[group(multiple = false)]
struct Shape {
    /// As this.
    #[arg(long, value_enum)]
    form: Option<Form>,
    /// As columns to read.
    #[arg(long)]
    text: bool,
    /// As JSON lines.
    #[arg(long)]
    json: bool,
    /// For ShiViz.
    #[arg(long)]
    shiviz: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum World {
    Core,
    Node,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
    Shiviz,
}

/// Every `count`-th seed, from the `first`-th on.
#[derive(Clone, Copy)]
struct Shard {
    first: u64,
    count: u64,
}

impl Shape {
    fn form(&self) -> Form {
        let flags = [(self.json, Form::Json), (self.shiviz, Form::Shiviz)];
        let flag = flags.into_iter().find(|(given, _)| *given).map(|(_, form)| form);
        self.form.or(flag).unwrap_or(Form::Text)
    }
}

impl World {
    const DEFAULT: Self = if cfg!(madsim) { Self::Node } else { Self::Core };
}

impl How {
    const fn mode(&self) -> Mode {
        match (self.beyond_drift, self.beyond_disks) {
            (true, _) => Mode::BeyondDrift,
            (_, true) => Mode::BeyondDisks,
            _ => Mode::Within,
        }
    }

    /// Whether what is asked for goes together.
    fn check(&self) -> Result<(), String> {
        if self.beyond_disks && self.world == World::Core {
            return Err(
                "--beyond-disks is for the node's world: run it with `cargo sim`".to_owned()
            );
        }
        if self.topology.is_none() || self.world == World::Core {
            return Ok(());
        }
        Err("the node's world draws its topologies; leave --topology out, or add --world core"
            .to_owned())
    }
}

impl Cli {
    pub(crate) fn run(self) -> Ended {
        match self.command {
            Command::Run { seed, how } => one::run(seed, &how),
            Command::Sweep { seeds, jobs, json, shard, how } => {
                let format = if json { sweep::Format::Json } else { sweep::Format::Table };
                sweep::sweep(seeds, shard, jobs, format, &how)
            }
            Command::Merge { seeds, files } => sweep::merge(seeds, &files),
            Command::Replay { which, how } => one::replay(&which, &how),
            Command::Schedule { which, how } => one::schedule(&which, &how),
            Command::Trace { which, shape, how } => one::trace(&which, shape.form(), &how),
            Command::View { which, out, how } => view::view(&which, out, &how),
            Command::Shrink { which, tries, how } => one::shrink(&which, tries, &how),
            Command::Regress { which, folder, tries, how } => {
                one::regress(&which, &folder, tries, &how)
            }
            #[cfg(feature = "mutations")]
            Command::Mutants { seeds, starts, only, world, everywhere } => {
                let hunt =
                    if everywhere { mutants::Hunt::Everywhere } else { mutants::Hunt::AtHome };
                mutants::table(world, hunt, (seeds, starts), &only)
            }
        }
    }
}

/// The first line in which two texts differ, from 1.
fn first_difference(one: &str, other: &str) -> Option<usize> {
    if one == other {
        return None;
    }
    let equal = one.lines().zip(other.lines()).take_while(|(one, other)| one == other);
    Some(equal.count() + 1)
}

/// Says that two traces of one seed differ, if they do.
fn compare(seed: u64, one: &str, other: &str) -> Result<(), String> {
    let Some(line) = first_difference(one, other) else { return Ok(()) };
    let nth = |trace: &str| trace.lines().nth(line - 1).unwrap_or("(end)").to_owned();
    Err(format!(
        "seed {seed}: the second run differs from line {line} on:\n  {}\n  {}",
        nth(one),
        nth(other)
    ))
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text
        .split_once("..")
        .and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?))
        .filter(|range: &Range<u64>| !range.is_empty());
    parsed.ok_or_else(|| format!("`{text}` is no range of seeds; write FIRST..END, as in 0..100"))
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no seed; write a whole number, as in 7"))
}

fn parse_jobs(text: &str) -> Result<usize, String> {
    let parsed = text.parse().ok().filter(|jobs| *jobs > 0);
    parsed.ok_or_else(|| format!("`{text}` is no count of jobs; write a whole number from 1 on"))
}

fn read_topology(path: &str) -> Result<Given, String> {
    let path = Path::new(path);
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("reading {} failed: {error}; name a topology", path.display()))?;
    let given = Topology::parse(&text).and_then(|topology| Given::of(&topology));
    given.map_err(|error| error.in_file(path).to_string())
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    let parsed = text
        .split_once('/')
        .and_then(|(first, count)| Some((first.parse().ok()?, count.parse().ok()?)))
        .filter(|(first, count): &(u64, u64)| first < count);
    let (first, count) =
        parsed.ok_or_else(|| format!("`{text}` is no shard; write I/N, as in 0/4 to 3/4"))?;
    Ok(Shard { first, count })
}
