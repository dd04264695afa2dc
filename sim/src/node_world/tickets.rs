//! One-time tickets in the simulated cluster: clients have them made by some member and present
//! them at others, several one ticket, each again and again until it is answered, and once more
//! after that. What they see is kept in a `Ledger`, for the invariants: at most one consumer, who
//! is answered alike whenever he asks; never before its time is over a refusal of what nobody has
//! consumed, and never anything but that from the first refusal, or the end of its time, on.

use super::clients::Client;
use super::configurations;
use super::findings::{any_broken, broken, happened, now, times_took_effect};
use super::machine::Register;
use super::member::Member;
use holm::session::{TicketError, Tickets};
use holm::{Error, Node};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::sleep;

const NAME: &str = "tickets are consumed once";

/// What is known of a ticket.
struct Known {
    text: Rc<str>,
    /// When it was asked for, in microseconds, and for how many milliseconds it can be consumed.
    asked: u64,
    millis: u64,
    /// When each consumer presented it first.
    presented: BTreeMap<u64, u64>,
    consumer: Option<u64>,
    /// When somebody was told first that he was refused.
    refused: Option<u64>,
}

type Ledger = BTreeMap<u64, Known>;

std::thread_local! {
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

fn of(node: &Node<Register>) -> Tickets<Register> {
    node.tickets("visit")
}

/// What one is told that presents a ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Consumed,
    Refused,
}

impl Client {
    /// Has a ticket made, by whichever member answers first.
    pub(super) async fn issue(&self, ticket: u64, millis: u64, mut at: u64) {
        let op = self.begins("issue", ticket, millis, at);
        while self.goes_on() {
            let member = self.member(at);
            if let Some(node) = member.running() {
                let asked = now();
                let (ttl, payload) = (Duration::from_millis(millis), ticket.to_le_bytes());
                match of(&node).issue(ttl, &payload).await {
                    Ok(made) => {
                        happened("tickets made");
                        self.ends(op, 1);
                        let text = made.reveal().as_str().into();
                        let (presented, consumer, refused) = (BTreeMap::new(), None, None);
                        let known = Known { text, asked, millis, presented, consumer, refused };
                        LEDGER.with_borrow_mut(|ledger| _ = ledger.entry(ticket).or_insert(known));
                        return;
                    }
                    Err(TicketError::Node(error)) => self.expected(member.node, &error),
                    Err(other) => broken("expected errors", format!("no ticket: {other}")),
                }
            }
            at = self.elsewhere().await;
        }
    }

    /// Presents a ticket, if it was made by then, and again when that is answered, elsewhere.
    pub(super) async fn present(&self, ticket: u64, at: u64) {
        let text = LEDGER.with_borrow(|ledger| Some(Rc::clone(&ledger.get(&ticket)?.text)));
        let Some(text) = text else { return };
        let first = self.presented(ticket, &text, at).await;
        let at = self.elsewhere().await;
        let again = self.presented(ticket, &text, at).await;
        if first.is_some() && first == again {
            happened("tickets presented again");
        }
    }

    /// Until it is answered, by whom and wherever.
    async fn presented(&self, ticket: u64, text: &str, mut at: u64) -> Option<Told> {
        let op = self.begins("present", ticket, self.name(), at);
        presents(ticket, self.name());
        while !any_broken() {
            let member = self.member(at);
            if let Some(node) = member.running() {
                let consumer = self.name().to_le_bytes();
                match of(&node).consume(text, &consumer).await {
                    Ok(payload) => {
                        self.ends(op, 1);
                        consumed(ticket, self.name(), &payload);
                        return Some(Told::Consumed);
                    }
                    Err(TicketError::Refused) => {
                        self.ends(op, 0);
                        refused(ticket, self.name());
                        return Some(Told::Refused);
                    }
                    Err(TicketError::Node(error)) => self.expected(member.node, &error),
                    Err(other) => broken("expected errors", format!("no answer: {other}")),
                }
            }
            at = self.elsewhere().await;
        }
        None
    }
}

fn presents(ticket: u64, consumer: u64) {
    with(ticket, |known| _ = known.presented.entry(consumer).or_insert_with(now));
}

fn consumed(ticket: u64, consumer: u64, payload: &[u8]) {
    happened("tickets consumed");
    with(ticket, |known| {
        let first = *known.consumer.get_or_insert(consumer);
        let begun = known.presented.get(&consumer).copied().unwrap_or(0);
        if payload != ticket.to_le_bytes() {
            broken(NAME, format!("ticket {ticket} carries {payload:?}"));
        } else if first != consumer {
            let says = format!("ticket {ticket} was consumed by client {first}, and by {consumer}");
            broken(NAME, says);
        } else if known.refused.is_some_and(|told| told < begun) {
            let says = format!(
                "client {consumer} consumes ticket {ticket}, of which it was told before \
                         that it is none any more"
            );
            broken(NAME, says);
        }
    });
}

fn refused(ticket: u64, consumer: u64) {
    happened("tickets refused");
    with(ticket, |known| {
        known.refused.get_or_insert_with(now);
        if known.consumer == Some(consumer) {
            let says = format!("client {consumer} has consumed ticket {ticket}, and is refused");
            broken(NAME, says);
        }
    });
}

fn with(ticket: u64, change: impl FnOnce(&mut Known)) {
    LEDGER.with_borrow_mut(|ledger| {
        if let Some(known) = ledger.get_mut(&ticket) {
            change(known);
        }
    });
}

/// Now that all who have presented one are answered.
pub(super) async fn conclude(members: &[Member]) {
    // A ticket lives by log time, which no clock advances by more than a tenth too much; but one
    // that leaps does.
    let leapt = times_took_effect("jump") > 0;
    let early = LEDGER.with_borrow(|ledger| {
        ledger.iter().find_map(|(ticket, known)| {
            let lived = known.refused?.saturating_sub(known.asked);
            let early = known.consumer.is_none() && lived * 11 / 10 < known.millis * 1_000;
            early
                .then(|| format!("nobody had ticket {ticket} when it was refused after {lived} us"))
        })
    });
    match early {
        Some(says) if !leapt => broken("tickets live as long as they say", says),
        _ => {}
    }
    let any = LEDGER.with_borrow(|ledger| !ledger.is_empty());
    if any && !any_broken() {
        expires(members).await;
    }
}

/// How long a ticket lives of which nobody is to have anything, and how long it is waited for.
const SHORT: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(2);

/// A ticket whose time is over is refused, if somebody has led all the time.
async fn expires(members: &[Member]) {
    let newest = configurations::newest();
    let belongs = |member: &&Member| newest.member(member.node).is_some();
    let mut nodes = members.iter().filter(belongs).filter_map(Member::running);
    let Some(node) = nodes.next() else { return };
    let term = |node: &Node<Register>| node.status().borrow().term;
    let before = term(&node);
    let Ok(ticket) = of(&node).issue(SHORT, b"late").await else { return };
    sleep(LATER).await;
    let last = nodes.last().unwrap_or_else(|| node.clone());
    let told = of(&last).consume(&ticket.reveal(), b"late").await;
    if before != term(&node) {
        return;
    }
    match told {
        Err(TicketError::Refused) => happened("tickets that expired"),
        Err(TicketError::Node(Error::Unknown { .. } | Error::Unavailable { .. })) => {}
        other => {
            let says = format!("a ticket for {SHORT:?} is answered after {LATER:?}: {other:?}");
            broken("tickets live as long as they say", says);
        }
    }
}
