//! Holm.
#![forbid(unsafe_code)]

mod config;
mod driver;
mod edges;
mod envelope;
mod error;
mod machine;
mod member_info;
mod node;
mod open;
mod replica;
mod retries;
#[cfg(feature = "server")]
pub mod server;
mod status;
mod stop;
pub mod store;
pub mod topology;

pub use config::{Config, Listen, Start, Storage};
pub use edges::{Clock, Edges, Entropy};
pub use error::Error;
pub use holm_raft_core::Index;
pub use machine::StateMachine;
pub use node::{Applied, Node, ProposeOptions};
pub use open::OpenError;
pub use status::{MemberStatus, Status};
pub use stop::Stop;
