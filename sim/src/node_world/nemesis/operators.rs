//! What operators do while all this happens: they change the members and hand leadership over, one
//! thing at a time, and put those that lost their disks back into their places. They stay within
//! what is promised: whatever they do leaves a majority of every configuration that may be in force
//! with its disks.

use super::Nemesis;
use crate::node_world::configurations::{self, Configured, Seated};
use crate::node_world::findings::{any_broken, happened, note};
use crate::node_world::happening::Happening;
use crate::node_world::member::Member;
use crate::node_world::trace::leader;
use holm::members::{Change, NotChanged, Votes};
use holm::{Error, Node};
use std::time::Duration;
use tokio::time::sleep;

/// How often operators look for somebody to put back.
const LOOK: Duration = Duration::from_millis(300);
/// What may still be done though nobody was told so is done by then.
const UNCLEAR: Duration = Duration::from_secs(3);

impl Nemesis {
    pub(super) async fn of_operator(&self, n: u64, what: &Happening) {
        if self.operating.replace(true) {
            return;
        }
        match *what {
            Happening::Transfer { member } => {
                if let Some(node) = self.anybody() {
                    self.begins(n, what);
                    let told = node.transfer(Some(member)).await;
                    note(|| format!("transfer to {member}: {}", words(&told)));
                }
            }
            Happening::Add { member } => self.add(n, what, member, Votes::OnceCaughtUp).await,
            Happening::Learn { member } => self.add(n, what, member, Votes::WhenPromoted).await,
            Happening::Join { member } => self.join(n, what, member).await,
            Happening::Promote { member } => {
                self.change(n, what, Change::Promote { node: member }).await;
            }
            Happening::Demote { member } => {
                self.change(n, what, Change::Demote { node: member }).await;
            }
            Happening::Remove { member } => {
                self.change(n, what, Change::Remove { node: member }).await;
            }
            Happening::RemoveLeader {} => {
                if let Some(node) = leader() {
                    self.change(n, what, Change::Remove { node }).await;
                }
            }
            _ => {}
        }
        self.operating.set(false);
    }

    pub(super) async fn change(&self, n: u64, what: &Happening, change: Change) {
        let Some(node) = self.anybody() else { return };
        if !self.may_change(&change) {
            return;
        }
        let leaving = match change {
            Change::Remove { node } => self.members.iter().find(|member| member.node == node),
            _ => None,
        };
        leaving.inspect(|member| member.leaves());
        self.begins(n, what);
        if self.ask(&node, change).await == Asked::Refused {
            leaving.inspect(|member| member.stays());
        }
    }

    /// Asks a member for a change, and waits until it is clear what became of it.
    async fn ask(
        &self,
        node: &Node<crate::node_world::machine::Register>,
        change: Change,
    ) -> Asked {
        let told = node.change_members(change.clone(), None).await;
        note(|| format!("{change:?}: {}", words(&told)));
        match told {
            Ok(_) => {
                happened("changes of the members");
                Asked::Done
            }
            Err(NotChanged::Failed(Error::Unknown { .. } | Error::Stopped { .. })) => {
                sleep(UNCLEAR).await;
                Asked::Unclear
            }
            Err(_) => Asked::Refused,
        }
    }

    /// Somebody who belongs to the cluster and runs.
    pub(super) fn anybody(&self) -> Option<Node<crate::node_world::machine::Register>> {
        let newest = configurations::newest();
        let belongs = |member: &&Member| newest.member(member.node).is_some();
        let up: Vec<&Member> =
            self.members.iter().filter(belongs).filter(|m| m.running().is_some()).collect();
        let count = u64::try_from(up.len()).expect("a few");
        let at = self.between(0, count.checked_sub(1)?);
        up[usize::try_from(at).expect("a few")].running()
    }

    /// Whether the living could decide afterwards, three of them at least.
    fn may_change(&self, change: &Change) -> bool {
        let after = |mut one: Configured| {
            match change {
                Change::Remove { node } => one.members.retain(|member| member.node != *node),
                Change::Demote { node } => {
                    let known = one.members.iter_mut().filter(|member| member.node == *node);
                    known.for_each(|member| "Learner".clone_into(&mut member.standing));
                }
                Change::Promote { node } => {
                    let known = one.members.iter_mut().filter(|member| member.node == *node);
                    known.for_each(|member| "Voter".clone_into(&mut member.standing));
                }
                Change::Add { new, votes: Votes::OnceCaughtUp } => one.members.push(Seated {
                    node: new.member.id,
                    incarnation: new.incarnation.0,
                    standing: "Joining".to_owned(),
                }),
                _ => {}
            }
            one
        };
        let all = configurations::in_force();
        all.into_iter().all(|one| {
            let after = after(one);
            after.voters().len() >= 3 && after.works(|member| self.is_sound(member))
        })
    }

    /// Whether a member has what it promised.
    fn is_sound(&self, seated: &Seated) -> bool {
        let member = self.members.iter().find(|member| member.node == seated.node);
        member.is_some_and(|member| {
            member.incarnation() == seated.incarnation && !member.is_doubtful()
        })
    }

    /// Whether the others can decide, in every configuration that may be in force, if this member
    /// forgets all it has promised, and nothing is being changed that could make that otherwise.
    pub(super) fn can_do_without(&self, member: &Member) -> bool {
        let all = configurations::in_force();
        let stays = |seated: &Seated| seated.node != member.node && self.is_sound(seated);
        let belongs = configurations::newest()
            .member(member.node)
            .is_some_and(|seated| seated.incarnation == member.incarnation());
        // Who waits in memory may forget that it does.
        let may = belongs || member.forgets();
        may && !self.operating.get() && all.iter().all(|one| one.works(stays))
    }

    /// For as long as the run goes on: whoever waits on an empty disk is put back into its place.
    /// The leader does so by itself with those whose logs are in memory.
    pub(in crate::node_world) async fn operate(self) {
        while !any_broken() {
            sleep(LOOK).await;
            let newest = configurations::newest();
            for member in self.members.iter() {
                let lost = |seated: &Seated| seated.incarnation != member.incarnation();
                let waits = member.status().is_some_and(|status| status.role == "waiting");
                if !waits || member.forgets() || !newest.member(member.node).is_some_and(lost) {
                    continue;
                }
                let Some(node) = self.anybody().filter(|_| !self.operating.replace(true)) else {
                    continue;
                };
                if self.ask(&node, Change::Readmit { node: member.node }).await == Asked::Done {
                    happened("members let in again");
                }
                self.operating.set(false);
            }
        }
    }

    /// Whether all are where they belong: nobody is on his way in, and each member of the newest
    /// configuration is who it names.
    pub(in crate::node_world) fn all_are_back(&self) -> bool {
        let newest = configurations::newest();
        newest.is_settled() && newest.members.iter().all(|seated| self.is_sound(seated))
    }
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Done,
    Refused,
    /// It may still take effect.
    Unclear,
}

fn words<T: std::fmt::Debug>(told: &Result<T, NotChanged>) -> String {
    match told {
        Ok(done) => format!("done: {done:?}"),
        Err(why) => why.to_string(),
    }
}
