//! The files that only their owner may read: [`security`] reads a member's private key and the ring
//! of secrets from them, [`ring`] the latter alone, also while the member runs.

use crate::security::Security;
use crate::topology::FileError;
use holm_transport::{KeyPair, KeyRing, PrivateKey};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The permissions that a file of secrets may not give: any to its group or to others.
const FOREIGN: u32 = 0o077;
/// More than a file of secrets needs, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where such files come from.
const WRITTEN: &str = "name a file that `holm init` or `holm keygen` has written";

/// What the files at `secrets` and `key` hold.
pub(in crate::server) fn security(secrets: &Path, key: &Path) -> Result<Security, FileError> {
    let ring = ring(secrets)?;
    let pair = pair(&read("key", key, WRITTEN)?);
    let pair =
        pair.map_err(|problem| FileError::new("key", format!("{}: {problem}", key.display()), ""))?;
    Ok(Security::Sealed { pair, ring })
}

/// The ring of secrets in the file at `path`.
pub(in crate::server) fn ring(path: &Path) -> Result<KeyRing, FileError> {
    let ring = read("secrets", path, WRITTEN)?.parse();
    ring.map_err(|error| FileError::new("secrets", format!("{}: {error}", path.display()), ""))
}

/// The one private key of a file: blank lines, and what follows a `#`, say nothing.
fn pair(text: &str) -> Result<KeyPair, String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut lines = (1..).zip(lines).filter(|(_, line)| !line.is_empty());
    let (number, line) =
        lines.next().ok_or("there is no key; let `holm keygen` write one for this member")?;
    let key: PrivateKey = line.parse().map_err(|error| format!("line {number}: {error}"))?;
    match lines.next() {
        None => Ok(KeyPair::of(key)),
        Some((number, _)) => Err(format!("line {number} is more than one key; keep one")),
    }
}

/// The text of a file that only its owner may read.
pub(in crate::server) fn read(
    name: &str,
    path: &Path,
    mend: &str,
) -> Result<Zeroizing<String>, FileError> {
    let unreadable = |error: std::io::Error| {
        let problem = format!("{} can't be read: {error}", path.display());
        FileError::new(name, problem, mend)
    };
    let mut file = File::open(path).map_err(unreadable)?;
    // Of the file that was opened, whatever its path leads to meanwhile.
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
    if mode & FOREIGN != 0 {
        let path = path.display();
        let problem = format!("{path} is open to others than its owner (mode {mode:03o})");
        return Err(FileError::new(name, problem, format!("run chmod 600 {path}")));
    }
    let mut text = Zeroizing::new(String::new());
    Read::by_ref(&mut file).take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}
