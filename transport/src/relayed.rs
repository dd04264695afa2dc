//! The session of two members that others pass on: [`Relayed`] seals what goes to the other one and
//! opens what comes from it, so that those in between see its source, destination and size, and can
//! neither read nor alter nor repeat it.
//!
//! ```text
//!  0              8             16       17        18
//! ┌──────────────┬─────────────┬────────┬─────────┬──────┬────────────┐
//! │ exchange u64 │ number u64  │ kind   │ flags   │ body │ tag, 16 B  │   sealed links
//! │              │             │ ◂────── sealed ────────▸ │            │
//! └──────────────┴─────────────┴────────┴─────────┴──────┴────────────┘
//! ┌────────┬─────────┬──────┐
//! │ kind   │ flags   │ body │                                            insecure links
//! └────────┴─────────┴──────┘
//! ```
//! The exchange names the handshake that the session came from. The number is the frame's own: it
//! is sealed together with the frame's head, but for the hops, and is taken once. Frames may be
//! lost or overtake each other. The handshake itself is in [`Greetings`](crate::greetings).

#[cfg(test)]
mod tests;

use crate::config::Limits;
use crate::frame::{Flags, Head, Kind, TAG_BYTES};
use crate::greetings::Greetings;
use crate::line::{Who, lock};
use crate::mutation::{Mutation, on};
use crate::outgoing::{Outgoing, Sink};
use crate::pieces::{Assembly, Joined};
use crate::secure::handshake::Established;
use crate::secure::seal::{Open, Seal, Wear};
use crate::secure::window::Window;
use crate::status::Lost;
use bytes::{Buf, BufMut, BytesMut};
use std::fmt;
use std::sync::Mutex;

/// The most bytes that a relayed frame has beside its head and its inner body.
pub(crate) const INNER_BYTES_MAX: usize = 8 + 8 + 2 + TAG_BYTES;
const NAMES_BYTES: usize = 16;
const INNER_HEAD_BYTES: usize = 2;

/// What two members share that others pass on.
pub(crate) struct Relayed(Mutex<State>);

struct State {
    sessions: Sessions,
    assembly: Assembly,
}

/// The sessions with one member.
#[derive(Default)]
pub(crate) struct Sessions {
    /// The one that seals.
    current: Option<Session>,
    /// The one before: what was sealed by it may still arrive.
    before: Option<Session>,
    /// The handshakes under way.
    pub(crate) greetings: Greetings,
}

/// One session.
pub(crate) struct Session {
    pub(crate) exchange: u64,
    /// The member at the other end, in the start that made this session.
    pub(crate) who: Who,
    seal: Seal,
    /// The number of the next frame.
    next: u64,
    open: Open,
    window: Window,
}

/// What a relayed frame carries.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
    pub(crate) body: BytesMut,
}

impl Relayed {
    pub(crate) fn new(limits: Limits) -> Self {
        let assembly = Assembly::new(limits.message_bytes_max.max(limits.note_bytes_max));
        Self(Mutex::new(State { sessions: Sessions::default(), assembly }))
    }

    /// Puts a frame for the other member, sealed if the links are.
    pub(crate) fn put(
        &self,
        out: &mut Outgoing,
        head: Head,
        (kind, flags): (Kind, Flags),
        body: impl FnOnce(&mut dyn Sink),
    ) -> Result<(), Lost> {
        let inner = |sink: &mut dyn Sink| {
            sink.fields().put_u8(kind.code());
            sink.fields().put_u8(flags.code());
            body(sink);
        };
        if !out.is_sealed() {
            out.put(head, inner);
            return Ok(());
        }
        let mut state = lock(&self.0);
        let session = state.sessions.current.as_mut().ok_or(Lost::NoLink)?;
        let number = session.next;
        if session.seal.wear(number) == Wear::Spent {
            return Err(Lost::NoSession);
        }
        session.next += 1;
        let (peer, start) = (session.who.0.node.0, session.who.1);
        tracing::trace!(peer, start, ?kind, "a frame is sealed to be relayed");
        out.put(head, |sink| {
            // Whatever is put into a sealed frame is gathered.
            let gathered = sink.fields();
            gathered.put_u64_le(session.exchange);
            gathered.put_u64_le(number);
            let from = gathered.len();
            inner(gathered);
            let vouched = vouched(head);
            let tag = session.seal.seal_in_place(number, &vouched, &mut gathered[from..]);
            gathered.put_slice(&tag);
        });
        Ok(())
    }

    /// Opens a frame from the other member.
    pub(crate) fn open(&self, head: Head, body: BytesMut) -> Result<(Inner, Who), Lost> {
        let mut state = lock(&self.0);
        let (plain, who) = state.sessions.open(head, body)?;
        Ok((inner(plain)?, who))
    }

    /// What an insecure frame from the other member carries.
    pub(crate) fn take(body: BytesMut) -> Result<Inner, Lost> {
        inner(body)
    }

    /// Joins a piece to those before it.
    pub(crate) fn join(&self, piece: BytesMut) -> Joined {
        lock(&self.0).assembly.join(piece)
    }

    /// Works on the sessions.
    pub(crate) fn sessions<T>(&self, work: impl FnOnce(&mut Sessions) -> T) -> T {
        work(&mut lock(&self.0).sessions)
    }
}

/// Redacted: it holds the keys.
impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relayed").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Who is at the other end of the session that seals.
    pub(crate) fn who(&self) -> Option<Who> {
        self.current.as_ref().map(|session| session.who)
    }

    /// Whether the session that seals has come from this exchange.
    pub(crate) fn is_from(&self, exchange: u64) -> bool {
        self.current.as_ref().is_some_and(|session| session.exchange == exchange)
    }

    /// Whether a fresh handshake is due, before numbers or bytes run out.
    pub(crate) fn is_worn(&self) -> bool {
        self.current.as_ref().is_some_and(|session| session.seal.wear(session.next) != Wear::Good)
    }

    /// For tests: as if the session that seals had used up nearly all of its numbers.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn wear_out(&mut self) {
        if let Some(session) = &mut self.current {
            session.next = session.next.max(Seal::NUMBERS_MAX / 8 * 7);
        }
    }

    /// From now on, this one seals.
    pub(crate) fn begin(&mut self, session: Session) {
        let (member, start) = session.who;
        let renewed = self.who() == Some(session.who);
        let exchange = session.exchange;
        tracing::debug!(peer = %member, start, exchange, renewed, "a session through others begins");
        let before = self.current.replace(session);
        if before.is_some() || !on(Mutation::OldSessionAccepted) {
            self.before = before;
        }
    }

    /// Forgets the sessions of other starts than this.
    pub(crate) fn keep_only(&mut self, who: Who) {
        let other = |session: &mut Session| session.who != who;
        if self.current.as_mut().is_some_and(other) {
            if on(Mutation::SessionKeptOverARestart) {
                return;
            }
            let over = self.current.take();
            if on(Mutation::OldSessionAccepted) {
                self.before = over;
                return;
            }
        }
        self.before.take_if(|before| before.who != who && !on(Mutation::OldSessionAccepted));
        self.greetings.keep_only(who);
    }

    fn open(&mut self, head: Head, mut body: BytesMut) -> Result<(BytesMut, Who), Lost> {
        if body.len() < INNER_BYTES_MAX {
            return Err(Lost::Malformed);
        }
        let (exchange, number) = (body.get_u64_le(), body.get_u64_le());
        if let Some(session) = self.greetings.finished(exchange) {
            let found = (session.open(head, number, body)?, session.who);
            // The other end uses it, so it has it: from now on both do.
            self.greetings.take_finished().into_iter().for_each(|session| self.begin(session));
            return Ok(found);
        }
        let both = [&mut self.current, &mut self.before];
        let mut found = both.into_iter().flatten();
        let session = found.find(|session| session.exchange == exchange).ok_or(Lost::NoSession)?;
        Ok((session.open(head, number, body)?, session.who))
    }
}

impl Session {
    pub(crate) fn new(exchange: u64, who: Who, established: Established) -> Self {
        let Established { seal, open, .. } = established;
        Self { exchange, who, seal, next: 0, open, window: Window::default() }
    }

    fn open(&mut self, head: Head, number: u64, mut body: BytesMut) -> Result<BytesMut, Lost> {
        let stale = self.window.check(number).is_err();
        let ignored = stale && on(Mutation::WindowIgnored);
        if stale && !ignored {
            return Err(Lost::Repeated);
        }
        let tag = body.split_off(body.len() - TAG_BYTES);
        let tag = tag[..].try_into().map_err(|_| Lost::Malformed)?;
        let opened = self.open.open_in_place(number, &vouched(head), &mut body, tag);
        opened.map_err(|_| Lost::Tampered)?;
        if !ignored {
            self.window.accept(number);
        }
        let (Self { exchange, who: (member, start), .. }, source) = (self, head.source.0);
        tracing::trace!(%member, source, start, exchange, number, "a relayed frame was opened");
        Ok(body)
    }
}

/// What a seal vouches for beside the body: the frame's head, but for the hops, which those who
/// pass it on count down.
fn vouched(head: Head) -> BytesMut {
    let mut out = BytesMut::with_capacity(NAMES_BYTES + Head::BYTES);
    Head { hops: 0, ..head }.put(&mut out);
    out
}

fn inner(mut body: BytesMut) -> Result<Inner, Lost> {
    if body.len() < INNER_HEAD_BYTES {
        return Err(Lost::Malformed);
    }
    let kind = Kind::from_code(body.get_u8()).ok_or(Lost::Malformed)?;
    let flags = Flags::from_code(body.get_u8()).map_err(|_| Lost::Malformed)?;
    Ok(Inner { kind, flags, body })
}
