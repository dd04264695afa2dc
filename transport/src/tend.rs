//! How each member is reached: [`tend`], the task that follows what the members say of their links,
//! finds the ways through others, and has sessions with those that are reached so.

use crate::frame::Kind;
use crate::greetings::Own;
use crate::line::{Line, Via};
use crate::mutation::{Mutation, on};
use crate::queue::Load;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep_until;

/// Keeps the ways up to date, until the transport stops.
pub(crate) async fn tend(shared: Arc<Shared>) {
    let mut again_at = Duration::ZERO;
    loop {
        tokio::select! { biased;
            () = shared.changed.notified() => (),
            () = sleep_until(shared.started + again_at) => (),
        }
        again_at = shared.refresh_routes();
        for line in shared.lines() {
            again_at = again_at.min(settle(&shared, &line).await);
        }
    }
}

/// Finds out how a member is reached now, and announces it if that has changed; says when to look
/// again.
pub(crate) async fn settle(shared: &Shared, line: &Arc<Line>) -> Duration {
    let (via, again_at) = way(shared, line);
    line.goes_via(via);
    line.announce().await;
    again_at
}

/// The way to a member through others, if there is one, and when to look again.
fn way(shared: &Shared, line: &Arc<Line>) -> (Option<Via>, Duration) {
    let now = shared.now();
    let Some(via) = shared.way_to(line) else { return (None, Duration::MAX) };
    let ping = |via: Via| {
        let at = line.ping(shared.timing.keepalive_interval, || {
            let word = Load::Word(Kind::Ping, line.stamp());
            // A lost ping is one of many.
            let _ = via.next.queue.send_beyond(word, line);
        });
        (Some(via), at)
    };
    let Some(party) = shared.party() else { return ping(via) };
    let own = shared.introduction();
    let silent = line.is_silent(shared.timing.keepalive_timeout);
    let (stands, due_at) = line.relayed.sessions(|sessions| {
        sessions.keep_only(via.who);
        let kept = sessions.who().is_some() && on(Mutation::SessionKeptOverARestart);
        let stands = sessions.who() == Some(via.who) || kept;
        let begins = if stands { sessions.is_worn() || silent } else { shared.me.node < line.node };
        if !begins {
            return (stands, Duration::MAX);
        }
        let body = shared.with_random(|random| {
            sessions.greetings.attempt(Own { party: &party, own, random, now }, line.node)
        });
        if let Some(body) = body {
            shared.send_greeting(&via.next.queue, line.node, body);
        }
        (stands, sessions.greetings.due_at())
    });
    if !stands {
        return (None, due_at);
    }
    let (via, ping_at) = ping(via);
    (via, ping_at.min(due_at))
}
