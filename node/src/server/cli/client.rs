//! `holm counter` and `holm kv`: one request each, repeated until it is answered or time is up.

use super::{ClientArgs, Consistency, CounterAction, KvAction, print};
use crate::server::client::{Answer, Ask, Sent, encoded, random_key};
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use std::ffi::OsStr;
use std::io::{IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;

pub(super) const COUNTER_EXAMPLES: &str = "\
Examples:
  holm counter add orders
  holm counter add orders -5 --key cancel-4711
  holm counter get orders --consistency local --endpoint north:7680,south:7680";

pub(super) const KV_EXAMPLES: &str = "\
Examples:
  holm kv put greeting hello --expect 0
  holm kv put motd - < motd.txt
  holm kv get greeting
  holm kv delete greeting";

/// What every error of the HTTP interface says.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    detail: String,
    mend: String,
}

#[derive(Deserialize)]
struct CounterValue {
    value: i64,
}

/// Runs a `holm counter` command.
pub(super) async fn counter(at: &ClientArgs, action: &CounterAction) -> Result<(), String> {
    let ask = match action {
        CounterAction::Add { name, by, key } => {
            Ask::add(name, *by, Some(key.clone().unwrap_or_else(random_key)))
        }
        CounterAction::Get { name, consistency } => {
            Ask::get(format!("/v1/counters/{}{}", encoded(name), query(*consistency)))
        }
    };
    let answer = answered(at, &ask).await?;
    let counter: CounterValue = answer.json().ok_or("the answer is no counter's value")?;
    print(format!("{}\n", counter.value).as_bytes())
}

/// Runs a `holm kv` command.
pub(super) async fn kv(at: &ClientArgs, action: &KvAction) -> Result<(), String> {
    match action {
        KvAction::Put { key, value, expect } => {
            let ask = write(Method::PUT, key, *expect, value_of(value)?);
            print_revision(&answered(at, &ask).await?)
        }
        KvAction::Delete { key, expect } => {
            let ask = write(Method::DELETE, key, *expect, Bytes::new());
            print_revision(&answered(at, &ask).await?)
        }
        KvAction::Get { key, revision, consistency } => {
            let ask = Ask::get(format!("/v1/kv/{}{}", encoded(key), query(*consistency)));
            let answer = answered(at, &ask).await?;
            if *revision {
                return print_revision(&answer);
            }
            print(&answer.body)?;
            // The value goes out as it is; only a person's terminal gets a line's end.
            if std::io::stdout().is_terminal() && !answer.body.ends_with(b"\n") {
                print(b"\n")?;
            }
            Ok(())
        }
    }
}

pub(super) async fn answered(at: &ClientArgs, ask: &Ask) -> Result<Answer, String> {
    let answer = at.client()?.ask_until_answered(&at.endpoint, ask, at.timeout).await;
    let answer = answer.map_err(|error| match (&ask.method, error.sent) {
        (&Method::GET, _) | (_, Sent::No) => {
            format!("{error}; is a member running there? Name others with --endpoint")
        }
        (_, Sent::Perhaps) => format!("{error}; {UNKNOWN_OUTCOME}"),
    })?;
    good(answer)
}

/// The answer, if it is a good one.
pub(super) fn good(answer: Answer) -> Result<Answer, String> {
    match answer.status {
        StatusCode::OK => Ok(answer),
        status => Err(match answer.json::<Refusal>() {
            Some(Refusal { error, detail, .. }) if status == StatusCode::GATEWAY_TIMEOUT => {
                format!("{error}: {detail}; {UNKNOWN_OUTCOME}")
            }
            Some(Refusal { error, detail, mend }) => format!("{error}: {detail}; {mend}"),
            None => format!("the answer is {status}, and not from a member of holm"),
        }),
    }
}

/// This command's key is gone when it ends, so what HTTP advises does not help here.
const UNKNOWN_OUTCOME: &str = "it may take effect or not: read before you repeat it";

fn write(method: Method, key: &str, expect: Option<u64>, body: Bytes) -> Ask {
    let expect = expect.map_or(String::new(), |revision| format!("?expect={revision}"));
    let path = format!("/v1/kv/{}{expect}", encoded(key));
    Ask { method, path, key: Some(random_key()), body }
}

pub(super) fn query(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Linearizable => "",
        Consistency::Lease => "?consistency=lease",
        Consistency::Local => "?consistency=local",
    }
}

fn value_of(argument: &OsStr) -> Result<Bytes, String> {
    if argument != "-" {
        return Ok(Bytes::copy_from_slice(argument.as_bytes()));
    }
    let mut value = Vec::new();
    let read = std::io::stdin().read_to_end(&mut value);
    read.map_err(|error| format!("standard input can't be read: {error}"))?;
    Ok(value.into())
}

fn print_revision(answer: &Answer) -> Result<(), String> {
    let revision = answer.revision.ok_or("the answer has no revision")?;
    print(format!("{revision}\n").as_bytes())
}
