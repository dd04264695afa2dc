//! Sealed connections: who believes whom, and whose connections get through.

use super::member::{Member, certificate, folder, keep};
use super::{drawn, entry};
use tempfile::TempDir;

/// The files that a member and its clients need, and the settings that name the member's.
pub(super) fn files() -> (TempDir, String) {
    let folder = folder();
    for name in ["authority", "stranger", "member", "client", "foreign"] {
        keep(&folder, &format!("{name}.pem"), &certificate(&format!("{name}.pem")), 0o644);
    }
    for name in ["member", "client", "foreign"] {
        keep(&folder, &format!("{name}.key"), &certificate(&format!("{name}.key")), 0o600);
    }
    let settings = "tls_cert = \"member.pem\"\ntls_key = \"member.key\"\n".into();
    (folder, settings)
}

/// `holm counter add n` with these flags, whose files are the member's neighbours.
pub(super) fn add(member: &Member, flags: &[(&str, &str)]) -> (i32, String, String) {
    let endpoint = member.endpoint.to_string();
    let mut words: Vec<String> =
        ["counter", "add", "n", "--endpoint", &endpoint, "--timeout", "5s"].map(Into::into).into();
    for (flag, name) in flags {
        words.push((*flag).into());
        words.push(member.file(name));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    member.holm(&words)
}

#[tokio::test]
async fn a_sealed_member_is_asked_by_those_who_believe_its_certificate() {
    let token = drawn();
    let (folder, settings) = files();
    keep(&folder, "token", token.reveal(), 0o600);
    let settings = settings + &entry("somebody", "write", &token);
    let member = Member::start_in(folder, "https", &settings).await;
    let (authority, token) = (("--ca", "authority.pem"), ("--token-file", "token"));
    assert_eq!(add(&member, &[authority, token]), (0, "1\n".into(), String::new()));
    let (code, _, error) = add(&member, &[("--ca", "stranger.pem"), token]);
    assert!(code == 1 && error.contains("UnknownIssuer"), "{error}");
    let (code, _, error) = add(&member, &[token]);
    assert!(code == 1 && error.contains("--ca"), "{error}");
    let (code, _, error) = add(&member, &[authority]);
    assert!(code == 1 && error.contains("unauthorized"), "{error}");
    // Without TLS there is no answer, and least of all a good one.
    let answer = member.exchange(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_member_that_asks_for_certificates_refuses_those_of_another_authority() {
    let (folder, settings) = files();
    let settings = settings + "tls_client_ca = \"authority.pem\"\n";
    let member = Member::start_in(folder, "https", &settings).await;
    let authority = ("--ca", "authority.pem");
    let own = [authority, ("--cert", "client.pem"), ("--cert-key", "client.key")];
    assert_eq!(add(&member, &own), (0, "1\n".into(), String::new()));
    for refused in [
        &[authority][..],
        &[authority, ("--cert", "foreign.pem"), ("--cert-key", "foreign.key")],
        // A certificate for members is none for clients.
        &[authority, ("--cert", "member.pem"), ("--cert-key", "member.key")],
    ] {
        let (code, out, error) = add(&member, refused);
        assert_eq!((code, out.as_str()), (1, ""), "{refused:?}: {error}");
    }
    assert_eq!(add(&member, &own), (0, "2\n".into(), String::new()), "nobody else has counted");
}

#[tokio::test]
async fn certificates_and_keys_that_are_no_good_are_refused_by_name() {
    let (folder, _) = files();
    keep(&folder, "open.key", &certificate("member.key"), 0o644);
    keep(&folder, "empty.pem", "", 0o644);
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let config = keep(
        &folder,
        "holm.toml",
        "cluster = \"a\"\nnode = 1\nstorage = \"memory\"\ninsecure = true\n\
         http = \"127.0.0.1:1\"\nmembers = [{ id = 1, island = \"a\" }]\n\
         islands = [{ name = \"a\" }]\n",
        0o644,
    );
    for (cert, key, expected) in [
        ("member.pem", "open.key", "tls_key: "),
        ("member.pem", "client.key", "tls_cert: "),
        ("member.pem", "member.pem", "tls_key: "),
        ("empty.pem", "member.key", "there is no certificate"),
        ("nowhere.pem", "member.key", "nowhere.pem is no good"),
    ] {
        let words = ["serve", "--config", &config, "--tls-cert", &at(cert), "--tls-key", &at(key)];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_holm")).args(words).output();
        let output = output.expect("it ran");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected) && error.contains("holm.toml: "), "{cert} {key}: {error}");
    }
}
