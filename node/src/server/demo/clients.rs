//! The demo's clients: [`Clients`] increment one counter, each increment under a key of its own
//! that is repeated, here or at another member, until it is answered.

use crate::server::client::{Ask, Client, Endpoint};
use axum::http::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long one attempt waits for its answer before the next member is asked.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);
/// The pause after a failed attempt, and between two increments of one client.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const PACE: Duration = Duration::from_millis(2);

/// Running clients. Dropping them stops them where they are.
pub(super) struct Clients {
    tasks: Vec<JoinHandle<Result<(), String>>>,
    tally: Arc<watch::Sender<Tally>>,
    stop: watch::Sender<Stop>,
}

/// What the clients have done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Increments that were answered with 200.
    pub(super) acknowledged: u64,
    /// Attempts after an increment's first.
    pub(super) retried: u64,
    /// The latest start of an attempt that was acknowledged, and when that was.
    latest: Option<(Instant, Instant)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    NotYet,
    AfterThis,
}

impl Clients {
    /// Starts `count` clients that begin at different members.
    pub(super) fn start(endpoints: &[Endpoint], count: usize, counter: &str) -> Self {
        let tally = Arc::new(watch::Sender::new(Tally::default()));
        let (stop, stopping) = watch::channel(Stop::NotYet);
        let start = |number: usize| {
            let mut endpoints = endpoints.to_vec();
            let first = number % endpoints.len().max(1);
            endpoints.rotate_left(first);
            let one = One { number, endpoints, counter: counter.to_owned(), tally: tally.clone() };
            tokio::task::spawn(one.run(stopping.clone()))
        };
        let tasks = (0..count).map(start).collect();
        Self { tasks, tally, stop }
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.tally.borrow().acknowledged
    }

    /// How long after `instant` an attempt was acknowledged that had begun after it. What was
    /// under way at the instant does not count: its answer may have been on the wire.
    pub(super) async fn next_after(
        &self,
        instant: Instant,
        within: Duration,
    ) -> Result<Duration, String> {
        let mut tally = self.tally.subscribe();
        let begun_after = |tally: &Tally| tally.latest.is_some_and(|(begun, _)| begun > instant);
        let next = tokio::time::timeout(within, tally.wait_for(begun_after)).await;
        let next = next.map_err(|_| format!("no increment was acknowledged within {within:?}"))?;
        let (_, answered) = next
            .ok()
            .and_then(|tally| tally.latest)
            .ok_or("the clients ended before the next acknowledgement")?;
        Ok(answered.saturating_duration_since(instant))
    }

    /// Lets each client finish the increment it is at, and says what all have done.
    pub(super) async fn finish(mut self, within: Duration) -> Result<Tally, String> {
        self.stop.send_replace(Stop::AfterThis);
        for task in &mut self.tasks {
            let ended = tokio::time::timeout(within, task).await;
            let ended = ended.map_err(|_| format!("a client is not done after {within:?}"))?;
            ended.map_err(|error| format!("a client broke: {error}"))??;
        }
        Ok(*self.tally.borrow())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct One {
    number: usize,
    endpoints: Vec<Endpoint>,
    counter: String,
    tally: Arc<watch::Sender<Tally>>,
}

impl One {
    async fn run(mut self, stopping: watch::Receiver<Stop>) -> Result<(), String> {
        let client = Client::new();
        for count in 0_u64.. {
            if *stopping.borrow() == Stop::AfterThis {
                break;
            }
            let key = format!("client-{}-{count}", self.number);
            self.increment(&client, &Ask::add(&self.counter, 1, Some(key))).await?;
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    async fn increment(&mut self, client: &Client, ask: &Ask) -> Result<(), String> {
        loop {
            let begun = Instant::now();
            match client.ask(&self.endpoints[0], ask, ATTEMPT_MAX).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    self.tally.send_modify(|tally| {
                        tally.acknowledged += 1;
                        let latest = tally.latest.map(|(latest, _)| latest);
                        if latest.is_none_or(|latest| latest < begun) {
                            tally.latest = Some((begun, Instant::now()));
                        }
                    });
                    return Ok(());
                }
                Ok(answer) if answer.is_undecided() => {}
                Ok(answer) => {
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    return Err(format!("an increment was refused with {}: {body}", answer.status));
                }
                Err(_) => {}
            }
            self.tally.send_modify(|tally| tally.retried += 1);
            self.endpoints.rotate_left(1);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
