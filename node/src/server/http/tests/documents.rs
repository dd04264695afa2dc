//! The OpenAPI document next to the router: whatever any test of the router is answered is in the
//! document ([`check`]), and whatever is in the document is answered to somebody.

use super::*;
use crate::server::access::{KnownToken, Needs, Role, Token, Tokens};
use crate::server::http::body::Bodies;
use crate::server::limits::Limits;
use axum::body::{Bytes, HttpBody};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use hyper::body::Frame;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Statuses by path and method, as the document has them.
type Answers = BTreeMap<(String, String), BTreeSet<u16>>;

fn documented() -> Answers {
    let document: Value = serde_json::from_str(document().text()).expect("JSON");
    let mut found = Answers::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let Some(responses) = operation.get("responses") else { continue };
            let statuses = responses.as_object().expect("responses").keys();
            // `default` is a defect of holm.
            let statuses = statuses.filter_map(|status| status.parse().ok()).collect();
            found.insert((path.clone(), method.to_uppercase()), statuses);
        }
    }
    found
}

/// The document's path that a request's path is one of.
fn pattern(path: &str, answers: &Answers) -> Option<String> {
    let alike = |pattern: &str| {
        let (pattern, path) = (pattern.split('/'), path.split('/'));
        let same = |(one, other): (&str, &str)| one == other || one.starts_with('{');
        pattern.clone().count() == path.clone().count() && pattern.zip(path).all(same)
    };
    answers.keys().map(|(path, _)| path).find(|path| alike(path)).cloned()
}

/// Fails if the document does not have this answer.
pub(super) fn check(method: &Method, path: &str, status: StatusCode) {
    let answers = documented();
    let Some(pattern) = pattern(path, &answers) else { return };
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let status = status.as_u16();
    match answers.get(&(pattern, method.to_owned())) {
        // A name that is empty or has a / in it is no such route.
        _ if status == 404 && path.ends_with('/') => {}
        Some(statuses) => assert!(
            status == 500 || statuses.contains(&status),
            "{method} {path} was answered {status}, and the document has {statuses:?}"
        ),
        // Strangers are not told so much.
        None if [401, 403, 429].contains(&status) => {}
        None => assert_eq!(status, 405, "{method} {path} is not in the document"),
    }
}

#[tokio::test]
async fn the_documents_routes_and_methods_are_the_routers() {
    let answers = documented();
    let documented: BTreeSet<_> = answers.keys().map(|(path, _)| path.as_str()).collect();
    let routed: BTreeSet<_> = table().into_iter().map(|(path, _)| path).collect();
    assert_eq!(documented, routed);
    let router = alone();
    for path in routed {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let got = ask(&router, method, &concrete(path), "").await;
            let there = answers.contains_key(&(path.to_owned(), method.to_owned()));
            assert_eq!(got.status != 405, there, "{method} {path}");
        }
    }
}

/// A path of the pattern, with names that nobody has written.
fn concrete(pattern: &str) -> String {
    // A number, where one is wanted.
    pattern.replace("/v1/session-keys/{key}", "/v1/session-keys/9").replace(['{', '}'], "")
}

/// A body that never goes on.
struct Stuck;

impl HttpBody for Stuck {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Pending
    }
}

/// One way to get an answer from an operation.
struct Case {
    router: Direct,
    query: &'static str,
    body: Body,
    token: Option<Token>,
    origin: Option<&'static str>,
    caller: Option<Caller>,
}

fn case(router: Direct) -> Case {
    Case { router, query: "", body: Body::empty(), token: None, origin: None, caller: None }
}

fn behind(gate: Gate) -> Direct {
    Direct::over(Arc::new(gate), Engine::Alone(Alone { leader: Some(1), ..Alone::default() }))
}

/// All that may happen to any operation.
fn cases(method: &str, needs: Needs) -> Vec<Case> {
    let waited = Duration::from_secs(1);
    let failing = |error| case(over(Alone::failing(error)));
    let mut cases = vec![
        case(alone()),
        case(over(Alone::default())),
        Case { query: "?nothing=1", ..case(alone()) },
        Case { query: "?expect=9", ..case(alone()) },
        Case { origin: Some("http://elsewhere.example"), ..case(alone()) },
        Case { body: vec![0; VALUE_BYTES_MAX + 1].into(), ..case(alone()) },
        failing(Error::Unavailable { waited }),
        failing(Error::Unknown { waited }),
    ];
    if method != "GET" {
        cases.push(failing(Error::KeyReused));
    }
    let token = Token::draw().expect("entropy");
    let known = |role| {
        let name = "somebody".to_owned();
        let tokens = Tokens::new(vec![KnownToken { name, role, hash: token.hash() }]);
        behind(Gate::new(tokens.expect("sound"), Guarded::No, Limits::default()))
    };
    cases.push(case(known(Role::Admin)));
    if needs != Needs::Nothing {
        let token = Some(token.clone());
        cases.push(Case { token: token.clone(), ..case(known(Role::Admin)) });
        cases.push(Case { token, ..case(known(Role::Read)) });
    }
    let short = Limits { body_timeout: Duration::from_millis(1), ..Limits::default() };
    let short = behind(Gate::new(Tokens::default(), Guarded::No, short));
    cases.push(Case { body: Body::new(Stuck), ..case(short) });
    let full = behind(Gate::default().holding(Bodies::filled()));
    cases.push(Case { body: "x".into(), ..case(full) });
    let slow = Limits { requests_per_second: Some(1), ..Limits::default() };
    let slow = behind(Gate::new(Tokens::default(), Guarded::No, slow));
    let caller = Some(Caller([127, 0, 0, 1].into()));
    cases.push(Case { caller, ..case(slow.clone()) });
    cases.push(Case { caller, ..case(slow) });
    cases
}

#[tokio::test]
async fn each_answer_in_the_document_is_given() {
    for ((path, method), expected) in documented() {
        let verb = method.parse().expect("a method");
        let needs = document().needs(Some(&path), &verb);
        let mut given = BTreeSet::new();
        for case in cases(&method, needs) {
            let uri = format!("{}{}", concrete(&path), case.query);
            let mut request = Request::builder().method(method.as_str()).uri(uri);
            if let Some(token) = &case.token {
                request = request.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
            }
            if let Some(origin) = case.origin {
                request = request.header("origin", origin);
            }
            let mut request = request.body(case.body).expect("sound");
            if let Some(caller) = case.caller {
                request.extensions_mut().insert(caller);
            }
            given.insert(ask_with(&case.router, request).await.status);
        }
        // What only one operation answers, of the state that it finds.
        given.extend(of_the_state(&path, &method).await);
        assert_eq!(given, expected, "{method} {path}");
    }
}

/// Answers that need something to be there already.
async fn of_the_state(path: &str, method: &str) -> BTreeSet<u16> {
    let router = alone();
    let mut given = BTreeSet::new();
    if (method, path) == ("POST", "/v1/counters/{name}") {
        let most = format!("/v1/counters/n?add={}", i64::MAX);
        given.insert(ask(&router, method, &most, "").await.status);
        given.insert(ask(&router, method, "/v1/counters/n", "").await.status);
    }
    given.extend(super::members::answers(path, method).await);
    given.extend(super::session_keys::answers(path, method).await);
    if path == "/v1/kv/{key}" {
        ask(&router, "PUT", "/v1/kv/k", "v").await;
        given.insert(ask(&router, method, "/v1/kv/k", "").await.status);
        if method != "GET" {
            let fenced = "/v1/kv/k?claim=k&token=1";
            given.insert(ask(&router, method, fenced, "").await.status);
        }
    }
    if path == "/v1/claims/{key}" {
        ask(&router, "PUT", "/v1/claims/k", "").await;
        for key in ["k", "taken"] {
            let uri = format!("/v1/claims/{key}");
            given.insert(ask(&router, method, &uri, "").await.status);
        }
    }
    given
}

#[test]
fn whatever_the_document_refers_to_is_there_and_each_name_in_a_path_is_a_parameter() {
    let whole: Value = serde_json::from_str(document().text()).expect("JSON");
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    found.push(reference.clone());
                }
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&whole, &mut found);
    assert!(found.len() > 30, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(whole.pointer(pointer).is_some(), "{reference} is nowhere");
    }
    let mut operations = BTreeSet::new();
    for (path, item) in whole["paths"].as_object().expect("paths") {
        let named: BTreeSet<_> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = item.get("parameters").and_then(Value::as_array);
        let parameters = parameters.into_iter().flatten();
        let said = parameters.filter_map(|parameter| parameter["name"].as_str()).collect();
        assert_eq!(named, said, "{path}");
        for operation in item.as_object().expect("operations").values() {
            if let Some(id) = operation.get("operationId") {
                assert!(operations.insert(id.to_string()), "{id} stands twice");
                assert!(operation["summary"].is_string(), "{id} has no summary");
                let role = operation.get("x-holm-role").is_some();
                assert_ne!(role, operation.get("security").is_some(), "{id}: a role, or none");
            }
        }
    }
}

#[tokio::test]
async fn without_a_token_everything_but_live_is_401_and_says_nothing_else() {
    let tokens = Tokens::new(vec![KnownToken {
        name: "somebody".into(),
        role: Role::Admin,
        hash: Token::draw().expect("entropy").hash(),
    }]);
    let gate = || Gate::new(tokens.clone().expect("sound"), Guarded::No, Limits::default());
    let router = behind(gate());
    let mut answers = BTreeSet::new();
    for path in table().into_iter().map(|(path, _)| concrete(path)).chain(["/nowhere".into()]) {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            if path == "/health/live" && ["GET", "HEAD"].contains(&method) {
                continue;
            }
            let got = ask(&router, method, &path, "").await;
            assert_eq!(got.status, 401, "{method} {path}");
            assert_eq!(got.header("www-authenticate"), Some("Bearer"), "{method} {path}");
            answers.insert(String::from_utf8(got.body).expect("text"));
        }
    }
    answers.remove("");
    assert_eq!(answers.len(), 1, "the answer tells nothing of what is there: {answers:?}");
    assert_eq!(ask(&router, "GET", "/health/live", "").await.status, 200);
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_where_no_token_is_asked_for() {
    for (guarded, expected) in [(Guarded::No, 403), (Guarded::ByCertificates, 200)] {
        let router = behind(Gate::new(Tokens::default(), guarded, Limits::default()));
        let request = Request::builder().method("POST").uri("/v1/counters/n");
        let request = request.header("origin", "http://elsewhere.example").body(Body::empty());
        let got = ask_with(&router, request.expect("sound")).await;
        assert_eq!(got.status, expected, "{guarded:?}");
    }
}
