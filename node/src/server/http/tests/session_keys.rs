//! `/v1/session-keys` over a stand-in that has one key: what is asked of the node, and what its
//! refusals become.

use super::*;
use crate::server::http::session_keys::{KeyAction, KeyAnswer};
use crate::session::{KeyInfo, KeyState, SessionError};

impl Alone {
    /// One key, which there is a secret for if somebody leads.
    pub(in crate::server::http) fn session_keys(
        &self,
        action: KeyAction,
    ) -> Result<KeyAnswer, SessionError> {
        match (&self.fails, action) {
            // These requests have no idempotency key.
            (Some(error), _) if *error != Error::KeyReused => Err(error.clone().into()),
            (_, KeyAction::List) => Ok(KeyAnswer::Listed(vec![KeyInfo {
                key: 1,
                state: KeyState::Active,
                index: 7,
                created_ms: 20,
                until_ms: None,
                secret: Some("0123456789abcdef".into()),
            }])),
            _ if self.leader.is_none() => Err(SessionError::NoSecret),
            (_, KeyAction::Rotate) => Ok(KeyAnswer::Rotated(2)),
            (_, KeyAction::Revoke(1)) => Ok(KeyAnswer::Revoked(1)),
            (_, KeyAction::Revoke(key)) => Err(SessionError::UnknownKey { key }),
        }
    }
}

/// The answers that need something of the state.
pub(super) async fn answers(path: &str, method: &str) -> Vec<u16> {
    if path != "/v1/session-keys/{key}" {
        return Vec::new();
    }
    vec![ask(&alone(), method, "/v1/session-keys/1", "").await.status]
}

#[tokio::test]
async fn session_keys_are_listed_rotated_and_revoked_by_their_numbers() {
    let router = alone();
    let got = ask(&router, "GET", "/v1/session-keys", "").await;
    let key = json!({ "key": 1, "state": "active", "index": 7, "created_ms": 20,
        "until_ms": null, "secret": "0123456789abcdef" });
    assert_eq!((got.status, got.json()), (200, json!({ "keys": [key] })));
    let got = ask(&router, "POST", "/v1/session-keys?timeout_ms=500", "").await;
    assert_eq!((got.status, got.json()), (200, json!({ "key": 2 })));
    let got = ask(&router, "DELETE", "/v1/session-keys/1", "").await;
    assert_eq!((got.status, got.json()), (200, json!({ "revoked": 1 })));
    for (uri, status, detail) in [
        ("/v1/session-keys/9", 404, "there is no session key 9"),
        ("/v1/session-keys/x", 400, "`x` is no number of a key"),
        ("/v1/session-keys/4294967296", 400, "`4294967296` is no number of a key"),
    ] {
        let got = ask(&router, "DELETE", uri, "").await;
        assert_eq!((got.status, got.json()["detail"].as_str()), (status, Some(detail)), "{uri}");
    }
    let without = over(Alone::default());
    let got = ask(&without, "POST", "/v1/session-keys", "").await;
    assert_eq!((got.status, got.json()["error"].as_str()), (409, Some("no secret")));
}
