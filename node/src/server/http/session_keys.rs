//! `/v1/session-keys`: the keys that sessions are sealed with, for whoever looks after them.

use super::App;
use super::answer::{Problem, json_answer};
use super::engine::Engine;
use super::input::{self, BodyInput, PathInput, Query};
use crate::session::{KeyInfo, SessionError};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use std::time::Duration;

/// The longest number of a key, in bytes.
const NUMBER_BYTES_MAX: usize = 10;

/// What is done with the keys.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyAction {
    List,
    Rotate,
    Revoke(u32),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum KeyAnswer {
    Listed(Vec<KeyInfo>),
    Rotated(u32),
    Revoked(u32),
}

pub(super) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let timeout = timeout(query.as_deref())?;
    answered(&app, KeyAction::List, timeout).await
}

pub(super) async fn rotate(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    body: BodyInput,
) -> Result<Response, Problem> {
    let timeout = timeout(query.as_deref())?;
    input::no_body(body)?;
    answered(&app, KeyAction::Rotate, timeout).await
}

pub(super) async fn revoke(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
    body: BodyInput,
) -> Result<Response, Problem> {
    let name = input::name(path, NUMBER_BYTES_MAX)?;
    let timeout = timeout(query.as_deref())?;
    input::no_body(body)?;
    let number = name.parse().map_err(|_| {
        let mend = "give a number as GET /v1/session-keys lists them";
        Problem::bad_request(format!("`{name}` is no number of a key"), mend)
    })?;
    answered(&app, KeyAction::Revoke(number), timeout).await
}

impl Engine {
    async fn session_keys(
        &self,
        action: KeyAction,
        timeout: Option<Duration>,
    ) -> Result<KeyAnswer, SessionError> {
        match self {
            Self::Node(node) => {
                let node = timeout.map_or_else(|| node.clone(), |long| node.waiting(long));
                let keys = node.session_keys();
                match action {
                    KeyAction::List => keys.list().await.map(KeyAnswer::Listed),
                    KeyAction::Rotate => keys.rotate().await.map(KeyAnswer::Rotated),
                    KeyAction::Revoke(key) => {
                        keys.revoke(key).await.map(|()| KeyAnswer::Revoked(key))
                    }
                }
            }
            #[cfg(test)]
            Self::Alone(alone) => alone.session_keys(action),
        }
    }
}

fn timeout(query: Option<&str>) -> Result<Option<Duration>, Problem> {
    Query::parse(query, &["timeout_ms"])?.timeout()
}

async fn answered(
    app: &App,
    action: KeyAction,
    timeout: Option<Duration>,
) -> Result<Response, Problem> {
    let answer = app.engine.session_keys(action, timeout).await;
    let answer = match answer.map_err(|error| problem(&error, action))? {
        KeyAnswer::Listed(keys) => json!({ "keys": keys }),
        KeyAnswer::Rotated(key) => json!({ "key": key }),
        KeyAnswer::Revoked(key) => json!({ "revoked": key }),
    };
    Ok(json_answer(StatusCode::OK, &answer))
}

fn problem(error: &SessionError, action: KeyAction) -> Problem {
    match (error, action) {
        (SessionError::Node(error), KeyAction::List) => Problem::of_read(error),
        (SessionError::Node(error), _) => Problem::of_write(error),
        (SessionError::UnknownKey { key }, _) => Problem::new(
            StatusCode::NOT_FOUND,
            "no such key",
            format!("there is no session key {key}"),
            "GET /v1/session-keys lists those that there are",
        ),
        (error, _) => {
            let text = error.to_string();
            let detail = text.split_once("; ").map_or(text.as_str(), |(detail, _)| detail);
            let mend = "give all members the same secrets, and seal their links";
            Problem::new(StatusCode::CONFLICT, "no secret", detail, mend)
        }
    }
}
