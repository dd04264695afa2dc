//! What each request passes before its handler sees it: [`Gate`] counts its address's requests,
//! asks for a token of the role that the operation needs, and bounds its body in time and in the
//! memory that all bodies share.

use super::answer::Problem;
use super::openapi::document;
use super::{App, body};
use crate::server::access::{Denied, Needs, Tokens};
use crate::server::limits::{Limits, NAMES, Rates};
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use body::{Bodies, Share};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

/// Who is let in, and with how much; the same for all connections of a member.
#[derive(Debug, Default)]
pub struct Gate {
    /// Those that count now.
    tokens: RwLock<Tokens>,
    limits: Limits,
    guarded: Guarded,
    rates: Rates,
    bodies: Arc<Bodies>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

/// Whether something else than tokens keeps strangers away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarded {
    /// Nothing does.
    #[default]
    No,
    /// Connections show a certificate.
    ByCertificates,
}

/// Who is at the other end of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Caller(pub(in crate::server) IpAddr);

impl Gate {
    /// A gate that asks for one of these tokens, if there are any, and has these limits.
    #[must_use]
    pub fn new(tokens: Tokens, guarded: Guarded, limits: Limits) -> Self {
        Self { tokens: RwLock::new(tokens), limits, guarded, ..Self::default() }
    }

    /// The same gate, with bodies under way.
    #[cfg(test)]
    pub(super) fn holding(self, bodies: Bodies) -> Self {
        Self { bodies: Arc::new(bodies), ..self }
    }

    /// Requests that begin from now on are let in by these tokens, on whichever connection.
    pub fn change_tokens(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    pub(in crate::server) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts what was refused for a limit.
    pub(in crate::server) fn count(&self, limit: &'static str) {
        debug_assert!(NAMES.contains(&limit), "{limit} is no limit");
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(limit).or_default() += 1;
    }

    /// How much was refused, by the limit's name.
    pub(super) fn refused(&self) -> BTreeMap<&'static str, u64> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        NAMES.map(|name| (name, refused.get(name).copied().unwrap_or_default())).into()
    }

    /// Whether a request may be made now, to the route with this pattern if it is to any.
    pub(super) fn check(&self, request: &Request, path: Option<&str>) -> Result<(), Problem> {
        if let Some(Caller(address)) = request.extensions().get::<Caller>()
            && !self.rates.take(&self.limits, *address, Instant::now())
        {
            return Err(Problem::too_often());
        }
        let needs = document().needs(path, request.method());
        let shown = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.admit(shown, needs).map_err(Problem::denied)?;
        // A browser sends this with what a page of another site has it write. Where nothing is
        // shown that such a page does not have, whoever opens it would speak for its author.
        let unguarded = tokens.is_empty() && self.guarded == Guarded::No;
        if unguarded && needs != Needs::Nothing && request.headers().contains_key(ORIGIN) {
            return Err(Problem::of_a_page());
        }
        Ok(())
    }

    /// The request with bounds around its body; and its share of the memory that all bodies have.
    pub(super) fn bound(&self, request: Request) -> (Request, Option<Arc<Share>>) {
        self.bodies.bound(request, self.limits.body_timeout)
    }
}

/// Lets a request through, or answers it.
pub(super) async fn pass(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if let Err(problem) = app.gate.check(&request, path) {
        return problem.into_response();
    }
    // The body's share of the memory is held until the answer is there.
    let (request, _share) = app.gate.bound(request);
    next.run(request).await
}

impl Problem {
    fn denied(denied: Denied) -> Self {
        let unknown = |detail: &str| {
            let mend = "send `Authorization: Bearer TOKEN` (the command line: --token-file); \
                        `holm token new` draws a token, and its hash goes into [[tokens]] of the \
                        member's configuration";
            Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail, mend)
        };
        match denied {
            Denied::Missing => unknown("the request shows no token"),
            Denied::Unknown => unknown("the token is not known here"),
            Denied::Role { has, needs } => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                format!("the token's role is {has}, and this needs {needs}"),
                format!("use a token with the role {needs}"),
            ),
        }
    }

    fn of_a_page() -> Self {
        let detail = "the request comes from a web page, and this member asks for no token";
        let mend = "use another client, or give the member [[tokens]]";
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail, mend)
    }

    fn too_often() -> Self {
        let detail = "this address makes more requests than http_requests_per_second";
        let mend = "send slower, or raise http_requests_per_second";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too often", detail, mend)
            .of_limit("http_requests_per_second")
    }
}
