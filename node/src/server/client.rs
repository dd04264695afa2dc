//! The HTTP client of the command line, the demo, the bench and the end-to-end tests: [`Client`]
//! asks one [`Endpoint`], or several in turn until one answers.

use super::HTTP_PORT;
use super::access::Token;
use super::http::{IDEMPOTENCY_HEADER, REVISION_HEADER, TIMEOUT_MS_MAX, VALUE_BYTES_MAX};
use crate::topology::with_port;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use std::fmt;
use std::time::{Duration, Instant};

/// The longest answer that is read unless more is asked for, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * VALUE_BYTES_MAX;
/// The pause before the first repetition; it doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(25);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long one endpoint may take while there is another to turn to.
const ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// How long after a server's own time-out its answer may still arrive.
const ANSWER_GRACE: Duration = Duration::from_millis(200);
/// The random part of an idempotency key, in bytes.
const KEY_RANDOM_BYTES: usize = 16;

/// Where a member serves HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    authority: String,
}

/// Whether connections are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// What a client shows of itself, and whom it believes.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Shown with each request.
    pub token: Option<Token>,
    /// Whose certificates are believed, and which one is shown; without it only `http://` is
    /// possible.
    pub tls: Option<ClientConfig>,
}

/// One request, before it is known who answers it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// GET, POST, PUT or DELETE.
    pub method: Method,
    /// The path with its names encoded, and the query without `timeout_ms`.
    pub path: String,
    /// The `Idempotency-Key`, if there is one.
    pub key: Option<String>,
    /// The body; may be empty.
    pub body: Bytes,
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// What `Holm-Revision` says.
    pub revision: Option<u64>,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{endpoint}: {problem}")]
pub struct ClientError {
    /// Who was asked last.
    pub endpoint: Endpoint,
    /// What went wrong.
    pub problem: String,
    /// Whether the member may have got the request.
    pub sent: Sent,
}

/// Whether a request that was not answered may have reached a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// No connection was made.
    No,
    /// It may have arrived, and a write may have taken effect.
    Perhaps,
}

/// A client that keeps its connections open.
#[derive(Clone, Debug)]
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    token: Option<Token>,
    /// Whether it may ask `https://`.
    seals: Scheme,
    answer_bytes_max: usize,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client without connections yet, which shows nothing of itself.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Access::default())
    }

    /// A client without connections yet.
    #[must_use]
    pub fn with(Access { token, tls }: Access) -> Self {
        let seals = if tls.is_some() { Scheme::Https } else { Scheme::Http };
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.unwrap_or_else(super::tls::nobody))
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { http, token, seals, answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// Asks once, and waits for the answer no longer than `within`.
    ///
    /// # Errors
    /// When there is none: the member can't be reached, the connection broke, or time ran out.
    pub async fn ask(
        &self,
        endpoint: &Endpoint,
        ask: &Ask,
        within: Duration,
    ) -> Result<Answer, ClientError> {
        let failed =
            |problem| ClientError { endpoint: endpoint.clone(), problem, sent: Sent::Perhaps };
        let answer = async {
            let (parts, body) = self.respond(endpoint, ask, within).await?.into_parts();
            let body = Limited::new(body, self.answer_bytes_max).collect().await;
            let body = body.map_err(|error| failed(broke_off(&*error)))?.to_bytes();
            let revision = parts.headers.get(REVISION_HEADER);
            let revision = revision.and_then(|value| value.to_str().ok()?.parse().ok());
            Ok(Answer { status: parts.status, revision, body })
        };
        match tokio::time::timeout(within, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(failed(format!("no answer within {within:?}"))),
        }
    }

    /// Asks once, and hands what a good answer (200) brings on as it comes, so that it is never
    /// held; then the answer's body is empty. It waits no longer than `within` for the first
    /// piece, and for each one after another.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask), or what `take` says. What was handed on by then is no whole
    /// answer.
    pub async fn fetch(
        &self,
        endpoint: &Endpoint,
        ask: &Ask,
        within: Duration,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Answer, ClientError> {
        let failed =
            |problem| ClientError { endpoint: endpoint.clone(), problem, sent: Sent::Perhaps };
        let late = |_| failed(format!("no answer within {within:?}"));
        let response = tokio::time::timeout(within, self.respond(endpoint, ask, within));
        let (parts, mut body) = response.await.map_err(late)??.into_parts();
        let mut refused = Vec::new();
        while let Some(frame) = tokio::time::timeout(within, body.frame()).await.map_err(late)? {
            let frame = frame.map_err(|error| failed(broke_off(&error)))?;
            let Ok(piece) = frame.into_data() else { continue };
            if parts.status == StatusCode::OK {
                take(&piece).map_err(failed)?;
            } else if refused.len() + piece.len() <= self.answer_bytes_max {
                refused.extend_from_slice(&piece);
            }
        }
        Ok(Answer { status: parts.status, revision: None, body: refused.into() })
    }

    /// Asks once, up to the answer's head.
    async fn respond(
        &self,
        endpoint: &Endpoint,
        ask: &Ask,
        within: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        let failed = |problem, sent| ClientError { endpoint: endpoint.clone(), problem, sent };
        let patience = within.saturating_sub(ANSWER_GRACE).max(within / 2);
        let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let joint = if ask.path.contains('?') { '&' } else { '?' };
        let timeout = millis.clamp(1, TIMEOUT_MS_MAX);
        if endpoint.scheme == Scheme::Https && self.seals == Scheme::Http {
            let problem =
                "whose certificate is to be believed? Name a file of authorities with --ca";
            return Err(failed(problem.into(), Sent::No));
        }
        let uri = format!("{}{}{joint}timeout_ms={timeout}", endpoint.url(), ask.path);
        let mut request = Request::builder().method(ask.method.clone()).uri(uri);
        if let Some(key) = &ask.key {
            request = request.header(IDEMPOTENCY_HEADER, key);
        }
        if let Some(token) = &self.token {
            let shown = HeaderValue::try_from(format!("Bearer {}", token.reveal()));
            let mut shown = shown.expect("a token is ASCII");
            shown.set_sensitive(true);
            request = request.header(AUTHORIZATION, shown);
        }
        let request = request.body(Full::new(ask.body.clone()));
        let request = request.map_err(|error| failed(error.to_string(), Sent::No))?;
        self.http.request(request).await.map_err(|error| {
            let sent = if error.is_connect() { Sent::No } else { Sent::Perhaps };
            failed(chain(&error), sent)
        })
    }

    /// Asks the endpoints in turn, again and again, until one answers otherwise than "not now"
    /// (503) or "unknown outcome" (504), or time runs out: then what came last. A write needs its
    /// key for this: under it a repetition is not a second write.
    ///
    /// # Errors
    /// When the last attempt brought no answer.
    pub async fn ask_until_answered(
        &self,
        endpoints: &[Endpoint],
        ask: &Ask,
        within: Duration,
    ) -> Result<Answer, ClientError> {
        let start = Instant::now();
        let mut pause = RETRY_PAUSE_MIN;
        let mut unknown = None;
        for endpoint in endpoints.iter().cycle() {
            let left = within.saturating_sub(start.elapsed());
            let patience = if endpoints.len() > 1 { left.min(ATTEMPT_MAX) } else { left };
            let result = self.ask(endpoint, ask, patience).await;
            let may_have_happened = match &result {
                Ok(answer) if !answer.is_undecided() => return result,
                Ok(answer) => answer.status == StatusCode::GATEWAY_TIMEOUT,
                Err(error) => error.sent == Sent::Perhaps,
            };
            if may_have_happened {
                unknown = Some(result.clone());
            }
            if start.elapsed() + pause >= within {
                // A later "not now" does not make an earlier attempt's outcome known.
                return unknown.unwrap_or(result);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
        let endpoint = Endpoint { scheme: Scheme::Http, authority: "nobody".into() };
        let problem = "there is no endpoint to ask".into();
        Err(ClientError { endpoint, problem, sent: Sent::No })
    }
}

impl Answer {
    /// Whether the same request may be answered otherwise a moment later: 503 or 504.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
    }

    /// The body, if it is JSON of this shape.
    #[must_use]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Ask {
    /// A GET of `path`.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), key: None, body: Bytes::new() }
    }

    /// A write of a key; `once`, an idempotency key, makes its repetition exactly-once.
    #[must_use]
    pub fn put(key: &str, value: impl Into<Bytes>, once: Option<String>) -> Self {
        let path = format!("/v1/kv/{}", encoded(key));
        Self { method: Method::PUT, path, key: once, body: value.into() }
    }

    /// A removal of a key; `once`, an idempotency key, makes its repetition exactly-once.
    #[must_use]
    pub fn delete(key: &str, once: Option<String>) -> Self {
        let path = format!("/v1/kv/{}", encoded(key));
        Self { method: Method::DELETE, path, key: once, body: Bytes::new() }
    }

    /// An increment of a counter; `key` makes its repetition exactly-once.
    #[must_use]
    pub fn add(name: &str, by: i64, key: Option<String>) -> Self {
        let path = format!("/v1/counters/{}?add={by}", encoded(name));
        Self { method: Method::POST, path, key, body: Bytes::new() }
    }
}

impl Endpoint {
    /// `https://HOST:PORT`, `http://HOST:PORT`, `HOST:PORT` or `HOST`; the latter two are `http`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, authority) = match text.strip_prefix("https://") {
            Some(authority) => (Scheme::Https, authority),
            None => (Scheme::Http, text.strip_prefix("http://").unwrap_or(text)),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        with_port(authority, HTTP_PORT).map(|authority| Self { scheme, authority })
    }

    /// As a URL without a path.
    fn url(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}", self.authority)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Http => f.write_str(&self.authority),
            Scheme::Https => f.write_str(&self.url()),
        }
    }
}

/// A new idempotency key that nobody else draws.
#[must_use]
pub fn random_key() -> String {
    let mut random = [0; KEY_RANDOM_BYTES];
    getrandom::fill(&mut random).expect("the system has entropy");
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name as one segment of a path.
#[must_use]
pub fn encoded(name: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');
    utf8_percent_encode(name, KEPT).to_string()
}

fn broke_off(error: &dyn std::error::Error) -> String {
    format!("the answer broke off: {error}")
}

/// The causes of an error, without its outermost layer where there are any: that one alone says no
/// more than "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut cause = error.source();
    let mut texts = Vec::new();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests;
