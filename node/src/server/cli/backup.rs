//! `holm backup`, `holm restore` and `holm inspect backup`.

use super::client::query;
use super::{ClientArgs, Consistency, USAGE, failed, print, told};
use crate::backup::{Backup, BackupCheck, BackupHead, NoBackup};
use crate::config::{Config, Start, Storage};
use crate::open::edges;
use crate::restore::restore;
use crate::server::client::Ask;
use crate::server::file::{Overrides, ServeConfig};
use crate::server::progress::Progress;
use crate::server::setup::sync_folder;
use clap::Args;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::NamedTempFile;

/// How much of a file is read at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  holm backup harbour.backup --endpoint 10.0.0.1
  holm backup last.backup --consistency local --endpoint 10.0.0.3    # a majority is lost";
pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  holm restore harbour.backup --config new/node1/holm.toml --config new/node2/holm.toml \\
      --config new/node3/holm.toml
  holm restore harbour.backup --of harbour --config trial/node1/holm.toml";

pub(super) const INSPECT_EXAMPLES: &str = "\
Examples:
  holm inspect backup harbour.backup";

#[derive(Args)]
pub(super) struct BackupArgs {
    /// Where to write it; must not be there yet
    file: PathBuf,
    /// Whose state; local is the asked member's own, however old, and needs no majority
    #[arg(long, value_enum, default_value = "linearizable")]
    consistency: Consistency,
    #[command(flatten)]
    at: ClientArgs,
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// What `holm backup` has written
    file: PathBuf,
    /// The configuration of a member of the new cluster; give one for each
    #[arg(long, value_name = "FILE", required = true)]
    config: Vec<PathBuf>,
    /// The cluster that the backup is of [the new one's name]
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
}

#[derive(Args)]
pub(super) struct InspectArgs {
    /// What `holm backup` has written
    file: PathBuf,
}

/// Asks the endpoints in turn, once each.
pub(super) async fn backup(args: &BackupArgs) -> Result<(), String> {
    if args.file.exists() {
        return Err(format!("{} is there already; name another file", args.file.display()));
    }
    let client = args.at.client()?;
    let ask = Ask::get(format!("/v1/backup{}", query(args.consistency)));
    let mut why = String::new();
    for endpoint in &args.at.endpoint {
        let mut arrives = Arriving::begin(&args.file)?;
        let answer =
            client.fetch(endpoint, &ask, args.at.timeout, |piece| arrives.take(piece)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                why = format!("{error}; name other members with --endpoint, or a longer --timeout");
                continue;
            }
        };
        match super::client::good(answer) {
            Ok(_) => return arrives.end(&args.file),
            Err(error) => why = format!("{endpoint}: {error}"),
        }
    }
    Err(why)
}

/// A backup that is written while it arrives, under another name beside its own. It is gone when
/// this is dropped before its end.
struct Arriving {
    file: NamedTempFile,
    checking: BackupCheck,
    progress: Progress,
    bytes: u64,
}

impl Arriving {
    /// For its owner alone.
    fn begin(path: &Path) -> Result<Self, String> {
        let mut name = OsString::from(".");
        name.push(path.file_name().ok_or_else(|| format!("{} is no file", path.display()))?);
        let file = tempfile::Builder::new().prefix(&name).suffix(".new").tempfile_in(folder(path));
        let file = file.map_err(|error| unwritten(path, &error))?;
        let progress = Progress::of_bytes(format!("receiving {}", path.display()));
        Ok(Self { file, checking: BackupCheck::new(), progress, bytes: 0 })
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        self.checking.take(piece).map_err(|error| format!("what arrives is no good: {error}"))?;
        let written = self.file.write_all(piece);
        written.map_err(|error| unwritten(self.file.path(), &error))?;
        self.bytes += piece.len() as u64;
        self.progress.is_at(self.bytes);
        Ok(())
    }

    /// It gets its name, if it is whole.
    fn end(self, path: &Path) -> Result<(), String> {
        let Self { file, checking, progress, .. } = self;
        let head = checking.end();
        let head = head.map_err(|error| format!("what arrived is no good: {error}"))?;
        let kept = file.as_file().sync_all().and_then(|()| {
            file.persist_noclobber(path).map_err(|error| error.error)?;
            sync_folder(folder(path))
        });
        drop(progress);
        kept.map_err(|error| unwritten(path, &error))?;
        print(says(&head).as_bytes())
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn unwritten(path: &Path, error: &io::Error) -> String {
    format!("{} can't be written: {error}; make room there, or name another file", path.display())
}

fn says(backup: &BackupHead) -> String {
    format!(
        "cluster {} up to index {}, members {}, as member {} had it; {} bytes\n",
        backup.cluster(),
        backup.index(),
        listed(backup.members()),
        backup.by(),
        backup.bytes()
    )
}

fn listed(ids: impl IntoIterator<Item = u64>) -> String {
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    ids.join(", ")
}

fn unread(path: &Path, error: &io::Error) -> String {
    format!("{} can't be read: {error}; name a file that `holm backup` has written", path.display())
}

/// All of it at once: each member's state is held in memory as well.
fn read(path: &Path) -> Result<Backup, String> {
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|error| unread(path, &error))?;
    Backup::read(bytes.into()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Checks all of it, and says what it is of.
pub(super) fn inspect(args: &InspectArgs) -> Result<(), String> {
    let path = &args.file;
    let no_good = |error: NoBackup| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(|error| unread(path, &error))?;
    let (mut checking, mut piece) = (BackupCheck::new(), vec![0; PIECE_BYTES]);
    loop {
        let count = file.read(&mut piece).map_err(|error| unread(path, &error))?;
        if count == 0 {
            break;
        }
        checking.take(&piece[..count]).map_err(no_good)?;
    }
    print(says(&checking.end().map_err(no_good)?).as_bytes())
}

/// All is checked before anything is written.
pub(super) async fn run(args: &RestoreArgs) -> ExitCode {
    let mut configs = Vec::new();
    for path in &args.config {
        match ServeConfig::load(path, &Overrides::default()) {
            Ok(config) => configs.push(config.into_config(Start::Join)),
            Err(error) => return failed(USAGE, &error),
        }
    }
    told(restored(args, configs).await)
}

async fn restored(args: &RestoreArgs, configs: Vec<Config>) -> Result<(), String> {
    let backup = read(&args.file)?;
    let mut members = Vec::new();
    for config in configs {
        if config.storage == Storage::Memory {
            return Err(format!(
                "member {} keeps its log in memory, which ends with this command; give it a \
                 data_dir",
                config.node
            ));
        }
        let edges = edges(&config.storage).map_err(|error| error.to_string())?;
        members.push((config, edges));
    }
    let of = args.of.as_deref().or(members.first().map(|(config, _)| &*config.cluster));
    let of = of.unwrap_or_default().to_owned();
    let restored = restore(&backup, &of, &members).await.map_err(|error| error.to_string())?;
    let mut text = format!(
        "restored cluster {of} up to index {} to a new cluster {} of members {}.\n\
         Start them without --bootstrap. No member of the old cluster is part of it.\n",
        backup.index(),
        restored.cluster,
        listed(restored.members)
    );
    if !restored.left_out.is_empty() {
        let out = listed(restored.left_out);
        text.push_str(&format!("Not part of it yet, and to be added once it runs: {out}.\n"));
    }
    print(text.as_bytes())
}
