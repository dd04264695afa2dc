//! What clients do: a `Work`, asked for by so many `Client`s at once, one request at a time each
//! (`drive`); and what was seen of it (`Loaded`).

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The bytes of a value that is put.
pub(crate) const VALUE_BYTES: usize = 128;
/// How many keys are written in turn.
const KEYS: u64 = 10_000;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Increments of one counter.
    Add,
    /// Puts of 128 bytes.
    Put,
    /// Linearizable reads of a key.
    Read,
}

/// One client, which asks for one thing at a time.
pub(crate) trait Client: Send + 'static {
    /// Asks for the so-manieth time; whether it was done.
    fn ask(&mut self, number: u64) -> impl Future<Output = bool> + Send;
}

/// So many clients, for so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) work: Work,
    pub(crate) clients: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What was seen. Latencies in nanoseconds, of what was begun and done in the time that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// What was done in the time that counts.
    pub(crate) done: u64,
    /// The same with the time before it.
    pub(crate) total: u64,
    pub(crate) failed: u64,
    pub(crate) nanos: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

/// The key that a client writes with its so-manieth request: they spread over all keys.
pub(crate) fn key(client: usize, number: u64) -> String {
    let client = u64::try_from(client).unwrap_or(0);
    format!("k{:06}", (client.wrapping_mul(7919).wrapping_add(number)) % KEYS)
}

/// Has all clients ask, for as long as the load says.
pub(crate) async fn drive<C: Client>(clients: Vec<C>, load: Load) -> Loaded {
    let begun = Instant::now();
    let (from, until) = (begun + load.warm_up, begun + load.warm_up + load.measured);
    let tasks: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(ask(client, from, until))).collect();
    let (mut loaded, mut latencies) = (Loaded::default(), Vec::new());
    for task in tasks {
        let Ok((seen, own)) = task.await else {
            loaded.failed += 1;
            continue;
        };
        loaded.done += seen.done;
        loaded.total += seen.total;
        loaded.failed += seen.failed;
        latencies.extend(own);
    }
    loaded.nanos = nanos(load.measured);
    latencies.sort_unstable();
    let quantile = |thousandths: usize| {
        let rank = (latencies.len() * thousandths).div_ceil(1000).max(1);
        latencies.get(rank - 1).map_or(0, |latency| u64::from(*latency))
    };
    (loaded.p50, loaded.p99, loaded.p999) = (quantile(500), quantile(990), quantile(999));
    loaded
}

async fn ask<C: Client>(mut client: C, from: Instant, until: Instant) -> (Loaded, Vec<u32>) {
    let (mut seen, mut latencies) = (Loaded::default(), Vec::new());
    let mut asked = Instant::now();
    while asked < until {
        let done = client.ask(seen.total + seen.failed).await;
        let answered = Instant::now();
        if done {
            seen.total += 1;
            if asked >= from && answered <= until {
                seen.done += 1;
                let latency = u32::try_from((answered - asked).as_nanos());
                latencies.push(latency.unwrap_or(u32::MAX));
            }
        } else {
            seen.failed += 1;
            // What fails at once must not turn into a loop that starves what it waits for.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        asked = Instant::now();
    }
    (seen, latencies)
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Loaded {
    /// How much was done in a second.
    pub(crate) fn rate(&self) -> f64 {
        count(self.done) / (count(self.nanos.max(1)) / 1e9)
    }
}

/// A count as a fraction; exact below 2^53.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn count(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = match self.work {
            Work::Add => "add",
            Work::Put => "put",
            Work::Read => "read",
        };
        let (warm_up, measured) = (self.warm_up.as_millis(), self.measured.as_millis());
        write!(f, "load {work} {} {warm_up} {measured}", self.clients)
    }
}

impl FromStr for Load {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("`{line}` is no load");
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["load", work, clients, warm_up, measured] = words[..] else { return Err(wrong()) };
        let work = match work {
            "add" => Work::Add,
            "put" => Work::Put,
            "read" => Work::Read,
            _ => return Err(wrong()),
        };
        let millis = |text: &str| text.parse().map(Duration::from_millis).map_err(|_| wrong());
        let clients = clients.parse().map_err(|_| wrong())?;
        Ok(Self { work, clients, warm_up: millis(warm_up)?, measured: millis(measured)? })
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, total, failed, nanos, p50, p99, p999 } = self;
        write!(f, "loaded {done} {total} {failed} {nanos} {p50} {p99} {p999}")
    }
}

impl FromStr for Loaded {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u64>> =
            line.split_whitespace().skip(1).map(|word| word.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[done, total, failed, nanos, p50, p99, p999]) => {
                Ok(Self { done, total, failed, nanos, p50, p99, p999 })
            }
            _ => Err(format!("`{line}` does not say what was seen")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_survive_their_text() {
        let (warm_up, measured) = (Duration::from_millis(20), Duration::from_millis(300));
        let load = Load { work: Work::Read, clients: 64, warm_up, measured };
        assert_eq!(load.to_string().parse(), Ok(load));
        let loaded = Loaded { done: 1, total: 2, failed: 3, nanos: 4, p50: 5, p99: 6, p999: 7 };
        assert_eq!(loaded.to_string().parse(), Ok(loaded));
        assert!("load put 1".parse::<Load>().is_err());
        assert!("loaded 1".parse::<Loaded>().is_err());
    }
}
