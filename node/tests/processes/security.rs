//! A member that is reached by strangers, as a real process: without a token nothing but whether it
//! lives, whatever breaks a limit is refused by the limit's name, its memory stays bounded, and
//! connections are sealed and certified where it is told so.

mod logs;
mod member;
mod rereading;
mod strangers;
mod tls;

use axum::http::StatusCode;
use holm::server::access::Token;
use holm::server::client::{Access, Ask, Client};
use member::{Member, STUCK};

/// What goes to the end of a member's configuration for a token.
fn entry(name: &str, role: &str, token: &Token) -> String {
    let hash = token.hash();
    format!("\n[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nhash = \"{hash}\"\n")
}

fn drawn() -> Token {
    Token::draw().expect("entropy")
}

fn with(token: &Token) -> Client {
    Client::with(Access { token: Some(token.clone()), tls: None })
}

#[tokio::test]
async fn a_token_opens_what_its_role_may_and_no_token_opens_nothing_but_live() {
    let tokens = [drawn(), drawn(), drawn()];
    let [reads, writes, unknown] = &tokens;
    let settings = entry("reader", "read", reads) + &entry("writer", "write", writes);
    let member = Member::start(&settings).await;
    let ask = async |client: Client, ask: Ask| {
        let answer = client.ask(&member.endpoint, &ask, STUCK).await.expect("an answer");
        (answer.status, String::from_utf8(answer.body.to_vec()).expect("text"))
    };
    let (read, add) = (|| Ask::get("/v1/counters/n"), || Ask::add("n", 1, None));
    assert_eq!(ask(Client::new(), Ask::get("/health/live")).await.0, StatusCode::OK);
    let mut refusals = Vec::new();
    for path in ["/", "/health/ready", "/metrics", "/openapi.json", "/v1/status", "/v1/counters/n"]
    {
        refusals.push(ask(Client::new(), Ask::get(path)).await);
        refusals.push(ask(with(unknown), Ask::get(path)).await);
    }
    refusals.push(ask(Client::new(), add()).await);
    for (status, body) in refusals {
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        assert!(body.contains("\"error\":\"unauthorized\"") && body.contains("holm token new"));
        assert!(!body.contains("leader") && !body.contains("local"), "{body}");
    }
    assert_eq!(ask(with(writes), add()).await.0, StatusCode::OK);
    assert_eq!(ask(with(reads), read()).await, (StatusCode::OK, "{\"value\":1}\n".into()));
    let (status, body) = ask(with(reads), add()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("the token's role is read, and this needs write"), "{body}");
    assert_eq!(ask(with(reads), read()).await.1, "{\"value\":1}\n", "nothing was changed");
}

#[tokio::test]
async fn the_command_line_shows_the_token_of_a_file_that_nobody_else_reads() {
    let token = drawn();
    let member = Member::start(&entry("somebody", "write", &token)).await;
    let at = member.endpoint.to_string();
    let (code, _, error) = member.holm(&["counter", "add", "n", "--endpoint", &at]);
    assert!(code == 1 && error.contains("unauthorized: the request shows no token"), "{error}");
    let file = member.keep("token", &format!("# somebody's\n{}\n", token.reveal()), 0o600);
    let words = ["counter", "add", "n", "--endpoint", &at, "--token-file", &file];
    assert_eq!(member.holm(&words), (0, "1\n".into(), String::new()));
    let open = member.keep("open", token.reveal(), 0o644);
    let (code, _, error) = member.holm(&["status", "--endpoint", &at, "--token-file", &open]);
    assert!(code == 1 && error.contains("is open to others than its owner"), "{error}");
    let wrong = member.keep("wrong", &token.reveal()[..30], 0o600);
    let (code, _, error) = member.holm(&["status", "--endpoint", &at, "--token-file", &wrong]);
    assert!(code == 1 && error.contains("this is no token"), "{error}");
    assert!(!error.contains(&token.reveal()[11..30]), "{error}");
}
