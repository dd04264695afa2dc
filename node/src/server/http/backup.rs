//! `/v1/backup`: the whole state as a file.

use super::App;
use super::answer::{Problem, index_header};
use super::input::Query;
use axum::extract::{RawQuery, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

pub(super) async fn backup(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let options = Query::parse(query.as_deref(), &Query::OF_READS)?.read_options()?;
    let backup = app.engine.backup(options).await;
    let backup = backup.map_err(|error| Problem::of_read(&error))?;
    let octets = (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(([octets, index_header(backup.index())], backup.file().clone()).into_response())
}
