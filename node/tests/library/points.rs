//! Rendezvous points on three nodes in this process: which member serves a request, wherever it
//! comes in, and what its client is told when none can.

use crate::forward::Forward;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::{Extension, Router};
use holm::Node;
use holm::rendezvous::Affinity;
use holm::rendezvous::http::{FORWARDED_BY, Hosts, KeyFrom, Options, Point, Points, Redirect};
use holm::store::Store;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tower::ServiceExt;

const TIME: Duration = Duration::from_secs(60);

struct Three {
    nodes: Vec<Node<Store>>,
    clocks: Vec<Arc<Forward>>,
    points: Vec<Points<Store>>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: u16,
    served_by: String,
    retry_after: Option<u64>,
    text: String,
}

impl Three {
    async fn start(options: Options) -> Self {
        let (nodes, clocks) = crate::forward::open().await;
        let mut points = Vec::new();
        for (node, clock) in nodes.iter().zip(&clocks) {
            node.read(|_| ()).await.unwrap();
            let all = |node: &Node<Store>| {
                let status = node.status();
                let reached = |member: &holm::MemberStatus| member.reached != "not connected";
                let status = status.borrow();
                status.members.iter().all(reached) && !node.placement().places().is_empty()
            };
            let mut status = node.status();
            while !all(node) {
                status.changed().await.unwrap();
            }
            let app = Router::new().fallback(tell).with_state(Arc::clone(clock));
            points.push(Points::new(node.clone(), options.clone(), app).await);
        }
        Self { nodes, clocks, points }
    }

    async fn ask(&self, member: u64, uri: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let mut request = Request::builder().method("POST").uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let Ok(response) = self.points[at(member)].clone().oneshot(request).await;
        got(response).await
    }

    async fn key(&self, member: u64, key: &str) -> Got {
        self.ask(member, "/", &[("holm-key", key)], "").await
    }

    fn owner(&self, key: &str) -> u64 {
        self.nodes[0].placement().owner(key.as_bytes()).unwrap()
    }

    fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.clocks.iter().for_each(|clock| _ = clock.by.fetch_add(millis, Ordering::SeqCst));
    }

    /// Stops a member, and waits until the others know.
    async fn stop(&self, gone: u64) {
        self.nodes[at(gone)].shutdown().await;
        for node in &self.nodes {
            let mut status = node.status();
            let sees = |status: &holm::Status| {
                let member = status.members.iter().find(|member| member.node == gone).unwrap();
                member.reached == "not connected" && status.leader.is_some_and(|id| id != gone)
            };
            while node.number_of_status() != gone && !sees(&status.borrow()) {
                status.changed().await.unwrap();
            }
        }
    }
}

trait Number {
    fn number_of_status(&self) -> u64;
}

impl Number for Node<Store> {
    fn number_of_status(&self) -> u64 {
        self.status().borrow().node
    }
}

fn at(member: u64) -> usize {
    usize::try_from(member).unwrap() - 1
}

async fn got(response: Response<Body>) -> Got {
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let (served_by, retry_after) =
        (header("holm-served-by").unwrap_or_default(), header("retry-after"));
    let location = header("location").unwrap_or_default();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap() + &location;
    Got { status, served_by, retry_after: retry_after.map(|text| text.parse().unwrap()), text }
}

/// Says by whom the request was handed over, and what it brought.
async fn tell(
    State(clock): State<Arc<Forward>>,
    point: Option<Extension<Point<Store>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    if body == "stand still" {
        clock.by.fetch_add(u64::try_from(TIME.as_millis()).unwrap(), Ordering::SeqCst);
    }
    let by = headers.get(FORWARDED_BY).map_or("nobody", |by| by.to_str().unwrap());
    let key = point.map_or("nothing".into(), |Extension(point)| {
        let claimed = if point.claim.is_some() { "claimed" } else { "placed" };
        format!("{} {claimed}", String::from_utf8_lossy(&point.key))
    });
    (StatusCode::OK, format!("from {by}, {key}, {body}"))
}

fn claiming() -> Options {
    Options { claim: Some(TIME), ..Options::default() }
}

#[tokio::test]
async fn a_request_is_served_by_its_keys_owner_wherever_it_comes_in_and_handed_over_once() {
    let three = Three::start(claiming()).await;
    for key in ["host-1", "host-2", "host-3", "host-4"] {
        let owner = three.owner(key);
        for member in 1..=3 {
            // What a client says of the way is not believed.
            let headers = [("holm-key", key), ("holm-forwarded-by", "9")];
            let got = three.ask(member, "/a?b=c", &headers, "body").await;
            let by = if member == owner { "nobody".into() } else { member.to_string() };
            assert_eq!(got.text, format!("from {by}, {key} claimed, body"));
            assert_eq!((got.status, got.served_by), (200, owner.to_string()));
        }
        assert_eq!(three.nodes[0].holder(key.as_bytes()).map(|held| held.member), Some(owner));
    }
}

#[tokio::test]
async fn without_claims_the_order_alone_decides_and_a_request_without_a_key_stays() {
    let three = Three::start(Options { claim: None, ..Options::default() }).await;
    let order = three.nodes[0].placement().order(b"host-1", Affinity::None).order;
    let got = three.key(order[1], "host-1").await;
    assert_eq!((got.status, &got.served_by), (200, &order[0].to_string()));
    assert_eq!(got.text, format!("from {}, host-1 placed, ", order[1]));
    three.stop(order[0]).await;
    for member in [order[1], order[2]] {
        assert_eq!(three.key(member, "host-1").await.served_by, order[1].to_string());
        let own = three.ask(member, "/", &[], "").await;
        assert_eq!(
            (own.served_by, own.text),
            (member.to_string(), "from nobody, nothing, ".into())
        );
    }
}

#[tokio::test]
async fn while_an_owner_is_gone_its_clients_are_told_when_to_come_again_and_then_served() {
    let three = Three::start(claiming()).await;
    let order = three.nodes[0].placement().order(b"host-1", Affinity::None).order;
    assert_eq!(three.key(order[2], "host-1").await.served_by, order[0].to_string());
    three.stop(order[0]).await;
    for member in [order[1], order[2]] {
        let got = three.key(member, "host-1").await;
        assert_eq!(got.status, 503, "{got:?}");
        assert!((1..=60).contains(&got.retry_after.unwrap()), "{got:?}");
        assert!(got.text.contains(&format!("it is member {}'s", order[0])), "{got:?}");
    }
    three.pass(TIME);
    for member in [order[2], order[1]] {
        let got = three.key(member, "host-1").await;
        assert_eq!((got.status, got.served_by), (200, order[1].to_string()), "{}", got.text);
    }
}

#[tokio::test]
async fn whoever_holds_a_key_serves_it_though_another_would_own_it() {
    let three = Three::start(claiming()).await;
    let order = three.nodes[0].placement().order(b"host-1", Affinity::None).order;
    three.key(order[0], "host-1").await;
    // Another takes over while the owner does not answer; then the owner is back.
    three.pass(TIME);
    let taken = three.nodes[at(order[2])].claim("host-1", TIME).await.unwrap();
    // That claim is not its rendezvous point's: whoever is asked hands it on to nobody else.
    for member in &order {
        let got = three.key(*member, "host-1").await;
        assert_eq!((got.status, got.served_by.as_str()), (503, ""), "{got:?}");
    }
    taken.release().await.unwrap();
    assert_eq!(three.key(order[2], "host-1").await.served_by, order[0].to_string());
}

#[tokio::test]
async fn an_answer_whose_claim_has_ended_meanwhile_is_dropped() {
    let three = Three::start(claiming()).await;
    let owner = three.owner("host-1");
    for member in 1..=3 {
        let got = three.ask(member, "/", &[("holm-key", "host-1")], "stand still").await;
        assert_eq!((got.status, got.retry_after), (503, Some(1)), "{got:?}");
        assert!(got.text.contains("ended while the request was served"), "{got:?}");
        three.pass(TIME);
        assert_eq!(three.key(member, "host-1").await.served_by, owner.to_string());
    }
}

#[tokio::test]
async fn a_members_host_leads_to_it_and_clients_can_be_sent_there() {
    let hosts = Some(Hosts::new("connect.example").unwrap());
    let redirect = Some(Redirect { scheme: "https".into(), port: Some(8443) });
    let keys = vec![KeyFrom::Path("/approvals/".into())];
    let three = Three::start(Options { hosts, redirect, keys, ..claiming() }).await;
    for member in 1..=3 {
        let to_two = [("host", "app-2.connect.example")];
        let got = three.ask(member, "/approvals/host-1", &to_two, "").await;
        let by = if member == 2 { "nobody" } else { &member.to_string() };
        assert_eq!((got.status, got.served_by.as_str()), (200, "2"));
        assert_eq!(got.text, format!("from {by}, nothing, "), "the host counts, not the key");
        let other = three.ask(member, "/", &[("host", "connect.example")], "").await;
        assert_eq!(other.served_by, member.to_string());
        let nobody = three.ask(member, "/", &[("host", "app-9.connect.example")], "").await;
        assert_eq!(nobody.status, 404);
    }
    let order = three.nodes[0].placement().order(b"host-1", Affinity::None).order;
    let sent =
        three.ask(order[1], "/approvals/host-1?x=1", &[("host", "connect.example")], "").await;
    let there = format!("https://app-{}.connect.example:8443/approvals/host-1?x=1", order[0]);
    assert_eq!((sent.status, sent.text), (307, there));
    let own = three.ask(order[0], "/approvals/host-1", &[], "").await;
    assert_eq!((own.status, own.served_by), (200, order[0].to_string()));
}

#[tokio::test]
async fn what_can_not_be_handed_over_is_refused_with_the_mend() {
    let three = Three::start(Options { body_bytes_max: 10, ..claiming() }).await;
    let owner = three.owner("host-1");
    let other = owner % 3 + 1;
    let key = ("holm-key", "host-1");
    for (member, headers, body, status) in [
        (other, &[key][..], "0123456789+", 413),
        (owner, &[key], "0123456789+", 200),
        (other, &[key, ("upgrade", "websocket")], "", 501),
        (other, &[key, key], "", 400),
        (other, &[("holm-key", "")], "", 400),
        // The answer is longer than the request was.
        (other, &[key], "", 502),
    ] {
        let got = three.ask(member, "/", headers, body).await;
        assert_eq!(got.status, status, "{headers:?} {body}: {got:?}");
        assert!(status == 200 || got.text.contains("\"mend\""), "{got:?}");
    }
}
