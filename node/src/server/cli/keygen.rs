//! `holm keygen`: draws a member's key pair, or a secret for all members.

use super::print;
use crate::server::setup::{key_pair, key_text, secret, secret_text, write_new};
use clap::Args;
use std::io;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  holm keygen --out member.key
  holm keygen --secret --out secrets";

#[derive(Args)]
pub(super) struct KeygenArgs {
    /// Draw a secret for all members, instead of a member's key pair
    #[arg(long)]
    secret: bool,
    /// Write it to this new file, and print only the public key or the secret's id
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &KeygenArgs) -> Result<(), String> {
    let undrawn = |error: io::Error| format!("the system gives no randomness: {error}");
    let (text, known) = if args.secret {
        let secret = secret().map_err(undrawn)?;
        (secret_text("", &secret), secret.id().to_string())
    } else {
        let pair = key_pair().map_err(undrawn)?;
        (key_text("", &pair), pair.public().to_string())
    };
    let Some(out) = &args.out else { return print(text.as_bytes()) };
    write_new(out, text.as_bytes())?;
    print(format!("{known}\n").as_bytes())
}
