//! Members' hosts on real processes: a request for `app-ID.DOMAIN`, or one that carries a key, is
//! answered by its member wherever it comes in, or its client is sent there.

use holm::server::cluster::Cluster;
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_holm");
/// When something that must happen counts as not happening.
const STUCK: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
struct Got {
    status: u16,
    served_by: String,
    location: String,
    body: Value,
}

async fn start(settings: &str) -> Cluster {
    let settings = format!("hosts_domain = \"connect.example\"\n{settings}");
    Cluster::start(Path::new(PROGRAM), 3, &settings, STUCK).await.unwrap()
}

async fn ask(
    cluster: &Cluster,
    member: u64,
    what: (Method, &str),
    headers: &[(&str, &str)],
) -> Got {
    let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let url = format!("http://{}{}", cluster.endpoint(member), what.1);
    let mut request = client.request(what.0, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let Ok(answer) = request.send().await else {
        // It is not there yet, or no more.
        let (status, none) = (503, String::new);
        return Got { status, served_by: none(), location: none(), body: Value::Null };
    };
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    };
    let (served_by, location) = (header("holm-served-by"), header("location"));
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap();
    Got { status, served_by, location, body: serde_json::from_str(&body).unwrap_or_default() }
}

/// The same, once members reach each other and know who they are: until then they say 503.
async fn answered(
    cluster: &Cluster,
    member: u64,
    what: (Method, &str),
    headers: &[(&str, &str)],
) -> Got {
    let begun = Instant::now();
    loop {
        let got = ask(cluster, member, what.clone(), headers).await;
        if got.status != 503 {
            return got;
        }
        assert!(begun.elapsed() < STUCK, "{got:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn host(member: u64) -> String {
    format!("app-{member}.connect.example:7680")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_members_host_and_a_key_are_answered_by_their_member_wherever_they_come_in() {
    let mut cluster = start("").await;
    for at in 1..=3 {
        for to in 1..=3 {
            let got =
                answered(&cluster, at, (Method::GET, "/v1/status"), &[("host", &host(to))]).await;
            assert_eq!((got.status, got.served_by), (200, to.to_string()), "at {at}");
            assert_eq!(got.body["node"], to, "at {at}");
        }
        let plain = ask(&cluster, at, (Method::GET, "/v1/status"), &[]).await;
        assert_eq!((plain.body["node"].as_u64(), plain.served_by.as_str()), (Some(at), ""));
        let nobody = [("host", "app-9.connect.example")];
        let got = answered(&cluster, at, (Method::GET, "/v1/status"), &nobody).await;
        assert_eq!(got.status, 404, "{got:?}");
        // By the placement it is member 1's.
        let keyed = [("holm-key", "host-1")];
        let got = answered(&cluster, at, (Method::GET, "/v1/status"), &keyed).await;
        assert_eq!((got.status, got.served_by.as_str()), (200, "1"), "{got:?}");
    }
    // What is one member's own alone, asked for through another.
    let two = host(2);
    let claim = (Method::PUT, "/v1/claims/approval?time_ms=60000");
    let got = answered(&cluster, 1, claim, &[("host", &two)]).await;
    assert_eq!((got.status, got.body["member"].as_u64()), (200, Some(2)), "{got:?}");
    let own = answered(&cluster, 1, (Method::GET, "/v1/claims/approval"), &[]).await;
    assert_eq!(own.status, 412, "it is not member 1's: {own:?}");
    let got = answered(&cluster, 3, (Method::GET, "/v1/claims/approval"), &[("host", &two)]).await;
    assert_eq!((got.status, got.body["member"].as_u64()), (200, Some(2)), "{got:?}");

    cluster.kill(2).unwrap();
    let begun = Instant::now();
    let gone = loop {
        let got = ask(&cluster, 1, (Method::GET, "/v1/status"), &[("host", &two)]).await;
        // What was handed over as it died was not answered.
        if got.status == 503 {
            break got;
        }
        assert!(got.status == 504 && begun.elapsed() < STUCK, "{got:?}");
    };
    assert_eq!(gone.body["error"], "unavailable", "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_a_key_is_sent_to_its_owners_host_where_that_is_wanted() {
    let cluster = start("hosts_redirect = \"https:8443\"\n").await;
    let keyed = [("holm-key", "host-1")];
    for (at, status, location) in [
        (1, 200, ""),
        (2, 307, "https://app-1.connect.example:8443/v1/status?timeout_ms=9"),
        (3, 307, "https://app-1.connect.example:8443/v1/status?timeout_ms=9"),
    ] {
        let got = answered(&cluster, at, (Method::GET, "/v1/status?timeout_ms=9"), &keyed).await;
        assert_eq!((got.status, got.location.as_str()), (status, location), "at {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_token_may_not_is_refused_here_or_there_and_no_stranger_is_handed_over() {
    let drawn = Command::new(PROGRAM)
        .args(["token", "new", "--name", "reader", "--role", "read"])
        .output()
        .unwrap();
    let drawn = String::from_utf8(drawn.stdout).unwrap() + &String::from_utf8_lossy(&drawn.stderr);
    let word = |prefix: &str| {
        let words = drawn.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
        let mut words = words.filter(|word| word.starts_with(prefix));
        words.next().unwrap_or_else(|| panic!("no {prefix} in {drawn}")).to_owned()
    };
    let (hash, token) = (word("holm-hash-"), word("holm-token-"));
    let mut cluster = start("").await;
    let entry = format!("[[tokens]]\nname = \"reader\"\nrole = \"read\"\nhash = \"{hash}\"\n");
    for id in 1..=3 {
        cluster.kill(id).unwrap();
        let config = cluster.folder().join(format!("node{id}")).join("holm.toml");
        let text = std::fs::read_to_string(&config).unwrap() + &entry;
        std::fs::write(&config, text).unwrap();
    }
    (1..=3).for_each(|id| cluster.restart(id).unwrap());
    let (two, bearer) = (host(2), format!("Bearer {token}"));
    let (to, shown) = (("host", two.as_str()), ("authorization", bearer.as_str()));
    let got = answered(&cluster, 1, (Method::GET, "/v1/status"), &[to, shown]).await;
    assert_eq!((got.status, got.served_by.as_str()), (200, "2"), "{got:?}");
    let got = answered(&cluster, 1, (Method::PUT, "/v1/kv/k"), &[to, shown]).await;
    assert_eq!((got.status, got.served_by.as_str()), (403, "2"), "{got:?}");
    for headers in [&[to][..], &[to, ("authorization", "Bearer none")]] {
        let got = answered(&cluster, 1, (Method::GET, "/v1/status"), headers).await;
        assert_eq!((got.status, got.served_by.as_str()), (401, ""), "{got:?}");
    }
}
