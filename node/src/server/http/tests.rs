//! The router without a node: what it refuses before a node hears of it, what the node's errors
//! become, and the good answers over a store that stands [`Alone`].

mod direct;
mod documents;
mod members;
mod metrics;
mod refused;
mod session_keys;

use super::rendezvous::Told;
use super::*;
use crate::backup::Backup;
use crate::error::Error;
use crate::machine::StateMachine;
use crate::measures::{Measured, Measures};
use crate::node::Applied;
use crate::reading::Seen;
use crate::rendezvous::ClaimError;
use crate::status::{LinksStatus, MemberStatus, Status};
use crate::store::{Command, Reply};
use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use holm_raft_core::Index;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tower::ServiceExt;

/// A store that applies at once, or fails as it is told.
#[derive(Clone, Default)]
pub(super) struct Alone {
    store: Arc<Mutex<(Store, u64)>>,
    fails: Option<Error>,
    claimed: Arc<Mutex<BTreeSet<String>>>,
    leader: Option<u64>,
    /// The thread on which it was asked last.
    asked_on: Arc<Mutex<Option<String>>>,
}

impl Alone {
    fn failing(error: Error) -> Self {
        Self { fails: Some(error), ..Self::default() }
    }

    fn asked_on(&self) -> Option<String> {
        self.asked_on.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn asked(&self) {
        let thread = std::thread::current().name().map(str::to_owned);
        *self.asked_on.lock().unwrap_or_else(PoisonError::into_inner) = thread;
    }

    pub(super) fn propose(&self, command: Command) -> Result<Applied<Reply>, Error> {
        self.asked();
        if let Some(error) = self.fails.clone() {
            return Err(error);
        }
        let mut guard = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, index) = &mut *guard;
        *index += 1;
        Ok(Applied { reply: store.apply(command), index: Index(*index) })
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&Store) -> R) -> Result<Seen<R>, Error> {
        self.asked();
        if let Some(error) = self.fails.clone() {
            return Err(error);
        }
        let guard = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Seen { value: read(&guard.0), index: Index(guard.1) })
    }

    pub(super) fn backup(&self) -> Result<Backup, Error> {
        self.asked();
        self.fails.clone().map_or_else(|| Ok(crate::backup::tests::backup()), Err)
    }

    /// The key `taken` is another member's.
    pub(super) fn claim(&self, key: String) -> Result<Told, ClaimError> {
        match (self.fails.clone(), key.as_str()) {
            // Claims have no idempotency keys.
            (Some(error), _) if error != Error::KeyReused => Err(error.into()),
            (_, "taken") => {
                Err(ClaimError::Taken { member: 2, token: 7, left: Duration::from_secs(3) })
            }
            _ => {
                self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
                Ok(told(key))
            }
        }
    }

    pub(super) fn claim_of(&self, key: &str) -> Option<Told> {
        let claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.contains(key).then(|| told(key.into()))
    }

    pub(super) fn release(&self, key: &str) -> Result<Told, ClaimError> {
        match self.fails.clone() {
            Some(error) if error != Error::KeyReused => Err(error.into()),
            _ => {
                let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
                if claimed.remove(key) { Ok(told(key.into())) } else { Err(ClaimError::Lost) }
            }
        }
    }

    pub(super) fn measures(&self) -> Measured {
        let measures = Measures::default();
        measures.round_trip(2, Duration::from_micros(417));
        measures.round_trip(3, Duration::from_micros(1_200_001));
        measures.leader_changed();
        measures.measured()
    }

    pub(super) fn status(&self) -> Status {
        Status {
            cluster: "c\"1\\\n".into(),
            node: 1,
            role: self.leader.map_or("follower", |_| "leader").into(),
            term: 3,
            leader: self.leader,
            commit: 10,
            applied: 9,
            last: 12,
            members: members(),
            links: [(1, vec![2]), (2, vec![1, 3])]
                .map(|(node, links)| LinksStatus { node, links })
                .into(),
            refused: [("secret".into(), 9)].into(),
            snapshot: 4,
            log_bytes: 100,
            proposals: 6,
            elections: 1,
            ..Status::default()
        }
    }
}

fn told(key: String) -> Told {
    Told { key, member: 1, token: 5, left_ms: 8_000 }
}

/// The one itself, and one for each way to reach another.
fn members() -> Vec<MemberStatus> {
    let member = |node, reached: &str| MemberStatus {
        node,
        island: "south".into(),
        reached: reached.into(),
        ..MemberStatus::default()
    };
    vec![
        member(1, "self"),
        MemberStatus {
            matched: Some(7),
            trails: Some(5),
            round_trip_us: Some(417),
            sent_bytes: 1200,
            received_bytes: 3400,
            ..member(2, "inbound")
        },
        MemberStatus { round_trip_us: Some(1_200_001), received_bytes: 56, ..member(3, "via 2") },
        MemberStatus {
            lost: [("no_link".into(), 7), ("queue_full".into(), 1)].into(),
            last_error: Some("connecting failed".into()),
            ..member(4, "not connected")
        },
    ]
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

async fn ask_with(router: &Direct, request: Request<Body>) -> Got {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = router.clone().answer(request).await;
    documents::check(&method, &path, response.status());
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 4 * VALUE_BYTES_MAX).await.expect("a body");
    Got { status: parts.status.as_u16(), headers: parts.headers, body: body.to_vec() }
}

async fn ask(router: &Direct, method: &str, uri: &str, body: impl Into<Body>) -> Got {
    let request = Request::builder().method(method).uri(uri).body(body.into()).expect("sound");
    ask_with(router, request).await
}

/// The routes over a store, for everybody.
fn over(alone: Alone) -> Direct {
    Direct::over(Arc::default(), Engine::Alone(alone))
}

fn alone() -> Direct {
    over(Alone { leader: Some(1), ..Alone::default() })
}

#[tokio::test]
async fn a_counter_is_added_to_and_read() {
    let router = alone();
    let got = ask(&router, "GET", "/v1/counters/visits", "").await;
    assert_eq!((got.status, got.json()), (200, json!({ "value": 0 })));
    let got = ask(&router, "POST", "/v1/counters/visits", "").await;
    assert_eq!((got.status, got.json()), (200, json!({ "value": 1, "index": 1 })));
    let got = ask(&router, "POST", "/v1/counters/visits?add=-8&timeout_ms=60000", "").await;
    assert_eq!((got.status, got.json()), (200, json!({ "value": -7, "index": 2 })));
    for how in ["consistency=local", "consistency=lease", "at_least=2"] {
        let got = ask(&router, "GET", &format!("/v1/counters/visits?{how}"), "").await;
        assert_eq!((got.status, got.json()), (200, json!({ "value": -7 })), "{how}");
        assert_eq!(got.header(INDEX_HEADER), Some("2"));
    }
}

#[tokio::test]
async fn an_overflow_is_a_409_with_the_value_that_stays() {
    let router = alone();
    ask(&router, "POST", "/v1/counters/n?add=9223372036854775807", "").await;
    let got = ask(&router, "POST", "/v1/counters/n", "").await;
    let body = got.json();
    assert_eq!((got.status, &body["error"]), (409, &json!("overflow")));
    assert_eq!(body["value"], json!(i64::MAX));
    let got = ask(&router, "GET", "/v1/counters/n", "").await;
    assert_eq!(got.json(), json!({ "value": i64::MAX }));
}

#[tokio::test]
async fn a_key_is_written_read_and_removed_with_its_revision() {
    let router = alone();
    let value = vec![0, 255, 10];
    let got = ask(&router, "PUT", "/v1/kv/a?expect=0", value.clone()).await;
    assert_eq!((got.status, got.json()), (200, json!({ "revision": 1, "index": 1 })));
    assert_eq!(got.header(REVISION_HEADER), Some("1"));
    let got = ask(&router, "GET", "/v1/kv/a", "").await;
    assert_eq!((got.status, &got.body, got.header(REVISION_HEADER)), (200, &value, Some("1")));
    assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    let got = ask(&router, "PUT", "/v1/kv/a?expect=0", "other").await;
    assert_eq!((got.status, &got.json()["revision"]), (409, &json!(1)));
    assert_eq!(got.header(REVISION_HEADER), Some("1"));
    let got = ask(&router, "DELETE", "/v1/kv/a?expect=7", "").await;
    assert_eq!((got.status, &got.json()["revision"]), (409, &json!(1)));
    let got = ask(&router, "DELETE", "/v1/kv/a?expect=1", "").await;
    assert_eq!((got.status, got.json()), (200, json!({ "revision": 2, "index": 4 })));
    for method in ["GET", "DELETE"] {
        let got = ask(&router, method, "/v1/kv/a", "").await;
        assert_eq!((got.status, &got.json()["error"]), (404, &json!("no such key")));
    }
}

#[tokio::test]
async fn a_key_may_hold_an_encoded_slash_and_other_characters() {
    let router = alone();
    let got = ask(&router, "PUT", "/v1/kv/a%2Fb%20%D0%BA%3F", "x").await;
    assert_eq!(got.status, 200);
    let got = ask(&router, "GET", "/v1/kv/a%2fb%20%d0%ba%3f", "").await;
    assert_eq!((got.status, got.body.as_slice()), (200, b"x".as_slice()));
    assert_eq!(ask(&router, "GET", "/v1/kv/a", "").await.status, 404);
}

#[tokio::test]
async fn each_error_of_the_node_has_its_status() {
    let waited = Duration::from_secs(5);
    let stopped = || Error::Stopped { why: "the disk failed".into() };
    let too_large = Error::TooLarge { what: "command", bytes: 9, limit: 8 };
    let cases = [
        (Error::Unavailable { waited }, 503, Some(503), "unavailable"),
        (Error::Busy { limit: "inbox_requests_max" }, 503, Some(503), "unavailable"),
        (Error::DiskFull, 503, Some(503), "unavailable"),
        (Error::KeysFull { limit: "idempotency_keys_max" }, 503, Some(503), "unavailable"),
        (Error::SessionsFull { limit: "sessions_max" }, 503, Some(503), "unavailable"),
        (Error::SessionExpired, 503, Some(503), "unavailable"),
        (Error::Unknown { waited }, 504, Some(503), "unknown outcome"),
        (stopped(), 504, Some(503), "unknown outcome"),
        (Error::KeyReused, 422, None, "key reused"),
        (too_large, 413, None, "too large"),
        (Error::Encode("odd".into()), 500, None, "not encoded"),
    ];
    for (error, write, read, word) in cases {
        let router = over(Alone::failing(error.clone()));
        for (method, uri, status) in [
            ("POST", "/v1/counters/n", write),
            ("PUT", "/v1/kv/k", write),
            ("DELETE", "/v1/kv/k", write),
            ("GET", "/v1/counters/n", read.unwrap_or_default()),
            ("GET", "/v1/kv/k", read.unwrap_or_default()),
        ] {
            // Reads have no keys and no commands.
            if status == 0 {
                continue;
            }
            let got = ask(&router, method, uri, "").await;
            assert_eq!(got.status, status, "{error} at {method} {uri}");
            assert_eq!(got.header("retry-after").is_some(), status == 503, "{error} at {uri}");
            if status == write {
                assert_eq!(got.json()["error"], json!(word), "{error}");
            }
            let detail = got.json()["detail"].as_str().map(str::to_owned).unwrap_or_default();
            assert!(!detail.is_empty() && error.to_string().starts_with(&detail), "{detail}");
        }
    }
}

#[tokio::test]
async fn ready_is_200_with_a_leader_and_503_without_and_live_is_200() {
    let got = ask(&alone(), "GET", "/health/ready", "").await;
    assert_eq!((got.status, &got.json()["leader"]), (200, &json!(1)));
    let got = ask(&over(Alone::default()), "GET", "/health/ready", "").await;
    assert_eq!((got.status, &got.json()["error"]), (503, &json!("unavailable")));
    assert_eq!(got.header("retry-after"), Some("1"));
    let got = ask(&over(Alone::default()), "GET", "/health/live", "").await;
    assert_eq!((got.status, got.json()), (200, json!({ "health": "live" })));
}

#[tokio::test]
async fn status_is_the_nodes_own_as_json() {
    let got = ask(&alone(), "GET", "/v1/status", "").await;
    let status: Status = serde_json::from_slice(&got.body).expect("a status");
    let alone = Alone { leader: Some(1), ..Alone::default() };
    assert_eq!((got.status, status), (200, alone.status()));
}

#[tokio::test]
async fn metrics_count_answers_by_route_and_never_by_name() {
    let router = alone();
    for name in ["a", "b"] {
        ask(&router, "POST", &format!("/v1/counters/{name}"), "").await;
    }
    ask(&router, "GET", "/nowhere/1", "").await;
    ask(&router, "PATCH", "/v1/kv/k", "").await;
    let got = ask(&router, "GET", "/metrics", "").await;
    let text = String::from_utf8(got.body).expect("text");
    for line in [
        "holm_info{cluster=\"c\\\"1\\\\\\n\",node=\"1\",version=\"0.1.0\"} 1",
        "holm_term 3",
        "holm_trails_entries{node=\"2\"} 5",
        "holm_http_answers_total{route=\"/v1/counters/{name}\",method=\"POST\",status=\"200\"} 2",
        "holm_http_answers_total{route=\"unknown\",method=\"GET\",status=\"404\"} 1",
        "holm_http_answers_total{route=\"/v1/kv/{key}\",method=\"other\",status=\"405\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
    }
}

#[tokio::test]
async fn a_claim_is_told_with_its_token_and_refused_with_whose_it_is() {
    let router = alone();
    let got = ask(&router, "PUT", "/v1/claims/k?time_ms=2000", "").await;
    let expected = json!({ "key": "k", "member": 1, "token": 5, "left_ms": 8_000 });
    assert_eq!((got.status, got.json()), (200, expected));
    let taken = ask(&router, "PUT", "/v1/claims/taken", "").await;
    assert_eq!(taken.status, 409);
    let json = taken.json();
    assert_eq!(
        (&json["member"], &json["token"], &json["left_ms"]),
        (&json!(2), &json!(7), &json!(3_000))
    );
    assert_eq!(json["mend"], "ask that member, or try again then");
    for (method, uri, status) in [
        ("GET", "/v1/claims/k", 200),
        ("DELETE", "/v1/claims/k", 200),
        ("GET", "/v1/claims/k", 412),
        ("DELETE", "/v1/claims/k", 412),
        ("PUT", "/v1/claims/k?time_ms=x", 400),
        ("PUT", "/v1/kv/k?claim=k&token=5", 412),
        ("DELETE", "/v1/kv/k?claim=k&token=5", 412),
        ("PUT", "/v1/kv/k?claim=k", 400),
        ("PUT", "/v1/kv/k?token=5", 400),
        ("PUT", "/v1/kv/k?claim=k&token=x", 400),
    ] {
        assert_eq!(ask(&router, method, uri, "").await.status, status, "{method} {uri}");
    }
    let found = ask(&router, "GET", "/v1/rendezvous/k?island=north", "").await.json();
    let nobody =
        json!({ "key": "k", "owner": null, "order": [], "configuration": 0, "holder": null });
    assert_eq!(found, nobody);
}
