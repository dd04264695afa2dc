//! What members promise by their messages, as these leave: one vote a term (paper §5.2), and an
//! answer, a vote or a candidacy only once it is on the disk (paper figure 2), so that a restart
//! finds the term that was spoken of, and nothing is acknowledged that is not durable.

use super::findings::broken;
use std::cell::RefCell;
use std::collections::BTreeMap;

const ONE_VOTE: &str = "one vote a term";
const DURABLE: &str = "answers wait for the disk";

/// What one member has said since it was made.
#[derive(Default)]
struct Said {
    /// The highest term in which it has voted, stood or held entries.
    term: u64,
    /// For whom it has voted last, in which term.
    vote: (u64, u64),
    /// What it has acknowledged in its current turn, in which term.
    matched: (u64, u64),
}

std::thread_local! {
    static SAID: RefCell<BTreeMap<u64, Said>> = RefCell::default();
}

/// A message leaves a member: of which kind, to whom, in which term, and what it says.
pub(super) fn leaves(node: u64, kind: &str, (to, term): (u64, u64), says: &str) {
    let is_vote = kind == "voted" && says == "Granted";
    if !is_vote && !matches!(kind, "vote" | "appended") {
        return;
    }
    let twice = SAID.with_borrow_mut(|all| {
        let said = all.entry(node).or_default();
        said.term = said.term.max(term);
        match kind {
            "appended" => {
                let matched = says.strip_prefix("matched=").and_then(|index| index.parse().ok());
                said.matched = (term, matched.unwrap_or(0).max(said.matched.1));
                None
            }
            _ => {
                // Who stands has voted for itself.
                let choice = if is_vote { to } else { node };
                let before = std::mem::replace(&mut said.vote, (term, choice));
                (before.0 == term && before.1 != choice).then_some((before.1, choice))
            }
        }
    });
    if let Some((one, other)) = twice {
        let says = format!("in term {term} member {node} votes for member {one} and for {other}");
        broken(ONE_VOTE, says);
    }
}

/// A turn of a member ends, in this term, with a log that is durable up to here.
pub(super) fn turn(node: u64, term: u64, durable: u64) {
    let early = SAID.with_borrow_mut(|all| {
        let (of, matched) = std::mem::take(&mut all.get_mut(&node)?.matched);
        // A later leader may have replaced what was acknowledged to the one before.
        (of == term && matched > durable).then_some(matched)
    });
    if let Some(matched) = early {
        let says = format!("member {node} acknowledges all up to {matched}, and has {durable}");
        broken(DURABLE, says);
    }
}

/// A start finds this term.
pub(super) fn finds(node: u64, term: u64) {
    let spoke_of = SAID.with_borrow(|all| all.get(&node).map_or(0, |said| said.term));
    if term < spoke_of {
        let says = format!("member {node} has spoken in term {spoke_of}, and finds term {term}");
        broken(DURABLE, says);
    }
}

/// A member is another one from now on.
pub(super) fn forget(node: u64) {
    SAID.with_borrow_mut(|all| _ = all.remove(&node));
}
