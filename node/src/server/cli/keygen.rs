//! `holm keygen`: draws a member's key pair, or a secret for all members.

use super::print;
use crate::server::setup::{key_pair, key_text, secret, secret_text, sync_folder};
use clap::Args;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    write(out, text.as_bytes())?;
    print(format!("{known}\n").as_bytes())
}

/// The file is whole or not there, and none is overwritten.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = || -> io::Result<()> {
        // Readable by its owner alone from its beginning.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        sync_folder(folder)
    };
    written().map_err(|error| {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{path} is there already; choose another name"),
            _ => format!("{path} can't be written: {error}"),
        }
    })
}
