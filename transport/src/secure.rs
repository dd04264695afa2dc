//! What makes a link secure, without a socket, a clock or a source of entropy: the `handshake` that
//! two members begin with, the sealing of what follows it (`seal`), the `window` that finds
//! repetitions where messages come in any order, and what these stand on.

pub(crate) mod curve;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub(crate) mod handshake;
pub(crate) mod hash;
pub(crate) mod random;
pub(crate) mod seal;
mod suite;
pub(crate) mod window;

#[cfg(any(test, feature = "fuzzing"))]
pub use fuzz::fuzz_handshake;
