//! What comes in, checked before the node hears of it: names in paths, the query, the
//! idempotency key and the body.

use super::answer::Problem;
use super::body::Broken;
use super::{IDEMPOTENCY_HEADER, IDEMPOTENCY_KEY_BYTES_MAX, TIMEOUT_MS_MAX, VALUE_BYTES_MAX};
use crate::members::Risk;
use crate::reading::{Consistency, ReadOptions};
use crate::rendezvous::Fence;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::http::{HeaderMap, StatusCode};
use holm_raft_core::Index;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest `ttl_s`: 400 days.
const TTL_S_MAX: u64 = 400 * 24 * 3600;

/// A path's name, or why axum could not give it.
pub(super) type PathInput = Result<Path<String>, PathRejection>;
/// A request's body, or why axum could not read it.
pub(super) type BodyInput = Result<Bytes, BytesRejection>;

/// The query, with only the parameters that the route knows, each at most once.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn parse(raw: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut found = BTreeMap::new();
        for pair in raw.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                let mend = format!("this route knows {}", known.join(", "));
                return Err(Problem::bad_request(format!("unknown parameter `{name}`"), mend));
            }
            if found.insert(name, value).is_some() {
                let detail = "a parameter is given twice";
                return Err(Problem::bad_request(detail, "give each parameter once"));
            }
        }
        Ok(Self(found))
    }

    /// `timeout_ms`, if it is given.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.0.get("timeout_ms") else { return Ok(None) };
        match text.parse() {
            Ok(millis @ 1..=TIMEOUT_MS_MAX) => Ok(Some(Duration::from_millis(millis))),
            _ => Err(Problem::bad_request(
                format!("timeout_ms is `{text}`"),
                format!("give milliseconds from 1 to {TIMEOUT_MS_MAX}"),
            )),
        }
    }

    /// What a read's query may hold.
    pub(super) const OF_READS: [&str; 3] = ["consistency", "at_least", "timeout_ms"];

    /// `consistency`, linearizable if it is not given, or `at_least`; and `timeout_ms`.
    pub(super) fn read_options(&self) -> Result<ReadOptions, Problem> {
        let asked = self.0.get("consistency").map(String::as_str);
        let consistency = match (asked, self.0.get("at_least")) {
            (None | Some("local"), Some(text)) => Consistency::From(index(text)?),
            (Some(text), Some(_)) => {
                let detail = format!("at_least is given together with consistency={text}");
                let mend = "give at_least alone: it is this member's own state from there on";
                return Err(Problem::bad_request(detail, mend));
            }
            (None | Some("linearizable"), None) => Consistency::Linearizable,
            (Some("lease"), None) => Consistency::Lease,
            (Some("local"), None) => Consistency::Local,
            (Some(text), None) => {
                let mend = "give linearizable, lease or local";
                return Err(Problem::bad_request(format!("consistency is `{text}`"), mend));
            }
        };
        Ok(ReadOptions { consistency, timeout: self.timeout()? })
    }

    /// `add`, an `i64`; 1 if it is not given.
    pub(super) fn add(&self) -> Result<i64, Problem> {
        let Some(text) = self.0.get("add") else { return Ok(1) };
        text.parse().map_err(|_| {
            let mend = format!("give a whole number from {} to {}", i64::MIN, i64::MAX);
            Problem::bad_request(format!("add is `{text}`"), mend)
        })
    }

    /// `claim` and `token`, if they are given.
    pub(super) fn fence(&self) -> Result<Option<Fence>, Problem> {
        let (Some(key), Some(token)) = (self.0.get("claim"), self.0.get("token")) else {
            if self.0.contains_key("claim") || self.0.contains_key("token") {
                let detail =
                    "a claim is named by its key and its token, and one of them is missing";
                return Err(Problem::bad_request(detail, "give claim and token, or neither"));
            }
            return Ok(None);
        };
        let fence = |token| Fence { key: Bytes::from(key.clone()), token };
        token.parse().map(|token| Some(fence(token))).map_err(|_| {
            let mend = "give a token as PUT /v1/claims/KEY told it";
            Problem::bad_request(format!("token is `{token}`"), mend)
        })
    }

    /// `island`, if it is given.
    pub(super) fn island(&self) -> Option<&str> {
        self.0.get("island").map(String::as_str)
    }

    /// `time_ms`, if it is given.
    pub(super) fn time_ms(&self) -> Result<Option<u64>, Problem> {
        let Some(text) = self.0.get("time_ms") else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let mend = "give milliseconds from 100 to 86400000";
            Problem::bad_request(format!("time_ms is `{text}`"), mend)
        })
    }

    /// `expect`, a revision, if it is given.
    pub(super) fn expect(&self) -> Result<Option<u64>, Problem> {
        let Some(text) = self.0.get("expect") else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let mend = "give a revision as Holm-Revision told it, or 0 for a key that is absent";
            Problem::bad_request(format!("expect is `{text}`"), mend)
        })
    }
}

impl Query {
    /// `expect`, the index at which the members were set, if it is given.
    pub(super) fn expected_index(&self) -> Result<Option<Index>, Problem> {
        let Some(text) = self.0.get("expect") else { return Ok(None) };
        text.parse().map(|index| Some(Index(index))).map_err(|_| {
            let mend = "give the index at which the members were set, as GET /v1/members tells it";
            Problem::bad_request(format!("expect is `{text}`"), mend)
        })
    }

    /// `allow`: what is refused otherwise, and is meant.
    pub(super) fn allowed(&self) -> Result<Vec<Risk>, Problem> {
        let words = self.0.get("allow").map_or("", String::as_str).split(',');
        let risk = |word: &str| match word {
            "no_quorum" => Ok(Risk::NoQuorum),
            "memory_majority" => Ok(Risk::MemoryMajority),
            _ => {
                let detail = format!("allow has `{word}`");
                Err(Problem::bad_request(
                    detail,
                    "give no_quorum or memory_majority, or leave it out",
                ))
            }
        };
        words.filter(|word| !word.is_empty()).map(risk).collect()
    }

    /// A member's number, if it is given.
    pub(super) fn member(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.0.get(name) else { return Ok(None) };
        text.parse().ok().filter(|node| *node > 0).map(Some).ok_or_else(|| {
            let mend = "give a member's number, from 1";
            Problem::bad_request(format!("{name} is `{text}`"), mend)
        })
    }

    /// `ttl_s`, how long a ticket can be used; an hour if it is not given.
    pub(super) fn ttl(&self) -> Result<Duration, Problem> {
        let Some(text) = self.0.get("ttl_s") else { return Ok(Duration::from_secs(3600)) };
        match text.parse() {
            Ok(seconds @ 1..=TTL_S_MAX) => Ok(Duration::from_secs(seconds)),
            _ => Err(Problem::bad_request(
                format!("ttl_s is `{text}`"),
                format!("give seconds from 1 to {TTL_S_MAX}"),
            )),
        }
    }
}

fn index(text: &str) -> Result<Index, Problem> {
    text.parse().map(Index).map_err(|_| {
        let mend = "give an index as a write's answer, or Holm-Index, told it";
        Problem::bad_request(format!("at_least is `{text}`"), mend)
    })
}

fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => {
            let mend = "write other characters as the percent-encoded bytes of their UTF-8";
            Err(Problem::bad_request("the query is not UTF-8", mend))
        }
    }
}

/// The path's name, of 1 to `bytes_max` bytes.
pub(super) fn name(path: PathInput, bytes_max: usize) -> Result<String, Problem> {
    let Path(name) = path.map_err(|rejection| {
        let mend = "write other characters as the percent-encoded bytes of their UTF-8";
        Problem::bad_request(rejection.body_text(), mend)
    })?;
    if name.is_empty() || name.len() > bytes_max {
        let detail = format!("the name in the path has {} bytes", name.len());
        return Err(Problem::bad_request(detail, format!("use 1 to {bytes_max} bytes")));
    }
    Ok(name)
}

/// The idempotency key, if one is given.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Bytes>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.as_bytes();
    let sound = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
        && key.iter().all(u8::is_ascii_graphic);
    if !sound || values.next().is_some() {
        return Err(Problem::bad_request(
            "the Idempotency-Key is malformed",
            format!("give one of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"),
        ));
    }
    Ok(Some(Bytes::copy_from_slice(key)))
}

/// The body.
pub(super) fn value(body: BodyInput) -> Result<Bytes, Problem> {
    body.map_err(|rejection| match (Broken::of(&rejection), rejection.status()) {
        (Some(late @ Broken::Late), _) => {
            let mend = "send the body without a pause, or raise http_body_timeout_ms";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too slow", late.to_string(), mend)
                .of_limit("http_body_timeout_ms")
        }
        (Some(crowded @ Broken::Crowded), _) => {
            let mend = "try again later; nothing was changed";
            Problem::unavailable(crowded.to_string(), mend).of_limit("http_bodies_bytes_max")
        }
        (None, StatusCode::PAYLOAD_TOO_LARGE) => Problem::too_large(
            format!("the body is over http_body_bytes_max = {VALUE_BYTES_MAX} bytes"),
            "send less, or divide it among several keys",
        )
        .of_limit("http_body_bytes_max"),
        (None, _) => Problem::bad_request(rejection.body_text(), "send the whole body"),
    })
}

/// The body of a request that has none: an amount in it would be overlooked otherwise.
pub(super) fn no_body(body: BodyInput) -> Result<(), Problem> {
    if value(body)?.is_empty() {
        return Ok(());
    }
    let mend = "leave the body out; what to add goes into the query, as ?add=N";
    Err(Problem::bad_request("this request takes no body", mend))
}
