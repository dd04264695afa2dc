//! Who belongs to the cluster: `Configuration` (the voters, each a `Member`), and its bytes as
//! they stand in configuration entries and snapshots.
//!
//! ```text
//!  0        1        2            4
//! ┌────────┬────────┬────────────┬───────────────────────────────────────────────┐
//! │version │ 0      │ members    │ members × { id u64, incarnation u64,          │
//! │ u8 = 1 │        │ u16        │             info length u32, info bytes }     │
//! └────────┴────────┴────────────┴───────────────────────────────────────────────┘
//! ```
//! All numbers are little-endian; members stand in the order of their ids.

use crate::types::{Incarnation, MemberId, NodeId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes};
use core::fmt;

/// The members that count, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    voters: BTreeMap<NodeId, Member>,
}

/// One member of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its id and incarnation.
    pub id: MemberId,
    /// What the node above wants to know of it (address, island, key). The core never reads it.
    pub info: Bytes,
}

/// Why bytes are not a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigurationError {
    /// The version byte is not one this build reads.
    Version(u8),
    /// The bytes end too early, go on too long, or contradict themselves.
    Malformed,
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(found) => {
                write!(f, "configuration of format version {found}, this build reads 1")
            }
            Self::Malformed => write!(f, "malformed configuration"),
        }
    }
}

impl core::error::Error for ConfigurationError {}

impl Configuration {
    /// The most members a configuration may have.
    pub const MEMBERS_MAX: usize = 255;
    /// The most bytes of `info` a member may have.
    pub const INFO_BYTES_MAX: usize = 4096;
    const VERSION: u8 = 1;

    /// A configuration of these voters. Of two with the same id the later one stays.
    pub fn new(voters: impl IntoIterator<Item = Member>) -> Self {
        Self { voters: voters.into_iter().map(|member| (member.id.node, member)).collect() }
    }

    /// The voters, in the order of their ids.
    pub fn voters(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.voters.values()
    }

    /// The voters' numbers, ascending.
    pub fn voter_ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.keys().copied()
    }

    /// The member with this number, in whichever incarnation is configured.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.voters.get(&node)
    }

    /// Whether this very incarnation is a voter.
    #[must_use]
    pub fn is_voter(&self, id: MemberId) -> bool {
        self.voters.get(&id.node).is_some_and(|member| member.id == id)
    }

    /// Whether there is nobody in it: nobody votes, nothing commits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// How many voters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.voters.len()
    }

    /// The configuration's bytes.
    ///
    /// # Panics
    /// With more than [`Self::MEMBERS_MAX`] members or an `info` beyond [`Self::INFO_BYTES_MAX`]:
    /// both are checked where configurations are made.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        assert!(self.voters.len() <= Self::MEMBERS_MAX, "too many members");
        let mut bytes = Vec::new();
        bytes.put_u8(Self::VERSION);
        bytes.put_u8(0);
        bytes.put_u16_le(u16::try_from(self.voters.len()).expect("bounded above"));
        for member in self.voters.values() {
            assert!(member.info.len() <= Self::INFO_BYTES_MAX, "member info too long");
            bytes.put_u64_le(member.id.node.0);
            bytes.put_u64_le(member.id.incarnation.0);
            bytes.put_u32_le(u32::try_from(member.info.len()).expect("bounded above"));
            bytes.put_slice(&member.info);
        }
        bytes.into()
    }

    /// The configuration these bytes encode.
    ///
    /// # Errors
    /// When they are no configuration, or one of another version.
    pub fn decode(mut bytes: Bytes) -> Result<Self, ConfigurationError> {
        use ConfigurationError::{Malformed, Version};
        let version = bytes.try_get_u8().map_err(|_| Malformed)?;
        if version != Self::VERSION {
            return Err(Version(version));
        }
        if bytes.try_get_u8().map_err(|_| Malformed)? != 0 {
            return Err(Malformed);
        }
        let count = usize::from(bytes.try_get_u16_le().map_err(|_| Malformed)?);
        if count > Self::MEMBERS_MAX {
            return Err(Malformed);
        }
        let mut voters = BTreeMap::new();
        for _ in 0..count {
            let member = decode_member(&mut bytes).ok_or(Malformed)?;
            let after_last = voters.last_key_value().is_none_or(|(last, _)| *last < member.id.node);
            if !after_last {
                return Err(Malformed);
            }
            voters.insert(member.id.node, member);
        }
        if bytes.has_remaining() { Err(Malformed) } else { Ok(Self { voters }) }
    }
}

fn decode_member(bytes: &mut Bytes) -> Option<Member> {
    let node = NodeId(bytes.try_get_u64_le().ok()?);
    let incarnation = Incarnation(bytes.try_get_u64_le().ok()?);
    let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
    if length > Configuration::INFO_BYTES_MAX || length > bytes.remaining() {
        return None;
    }
    let info = bytes.split_to(length);
    Some(Member { id: MemberId::new(node, incarnation), info })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member() -> impl Strategy<Value = Member> {
        (any::<u64>(), any::<u64>(), proptest::collection::vec(any::<u8>(), 0..64)).prop_map(
            |(node, incarnation, info)| Member {
                id: MemberId::new(NodeId(node), Incarnation(incarnation)),
                info: info.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn a_configuration_survives_its_bytes(
            members in proptest::collection::vec(member(), 0..9),
        ) {
            let configuration = Configuration::new(members);
            prop_assert_eq!(Configuration::decode(configuration.encode()), Ok(configuration));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_decode_to_one_form(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(configuration) = Configuration::decode(bytes.clone().into()) {
                prop_assert_eq!(configuration.encode(), Bytes::from(bytes));
            }
        }
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(
            Configuration::decode(Bytes::from_static(&[2, 0, 0, 0])),
            Err(ConfigurationError::Version(2))
        );
    }
}
