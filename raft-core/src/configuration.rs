//! Who belongs to the cluster: `Configuration` (each `Member` with its `Standing`), and its bytes
//! as they stand in configuration entries and snapshots. How one becomes the next is in `change`.
//!
//! ```text
//!  0        1        2            4
//! ┌────────┬────────┬────────────┬───────────────────────────────────────────────┐
//! │version │ leave  │ members    │ members × { id u64, incarnation u64,          │
//! │ u8 = 1 │ u8 0,1 │ u16        │   standing u8, info length u32, info bytes }  │
//! └────────┴────────┴────────────┴───────────────────────────────────────────────┘
//! ```
//! All numbers are little-endian; members stand in the order of their ids.

use crate::mutation::{self, Mutation};
use crate::types::{Incarnation, MemberId, NodeId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes};
use core::fmt;

/// The members, by id, and what each may do.
///
/// It is *joint* (paper §6) while somebody votes in one half only: then every decision needs a
/// majority of the old voters and a majority of the new ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    pub(crate) members: BTreeMap<NodeId, (Member, Standing)>,
    pub(crate) leave: Leave,
}

/// One member of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its id and incarnation.
    pub id: MemberId,
    /// What the node above wants to know of it (address, island, key). The core never reads it.
    pub info: Bytes,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Votes; while joint, in both halves.
    Voter,
    /// Votes in the new half only: it comes in.
    Incoming,
    /// Votes in the old half only: it goes.
    Outgoing,
    /// Votes in the old half only: it becomes a learner.
    Demoted,
    /// Holds the log and never votes, until it is asked to.
    Learner,
    /// A learner that the leader makes a voter as soon as it has caught up.
    Joining,
}

/// How a joint configuration ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Leave {
    /// By itself: whoever leads when it is committed proposes its end.
    #[default]
    Automatic,
    /// When it is asked for.
    Asked,
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

impl Member {
    /// Whether what it says of itself is short enough.
    pub(crate) fn fits(&self) -> bool {
        self.info.len() <= Configuration::INFO_BYTES_MAX
    }
}

impl Standing {
    const ALL: [Self; 6] =
        [Self::Voter, Self::Incoming, Self::Outgoing, Self::Demoted, Self::Learner, Self::Joining];

    /// Whether it votes among the new voters; outside of a joint configuration, among the voters.
    #[must_use]
    pub fn votes(self) -> bool {
        matches!(self, Self::Voter | Self::Incoming)
            || (matches!(self, Self::Learner) && mutation::on(Mutation::LearnerCounts))
    }

    /// Whether it votes among the old voters of a joint configuration.
    #[must_use]
    pub fn voted(self) -> bool {
        matches!(self, Self::Voter | Self::Outgoing | Self::Demoted)
            || (matches!(self, Self::Learner) && mutation::on(Mutation::LearnerCounts))
    }

    const fn code(self) -> u8 {
        match self {
            Self::Voter => 0,
            Self::Incoming => 1,
            Self::Outgoing => 2,
            Self::Demoted => 3,
            Self::Learner => 4,
            Self::Joining => 5,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.code() == code)
    }
}

impl Configuration {
    /// The most members a configuration may have.
    pub const MEMBERS_MAX: usize = 255;
    /// The most bytes of `info` a member may have.
    pub const INFO_BYTES_MAX: usize = 4096;
    const VERSION: u8 = 1;

    /// A configuration of these voters. Of two with the same id the later one stays.
    pub fn new(voters: impl IntoIterator<Item = Member>) -> Self {
        Self::with_standings(voters.into_iter().map(|member| (member, Standing::Voter)))
    }

    /// A configuration of members with these standings, that leaves a joint state by itself. Of
    /// two with the same id the later one stays.
    pub fn with_standings(members: impl IntoIterator<Item = (Member, Standing)>) -> Self {
        let by_id = |(member, standing): (Member, Standing)| (member.id.node, (member, standing));
        Self { members: members.into_iter().map(by_id).collect(), leave: Leave::Automatic }
    }

    /// Everybody, in the order of their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &(Member, Standing)> {
        self.members.values()
    }

    /// Everybody who votes, in whichever half, in the order of their ids.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        let voters = self.members.values().filter(|(_, s)| s.votes() || s.voted());
        voters.map(|(member, _)| member)
    }

    /// The numbers of the new voters (outside of a joint configuration: of the voters), ascending.
    pub fn new_voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.numbers(Standing::votes)
    }

    /// The numbers of the old voters of a joint configuration, ascending.
    pub fn old_voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.numbers(Standing::voted)
    }

    fn numbers(&self, which: fn(Standing) -> bool) -> impl Iterator<Item = NodeId> + '_ {
        let chosen = self.members.iter().filter(move |(_, (_, standing))| which(*standing));
        chosen.map(|(node, _)| *node)
    }

    /// Whether decisions need two majorities.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.members.values().any(|(_, standing)| standing.votes() != standing.voted())
    }

    /// How a joint configuration ends.
    #[must_use]
    pub const fn leave(&self) -> Leave {
        self.leave
    }

    /// The member with this number, in whichever incarnation is configured.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node).map(|(member, _)| member)
    }

    /// What this very incarnation may do, if it is a member.
    #[must_use]
    pub fn standing(&self, id: MemberId) -> Option<Standing> {
        let (member, standing) = self.members.get(&id.node)?;
        (member.id == id).then_some(*standing)
    }

    /// Whether this very incarnation votes, in whichever half.
    #[must_use]
    pub fn is_voter(&self, id: MemberId) -> bool {
        self.standing(id).is_some_and(|standing| standing.votes() || standing.voted())
    }

    /// Whether this very incarnation is a member.
    #[must_use]
    pub fn contains(&self, id: MemberId) -> bool {
        self.standing(id).is_some()
    }

    /// Whether there is nobody in it: nobody votes, nothing commits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The configuration's bytes.
    ///
    /// # Panics
    /// With more than [`Self::MEMBERS_MAX`] members or an `info` beyond [`Self::INFO_BYTES_MAX`]:
    /// both are checked where configurations are changed, and where they arrive.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        assert!(self.members.len() <= Self::MEMBERS_MAX, "too many members");
        let mut bytes = Vec::new();
        bytes.put_u8(Self::VERSION);
        bytes.put_u8(u8::from(self.leave == Leave::Asked));
        bytes.put_u16_le(u16::try_from(self.members.len()).expect("bounded above"));
        for (member, standing) in self.members.values() {
            assert!(member.info.len() <= Self::INFO_BYTES_MAX, "member info too long");
            bytes.put_u64_le(member.id.node.0);
            bytes.put_u64_le(member.id.incarnation.0);
            bytes.put_u8(standing.code());
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
        let leave = match bytes.try_get_u8() {
            Ok(0) => Leave::Automatic,
            Ok(1) => Leave::Asked,
            _ => return Err(Malformed),
        };
        let count = usize::from(bytes.try_get_u16_le().map_err(|_| Malformed)?);
        if count > Self::MEMBERS_MAX {
            return Err(Malformed);
        }
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let (member, standing) = decode_member(&mut bytes).ok_or(Malformed)?;
            let node = member.id.node;
            if members.last_key_value().is_some_and(|(last, _)| *last >= node) {
                return Err(Malformed);
            }
            members.insert(node, (member, standing));
        }
        let configuration = Self { members, leave };
        let sound = bytes.is_empty() && configuration.is_sound();
        if sound { Ok(configuration) } else { Err(Malformed) }
    }

    /// Whether it has an encoding.
    pub(crate) fn fits(&self) -> bool {
        let fits = |(member, _): &(Member, Standing)| member.fits();
        self.members.len() <= Self::MEMBERS_MAX && self.members.values().all(fits)
    }

    /// Whether both halves have somebody who votes; a configuration of nobody is sound as well.
    pub(crate) fn is_sound(&self) -> bool {
        let halves = self.new_voters().next().is_some() && self.old_voters().next().is_some();
        self.is_empty() || halves
    }
}

fn decode_member(bytes: &mut Bytes) -> Option<(Member, Standing)> {
    let node = NodeId(bytes.try_get_u64_le().ok()?);
    let incarnation = Incarnation(bytes.try_get_u64_le().ok()?);
    let standing = Standing::from_code(bytes.try_get_u8().ok()?)?;
    let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
    if length > Configuration::INFO_BYTES_MAX || length > bytes.remaining() {
        return None;
    }
    let info = bytes.split_to(length);
    Some((Member { id: MemberId::new(node, incarnation), info }, standing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member() -> impl Strategy<Value = (Member, Standing)> {
        let info = proptest::collection::vec(any::<u8>(), 0..64);
        (any::<u64>(), any::<u64>(), 0..6_usize, info).prop_map(
            |(node, incarnation, standing, info)| {
                let id = MemberId::new(NodeId(node), Incarnation(incarnation));
                (Member { id, info: info.into() }, Standing::ALL[standing])
            },
        )
    }

    proptest! {
        #[test]
        fn a_sound_configuration_survives_its_bytes_and_no_other_does(
            members in proptest::collection::vec(member(), 0..9),
            asked in any::<bool>(),
        ) {
            let leave = if asked { Leave::Asked } else { Leave::Automatic };
            let configuration = Configuration { leave, ..Configuration::with_standings(members) };
            let decoded = Configuration::decode(configuration.encode());
            if configuration.is_sound() {
                prop_assert_eq!(decoded, Ok(configuration));
            } else {
                prop_assert_eq!(decoded, Err(ConfigurationError::Malformed));
            }
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

    fn of(standings: &[Standing], info_bytes: usize) -> Configuration {
        let member = |(node, standing): (u64, &Standing)| {
            let id = MemberId::new(NodeId(node), Incarnation(1));
            (Member { id, info: std::vec![0; info_bytes].into() }, *standing)
        };
        Configuration::with_standings((1..).zip(standings).map(member))
    }

    #[test]
    fn both_halves_must_have_a_voter() {
        use Standing::{Demoted, Incoming, Joining, Learner, Outgoing, Voter};
        for (standings, sound) in [
            (&[Voter][..], true),
            (&[Incoming, Outgoing], true),
            (&[Incoming, Demoted], true),
            (&[], true),
            (&[Incoming], false),
            (&[Outgoing], false),
            (&[Demoted, Learner], false),
            (&[Learner, Joining], false),
        ] {
            let decoded = Configuration::decode(of(standings, 0).encode());
            assert_eq!(decoded.is_ok(), sound, "{standings:?}");
        }
    }

    #[test]
    fn whoever_votes_in_one_half_is_a_voter() {
        use Standing::{Demoted, Incoming, Joining, Learner, Outgoing, Voter};
        let joint = of(&[Voter, Incoming, Outgoing, Demoted, Learner, Joining], 0);
        let id = |node| MemberId::new(NodeId(node), Incarnation(1));
        assert_eq!(joint.voters().map(|member| member.id.node.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let voters = (1..=6).filter(|node| joint.is_voter(id(*node)));
        assert_eq!(voters.collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(joint.member(NodeId(5)).map(|member| member.id), Some(id(5)));
        assert_eq!(joint.member(NodeId(7)), None);
        assert!(!joint.is_voter(MemberId::new(NodeId(1), Incarnation(2))), "another one");
    }

    #[test]
    fn the_limits_are_part_of_the_format() {
        let most = of(&[Standing::Voter; Configuration::MEMBERS_MAX], 0);
        assert_eq!(Configuration::decode(most.encode()), Ok(most.clone()));
        let mut one_more = most.encode().to_vec();
        one_more[2..4].copy_from_slice(&256_u16.to_le_bytes());
        one_more.extend([&256_u64.to_le_bytes()[..], &[0; 8 + 1 + 4]].concat());
        assert_eq!(Configuration::decode(one_more.into()), Err(ConfigurationError::Malformed));

        let longest = of(&[Standing::Voter], Configuration::INFO_BYTES_MAX);
        assert_eq!(Configuration::decode(longest.encode()), Ok(longest.clone()));
        let mut longer = longest.encode().to_vec();
        longer[21..25].copy_from_slice(&4097_u32.to_le_bytes());
        longer.push(0);
        assert_eq!(Configuration::decode(longer.into()), Err(ConfigurationError::Malformed));
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(
            Configuration::decode(Bytes::from_static(&[2, 0, 0, 0])),
            Err(ConfigurationError::Version(2))
        );
        let told = std::string::ToString::to_string(&ConfigurationError::Version(2));
        assert_eq!(told, "configuration of format version 2, this build reads 1");
    }
}
