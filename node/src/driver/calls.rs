//! What one member's node asks another's, beside the protocol: `Calls` keeps who waits for an
//! answer, and hands what is asked to whoever serves it here. One hop, at most once, no retry: a
//! question or an answer that gets lost is a time-out.
//!
//! The notes, all numbers little-endian:
//!
//! ```text
//!  0      1        9          17
//! ┌──────┬────────┬──────────┬─────────┬──────────────────────────────┐
//! │ 16   │ boot   │ number   │         │ what is asked                │
//! │ 17   │ u64    │ u64      │ how u8  │ the answer (how = 0)         │
//! └──────┴────────┴──────────┴─────────┴──────────────────────────────┘
//! ```
//! 18 asks for the other member's status, which its driver answers itself, with postcard.
//! Boot and number are the asking member's; an answer to an earlier start finds nobody.

use super::Driver;
use crate::StateMachine;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use holm_raft_core::{Boot, MemberId, NodeId};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// "Answer this."
pub(super) const CALL: u8 = 16;
/// "This is the answer."
pub(super) const ANSWER: u8 = 17;
/// "How are you?"
pub(super) const CALL_STATUS: u8 = 18;

/// The most questions that wait for an answer here.
pub(crate) const CALLS_WAITING_MAX: usize = 1_024;
/// The most questions of others that wait here to be served.
pub(crate) const CALLS_ASKED_MAX: usize = 256;
/// What a note holds besides what is asked or answered, in bytes.
const HEAD_BYTES: usize = 18;

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFailed {
    /// It did not leave this member: the other one is not reached, or too much waits for it.
    Unreached,
    /// It may have arrived and been acted on: the connection broke.
    Broken,
    /// It arrived, and nobody serves such questions there.
    Unserved,
    /// It was not taken, here or there: too many wait.
    Busy,
    /// It is longer than a note may be.
    TooLong,
}

/// What is asked of another member.
pub(crate) struct Call {
    pub(crate) to: u64,
    pub(crate) what: What,
    pub(crate) question: Bytes,
    /// When the caller gives up, by the node's clock.
    pub(crate) until: u64,
    pub(crate) reply: oneshot::Sender<Result<Bytes, CallFailed>>,
}

/// Who answers a question there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Whoever serves them.
    Served,
    /// The driver, with its status.
    Status,
}

/// What another member asks here.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) question: Bytes,
    pub(crate) whence: Whence,
}

/// Where an answer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whence {
    pub(crate) member: MemberId,
    boot: Boot,
    number: u64,
}

/// What a handle to the node asks of the driver.
pub(crate) enum CallRequest {
    Call(Call),
    Answer(Whence, Bytes),
    /// Questions go there from now on.
    Serve(mpsc::Sender<Asked>),
}

/// Questions under way, in either direction.
#[derive(Default)]
pub(crate) struct Calls {
    last_number: u64,
    waiting: BTreeMap<u64, Waiter>,
    served: Option<mpsc::Sender<Asked>>,
}

struct Waiter {
    to: NodeId,
    until: u64,
    reply: oneshot::Sender<Result<Bytes, CallFailed>>,
}

/// How a question was met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Answered,
    Unserved,
    Busy,
}

impl How {
    const ALL: [Self; 3] = [Self::Answered, Self::Unserved, Self::Busy];

    const fn code(self) -> u8 {
        match self {
            Self::Answered => 0,
            Self::Unserved => 1,
            Self::Busy => 2,
        }
    }
}

impl<S: StateMachine> Driver<S> {
    pub(super) fn call_request(&mut self, request: CallRequest) {
        match request {
            CallRequest::Call(call) => self.call(call),
            CallRequest::Answer(whence, answer) => self.answer_call(whence, How::Answered, &answer),
            CallRequest::Serve(served) => self.calls.served = Some(served),
        }
    }

    fn call(&mut self, Call { to, what, question, until, reply }: Call) {
        let refused = if question.len() + HEAD_BYTES > self.config.note_bytes_max() {
            Some(CallFailed::TooLong)
        } else if self.calls.waiting.len() >= CALLS_WAITING_MAX {
            Some(CallFailed::Busy)
        } else {
            self.calls.last_number += 1;
            let number = self.calls.last_number;
            let mut note = BytesMut::with_capacity(HEAD_BYTES + question.len());
            note.put_u8(match what {
                What::Served => CALL,
                What::Status => CALL_STATUS,
            });
            note.put_u64_le(self.boot.0);
            note.put_u64_le(number);
            note.put_slice(&question);
            let to = NodeId(to);
            match self.transport.tell(to, note.freeze()) {
                Err(_) => Some(CallFailed::Unreached),
                Ok(()) => {
                    self.calls.waiting.insert(number, Waiter { to, until, reply });
                    return;
                }
            }
        };
        if let Some(failed) = refused {
            // A caller that no longer listens has given up waiting.
            let _ = reply.send(Err(failed));
        }
    }

    /// Another member asks.
    pub(super) fn heard_call(&self, member: MemberId, note: &Bytes) {
        let Some((boot, number, question)) = decode(note) else {
            tracing::warn!(node = self.config.node, from = %member, "a malformed note was ignored");
            return;
        };
        let whence = Whence { member, boot, number };
        let how = match &self.calls.served {
            None => How::Unserved,
            Some(served) => match served.try_send(Asked { question, whence }) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => How::Busy,
                Err(mpsc::error::TrySendError::Closed(_)) => How::Unserved,
            },
        };
        self.answer_call(whence, how, &[]);
    }

    /// Another member asks how this one is.
    pub(super) fn heard_status_call(&self, member: MemberId, note: &Bytes) {
        let Some((boot, number, _)) = decode(note) else {
            tracing::warn!(node = self.config.node, from = %member, "a malformed note was ignored");
            return;
        };
        let status = postcard::to_stdvec(&*self.status.borrow()).expect("plain values");
        self.answer_call(Whence { member, boot, number }, How::Answered, &status);
    }

    fn answer_call(&self, whence: Whence, how: How, answer: &[u8]) {
        let mut note = BytesMut::with_capacity(HEAD_BYTES + answer.len());
        note.put_u8(ANSWER);
        note.put_u64_le(whence.boot.0);
        note.put_u64_le(whence.number);
        note.put_u8(how.code());
        note.put_slice(answer);
        // A lost answer is a time-out there.
        self.tell(whence.member.node, note.freeze());
    }

    /// Another member answers.
    pub(super) fn heard_call_answer(&mut self, from: MemberId, note: &Bytes) {
        let Some((boot, number, mut rest)) = decode(note) else {
            tracing::warn!(node = self.config.node, %from, "a malformed note was ignored");
            return;
        };
        let asked = self.calls.waiting.get(&number).is_some_and(|waiter| waiter.to == from.node);
        if boot != self.boot || !asked {
            // Whoever asked has given up, or asked in an earlier start.
            return;
        }
        let code = rest.try_get_u8().ok();
        let how = How::ALL.into_iter().find(|how| code == Some(how.code()));
        let answer = match how {
            Some(How::Answered) => Ok(rest),
            Some(How::Unserved) => Err(CallFailed::Unserved),
            Some(How::Busy) => Err(CallFailed::Busy),
            None => Err(CallFailed::Broken),
        };
        if let Some(waiter) = self.calls.waiting.remove(&number) {
            let _ = waiter.reply.send(answer);
        }
    }

    /// A member is not reached any more: what it was asked may never be answered.
    pub(super) fn calls_broken(&mut self, peer: NodeId) {
        let gone = self.calls.waiting.extract_if(.., |_, waiter| waiter.to == peer);
        for (_, waiter) in gone {
            let _ = waiter.reply.send(Err(CallFailed::Broken));
        }
    }

    /// Callers that gave up are not waited for.
    pub(super) fn forget_calls(&mut self, now: u64) {
        self.calls.waiting.retain(|_, waiter| waiter.until >= now);
    }
}

/// Boot, number and the rest of a note.
fn decode(note: &Bytes) -> Option<(Boot, u64, Bytes)> {
    let mut rest = note.clone();
    rest.try_get_u8().ok()?;
    let boot = Boot(rest.try_get_u64_le().ok()?);
    Some((boot, rest.try_get_u64_le().ok()?, rest))
}
