//! An honest member that others pass on to, without a transport around it: `Far` seals and opens,
//! and takes part in handshakes. `changed` is what a hostile relay makes of a frame.

use super::attacked::{FAR, ME, limits, party};
use crate::epoch::Epoch;
use crate::frame::{Flags, Frame, Head, Kind};
use crate::greetings::{Own, Reply};
use crate::incoming::Incoming;
use crate::line::Who;
use crate::outgoing::{Outgoing, Sink};
use crate::relayed::Relayed;
use crate::secure::handshake::{Established, Introduction, Party};
use crate::secure::random::Random;
use crate::secure::seal::{Key, Open, Seal};
use bytes::{BufMut, Bytes};
use holm_raft_core::{MemberId, NodeId};
use std::time::Duration;
use zeroize::Zeroizing;

/// What seals a frame on the way to the relay, and opens it there.
const LINK: Key = [7; 32];
const HOPS: u8 = 3;

/// The member beyond, in one of its starts.
pub(super) struct Far {
    pub(super) start: u64,
    party: Party,
    random: Random,
    relayed: Relayed,
}

impl Far {
    pub(super) fn new(start: u64) -> Self {
        let seed = u8::try_from(start % 200).expect("below 200") + 2;
        Self {
            start,
            party: party(FAR.node),
            random: Random::new(Zeroizing::new([seed; 32])),
            relayed: Relayed::new(limits()),
        }
    }

    fn own(&mut self, now: Duration) -> (&Relayed, Own<'_>) {
        let MemberId { node, incarnation } = FAR;
        let own = Introduction { node, incarnation, start: self.start, epoch: Epoch::FIRST };
        (&self.relayed, Own { party: &self.party, own, random: &mut self.random, now })
    }

    /// A note, sealed, if there is a session.
    pub(super) fn says(&self, note: &[u8]) -> Option<Frame> {
        self.sealed(Kind::Note, note)
    }

    fn sealed(&self, kind: Kind, body: &[u8]) -> Option<Frame> {
        let head = Head { hops: HOPS, ..Head::new(Kind::Relayed, FAR.node, ME.node) };
        let (mut out, mut incoming) = (Outgoing::default(), Incoming::new(1 << 12));
        out.seal(Seal::new(&LINK));
        incoming.open(Open::new(&LINK));
        let put = |sink: &mut dyn Sink| sink.fields().put_slice(body);
        self.relayed.put(&mut out, head, (kind, Flags::NONE), put).ok()?;
        incoming.buffer().put(out.unwritten());
        incoming.next().expect("sealed so")
    }

    /// Begins a handshake, or goes on with one, if it is time.
    pub(super) fn attempts(&mut self, now: Duration) -> Option<Frame> {
        let (relayed, own) = self.own(now);
        let body = relayed.sessions(|sessions| sessions.greetings.attempt(own, ME.node));
        body.map(|body| greeting(&body))
    }

    /// Takes a frame: what it answers, and the note in it, if it opens and is one.
    pub(super) fn hears(&mut self, frame: &Frame, now: Duration) -> (Option<Frame>, Option<Bytes>) {
        let Frame { head, body } = frame.clone();
        if (head.source, head.destination, head.group) != (ME.node, FAR.node, 0) {
            return (None, None);
        }
        match head.kind {
            Kind::Greeting => {
                let (relayed, own) = self.own(now);
                let reply = relayed.sessions(|sessions| sessions.greeted(own, &body, judge));
                let answer = match reply {
                    Ok(Reply::Greeting(body)) => Some(greeting(&body)),
                    Ok(Reply::Welcome) => self.sealed(Kind::Welcome, &[0; 8]),
                    Ok(Reply::Nothing) | Err(_) => None,
                };
                (answer, None)
            }
            Kind::Relayed => match self.relayed.open(head, body) {
                Ok((inner, who)) => {
                    assert_eq!(who, (ME, 1), "the session's other end");
                    let note = (inner.kind == Kind::Note).then(|| inner.body.freeze());
                    let pong = (inner.kind == Kind::Ping).then(|| self.sealed(Kind::Pong, &[0; 8]));
                    (pong.flatten(), note)
                }
                Err(_) => (None, None),
            },
            _ => (None, None),
        }
    }
}

fn judge(found: &Established) -> Result<Who, crate::hello::Refused> {
    let Introduction { node, incarnation, start, .. } = found.introduction;
    let key = party(ME.node).pair.public();
    assert_eq!((node, found.key), (ME.node, key), "nobody else ends a handshake");
    Ok((MemberId::new(node, incarnation), start))
}

fn greeting(body: &[u8]) -> Frame {
    let head = Head::new(Kind::Greeting, FAR.node, ME.node).with(Flags::URGENT);
    Frame { head: Head { hops: HOPS, ..head }, body: body.into() }
}

/// The frame with a change at this place, by this.
pub(super) fn changed(genuine: &Frame, place: u8, by: u8) -> Frame {
    let mut frame = genuine.clone();
    let Frame { head, body } = &mut frame;
    match place {
        0 => head.hops ^= by,
        1 => head.source = NodeId(u64::from(by % 6)),
        2 => head.destination = NodeId(u64::from(by % 6)),
        3 => head.flags = Flags::from_code(by % 4).expect("two are known"),
        4 => head.group ^= u64::from(by),
        5 => head.kind = Kind::ALL[usize::from(by) % Kind::ALL.len()],
        6 => body.truncate(body.len().saturating_sub(usize::from(by))),
        7 => body.extend_from_slice(&[by; 3]),
        _ => {
            let at = usize::from(place - 8) % body.len().max(1);
            body.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= by);
        }
    }
    frame
}
