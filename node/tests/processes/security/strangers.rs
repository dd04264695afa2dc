//! Requests that are too large, too slow, too many, or none at all.

use super::member::{Member, STUCK, heard, within};
use super::{drawn, entry, with};
use holm::server::client::{Ask, Client};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Every refusal of a limit, by its status and its name.
fn assert_refused(answer: &str, status: &str, limit: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    for part in ["\"error\":", "\"detail\":", "\"mend\":", &format!("\"limit\":\"{limit}\"")] {
        assert!(answer.contains(part), "no {part} in {answer}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_the_limits_name() {
    let member = Member::start("").await;
    let path = format!("GET /v1/kv/{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
    assert_refused(&member.exchange(path.as_bytes()).await, "431", "http_head_bytes_max");
    let header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(17_000));
    assert_refused(&member.exchange(header.as_bytes()).await, "431", "http_head_bytes_max");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101));
    assert_refused(&member.exchange(many.as_bytes()).await, "431", "http_head_bytes_max");
    let head =
        "PUT /v1/kv/k HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1048577\r\n\r\n";
    let body = [head.as_bytes(), &vec![b'v'; 1_048_577]].concat();
    assert_refused(&member.exchange(&body).await, "413", "http_body_bytes_max");
    let client = Client::new();
    for (limit, count) in [("http_head_bytes_max", 3), ("http_body_bytes_max", 1)] {
        let refused = member.metric(&client, "holm_http_refused_total", limit).await;
        assert_eq!(refused, count, "{limit}");
    }
}

#[tokio::test]
async fn a_second_request_of_a_connection_is_refused_like_the_first() {
    let member = Member::start("").await;
    let mut stream = TcpStream::connect(&member.at).await.expect("connected");
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
    let mut first = vec![0; 15];
    within(tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first)).await.expect("an answer");
    // The rest of the first answer comes before the second.
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(17_000));
    stream.write_all(large.as_bytes()).await.expect("sent");
    let rest = heard(stream).await;
    let (_, second) = rest.split_once("HTTP/1.1 ").expect("a second answer");
    assert_refused(&format!("HTTP/1.1 {second}"), "431", "http_head_bytes_max");
}

#[tokio::test]
async fn what_is_too_slow_is_refused_by_the_limits_name() {
    let settings = "http_header_timeout_ms = 200\nhttp_body_timeout_ms = 200\n";
    let member = Member::start(settings).await;
    // One byte now and then, as long as it is taken: a time-out of each read would let it go on.
    let trickle = async |begin: &str| {
        let stream = TcpStream::connect(&member.at).await.expect("connected");
        let (reads, mut writes) = stream.into_split();
        let begin = begin.to_owned();
        let sending = tokio::task::spawn(async move {
            let _ = writes.write_all(begin.as_bytes()).await;
            while writes.write_all(b"a").await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        let mut bytes = Vec::new();
        let mut reads = reads;
        // A reset ends it as well.
        let _ = within(tokio::io::AsyncReadExt::read_to_end(&mut reads, &mut bytes)).await;
        sending.abort();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let head = trickle("GET /v1/kv/").await;
    assert_refused(&head, "408", "http_header_timeout_ms");
    let put = "PUT /v1/kv/k HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
    assert_refused(&trickle(put).await, "408", "http_body_timeout_ms");
    assert_refused(&member.exchange(b"").await, "408", "http_header_timeout_ms");
    let answer = Client::new().ask(&member.endpoint, &Ask::get("/v1/kv/k"), STUCK).await;
    assert_eq!(answer.expect("an answer").status, 404, "nothing was written");
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_member_goes_on() {
    let member = Member::start("").await;
    let tls_hello = [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0];
    let cases: [&[u8]; 6] = [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &tls_hello,
    ];
    for bytes in cases {
        let answer = member.exchange(bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bytes:?}: {answer}");
        assert!(answer.contains("\"error\":\"bad request\"") && answer.contains("\"mend\":"));
    }
    let smuggled = b"POST /v1/counters/n HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\
        transfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n";
    member.exchange(smuggled).await;
    let answer = Client::new().ask(&member.endpoint, &Ask::get("/health/ready"), STUCK).await;
    assert_eq!(answer.expect("an answer").status, 200);
}

#[tokio::test]
async fn too_many_connections_and_requests_are_refused_by_the_limits_name() {
    let member = Member::start("http_connections_per_address_max = 4\n").await;
    // The connections by which it was found to be up may still have a seat, so more than one too
    // many.
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(TcpStream::connect(&member.at).await.expect("connected"));
    }
    let refused = heard(held.pop().expect("the last one")).await;
    assert_refused(&refused, "503", "http_connections_per_address_max");
    drop(held);
    let member = Member::start("http_requests_per_second = 5\n").await;
    let one = "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = "GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = member.exchange(format!("{}{last}", one.repeat(19)).as_bytes()).await;
    let refused = answers.find("HTTP/1.1 429").expect("a refusal");
    assert_refused(&answers[refused..], "429", "http_requests_per_second");
    assert!(answers.matches("HTTP/1.1 200").count() >= 5, "{answers}");
}

#[tokio::test]
async fn memory_stays_bounded_whatever_strangers_send() {
    const CONNECTIONS: usize = 200;
    let token = drawn();
    let member = Member::start(&entry("somebody", "write", &token)).await;
    let before = member.memory();
    let head = "PUT /v1/kv/k HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n";
    let body = [head.as_bytes(), &vec![b'v'; 1_000_000]].concat();
    let endless = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(15_000));
    let mut held = Vec::new();
    for at in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(&member.at).await.expect("connected");
        let bytes = if at % 2 == 0 { &body } else { endless.as_bytes() };
        let sent =
            tokio::time::timeout(std::time::Duration::from_millis(20), stream.write_all(bytes));
        // It is refused, or not read any further.
        let _ = sent.await;
        held.push(stream);
    }
    let grown = member.memory().saturating_sub(before);
    let bound = 24 * 1024 * 1024;
    assert!(grown < bound, "{CONNECTIONS} connections without a token made it grow by {grown}");
    drop(held);
    let answer = with(&token).ask(&member.endpoint, &Ask::add("n", 1, None), STUCK).await;
    assert_eq!(answer.expect("an answer").status, 200);
}
