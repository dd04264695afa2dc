//! What becomes of a frame that has arrived: [`hear`] hands it up, answers it, passes it on, or
//! loses it by its reason. What others have passed on is treated alike, once it has been opened.

use crate::connection::CLOSE_DUPLICATE;
use crate::frame::{Flags, Frame, Head, Kind};
use crate::line::{Line, Who};
use crate::message;
use crate::pieces::{Assembly, Joined};
use crate::queue::Load;
use crate::relayed::{Inner, Relayed};
use crate::shared::Shared;
use crate::status::Lost;
use crate::transport::Inbound;
use bytes::BytesMut;
use holm_raft_core::MemberId;
use std::sync::Arc;

/// How a connection goes on after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// With the next one.
    More,
    /// It was the last: another connection stands.
    Duplicate,
    /// It was the last, for this reason.
    Last(&'static str),
}

/// Takes one frame from the link of `line`, at whose other end is `member`.
pub(crate) fn hear(
    shared: &Shared,
    line: &Arc<Line>,
    member: MemberId,
    assembly: &mut Assembly,
    frame: Frame,
) -> Heard {
    let Frame { head, body } = frame;
    if head.group != 0 {
        line.lost(Lost::Misaddressed, 1);
        return Heard::More;
    }
    match head.kind {
        Kind::Relayed | Kind::Greeting if head.destination != shared.me.node => {
            shared.pass_on(line, head, body.freeze());
            return Heard::More;
        }
        Kind::Relayed => return beyond(shared, line, head, body),
        Kind::Greeting => {
            shared.greeted(line, head, &body);
            return Heard::More;
        }
        _ if head.source != member.node || head.destination != shared.me.node => {
            line.lost(Lost::Misaddressed, 1);
            return Heard::More;
        }
        Kind::Route => {
            shared.heard_route(line, &body);
            return Heard::More;
        }
        Kind::Close if body == [CLOSE_DUPLICATE][..] => return Heard::Duplicate,
        Kind::Close => return Heard::Last("the peer took its leave"),
        Kind::Hello | Kind::Welcome => {
            line.lost(Lost::Malformed, 1);
            return Heard::Last("the peer introduced itself a second time");
        }
        Kind::Message | Kind::Note | Kind::Ping | Kind::Pong => (),
    }
    let whole = if head.flags.has(Flags::PIECE) {
        match assembly.join(body) {
            Joined::Whole(body) => body,
            other => return lost_piece(line, &other),
        }
    } else {
        body
    };
    take(shared, line, member, head.kind, whole, |ping| line.queue.answer(ping));
    Heard::More
}

/// Takes a frame that others have passed on to this member.
fn beyond(shared: &Shared, link: &Line, head: Head, body: BytesMut) -> Heard {
    let Some(line) = shared.line(head.source) else {
        link.lost(Lost::Misaddressed, 1);
        return Heard::More;
    };
    let opened = if shared.is_sealed() {
        line.relayed.open(head, body)
    } else {
        Relayed::take(body).and_then(|inner| Ok((inner, shared.who(head.source)?)))
    };
    let (Inner { kind, flags, body }, (member, _)): (Inner, Who) = match opened {
        Ok(opened) => opened,
        Err(reason) => {
            line.lost(reason, 1);
            return Heard::More;
        }
    };
    line.heard();
    line.received(1, Head::BYTES + body.len());
    let whole = if flags.has(Flags::PIECE) {
        match line.relayed.join(body) {
            Joined::Whole(body) => body,
            other => return lost_piece(&line, &other),
        }
    } else {
        body
    };
    let pong = |ping| {
        // A lost answer is one of many.
        let _ = line.send(Load::Word(Kind::Pong, ping));
    };
    take(shared, &line, member, kind, whole, pong);
    Heard::More
}

fn lost_piece(line: &Line, joined: &Joined) -> Heard {
    match joined {
        Joined::Gap => line.lost(Lost::Gap, 1),
        Joined::Malformed => line.lost(Lost::Malformed, 1),
        Joined::More | Joined::Whole(_) => (),
    }
    Heard::More
}

/// Takes what is rightly from `member`.
fn take(
    shared: &Shared,
    line: &Arc<Line>,
    member: MemberId,
    kind: Kind,
    body: BytesMut,
    answer: impl FnOnce(u64),
) {
    match kind {
        Kind::Message => match message::take(member.node, shared.me.node, body.freeze()) {
            Ok(message) if message.from == member && message.to == shared.me => {
                line.deliver(Inbound::Message(message));
            }
            Ok(_) => line.lost(Lost::Misaddressed, 1),
            Err(error) => {
                tracing::trace!(peer = %member, "{error}");
                line.lost(Lost::Malformed, 1);
            }
        },
        Kind::Note if body.len() > shared.limits.note_bytes_max => line.lost(Lost::TooLong, 1),
        Kind::Note => line.deliver(Inbound::Note { from: member, note: body.freeze() }),
        Kind::Ping | Kind::Pong => {
            let Ok(number) = body[..].try_into().map(u64::from_le_bytes) else {
                return line.lost(Lost::Malformed, 1);
            };
            if kind == Kind::Pong {
                line.pong(number);
            } else {
                answer(number);
            }
        }
        // The session is confirmed by that it was opened.
        Kind::Welcome => (),
        _ => line.lost(Lost::Malformed, 1),
    }
}
