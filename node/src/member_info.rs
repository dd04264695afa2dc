//! What the replicated configuration says of a member beside its id: `MemberInfo`. The core carries
//! it and never reads it.

use crate::topology::Member;
use bytes::Bytes;
use holm_transport::PublicKey;
use serde::{Deserialize, Serialize};

/// Where a member is, and what it does for others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberInfo {
    pub(crate) address: Option<String>,
    pub(crate) island: String,
    pub(crate) key: Option<PublicKey>,
    pub(crate) relay: bool,
}

/// Bytes that are no `MemberInfo` of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    /// Another format.
    #[error(
        "what is said of the members has format {found}, and this version of holm reads format \
         {FORMAT}; start the version that wrote it, or form the cluster anew"
    )]
    Format {
        /// The first byte.
        found: u8,
    },
    /// This format, and nonsense.
    #[error("what is said of the members is damaged; put the files of a sound copy here")]
    Damaged,
}

/// The first byte. An unreleased version had none, and began with 0 or 1.
const FORMAT: u8 = 2;

impl MemberInfo {
    /// One byte of format, then postcard.
    pub(crate) fn encode(&self) -> Bytes {
        postcard::to_extend(self, vec![FORMAT]).expect("strings are always encodable").into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unknown> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => match postcard::take_from_bytes(rest) {
                Ok((info, [])) => Ok(info),
                _ => Err(Unknown::Damaged),
            },
            Some((&found, _)) => Err(Unknown::Format { found }),
            None => Err(Unknown::Damaged),
        }
    }

    /// The member of the topology that this is.
    pub(crate) fn placed(self, id: u64) -> Member {
        let Self { address, island, key, relay } = self;
        Member { id, island, address, key, relay }
    }
}

impl From<&Member> for MemberInfo {
    fn from(member: &Member) -> Self {
        Self {
            address: member.address.clone(),
            island: member.island.clone(),
            key: member.key,
            relay: member.relay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_raft_core::Configuration;

    #[test]
    fn the_longest_info_fits_a_configuration_and_survives() {
        let mut info = MemberInfo {
            address: Some("a".repeat(crate::topology::Topology::ADDRESS_BYTES_MAX)),
            island: "i".repeat(crate::topology::Topology::ISLAND_BYTES_MAX),
            key: Some(PublicKey([7; 32])),
            relay: true,
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
        assert_eq!(&info.encode()[..], b"\x02\x01\x03a:1\x01n\x00\x00");
        let key = PublicKey([0; 32]);
        info = MemberInfo { key: Some(key), relay: true, ..info };
        let expected = format!("\x02\x01\x03a:1\x01n\x01\x3c{key}\x01");
        assert_eq!(&info.encode()[..], expected.as_bytes());
    }

    #[test]
    fn other_formats_and_damage_are_refused_by_name() {
        // What an unreleased version wrote: postcard without a format.
        for old in [&b"\x01\x03a:1\x01n"[..], b"\x00\x01n"] {
            assert_eq!(MemberInfo::decode(old), Err(Unknown::Format { found: old[0] }));
        }
        assert_eq!(MemberInfo::decode(b"\x03"), Err(Unknown::Format { found: 3 }));
        let bytes = MemberInfo::default().encode();
        let longer = [&bytes[..], b"\x00"].concat();
        for damaged in [&b""[..], &bytes[..bytes.len() - 1], &longer] {
            assert_eq!(MemberInfo::decode(damaged), Err(Unknown::Damaged));
        }
    }
}
