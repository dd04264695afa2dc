//! What a member reads again at SIGHUP: tokens and certificates change while connections stand, and
//! what is no good changes nothing.

use super::member::{Member, STUCK, certificate, keep, within};
use super::tls::{add, files};
use super::{drawn, entry};
use holm::server::access::Token;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const AGAIN: &str = "tokens and certificates for HTTP were read again";
const NOT: &str = "tokens and certificates for HTTP were not read again, the old ones count: ";

/// Sends SIGHUP, and waits until the member says once more what it has done about it.
async fn reread(member: &Member, says: &str) {
    let count = |log: &str| log.matches(says).count();
    let (start, before) = (Instant::now(), count(&member.log()));
    member.hang_up();
    while count(&member.log()) == before {
        assert!(start.elapsed() < STUCK, "it does not say {says:?}:\n{}", member.log());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// The status of one more answer on a connection that stays open.
async fn status(stream: &mut TcpStream, token: &Token) -> u16 {
    let request = format!(
        "GET /v1/counters/n HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n",
        token.reveal()
    );
    within(stream.write_all(request.as_bytes())).await.expect("it stands");
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = within(stream.read(&mut piece)).await.expect("it stands");
        assert!(count > 0, "the connection was ended");
        answer.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.and_then(|length| length.parse().ok()).unwrap_or(0) {
            return head[9..12].parse().expect("a status");
        }
    }
}

#[tokio::test]
async fn tokens_are_read_again_at_sighup_and_connections_that_stand_go_on() {
    let [old, new] = [drawn(), drawn()];
    let member = Member::start(&entry("old", "read", &old)).await;
    let mut stream = TcpStream::connect(&member.at).await.expect("connected");
    assert_eq!((status(&mut stream, &old).await, status(&mut stream, &new).await), (200, 401));
    let good = member.config();

    member.configure(&good.replace(&entry("old", "read", &old), &entry("new", "read", &new)));
    reread(&member, AGAIN).await;
    assert_eq!((status(&mut stream, &old).await, status(&mut stream, &new).await), (401, 200));

    let hash = new.hash().to_string();
    for (bad, told) in [
        (member.config().replace(&hash, "holm-hash-12"), "tokens new: hash"),
        (member.config().replace("cluster = ", "clutter = "), "unknown field `clutter`"),
        (good + "tls_cert = \"nowhere.pem\"\n", "tls_cert"),
    ] {
        let sound = member.config();
        member.configure(&bad);
        reread(&member, NOT).await;
        assert!(member.log().contains(told), "{told}:\n{}", member.log());
        assert_eq!((status(&mut stream, &old).await, status(&mut stream, &new).await), (401, 200));
        member.configure(&sound);
    }
}

#[tokio::test]
async fn certificates_are_read_again_at_sighup_and_whether_they_are_asked_for_is_not() {
    let (folder, settings) = files();
    keep(&folder, "believed.pem", &certificate("authority.pem"), 0o644);
    let settings = settings + "tls_client_ca = \"believed.pem\"\n";
    let member = Member::start_in(folder, "https", &settings).await;
    let shows = |cert: &'static str, key: &'static str| {
        [("--ca", "authority.pem"), ("--cert", cert), ("--cert-key", key)]
    };
    let (own, foreign) = (shows("client.pem", "client.key"), shows("foreign.pem", "foreign.key"));
    assert_eq!((add(&member, &own).0, add(&member, &foreign).0), (0, 1));

    member.keep("believed.pem", &certificate("stranger.pem"), 0o644);
    reread(&member, AGAIN).await;
    assert_eq!((add(&member, &own).0, add(&member, &foreign).0), (1, 0));

    member.keep("believed.pem", "no certificate", 0o644);
    reread(&member, NOT).await;
    assert_eq!((add(&member, &own).0, add(&member, &foreign).0), (1, 0));
    assert!(member.log().contains("believed.pem is no good"), "{}", member.log());

    let without = member.config().replace("tls_client_ca = \"believed.pem\"\n", "");
    member.configure(&without);
    reread(&member, NOT).await;
    assert!(member.log().contains("is settled when the member starts; restart it"));
    assert_eq!((add(&member, &own).0, add(&member, &foreign).0), (1, 0));
    assert_eq!(add(&member, &[("--ca", "authority.pem")]).0, 1, "nothing was opened");
}
