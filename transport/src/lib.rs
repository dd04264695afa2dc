//! Frames over TCP between the members of a Holm cluster: [`Transport`] and what it is told
//! ([`Config`]), hands up ([`Inbound`]) and shows ([`PeerStatus`]).
//!
//! Two members share one connection and use it both ways, whoever dialled it. Where two have none,
//! others pass on what they send each other, along the shortest way that is live. Sending never
//! waits: a message that finds no way or a full queue is lost, and counted by its reason
//! ([`Lost`]). A message may also arrive twice, late, or behind one that was sent after it: the
//! protocol above bears all of that. The bytes are described in `docs/wire-format.md`.
//!
//! Links are sealed ([`Security::Sealed`]): both ends show that they know the cluster's secret and
//! hold the key by which the other one knows them, and nobody in between can read, alter or repeat
//! what they say. [`Security::Insecure`] has checksums only.
#![forbid(unsafe_code)]

mod accept;
mod config;
mod connection;
mod deliver;
mod dial;
mod epoch;
mod feed;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzz;
mod greet;
mod greetings;
mod hello;
mod incoming;
mod keys;
mod line;
mod link;
mod message;
#[cfg_attr(not(feature = "mutations"), allow(unreachable_pub))]
mod mutation;
mod network;
mod outgoing;
mod passing;
mod pieces;
mod queue;
mod relayed;
mod routing;
mod secure;
mod shared;
mod status;
mod stranger;
mod tend;
#[cfg(test)]
mod tests;
mod transport;

pub use config::{Config, Dial, Error, Limits, Peer, Relaying, Security, Timing};
pub use epoch::Epoch;
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzz::{fuzz_frames, fuzz_session};
pub use keys::{KEY_BYTES, KeyError, KeyPair, KeyRing, Kind, PrivateKey, PublicKey};
pub use keys::{RingError, Secret, SecretId};
#[cfg(feature = "mutations")]
pub use mutation::{Mutation, on as mutation_is_on, with as with_mutation};
pub use network::{Accept, Answer, Listener, Network, Stream, Tcp, Transit};
#[cfg(any(test, feature = "fuzzing"))]
pub use routing::fuzz_records;
#[cfg(any(test, feature = "fuzzing"))]
pub use secure::fuzz_handshake;
pub use status::{Lost, Neighbours, PeerStatus, Reached, Refusal, Traffic};
pub use stranger::ask;
pub use stranger::{ANSWER_BYTES_MAX, Answered, AskError, Caller, QUESTION_BYTES_MAX, Stranger};
pub use transport::{Inbound, Transport};
