//! `holm serve`: [`serve`] runs one member until a signal comes or the member stops by itself.

use super::connections::{Connections, HTTP_CONNECTIONS_MAX};
use super::file::{ServeConfig, Storage};
use super::http::router;
use super::signals::Signals;
use crate::config::{self, Config, Listen, Start};
use crate::node::Node;
use crate::open::OpenError;
use crate::stop::Stop;
use crate::store::Store;
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

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

/// Runs the member until a signal or the end of `until`.
pub(super) async fn serve(
    config: ServeConfig,
    start: Start,
    until: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let number = config.node;
    let stop = stop_signal(until).map_err(|error| {
        ServeError::Start(format!("signals can't be awaited: {error}; report this as a defect"))
    })?;
    let http = TcpListener::bind(&config.http).await.map_err(|error| {
        let at = &config.http;
        ServeError::Start(format!("http: can't listen on {at}: {error}; choose another address"))
    })?;
    let http_at = http.local_addr().map_or(config.http.clone(), |address| address.to_string());
    let listen_at = config.listen.clone();
    // A member whose log is damaged waits here until the others have helped.
    let mut stopped = stop.clone();
    let node = tokio::select! {
        node = Node::open(config.into_config(start), Store::default()) => node,
        _ = stopped.wait_for(|ending| *ending == Ending::Now) => return Ok(()),
    };
    let node = node.map_err(|error| match error {
        OpenError::Log(error) => ServeError::Log(error),
        error => ServeError::Start(error.to_string()),
    })?;
    match listen_at {
        Some(address) => tracing::info!("member {number} is listening for members on {address}"),
        None => tracing::info!("member {number} only dials: it does not listen for members"),
    }
    tracing::info!("member {number} is listening for HTTP on http://{http_at}");

    let mut stopping = stop.clone();
    let http = Connections::new(http, HTTP_CONNECTIONS_MAX);
    let serving = axum::serve(http, router(node.clone())).with_graceful_shutdown(async move {
        // An error means that the sender is gone, and with it whoever could tell us to go on.
        let _ = stopping.wait_for(|ending| *ending == Ending::Now).await;
    });
    let result = tokio::select! {
        served = serving => served.map_err(|error| ServeError::Start(format!("http: {error}"))),
        () = late(stop) => {
            tracing::warn!("some requests took longer than {SHUTDOWN_MAX:?}; ending them");
            Ok(())
        }
        stop = node.stopped() => Err(ServeError::Stopped { node: number, stop }),
    };
    node.shutdown().await;
    if result.is_ok() {
        tracing::info!("member {number} has stopped");
    }
    result
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
        config.snapshot_bytes_per_second = self.snapshot_bytes_per_second;
        config.relay_bytes_per_second =
            self.relay_bytes_per_second.unwrap_or(config.relay_bytes_per_second);
        let queue =
            self.relay_queue_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        config.relay_queue_bytes_max = queue.unwrap_or(config.relay_queue_bytes_max);
        config.segment_bytes = self.segment_bytes.unwrap_or(config.segment_bytes);
        config.verify_log = self.verify_log;
        config
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    NotYet,
    Now,
}

/// Turns to `Ending::Now` at the first signal, or at the end of `until`.
fn stop_signal(
    until: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<watch::Receiver<Ending>> {
    let signals = Signals::listen()?;
    let (sender, receiver) = watch::channel(Ending::NotYet);
    tokio::task::spawn(async move {
        tokio::select! {
            () = signals.any() => {}
            () = until => {}
        }
        tracing::info!("stopping");
        sender.send_replace(Ending::Now);
        // The receivers must see the value, not a closed channel.
        sender.closed().await;
    });
    Ok(receiver)
}

async fn late(mut stop: watch::Receiver<Ending>) {
    let _ = stop.wait_for(|ending| *ending == Ending::Now).await;
    tokio::time::sleep(SHUTDOWN_MAX).await;
}
