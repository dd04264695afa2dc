//! How a leader changes the members (paper §6; thesis §4): it appends the next configuration, which
//! is in force at once, one at a time, and never before an entry of its own term is committed (the
//! single-server bug); it ends joint configurations, makes learners voters, and steps down when it
//! is removed.

use crate::change::{ChangeError, Step};
use crate::configuration::{Configuration, Leave, Standing};
use crate::entry::EntryKind;
use crate::mutation::{self, Mutation};
use crate::progress::Progress;
use crate::raft::{Core, Raft};
use crate::role::Role;
use crate::types::{EntryId, Index, MemberId};
use alloc::vec::Vec;

impl Raft {
    /// Takes the steps of a change, if nothing forbids it.
    pub(crate) fn change(
        &mut self,
        expected: Option<Index>,
        steps: &[Step],
        leave: Leave,
    ) -> Result<EntryId, ChangeError> {
        self.may_change()?;
        let set_at = self.core.membership.set_at();
        if expected.is_some_and(|expected| expected != set_at) {
            return Err(ChangeError::Moved(set_at));
        }
        let current = self.core.membership.current();
        let next = current.change(steps, leave)?;
        // Whoever is to vote holds the log first: a new voter that holds nothing votes for nobody,
        // and if the leader were lost now, there might never be another.
        let behind = next.members().find(|(member, standing)| {
            let new = standing.votes() && !current.is_voter(member.id);
            new && !self.has_caught_up(member.id)
        });
        if let Some((member, _)) = behind {
            return Err(ChangeError::Behind(member.id.node));
        }
        Ok(self.append_configuration(&next))
    }

    /// Ends a joint configuration.
    pub(crate) fn leave_joint(&mut self) -> Result<EntryId, ChangeError> {
        self.may_change()?;
        let next = self.core.membership.current().left()?;
        Ok(self.append_configuration(&next))
    }

    /// One change at a time, by a leader that knows what is committed.
    fn may_change(&self) -> Result<(), ChangeError> {
        let core = &self.core;
        let Role::Leader(leader) = &self.role else { return Err(ChangeError::NotLeader) };
        if leader.transfer.is_some() {
            return Err(ChangeError::HandingOver);
        }
        if core.writes.is_full() {
            return Err(ChangeError::DiskFull);
        }
        let own = core.log.term(core.log.committed()) == Some(core.term);
        if !own && !mutation::on(Mutation::ChangeBeforeOwnTermCommit) {
            return Err(ChangeError::TooEarly);
        }
        if core.membership.set_at() > core.log.committed() {
            return Err(ChangeError::Pending);
        }
        Ok(())
    }

    fn append_configuration(&mut self, next: &Configuration) -> EntryId {
        let id = self.append(EntryKind::Configuration, next.encode());
        self.replicate_to_members();
        id
    }

    /// The followers are the members of the configuration in force. Another incarnation starts
    /// from nothing: what the one before acknowledged says nothing of it.
    fn replicate_to_members(&mut self) {
        let next = self.core.log.last().index;
        let members = self.core.other_members();
        let Role::Leader(leader) = &mut self.role else { return };
        leader.followers.retain(|_, progress| members.contains(&progress.member));
        for member in members {
            leader.followers.entry(member.node).or_insert_with(|| Progress::new(member, next));
        }
    }

    /// For a known bug alone: a configuration is in force from when it is applied on.
    #[cfg(any(test, feature = "mutations"))]
    pub(crate) fn apply_configurations(&mut self) {
        let handed = self.core.log.handed();
        let late = mutation::on(Mutation::ConfigurationAtApply);
        let changed = late && self.core.membership.applied(handed);
        if changed && matches!(self.role, Role::Leader(_)) {
            self.replicate_to_members();
            self.after_commit();
        }
    }

    /// Something was committed: what follows of itself is done now.
    pub(crate) fn after_commit(&mut self) {
        let core = &self.core;
        if core.membership.set_at() > core.log.committed() {
            return;
        }
        let current = core.membership.current();
        if current.is_joint() {
            if current.leave() == Leave::Automatic
                && let Ok(next) = current.left()
            {
                self.append_configuration(&next);
            }
        } else if !current.is_voter(core.config.me) {
            // The removal is committed: this was the last that was asked of this leader.
            self.resign();
        }
    }

    /// On each tick: a learner that is to join votes as soon as it has caught up.
    pub(crate) fn promote_who_caught_up(&mut self) {
        if self.may_change().is_err() {
            return;
        }
        let current = self.core.membership.current();
        let ready = current.members().find(|(member, standing)| {
            *standing == Standing::Joining && self.has_caught_up(member.id)
        });
        if let Some((member, _)) = ready
            && let Ok(next) = current.change(&[Step::Voter(member.clone())], Leave::Automatic)
        {
            self.append_configuration(&next);
        }
    }

    /// Whether a follower lacks no more than a moment's entries.
    fn has_caught_up(&self, member: MemberId) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let last = self.core.log.last().index.0;
        let enough = last.saturating_sub(self.core.config.caught_up_entries);
        let progress = leader.followers.get(&member.node).filter(|known| known.member == member);
        progress.is_some_and(|progress| progress.matched.0 >= enough.max(1))
    }
}

impl Core {
    pub(crate) fn other_members(&self) -> Vec<MemberId> {
        let members = self.membership.current().members().map(|(member, _)| member.id);
        members.filter(|id| id.node != self.config.me.node).collect()
    }
}
