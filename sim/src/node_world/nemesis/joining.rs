//! New members: operators add those that wait on an empty disk, or hand a new machine a one-time
//! ticket with which it joins by itself, maybe amid a power cut. Then somebody else tries the same
//! ticket, in vain.

use super::Nemesis;
use crate::node_world::configurations::{self, Configured};
use crate::node_world::findings::{any_broken, broken, happened, note};
use crate::node_world::happening::Happening;
use crate::node_world::joining::Invitation;
use crate::node_world::member::Member;
use holm::join::{JoinError, join};
use holm::members::{Change, Votes};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a machine takes at most to wait for its cluster.
const STARTS: Duration = Duration::from_secs(2);
/// For how long a ticket holds, and how long operators wait for the one who has it.
const TICKET_HOLDS: Duration = Duration::from_secs(600);
const JOINS: Duration = Duration::from_secs(8);
/// For how long somebody else tries it.
const TRIES: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

impl Nemesis {
    /// A member that is none, or no more, and to whom nothing happens.
    fn outside(&self, node: u64) -> Option<&Member> {
        let known = |one: &Configured| one.member(node).is_some();
        let member = self.members.iter().find(|member| member.node == node)?;
        let free = !configurations::in_force().iter().any(known);
        (free && !member.process_busy.replace(true)).then_some(member)
    }

    /// One comes in on an empty disk, and waits to be added.
    pub(super) async fn add(&self, n: u64, what: &Happening, node: u64, votes: Votes) {
        let Some(member) = self.outside(node) else { return };
        member.wipe();
        member.start_again();
        let until = Instant::now() + STARTS;
        while member.running().is_none() && Instant::now() < until && !any_broken() {
            sleep(LOOK).await;
        }
        if let Some(new) = member.as_new() {
            self.change(n, what, Change::Add { new, votes }).await;
        }
        member.process_busy.set(false);
    }

    /// One comes in by a ticket.
    pub(super) async fn join(&self, n: u64, what: &Happening, node: u64) {
        let Some(member) = self.outside(node) else { return };
        let newest = configurations::newest();
        let addresses = member.addresses(|other| newest.member(other).is_some());
        if let Some(invitation) = self.invite(node, addresses).await {
            self.begins(n, what);
            self.joins(member, invitation).await;
        }
        member.process_busy.set(false);
    }

    async fn invite(&self, node: u64, addresses: Vec<String>) -> Option<Invitation> {
        if addresses.is_empty() {
            return None;
        }
        let since = configurations::newest().index;
        match self.anybody()?.invite(Some(node), TICKET_HOLDS).await {
            Ok(ticket) => Some(Invitation { ticket, addresses, since }),
            Err(error) => {
                note(|| format!("no ticket for member {node}: {error}"));
                None
            }
        }
    }

    async fn joins(&self, member: &Member, invitation: Invitation) {
        member.wipe();
        member.is_invited(Some(invitation.clone()));
        member.start_again();
        if self.between(0, 2) == 0 {
            sleep(Duration::from_micros(self.between(1_000, 400_000))).await;
            if !is_seated(member) {
                happened("joins amid a power cut");
            }
            member.power_cut();
            sleep(Duration::from_micros(self.between(1_000, 400_000))).await;
            member.start_again();
        }
        let until = Instant::now() + JOINS;
        while !is_seated(member) && Instant::now() < until && !any_broken() {
            sleep(LOOK).await;
        }
        member.is_invited(None);
        if is_seated(member) {
            self.try_again(member, &invitation).await;
        }
    }

    /// Somebody else has seen the ticket.
    async fn try_again(&self, member: &Member, invitation: &Invitation) {
        let Invitation { ticket, addresses, .. } = invitation;
        let (mut config, edges) = member.impostor();
        let tried = join(&mut config, &edges, ticket, addresses, TRIES).await;
        note(|| format!("somebody else tries the ticket of member {}", member.node));
        match tried {
            Ok(()) => {
                let node = member.node;
                broken("a ticket admits once", format!("two have joined as member {node} by one"));
            }
            Err(JoinError::Refused { .. }) => happened("tickets tried a second time"),
            Err(other) => note(|| format!("that is not answered: {other}")),
        }
    }
}

/// Whether it runs, and belongs to the cluster.
fn is_seated(member: &Member) -> bool {
    let newest = configurations::newest();
    let runs = member.running().is_some();
    let seated = newest.member(member.node);
    runs && seated.is_some_and(|seated| seated.incarnation == member.incarnation())
}
