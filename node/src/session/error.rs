//! What can go wrong with sessions: `SessionError` when they are set up, `SealError` when one is
//! sealed, `Refused` when one is presented.

use crate::error::Error;
use std::time::Duration;

/// The token is not valid: made up, altered, sealed for something else, expired, or revoked. Which
/// of these, nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is not valid; begin a new one")]
pub struct Refused;

/// Why a state was not sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Browsers would not keep it.
    #[error(
        "the sealed session has {bytes} bytes with the cookie's attributes, over the limit of \
         {limit}; keep less in it, and the rest in the replicated state"
    )]
    TooLarge {
        /// Its size, with its name and attributes.
        bytes: usize,
        /// The limit (`TOKEN_BYTES_MAX`).
        limit: usize,
    },
    /// No key seals here: the newest was revoked just now, or this member does not have the secret
    /// that it is wrapped under.
    #[error("no session key can be used here now; try again, or give this member all secrets")]
    NoKey,
    /// The state could not be encoded.
    #[error("the session's state can't be encoded: {0}")]
    Encode(String),
}

/// Why there are no sessions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// There is no secret to wrap keys under.
    #[error(
        "there is no secret to keep session keys under: links are insecure; set session_secrets, \
         the same on all members"
    )]
    NoSecret,
    /// The cookie's name is none.
    #[error(
        "{name:?} is no name for a cookie; give it 1 to 64 letters, digits, hyphens or underscores"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// The cookie's domain is none.
    #[error("{domain:?} is no domain; give it letters, digits, hyphens and dots, 1 to 253")]
    Domain {
        /// What was given.
        domain: String,
    },
    /// A time is out of its bounds.
    #[error("{what} is {is:?}; give it {least:?} to {most:?}")]
    Time {
        /// Which.
        what: &'static str,
        /// What was given.
        is: Duration,
        /// The least it may be.
        least: Duration,
        /// The most it may be.
        most: Duration,
    },
    /// Too many subjects are remembered as revoked. Nothing was changed.
    #[error("{limit} subjects are remembered as revoked; rotate and revoke the keys instead")]
    SubjectsFull {
        /// The bound (`revoked_subjects_max`).
        limit: usize,
    },
    /// There is no such key.
    #[error("there is no key {key}; see which there are, and name one of those")]
    UnknownKey {
        /// What was named.
        key: u32,
    },
    /// The cluster did not answer.
    #[error(transparent)]
    Node(#[from] Error),
}
