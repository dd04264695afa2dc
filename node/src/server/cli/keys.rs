//! `holm keys`: the keys that sessions are sealed with, listed, rotated and revoked.

use super::client::answered;
use super::{ClientArgs, Output, print};
use crate::server::client::Ask;
use crate::session::{KeyInfo, KeyState};
use axum::http::Method;
use bytes::Bytes;
use clap::Subcommand;
use serde::Deserialize;

pub(super) const EXAMPLES: &str = "\
Examples:
  holm keys list
  holm keys rotate --endpoint north:7680,south:7680
  holm keys revoke 7";

/// What is done with the keys.
#[derive(Subcommand)]
pub(super) enum KeysAction {
    /// Show the keys that sessions are sealed with; never the keys themselves
    List {
        /// The form of the output
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Have the leader make a new key; what older ones sealed opens until their grace ends
    Rotate,
    /// Have what a key sealed opened nowhere any more
    Revoke {
        /// The key's number, as `holm keys list` shows it
        key: u32,
    },
}

#[derive(Deserialize)]
struct Listed {
    keys: Vec<KeyInfo>,
}

#[derive(Deserialize)]
struct Rotated {
    key: u32,
}

/// Runs a `holm keys` command.
pub(super) async fn run(at: &ClientArgs, action: &KeysAction) -> Result<(), String> {
    let ask = |method, path: String| Ask { method, path, key: None, body: Bytes::new() };
    let path = || "/v1/session-keys".to_owned();
    match action {
        KeysAction::List { output } => {
            let answer = answered(at, &Ask::get(path())).await?;
            if matches!(output, Output::Json) {
                return print(&answer.body);
            }
            let listed: Listed = answer.json().ok_or("the answer is no list of keys")?;
            print(table(&listed.keys).as_bytes())
        }
        KeysAction::Rotate => {
            let answer = answered(at, &ask(Method::POST, path())).await?;
            let rotated: Rotated = answer.json().ok_or("the answer is no key's number")?;
            print(format!("key {} seals from now on\n", rotated.key).as_bytes())
        }
        KeysAction::Revoke { key } => {
            answered(at, &ask(Method::DELETE, format!("{}/{key}", path()))).await?;
            print(format!("key {key} is revoked\n").as_bytes())
        }
    }
}

fn table(keys: &[KeyInfo]) -> String {
    if keys.is_empty() {
        return "no session has been asked for yet, so there is no key\n".to_owned();
    }
    let mut table =
        format!("{:>5}  {:8}  {:>10}  {:16}\n", "KEY", "STATE", "INDEX", "UNDER SECRET");
    for key in keys {
        let state = match key.state {
            KeyState::Active => "active",
            KeyState::Retiring => "retiring",
            KeyState::Revoked => "revoked",
        };
        let secret = key.secret.as_deref().unwrap_or("-");
        table += &format!("{:>5}  {state:8}  {:>10}  {secret:16}\n", key.key, key.index);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_with_what_they_are_good_for() {
        let key = |key, state, secret: Option<&str>| KeyInfo {
            key,
            state,
            index: 100 + u64::from(key),
            created_ms: 5,
            until_ms: None,
            secret: secret.map(str::to_owned),
        };
        let shown = table(&[
            key(1, KeyState::Revoked, None),
            key(2, KeyState::Retiring, Some("0123456789abcdef")),
            key(3, KeyState::Active, Some("0123456789abcdef")),
        ]);
        let expected = "  KEY  STATE          INDEX  UNDER SECRET    \n    \
             1  revoked          101  -               \n    \
             2  retiring         102  0123456789abcdef\n    \
             3  active           103  0123456789abcdef\n";
        assert_eq!(shown, expected);
    }
}
