//! What is left to do when a majority of the voters is lost for good: [`Recovery`] makes one
//! stopped member the only voter, with all that its own log holds, committed or not. Whatever the
//! lost ones acknowledged and this member never heard of is lost with them.
//!
//! It writes one configuration entry, of a term in which nobody else can have led, and beside the
//! log a file that says what was done. The entry has a new epoch, which each handshake checks, and
//! gives all other members' places to incarnations that nobody has: an old member that comes back
//! is refused; it comes back wiped, and let in again ([`Readmit`](crate::members::Change)).

use crate::config::Config;
use crate::driver::run_job;
use crate::edges::Edges;
use crate::member_info::{MemberInfo, epoch_of, next_epoch};
use crate::open::{Held, OpenError, held, look_for};
use holm_raft_core::{
    Configuration, Entry, EntryId, EntryKind, HardState, Incarnation, Index, Member, MemberId,
    NodeId, Standing,
};
use holm_transport::Epoch;
use holm_wal::{Batch, Disk, Wal};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

/// A recovery that nothing speaks against, and that has changed nothing yet.
pub struct Recovery {
    edges: Edges,
    wal: Wal,
    hard_state: HardState,
    entry: Entry,
    me: MemberId,
    prospect: Prospect,
}

/// What a recovery does, and what it may lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// The cluster's name.
    pub cluster: String,
    /// The member that will be the only voter.
    pub member: u64,
    /// The last entry of its log, and that entry's term: what comes after it is lost.
    pub last: Index,
    /// The term of that entry.
    pub term: u64,
    /// Who votes as its log knows it, ascending.
    pub voters: Vec<u64>,
    /// Which of them answered.
    pub reached: Vec<u64>,
    /// Whose places are kept, as learners, for when they come back wiped.
    pub waits_for: Vec<u64>,
    /// Who is no member any more.
    pub drops: Vec<u64>,
}

/// Why a cluster is not recovered. Nothing was changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The storage can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing in the storage to go on from.
    #[error("member {node} holds no cluster; run this where a member that is left has its storage")]
    Empty {
        /// Whose storage it is.
        node: u64,
    },
    /// There is no such member.
    #[error("member {node} does not exist; there are {known}")]
    NoSuchMember {
        /// Who was named.
        node: u64,
        /// Who there is.
        known: Ids,
    },
    /// The member whose storage it is must be among them.
    #[error(
        "member {node}, on whose storage this runs, is not among the members to go on; name it"
    )]
    WithoutItself {
        /// Who.
        node: u64,
    },
    /// There is a majority.
    #[error(
        "of the voters {voters} a majority is there: {there}; start this member, and nothing is \
         lost"
    )]
    Quorum {
        /// Who votes.
        voters: Ids,
        /// Who of them is there, this member among them.
        there: Ids,
    },
    /// The log or the disk failed while it was written. Run it again: what is there counts.
    #[error("writing failed ({0}); run the recovery again")]
    Write(holm_wal::Error),
}

/// Numbers of members, as people read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(pub Vec<u64>);

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let ids: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&ids.join(", "))
    }
}

impl fmt::Display for Prospect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, member, last, term, .. } = self;
        writeln!(
            f,
            "cluster {cluster}: member {member} goes on as its only voter, from entry {last} of \
             term {term}."
        )?;
        writeln!(
            f,
            "LOST is whatever the others acknowledged after that entry, and this member never \
             heard of. Look at each member that is left first: go on from the one with the \
             highest term, and among those the highest entry."
        )?;
        let (voters, reached) = (Ids(self.voters.clone()), Ids(self.reached.clone()));
        writeln!(f, "Voters until now: {voters}. Of the others answer: {reached}.")?;
        let (waits, drops) = (Ids(self.waits_for.clone()), Ids(self.drops.clone()));
        writeln!(f, "To come back wiped, as learners: {waits}. No members any more: {drops}.")
    }
}

impl Recovery {
    /// Looks at the storage of a member that does not run, and whether it is alone, for as long as
    /// `patience`: `members` are to be the members from now on, this one the only one that votes.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// As [`RecoverError`] says.
    pub async fn plan(
        mut config: Config,
        edges: Edges,
        members: &[u64],
        patience: Duration,
    ) -> Result<Self, RecoverError> {
        let node = config.node;
        let held = held(&config, &edges)?.filter(|held| !held.configuration.is_empty());
        let Some(Held { wal, hard_state, last_time, configuration }) = held else {
            return Err(RecoverError::Empty { node });
        };
        let known = || configuration.members().map(|(member, _)| member.id.node.0);
        if let Some(stranger) = members.iter().find(|id| !known().any(|known| known == **id)) {
            let known = Ids(known().collect());
            return Err(RecoverError::NoSuchMember { node: *stranger, known });
        }
        if !members.contains(&node) {
            return Err(RecoverError::WithoutItself { node });
        }
        let me = wal.identity().member;
        let mut there = BTreeSet::from([me]);
        let quorum = |there: &BTreeSet<MemberId>| is_quorum(&configuration, there);
        if !quorum(&there) {
            let found = look_for(&mut config, &edges, me, &configuration, patience, |found| {
                quorum(&found.iter().copied().chain([me]).collect())
            });
            there.extend(found.await?);
        }
        let voters: Vec<u64> = configuration.voters().map(|member| member.id.node.0).collect();
        let is_voter = |id: &&MemberId| configuration.is_voter(**id);
        let there_vote: Vec<u64> = there.iter().filter(is_voter).map(|id| id.node.0).collect();
        if quorum(&there) {
            return Err(RecoverError::Quorum { voters: Ids(voters), there: Ids(there_vote) });
        }
        let last = wal.last();
        let term = hard_state.term.max(last.term).next();
        let id = EntryId::new(term, last.index.next());
        let epoch = next_epoch(epoch_of(&configuration), edges.entropy.draw());
        let next = recovered(&configuration, (me, epoch), members, || edges.entropy.draw());
        let entry =
            Entry { id, time: last_time, kind: EntryKind::Configuration, data: next.encode() };
        let others = || known().filter(|id| *id != node);
        let prospect = Prospect {
            cluster: config.cluster.clone(),
            member: node,
            last: last.index,
            term: last.term.0,
            voters,
            reached: there_vote.into_iter().filter(|id| *id != node).collect(),
            waits_for: others().filter(|id| members.contains(id)).collect(),
            drops: others().filter(|id| !members.contains(id)).collect(),
        };
        let hard_state = HardState { term, vote: Some(me) };
        Ok(Self { edges, wal, hard_state, entry, me, prospect })
    }

    /// What it does, and what it may lose.
    #[must_use]
    pub const fn prospect(&self) -> &Prospect {
        &self.prospect
    }

    /// Does it. All is durable on return, and the member can be started; the name of the file that
    /// says what was done is returned.
    ///
    /// Dropping the future leaves the storage as it was, or recovered.
    ///
    /// # Errors
    /// [`RecoverError::Write`].
    pub async fn carry_out(mut self) -> Result<String, RecoverError> {
        let id = self.entry.id;
        let name = format!("recovery-{:016x}-{:016x}.txt", id.index.0, id.term.0);
        let said =
            format!("{}Written: configuration entry {id}, by member {}.\n", self.prospect, self.me);
        let disk = &*self.edges.disk;
        note(disk, &name, said.as_bytes()).map_err(|source| {
            RecoverError::Write(holm_wal::Error::Io {
                doing: "writing",
                name: name.clone(),
                source,
            })
        })?;
        let batch = Batch {
            hard_state: Some(self.hard_state),
            compact: None,
            truncate: None,
            entries: std::slice::from_ref(&self.entry),
        };
        self.wal.append(&batch).map_err(RecoverError::Write)?;
        while let Some(job) = self.wal.begin_sync() {
            let synced = run_job(&self.edges.disk, job.into_job()).await;
            self.wal.finish_sync(synced).map_err(RecoverError::Write)?;
        }
        Ok(name)
    }
}

/// One from an attempt before this is replaced.
fn note(disk: &dyn Disk, name: &str, said: &[u8]) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(name, said.len() as u64)?;
    file.write(0, &[said])?;
    file.sync()?;
    disk.sync_directory()
}

/// This member alone votes; the others' places are for incarnations that nobody has.
fn recovered(
    configuration: &Configuration,
    (me, epoch): (MemberId, Epoch),
    members: &[u64],
    mut draw: impl FnMut() -> u64,
) -> Configuration {
    let kept = configuration.members().filter(|(member, _)| members.contains(&member.id.node.0));
    Configuration::with_standings(kept.map(|(member, _)| {
        let node = member.id.node;
        let info = MemberInfo::decode(&member.info).unwrap_or_default();
        let info = MemberInfo { epoch: epoch.0, ..info }.encode();
        if node == me.node {
            return (Member { id: me, info }, Standing::Voter);
        }
        let nobody = MemberId::new(node, Incarnation(draw()));
        (Member { id: nobody, info }, Standing::Learner)
    }))
}

/// Whether these could elect a leader, of either half while the configuration is joint.
fn is_quorum(configuration: &Configuration, there: &BTreeSet<MemberId>) -> bool {
    let is_there =
        |node: NodeId| configuration.member(node).is_some_and(|member| there.contains(&member.id));
    let majority = |voters: Vec<NodeId>| {
        let count = voters.iter().filter(|voter| is_there(**voter)).count();
        count > voters.len() / 2
    };
    majority(configuration.new_voters().collect())
        && (!configuration.is_joint() || majority(configuration.old_voters().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(node: u64) -> MemberId {
        MemberId::new(NodeId(node), Incarnation(node * 10))
    }

    fn member(node: u64) -> Member {
        Member { id: id(node), info: MemberInfo::default().encode() }
    }

    #[test]
    fn a_quorum_is_of_the_voters_in_their_own_incarnations() {
        let three = Configuration::new([1, 2, 3].map(member));
        assert!(!is_quorum(&three, &BTreeSet::from([id(1)])));
        assert!(is_quorum(&three, &BTreeSet::from([id(1), id(3)])));
        let wiped = MemberId::new(NodeId(3), Incarnation(7));
        assert!(!is_quorum(&three, &BTreeSet::from([id(1), wiped])));
        let learns = |node| (member(node), Standing::Learner);
        let votes = |node| (member(node), Standing::Voter);
        let some = Configuration::with_standings([votes(1), votes(2), learns(3)]);
        assert!(!is_quorum(&some, &BTreeSet::from([id(1), id(3)])));
        let comes = |node| (member(node), Standing::Incoming);
        let goes = |node| (member(node), Standing::Outgoing);
        let joint = Configuration::with_standings([votes(1), goes(2), goes(3), comes(4), comes(5)]);
        assert!(!is_quorum(&joint, &BTreeSet::from([id(1), id(4), id(5)])));
        assert!(is_quorum(&joint, &BTreeSet::from([id(1), id(2), id(5)])));
    }

    #[test]
    fn only_the_member_itself_keeps_its_incarnation_and_votes() {
        let five = Configuration::new([1, 2, 3, 4, 5].map(member));
        let mut drawn = 0;
        let next = recovered(&five, (id(2), Epoch(5)), &[2, 3], || {
            drawn += 1;
            drawn
        });
        assert_eq!(epoch_of(&next), Epoch(5));
        assert!(next.is_voter(id(2)));
        assert_eq!(next.members().len(), 2);
        assert_eq!(next.standing(id(3)), None);
        let stands_in = MemberId::new(NodeId(3), Incarnation(1));
        assert_eq!(next.standing(stands_in), Some(Standing::Learner));
    }
}
