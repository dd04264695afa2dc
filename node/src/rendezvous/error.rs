//! Why a claim is refused: [`ClaimError`].

use super::{CLAIM_TIME_MAX, CLAIM_TIME_MIN, Placement};
use crate::error::Error;
use std::time::Duration;

/// Why a key is not claimed, or something was not done in a claim's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Another claim on the key lasts.
    #[error(
        "member {member} holds it (token {token}), for {left:?} unless it is renewed; ask that \
         member, or try again then"
    )]
    Taken {
        /// Whose it is.
        member: u64,
        /// The claim's token.
        token: u64,
        /// How long it lasts unless it is renewed, in log time.
        left: Duration,
    },
    /// The claim is over, or another's: what was to be done in its name was not done.
    #[error("the claim is over; whatever was held under it is to be given up, then claim it anew")]
    Lost,
    /// There are too many claims in the cluster, or on this member.
    #[error("{limit} claims are held already; release some, or wait until their time is over")]
    Full {
        /// How many there may be.
        limit: usize,
    },
    /// The key can't be claimed.
    #[error("the key has {bytes} bytes; give it 1 to {}", Placement::KEY_BYTES_MAX)]
    Key {
        /// How long it is.
        bytes: usize,
    },
    /// The time is out of its bounds.
    #[error("{time:?} is no time for a claim; give it {CLAIM_TIME_MIN:?} to {CLAIM_TIME_MAX:?}")]
    Time {
        /// What was asked for.
        time: Duration,
    },
    /// The cluster could not be asked.
    #[error(transparent)]
    Node(#[from] Error),
}
