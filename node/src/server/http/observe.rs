//! What an operator looks at: `/v1/status`, `/health` and `/metrics`.

use super::App;
use super::answer::{Problem, json_answer};
use super::input::Query;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

// All routes know `timeout_ms`; these answer at once, so here it is only checked.
const KNOWN: &[&str] = &["timeout_ms"];

pub(super) async fn status(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), KNOWN)?.timeout()?;
    Ok(json_answer(StatusCode::OK, &app.engine.status()))
}

pub(super) async fn health(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), KNOWN)?.timeout()?;
    let status = app.engine.status();
    match status.leader {
        Some(leader) => {
            let body = json!({ "health": "ok", "node": status.node, "role": status.role,
                "leader": leader });
            Ok(json_answer(StatusCode::OK, &body))
        }
        None => Err(Problem::unavailable(
            format!("member {} is {} and knows no leader", status.node, status.role),
            match status.role.as_str() {
                "waiting" => {
                    "form the cluster with --bootstrap; if it is formed already, have this member added"
                }
                "stopped" => "read this member's log, mend the cause and start it again",
                _ => "wait for an election, or start the members that are down",
            },
        )),
    }
}

pub(super) async fn metrics(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), KNOWN)?.timeout()?;
    let text = app.metrics.text(&app.engine.status());
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
