//! What the replicated configuration says of a member beside its id: `MemberInfo`. The core carries
//! it and never reads it.

use crate::members::StorageKind;
use crate::topology::Member;
use bytes::Bytes;
use holm_raft_core as raft;
use holm_raft_core::Configuration;
use holm_transport::{Epoch, PublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where a member is, and what it does for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberInfo {
    pub(crate) address: Option<String>,
    pub(crate) island: String,
    pub(crate) key: Option<PublicKey>,
    pub(crate) relay: bool,
    /// How many keys it owns, next to the others (`rendezvous`).
    pub(crate) weight: u16,
    /// What is left of it after a restart.
    pub(crate) storage: StorageKind,
    /// Which recovery of the cluster the configuration belongs to, as far as this member's entry
    /// knows; what the latest of all entries says counts ([`epoch_of`]).
    #[serde(skip)]
    pub(crate) epoch: u64,
}

/// Which recovery of the cluster a configuration belongs to.
pub(crate) fn epoch_of(configuration: &Configuration) -> Epoch {
    if configuration.is_empty() {
        return Epoch::NONE_YET;
    }
    let said = |(member, _): &(raft::Member, raft::Standing)| {
        MemberInfo::decode(&member.info).map_or(0, |info| info.epoch)
    };
    Epoch(configuration.members().map(said).max().unwrap_or(0))
}

/// An epoch after this one, which nobody else draws.
pub(crate) fn next_epoch(epoch: Epoch, drawn: u64) -> Epoch {
    // How many there were, and what makes it another than that of any other recovery.
    let count = if epoch == Epoch::NONE_YET { 0 } else { epoch.0 >> 48 };
    Epoch((count + 1).min(0x7fff) << 48 | drawn >> 16)
}

/// Bytes that are no `MemberInfo` of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    /// Another format.
    #[error(
        "what is said of the members has format {found}, and this version of holm reads formats 2 \
         to {FORMAT_WITH_EPOCH}; start the version that wrote it, or form the cluster anew"
    )]
    Format {
        /// The first byte.
        found: u8,
    },
    /// This format, and nonsense.
    #[error("what is said of the members is damaged; put the files of a sound copy here")]
    Damaged,
}

/// What format 2 said: all weighed alike.
#[derive(Deserialize)]
struct Format2 {
    address: Option<String>,
    island: String,
    key: Option<PublicKey>,
    relay: bool,
}

/// The first byte. An unreleased version had none, and began with 0 or 1.
const FORMAT: u8 = 3;
/// That of a cluster that was recovered or restored: as format 3, after the epoch, a u64.
const FORMAT_WITH_EPOCH: u8 = 4;

impl Default for MemberInfo {
    fn default() -> Self {
        Self {
            address: None,
            island: String::new(),
            key: None,
            relay: false,
            weight: 1,
            storage: StorageKind::Disk,
            epoch: 0,
        }
    }
}

impl MemberInfo {
    /// One byte of format, the epoch if there is one, little-endian, then postcard.
    pub(crate) fn encode(&self) -> Bytes {
        let mut head = vec![FORMAT];
        if self.epoch != 0 {
            head = vec![FORMAT_WITH_EPOCH];
            head.extend(self.epoch.to_le_bytes());
        }
        postcard::to_extend(self, head).expect("strings are always encodable").into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unknown> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => whole(rest),
            Some((&FORMAT_WITH_EPOCH, rest)) => {
                let (epoch, rest) = rest.split_first_chunk().ok_or(Unknown::Damaged)?;
                Ok(Self { epoch: u64::from_le_bytes(*epoch), ..whole(rest)? })
            }
            Some((2, rest)) => {
                let Format2 { address, island, key, relay } = whole(rest)?;
                Ok(Self { address, island, key, relay, ..Self::default() })
            }
            Some((&found, _)) => Err(Unknown::Format { found }),
            None => Err(Unknown::Damaged),
        }
    }

    /// The member of the topology that this is.
    pub(crate) fn placed(self, id: u64) -> Member {
        let Self { address, island, key, relay, weight, .. } = self;
        Member { id, island, address, key, relay, weight }
    }
}

/// Of a member whose storage is on a disk.
impl From<&Member> for MemberInfo {
    fn from(member: &Member) -> Self {
        Self {
            address: member.address.clone(),
            island: member.island.clone(),
            key: member.key,
            relay: member.relay,
            weight: member.weight,
            storage: StorageKind::Disk,
            epoch: 0,
        }
    }
}

/// What these bytes say, if they say it to the end.
fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unknown> {
    match postcard::take_from_bytes(bytes) {
        Ok((info, [])) => Ok(info),
        _ => Err(Unknown::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_info_fits_a_configuration_and_survives() {
        let mut info = MemberInfo {
            address: Some("a".repeat(crate::topology::Topology::ADDRESS_BYTES_MAX)),
            island: "i".repeat(crate::topology::Topology::ISLAND_BYTES_MAX),
            key: Some(PublicKey([7; 32])),
            relay: true,
            weight: u16::MAX,
            storage: StorageKind::Memory,
            epoch: u64::MAX,
        };
        let bytes = info.encode();
        assert!(bytes.len() <= Configuration::INFO_BYTES_MAX, "{} bytes", bytes.len());
        assert_eq!(MemberInfo::decode(&bytes), Ok(info.clone()));
        info.address = None;
        assert_eq!(MemberInfo::decode(&info.encode()), Ok(info));
    }

    #[test]
    fn the_bytes_are_the_format_and_its_fields_in_order() {
        let mut info =
            MemberInfo { address: Some("a:1".into()), island: "n".into(), ..Default::default() };
        assert_eq!(&info.encode()[..], b"\x03\x01\x03a:1\x01n\x00\x00\x01\x00");
        let key = PublicKey([0; 32]);
        let storage = StorageKind::Memory;
        info = MemberInfo { key: Some(key), relay: true, weight: 300, storage, ..info };
        let expected = format!("\x03\x01\x03a:1\x01n\x01\x3c{key}\x01");
        // 300 = 0b10_0101100, seven bits a byte, the lowest first.
        assert_eq!(&info.encode()[..], [expected.as_bytes(), b"\xac\x02\x01"].concat());
    }

    #[test]
    fn what_format_2_said_is_read_and_weighs_one() {
        let info = MemberInfo {
            address: Some("a:1".into()),
            island: "n".into(),
            relay: true,
            ..Default::default()
        };
        assert_eq!(MemberInfo::decode(b"\x02\x01\x03a:1\x01n\x00\x01"), Ok(info));
    }

    #[test]
    fn other_formats_and_damage_are_refused_by_name() {
        // What an unreleased version wrote: postcard without a format.
        for old in [&b"\x01\x03a:1\x01n"[..], b"\x00\x01n"] {
            assert_eq!(MemberInfo::decode(old), Err(Unknown::Format { found: old[0] }));
        }
        assert_eq!(MemberInfo::decode(b"\x05"), Err(Unknown::Format { found: 5 }));
        let bytes = MemberInfo::default().encode();
        let longer = [&bytes[..], b"\x00"].concat();
        for damaged in [&b""[..], &bytes[..bytes.len() - 1], &longer] {
            assert_eq!(MemberInfo::decode(damaged), Err(Unknown::Damaged));
        }
    }

    #[test]
    fn the_latest_epoch_that_any_member_s_entry_knows_is_the_configuration_s() {
        let member = |node: u64, epoch| {
            let info = MemberInfo { epoch, ..MemberInfo::default() };
            assert_eq!(MemberInfo::decode(&info.encode()), Ok(info.clone()));
            let id = raft::MemberId::new(raft::NodeId(node), raft::Incarnation(node));
            raft::Member { id, info: info.encode() }
        };
        let first = Configuration::new([member(1, 0), member(2, 0)]);
        assert_eq!(epoch_of(&first), Epoch::FIRST);
        assert_eq!(epoch_of(&Configuration::default()), Epoch::NONE_YET);
        let second = next_epoch(Epoch::FIRST, u64::MAX);
        let third = next_epoch(second, 0);
        assert!(Epoch::FIRST < second && second < third && third < Epoch::NONE_YET);
        let mixed = [member(1, second.0), member(2, third.0), member(3, 0)];
        assert_eq!(epoch_of(&Configuration::new(mixed)), third);
        let other = next_epoch(Epoch::FIRST, u64::MAX - (1 << 20));
        assert_ne!(second, other, "two recoveries of the same cluster");
    }
}
