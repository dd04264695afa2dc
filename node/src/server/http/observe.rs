//! What an operator looks at: `/v1/status`, `/v1/cluster`, `/health/…`, `/metrics` and
//! `/openapi.json`.

use super::App;
use super::answer::{Problem, json_answer};
use super::input::Query;
use super::openapi::document;
use crate::status::Status;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::Duration;

// All routes know `timeout_ms`; these answer at once, so here it is only checked.
const KNOWN: &[&str] = &["timeout_ms"];
/// How long other members are waited for, at most.
const CLUSTER_WAIT_MAX: Duration = Duration::from_secs(2);

pub(super) async fn status(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), KNOWN)?.timeout()?;
    Ok(json_answer(StatusCode::OK, &app.engine.status()))
}

/// Every member's own status, as far as this one gets it.
pub(super) async fn cluster(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let timeout = Query::parse(query.as_deref(), KNOWN)?.timeout()?;
    let within = timeout.map_or(CLUSTER_WAIT_MAX, |timeout| (timeout / 2).min(CLUSTER_WAIT_MAX));
    let views = app.engine.statuses(within).await;
    let view = |(node, status): (u64, Result<Status, String>)| match status {
        Ok(status) => json!({ "node": node, "status": status }),
        Err(error) => json!({ "node": node, "error": error }),
    };
    let views: Vec<_> = views.into_iter().map(view).collect();
    let body = json!({ "asked": app.engine.status().node, "members": views });
    Ok(json_answer(StatusCode::OK, &body))
}

pub(super) async fn live(RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), KNOWN)?.timeout()?;
    Ok(json_answer(StatusCode::OK, &json!({ "health": "live" })))
}

pub(super) async fn openapi(RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), KNOWN)?.timeout()?;
    Ok(([(CONTENT_TYPE, "application/json")], document().text()).into_response())
}

pub(super) async fn ready(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), KNOWN)?.timeout()?;
    let status = app.engine.status();
    match status.leader {
        Some(leader) => {
            let body = json!({ "health": "ready", "node": status.node, "role": status.role,
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
    let text = app.metrics.text(&app.engine, &app.gate.refused());
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
