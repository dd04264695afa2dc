//! `/v1/rendezvous/{key}`: whose a key is. `/v1/claims/{key}`: the asked member claims a key, says
//! whether it has it still, and gives it back.

use super::App;
use super::answer::{Problem, json_answer};
use super::input::{self, BodyInput, PathInput, Query};
use crate::node::Node;
use crate::rendezvous::{Affinity, Claim, ClaimError, Placement};
use crate::store::Store;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most claims that one member holds for those who ask it over HTTP.
const HTTP_CLAIMS_MAX: usize = 10_000;
/// How long a claim is for unless it is said, in milliseconds.
const CLAIM_MS: u64 = 10_000;

/// What is said of a claim.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) key: String,
    pub(super) member: u64,
    pub(super) token: u64,
    pub(super) left_ms: u64,
}

impl Told {
    fn of(claim: &Claim<Store>) -> Self {
        let left = claim.left().as_millis();
        Self {
            key: String::from_utf8_lossy(claim.key()).into_owned(),
            member: claim.member(),
            token: claim.token(),
            left_ms: u64::try_from(left).unwrap_or(u64::MAX),
        }
    }
}

/// The claims that this member made for those who asked it.
#[derive(Default)]
pub(super) struct Claims(Mutex<BTreeMap<String, Claim<Store>>>);

impl Claims {
    /// Renews the claim on a key, for whatever time; claims it where there is none, or none any
    /// more.
    pub(super) async fn claim(
        &self,
        node: &Node<Store>,
        key: String,
        time: Duration,
    ) -> Result<Told, ClaimError> {
        let known = self.all().get(&key).cloned();
        let renewed = match &known {
            // Over by the own clock it may last by the log: then it is this member's again.
            Some(claim) => claim.renew_for(time).await,
            None => Err(ClaimError::Lost),
        };
        let claim = match (known, renewed) {
            (Some(claim), Ok(())) => claim,
            (_, Err(ClaimError::Lost) | Ok(())) => {
                node.claim(Bytes::from(key.clone()), time).await?
            }
            (_, Err(error)) => return Err(error),
        };
        let told = Told::of(&claim);
        self.keep(key, claim)?;
        Ok(told)
    }

    /// The claim on a key, if it lasts by this member's clock.
    pub(super) fn look(&self, key: &str) -> Option<Told> {
        self.lasting(key).as_ref().map(Told::of)
    }

    /// Gives a key back.
    pub(super) async fn release(&self, key: &str) -> Result<Told, ClaimError> {
        let claim = self.all().remove(key).ok_or(ClaimError::Lost)?;
        let told = Told::of(&claim);
        claim.release().await?;
        Ok(Told { left_ms: 0, ..told })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Claim<Store>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lasting(&self, key: &str) -> Option<Claim<Store>> {
        self.all().get(key).filter(|claim| claim.still_mine()).cloned()
    }

    fn keep(&self, key: String, claim: Claim<Store>) -> Result<(), ClaimError> {
        let mut all = self.all();
        if all.len() >= HTTP_CLAIMS_MAX {
            all.retain(|_, claim| claim.still_mine());
        }
        if all.len() >= HTTP_CLAIMS_MAX && !all.contains_key(&key) {
            return Err(ClaimError::Full { limit: HTTP_CLAIMS_MAX });
        }
        all.insert(key, claim);
        Ok(())
    }
}

pub(super) async fn find(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let key = input::name(path, Placement::KEY_BYTES_MAX)?;
    let query = Query::parse(query.as_deref(), &["island", "timeout_ms"])?;
    query.timeout()?;
    let affinity = query.island().map_or(Affinity::None, Affinity::Island);
    let found = app.engine.placement().order(key.as_bytes(), affinity);
    let holder = app.engine.holder(key.as_bytes());
    let holder = holder.map(|held| json!({ "member": held.member, "token": held.token }));
    let body = json!({ "key": key, "owner": found.owner(), "order": found.order,
        "configuration": found.index.0, "holder": holder });
    Ok(json_answer(StatusCode::OK, &body))
}

pub(super) async fn claim(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
    body: BodyInput,
) -> Result<Response, Problem> {
    let key = input::name(path, Placement::KEY_BYTES_MAX)?;
    let query = Query::parse(query.as_deref(), &["time_ms", "timeout_ms"])?;
    let time = Duration::from_millis(query.time_ms()?.unwrap_or(CLAIM_MS));
    query.timeout()?;
    input::no_body(body)?;
    let claimed = app.engine.claim(&app.claims, key, time).await;
    answer(claimed)
}

pub(super) async fn look(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let key = input::name(path, Placement::KEY_BYTES_MAX)?;
    Query::parse(query.as_deref(), &["timeout_ms"])?.timeout()?;
    answer(app.engine.claim_of(&app.claims, &key).ok_or(ClaimError::Lost))
}

pub(super) async fn release(
    State(app): State<App>,
    path: PathInput,
    RawQuery(query): RawQuery,
    body: BodyInput,
) -> Result<Response, Problem> {
    let key = input::name(path, Placement::KEY_BYTES_MAX)?;
    Query::parse(query.as_deref(), &["timeout_ms"])?.timeout()?;
    input::no_body(body)?;
    answer(app.engine.release(&app.claims, &key).await)
}

fn answer(claim: Result<Told, ClaimError>) -> Result<Response, Problem> {
    match claim {
        Ok(told) => Ok(json_answer(StatusCode::OK, &told)),
        Err(error) => Err(Problem::of_claim(&error)),
    }
}

impl Problem {
    /// What a refused claim becomes.
    fn of_claim(error: &ClaimError) -> Self {
        let text = error.to_string();
        let (detail, mend) =
            text.split_once("; ").unwrap_or((text.as_str(), "see docs/rendezvous.md"));
        match error {
            ClaimError::Node(error) => Self::of_write(error),
            ClaimError::Taken { member, token, left } => {
                let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                Self::new(StatusCode::CONFLICT, "claimed", detail, mend)
                    .with("member", *member)
                    .with("token", *token)
                    .with("left_ms", left)
            }
            ClaimError::Lost => {
                Self::new(StatusCode::PRECONDITION_FAILED, "claim over", detail, mend)
            }
            ClaimError::Full { .. } => Self::unavailable(detail, mend),
            ClaimError::Key { .. } | ClaimError::Time { .. } => Self::bad_request(detail, mend),
        }
    }
}
