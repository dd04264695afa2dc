//! The clients: [`Clients`] add to counters, put and delete keys and read both, each at one member
//! after the other until it is answered, and record when each operation began and what was
//! answered. A name is used for a few hundred operations, so that its history can be searched.

use crate::STUCK;
use crate::random::Random;
use holm::server::client::{Answer, Ask, Client, Endpoint, random_key};
use holm_sim::checkers::linearizable::{Handle, History, What};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;

/// How many names are used at a time: the odd ones are counters, the even ones keys.
const NAMES: usize = 16;
/// After so many operations a name is left.
const OPERATIONS_MAX: u64 = 400;

/// What all clients saw.
pub(crate) struct Seen {
    pub(crate) history: History,
    names: [(u64, u64); NAMES],
    next_name: u64,
    value: u64,
}

/// How much was asked and answered.
pub(crate) struct Counts(u64, u64);

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operations, {} answered", self.0, self.1)
    }
}

/// Running clients.
pub(crate) struct Clients {
    seen: Arc<Mutex<Seen>>,
    stops: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<(), String>>>,
}

impl Seen {
    fn new() -> Self {
        let names = std::array::from_fn(|at| (at as u64, 0));
        Self { history: History::default(), names, next_name: NAMES as u64, value: 0 }
    }

    /// Draws an operation and records that it begins.
    fn begin(&mut self, random: &mut Random) -> (Handle, Ask, What) {
        let at = usize::try_from(random.below(NAMES as u64)).expect("few");
        let (name, operations) = &mut self.names[at];
        *operations += 1;
        let number = *name;
        if *operations == OPERATIONS_MAX {
            // The next one is of the same kind.
            let next = self.next_name + u64::from(self.next_name % 2 != number % 2);
            self.names[at] = (next, 0);
            self.next_name = next + 1;
        }
        let what = match (number % 2, random.below(8)) {
            (_, 0..4) => What::Read,
            (1, _) => What::Add(1 + random.below(9)),
            (_, 4..7) => {
                self.value += 1;
                What::Set(self.value)
            }
            _ => What::Clear,
        };
        (self.history.begin(number, what), ask(number, what, random), what)
    }
}

fn ask(number: u64, what: What, random: &mut Random) -> Ask {
    let name = format!("load-{number}");
    let once = Some(random_key());
    match what {
        What::Add(by) => Ask::add(&name, i64::try_from(by).expect("small"), once),
        What::Set(value) => Ask::put(&name, value.to_string(), once),
        What::Clear => Ask::delete(&name, once),
        What::Put(_) | What::Read => {
            let kind = if number % 2 == 1 { "counters" } else { "kv" };
            // No clock is off here, so a lease must do as well.
            let lease = if random.below(4) == 0 { "?consistency=lease" } else { "" };
            Ask::get(format!("/v1/{kind}/{name}{lease}"))
        }
    }
}

/// What an answer says, if it says anything of the operation.
fn told(what: What, ask: &Ask, answer: &Answer) -> Result<Option<u64>, String> {
    let wrong = || format!("{what:?} was answered {answer:?}");
    let text = || String::from_utf8_lossy(&answer.body).into_owned();
    match (answer.status.as_u16(), what) {
        (503 | 504, _) => Ok(None),
        (200, What::Set(_)) => Ok(Some(0)),
        (200, What::Clear) => Ok(Some(1)),
        (404, What::Clear | What::Read) => Ok(Some(0)),
        (200, What::Read) if ask.path.starts_with("/v1/kv/") => {
            text().parse().map(Some).map_err(|_| wrong())
        }
        (200, What::Add(_) | What::Read) => {
            let value = answer.json::<serde_json::Value>().and_then(|it| it["value"].as_u64());
            value.map(Some).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

impl Clients {
    pub(crate) fn start(endpoints: &[Endpoint], count: u64, random: &mut Random) -> Self {
        let (seen, stops) = (Arc::new(Mutex::new(Seen::new())), Arc::new(AtomicBool::new(false)));
        let one = |_| {
            let (endpoints, random) = (endpoints.to_vec(), random.another());
            tokio::task::spawn(asks(endpoints, random, Arc::clone(&seen), Arc::clone(&stops)))
        };
        let tasks = (0..count).map(one).collect();
        Self { seen, stops, tasks }
    }

    pub(crate) fn counts(&self) -> Counts {
        let (asked, answered) = lock(&self.seen).history.counts();
        Counts(asked, answered)
    }

    /// Whether all go on.
    pub(crate) fn check(&self) -> Result<(), String> {
        let ended = self.tasks.iter().any(JoinHandle::is_finished);
        if ended { Err("a client has ended by itself".into()) } else { Ok(()) }
    }

    /// Lets each finish the operation that it is at; what all saw.
    pub(crate) async fn stop(self) -> Result<Seen, String> {
        self.stops.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.map_err(|error| format!("a client broke: {error}"))??;
        }
        let seen = Arc::into_inner(self.seen).expect("the clients have ended");
        Ok(seen.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn asks(
    mut endpoints: Vec<Endpoint>,
    mut random: Random,
    seen: Arc<Mutex<Seen>>,
    stops: Arc<AtomicBool>,
) -> Result<(), String> {
    let client = Client::new();
    while !stops.load(Ordering::Relaxed) {
        let (handle, ask, what) = lock(&seen).begin(&mut random);
        let first = random.below(endpoints.len() as u64);
        endpoints.rotate_left(usize::try_from(first).expect("few"));
        let Ok(answer) = client.ask_until_answered(&endpoints, &ask, STUCK).await else {
            continue;
        };
        if let Some(told) = told(what, &ask, &answer)? {
            lock(&seen).history.end(handle, told);
        }
    }
    Ok(())
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
