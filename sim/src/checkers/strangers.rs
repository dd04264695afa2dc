//! Answers from strangers do not count (thesis §4.1 leaves it open; TLA+ has no name for it): a
//! member that lost its disk is another incarnation, and what the one before has said is no answer
//! of this one, even in the same term.

use super::{Check, ensure};
use holm_raft_core::{Body, Configuration, Message};

const NAME: &str = "answers from strangers do not count";

/// Whether a member with this configuration has to drop a message for who sends it.
#[must_use]
pub fn is_strange(message: &Message, configuration: &Configuration) -> bool {
    let answers = matches!(
        message.body,
        Body::Voted(_) | Body::Appended { .. } | Body::Rejected { .. } | Body::HeartbeatAck { .. }
    );
    answers && !configuration.contains(message.from)
}

/// A member was handed a strange message, and this is how often it has dropped one, before and
/// after.
///
/// # Errors
/// If it did not drop it.
pub fn dropped(message: &Message, before: u64, after: u64) -> Check {
    ensure((after > before).into(), NAME, || {
        let Message { from, to, .. } = message;
        format!("{to} takes {} from {from}, who is no member", message.body.name())
    })
}
