//! Backups: [`Node::backup`] gives the whole replicated state as it is at one index, on any running
//! member, as the bytes of a file that says what it is of; [`Backup::read`] takes such a file back,
//! all of it checked, and [`BackupCheck`] checks one that goes by. `crate::restore` makes a new
//! cluster of one.
//!
//! ```text
//!  0            8         12       16
//! ┌────────────┬─────────┬────────┬──────┬──────┬─────────────────────┐
//! │ "HOLMBACK" │ version │ length │ head │ data │ BLAKE2b-256 of all  │
//! │            │ u32 = 1 │ u32    │      │      │ before it, 32 bytes │
//! └────────────┴─────────┴────────┴──────┴──────┴─────────────────────┘
//! head  index u64 │ term u64 │ log time u64 │ node u64 │ incarnation u64 │ data's length u64
//!       │ length u8, cluster's name │ configuration, to the end
//! ```
//! Little-endian. The data are those of a snapshot: sessions, keys and the embedder's state.

mod head;

pub use head::{BackupCheck, BackupHead};

use crate::driver::Request;
use crate::error::Error;
use crate::machine::StateMachine;
use crate::node::{Node, Wait};
use crate::reading::ReadOptions;
use crate::replica::Frozen;
use crate::room::Room;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Index, MemberId, SnapshotMeta};
use orion::hazardous::hash::blake2::blake2b::Hasher;
use std::sync::Arc;
use tokio::sync::oneshot;

const MAGIC: &[u8; 8] = b"HOLMBACK";
const VERSION: u32 = 1;
/// Magic, version and the head's length.
const PREFIX_BYTES: usize = 16;
/// What a head holds besides the cluster's name and the configuration.
const HEAD_BYTES: usize = 49;
const DIGEST_BYTES: usize = 32;

/// The state of a cluster at one index, whole and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    head: BackupHead,
    file: Bytes,
    data: Bytes,
}

/// What a node needs to make backups.
#[derive(Debug)]
pub(crate) struct Copies {
    pub(crate) cluster: String,
    pub(crate) member: MemberId,
    /// For one at a time.
    pub(crate) room: Arc<Room>,
}

/// What the driver says of a copy of the state.
pub(crate) struct Copied<T> {
    pub(crate) meta: SnapshotMeta,
    pub(crate) state: Frozen<T>,
}

/// Why bytes are no backup that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBackup {
    /// It is something else.
    #[error("this is no backup of holm; name a file that `holm backup` has written")]
    Other,
    /// It is of another version.
    #[error(
        "the backup has format {found}, this build reads {VERSION}; use the build that wrote it"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// Its length is not what its head says.
    #[error(
        "the backup has {found} bytes, and its head says {expected}: it was cut or added to; fetch \
         it again, or use another one"
    )]
    Length {
        /// What there is.
        found: u64,
        /// What there should be.
        expected: u64,
    },
    /// Its bytes do not match their digest.
    #[error("the backup was altered: its bytes do not match their digest; use another one")]
    Altered,
}

impl Backup {
    fn new(cluster: String, by: MemberId, meta: SnapshotMeta, data: &[u8]) -> Self {
        let configuration = meta.configuration.encode();
        let length = HEAD_BYTES + cluster.len() + configuration.len();
        let mut file = BytesMut::with_capacity(PREFIX_BYTES + length + data.len() + DIGEST_BYTES);
        file.put_slice(MAGIC);
        file.put_u32_le(VERSION);
        file.put_u32_le(u32::try_from(length).expect("a configuration is short"));
        file.put_u64_le(meta.last.index.0);
        file.put_u64_le(meta.last.term.0);
        file.put_u64_le(meta.time.0);
        file.put_u64_le(by.node.0);
        file.put_u64_le(by.incarnation.0);
        file.put_u64_le(data.len() as u64);
        file.put_u8(u8::try_from(cluster.len()).expect("64 bytes at most"));
        file.put_slice(cluster.as_bytes());
        file.put_slice(&configuration);
        file.put_slice(data);
        let digest = digest(&file);
        file.put_slice(&digest);
        let file = file.freeze();
        let data = file.slice(PREFIX_BYTES + length..file.len() - DIGEST_BYTES);
        let head = BackupHead::new(cluster, by, meta, file.len() as u64);
        Self { head, file, data }
    }

    /// The backup that these bytes are.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(file: Bytes) -> Result<Self, NoBackup> {
        let mut checking = BackupCheck::new();
        checking.take(&file)?;
        let head = checking.end()?;
        let mut length = &file[PREFIX_BYTES - 4..PREFIX_BYTES];
        let length = usize::try_from(length.get_u32_le()).map_err(|_| NoBackup::Altered)?;
        let data = file.slice(PREFIX_BYTES + length..file.len() - DIGEST_BYTES);
        Ok(Self { head, file, data })
    }

    /// What it is of.
    #[must_use]
    pub const fn head(&self) -> &BackupHead {
        &self.head
    }

    /// The bytes of the file.
    #[must_use]
    pub const fn file(&self) -> &Bytes {
        &self.file
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        self.head.cluster()
    }

    /// Up to which index the state had applied the log.
    #[must_use]
    pub const fn index(&self) -> Index {
        self.head.index()
    }

    pub(crate) const fn meta(&self) -> &SnapshotMeta {
        self.head.meta()
    }

    /// The state's bytes, as a snapshot has them.
    pub(crate) const fn data(&self) -> &Bytes {
        &self.data
    }
}

fn digest(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let hash = Hasher::Blake2b256.digest(bytes).expect("hashing takes any bytes");
    hash.as_ref().try_into().expect("256 bits")
}

impl<S: StateMachine> Node<S> {
    /// Copies the whole replicated state, at one index, into a backup. By default it holds all that
    /// was answered before the call, anywhere; [`Consistency::Local`](crate::Consistency::Local)
    /// takes what this member has applied, however old, and needs nobody.
    ///
    /// The copy is frozen as for a snapshot; it is encoded beside what goes on, and held in memory
    /// twice for a moment. One at a time. Dropping the future gives it up.
    ///
    /// # Errors
    /// As for [`read`](Self::read); [`Error::Busy`] also while another backup is made
    /// (`backups_max`), [`Error::Encode`] if the state can't be encoded.
    pub async fn backup(&self, options: ReadOptions) -> Result<Backup, Error> {
        let copies = Arc::clone(self.copies());
        let _place = copies.room.take(1).ok_or(Error::Busy { limit: "backups_max" })?;
        let wait = Wait::new(options.timeout.unwrap_or(self.request_timeout()));
        // What is read here is applied here: a copy that is made afterwards holds it.
        self.read_with(options, |_| ()).await?;
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Copy { reply })?;
        let copied = match wait.within(answer).await {
            Some(Ok(Some(copied))) => copied,
            Some(Ok(None)) | None => return Err(wait.unavailable()),
            Some(Err(_)) => return Err(self.stopped_error()),
        };
        #[allow(deprecated, reason = "the simulator's tokio warns of it, and runs it inline")]
        let encoded = tokio::task::spawn_blocking(move || {
            let data = copied.state.encode().map_err(|error| Error::Encode(error.to_string()))?;
            Ok(Backup::new(copies.cluster.clone(), copies.member, copied.meta, &data))
        });
        encoded.await.map_err(|_| Error::Encode("encoding it panicked; see its message".into()))?
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use holm_raft_core::{Configuration, EntryId, Incarnation, LogTime, Member, NodeId, Term};

    pub(crate) fn backup() -> Backup {
        let by = MemberId::new(NodeId(2), Incarnation(7));
        let member = Member { id: by, info: Bytes::from_static(b"info") };
        let meta = SnapshotMeta {
            last: EntryId::new(Term(3), Index(9)),
            time: LogTime(5),
            configuration: Configuration::new([member]),
            configuration_index: Index(9),
        };
        Backup::new("harbour".into(), by, meta, b"the state")
    }

    #[test]
    fn a_backup_survives_its_bytes_and_says_what_it_is_of() {
        let backup = backup();
        let read = Backup::read(backup.file().clone()).unwrap();
        assert_eq!(read, backup);
        let head = read.head();
        assert_eq!((read.cluster(), read.index(), head.by()), ("harbour", Index(9), 2));
        assert_eq!(head.members().collect::<Vec<_>>(), [2]);
        assert_eq!(head.bytes(), read.file().len() as u64);
        assert_eq!(&read.data()[..], b"the state");
    }

    #[test]
    fn whatever_is_cut_off_or_added_or_altered_is_found() {
        let file = backup().file().clone();
        for length in 0..file.len() {
            let cut = Backup::read(file.slice(..length)).unwrap_err();
            assert!(matches!(cut, NoBackup::Other | NoBackup::Length { .. }), "{length}: {cut}");
        }
        let longer = Backup::read([&file[..], b"\0"].concat().into()).unwrap_err();
        assert!(matches!(longer, NoBackup::Length { .. }), "{longer}");
        for at in 0..file.len() {
            for bit in [1, 0x80] {
                let mut altered = file.to_vec();
                altered[at] ^= bit;
                assert!(Backup::read(altered.into()).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let mut file = backup().file().to_vec();
        file[8] = 2;
        assert_eq!(Backup::read(file.into()), Err(NoBackup::Version { found: 2 }));
    }
}
