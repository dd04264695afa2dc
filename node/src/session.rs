//! What a connector needs of users that come and go between members: their sessions, sealed in
//! their own hands ([`Sessions`]), and one-time tickets ([`Tickets`]).
//!
//! ```
//! use holm::session::SessionOptions;
//! use holm::store::Store;
//! use holm::{Config, KeyRing, Node, Secret};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = Secret::generate(&mut |out| out.fill(7));
//! let mut nodes = Vec::new();
//! for mut config in Config::local_cluster(3).await? {
//!     config.session_secrets = Some(KeyRing::of(secret.clone()));
//!     nodes.push(Node::open(config, Store::default()).await?);
//! }
//! let here = nodes[0].sessions(SessionOptions::new("session")).await?;
//! let there = nodes[2].sessions(SessionOptions::new("session")).await?;
//! let token = here.sealer().seal(&("ada", 7_u32))?;
//! let opened = there.opener().open::<(String, u32)>(&token).await?;
//! assert_eq!(opened.state, ("ada".to_owned(), 7));
//! # Ok(())
//! # }
//! ```

mod cookie;
mod error;
mod keys;
#[cfg(feature = "axum")]
mod layer;
mod open;
mod options;
mod ring;
mod seal;
mod ticket;
mod tickets;
mod token;

pub use error::{Refused, SealError, SessionError};
pub use keys::{KeyInfo, KeyState, Keys};
#[cfg(feature = "axum")]
pub use layer::{Kept, Session, SessionLayer, SessionService};
pub use open::{Opened, Opener};
pub use options::SessionOptions;
pub(crate) use ring::Wrapping;
pub use seal::{Sealer, Sessions};
pub use ticket::{MistypedTicket, Ticket};
pub use tickets::{TicketError, Tickets};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use token::fuzz_token;

#[cfg(test)]
mod tests;
