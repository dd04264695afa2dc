//! `holm token`: draws tokens for those who may ask a member over HTTP.

use super::print;
use crate::server::access::{Role, Token};
use crate::server::setup::write_new;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub(super) enum TokenAction {
    /// Draw a token, and print what goes into the members' configurations
    #[command(after_help = EXAMPLES)]
    New(NewArgs),
}

#[derive(Args)]
pub(super) struct NewArgs {
    /// Who will have it: 1 to 64 visible ASCII characters
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: String,
    /// What it lets do; each role includes those before it
    #[arg(long, value_enum)]
    role: Role,
    /// Write it to this new file, for its owner alone, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  holm token new --name alice --role write --out alice.token
  holm counter add orders --token-file alice.token

What is printed goes to the end of each member's configuration file. The members keep only the
token's hash; the token itself is shown once.";

pub(super) fn run(action: &TokenAction) -> Result<(), String> {
    let TokenAction::New(NewArgs { name, role, out }) = action;
    let token = Token::draw();
    let token = token.map_err(|error| format!("the system gives no randomness: {error}"))?;
    let entry = format!(
        "[[tokens]]\nname = {}\nrole = \"{role}\"\nhash = \"{}\"\n",
        quoted(name),
        token.hash()
    );
    let shown =
        Zeroizing::new(format!("# The token of {name}, for nobody else.\n{}\n", token.reveal()));
    match out {
        Some(path) => {
            write_new(path, shown.as_bytes())?;
            print(entry.as_bytes())
        }
        None => print(Zeroizing::new(format!("{}\n{entry}", *shown)).as_bytes()),
    }
}

fn name(text: &str) -> Result<String, String> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if (1..=64).contains(&text.len()) && visible {
        return Ok(text.into());
    }
    Err("a name has 1 to 64 visible ASCII characters".into())
}

fn quoted(text: &str) -> toml::Value {
    toml::Value::String(text.into())
}
