//! The configuration file key by key, as it is written: [`Written`], and what of it depends on
//! where the file lies (the data directory and the topology file).

use super::secrets::security;
use super::serving::{Off, WrittenToken};
use super::{Overrides, Storage, missing, read};
use crate::config::VerifyLog;
use crate::security::Security;
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
    #[serde(default)]
    pub(super) allow_memory_majority: bool,
    pub(super) listen: Option<String>,
    pub(super) http: Option<String>,
    #[serde(default)]
    insecure: bool,
    secrets: Option<PathBuf>,
    key: Option<PathBuf>,
    topology: Option<PathBuf>,
    pub(super) election_timeout_ms: Option<u64>,
    pub(super) heartbeat_ms: Option<u64>,
    pub(super) request_timeout_ms: Option<u64>,
    pub(super) idempotency_retention_s: Option<u64>,
    pub(super) snapshot_entries: Option<u64>,
    pub(super) snapshot_log_bytes: Option<u64>,
    pub(super) segment_bytes: Option<u64>,
    pub(super) verify_log: Option<VerifyLog>,
    pub(super) snapshot_bytes_per_second: Option<u64>,
    pub(super) relay_bytes_per_second: Option<u64>,
    pub(super) relay_queue_bytes: Option<usize>,
    pub(super) frame_bytes_max: Option<usize>,
    pub(super) hosts_domain: Option<String>,
    pub(super) hosts_redirect: Option<String>,
    pub(super) auth: Option<Off>,
    pub(super) tls: Option<Off>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) tls_client_ca: Option<PathBuf>,
    pub(super) http_connections_max: Option<usize>,
    pub(super) http_connections_per_address_max: Option<usize>,
    pub(super) http_requests_per_second: Option<u32>,
    pub(super) http_header_timeout_ms: Option<u64>,
    pub(super) http_body_timeout_ms: Option<u64>,
    #[serde(default)]
    pub(super) tokens: Vec<WrittenToken>,
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

    /// What the files that are given or written hold, and where the secrets are; they are found
    /// like the data directory.
    pub(super) fn security_of(
        &self,
        folder: &Path,
        overrides: &Overrides,
    ) -> Result<(Security, Option<PathBuf>), FileError> {
        let path = |given: &Option<PathBuf>, written: &Option<PathBuf>| {
            given.clone().or_else(|| written.as_ref().map(|path| folder.join(path)))
        };
        let secrets = path(&overrides.secrets, &self.secrets);
        let key = path(&overrides.key, &self.key);
        match (self.insecure, secrets, key) {
            (true, None, None) => Ok((Security::Insecure, None)),
            (true, secrets, _) => {
                let key = if secrets.is_some() { "secrets" } else { "key" };
                let problem = "contradicts insecure = true, with which nothing is sealed";
                Err(FileError::new(key, problem, "remove one of the two"))
            }
            (false, Some(secrets), Some(key)) => Ok((security(&secrets, &key)?, Some(secrets))),
            (false, None, _) => {
                let missing = missing("secrets", "secrets = \"FILE\"");
                let mend =
                    format!("{}, as `holm init` writes it; or {INSECURE_MEND}", missing.mend);
                Err(FileError { mend, ..missing })
            }
            (false, Some(_), None) => Err(missing("key", "key = \"FILE\"")),
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

const INSECURE_MEND: &str = "add insecure = true to accept that anybody who can reach `listen` or \
                             read the wire can read and change everything";

fn directory(path: PathBuf) -> Result<Storage, FileError> {
    if path.as_os_str().is_empty() {
        return Err(FileError::new("data_dir", "is empty", "name a directory"));
    }
    Ok(Storage::Directory(path))
}

fn topology_at(path: &Path) -> Result<Topology, FileError> {
    Topology::parse(&read(path)?).map_err(|error| error.in_file(path))
}
