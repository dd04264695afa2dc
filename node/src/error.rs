//! What can go wrong when a node is asked for something: `Error`, each kind with what the caller
//! may conclude from it.

use std::time::Duration;

/// Why a proposal or a read was not answered.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Nothing happened: no leader with a quorum took the request in time. Safe to retry.
    #[error("no leader reached a quorum within {waited:?}; nothing was changed, try again")]
    Unavailable {
        /// How long the request waited.
        waited: Duration,
    },
    /// A proposal may or may not take effect. Retry under the same key, or read first.
    #[error("the outcome is unknown after {waited:?}; retry with the same key, or read first")]
    Unknown {
        /// How long the request waited.
        waited: Duration,
    },
    /// The key was used for another command within its retention. Nothing happened.
    #[error("the key was used for another command; use a new key for each command")]
    KeyReused,
    /// A key needs at least one byte. Nothing happened.
    #[error("an empty key; give it 1 to 128 bytes")]
    KeyEmpty,
    /// Too much is remembered of keys already. Nothing happened.
    #[error("{limit} is reached by keys; wait until some expire, or propose without one")]
    KeysFull {
        /// The bound: `idempotency_keys_max` (250,000) or `idempotency_bytes_max` (64 MiB of keys
        /// and replies).
        limit: &'static str,
    },
    /// The session of a [`Client`](crate::Client) has expired. Nothing happened.
    #[error("the client's session has expired; propose again, in a new session")]
    SessionExpired,
    /// There are too many sessions of [`Client`](crate::Client)s, or too many replies that nobody
    /// acknowledged. Nothing happened.
    #[error("{limit} is reached by the clients' sessions; wait until some expire")]
    SessionsFull {
        /// The bound: `sessions_max` (100,000), `session_replies_max` (256 of each session) or
        /// `session_bytes_max` (64 MiB of all of them).
        limit: &'static str,
    },
    /// The claim in whose name it was proposed was over where it stands in the log. Nothing
    /// happened, and under this claim nothing ever will.
    #[error("the claim is over; give up what was held under it, and claim the key anew")]
    ClaimOver,
    /// The command or key is beyond a limit. Nothing happened.
    #[error("{what} of {bytes} bytes is over the limit of {limit}; send less")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A queue is full. Nothing happened.
    #[error("busy: {limit} is reached; try again later")]
    Busy {
        /// The name of the limit.
        limit: &'static str,
    },
    /// The member's disk is full: it takes nothing until there is room. Nothing happened.
    #[error("this member's disk is full; make room on it, or ask another member")]
    DiskFull,
    /// Secrets were given to a member whose links are insecure. Nothing happened.
    #[error(
        "links between members are insecure and use no secrets; open the node with sealed ones"
    )]
    Insecure,
    /// The command could not be encoded. Nothing happened.
    #[error("the command can't be encoded: {0}")]
    Encode(String),
    /// The node has stopped. Whether a proposal that was under way takes effect is unknown.
    #[error("the node has stopped: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
}
