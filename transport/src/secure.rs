//! What makes a link secure, without a socket or a clock: the hash, the curve and the random stream
//! that its parts stand on.

pub(crate) mod curve;
pub(crate) mod hash;
