//! [`Points`], the service in front of a router: where a request belongs, and how it gets there.

mod whose;

pub(crate) use whose::Whose;

use super::hold::Held;
use super::key::BadKey;
use super::options::{Options, Prefer};
use super::wire::{self, Handed, Returned};
use crate::StateMachine;
use crate::calls::NoAnswer;
use crate::driver::{Asked, CallFailed};
use crate::node::Node;
use crate::rendezvous::{Affinity, Claim, ClaimError, Placement};
use crate::server::http::Problem;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{LOCATION, RETRY_AFTER, UPGRADE};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt};

/// The header of an answer that names the member that served it.
pub const SERVED_BY: HeaderName = HeaderName::from_static("holm-served-by");
/// The header of a request that was handed over, which names the member that it came to. What a
/// client sends under this name is dropped.
pub const FORWARDED_BY: HeaderName = HeaderName::from_static("holm-forwarded-by");

/// How many requests that others handed over are served at a time.
const SERVED_AT_ONCE_MAX: usize = 256;
/// How often a request is handed over, or claimed here, before its client is told to come again:
/// the first time by what is known here, then by what whoever was asked said.
const ATTEMPTS_MAX: usize = 3;
/// What `Retry-After` says where nothing better is known, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// What a handler is told of the key that brought a request to it: an axum `Extension`.
pub struct Point<S: StateMachine> {
    /// The key.
    pub key: Bytes,
    /// This member's claim on it, where keys are claimed. State that is kept for the key belongs to
    /// the claim's token as well: what was kept under another token is of an earlier holding, in
    /// between which the key may have been another member's.
    pub claim: Option<Claim<S>>,
}

impl<S: StateMachine> Clone for Point<S> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), claim: self.claim.clone() }
    }
}

/// A router behind which each request is served by the member that it belongs to: the same on all
/// members.
///
/// A request that carries a key goes to whoever has claimed it, as far as that is known here, or
/// else to the first member in the key's [`order`](Placement::order) that is reached. There the key
/// is claimed, and served with a [`Point`] among the request's extensions. If the member that it
/// was handed to says who holds it instead, it is handed there. After that the client is told to
/// come again (`503`, with the time until the claim may end as `Retry-After`). A request is handed
/// over by the member that the client asked, and by no other: there are no loops.
///
/// Before an answer leaves, the claim has to last still, or the answer is dropped for a `503`. What
/// an earlier answer's connection had in its kernel when the process was stopped can't be recalled.
///
/// Bodies of requests that are handed over, and of their answers, are held in memory. Web sockets
/// and other upgrades are not handed over (`501`).
pub struct Points<S: StateMachine>(Arc<Shared<S>>);

struct Shared<S: StateMachine> {
    node: Node<S>,
    options: Options,
    held: Option<Arc<Held<S>>>,
    router: Router,
}

/// Where a request belongs.
enum Wanted {
    Anywhere,
    Member(u64),
    Key(Bytes),
}

/// Why it can't be served here.
enum Elsewhere {
    /// Another member holds its key, for so many milliseconds unless that is renewed.
    Taken {
        member: u64,
        millis: u64,
    },
    Refused(Box<Response>),
}

impl<S: StateMachine> Clone for Points<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: StateMachine> Service<Request<Body>> for Points<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.route(request).await) })
    }
}

impl<S: StateMachine> Points<S> {
    /// Puts this in front of a router. One for each node: what others hand over comes to whichever
    /// was made last, as long as it is not dropped.
    pub async fn new(node: Node<S>, options: Options, router: Router) -> Self {
        let claims = options.claim.map(|time| Held::new(node.clone(), time, options.kept));
        let shared = Arc::new(Shared { node, options, held: claims.map(Arc::new), router });
        let asked = shared.node.serve_calls().await;
        tokio::task::spawn(serve_others(asked, Arc::downgrade(&shared)));
        Self(shared)
    }

    /// The same as a router, such as `axum::serve` takes it.
    pub fn into_router(self) -> Router {
        Router::new().fallback_service(self)
    }
}

async fn serve_others<S: StateMachine>(
    mut asked: tokio::sync::mpsc::Receiver<Asked>,
    shared: Weak<Shared<S>>,
) {
    let room = Arc::new(Semaphore::new(SERVED_AT_ONCE_MAX));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let Some(Asked { question, whence }) = asked.recv().await else { return };
        let Some(shared) = shared.upgrade() else { return };
        tokio::task::spawn(async move {
            let returned = shared.serve_handed(whence.member.node.0, &question).await;
            shared.node.answer_call(whence, wire::encode(&returned)).await;
            drop(place);
        });
    }
}

impl<S: StateMachine> Shared<S> {
    async fn route(self: &Arc<Self>, mut request: Request<Body>) -> Response {
        request.headers_mut().remove(FORWARDED_BY);
        match self.wanted(&request) {
            Ok(Wanted::Anywhere) => self.serve(request).await,
            Ok(Wanted::Member(member)) if member == self.node.number() => self.serve(request).await,
            Ok(Wanted::Member(member)) => self.to_member(member, request).await,
            Ok(Wanted::Key(key)) => self.to_holder(key, request).await,
            Err(BadKey { bytes }) => bad_key(bytes),
        }
    }

    fn wanted(&self, request: &Request<Body>) -> Result<Wanted, BadKey> {
        let (uri, headers) = (request.uri(), request.headers());
        let host = self.options.hosts.as_ref().and_then(|hosts| hosts.find(uri, headers));
        if let Some(member) = host {
            return Ok(Wanted::Member(member));
        }
        for from in &self.options.keys {
            if let Some(key) = from.find(uri, headers)? {
                return Ok(Wanted::Key(key));
            }
        }
        Ok(Wanted::Anywhere)
    }

    /// Serves a request here, whosever it is.
    async fn serve(&self, request: Request<Body>) -> Response {
        let Ok(mut response) = self.router.clone().oneshot(request).await;
        response.headers_mut().insert(SERVED_BY, HeaderValue::from(self.node.number()));
        response
    }

    /// Serves a request whose key is this member's, if it is.
    async fn serve_key(&self, key: Bytes, request: Request<Body>) -> Result<Response, Elsewhere> {
        let claim = self.claim(&key).await?;
        self.serve_claimed(key, claim, request).await
    }

    async fn serve_claimed(
        &self,
        key: Bytes,
        claim: Option<Claim<S>>,
        mut request: Request<Body>,
    ) -> Result<Response, Elsewhere> {
        request.extensions_mut().insert(Point { key, claim: claim.clone() });
        let response = self.serve(request).await;
        match claim {
            Some(claim) if !claim.still_mine() => {
                let detail = "the claim on the key ended while the request was served";
                let mend = "ask again; whoever holds the key now answers";
                Err(Elsewhere::Refused(unavailable(detail, mend, RETRY_AFTER_S).into()))
            }
            _ => Ok(response),
        }
    }

    async fn claim(&self, key: &Bytes) -> Result<Option<Claim<S>>, Elsewhere> {
        let Some(held) = &self.held else { return Ok(None) };
        match held.hold(key).await {
            Ok(claim) => Ok(Some(claim)),
            Err(ClaimError::Taken { member, left, .. }) => {
                let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                Err(Elsewhere::Taken { member, millis })
            }
            Err(ClaimError::Key { bytes }) => Err(Elsewhere::Refused(bad_key(bytes).into())),
            Err(error) => {
                let mend = "nothing was done: try again";
                Err(Elsewhere::Refused(unavailable(error.to_string(), mend, RETRY_AFTER_S).into()))
            }
        }
    }

    /// Hands a request to the member whose host it is for.
    async fn to_member(&self, member: u64, request: Request<Body>) -> Response {
        let (formed, known) = {
            let status = self.node.status();
            let status = status.borrow();
            (status.formed, status.members.iter().any(|known| known.node == member))
        };
        if !formed {
            let detail = "this member belongs to no cluster yet";
            return unavailable(detail, "try again, or ask another member", RETRY_AFTER_S);
        }
        if !known {
            let detail = format!("there is no member {member}");
            let mend = "use the host of a member; GET /v1/status names them";
            return Problem::new(StatusCode::NOT_FOUND, "no such member", detail, mend)
                .into_response();
        }
        let (parts, body) = request.into_parts();
        match self.read_body(&parts, body).await {
            Ok(body) => match self.hand_over(member, None, &parts, body).await {
                Ok(response) => response,
                Err(HandOver::Elsewhere(elsewhere)) => refused(elsewhere),
                Err(HandOver::Unreached) => gone(member, RETRY_AFTER_S),
            },
            Err(refused) => refused,
        }
    }

    /// Brings a request to whoever holds its key.
    async fn to_holder(&self, key: Bytes, request: Request<Body>) -> Response {
        let me = self.node.number();
        let mut way = Way::default();
        way.next = self.first(&key, &way.tried);
        if way.next == Some(me) {
            // Served as it comes in: nothing of it has to be kept for another member.
            way.tried.push(me);
            match self.claim(&key).await {
                Ok(claim) => {
                    let served = self.serve_claimed(key, claim, request).await;
                    return served.unwrap_or_else(refused);
                }
                Err(Elsewhere::Refused(response)) => return *response,
                Err(Elsewhere::Taken { member, millis }) => self.told(&mut way, member, millis),
            }
        }
        if let Some(sent) = way.next.and_then(|to| self.sent(to, &request)) {
            return sent;
        }
        let (parts, body) = request.into_parts();
        let body = match self.read_body(&parts, body).await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        while let Some(member) = way.next.filter(|_| way.tried.len() < ATTEMPTS_MAX) {
            way.tried.push(member);
            let served = if member == me {
                let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
                self.serve_key(key.clone(), request).await.map_err(HandOver::Elsewhere)
            } else {
                self.hand_over(member, Some(key.clone()), &parts, body.clone()).await
            };
            match served {
                Ok(response) => return response,
                Err(HandOver::Elsewhere(Elsewhere::Refused(response))) => return *response,
                Err(HandOver::Elsewhere(Elsewhere::Taken { member, millis })) => {
                    self.told(&mut way, member, millis);
                }
                Err(HandOver::Unreached) => way.next = self.first(&key, &way.tried),
            }
        }
        match way.held_by {
            Some((member, millis)) => refused(Elsewhere::Taken { member, millis }),
            None => {
                let detail = "no member that may hold the key is reached";
                let mend = "try again, or ask another member";
                unavailable(detail, mend, RETRY_AFTER_S)
            }
        }
    }

    /// Whoever was asked says whose the key is instead.
    fn told(&self, way: &mut Way, member: u64, millis: u64) {
        way.held_by = Some((member, millis));
        way.next = Some(member).filter(|to| !way.tried.contains(to) && self.reaches(*to));
    }

    /// Who is to be asked first for a key, of those that were not: whoever holds it as far as is
    /// known here, or the first in its order, that is reached.
    fn first(&self, key: &Bytes, tried: &[u64]) -> Option<u64> {
        let holder = match &self.held {
            Some(_) => self.node.holder(key),
            None => None,
        };
        let island = self.own_island();
        let affinity = match (self.options.prefer, &island) {
            (Prefer::OwnIsland, Some(island)) => Affinity::Island(island),
            _ => Affinity::None,
        };
        let order = self.node.placement().order(key, affinity).order;
        let mut all = holder.map(|holder| holder.member).into_iter().chain(order);
        all.find(|member| !tried.contains(member) && self.reaches(*member))
    }

    fn own_island(&self) -> Option<String> {
        let (placement, me) = (self.node.placement(), self.node.number());
        let own = placement.places().iter().find(|place| place.id == me);
        own.map(|place| place.island.clone())
    }

    fn reaches(&self, member: u64) -> bool {
        let status = self.node.status();
        let status = status.borrow();
        let known = status.members.iter().find(|known| known.node == member);
        member == self.node.number() || known.is_some_and(|known| known.reached != "not connected")
    }

    /// The client is sent to a member's host, if that is wanted.
    fn sent(&self, member: u64, request: &Request<Body>) -> Option<Response> {
        let (redirect, hosts) = (self.options.redirect.as_ref()?, self.options.hosts.as_ref()?);
        let port = redirect.port.map_or(String::new(), |port| format!(":{port}"));
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let there = format!("{}://{}{port}{target}", redirect.scheme, hosts.of(member));
        let there = HeaderValue::from_str(&there).ok()?;
        Some((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, there)]).into_response())
    }

    async fn read_body(&self, parts: &request::Parts, body: Body) -> Result<Bytes, Response> {
        if parts.headers.contains_key(UPGRADE) {
            let detail = "a connection that is to be upgraded is not handed to another member";
            let mend = "connect to the host of the member that holds the key";
            let status = StatusCode::NOT_IMPLEMENTED;
            return Err(Problem::new(status, "not implemented", detail, mend).into_response());
        }
        let limit = self.options.body_bytes_max;
        to_bytes(body, limit).await.map_err(|_| too_large(limit))
    }

    async fn hand_over(
        &self,
        member: u64,
        key: Option<Bytes>,
        parts: &request::Parts,
        body: Bytes,
    ) -> Result<Response, HandOver> {
        let handed = Handed::new(key, (&parts.method, &parts.uri, &parts.headers), body);
        let answer = self.node.call(member, wire::encode(&handed), self.options.timeout).await;
        let refuse =
            |response: Response| Err(HandOver::Elsewhere(Elsewhere::Refused(response.into())));
        match answer {
            Ok(answer) => match wire::decode(&answer) {
                Ok(Returned::Served { status, headers, body }) => {
                    match wire::response(status, headers, body) {
                        Ok(response) => Ok(response),
                        Err(_) => refuse(nonsense(member)),
                    }
                }
                Ok(Returned::Taken { member, millis }) => {
                    Err(HandOver::Elsewhere(Elsewhere::Taken { member, millis }))
                }
                Err(_) => refuse(nonsense(member)),
            },
            Err(NoAnswer::Refused(CallFailed::TooLong)) => {
                refuse(too_large(self.options.body_bytes_max))
            }
            Err(NoAnswer::Refused(_)) => Err(HandOver::Unreached),
            Err(NoAnswer::Unknown) => {
                let detail = format!("member {member} has not answered in time");
                let mend = "it may have acted on the request: look before you repeat it";
                let status = StatusCode::GATEWAY_TIMEOUT;
                refuse(Problem::new(status, "unknown outcome", detail, mend).into_response())
            }
        }
    }

    /// Serves what another member hands over. It is never handed on.
    async fn serve_handed(&self, from: u64, question: &[u8]) -> Returned {
        let handed: Result<Handed, _> = wire::decode(question);
        let request = handed.and_then(|handed| Ok((handed.key.clone(), handed.request()?)));
        let response = match request {
            Ok((key, mut request)) => {
                request.headers_mut().insert(FORWARDED_BY, HeaderValue::from(from));
                match key {
                    None => self.serve(request).await,
                    Some(key) => match self.serve_key(key, request).await {
                        Ok(response) => response,
                        Err(Elsewhere::Refused(response)) => *response,
                        Err(Elsewhere::Taken { member, millis }) => {
                            return Returned::Taken { member, millis };
                        }
                    },
                }
            }
            Err(_) => {
                let detail = format!("member {from} has handed over what this one can't read");
                let mend = "run the same version of holm on both";
                let status = StatusCode::BAD_GATEWAY;
                Problem::new(status, "not understood", detail, mend).into_response()
            }
        };
        let (parts, body) = response.into_parts();
        match to_bytes(body, self.options.body_bytes_max).await {
            Ok(body) => Returned::served(parts.status, &parts.headers, body),
            Err(_) => {
                let limit = self.options.body_bytes_max;
                let detail = format!("the answer is over {limit} bytes, or broke off");
                let mend = "ask the member that holds the key itself, or for less";
                let problem = Problem::new(StatusCode::BAD_GATEWAY, "too large", detail, mend);
                let (parts, body) = problem.into_response().into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
                Returned::served(parts.status, &parts.headers, body)
            }
        }
    }
}

/// A request's way to whoever holds its key.
#[derive(Default)]
struct Way {
    /// Who was asked, this member included.
    tried: Vec<u64>,
    next: Option<u64>,
    /// Who holds the key, as whoever was asked last says, and for how many milliseconds.
    held_by: Option<(u64, u64)>,
}

/// Why another member has not served a request.
enum HandOver {
    /// It did not get there.
    Unreached,
    Elsewhere(Elsewhere),
}

fn refused(elsewhere: Elsewhere) -> Response {
    match elsewhere {
        Elsewhere::Refused(response) => *response,
        Elsewhere::Taken { member, millis } => gone(member, millis.div_ceil(1000).max(1)),
    }
}

fn gone(member: u64, seconds: u64) -> Response {
    let detail = format!("it is member {member}'s, which does not serve it now");
    unavailable(detail, "try again after Retry-After: another member may have it then", seconds)
}

fn unavailable(detail: impl Into<String>, mend: &str, seconds: u64) -> Response {
    let mut response = Problem::unavailable(detail, mend).into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn bad_key(bytes: usize) -> Response {
    let detail = format!("the key has {bytes} bytes, or is given twice");
    let mend = format!("give one of 1 to {} bytes", Placement::KEY_BYTES_MAX);
    Problem::bad_request(detail, mend).into_response()
}

fn too_large(limit: usize) -> Response {
    let detail = format!("the body is over {limit} bytes, or broke off");
    let mend = "send less, or ask the member that holds the key itself";
    Problem::too_large(detail, mend).into_response()
}

fn nonsense(member: u64) -> Response {
    let detail = format!("member {member} has answered what this one can't read");
    let mend = "run the same version of holm on both";
    Problem::new(StatusCode::BAD_GATEWAY, "not understood", detail, mend).into_response()
}
