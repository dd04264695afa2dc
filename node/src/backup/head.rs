//! What a backup says of itself ([`BackupHead`]), and [`BackupCheck`], which finds whether one is
//! whole while its bytes go by: no more of them than the head is held.

use super::{DIGEST_BYTES, HEAD_BYTES, MAGIC, NoBackup, PREFIX_BYTES, VERSION};
use bytes::{Buf, Bytes};
use holm_raft_core::{
    Configuration, EntryId, Incarnation, Index, LogTime, MemberId, NodeId, SnapshotMeta, Term,
};
use orion::hazardous::hash::blake2::blake2b::Blake2b;

/// The longest head, in bytes: the largest configuration fits.
const HEAD_BYTES_MAX: usize = 4 << 20;

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupHead {
    cluster: String,
    by: MemberId,
    meta: SnapshotMeta,
    bytes: u64,
}

/// Checks the bytes of a backup, piece by piece, in their order.
pub struct BackupCheck {
    /// The prefix and the head, as far as they have come.
    begin: Vec<u8>,
    /// The latest bytes, of which the last may be the digest.
    held: Vec<u8>,
    hash: Blake2b,
    bytes: u64,
}

impl BackupHead {
    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Up to which index the state had applied the log.
    #[must_use]
    pub const fn index(&self) -> Index {
        self.meta.last.index
    }

    /// The number of the member that made it.
    #[must_use]
    pub const fn by(&self) -> u64 {
        self.by.node.0
    }

    /// The numbers of the members that the cluster had.
    pub fn members(&self) -> impl Iterator<Item = u64> + '_ {
        self.meta.configuration.members().map(|(member, _)| member.id.node.0)
    }

    /// The length of the file, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) const fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    pub(super) const fn new(cluster: String, by: MemberId, meta: SnapshotMeta, bytes: u64) -> Self {
        Self { cluster, by, meta, bytes }
    }

    /// The head behind the prefix, of a file that is whole.
    fn read(head: &[u8], bytes: u64) -> Option<Self> {
        let mut rest = Bytes::copy_from_slice(head);
        let index = Index(rest.try_get_u64_le().ok()?);
        let last = EntryId::new(Term(rest.try_get_u64_le().ok()?), index);
        let time = LogTime(rest.try_get_u64_le().ok()?);
        let node = NodeId(rest.try_get_u64_le().ok()?);
        let by = MemberId::new(node, Incarnation(rest.try_get_u64_le().ok()?));
        rest.try_get_u64_le().ok()?;
        let name = usize::from(rest.try_get_u8().ok()?);
        if name > rest.len() {
            return None;
        }
        let cluster = String::from_utf8(rest.split_to(name).to_vec()).ok()?;
        let configuration = Configuration::decode(rest).ok()?;
        let meta = SnapshotMeta { last, time, configuration, configuration_index: index };
        Some(Self { cluster, by, meta, bytes })
    }
}

impl Default for BackupCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl BackupCheck {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        let hash = Blake2b::new(DIGEST_BYTES).expect("a length that BLAKE2b has");
        Self { begin: Vec::new(), held: Vec::new(), hash, bytes: 0 }
    }

    /// The next bytes, of any length.
    ///
    /// # Errors
    /// As soon as it is known that this is no backup of this version; what comes then is nothing.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), NoBackup> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        let mut rest = piece;
        while let Some(wanted) = self.wanted()?
            && !rest.is_empty()
        {
            let (now, later) = rest.split_at(wanted.min(rest.len()));
            self.begin.extend_from_slice(now);
            rest = later;
        }
        // What is surely not the digest is hashed.
        self.held.extend_from_slice(piece);
        let sure = self.held.len().saturating_sub(DIGEST_BYTES);
        self.hash.update(&self.held[..sure]).expect("not finished yet");
        self.held.drain(..sure);
        Ok(())
    }

    /// After the last byte: what it is of.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn end(mut self) -> Result<BackupHead, NoBackup> {
        let wanted = self.wanted()?;
        if self.begin.len() < PREFIX_BYTES {
            return Err(NoBackup::Other);
        }
        let length = self.length();
        let data = self.begin[PREFIX_BYTES..].get(5 * 8..6 * 8).and_then(|mut bytes| {
            let data = bytes.try_get_u64_le().ok()?;
            Some(data.saturating_add((PREFIX_BYTES + length + DIGEST_BYTES) as u64))
        });
        let found = self.bytes;
        match data {
            Some(expected) if wanted.is_none() && found == expected => {}
            Some(expected) => return Err(NoBackup::Length { found, expected }),
            None => {
                let expected = (PREFIX_BYTES + length) as u64;
                return Err(NoBackup::Length { found, expected });
            }
        }
        let digest = self.hash.finalize().expect("not finished yet");
        if digest.as_ref() != self.held {
            return Err(NoBackup::Altered);
        }
        // What the digest covers was written by a build of this version.
        BackupHead::read(&self.begin[PREFIX_BYTES..], found).ok_or(NoBackup::Altered)
    }

    /// How many bytes of prefix and head are still to come.
    fn wanted(&self) -> Result<Option<usize>, NoBackup> {
        let known = self.begin.len().min(MAGIC.len());
        if self.begin[..known] != MAGIC[..known] {
            return Err(NoBackup::Other);
        }
        let Some(mut numbers) = self.begin.get(MAGIC.len()..PREFIX_BYTES) else {
            return Ok(Some(PREFIX_BYTES - self.begin.len()));
        };
        let found = numbers.get_u32_le();
        if found != VERSION {
            return Err(NoBackup::Version { found });
        }
        let length = self.length();
        if !(HEAD_BYTES..=HEAD_BYTES_MAX).contains(&length) {
            return Err(NoBackup::Altered);
        }
        let left = PREFIX_BYTES + length - self.begin.len();
        Ok((left > 0).then_some(left))
    }

    /// The head's, as the prefix says.
    fn length(&self) -> usize {
        let mut bytes = &self.begin[PREFIX_BYTES - 4..PREFIX_BYTES];
        usize::try_from(bytes.get_u32_le()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::tests::backup;

    #[test]
    fn pieces_of_any_length_are_checked_like_the_whole() {
        let backup = backup();
        let file = backup.file();
        for size in (1..=file.len()).chain([file.len() + 1]) {
            let mut checking = BackupCheck::new();
            for piece in file.chunks(size) {
                checking.take(piece).expect("sound so far");
                assert!(checking.held.len() <= DIGEST_BYTES, "no more is held than may be needed");
            }
            assert_eq!(checking.end().as_ref(), Ok(backup.head()), "pieces of {size}");
        }
    }

    #[test]
    fn a_head_that_could_not_be_held_is_refused_before_it_is() {
        let mut file = backup().file().to_vec();
        file[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(BackupCheck::new().take(&file), Err(NoBackup::Altered));
    }
}
