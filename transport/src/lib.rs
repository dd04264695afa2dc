//! Frames over TCP between the members of a Holm cluster: [`Transport`] and what it is told
//! ([`Config`]), hands up ([`Inbound`]) and shows ([`PeerStatus`]).
//!
//! Two members share one connection and use it both ways, whoever dialled it. Sending never waits:
//! a message that finds no link or a full queue is lost, and counted by its reason ([`Lost`]). A
//! message may also arrive twice, late, or behind one that was sent after it: the protocol above
//! bears all of that. The bytes are described in `docs/wire-format.md`.
//!
//! Today's links are plain TCP: whoever reaches the port and knows the cluster's name is believed
//! to be the member it says it is ([`Security::Insecure`]).
#![forbid(unsafe_code)]

mod accept;
mod config;
mod connection;
mod dial;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzz;
mod hello;
mod keys;
mod link;
mod message;
mod peer;
mod queue;
#[allow(dead_code, unused_imports, reason = "nothing speaks through it yet")]
mod secure;
mod status;
#[cfg(test)]
mod tests;
mod transport;

pub use config::{Config, Dial, Error, Limits, Peer, Security, Timing};
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzz::fuzz_frames;
pub use keys::{KEY_BYTES, KeyError, KeyPair, KeyRing, Kind, PrivateKey, PublicKey};
pub use keys::{RingError, Secret, SecretId};
#[cfg(any(test, feature = "fuzzing"))]
pub use secure::fuzz_handshake;
pub use status::{Lost, PeerStatus, Reached, Refusal, Traffic};
pub use transport::{Inbound, Transport};
