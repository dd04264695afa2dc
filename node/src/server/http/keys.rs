//! `/v1/kv/{key}`.

use super::answer::{Problem, index_header, json_answer, revision_header};
use super::counters::unexpected;
use super::input::{self, BodyInput, PathInput, Query};
use super::{App, KEY_BYTES_MAX};
use crate::node::{Applied, ProposeOptions};
use crate::rendezvous::Fence;
use crate::store::{Command, Reply};
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub(super) async fn read(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let key = input::name(path, KEY_BYTES_MAX)?;
    let options = Query::parse(query.as_deref(), &Query::OF_READS)?.read_options()?;
    let wanted = key.clone();
    let seen = app.engine.read(options, move |store| store.key(&wanted).cloned());
    let seen = seen.await.map_err(|error| Problem::of_read(&error))?;
    let found = seen.value.ok_or_else(|| Problem::no_such_key(&key))?;
    let octets = (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let headers = [octets, revision_header(found.revision), index_header(seen.index)];
    Ok((headers, found.value).into_response())
}

pub(super) async fn put(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: BodyInput,
) -> Result<Response, Problem> {
    let key = input::name(path, KEY_BYTES_MAX)?;
    let (expect, fence, options) = write_input(query.as_deref(), &headers)?;
    let value = input::value(body)?;
    let command = Command::Put { key, value, expect };
    let applied = app.engine.propose_under(fence, command, options).await;
    let applied = applied.map_err(|error| Problem::of_write(&error))?;
    match applied.reply {
        Reply::Put { revision } => Ok(changed(revision, &applied)),
        Reply::Conflict { revision } => Err(Problem::conflict(revision)),
        reply => Err(unexpected(&reply)),
    }
}

pub(super) async fn delete(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: BodyInput,
) -> Result<Response, Problem> {
    let key = input::name(path, KEY_BYTES_MAX)?;
    let (expect, fence, options) = write_input(query.as_deref(), &headers)?;
    input::no_body(body)?;
    let command = Command::Delete { key: key.clone(), expect };
    let applied = app.engine.propose_under(fence, command, options).await;
    let applied = applied.map_err(|error| Problem::of_write(&error))?;
    match applied.reply {
        Reply::Deleted { revision } => Ok(changed(revision, &applied)),
        Reply::Conflict { revision } => Err(Problem::conflict(revision)),
        Reply::Missing => Err(Problem::no_such_key(&key)),
        reply => Err(unexpected(&reply)),
    }
}

fn write_input(
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Option<u64>, Option<Fence>, ProposeOptions), Problem> {
    let query = Query::parse(query, &["expect", "claim", "token", "timeout_ms"])?;
    let (expect, fence) = (query.expect()?, query.fence()?);
    let options =
        ProposeOptions { key: input::idempotency_key(headers)?, timeout: query.timeout()? };
    Ok((expect, fence, options))
}

/// The answer to a change, in this order.
#[derive(Serialize)]
struct Changed {
    index: u64,
    revision: u64,
}

fn changed(revision: u64, applied: &Applied<Reply>) -> Response {
    let body = Changed { index: applied.index.0, revision };
    let mut response = json_answer(StatusCode::OK, &body);
    response.headers_mut().extend([revision_header(revision)]);
    response
}
