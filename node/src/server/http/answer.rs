//! What goes back: [`Problem`], the one shape of every error, with the statuses that the node's
//! errors become; and JSON answers.

use super::{INDEX_HEADER, RETRY_AFTER_S, REVISION_HEADER};
use crate::error::Error;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use holm_raft_core::Index;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An error as `{"error", "detail", "mend"}`, and what else its kind tells.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: &'static str,
    detail: String,
    mend: String,
    /// The limit that was hit, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    #[serde(flatten)]
    more: BTreeMap<&'static str, Value>,
}

/// Told with an answer: it was refused for this limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limited(pub(super) &'static str);

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        error: &'static str,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let (detail, mend) = (detail.into(), mend.into());
        Self { status, error, detail, mend, limit: None, more: BTreeMap::new() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad request", detail, mend)
    }

    pub(crate) fn too_large(detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too large", detail, mend)
    }

    pub(crate) fn unavailable(detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, mend)
    }

    /// The limit that was hit, if one was.
    pub(in crate::server) const fn limit(&self) -> Option<&'static str> {
        self.limit
    }

    /// A whole answer, for a connection that no route will see, and that ends with it.
    pub(in crate::server) fn bytes(&self) -> Vec<u8> {
        let mut body = serde_json::to_vec(self).unwrap_or_default();
        body.push(b'\n');
        let (status, length) = (self.status, body.len());
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        );
        [head.into_bytes(), body].concat()
    }

    /// The same problem, as one of a limit.
    pub(in crate::server) fn of_limit(mut self, limit: &'static str) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same problem with one more field.
    pub(super) fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.more.insert(field, value.into());
        self
    }

    /// A refused compare-and-set.
    pub(super) fn conflict(revision: u64) -> Self {
        let detail = match revision {
            0 => "there is no such key (its revision is 0)".to_owned(),
            _ => format!("the key's revision is {revision}"),
        };
        let mend = "read the key again, and expect the revision that it has then";
        Self::new(StatusCode::CONFLICT, "conflict", detail, mend).with("revision", revision)
    }

    pub(super) fn no_such_key(key: &str) -> Self {
        let detail = format!("there is no key `{key}`");
        Self::new(StatusCode::NOT_FOUND, "no such key", detail, "write it first, with PUT")
    }

    /// What a failed write becomes. A node that has stopped can't say whether a write that was
    /// under way takes effect, so for a write that is an unknown outcome, not a "no".
    pub(super) fn of_write(error: &Error) -> Self {
        match error {
            Error::Unknown { .. } | Error::Stopped { .. } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "unknown outcome",
                detail_of(error),
                "repeat the request with the same Idempotency-Key; without one, read first",
            ),
            _ => Self::of_request(error),
        }
    }

    /// What a failed read becomes: it changes nothing, so its outcome is never unknown.
    pub(super) fn of_read(error: &Error) -> Self {
        match error {
            Error::Unknown { .. } => {
                Self::unavailable(detail_of(error), "try again, or read ?consistency=local")
            }
            _ => Self::of_request(error),
        }
    }

    fn of_request(error: &Error) -> Self {
        let detail = detail_of(error);
        match error {
            Error::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key reused",
                detail,
                "use a new Idempotency-Key for each request, and the old one only to repeat it",
            ),
            Error::ClaimOver => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "claim over",
                detail,
                "nothing was changed: claim the key again, and use the new token",
            ),
            Error::KeyEmpty => Self::bad_request(detail, "give a key, or leave the header out"),
            Error::TooLarge { .. } => Self::too_large(detail, "send less"),
            // No request has to do with secrets.
            Error::Encode(_) | Error::Insecure => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "not encoded",
                detail,
                "report this as a defect of holm",
            ),
            Error::KeysFull { .. } | Error::SessionsFull { .. } | Error::SessionExpired => {
                Self::unavailable(detail, "try again later, or shorten idempotency_retention_s")
            }
            Error::Busy { .. } => Self::unavailable(detail, "try again later, or send slower"),
            Error::DiskFull => Self::unavailable(
                detail,
                "make room on its disk, or ask another member; nothing was changed",
            ),
            Error::Stopped { .. } => Self::unavailable(detail, "ask another member"),
            Error::Unavailable { .. } | Error::Unknown { .. } => Self::unavailable(
                detail,
                "nothing was changed: try again, or another member; GET /v1/status shows who is \
                 reached",
            ),
        }
    }
}

/// The error's first half: the other one is a mend for embedders, and HTTP has its own.
fn detail_of(error: &Error) -> String {
    let text = error.to_string();
    text.split_once("; ").map_or(text.as_str(), |(detail, _)| detail).to_owned()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let revision = self.more.get("revision").and_then(Value::as_u64);
        let mut response = json_answer(self.status, &self);
        if let Some(limit) = self.limit {
            response.extensions_mut().insert(Limited(limit));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(revision) = revision {
            response.headers_mut().extend([revision_header(revision)]);
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response
    }
}

pub(super) fn json_answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            (status, [(CONTENT_TYPE, "application/json")], bytes).into_response()
        }
        Err(error) => {
            let detail = json!({ "error": "not encoded", "detail": error.to_string(),
                "mend": "report this as a defect of holm" });
            (StatusCode::INTERNAL_SERVER_ERROR, detail.to_string()).into_response()
        }
    }
}

pub(super) fn index_header(index: Index) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(INDEX_HEADER), HeaderValue::from(index.0))
}

pub(super) fn revision_header(revision: u64) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(REVISION_HEADER), HeaderValue::from(revision))
}
