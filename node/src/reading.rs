//! How the state is read: what a caller asks for (`ReadOptions`, `Consistency`) and sees (`Seen`),
//! and his closure on its way through attempts (`Reading`).

use crate::StateMachine;
use crate::driver::{Failed, Serve};
use holm_raft_core::Index;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// What a reader saw, and up to which index of the log the state was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<R> {
    /// What the closure returned.
    pub value: R,
    /// How new the state is.
    pub index: Index,
}

/// How new what is read has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// All that was answered anywhere before the call: by a round to a majority.
    #[default]
    Linearizable,
    /// The same, by the leader's lease where this member leads.
    Lease,
    /// Whatever is applied here.
    Local,
    /// What is applied here, once it is at least as new as this.
    From(Index),
}

/// How the state is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// How new it has to be.
    pub consistency: Consistency,
    /// How long to wait. `None`: [`Config::request_timeout`](crate::Config::request_timeout).
    pub timeout: Option<Duration>,
}

/// Where a reader's answer arrives, whichever attempt was served.
pub(crate) type Answer<R> = oneshot::Receiver<Seen<R>>;

type Look<S, R> = Box<dyn FnOnce(&S) -> R + Send>;

/// A reader's closure. It runs at most once, in whichever attempt is served first, and that may be
/// one that the caller does not wait for any more because it has made another.
pub(crate) struct Reading<S, R>(Arc<Mutex<Option<Once<S, R>>>>);

type Once<S, R> = (Look<S, R>, oneshot::Sender<Seen<R>>);

impl<S: StateMachine, R: Send + 'static> Reading<S, R> {
    pub(crate) fn new(read: impl FnOnce(&S) -> R + Send + 'static) -> (Answer<R>, Self) {
        let (tell, answer) = oneshot::channel();
        let read: Look<S, R> = Box::new(read);
        (answer, Self(Arc::new(Mutex::new(Some((read, tell))))))
    }

    /// An attempt, and where it is told why it was not served.
    pub(crate) fn serve(&self) -> (Serve<S>, oneshot::Receiver<Failed>) {
        let (refuse, refused) = oneshot::channel();
        let reading = Arc::clone(&self.0);
        let serve = move |state: Result<(&S, Index), Failed>| match state {
            Ok((state, index)) => {
                let first = reading.lock().ok().and_then(|mut reading| reading.take());
                if let Some((read, tell)) = first {
                    // A caller that no longer listens has given up waiting.
                    let _ = tell.send(Seen { value: read(state), index });
                }
            }
            Err(failed) => {
                let _ = refuse.send(failed);
            }
        };
        (Box::new(serve), refused)
    }
}

/// The answer, or why this attempt has none; nothing if the node has stopped.
pub(crate) async fn either<R>(
    answer: &mut Answer<R>,
    refused: oneshot::Receiver<Failed>,
) -> Result<Seen<R>, Option<Failed>> {
    tokio::select! {
        biased;
        Ok(seen) = &mut *answer => Ok(seen),
        Ok(failed) = refused => Err(Some(failed)),
        else => Err(None),
    }
}
