//! How a member's handle asks another member's node, and serves what others ask: `Node::call`,
//! `Node::status_of`, `Node::serve_calls`. The driver's side is `driver/calls.rs`.

use crate::StateMachine;
use crate::driver::{Asked, CALLS_ASKED_MAX, Call, CallFailed, CallRequest, Request, What, Whence};
use crate::node::Node;
use crate::status::Status;
use crate::wait::Wait;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The other member had no part in it.
    Refused(CallFailed),
    /// It may have acted on it.
    Unknown,
}

impl<S: StateMachine> Node<S> {
    /// Asks another member's node, once, and waits no longer than `within` for the answer. Dropping
    /// the future does not take the question back.
    pub(crate) async fn call(
        &self,
        to: u64,
        question: Bytes,
        within: Duration,
    ) -> Result<Bytes, NoAnswer> {
        self.call_for(What::Served, to, question, within).await
    }

    /// The status of another member, as it says itself within this time; or why it is not known.
    pub(crate) async fn status_of(&self, to: u64, within: Duration) -> Result<Status, String> {
        let answer = self.call_for(What::Status, to, Bytes::new(), within).await;
        let answer = answer.map_err(|failed| match failed {
            NoAnswer::Refused(CallFailed::Unreached) => "it is not connected".to_owned(),
            NoAnswer::Refused(_) => "it was not asked, for too much waits".to_owned(),
            NoAnswer::Unknown => format!("it has not answered within {within:?}"),
        })?;
        let status = postcard::from_bytes(&answer);
        status.map_err(|_| "it runs another version of holm".to_owned())
    }

    async fn call_for(
        &self,
        what: What,
        to: u64,
        question: Bytes,
        within: Duration,
    ) -> Result<Bytes, NoAnswer> {
        let wait = Wait::new(within);
        let (reply, answer) = oneshot::channel();
        let until = self.until(&wait);
        let call = Call { to, what, question, until, reply };
        self.ask(Request::Calls(CallRequest::Call(call)))
            .map_err(|_| NoAnswer::Refused(CallFailed::Busy))?;
        match wait.within(answer).await {
            Some(Ok(Ok(answer))) => Ok(answer),
            Some(Ok(Err(CallFailed::Broken))) | Some(Err(_)) | None => Err(NoAnswer::Unknown),
            Some(Ok(Err(failed))) => Err(NoAnswer::Refused(failed)),
        }
    }

    /// What other members ask comes out of this from now on, and nowhere else; at most
    /// `CALLS_ASKED_MAX` questions wait in it, and those beyond are refused.
    pub(crate) async fn serve_calls(&self) -> mpsc::Receiver<Asked> {
        let (served, asked) = mpsc::channel(CALLS_ASKED_MAX);
        self.tell_driver(CallRequest::Serve(served)).await;
        asked
    }

    /// Answers what was asked.
    pub(crate) async fn answer_call(&self, whence: Whence, answer: Bytes) {
        self.tell_driver(CallRequest::Answer(whence, answer)).await;
    }

    async fn tell_driver(&self, request: CallRequest) {
        // A driver that has ended serves nobody.
        let _ = self.requests.send(Request::Calls(request)).await;
    }
}
