//! How a machine joins: it has a one-time ticket and the addresses of members that it may dial, and
//! asks until it is admitted, or until it is told to give up, as an operator would.

use super::configurations;
use super::findings::{broken, happened, note};
use super::member::Seat;
use holm::Edges;
use holm::join::{JoinError, JoinTicket, join};
use std::time::Duration;

/// What a machine needs to join.
#[derive(Clone)]
pub(super) struct Invitation {
    pub(super) ticket: JoinTicket,
    pub(super) addresses: Vec<String>,
    /// Where the members were set that the ticket was made under.
    pub(super) since: u64,
}

/// For how long it asks before it looks around.
const ASKS: Duration = Duration::from_secs(2);

/// Whether the machine may start its node: it was not invited, or is admitted by now.
pub(super) async fn has_joined(seat: &Seat, edges: &Edges) -> bool {
    let invited = seat.invitation.lock().expect("nobody panicked").clone();
    let Some(Invitation { ticket, addresses, since }) = invited else { return true };
    let mut config = seat.config_to_join();
    let joined = join(&mut config, edges, &ticket, &addresses, ASKS).await;
    note(|| format!("member {} asks to be admitted: {}", seat.node, words(&joined)));
    match joined {
        Ok(()) => {
            *seat.told.lock().expect("nobody panicked") = Some(config.topology);
            *seat.invitation.lock().expect("nobody panicked") = None;
            happened("members that joined by a ticket");
            return true;
        }
        Err(JoinError::Open(error)) => seat.not_opened(&error),
        // It was admitted, did not hear of it, and was removed.
        Err(JoinError::Refused { why })
            if why.contains("used already") && configurations::seated_at(seat.node) > since =>
        {
            happened("tickets spent by members that were removed");
        }
        // Whoever consumed it is answered alike, however often it asks.
        Err(JoinError::Refused { why }) if why.contains("ticket") => {
            let says = format!("member {} was given a ticket, and is told: {why}", seat.node);
            broken("a ticket admits its holder", says);
        }
        Err(_) => {}
    }
    false
}

fn words(joined: &Result<(), JoinError>) -> String {
    match joined {
        Ok(()) => "it is".to_owned(),
        Err(why) => why.to_string(),
    }
}
