//! Changes of the members over HTTP: what reaches the node, and what refusals become.

use super::*;
use crate::join::JoinTicket;
use crate::members::{Change, Members, NotChanged, Refusal, Standing, Votes};
use crate::session::TicketError;

impl Alone {
    /// How it fails; these requests have no key.
    fn failure(&self) -> Option<Error> {
        self.fails.clone().filter(|error| *error != Error::KeyReused)
    }

    /// Knows of member 1 alone, set at index 5.
    pub(in crate::server::http) fn change(
        &self,
        change: &Change,
        expect: Option<Index>,
    ) -> Result<Index, NotChanged> {
        if let Some(error) = self.failure() {
            return Err(error.into());
        }
        if expect.is_some_and(|expect| expect != Index(5)) {
            return Err(Refusal::Moved { now: 5 }.into());
        }
        match (change, change.node()) {
            (Change::Add { votes: Votes::WhenPromoted, .. }, _) => Ok(Index(7)),
            (Change::Add { .. } | Change::Replace { .. }, _) | (Change::Promote { .. }, 1) => {
                Ok(Index(6))
            }
            (_, 1) => Err(Refusal::LastVoter { node: 1 }.into()),
            (_, node) => Err(Refusal::Unknown { node }.into()),
        }
    }

    pub(in crate::server::http) fn invite(
        &self,
        member: Option<u64>,
    ) -> Result<JoinTicket, TicketError> {
        let text = format!("c/{}/60rk-4csm-6mv3-ee1s-c5h6-6s35-cst9", member.unwrap_or(4));
        self.failure().map_or(Ok(()), Err)?;
        Ok(text.parse().expect("a ticket"))
    }

    pub(in crate::server::http) fn transfer(&self, to: Option<u64>) -> Result<u64, NotChanged> {
        match (self.failure(), to.unwrap_or(1)) {
            (Some(error), _) => Err(error.into()),
            (None, 1) => Ok(1),
            (None, 2) => Err(Refusal::NoVoter { node: 2, standing: Standing::Learner }.into()),
            (None, node) => Err(Refusal::Unknown { node }.into()),
        }
    }
}

/// What only these routes answer.
pub(super) async fn answers(path: &str, method: &str) -> Vec<u16> {
    let (promote, router) = (r#"{"change":"promote","node":1}"#, alone());
    let mut given = Vec::new();
    let mut ask = async |router: &Direct, uri: &str, body: &'static str| {
        given.push(ask(router, method, uri, body).await.status);
    };
    match (method, path) {
        ("POST", "/v1/members") => {
            ask(&router, path, promote).await;
            ask(&router, path, r#"{"change":"remove","node":9}"#).await;
            ask(&router, "/v1/members?expect=4", promote).await;
            for error in [Error::DiskFull, Error::Unknown { waited: Duration::from_secs(1) }] {
                ask(&over(Alone::failing(error)), path, promote).await;
            }
        }
        ("POST", "/v1/transfer") => {
            ask(&router, "/v1/transfer?to=2", "").await;
            ask(&router, "/v1/transfer?to=9", "").await;
        }
        _ => {}
    }
    given
}

#[tokio::test]
async fn each_change_is_read_from_json_and_the_node_is_asked_for_it() {
    let router = alone();
    let add = r#"{"change":"add","incarnation":"00000000000000ff",
        "member":{"id":4,"island":"north","address":"10.0.0.4"},"votes":"when_promoted"}"#;
    let replace = r#"{"change":"replace","incarnation":"00000000000000ff",
        "member":{"id":1,"island":"north"}}"#;
    for (body, index) in [(add, 7), (replace, 6), (r#"{"change":"promote","node":1}"#, 6)] {
        let got = ask(&router, "POST", "/v1/members?expect=5&allow=no_quorum", body).await;
        assert_eq!((got.status, got.json()), (200, json!({ "index": index })), "{body}");
    }
    let got = ask(&router, "GET", "/v1/members?consistency=local", "").await;
    assert_eq!((got.status, got.json()), (200, json!(Members::default())));
    let got = ask(&router, "POST", "/v1/transfer?to=1", "").await;
    assert_eq!((got.status, got.json()), (200, json!({ "leader": 1 })));
}

#[tokio::test]
async fn what_is_no_change_is_refused_before_the_node_hears_of_it() {
    let waited = Duration::from_secs(1);
    let router = over(Alone::failing(Error::Unknown { waited }));
    for body in [
        "",
        "{}",
        r#"{"change":"promote"}"#,
        r#"{"change":"promote","node":1,"also":2}"#,
        r#"{"change":"expel","node":1}"#,
        r#"{"change":"replace","incarnation":"ff","member":{"id":1,"island":"n"}}"#,
        r#"{"change":"add","incarnation":"00000000000000ff","member":{"id":1}}"#,
    ] {
        let got = ask(&router, "POST", "/v1/members", body).await;
        assert_eq!((got.status, &got.json()["error"]), (400, &json!("bad request")), "{body}");
    }
    let promote = r#"{"change":"promote","node":1}"#;
    for query in ["expect=now", "allow=all", "to=1"] {
        let got = ask(&router, "POST", &format!("/v1/members?{query}"), promote).await;
        assert_eq!(got.status, 400, "{query}");
    }
    for (query, body) in [("to=you", ""), ("expect=1", ""), ("to=1", "1")] {
        let got = ask(&router, "POST", &format!("/v1/transfer?{query}"), body).await;
        assert_eq!(got.status, 400, "{query}");
    }
}

#[tokio::test]
async fn an_invitation_is_a_ticket_for_one_member() {
    let router = alone();
    let got = ask(&router, "POST", "/v1/members/invite?node=7&ttl_s=60", "").await;
    let ticket = "c/7/60rk-4csm-6mv3-ee1s-c5h6-6s35-cst9";
    assert_eq!(got.json(), json!({ "ticket": ticket, "node": 7, "ttl_s": 60 }));
    for query in ["node=0", "node=x", "ttl_s=0", "ttl_s=34560001", "ttl=5"] {
        let got = ask(&router, "POST", &format!("/v1/members/invite?{query}"), "").await;
        assert_eq!(got.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_refusal_is_named_with_its_mend_and_what_has_moved_with_its_index() {
    let router = alone();
    let got = ask(&router, "POST", "/v1/members?expect=4", r#"{"change":"promote","node":1}"#);
    let body = got.await.json();
    assert_eq!((&body["error"], &body["index"]), (&json!("conflict"), &json!(5)));
    let got = ask(&router, "POST", "/v1/members", r#"{"change":"demote","node":1}"#).await;
    let expected = json!({ "error": "refused", "detail": "member 1 is the last voter",
        "mend": "promote another one first" });
    assert_eq!((got.status, got.json()), (409, expected));
    let got = ask(&router, "POST", "/v1/members", r#"{"change":"readmit","node":3}"#).await;
    assert_eq!((got.status, &got.json()["error"]), (404, &json!("no such member")));
}
