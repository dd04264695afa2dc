//! Which member a key belongs to, as all members see it: [`Placement`], by weighted
//! highest-random-weight over the committed configuration. docs/rendezvous.md says the same for
//! those who compute it elsewhere.

mod hash;
mod placement;

pub use placement::{Affinity, Owners, Place, Placement};
