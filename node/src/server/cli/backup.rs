//! `holm backup`, `holm restore` and `holm inspect backup`.

use super::client::query;
use super::{ClientArgs, Consistency, USAGE, failed, print, told};
use crate::backup::Backup;
use crate::config::{Config, Start, Storage};
use crate::open::edges;
use crate::restore::restore;
use crate::server::client::Ask;
use crate::server::file::{Overrides, ServeConfig};
use crate::server::setup::sync_folder;
use bytes::Bytes;
use clap::Args;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    let client = args.at.client()?.answered_by(usize::MAX);
    let ask = Ask::get(format!("/v1/backup{}", query(args.consistency)));
    let mut why = String::new();
    for endpoint in &args.at.endpoint {
        let answer = match client.ask(endpoint, &ask, args.at.timeout).await {
            Ok(answer) => answer,
            Err(error) => {
                why = format!("{error}; name other members with --endpoint, or a longer --timeout");
                continue;
            }
        };
        match super::client::good(answer) {
            Ok(answer) => return keep(&args.file, answer.body),
            Err(error) => why = format!("{endpoint}: {error}"),
        }
    }
    Err(why)
}

/// Writes what has arrived, if it is whole, beside the file, and renames.
fn keep(path: &Path, bytes: Bytes) -> Result<(), String> {
    let backup =
        Backup::read(bytes).map_err(|error| format!("what arrived is no good: {error}"))?;
    let beside = path.with_added_extension("new");
    let written = || -> io::Result<()> {
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(backup.file())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        sync_folder(match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        })
    };
    written().map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    print(says(&backup).as_bytes())
}

fn says(backup: &Backup) -> String {
    format!(
        "cluster {} up to index {}, members {}, as member {} had it; {} bytes\n",
        backup.cluster(),
        backup.index(),
        listed(backup.members()),
        backup.by(),
        backup.file().len()
    )
}

fn listed(ids: impl IntoIterator<Item = u64>) -> String {
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    ids.join(", ")
}

fn read(path: &Path) -> Result<Backup, String> {
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    Backup::read(bytes.into()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Checks all of it, and says what it is of.
pub(super) fn inspect(args: &InspectArgs) -> Result<(), String> {
    print(says(&read(&args.file)?).as_bytes())
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
