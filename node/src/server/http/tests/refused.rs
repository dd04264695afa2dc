//! Bad input of every kind, and the one shape of every refusal.

use super::*;

/// Every refusal is JSON with a word, a detail and a mend.
async fn refused(router: &Direct, method: &str, uri: &str, body: impl Into<Body>) -> (u16, Value) {
    let got = ask(router, method, uri, body).await;
    assert_eq!(got.header("content-type"), Some("application/json"), "{method} {uri}");
    let body = got.json();
    for field in ["error", "detail", "mend"] {
        let filled = body[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(filled, "{method} {uri} has no `{field}`: {body}");
    }
    (got.status, body)
}

#[tokio::test]
async fn bad_input_is_refused_before_the_node_hears_of_it() {
    // An engine that fails with 504 shows which requests got through to it.
    let waited = Duration::from_secs(1);
    let router = over(Alone::failing(Error::Unknown { waited }));
    assert_eq!(refused(&router, "POST", "/v1/counters/n", "").await.0, 504);
    let long_name = format!("/v1/counters/{}", "n".repeat(NAME_BYTES_MAX + 1));
    let long_key = format!("/v1/kv/{}", "k".repeat(KEY_BYTES_MAX + 1));
    let cases = [
        ("POST", "/v1/counters/n?add=x", 400),
        ("POST", "/v1/counters/n?add=", 400),
        ("POST", "/v1/counters/n?add=1.5", 400),
        ("POST", "/v1/counters/n?add=9223372036854775808", 400),
        ("POST", "/v1/counters/n?add=1&add=2", 400),
        ("POST", "/v1/counters/n?ad=1", 400),
        ("POST", "/v1/counters/n?expect=1", 400),
        ("POST", "/v1/counters/n?add=%ff", 400),
        ("POST", "/v1/counters/n?timeout_ms=0", 400),
        ("POST", "/v1/counters/n?timeout_ms=60001", 400),
        ("POST", "/v1/counters/n?timeout_ms=-1", 400),
        ("POST", "/v1/counters/%ff", 400),
        ("POST", long_name.as_str(), 400),
        ("GET", long_name.as_str(), 400),
        ("GET", "/v1/counters/n?consistency=eventual", 400),
        ("GET", "/v1/counters/n?at_least=soon", 400),
        ("GET", "/v1/counters/n?at_least=3&consistency=linearizable", 400),
        ("GET", "/v1/counters/n?add=1", 400),
        ("GET", "/v1/kv/%c3%28", 400),
        ("GET", long_key.as_str(), 400),
        ("PUT", long_key.as_str(), 400),
        ("PUT", "/v1/kv/k?expect=-1", 400),
        ("PUT", "/v1/kv/k?expect=one", 400),
        ("PUT", "/v1/kv/k?consistency=local", 400),
        ("DELETE", "/v1/kv/k?expect=", 400),
        ("DELETE", "/v1/kv/k?key=1", 400),
        ("GET", "/v1/status?verbose=1", 400),
        ("GET", "/health/live?timeout_ms=none", 400),
        ("GET", "/health/ready?timeout_ms=none", 400),
        ("GET", "/openapi.json?a", 400),
        ("GET", "/metrics?x", 400),
        ("GET", "/", 404),
        ("GET", "/v1/kv/", 404),
        ("GET", "/v1/kv/a/b", 404),
        ("GET", "/v2/kv/a", 404),
        ("PUT", "/v1/counters/n", 405),
        ("DELETE", "/v1/counters/n", 405),
        ("POST", "/v1/kv/k", 405),
        ("POST", "/v1/status", 405),
        ("GET", "/health", 404),
        ("DELETE", "/health/live", 405),
        ("PUT", "/metrics", 405),
    ];
    for (method, uri, expected) in cases {
        let (status, body) = refused(&router, method, uri, "").await;
        assert_eq!(status, expected, "{method} {uri}: {body}");
    }
}

#[tokio::test]
async fn a_body_where_none_belongs_is_refused() {
    let router = alone();
    assert_eq!(refused(&router, "POST", "/v1/counters/n", "add=5").await.0, 400);
    assert_eq!(refused(&router, "DELETE", "/v1/kv/k", "x").await.0, 400);
    let got = ask(&router, "GET", "/v1/counters/n", "").await;
    assert_eq!(got.json(), json!({ "value": 0 }));
}

#[tokio::test]
async fn a_value_of_the_limit_is_taken_and_one_byte_more_is_413() {
    let router = alone();
    let value = vec![b'v'; VALUE_BYTES_MAX];
    assert_eq!(ask(&router, "PUT", "/v1/kv/k", value.clone()).await.status, 200);
    assert_eq!(ask(&router, "GET", "/v1/kv/k", "").await.body, value);
    let (status, body) = refused(&router, "PUT", "/v1/kv/k", [value, vec![b'v']].concat()).await;
    assert_eq!((status, &body["error"]), (413, &json!("too large")));
    assert_eq!(body["limit"], json!("http_body_bytes_max"));
}

#[tokio::test]
async fn an_idempotency_key_has_1_to_128_visible_characters() {
    let router = alone();
    let longest = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX);
    let too_long = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1);
    let cases: [(&[u8], u16); 6] = [
        (b"a-1", 200),
        (longest.as_bytes(), 200),
        (too_long.as_bytes(), 400),
        (b"", 400),
        (b"a b", 400),
        (b"\xc3\xa4", 400),
    ];
    for (key, expected) in cases {
        for (method, uri) in [("POST", "/v1/counters/n"), ("PUT", "/v1/kv/k")] {
            let request = Request::builder().method(method).uri(uri);
            let request = request.header(IDEMPOTENCY_HEADER, key).body(Body::empty());
            let got = ask_with(&router, request.expect("sound")).await;
            assert_eq!(got.status, expected, "{key:?} at {method}");
        }
    }
    let request = Request::builder().method("POST").uri("/v1/counters/n");
    let twice = request.header(IDEMPOTENCY_HEADER, "a").header(IDEMPOTENCY_HEADER, "b");
    assert_eq!(ask_with(&router, twice.body(Body::empty()).expect("sound")).await.status, 400);
}
