//! `holm bench`: [`run`] measures increments per second through the leader of three processes on
//! this machine.

use super::cli::print;
use super::client::{Ask, Client, Endpoint};
use super::cluster::Cluster;
use super::progress::Progress;
use super::signals::Signals;
use axum::http::StatusCode;
use clap::Args;
use std::time::{Duration, Instant};

const MEMBERS: usize = 3;
/// How long a cluster may take to elect its leader.
const START_MAX: Duration = Duration::from_secs(10);
/// How long one increment may take.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// How long each round runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);
/// The most clients of one round.
const CLIENTS_MAX: u64 = 10_000;

pub(super) const EXAMPLES: &str = "\
Examples:
  holm bench
  holm bench --clients 1,16,256 --seconds 10";

/// What is measured.
#[derive(Args)]
pub(super) struct BenchArgs {
    /// How many clients increment at once, one round each
    #[arg(
        long,
        value_name = "N,N",
        value_delimiter = ',',
        default_value = "1,64",
        value_parser = clap::value_parser!(u64).range(1..=CLIENTS_MAX)
    )]
    clients: Vec<u64>,
    /// How long each round is measured, in seconds
    #[arg(
        long,
        value_name = "S",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    seconds: u64,
}

/// One round's result.
struct Round {
    clients: u64,
    elapsed: Duration,
    /// Of each acknowledged increment, ascending.
    latencies: Vec<Duration>,
    failed: u64,
}

/// Starts the cluster, runs the rounds and prints a table.
pub(super) async fn run(args: &BenchArgs) -> Result<(), String> {
    let signals = Signals::listen();
    let signals = signals.map_err(|error| format!("signals can't be awaited: {error}"))?;
    tokio::select! {
        result = rounds(args) => result,
        () = signals.any() => Err("interrupted; everything is cleaned up".into()),
    }
}

async fn rounds(args: &BenchArgs) -> Result<(), String> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| format!("the own program can't be found: {error}"))?;
    let most = args.clients.iter().max().copied().unwrap_or_default();
    // A connection for each client, and some for the cluster's own looks.
    let seats = most + 64;
    let settings =
        format!("http_connections_max = {seats}\nhttp_connections_per_address_max = {seats}\n");
    let starting = Progress::of_work("starting three members");
    let cluster = Cluster::start(&program, MEMBERS, &settings, START_MAX).await;
    drop(starting);
    let mut cluster = cluster.map_err(|error| error.to_string())?;
    let told = format!(
        "{MEMBERS} members on this machine, their logs in {}; increments through the leader, \
         without keys, {} s each\n{:>8}{:>14}{:>10}{:>10}{:>9}\n",
        cluster.folder().parent().unwrap_or(cluster.folder()).display(),
        args.seconds,
        "clients",
        "increments/s",
        "p50 ms",
        "p99 ms",
        "failed"
    );
    print(told.as_bytes())?;
    for clients in &args.clients {
        let leader = cluster.leader(START_MAX).await.map_err(|error| error.to_string())?;
        let endpoint = cluster.endpoint(leader).clone();
        measure(&endpoint, *clients, WARM_UP).await?;
        let round = measure(&endpoint, *clients, Duration::from_secs(args.seconds)).await?;
        print(format!("{}\n", line(&round)).as_bytes())?;
    }
    Ok(())
}

async fn measure(endpoint: &Endpoint, clients: u64, duration: Duration) -> Result<Round, String> {
    let start = Instant::now();
    let end = start + duration;
    let progress = Progress::of_seconds(format!("{clients} clients"), duration.as_secs());
    let tasks: Vec<_> =
        (0..clients).map(|_| tokio::task::spawn(increment(endpoint.clone(), end))).collect();
    let mut round = Round { clients, elapsed: Duration::ZERO, latencies: Vec::new(), failed: 0 };
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for mut task in tasks {
        let ended = loop {
            tokio::select! {
                ended = &mut task => break ended,
                _ = ticks.tick() => progress.is_at(start.elapsed().as_secs()),
            }
        };
        let (latencies, failed) = ended.map_err(|error| format!("a client broke: {error}"))?;
        round.latencies.extend(latencies);
        round.failed += failed;
    }
    round.elapsed = start.elapsed();
    round.latencies.sort_unstable();
    Ok(round)
}

/// One client with one connection, which it keeps.
async fn increment(endpoint: Endpoint, end: Instant) -> (Vec<Duration>, u64) {
    let client = Client::new();
    let ask = Ask::add("bench", 1, None);
    let mut latencies = Vec::new();
    let mut failed = 0;
    while Instant::now() < end {
        let begun = Instant::now();
        match client.ask(&endpoint, &ask, REQUEST_MAX).await {
            Ok(answer) if answer.status == StatusCode::OK => latencies.push(begun.elapsed()),
            _ => failed += 1,
        }
    }
    (latencies, failed)
}

fn line(round: &Round) -> String {
    let count = u32::try_from(round.latencies.len()).unwrap_or(u32::MAX);
    let rate = f64::from(count) / round.elapsed.as_secs_f64();
    let millis = |hundredths| quantile(&round.latencies, hundredths).as_secs_f64() * 1000.0;
    format!(
        "{:>8}{rate:>14.0}{:>10.2}{:>10.2}{:>9}",
        round.clients,
        millis(50),
        millis(99),
        round.failed
    )
}

/// The smallest latency that `hundredths` of 100 do not exceed; zero if there are none.
fn quantile(ascending: &[Duration], hundredths: usize) -> Duration {
    let rank = (ascending.len() * hundredths).div_ceil(100);
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        let latencies: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(&latencies, 50), Duration::from_millis(100));
        assert_eq!(quantile(&latencies, 99), Duration::from_millis(198));
        assert_eq!(quantile(&latencies[..1], 99), Duration::from_millis(1));
        assert_eq!(quantile(&[], 50), Duration::ZERO);
    }
}
