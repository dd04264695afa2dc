//! The HTTP interface of a member: [`router`], which answers counters, keys, status, health and
//! metrics. Every member answers every request; docs/http.md describes it for users.

mod answer;
mod counters;
mod engine;
mod input;
mod keys;
mod metrics;
mod observe;

use crate::node::Node;
use crate::store::Store;
use answer::Problem;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, routing};
use engine::Engine;
use metrics::Metrics;
use std::sync::Arc;

/// The longest name of a counter, in bytes after decoding.
pub const NAME_BYTES_MAX: usize = 256;
/// The longest key, in bytes after decoding.
pub const KEY_BYTES_MAX: usize = 1024;
/// The longest value of a key, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// The longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// The longest `timeout_ms`, in milliseconds.
pub const TIMEOUT_MS_MAX: u64 = 60_000;
/// What `Retry-After` says, in seconds.
pub const RETRY_AFTER_S: u64 = 1;
/// The header that says up to which index of the log the state was applied that a read saw.
pub const INDEX_HEADER: &str = "holm-index";
/// The header that carries a key's revision.
pub const REVISION_HEADER: &str = "holm-revision";
/// The header that makes a retry of a write exactly-once.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The interface over a node, as a service that needs no socket.
pub fn router(node: Node<Store>) -> Router {
    routes(Engine::Node(node))
}

#[derive(Clone)]
struct App {
    engine: Engine,
    metrics: Arc<Metrics>,
}

fn routes(engine: Engine) -> Router {
    let app = App { engine, metrics: Arc::new(Metrics::default()) };
    Router::new()
        .route("/v1/counters/{name}", get(counters::read).post(counters::add))
        .route("/v1/kv/{key}", get(keys::read).put(keys::put).delete(keys::delete))
        .route("/v1/status", get(observe::status))
        .route("/health", get(observe::health))
        .route("/metrics", routing::get(observe::metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(VALUE_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// Counts the answer under the route's pattern, so that names in paths make no new series.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or("unknown", MatchedPath::as_str);
    app.metrics.count(route, &method, response.status());
    response
}

async fn unknown_route(request: Request) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no such route",
        format!("there is nothing at {}", request.uri().path()),
        "use /v1/counters/NAME, /v1/kv/KEY, /v1/status, /health or /metrics; \
         a / inside a name is written %2F",
    )
}

async fn wrong_method(method: Method, request: Request) -> Problem {
    let path = request.uri().path();
    let mend = match path {
        _ if path.starts_with("/v1/counters/") => "use GET or POST",
        _ if path.starts_with("/v1/kv/") => "use GET, PUT or DELETE",
        _ => "use GET",
    };
    let detail = format!("{method} is not possible at {path}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail, mend)
}

#[cfg(test)]
mod tests;
