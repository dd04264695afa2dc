//! What the transport must keep to between two members, as its own lines tell: no frame is taken
//! twice within a session, and none comes from, or goes to, a start that is over.

use super::findings::{broken, happened};
use super::trace::Line;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const ONCE: &str = "a frame is taken once";
const STARTS: &str = "frames come from the start that is reached";

#[derive(Default)]
struct Sessions {
    /// Frames that were taken: by whom, from whom, of which exchange and number.
    taken: BTreeSet<(u64, u64, u64, u64)>,
    /// The start of each member that each other one has announced last.
    reached: BTreeMap<(u64, u64), u64>,
    /// Those that were announced before another one was.
    over: BTreeSet<(u64, u64, u64)>,
}

std::thread_local! {
    static SESSIONS: RefCell<Sessions> = RefCell::default();
}

/// A member's transport says something.
pub(super) fn heard(me: u64, line: &Line) {
    match &*line.message {
        "a relayed frame was opened" => opened(me, line),
        "a frame is sealed to be relayed" => sealed(me, line),
        "reached" => announced(me, line),
        "reached another way" => happened("ways changed"),
        "a session through others begins" => {
            happened("sessions through others");
            if line.field_word("renewed") == Some("true") {
                happened("sessions renewed");
            }
        }
        "installing the leader's snapshot" => happened("snapshots installed"),
        "took a snapshot" => happened("snapshots taken"),
        "it has restarted, without its log" => happened("members in memory let in again"),
        _ => {}
    }
}

fn opened(me: u64, line: &Line) {
    let [source, start, exchange, number] =
        ["source", "start", "exchange", "number"].map(|name| line.number(name).unwrap_or(0));
    let (again, over) = SESSIONS.with_borrow_mut(|known| {
        let again = !known.taken.insert((me, source, exchange, number));
        (again, known.over.contains(&(me, source, start)))
    });
    happened("relayed frames taken");
    if again {
        broken(ONCE, format!("member {me} takes frame {number} of member {source} once more"));
    }
    if over {
        let says = format!("member {me} takes a frame of a start of member {source} that is over");
        broken(STARTS, says);
    }
}

fn sealed(me: u64, line: &Line) {
    let [peer, start] = ["peer", "start"].map(|name| line.number(name).unwrap_or(0));
    // The last message of a handshake may come so late that it welcomes a start that is over.
    let says_something = matches!(line.field_word("kind"), Some("Message" | "Note"));
    if says_something && SESSIONS.with_borrow(|known| known.over.contains(&(me, peer, start))) {
        let says = format!("member {me} seals a frame for a start of member {peer} that is over");
        broken(STARTS, says);
    }
}

fn announced(me: u64, line: &Line) {
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let peer = line.field_word("peer").and_then(digits);
    let (Some(peer), Some(start)) = (peer, line.number("start")) else { return };
    SESSIONS.with_borrow_mut(|known| {
        let before = known.reached.insert((me, peer), start);
        if let Some(before) = before.filter(|before| *before != start) {
            known.over.insert((me, peer, before));
            // A connection of an earlier start may arrive late, and be taken for the newest.
            known.over.remove(&(me, peer, start));
        }
    });
}
