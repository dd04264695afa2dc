//! What a connector needs of users that come and go between members: one-time tickets
//! ([`Tickets`]).

mod ticket;
mod tickets;

pub use ticket::{MistypedTicket, Ticket};
pub use tickets::{TicketError, Tickets};
