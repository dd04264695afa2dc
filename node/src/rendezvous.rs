//! Rendezvous points: which member a key belongs to, as all members see it ([`Placement`], by
//! weighted highest-random-weight over the committed configuration); a key as one member's alone
//! for a time ([`Claim`], a lease through the log with a fencing token); and, over HTTP, requests
//! that find the member that holds their key (`http`, with the feature `server`).
//! docs/rendezvous.md says the same for users.

mod claim;
pub(crate) mod claims;
mod error;
mod hash;
#[cfg(feature = "server")]
pub mod http;
mod placement;

pub use claim::{CLAIM_TIME_MAX, CLAIM_TIME_MIN, Claim, Fence, Holder};
pub use error::ClaimError;
pub use placement::{Affinity, Owners, Place, Placement};
