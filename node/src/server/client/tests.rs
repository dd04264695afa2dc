//! The client against scripted members, and what it makes of names and endpoints.

use super::*;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What a scripted member answers in turn, the last of it for ever, and the keys it was sent.
#[derive(Clone, Default)]
struct Script {
    statuses: Vec<StatusCode>,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn serve(statuses: &[u16]) -> (Self, Endpoint) {
        let status = |status: &u16| StatusCode::from_u16(*status).expect("a status");
        let script = Self { statuses: statuses.iter().map(status).collect(), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("bound").to_string();
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::task::spawn(async move { axum::serve(listener, router).await });
        (script, Endpoint::parse(&at).expect("sound"))
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().expect("no test panics with it").clone()
    }
}

async fn answer(State(script): State<Script>, headers: HeaderMap) -> StatusCode {
    let key = headers.get(IDEMPOTENCY_HEADER).and_then(|key| key.to_str().ok());
    let mut keys = script.keys.lock().expect("no test panics with it");
    keys.push(key.unwrap_or_default().to_owned());
    script.statuses[(keys.len() - 1).min(script.statuses.len() - 1)]
}

/// An endpoint where nobody listens: the port is bound, and never listened on.
async fn dead() -> (tokio::net::TcpSocket, Endpoint) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let at = socket.local_addr().expect("bound").to_string();
    (socket, Endpoint::parse(&at).expect("sound"))
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_write_is_repeated_under_its_key_until_it_is_answered() {
    let (script, endpoint) = Script::serve(&[503, 504, 200]).await;
    let ask = Ask::add("n", 1, Some("k".into()));
    let answer = Client::new().ask_until_answered(&[endpoint], &ask, LONG).await;
    assert_eq!(answer.expect("an answer").status, StatusCode::OK);
    assert_eq!(script.keys(), ["k", "k", "k"]);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_not_repeated() {
    let (script, endpoint) = Script::serve(&[409]).await;
    let ask = Ask::add("n", 1, None);
    let answer = Client::new().ask_until_answered(&[endpoint], &ask, LONG).await;
    assert_eq!(answer.expect("an answer").status, StatusCode::CONFLICT);
    assert_eq!(script.keys().len(), 1);
}

#[tokio::test]
async fn a_member_that_is_gone_is_passed_over() {
    let (_socket, gone) = dead().await;
    let (_, endpoint) = Script::serve(&[200]).await;
    let ask = Ask::get("/health");
    let answer = Client::new().ask_until_answered(&[gone.clone(), endpoint], &ask, LONG).await;
    assert_eq!(answer.expect("an answer").status, StatusCode::OK);
    let error = Client::new().ask(&gone, &ask, LONG).await.expect_err("nobody listens");
    assert_eq!(error.sent, Sent::No);
}

#[tokio::test]
async fn a_later_not_now_does_not_make_an_unknown_outcome_a_no() {
    let (_, endpoint) = Script::serve(&[504, 503]).await;
    let ask = Ask::add("n", 1, Some("k".into()));
    match Client::new().ask_until_answered(&[endpoint], &ask, SHORT).await {
        Ok(answer) => assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT),
        Err(error) => assert_eq!(error.sent, Sent::Perhaps),
    }
}

#[test]
fn an_endpoint_may_be_a_url_an_address_or_a_host() {
    for (text, expected) in [
        ("http://127.0.0.1:7680", "127.0.0.1:7680"),
        ("http://north/", "north:7680"),
        ("north:80", "north:80"),
        ("[::1]", "[::1]:7680"),
        ("https://north/", "https://north:7680"),
    ] {
        assert_eq!(Endpoint::parse(text).map(|endpoint| endpoint.to_string()), Ok(expected.into()));
    }
    for text in ["", "https://north/v1", "http://north/v1", "::1", "north:x"] {
        assert!(Endpoint::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_name_becomes_one_segment_of_the_path() {
    assert_eq!(encoded("a/b c?ж-_.~"), "a%2Fb%20c%3F%D0%B6-_.~");
}

#[test]
fn two_keys_differ_and_are_visible_ascii() {
    let (one, two) = (random_key(), random_key());
    assert_ne!(one, two);
    assert!(one.len() == 2 * KEY_RANDOM_BYTES && one.bytes().all(|byte| byte.is_ascii_graphic()));
}
