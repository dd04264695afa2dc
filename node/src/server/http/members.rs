//! `/v1/members` and `/v1/transfer`: who belongs to the cluster, how that changes, and who leads.

use super::App;
use super::answer::{Problem, json_answer};
use super::input::{self, BodyInput, Query};
use crate::members::{
    Change, ChangeOptions, IncarnationNumber, NewMember, NotChanged, Refusal, StorageKind, Votes,
};
use crate::session::TicketError;
use crate::topology::Member;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

/// A change, as it is written.
#[derive(Deserialize)]
#[serde(tag = "change", rename_all = "lowercase", deny_unknown_fields)]
enum Written {
    Add {
        incarnation: IncarnationNumber,
        member: Member,
        #[serde(default)]
        storage: StorageKind,
        #[serde(default)]
        votes: Votes,
    },
    Promote {
        node: u64,
    },
    Demote {
        node: u64,
    },
    Remove {
        node: u64,
    },
    Replace {
        incarnation: IncarnationNumber,
        member: Member,
        #[serde(default)]
        storage: StorageKind,
    },
    Readmit {
        node: u64,
    },
}

impl From<Written> for Change {
    fn from(written: Written) -> Self {
        match written {
            Written::Add { incarnation, member, storage, votes } => {
                Self::Add { new: NewMember { incarnation, member, storage }, votes }
            }
            Written::Promote { node } => Self::Promote { node },
            Written::Demote { node } => Self::Demote { node },
            Written::Remove { node } => Self::Remove { node },
            Written::Replace { incarnation, member, storage } => {
                Self::Replace { new: NewMember { incarnation, member, storage } }
            }
            Written::Readmit { node } => Self::Readmit { node },
        }
    }
}

pub(super) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["consistency", "timeout_ms"])?;
    let options = query.read_options()?;
    let members = app.engine.members(options).await.map_err(|error| Problem::of_read(&error))?;
    Ok(json_answer(StatusCode::OK, &members))
}

pub(super) async fn change(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    body: BodyInput,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["expect", "allow", "timeout_ms"])?;
    let options = ChangeOptions {
        expect: query.expected_index()?,
        allow: query.allowed()?,
        timeout: query.timeout()?,
    };
    let body = input::value(body)?;
    let written: Written = serde_json::from_slice(&body).map_err(|error| {
        let mend = "send one change as JSON, such as {\"change\":\"promote\",\"node\":4}";
        Problem::bad_request(format!("the body is no change of the members: {error}"), mend)
    })?;
    let changed = app.engine.change_members(written.into(), options).await;
    let index = changed.map_err(|error| Problem::not_changed(&error))?;
    Ok(json_answer(StatusCode::OK, &json!({ "index": index.0 })))
}

pub(super) async fn invite(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    body: BodyInput,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["node", "ttl_s", "timeout_ms"])?;
    query.timeout()?;
    input::no_body(body)?;
    let ttl = query.ttl()?;
    let ticket = app.engine.invite(query.member("node")?, ttl).await;
    let ticket = ticket.map_err(|error| match error {
        TicketError::Node(error) => Problem::of_write(&error),
        error => Problem::unavailable(error.to_string(), "wait until some tickets expire"),
    })?;
    let answer = json!({ "ticket": *ticket.reveal(), "node": ticket.node,
        "ttl_s": ttl.as_secs() });
    Ok(json_answer(StatusCode::OK, &answer))
}

pub(super) async fn transfer(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    body: BodyInput,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["to", "timeout_ms"])?;
    query.timeout()?;
    input::no_body(body)?;
    let leader = app.engine.transfer(query.member("to")?).await;
    let leader = leader.map_err(|error| Problem::not_changed(&error))?;
    Ok(json_answer(StatusCode::OK, &json!({ "leader": leader })))
}

impl Problem {
    /// What a change that was not made becomes.
    fn not_changed(error: &NotChanged) -> Self {
        let refusal = match error {
            NotChanged::Failed(error) => return Self::of_write(error),
            NotChanged::Refused(refusal) => refusal,
        };
        let text = refusal.to_string();
        let (detail, mend) = text.split_once("; ").unwrap_or((&text, "list the members"));
        match refusal {
            Refusal::Unknown { .. } => {
                Self::new(StatusCode::NOT_FOUND, "no such member", detail, mend)
            }
            Refusal::Moved { now } => {
                Self::new(StatusCode::CONFLICT, "conflict", detail, mend).with("index", *now)
            }
            _ => Self::new(StatusCode::CONFLICT, "refused", detail, mend),
        }
    }
}
