//! `holm demo`: [`run`] shows three members that count on while their leader is killed, and
//! checks that they agree at the end.

mod clients;
mod voice;

use super::client::Ask;
use super::cluster::Cluster;
use super::signals::Signals;
use clients::Clients;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use voice::Voice;

/// The counter that is incremented.
const COUNTER: &str = "demo";
/// How long the whole demo may take.
const DEMO_MAX: Duration = Duration::from_secs(20);
/// How long each single step may take.
const STEP_MAX: Duration = Duration::from_secs(8);
const MEMBERS: usize = 3;
const CLIENTS: usize = 6;
/// How long the clients count before the leader is killed, without it, and after its return.
const COUNT_BEFORE: Duration = Duration::from_millis(2500);
const COUNT_WITHOUT: Duration = Duration::from_millis(2000);
const COUNT_AFTER: Duration = Duration::from_millis(1500);

/// Runs the demo. Its processes and its folder are gone when it returns, however it ends.
pub(super) async fn run() -> Result<(), String> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| format!("the own program can't be found: {error}"))?;
    let signals = Signals::listen();
    let signals = signals.map_err(|error| format!("signals can't be awaited: {error}"))?;
    let voice = Voice::new();
    // Dropping the future drops the cluster, which kills its processes and removes its folder.
    let result = tokio::select! {
        result = tokio::time::timeout(DEMO_MAX, show(program, &voice)) => {
            result.unwrap_or_else(|_| Err(format!("not done after {DEMO_MAX:?}")))
        }
        () = signals.any() => Err("interrupted; everything is cleaned up".into()),
    };
    voice.finish();
    result
}

async fn show(program: PathBuf, voice: &Voice) -> Result<(), String> {
    let start = Instant::now();
    voice.say(&format!("starting {MEMBERS} members, each a process with its own directory"));
    let cluster = Cluster::start(&program, MEMBERS, "", STEP_MAX).await;
    let mut cluster = cluster.map_err(|error| error.to_string())?;
    let leader = cluster.leader(STEP_MAX).await.map_err(|error| error.to_string())?;
    voice.say(&format!("member {leader} leads after {}", seconds(start.elapsed())));

    voice.say(&format!("{CLIENTS} clients increment a counter through all {MEMBERS} members"));
    let clients = Clients::start(&cluster.endpoints(), CLIENTS, COUNTER);
    voice.watch(COUNT_BEFORE, &clients).await;
    lose_and_regain(&mut cluster, leader, &clients, voice).await?;
    voice.watch(COUNT_AFTER, &clients).await;

    let counted = clients.finish(STEP_MAX).await?;
    voice.finish();
    let retried = counted.retried;
    voice.say(&format!("the clients have stopped; {retried} requests had to be sent again"));
    let agreed = report(&mut cluster, counted.acknowledged, voice).await?;
    voice.say(&format!("done after {}", seconds(start.elapsed())));
    match agreed {
        Agreement::All => Ok(()),
        Agreement::Broken => Err("the members do not agree with what was acknowledged".into()),
    }
}

async fn lose_and_regain(
    cluster: &mut Cluster,
    leader: u64,
    clients: &Clients,
    voice: &Voice,
) -> Result<(), String> {
    let told = |error: super::cluster::ClusterError| error.to_string();
    let before = clients.acknowledged();
    cluster.kill(leader).map_err(told)?;
    let killed = Instant::now();
    voice.say(&format!("killed member {leader}, the leader (SIGKILL), after {before} increments"));
    let gap = clients.next_after(killed, STEP_MAX).await?;
    let next = cluster.leader(STEP_MAX).await.map_err(told)?;
    voice.say(&format!("next acknowledged increment after {} (member {next} leads)", millis(gap)));
    voice.watch(COUNT_WITHOUT, clients).await;

    let status = cluster.status(next).await.ok_or("the new leader does not answer")?;
    cluster.restart(leader).map_err(told)?;
    let restarted = Instant::now();
    voice.say(&format!("restarted member {leader}"));
    let first = cluster.caught_up(leader, 0, STEP_MAX).await.map_err(told)?;
    let behind = status.commit.saturating_sub(first.last);
    voice.say(&format!("member {leader} is back, {behind} entries behind"));
    let target = status.commit;
    cluster.caught_up(leader, target, STEP_MAX).await.map_err(told)?;
    let took = millis(restarted.elapsed());
    voice.say(&format!("member {leader} has caught up, {took} after its restart"));
    Ok(())
}

#[derive(Clone, Copy)]
enum Agreement {
    All,
    Broken,
}

#[derive(Deserialize)]
struct CounterValue {
    value: i64,
}

async fn report(
    cluster: &mut Cluster,
    acknowledged: u64,
    voice: &Voice,
) -> Result<Agreement, String> {
    // A linearizable read first: it tells what everybody must come to.
    let leader = cluster.leader(STEP_MAX).await.map_err(|error| error.to_string())?;
    value_at(cluster, leader, "").await?;
    let status = cluster.status(leader).await.ok_or("the leader does not answer")?;
    voice.say("");
    voice.say(&format!("{:<26}{acknowledged:>8}", "acknowledged increments"));
    let mut agreement = Agreement::All;
    for id in cluster.ids().collect::<Vec<_>>() {
        let caught_up = cluster.caught_up(id, status.commit, STEP_MAX).await;
        caught_up.map_err(|error| error.to_string())?;
        let value = value_at(cluster, id, "?consistency=local").await?;
        if u64::try_from(value) != Ok(acknowledged) {
            agreement = Agreement::Broken;
        }
        voice.say(&format!("{:<26}{value:>8}", format!("value on member {id}")));
    }
    voice.say(match agreement {
        Agreement::All => "they agree: nothing was lost, nothing counted twice",
        Agreement::Broken => "THEY DO NOT AGREE",
    });
    voice.say("");
    Ok(agreement)
}

async fn value_at(cluster: &Cluster, id: u64, query: &str) -> Result<i64, String> {
    let ask = Ask::get(format!("/v1/counters/{COUNTER}{query}"));
    let endpoints = [cluster.endpoint(id).clone()];
    let answer = cluster.client().ask_until_answered(&endpoints, &ask, STEP_MAX).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let counter: Option<CounterValue> = answer.json();
    let counter = counter.ok_or_else(|| format!("member {id} answered {}", answer.status))?;
    Ok(counter.value)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
