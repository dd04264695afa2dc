//! How one configuration becomes the next (paper §6; thesis §4): `Configuration::change` takes
//! steps, and goes through a joint configuration whenever more than one voter changes.

use crate::configuration::{Configuration, Leave, Member, Standing};
use crate::types::{Index, NodeId};
use alloc::collections::BTreeMap;
use core::fmt;

/// One step of a change. Several are taken in order, and count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A new member, or a learner, votes from now on.
    Voter(Member),
    /// A new member, or a voter, is a learner from now on. It may also be another incarnation of
    /// a member, which it replaces.
    Learner(Member),
    /// A new member that is made a voter as soon as it has caught up.
    Joining(Member),
    /// Is no member from now on.
    Remove(NodeId),
}

/// Why a change is refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeError {
    /// Only a leader changes the configuration.
    NotLeader,
    /// A change is under way already: one at a time.
    Pending,
    /// The leader has not committed an entry of its own term yet; try again at once.
    TooEarly,
    /// Leadership is being handed over; ask the next leader.
    HandingOver,
    /// The leader's disk is full; ask the next leader, or make room.
    DiskFull,
    /// The configuration is another than the one expected, set at this index.
    Moved(Index),
    /// The configuration is joint: leave that first.
    Joint,
    /// It is not joint: there is nothing to leave.
    NotJoint,
    /// Nobody would vote.
    NoVoters,
    /// Numbers of members count from 1.
    NodeZero,
    /// Too many members.
    TooMany,
    /// What this member says of itself is longer than [`Configuration::INFO_BYTES_MAX`].
    TooLong(NodeId),
    /// Nothing would change.
    Nothing,
    /// This member votes in one incarnation and would in another: make the new one a learner
    /// first, in a step of its own.
    Replaced(NodeId),
    /// This member is too far behind to vote: it has to catch up as a learner first.
    Behind(NodeId),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader => write!(f, "this member does not lead; ask the leader"),
            Self::Pending => write!(f, "another change is under way; wait until it is committed"),
            Self::TooEarly => write!(f, "the leader is too new; try again"),
            Self::DiskFull => {
                write!(f, "the leader's disk is full; ask the next leader, or make room")
            }
            Self::HandingOver => {
                write!(f, "leadership is being handed over; ask the next leader")
            }
            Self::Moved(index) => {
                write!(f, "the configuration was set at index {index} meanwhile; look at it again")
            }
            Self::Joint => write!(f, "the configuration is joint; leave that first"),
            Self::NotJoint => {
                write!(f, "the configuration is not joint; there is nothing to leave")
            }
            Self::NoVoters => write!(f, "nobody would vote; keep at least one voter"),
            Self::NodeZero => write!(f, "member 0 can't be; choose a number from 1"),
            Self::TooMany => write!(f, "over {} members", Configuration::MEMBERS_MAX),
            Self::TooLong(node) => write!(
                f,
                "the info of member {node} is over {} bytes; shorten it",
                Configuration::INFO_BYTES_MAX
            ),
            Self::Nothing => write!(f, "nothing would change"),
            Self::Replaced(node) => write!(
                f,
                "member {node} votes in another incarnation; add the new one as a learner, alone"
            ),
            Self::Behind(node) => write!(
                f,
                "member {node} has not caught up; make it a learner, and wait until it has"
            ),
        }
    }
}

impl core::error::Error for ChangeError {}

impl Configuration {
    /// The configuration after these steps: joint if more than one voter comes, goes or changes
    /// sides; then it ends as `leave` says.
    ///
    /// # Errors
    /// When it is joint already, nothing would change, or the result could not work.
    pub fn change(&self, steps: &[Step], leave: Leave) -> Result<Self, ChangeError> {
        if self.is_joint() {
            return Err(ChangeError::Joint);
        }
        let wanted = self.after(steps);
        if wanted == self.members {
            return Err(ChangeError::Nothing);
        }
        if wanted.contains_key(&NodeId(0)) {
            return Err(ChangeError::NodeZero);
        }
        if wanted.len() > Self::MEMBERS_MAX {
            return Err(ChangeError::TooMany);
        }
        let too_long = |(member, _): &&(Member, Standing)| !member.fits();
        if let Some((member, _)) = wanted.values().find(too_long) {
            return Err(ChangeError::TooLong(member.id.node));
        }
        if !wanted.values().any(|(_, standing)| *standing == Standing::Voter) {
            return Err(ChangeError::NoVoters);
        }
        let voter = |members: &Members, node| {
            members.get(node).filter(|(_, s)| *s == Standing::Voter).map(|(m, _)| m.id)
        };
        let everybody = self
            .members
            .keys()
            .chain(wanted.keys().filter(|node| !self.members.contains_key(node)));
        let mut changed = 0;
        for node in everybody {
            match (voter(&self.members, node), voter(&wanted, node)) {
                (Some(before), Some(after)) if before != after => {
                    return Err(ChangeError::Replaced(*node));
                }
                (before, after) if before != after => changed += 1,
                _ => {}
            }
        }
        if changed <= 1 {
            return Ok(Self { members: wanted, leave: Leave::Automatic });
        }
        self.joint(wanted, leave)
    }

    /// The configuration after a joint one.
    ///
    /// # Errors
    /// When it is not joint.
    pub fn left(&self) -> Result<Self, ChangeError> {
        if !self.is_joint() {
            return Err(ChangeError::NotJoint);
        }
        let settle = |(node, (member, standing)): (&NodeId, &(Member, Standing))| {
            let standing = match standing {
                Standing::Outgoing => return None,
                Standing::Incoming => Standing::Voter,
                Standing::Demoted => Standing::Learner,
                other => *other,
            };
            Some((*node, (member.clone(), standing)))
        };
        let members = self.members.iter().filter_map(settle).collect();
        Ok(Self { members, leave: Leave::Automatic })
    }

    fn after(&self, steps: &[Step]) -> Members {
        let mut members = self.members.clone();
        for step in steps {
            let (member, standing) = match step {
                Step::Voter(member) => (member, Standing::Voter),
                Step::Learner(member) => (member, Standing::Learner),
                Step::Joining(member) => (member, Standing::Joining),
                Step::Remove(node) => {
                    members.remove(node);
                    continue;
                }
            };
            members.insert(member.id.node, (member.clone(), standing));
        }
        members
    }

    /// Both the old voters and the wanted ones decide until it is left.
    fn joint(&self, wanted: Members, leave: Leave) -> Result<Self, ChangeError> {
        let mut members = wanted;
        for (node, (_, standing)) in &mut members {
            let voted = self.members.get(node).is_some_and(|(_, s)| *s == Standing::Voter);
            if *standing == Standing::Voter && !voted {
                *standing = Standing::Incoming;
            }
        }
        for (node, (old, standing)) in &self.members {
            if *standing != Standing::Voter {
                continue;
            }
            match members.get_mut(node) {
                None => {
                    members.insert(*node, (old.clone(), Standing::Outgoing));
                }
                Some((new, _)) if new.id != old.id => return Err(ChangeError::Replaced(*node)),
                Some((_, standing)) if *standing != Standing::Voter => {
                    *standing = Standing::Demoted;
                }
                Some(_) => {}
            }
        }
        Ok(Self { members, leave })
    }
}

type Members = BTreeMap<NodeId, (Member, Standing)>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Incarnation, MemberId};
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use bytes::Bytes;

    fn member(node: u64) -> Member {
        Member { id: MemberId::new(NodeId(node), Incarnation(node)), info: Bytes::new() }
    }

    fn another(node: u64) -> Member {
        Member { id: MemberId::new(NodeId(node), Incarnation(99)), info: Bytes::new() }
    }

    fn long(node: u64) -> Member {
        let info = alloc::vec![0; Configuration::INFO_BYTES_MAX + 1].into();
        Member { info, ..member(node) }
    }

    fn shown(configuration: &Configuration) -> String {
        let one = |(member, standing): &(Member, Standing)| {
            let letter = match standing {
                Standing::Voter => "",
                Standing::Incoming => "+",
                Standing::Outgoing => "-",
                Standing::Demoted => "v",
                Standing::Learner => "l",
                Standing::Joining => "j",
            };
            alloc::format!("{}{letter}", member.id.node)
        };
        configuration.members().map(one).collect::<Vec<_>>().join(" ")
    }

    fn three() -> Configuration {
        Configuration::new((1..=3).map(member))
    }

    #[test]
    fn one_voter_at_a_time_needs_no_joint_configuration() {
        for (step, expected) in [
            (Step::Voter(member(4)), "1 2 3 4"),
            (Step::Learner(member(4)), "1 2 3 4l"),
            (Step::Joining(member(4)), "1 2 3 4j"),
            (Step::Remove(NodeId(1)), "2 3"),
            (Step::Learner(member(2)), "1 2l 3"),
            (Step::Learner(another(3)), "1 2 3l"),
        ] {
            let changed = three().change(&[step], Leave::Automatic).unwrap();
            assert_eq!((shown(&changed).as_str(), changed.is_joint()), (expected, false));
        }
    }

    #[test]
    fn more_than_one_voter_goes_through_a_joint_configuration() {
        let steps = [Step::Voter(member(4)), Step::Remove(NodeId(1)), Step::Learner(member(2))];
        let joint = three().change(&steps, Leave::Asked).unwrap();
        assert_eq!(shown(&joint), "1- 2v 3 4+");
        assert_eq!(joint.old_voters().map(|n| n.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(joint.new_voters().map(|n| n.0).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(joint.change(&[Step::Voter(member(5))], Leave::Asked), Err(ChangeError::Joint));
        assert_eq!(shown(&joint.left().unwrap()), "2l 3 4");
    }

    #[test]
    fn what_could_not_work_is_refused() {
        let all = [1, 2, 3].map(|node| Step::Remove(NodeId(node)));
        for (steps, expected) in [
            (&all[..], ChangeError::NoVoters),
            (&[], ChangeError::Nothing),
            (&[Step::Voter(member(1))], ChangeError::Nothing),
            (&[Step::Remove(NodeId(9))], ChangeError::Nothing),
            (&[Step::Voter(another(3))], ChangeError::Replaced(NodeId(3))),
            (&[Step::Learner(long(4))], ChangeError::TooLong(NodeId(4))),
            (
                &[Step::Learner(another(3)), Step::Voter(member(4))],
                ChangeError::Replaced(NodeId(3)),
            ),
        ] {
            assert_eq!(three().change(steps, Leave::Automatic), Err(expected), "{steps:?}");
        }
        let most = Configuration::new((1..=255).map(member));
        let one_more = [Step::Learner(member(256))];
        assert_eq!(most.change(&one_more, Leave::Automatic), Err(ChangeError::TooMany));
        let one_less = Configuration::new((1..=254).map(member));
        assert!(one_less.change(&one_more, Leave::Automatic).is_ok());
        assert_eq!(three().left(), Err(ChangeError::NotJoint));
        assert!(ChangeError::Moved(Index(7)).to_string().contains("index 7"));
    }
}
