//! `holm serve`: [`serve`] runs one member until a signal comes or the member stops by itself.

use super::apart::{Apart, has_few_cores};
use super::connections::{Ending, Listening};
use super::file::{ServeConfig, Storage};
use super::http::{Direct, Gate, Guarded};
use super::rereading::Changes;
use super::signals::{Asked, Signals};
use crate::config::{self, Config, Listen, Start};
use crate::node::Node;
use crate::open::OpenError;
use crate::stop::Stop;
use crate::store::Store;
use crate::topology::FileError;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

/// How long requests that are under way may take after a signal.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// Why a member does not run any more, if it was not told to stop.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    /// It never ran.
    #[error("{0}")]
    Start(String),
    /// Its log or its snapshots can't be used.
    #[error("{0}")]
    Log(holm_wal::Error),
    /// It stopped by itself.
    #[error("member {node} has stopped by itself: {stop}")]
    Stopped { node: u64, stop: Stop },
}

/// Runs the member until a signal or the end of `until`; at SIGHUP what `reload` gives counts, of
/// all that can change while it runs.
pub(super) async fn serve(
    config: ServeConfig,
    reload: impl Fn() -> Result<ServeConfig, FileError>,
    start: Start,
    until: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let number = config.node;
    let (stop, rereads) = signals(until).map_err(|error| {
        ServeError::Start(format!("signals can't be awaited: {error}; report this as a defect"))
    })?;
    let http = TcpListener::bind(&config.http).await.map_err(|error| {
        let at = &config.http;
        ServeError::Start(format!("http: can't listen on {at}: {error}; choose another address"))
    })?;
    let http_here = http.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let http_at = http.local_addr().map_or(config.http.clone(), |address| address.to_string());
    let (listen_at, secrets_at) = (config.listen.clone(), config.secrets.clone());
    let serving = config.serving.clone();
    let apart = Apart::start();
    let apart = apart.map_err(|error| ServeError::Start(format!("no thread: {error}")))?;
    let opened = open(&apart, config.into_config(start), stop.clone()).await?;
    let Some(node) = opened else { return Ok(()) };
    match listen_at {
        Some(address) => tracing::info!("member {number} is listening for members on {address}"),
        None => tracing::info!("member {number} only dials: it does not listen for members"),
    }
    let scheme = if serving.tls.is_some() { "https" } else { "http" };
    tracing::info!("member {number} is listening for HTTP on {scheme}://{http_at}");

    let is_open = serving.tokens.is_empty() && serving.guarded == Guarded::No;
    if is_open && !http_here {
        tracing::warn!("HTTP asks nobody for a token: whoever reaches it may do everything");
    }
    let gate = Arc::new(Gate::new(serving.tokens, serving.guarded, serving.limits));
    let http_routes = Direct::new(Arc::clone(&gate), node.clone());
    let http_routes = match serving.points {
        Some(options) => http_routes.behind_points(node.clone(), options).await,
        None => http_routes,
    };
    let tls = serving.tls.map(watch::Sender::new);
    let changes = Changes {
        node: &node,
        gate: Arc::clone(&gate),
        guarded: serving.guarded,
        secrets: secrets_at,
        tls: tls.clone(),
    };
    let tls = tls.map(|tls| tls.subscribe());
    let listening = Listening { http: http_routes, gate, tls, stop: stop.clone() };
    let result = tokio::select! {
        served = listen(listening, http, &apart) => served,
        () = late(stop) => {
            tracing::warn!("some requests took longer than {SHUTDOWN_MAX:?}; ending them");
            Ok(())
        }
        stop = node.stopped() => Err(ServeError::Stopped { node: number, stop }),
        never = changes.reread(reload, &rereads) => match never {},
    };
    node.shutdown().await;
    if result.is_ok() {
        tracing::info!("member {number} has stopped");
    }
    result
}

/// Opens the member; nothing if it is told to stop meanwhile. One whose log is damaged waits here
/// until the others have helped.
async fn open(
    apart: &Apart,
    config: Config,
    mut stop: watch::Receiver<Ending>,
) -> Result<Option<Node<Store>>, ServeError> {
    let node = tokio::select! {
        node = apart.run(Node::open(config, Store::default())) => node,
        _ = stop.wait_for(|ending| *ending == Ending::Now) => return Ok(None),
    };
    node.map(Some).map_err(|error| match error {
        OpenError::Log(error) => ServeError::Log(error),
        error => ServeError::Start(error.to_string()),
    })
}

/// Serves HTTP to its end.
///
/// Where cores are few that is on the member's own thread: what is usual there takes some
/// microseconds, and to wake another thread and be woken by it costs more than the request itself.
/// What is not usual may take long, as handshakes do: it stays here.
async fn listen(listening: Listening, http: TcpListener, apart: &Apart) -> Result<(), ServeError> {
    if listening.tls.is_some() || !has_few_cores() {
        listening.serve(http).await;
        return Ok(());
    }
    let http_routes = listening.http.with_the_rest_on(Handle::current());
    let listening = Listening { http: http_routes, ..listening };
    let moved = async move {
        let http = TcpListener::from_std(http.into_std()?)?;
        listening.serve(http).await;
        Ok(())
    };
    apart.run(moved).await.map_err(|error: std::io::Error| {
        ServeError::Start(format!("http: the listener can't be moved: {error}; report this"))
    })
}

impl ServeConfig {
    /// The library's configuration: the one place that knows both.
    pub(super) fn into_config(self, start: Start) -> Config {
        let mut config = Config::new(self.cluster, self.node, self.topology, self.security);
        config.start = start;
        config.listen = self.listen.map(Listen::Address);
        config.storage = match self.storage {
            Storage::Memory => config::Storage::Memory,
            Storage::Directory(path) => config::Storage::Disk(path),
        };
        config.allow_memory_majority = self.allow_memory_majority;
        let tick_ms = config.tick.as_millis().max(1);
        let ticks = |duration: Duration| {
            let ticks = duration.as_millis().div_ceil(tick_ms).max(1);
            u32::try_from(ticks).unwrap_or(u32::MAX)
        };
        config.election_ticks = self.election_timeout.map_or(config.election_ticks, ticks);
        config.heartbeat_ticks = self.heartbeat.map_or(config.heartbeat_ticks, ticks);
        config.request_timeout = self.request_timeout.unwrap_or(config.request_timeout);
        config.idempotency_retention =
            self.idempotency_retention.unwrap_or(config.idempotency_retention);
        config.snapshot_entries = self.snapshot_entries.unwrap_or(config.snapshot_entries);
        config.snapshot_log_bytes = self.snapshot_log_bytes.unwrap_or(config.snapshot_log_bytes);
        config.snapshot_bytes_per_second = self.snapshot_bytes_per_second;
        config.relay_bytes_per_second =
            self.relay_bytes_per_second.unwrap_or(config.relay_bytes_per_second);
        config.relay_queue_bytes_max =
            self.relay_queue_bytes.unwrap_or(config.relay_queue_bytes_max);
        config.frame_bytes_max = self.frame_bytes_max.unwrap_or(config.frame_bytes_max);
        config.segment_bytes = self.segment_bytes.unwrap_or(config.segment_bytes);
        config.verify_log = self.verify_log;
        config
    }
}

/// Turns to `Ending::Now` at the first signal that ends the member, or at the end of `until`; and
/// what tells of those that ask it to read its secrets again and what HTTP needs, also before
/// anybody listens.
fn signals(
    until: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<(watch::Receiver<Ending>, Arc<Notify>)> {
    let mut signals = Signals::listen()?;
    let (sender, receiver) = watch::channel(Ending::NotYet);
    let rereads = Arc::new(Notify::new());
    let asked = Arc::clone(&rereads);
    let told_to_stop = async move {
        while signals.next().await == Asked::Reread {
            asked.notify_one();
        }
    };
    tokio::task::spawn(async move {
        tokio::select! {
            () = told_to_stop => {}
            () = until => {}
        }
        tracing::info!("stopping");
        sender.send_replace(Ending::Now);
        // The receivers must see the value, not a closed channel.
        sender.closed().await;
    });
    Ok((receiver, rereads))
}

async fn late(mut stop: watch::Receiver<Ending>) {
    let _ = stop.wait_for(|ending| *ending == Ending::Now).await;
    tokio::time::sleep(SHUTDOWN_MAX).await;
}
