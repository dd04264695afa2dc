//! The configuration file key by key, as it is written: [`Written`], and what of it depends on
//! where the file lies (the data directory and the topology file).

use super::{Overrides, Storage, missing, read};
use crate::config::VerifyLog;
use crate::topology::{FileError, Island, Link, Member, Topology};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The keys of the file. docs/configuration.md says what they mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) cluster: Option<String>,
    pub(super) node: Option<u64>,
    data_dir: Option<PathBuf>,
    storage: Option<Memory>,
    pub(super) listen: Option<String>,
    pub(super) http: Option<String>,
    #[serde(default)]
    pub(super) insecure: bool,
    topology: Option<PathBuf>,
    pub(super) election_timeout_ms: Option<u64>,
    pub(super) heartbeat_ms: Option<u64>,
    pub(super) request_timeout_ms: Option<u64>,
    pub(super) idempotency_retention_s: Option<u64>,
    pub(super) snapshot_entries: Option<u64>,
    pub(super) segment_bytes: Option<u64>,
    pub(super) verify_log: Option<VerifyLog>,
    #[serde(default)]
    islands: Vec<Island>,
    #[serde(default)]
    members: Vec<Member>,
    #[serde(default)]
    links: Vec<Link>,
}

/// The one storage that is chosen by a word instead of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// Keep nothing on disk.
    Memory,
}

impl Written {
    /// The storage that flags and environment choose, else the file's. A relative directory in
    /// the file is relative to the file; a given one to where the command runs.
    pub(super) fn storage_of(
        &self,
        folder: &Path,
        overrides: &Overrides,
    ) -> Result<Storage, FileError> {
        if self.storage.is_some() && self.data_dir.is_some() {
            let problem = "contradicts storage = \"memory\", which keeps nothing on disk";
            return Err(FileError::new("data_dir", problem, "remove one of the two"));
        }
        match (&overrides.data_dir, overrides.storage, &self.data_dir, self.storage) {
            (Some(_), Some(_), _, _) => {
                let problem = "HOLM_DATA_DIR and HOLM_STORAGE contradict each other";
                Err(FileError::new("data_dir", problem, "unset one of the two"))
            }
            (Some(given), None, _, _) => directory(given.clone()),
            (None, Some(Memory::Memory), _, _) => Ok(Storage::Memory),
            (None, None, Some(written), _) if written.as_os_str().is_empty() => {
                directory(written.clone())
            }
            (None, None, Some(written), _) => directory(folder.join(written)),
            (None, None, None, Some(Memory::Memory)) => Ok(Storage::Memory),
            (None, None, None, None) => {
                Err(missing("data_dir", "data_dir = \"DIR\" or storage = \"memory\""))
            }
        }
    }

    /// The topology, from the given file, the file's own entries, or the file it names.
    pub(super) fn topology_of(
        &self,
        folder: &Path,
        overrides: &Overrides,
    ) -> Result<Topology, FileError> {
        if let Some(given) = &overrides.topology {
            return topology_at(given);
        }
        let inline = Topology {
            islands: self.islands.clone(),
            members: self.members.clone(),
            links: self.links.clone(),
        };
        let has_entries = inline != Topology::default();
        match &self.topology {
            Some(_) if has_entries => {
                let problem = "names a file, and there are [[islands]], [[members]] or [[links]] \
                               here too";
                Err(FileError::new("topology", problem, "keep one of the two"))
            }
            Some(written) => topology_at(&folder.join(written)),
            None if has_entries => inline.check().map(|()| inline),
            None => {
                let example = "topology = \"FILE\" or [[islands]] and [[members]] entries";
                Err(missing("topology", example))
            }
        }
    }
}

fn directory(path: PathBuf) -> Result<Storage, FileError> {
    if path.as_os_str().is_empty() {
        return Err(FileError::new("data_dir", "is empty", "name a directory"));
    }
    Ok(Storage::Directory(path))
}

fn topology_at(path: &Path) -> Result<Topology, FileError> {
    Topology::parse(&read(path)?).map_err(|error| error.in_file(path))
}
