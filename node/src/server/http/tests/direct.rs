//! What is handed to its handler without the router is answered as the router answers it; all other
//! tests here go through both as well.

use super::*;
use crate::server::apart::Apart;

#[tokio::test]
async fn what_goes_past_the_router_is_answered_and_counted_as_the_router_does() {
    let state = || Engine::Alone(Alone { leader: Some(1), ..Alone::default() });
    let direct = Direct::over(Arc::default(), state());
    let app = App::new(Arc::default(), state());
    let router = routes(app.clone());
    let long = format!("/v1/kv/{}", "k".repeat(KEY_BYTES_MAX + 1));
    let large = "v".repeat(VALUE_BYTES_MAX + 1);
    let asked = [
        ("PUT", "/v1/kv/a", "value"),
        ("PUT", "/v1/kv/a?expect=7", "value"),
        ("PUT", "/v1/kv/a%2Fb", "value"),
        ("PUT", "/v1/kv/a/b", "value"),
        ("PUT", "/v1/kv/", "value"),
        ("PUT", "/v1/kv/a", large.as_str()),
        ("PUT", long.as_str(), "value"),
        ("GET", "/v1/kv/a", ""),
        ("GET", "/v1/kv/a?consistency=local", ""),
        ("GET", "/v1/kv/a?unknown=1", ""),
        ("GET", "/v1/kv/b", ""),
        ("HEAD", "/v1/kv/a", ""),
        ("POST", "/v1/kv/a", ""),
        ("DELETE", "/v1/kv/a", ""),
        ("POST", "/v1/counters/n?add=3", ""),
        ("POST", "/v1/counters/n", "a body"),
        ("PUT", "/v1/counters/n", ""),
        ("GET", "/v1/counters/n", ""),
    ];
    for (method, uri, body) in asked {
        let request = |origin: Option<&str>| {
            let mut request = Request::builder().method(method).uri(uri);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            request.body(Body::from(body.to_owned())).expect("sound")
        };
        for origin in [None, Some("http://elsewhere")] {
            let Ok(by_router) = router.clone().oneshot(request(origin)).await;
            let by_direct = direct.clone().answer(request(origin)).await;
            let (mut parts, body) = by_router.into_parts();
            let (mut own_parts, own_body) = by_direct.into_parts();
            // The router says it itself, hyper says it of every whole body.
            for headers in [&mut parts.headers, &mut own_parts.headers] {
                headers.remove("content-length");
            }
            assert_eq!(own_parts.status, parts.status, "{method} {uri} {origin:?}");
            assert_eq!(own_parts.headers, parts.headers, "{method} {uri} {origin:?}");
            let [body, own_body] = [body, own_body].map(|body| to_bytes(body, 4 * VALUE_BYTES_MAX));
            assert_eq!(own_body.await.expect("a body"), body.await.expect("a body"), "{uri}");
        }
    }
    // How long each took differs; how many there were does not.
    let timed = |line: &str| line.contains("_seconds_bucket") || line.contains("_seconds_sum");
    let counted = |app: &App| -> Vec<String> {
        let text = app.metrics.text(&app.engine, &app.gate.refused());
        text.lines().filter(|line| !timed(line)).map(str::to_owned).collect()
    };
    assert_eq!(counted(direct.app()), counted(&app));
}

#[tokio::test]
async fn what_is_not_usual_is_answered_where_it_was_told_to_be() {
    let state = Alone { leader: Some(1), ..Alone::default() };
    let elsewhere = Apart::start().expect("a thread");
    let direct = Direct::over(Arc::default(), Engine::Alone(state.clone()));
    let direct = direct.with_the_rest_on(elsewhere.runtime());
    let here = std::thread::current().name().map(str::to_owned);
    let there = Some("holm-member".to_owned());
    for (method, uri, expected) in [
        ("PUT", "/v1/kv/a", &here),
        ("GET", "/v1/kv/a", &here),
        ("POST", "/v1/counters/n", &here),
        ("GET", "/v1/counters/n", &here),
        ("GET", "/v1/backup", &there),
        ("PUT", "/v1/kv/a%2Fb", &there),
    ] {
        let request = Request::builder().method(method).uri(uri).body(Body::empty());
        let answer = direct.clone().answer(request.expect("sound")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{method} {uri}");
        assert_eq!(&state.asked_on(), expected, "{method} {uri}");
    }
}
