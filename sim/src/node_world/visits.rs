//! What clients do with that part of the replicated state which is Holm's own: `visit` carries out
//! a wish of that kind, `conclude` judges at the end what came of all of them.

use super::backups;
use super::claims;
use super::clients::{Client, Saw};
use super::happening::Happening;
use super::member::Member;
use super::tickets;
use super::tokens;

/// Carries out one of these wishes; says whether it is one.
pub(super) async fn visit(client: &Client, number: u64, wish: &Happening) -> Visited {
    match *wish {
        Happening::Issue { ticket, millis, at, .. } => client.issue(ticket, millis, at).await,
        Happening::Present { ticket, at, .. } => client.present(ticket, at).await,
        Happening::Claim { key, millis, at, lasting, .. } => {
            client.claim(number, (key, millis), at, lasting).await;
        }
        Happening::Browse { at, .. } => client.browse(at).await,
        Happening::LogOut { at, .. } => client.log_out(at).await,
        Happening::RotateKeys { at, .. } => client.rotate(at).await,
        Happening::BackUp { at, .. } => client.back_up(at).await,
        _ => return Visited::Not,
    }
    Visited::Done
}

/// Whether a wish was one of these.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Visited {
    Done,
    Not,
}

/// Now that all clients are answered, and nothing fails any more.
pub(super) async fn conclude(members: &[Member], saw: &Saw) {
    tickets::conclude(members).await;
    claims::conclude(members).await;
    tokens::conclude(members).await;
    backups::conclude(saw);
}
