//! The interface as connections use it: [`Direct`] hands reads and writes of one key or counter to
//! their handlers itself, for the router costs more than they do, and leaves all else to the
//! router; elsewhere, if it is told where: what is asked seldom may take long. Where members have
//! hosts of their own, requests that are another member's are handed to it.

use super::{App, Engine, Gate, VALUE_BYTES_MAX, counters, keys, routes};
use crate::node::Node;
use crate::rendezvous::http::{Options, Points, SERVED_BY, Whose};
use crate::server::apart;
use crate::store::Store;
use axum::Router;
use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Path, RawQuery, Request, State};
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use tower::ServiceExt;

/// Answers requests, as the router does.
#[derive(Clone)]
pub(in crate::server) struct Direct {
    app: App,
    router: Router,
    /// Where the router answers, if that is not where connections are served.
    elsewhere: Option<Handle>,
    /// Where members have hosts.
    points: Option<Points<Store>>,
}

/// What is asked most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usual {
    ReadKey,
    PutKey,
    ReadCounter,
    AddToCounter,
}

impl Usual {
    /// What a request is, and the name in its path, if nothing is unusual about it.
    fn of(request: &Request) -> Option<(Self, String)> {
        let path = request.uri().path();
        let (usual, name) = match (request.method(), path.get(..7), path.get(..13)) {
            (&Method::GET, Some("/v1/kv/"), _) => (Self::ReadKey, &path[7..]),
            (&Method::PUT, Some("/v1/kv/"), _) => (Self::PutKey, &path[7..]),
            (&Method::GET, _, Some("/v1/counters/")) => (Self::ReadCounter, &path[13..]),
            (&Method::POST, _, Some("/v1/counters/")) => (Self::AddToCounter, &path[13..]),
            _ => return None,
        };
        let plain = !name.is_empty() && !name.contains(['%', '/']);
        let short = request.body().size_hint().exact().is_some_and(|bytes| {
            usize::try_from(bytes).is_ok_and(|bytes| bytes <= VALUE_BYTES_MAX)
        });
        (plain && short).then(|| (usual, name.to_owned()))
    }

    /// The route's pattern, as the router has it.
    const fn route(self) -> &'static str {
        match self {
            Self::ReadKey | Self::PutKey => "/v1/kv/{key}",
            Self::ReadCounter | Self::AddToCounter => "/v1/counters/{name}",
        }
    }
}

impl Direct {
    pub(in crate::server) fn new(gate: Arc<Gate>, node: Node<Store>) -> Self {
        Self::over(gate, Engine::Node(node))
    }

    pub(super) fn over(gate: Arc<Gate>, engine: Engine) -> Self {
        let app = App::new(gate, engine);
        let router = routes(app.clone());
        Self { app, router, elsewhere: None, points: None }
    }

    /// The same, but what is not usual is answered on that runtime.
    pub(in crate::server) fn with_the_rest_on(self, elsewhere: Handle) -> Self {
        Self { elsewhere: Some(elsewhere), ..self }
    }

    /// The same where requests find the member that they are for.
    pub(in crate::server) async fn behind_points(
        mut self,
        node: Node<Store>,
        options: Options,
    ) -> Self {
        // What others hand over passes the gate here as well.
        self.points = Some(Points::new(node, options, self.router.clone()).await);
        self
    }

    #[cfg(test)]
    pub(super) const fn app(&self) -> &App {
        &self.app
    }

    pub(in crate::server) async fn answer(self, request: Request) -> Response {
        let Some(points) = self.points.clone() else { return self.answer_here(request).await };
        match points.whose(&request) {
            Whose::Nobodys => self.answer_here(request).await,
            Whose::Own(member) => {
                let mut response = self.answer_here(request).await;
                response.headers_mut().insert(SERVED_BY, HeaderValue::from(member));
                response
            }
            Whose::Elsewhere => self.hand_over(points, request).await,
        }
    }

    /// Has another member answer. Whoever may ask nothing here has nothing handed over; what the
    /// request needs, the other one asks.
    async fn hand_over(self, points: Points<Store>, request: Request) -> Response {
        let (method, begun) = (request.method().clone(), Instant::now());
        let response = match self.app.gate.check(&request, None) {
            Ok(()) => {
                let (request, _share) = self.app.gate.bound(request);
                let Ok(response) = self.unhurried(points.oneshot(request)).await;
                response
            }
            Err(problem) => problem.into_response(),
        };
        self.app.count("handed over", &method, &response, begun.elapsed());
        response
    }

    async fn answer_here(self, request: Request) -> Response {
        let Some((usual, name)) = Usual::of(&request) else {
            let routed = self.router.clone().oneshot(request);
            let answered: Result<_, Infallible> = self.unhurried(routed).await;
            return answered.unwrap_or_else(|never| match never {});
        };
        let method = request.method().clone();
        let (app, begun) = (self.app.clone(), Instant::now());
        let response = self.handle(usual, name, request).await;
        app.count(usual.route(), &method, &response, begun.elapsed());
        response
    }

    /// Waits for what may take long, elsewhere if it is told where.
    async fn unhurried<T: Send + 'static>(
        &self,
        answering: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match &self.elsewhere {
            None => answering.await,
            Some(elsewhere) => apart::on(elsewhere, answering).await,
        }
    }

    async fn handle(self, usual: Usual, name: String, request: Request) -> Response {
        let app = self.app;
        if let Err(problem) = app.gate.check(&request, Some(usual.route())) {
            return problem.into_response();
        }
        // The body's share of the memory is held until the answer is there.
        let (mut request, _share) = app.gate.bound(request);
        let (path, query) = (Ok(Path(name)), request.uri().query().map(str::to_owned));
        let (query, state) = (RawQuery(query), State(app));
        match usual {
            Usual::ReadKey => keys::read(state, path, query).await.into_response(),
            Usual::ReadCounter => counters::read(state, path, query).await.into_response(),
            Usual::PutKey => {
                let headers = std::mem::take(request.headers_mut());
                let body = Bytes::from_request(request, &()).await;
                keys::put(state, path, query, headers, body).await.into_response()
            }
            Usual::AddToCounter => {
                let headers = std::mem::take(request.headers_mut());
                let body = Bytes::from_request(request, &()).await;
                counters::add(state, path, query, headers, body).await.into_response()
            }
        }
    }
}
