//! The handshake of two members that others pass on: [`Greetings`] has those under way with one
//! member. Its messages travel as frames of their own, may be lost, and are begun anew then.
//!
//! ```text
//!  0              8          9
//! ┌──────────────┬──────────┬─────────┐
//! │ exchange u64 │ stage u8 │ message │   stages: 1 first, 2 second, 3 third
//! └──────────────┴──────────┴─────────┘
//! ```
//! The member with the lower id begins, and the other one when its key is spent. The third message
//! is sent again until something comes that the new session opens.

#[cfg(test)]
pub(crate) mod tests;

use crate::hello::Refused;
use crate::line::Who;
use crate::relayed::{Session, Sessions};
use crate::secure::handshake::{
    Established, Initiator, Introduction, Party, Responder, Via as Way,
};
use crate::secure::random::Random;
use crate::status::Refusal;
use bytes::{BufMut, Bytes, BytesMut};
use holm_raft_core::NodeId;
use std::time::Duration;
use zeroize::Zeroizing;

const HEAD_BYTES: usize = 9;
/// How long to wait for an answer at first; doubled at each attempt up to the most.
const PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE_MAX: Duration = Duration::from_secs(4);
/// A member that begins more often than this would make this one compute too much.
const BETWEEN_FIRSTS: Duration = Duration::from_millis(20);
/// How often the third message is sent before all begins anew.
const THIRDS_MAX: u32 = 4;

/// The handshakes under way with one member.
#[derive(Default)]
pub(crate) struct Greetings {
    /// What this member has begun.
    begun: Option<(u64, Initiator)>,
    /// What it has begun and finished, until the other one shows that it has, too.
    finished: Option<Finished>,
    /// What the other one has begun.
    answered: Option<(u64, Responder, MadeOf)>,
    /// Attempts since the last success.
    attempts: u32,
    /// When to try again.
    again_at: Duration,
    /// When the other one may begin again.
    first_at: Duration,
}

struct Finished {
    session: Session,
    third: Bytes,
    sent: u32,
}

/// What an answer to a first message was made of, so that it can be made again: a third message
/// that is none leaves it of no use.
struct MadeOf {
    first: Bytes,
    own: Introduction,
    seed: Zeroizing<[u8; 32]>,
    /// How many third messages were none.
    refused: u32,
}

impl MadeOf {
    fn answer(&self, party: &Party) -> Result<(Responder, Bytes), Refused> {
        let mut random = Random::new(self.seed.clone());
        Ok(Responder::accept(party, Way::Relayed, self.own, &self.first, &mut random)?)
    }
}

/// What this member brings into a handshake.
pub(crate) struct Own<'a> {
    pub(crate) party: &'a Party,
    pub(crate) own: Introduction,
    pub(crate) random: &'a mut Random,
    pub(crate) now: Duration,
}

/// What follows from a message of the handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nothing.
    Nothing,
    /// This frame's body goes back.
    Greeting(Bytes),
    /// The session stands: a welcome goes back in it.
    Welcome,
}

impl Greetings {
    /// The finished session from this exchange, which has not been confirmed yet.
    pub(crate) fn finished(&mut self, exchange: u64) -> Option<&mut Session> {
        let session = self.finished.as_mut().map(|finished| &mut finished.session);
        session.filter(|session| session.exchange == exchange)
    }

    /// The finished session, which the other end has confirmed.
    pub(crate) fn take_finished(&mut self) -> Option<Session> {
        self.attempts = 0;
        self.finished.take().map(|finished| finished.session)
    }

    /// Forgets what was finished with another start than this.
    pub(crate) fn keep_only(&mut self, who: Who) {
        if self.finished.take_if(|finished| finished.session.who != who).is_some() {
            (self.attempts, self.again_at) = (0, Duration::ZERO);
        }
    }

    /// When the next attempt is due.
    pub(crate) fn due_at(&self) -> Duration {
        self.again_at
    }

    /// If it is time: the body of a frame that begins, or goes on with what was begun.
    pub(crate) fn attempt(&mut self, own: Own<'_>, with: NodeId) -> Option<Bytes> {
        if own.now < self.again_at {
            return None;
        }
        let doubled = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        self.again_at = own.now + PATIENCE.saturating_mul(doubled).min(PATIENCE_MAX);
        self.attempts = self.attempts.saturating_add(1);
        if let Some(finished) = self.finished.as_mut().filter(|last| last.sent < THIRDS_MAX) {
            finished.sent += 1;
            return Some(body(finished.session.exchange, 3, &finished.third));
        }
        self.finished = None;
        let mut exchange = [0; 8];
        own.random.fill(&mut exchange);
        let exchange = u64::from_le_bytes(exchange);
        let Own { party, own, random, .. } = own;
        let (initiator, first) = Initiator::begin(party, Way::Relayed, own, with, random);
        self.begun = Some((exchange, initiator));
        Some(body(exchange, 1, &first))
    }
}

impl Sessions {
    /// Takes a message of the handshake with this member. `judge` says who is at the other end, or
    /// why it is refused.
    pub(crate) fn greeted(
        &mut self,
        own: Own<'_>,
        bytes: &[u8],
        judge: impl FnOnce(&Established) -> Result<Who, Refused>,
    ) -> Result<Reply, Refused> {
        let garbage =
            || Refused::new(Refusal::Garbage, "a handshake that others passed on is none");
        let (exchange, rest) = bytes.split_first_chunk().ok_or_else(garbage)?;
        let exchange = u64::from_le_bytes(*exchange);
        let stands = self.is_from(exchange);
        let greetings = &mut self.greetings;
        match rest.split_first().ok_or_else(garbage)? {
            (1, _) if own.now < greetings.first_at => Ok(Reply::Nothing),
            (1, first) => {
                let mut seed = Zeroizing::new([0; 32]);
                own.random.fill(&mut seed[..]);
                let first = Bytes::copy_from_slice(first);
                let made_of = MadeOf { first, own: own.own, seed, refused: 0 };
                let (responder, second) = made_of.answer(own.party)?;
                // A forged one, which costs no exchange of keys, must not keep the genuine one out.
                greetings.first_at = own.now + BETWEEN_FIRSTS;
                greetings.answered = Some((exchange, responder, made_of));
                Ok(Reply::Greeting(body(exchange, 2, &second)))
            }
            (2, second) => {
                let begun = greetings.begun.take_if(|(begun, _)| *begun == exchange);
                let Some((_, initiator)) = begun else { return Ok(Reply::Nothing) };
                let (third, established) = initiator.finish(second)?;
                let session = Session::new(exchange, judge(&established)?, established);
                let reply = Reply::Greeting(body(exchange, 3, &third));
                greetings.finished = Some(Finished { session, third, sent: 1 });
                Ok(reply)
            }
            (3, _) if stands => Ok(Reply::Welcome),
            (3, third) => {
                let answered = greetings.answered.take_if(|(answered, ..)| *answered == exchange);
                let Some((_, responder, made_of)) = answered else { return Ok(Reply::Nothing) };
                let established = responder.finish(third).inspect_err(|_| {
                    greetings.answered = answer_again(exchange, made_of, own.party);
                })?;
                self.begin(Session::new(exchange, judge(&established)?, established));
                Ok(Reply::Welcome)
            }
            _ => Err(garbage()),
        }
    }
}

/// An altered third message must not keep the genuine one out, which is sent again; and nobody can
/// make this member compute for ever.
fn answer_again(
    exchange: u64,
    mut made_of: MadeOf,
    party: &Party,
) -> Option<(u64, Responder, MadeOf)> {
    made_of.refused += 1;
    if made_of.refused >= THIRDS_MAX {
        return None;
    }
    let (responder, _) = made_of.answer(party).ok()?;
    Some((exchange, responder, made_of))
}

fn body(exchange: u64, stage: u8, message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_BYTES + message.len());
    out.put_u64_le(exchange);
    out.put_u8(stage);
    out.put_slice(message);
    out.freeze()
}
