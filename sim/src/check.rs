//! A state machine of your own under the core's world: [`check`], what it is driven by
//! ([`Workload`]), how often ([`Sweep`]), and what came of it ([`Checked`], [`Failed`]).

use crate::checkers::Violation;
use crate::core_world::guest::{Guest, Host};
use crate::core_world::plan::Plan;
use crate::core_world::random::Random;
use crate::core_world::{self, Coverage, Mode, Outcome, Tracing};
use crate::schedule::shrink::shrink;
use bytes::Bytes;
use holm::StateMachine;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How many smaller schedules are tried before a failing one is told.
const TRIES_MAX: u64 = 400;

/// Runs a state machine on simulated members, once for each seed of a sweep, while links, disks,
/// clocks and processes fail, members come and go, and snapshots are taken and sent.
///
/// All members begin with the state of `machine`. Each command is encoded, goes through the log,
/// and is applied from its bytes, as in a [`holm::Node`]; it is retried under its number, and takes
/// effect once. What is checked:
/// - **deterministic**: after each command all members have replied alike, and their snapshots are
///   equal to the byte;
/// - **restored as it was**: what [`restore`](StateMachine::restore) makes of a snapshot has the
///   same snapshot;
/// - **invariant**: what the workload says must hold, after each command;
/// - nothing panics, and all that Holm itself promises.
///
/// At the end the first seed is run again and has to come to the same: a clock that ticks slowly is
/// seen by that.
///
/// It runs in this process, on [`Sweep::jobs`] threads, and returns when all seeds are done or one
/// has failed. The state is encoded after each command, so keep it small: a seed has some hundreds
/// of commands.
///
/// ```
/// # use holm_sim::{Sweep, Workload, check};
/// #[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
/// struct Counter(i64);
///
/// impl holm::StateMachine for Counter {
///     type Command = i64;
///     type Reply = i64;
///     type Snapshot = Self;
///
///     fn apply(&mut self, add: i64) -> i64 {
///         self.0 += add;
///         self.0
///     }
///
///     fn snapshot(&self) -> Self {
///         self.clone()
///     }
///
///     fn restore(snapshot: Self) -> Self {
///         snapshot
///     }
/// }
///
/// let workload = Workload::new(|random| i64::try_from(random.below(10)).unwrap())
///     .with_invariant(|counter: &Counter| match counter.0 {
///         0.. => Ok(()),
///         less => Err(format!("{less} is less than nothing")),
///     });
/// let checked = check(Counter::default(), workload, Sweep::seeds(0..5)).unwrap();
/// assert!(checked.entries > 0);
/// ```
///
/// An `apply` that reads a clock is found, whatever the seed:
///
/// ```
/// # use holm_sim::{Sweep, Workload, check};
/// # use std::time::{SystemTime, UNIX_EPOCH};
/// #[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
/// struct LastSeen(u128);
///
/// impl holm::StateMachine for LastSeen {
///     type Command = ();
///     type Reply = ();
///     type Snapshot = Self;
///
///     fn apply(&mut self, (): ()) {
///         self.0 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
///     }
///
///     fn snapshot(&self) -> Self {
///         self.clone()
///     }
///
///     fn restore(snapshot: Self) -> Self {
///         snapshot
///     }
/// }
///
/// let failed = check(LastSeen::default(), Workload::new(|_| ()), Sweep::seeds(0..5));
/// let failed = failed.unwrap_err();
/// assert_eq!(failed.violation.checker, "deterministic");
/// ```
///
/// # Errors
/// If a seed fails: the least one, with what is left of its schedule once all that it does not need
/// is left out.
pub fn check<M: StateMachine>(
    machine: M,
    workload: Workload<M>,
    sweep: Sweep,
) -> Result<Checked, Failed> {
    let host = Embedded::host(machine, workload);
    let next = AtomicU64::new(sweep.seeds.start);
    let checked = Mutex::new(Checked::default());
    let failing = Mutex::new(None::<(u64, Violation)>);
    std::thread::scope(|scope| {
        for _ in 0..sweep.jobs.max(1) {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < sweep.seeds.end
                {
                    let outcome = core_world::host(plan(seed), Tracing::Off, &host);
                    let mut checked = checked.lock().expect("nobody panicked");
                    checked.add(seed == sweep.seeds.start, &outcome);
                    if let Some(violation) = outcome.violation {
                        let mut failing = failing.lock().expect("nobody panicked");
                        if failing.as_ref().is_none_or(|(known, _)| seed < *known) {
                            *failing = Some((seed, violation));
                        }
                        next.fetch_max(sweep.seeds.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if let Some((seed, violation)) = failing.into_inner().expect("nobody panicked") {
        return Err(Failed::shrunk(plan(seed), violation, &host));
    }
    let checked = checked.into_inner().expect("nobody panicked");
    again(sweep.seeds.start, &checked, &host)?;
    Ok(checked)
}

/// Runs a state machine by a schedule, as [`Failed::schedule`] has it: what failed once is kept,
/// and run for ever.
///
/// # Errors
/// If it fails, or the text is no schedule: then it names line, key and mend.
pub fn replay<M: StateMachine>(
    machine: M,
    workload: Workload<M>,
    schedule: &str,
) -> Result<(), Failed> {
    let unreadable = |error: core_world::text::TextError| Failed {
        seed: 0,
        violation: Violation { checker: "schedule", says: error.to_string() },
        schedule: schedule.to_owned(),
        words: "a schedule that can't be read".to_owned(),
    };
    let plan = Plan::parse(schedule).map_err(unreadable)?;
    let host = Embedded::host(machine, workload);
    match core_world::host(plan.clone(), Tracing::Off, &host).violation {
        Some(violation) => Err(Failed::by(&plan, violation)),
        None => Ok(()),
    }
}

/// What a state machine is driven by: commands, and what must hold after each.
pub struct Workload<M: StateMachine> {
    draw: Box<Draw<M>>,
    invariant: Box<Invariant<M>>,
}

type Draw<M> = dyn Fn(&mut Random) -> <M as StateMachine>::Command + Send + Sync;
type Invariant<M> = dyn Fn(&M) -> Result<(), String> + Send + Sync;

impl<M: StateMachine> Workload<M> {
    /// Commands that this draws. It has to draw the same from equal streams.
    #[must_use]
    pub fn new(draw: impl Fn(&mut Random) -> M::Command + Send + Sync + 'static) -> Self {
        Self { draw: Box::new(draw), invariant: Box::new(|_| Ok(())) }
    }

    /// And this has to hold after each command, on each member; if not, it says why.
    #[must_use]
    pub fn with_invariant(
        mut self,
        invariant: impl Fn(&M) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.invariant = Box::new(invariant);
        self
    }
}

/// Which seeds are run, and how many at once.
#[derive(Clone, Debug)]
pub struct Sweep {
    seeds: Range<u64>,
    jobs: usize,
}

impl Sweep {
    /// These seeds, one after the other.
    #[must_use]
    pub const fn seeds(seeds: Range<u64>) -> Self {
        Self { seeds, jobs: 1 }
    }

    /// So many at once, at least one.
    #[must_use]
    pub const fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }
}

/// What the seeds of a sweep came to, all of which passed.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// How many they were.
    pub seeds: u64,
    /// Entries that were committed.
    pub entries: u64,
    /// Terms that had a leader.
    pub elections: u64,
    /// States that came from a leader's snapshot.
    pub installed: u64,
    /// Faults, and what else was reached.
    pub coverage: Coverage,
    first_digest: u64,
}

impl Checked {
    fn add(&mut self, is_first: bool, outcome: &Outcome) {
        self.seeds += 1;
        self.entries += outcome.commits;
        self.elections += outcome.elections;
        self.installed += outcome.installed;
        self.coverage += &outcome.coverage;
        if is_first {
            self.first_digest = outcome.digest;
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, entries, elections, installed, coverage, .. } = self;
        let faults = coverage.faults();
        write!(
            f,
            "{seeds} seeds passed: {entries} entries, {elections} elections, {installed} states \
             from a leader's snapshot, {faults} faults"
        )
    }
}

/// A seed that failed.
#[derive(Clone)]
pub struct Failed {
    /// Which one.
    pub seed: u64,
    /// What was broken.
    pub violation: Violation,
    /// What is left of its schedule; [`replay`] takes it.
    pub schedule: String,
    words: String,
}

impl Failed {
    fn shrunk(plan: Plan, first: Violation, host: &Arc<dyn Host>) -> Self {
        let run = |plan: Plan| core_world::host(plan, Tracing::Off, host);
        match shrink(&run, &plan, TRIES_MAX) {
            Some(shrunk) => {
                let violation = Violation { checker: shrunk.checker, says: shrunk.says };
                Self { seed: plan.settings.seed, ..Self::by(&shrunk.plan, violation) }
            }
            None => {
                let says = format!(
                    "{}; when it was run again it did not fail, so it depends on something besides \
                     the state and the command",
                    first.says
                );
                Self::by(&plan, Violation { says, ..first })
            }
        }
    }

    fn by(plan: &Plan, violation: Violation) -> Self {
        let (schedule, words) = (plan.text(), plan.words());
        Self { seed: plan.settings.seed, violation, schedule, words }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, violation, schedule, words } = self;
        write!(
            f,
            "seed {seed} fails: {violation}\nIt needs {words}. To keep it, give this to \
             `holm_sim::replay`:\n{schedule}"
        )
    }
}

/// As it is displayed: `unwrap` shows this.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failed {}

fn plan(seed: u64) -> Plan {
    Plan::draw(seed, Mode::Within)
}

/// The first seed comes to the same as before, though the time is another.
fn again(seed: u64, checked: &Checked, host: &Arc<dyn Host>) -> Result<(), Failed> {
    if checked.seeds == 0 {
        return Ok(());
    }
    let outcome = core_world::host(plan(seed), Tracing::Off, host);
    if outcome.violation.is_none() && outcome.digest == checked.first_digest {
        return Ok(());
    }
    let says = "the first seed was run again and came to something else; `apply`, `snapshot`, or \
                what draws commands depends on something that has changed since"
        .to_owned();
    let violation = outcome.violation.unwrap_or(Violation { checker: "deterministic", says });
    Err(Failed::by(&plan(seed), violation))
}

/// What makes members of an embedder's state machine.
struct Embedded<M: StateMachine> {
    first: Result<Bytes, Violation>,
    workload: Arc<Workload<M>>,
}

impl<M: StateMachine> Embedded<M> {
    fn host(machine: M, workload: Workload<M>) -> Arc<dyn Host> {
        let first = encoded(&machine.snapshot(), "the first snapshot");
        Arc::new(Self { first, workload: Arc::new(workload) })
    }
}

/// One member's.
struct Copy<M: StateMachine> {
    machine: M,
    workload: Arc<Workload<M>>,
}

impl<M: StateMachine> Host for Embedded<M> {
    fn thaw(&self, frozen: Option<&[u8]>) -> Result<Box<dyn Guest>, Violation> {
        let snapshot = match frozen {
            Some(frozen) => decoded(frozen, "a snapshot")?,
            None => decoded(&self.first.clone()?, "the first snapshot")?,
        };
        let workload = Arc::clone(&self.workload);
        Ok(Box::new(Copy { machine: M::restore(snapshot), workload }))
    }

    fn draw(&self, random: &mut Random) -> Result<Bytes, Violation> {
        encoded(&(self.workload.draw)(random), "a command")
    }
}

impl<M: StateMachine> Guest for Copy<M> {
    fn apply(&mut self, command: &[u8]) -> Result<Bytes, Violation> {
        let reply = self.machine.apply(decoded(command, "a command")?);
        let holds = (self.workload.invariant)(&self.machine);
        holds.map_err(|says| Violation { checker: "invariant", says })?;
        encoded(&reply, "a reply")
    }

    fn freeze(&self) -> Result<Bytes, Violation> {
        encoded(&self.machine.snapshot(), "a snapshot")
    }
}

fn encoded<T: serde::Serialize>(value: &T, what: &str) -> Result<Bytes, Violation> {
    postcard::to_stdvec(value).map(Bytes::from).map_err(|error| Violation {
        checker: "encoding",
        says: format!("{what} can't be encoded with postcard ({error}); mend its `Serialize`"),
    })
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Violation> {
    postcard::from_bytes(bytes).map_err(|error| Violation {
        checker: "encoding",
        says: format!(
            "{what} can't be decoded from its own {} bytes ({error}); mend its `Deserialize`",
            bytes.len()
        ),
    })
}
