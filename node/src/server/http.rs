//! The HTTP interface of a member: [`router`], which answers counters, keys, status, health and
//! metrics, for those whom the [`Gate`] lets in. Every member answers every request; docs/http.md
//! describes it for users.

mod answer;
mod backup;
mod body;
mod counters;
mod direct;
mod engine;
mod gate;
mod input;
mod keys;
mod members;
mod metrics;
mod observe;
mod openapi;
mod rendezvous;
mod session_keys;

use crate::node::Node;
use crate::store::Store;
use answer::Limited;
pub(crate) use answer::Problem;
pub(in crate::server) use direct::Direct;
pub(in crate::server) use gate::Caller;
pub use gate::{Gate, Guarded};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post};
use engine::Engine;
use metrics::Metrics;
use openapi::document;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// The interface over a node, as a service that needs no socket and no token.
pub fn router(node: Node<Store>) -> Router {
    router_behind(Arc::default(), node)
}

/// The interface over a node, for those whom the gate lets in.
pub fn router_behind(gate: Arc<Gate>, node: Node<Store>) -> Router {
    routes(App::new(gate, Engine::Node(node)))
}

#[derive(Clone)]
struct App {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    gate: Arc<Gate>,
    claims: Arc<rendezvous::Claims>,
}

/// Every route. What each answers, and whom, stands in `openapi/`; docs/http.md tells it to people.
fn table() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/v1/counters/{name}", get(counters::read).post(counters::add)),
        ("/v1/kv/{key}", get(keys::read).put(keys::put).delete(keys::delete)),
        ("/v1/backup", get(backup::backup)),
        ("/v1/rendezvous/{key}", get(rendezvous::find)),
        (
            "/v1/claims/{key}",
            get(rendezvous::look).put(rendezvous::claim).delete(rendezvous::release),
        ),
        ("/v1/members", get(members::list).post(members::change)),
        ("/v1/members/invite", post(members::invite)),
        ("/v1/transfer", post(members::transfer)),
        ("/v1/session-keys", get(session_keys::list).post(session_keys::rotate)),
        ("/v1/session-keys/{key}", delete(session_keys::revoke)),
        ("/v1/status", get(observe::status)),
        ("/v1/cluster", get(observe::cluster)),
        ("/health/live", get(observe::live)),
        ("/health/ready", get(observe::ready)),
        ("/metrics", get(observe::metrics)),
        ("/openapi.json", get(observe::openapi)),
    ]
}

impl App {
    fn new(gate: Arc<Gate>, engine: Engine) -> Self {
        let engine = Arc::new(engine);
        Self { engine, metrics: Arc::default(), gate, claims: Arc::default() }
    }

    /// Counts the answer under the route's pattern, so that names in paths make no new series.
    fn count(&self, route: &str, method: &Method, response: &Response, took: Duration) {
        self.metrics.count(route, method, response.status(), took);
        if let Some(Limited(limit)) = response.extensions().get() {
            self.gate.count(limit);
        }
    }
}

fn routes(app: App) -> Router {
    table()
        .into_iter()
        .fold(Router::new(), |router, (path, route)| router.route(path, route))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(VALUE_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), gate::pass))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// Counts the answer.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let begun = Instant::now();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or("unknown", MatchedPath::as_str);
    app.count(route, &method, &response, begun.elapsed());
    response
}

async fn unknown_route(request: Request) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no such route",
        format!("there is nothing at {}", request.uri().path()),
        "GET /openapi.json says what there is; a / inside a name is written %2F",
    )
}

async fn wrong_method(matched: Option<MatchedPath>, request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    let methods = document().methods(matched.as_ref().map(MatchedPath::as_str));
    let detail = format!("{method} is not possible at {path}");
    let mend = format!("use {}", methods.as_deref().unwrap_or("GET"));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail, mend)
}

#[cfg(test)]
mod tests;
