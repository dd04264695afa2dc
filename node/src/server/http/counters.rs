//! `/v1/counters/{name}`.

use super::answer::{Problem, index_header, json_answer};
use super::input::{self, BodyInput, PathInput, Query};
use super::{App, NAME_BYTES_MAX};
use crate::node::ProposeOptions;
use crate::store::{Command, Reply};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

/// The answer to an increment, in this order.
#[derive(Serialize)]
struct Added {
    value: i64,
    index: u64,
}

pub(super) async fn add(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: BodyInput,
) -> Result<Response, Problem> {
    let name = input::name(path, NAME_BYTES_MAX)?;
    let query = Query::parse(query.as_deref(), &["add", "timeout_ms"])?;
    let by = query.add()?;
    let timeout = query.timeout()?;
    let key = input::idempotency_key(&headers)?;
    input::no_body(body)?;
    let command = Command::Add { name, by };
    let applied = app.engine.propose(command, ProposeOptions { key, timeout }).await;
    let applied = applied.map_err(|error| Problem::of_write(&error))?;
    match applied.reply {
        Reply::Added { value } => {
            Ok(json_answer(StatusCode::OK, &Added { value, index: applied.index.0 }))
        }
        Reply::Overflow { value } => Err(Problem::new(
            StatusCode::CONFLICT,
            "overflow",
            format!("the counter is {value}; adding {by} is beyond 64 bits, so it stays as it is"),
            "add less, or count on under another name",
        )
        .with("value", value)),
        reply => Err(unexpected(&reply)),
    }
}

pub(super) async fn read(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let name = input::name(path, NAME_BYTES_MAX)?;
    let options = Query::parse(query.as_deref(), &Query::OF_READS)?.read_options()?;
    let seen = app.engine.read(options, move |store| store.counter(&name)).await;
    let seen = seen.map_err(|error| Problem::of_read(&error))?;
    let mut response = json_answer(StatusCode::OK, &json!({ "value": seen.value }));
    response.headers_mut().extend([index_header(seen.index)]);
    Ok(response)
}

/// An answer of another command's kind: a broken invariant of the store, but no reason to end the
/// connection without a word.
pub(super) fn unexpected(reply: &Reply) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "unexpected reply",
        format!("the store answered {reply:?}"),
        "report this as a defect of holm",
    )
}
