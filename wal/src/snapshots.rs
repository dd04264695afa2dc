//! Snapshot files: `Snapshots` saves a snapshot whole or not at all, keeps the last two, and finds
//! the newest readable one. `docs/wal-format.md` has the diagram.

use crate::disk::{Disk, Job};
use crate::error::Error;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32fast::Hasher;
use holm_raft_core::{Configuration, EntryId, Index, LogTime, Snapshot, SnapshotMeta, Term};
use std::io;
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"HOLMSNAP";
const VERSION: u32 = 1;
/// Magic, version and checksum.
const PREFIX_BYTES: usize = 16;
/// All that stands before the configuration.
const HEADER_BYTES: usize = 64;

/// The snapshots on a disk, which may be the log's.
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    damaged: Vec<String>,
}

impl Snapshots {
    /// How many snapshots are kept: the newest, and the one before it in case that is damaged.
    pub const KEPT: usize = 2;

    /// Removes what crashed saves left, and finds the newest snapshot that is whole. Check with
    /// [`Recovered::check_snapshot`](crate::Recovered::check_snapshot) that the log reaches back
    /// to it.
    ///
    /// # Errors
    /// [`Error::SnapshotDamaged`] if there are snapshots but none is whole; [`Error::Version`] for
    /// one of another version; whatever the disk reports.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Self, Option<Snapshot>), Error> {
        let names = disk.list().map_err(Error::io("listing", "the snapshots' directory"))?;
        for name in names.iter().filter(|name| is_unfinished(name)) {
            disk.remove(name).map_err(Error::io("removing", name))?;
        }
        let mut damaged = Vec::new();
        for name in names.iter().rev().filter(|name| is_snapshot(name)) {
            let file = disk.open(name).map_err(Error::io("opening", name))?;
            let len = usize::try_from(file.len()).expect("files fit into memory");
            let bytes = file.copy(0, len).map_err(Error::io("reading", name))?;
            match decode(bytes) {
                Ok(snapshot) => return Ok((Self { disk, damaged }, Some(snapshot))),
                Err(Undecodable::Version(found)) => {
                    return Err(Error::Version { name: name.clone(), found });
                }
                Err(Undecodable::Damaged) => damaged.push(name.clone()),
            }
        }
        match damaged.first() {
            Some(name) => Err(Error::SnapshotDamaged { name: name.clone() }),
            None => Ok((Self { disk, damaged }, None)),
        }
    }

    /// The file names of damaged snapshots, newest first, that are newer than the one which
    /// [`open`](Self::open) found.
    #[must_use]
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// What to run, with [`Disk::run`], to save the snapshot. When it has succeeded, the snapshot
    /// is durable and replaces all but the one before it; if it fails or is cut off, the others
    /// are as they were. One at a time.
    #[must_use = "nothing is saved until the job has run"]
    pub fn save_job(&self, snapshot: &Snapshot) -> Job {
        let disk = Arc::clone(&self.disk);
        let snapshot = snapshot.clone();
        Box::new(move || save(&*disk, &snapshot))
    }
}

fn save(disk: &dyn Disk, snapshot: &Snapshot) -> io::Result<()> {
    let name = name_of(&snapshot.meta.last);
    let unfinished = format!("{name}.new");
    match disk.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let header = encode_header(snapshot)?;
    let file = disk.create(&unfinished, (header.len() + snapshot.data.len()) as u64)?;
    file.write(0, &[&header, &snapshot.data])?;
    file.sync()?;
    disk.rename(&unfinished, &name)?;
    disk.sync_directory()?;
    let mut names = disk.list()?;
    names.retain(|other| is_snapshot(other) && *other <= name);
    let old = names.len().saturating_sub(Snapshots::KEPT);
    for name in &names[..old] {
        disk.remove(name)?;
    }
    Ok(())
}

/// A snapshot's file name: it sorts by index.
fn name_of(last: &EntryId) -> String {
    format!("snapshot-{:016x}-{:016x}.holm", last.index.0, last.term.0)
}

fn is_snapshot(name: &str) -> bool {
    name.starts_with("snapshot-") && name.ends_with(".holm")
}

fn is_unfinished(name: &str) -> bool {
    name.starts_with("snapshot-") && name.ends_with(".holm.new")
}

/// The header and the configuration: all but the data.
fn encode_header(snapshot: &Snapshot) -> io::Result<Bytes> {
    let meta = &snapshot.meta;
    let configuration = meta.configuration.encode();
    let length = u32::try_from(configuration.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut rest = BytesMut::with_capacity(HEADER_BYTES - PREFIX_BYTES + configuration.len());
    rest.put_u64_le(meta.last.index.0);
    rest.put_u64_le(meta.last.term.0);
    rest.put_u64_le(meta.time.0);
    rest.put_u64_le(meta.configuration_index.0);
    rest.put_u64_le(snapshot.data.len() as u64);
    rest.put_u32_le(length);
    rest.put_u32_le(0);
    rest.put_slice(&configuration);
    let mut hasher = Hasher::new();
    hasher.update(&rest);
    hasher.update(&snapshot.data);
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + rest.len());
    bytes.put_slice(&MAGIC);
    bytes.put_u32_le(VERSION);
    bytes.put_u32_le(hasher.finalize());
    bytes.put_slice(&rest);
    Ok(bytes.freeze())
}

enum Undecodable {
    Version(u32),
    Damaged,
}

fn decode(mut bytes: Bytes) -> Result<Snapshot, Undecodable> {
    use Undecodable::{Damaged, Version};
    if bytes.len() < HEADER_BYTES || bytes.split_to(MAGIC.len())[..] != MAGIC {
        return Err(Damaged);
    }
    let version = bytes.get_u32_le();
    if version != VERSION {
        return Err(Version(version));
    }
    if bytes.get_u32_le() != crc32fast::hash(&bytes) {
        return Err(Damaged);
    }
    let index = Index(bytes.get_u64_le());
    let term = Term(bytes.get_u64_le());
    let time = LogTime(bytes.get_u64_le());
    let configuration_index = Index(bytes.get_u64_le());
    let data_length = bytes.get_u64_le();
    let length = usize::try_from(bytes.get_u32_le()).map_err(|_| Damaged)?;
    if bytes.get_u32_le() != 0 || bytes.len() < length {
        return Err(Damaged);
    }
    let configuration = Configuration::decode(bytes.split_to(length)).map_err(|_| Damaged)?;
    if bytes.len() as u64 != data_length {
        return Err(Damaged);
    }
    let last = EntryId::new(term, index);
    let meta = SnapshotMeta { last, time, configuration, configuration_index };
    Ok(Snapshot { meta, data: bytes })
}
