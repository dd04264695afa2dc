//! Nobody votes on what it has forgotten: a member whose log was in memory comes back as another
//! incarnation, and whoever comes in, or back, is a learner before it votes (thesis §4.2.1, and
//! chapter 11 of it for members that lose their state).

use super::configurations::Seated;
use super::findings::broken;
use std::cell::RefCell;
use std::collections::BTreeSet;

const NAME: &str = "nobody votes on what it has forgotten";

#[derive(Default)]
struct Known {
    /// Members in memory, by the incarnations in which they have started.
    started: BTreeSet<(u64, u64)>,
    /// Who has been part of a configuration.
    seated: BTreeSet<(u64, u64)>,
}

std::thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// A member whose log is in memory starts.
pub(super) fn starts(node: u64, incarnation: u64) {
    if !KNOWN.with_borrow_mut(|known| known.started.insert((node, incarnation))) {
        let says = format!("member {node} has forgotten all, and comes back as the one it was");
        broken(NAME, says);
    }
}

/// A log has another newest configuration. The first of all is who forms the cluster.
pub(super) fn heard(members: &[Seated]) {
    let at_once = KNOWN.with_borrow_mut(|known| {
        let first = known.seated.is_empty();
        let votes = |one: &&Seated| matches!(&*one.standing, "Voter" | "Incoming");
        let new = |one: &&Seated| !known.seated.contains(&(one.node, one.incarnation));
        let at_once = members.iter().filter(votes).find(new).filter(|_| !first).cloned();
        known.seated.extend(members.iter().map(|one| (one.node, one.incarnation)));
        at_once
    });
    if let Some(Seated { node, incarnation, .. }) = at_once {
        broken(NAME, format!("member {node} votes at once, as {incarnation:016x}"));
    }
}
