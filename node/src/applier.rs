//! The task that owns the state: `Applier` applies what the driver hands it, answers whoever waits
//! for it here, shows the state to readers, and freezes and restores it, all in the order in which
//! it was handed over. However long a command takes, the driver goes on meanwhile.
//!
//! A quick state machine is applied on the runtime; once a batch has taken `SLOW_MS`, what follows
//! is applied on a thread where it may block, until it is quick again.

use crate::StateMachine;
use crate::backup::Copied;
use crate::driver::{Failed, Serve};
use crate::edges::Clock;
use crate::envelope::Envelope;
use crate::measures::Measures;
use crate::mutation::{Mutation, on};
use crate::node::Applied;
use crate::own;
use crate::replica::{Frozen, Outcome, Replica, Unreadable};
use holm_raft_core::{Index, LogTime, SnapshotMeta};
use holm_wal::Snapshot;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// From so many milliseconds on a batch was slow.
const SLOW_MS: u64 = 2;

/// What is handed over.
pub(crate) enum Work<S: StateMachine> {
    Apply(Batch<S>),
    /// Somebody wants to see the state.
    Read(Serve<S>),
    /// A snapshot is to be taken.
    Freeze(SnapshotMeta),
    /// The state after the entry that `meta` names is wanted elsewhere.
    Copy(SnapshotMeta, oneshot::Sender<Option<Copied<S::Snapshot>>>),
    /// The leader's snapshot takes the place of the state.
    Restore(Snapshot),
}

/// Committed commands, and up to which index they are all that there is.
pub(crate) struct Batch<S: StateMachine> {
    pub(crate) commands: Vec<Command<S>>,
    pub(crate) to: Index,
    /// When the last of the entries was appended, whatever it is.
    pub(crate) time: LogTime,
    /// What they weigh.
    pub(crate) bytes: u64,
}

/// A committed command.
pub(crate) struct Command<S: StateMachine> {
    pub(crate) index: Index,
    pub(crate) time: LogTime,
    pub(crate) envelope: Envelope,
    /// Who waits for it here.
    pub(crate) reply: Option<Reply<S>>,
}

pub(crate) type Reply<S> = oneshot::Sender<Result<Answered<<S as StateMachine>::Reply>, Failed>>;

/// What a proposal came to.
#[derive(Debug)]
pub(crate) enum Answered<R> {
    /// A command was applied.
    Applied(Applied<R>),
    /// One of Holm's own was.
    Own(Applied<own::Reply>),
    /// A session was opened.
    Opened(Index),
}

impl<R> Answered<R> {
    /// What a command was answered.
    pub(crate) fn applied(self) -> Applied<R> {
        match self {
            Self::Applied(applied) => applied,
            Self::Opened(_) | Self::Own(_) => unreachable!("a command of the state machine"),
        }
    }

    /// The session that was opened.
    pub(crate) fn opened(self) -> Index {
        match self {
            Self::Opened(session) => session,
            Self::Applied(_) | Self::Own(_) => unreachable!("opening a session is no command"),
        }
    }

    /// What one of Holm's own was answered.
    pub(crate) fn own(self) -> Applied<own::Reply> {
        match self {
            Self::Own(applied) => applied,
            Self::Applied(_) | Self::Opened(_) => unreachable!("a command of Holm's own"),
        }
    }
}

/// What the driver is told.
pub(crate) enum Report<S: StateMachine> {
    /// All up to an index is applied.
    Applied { to: Index, bytes: u64 },
    /// The state after the entry that `meta` names; encoding it is left to a thread.
    Frozen { meta: SnapshotMeta, state: Box<Frozen<S::Snapshot>> },
    /// It can't go on.
    Failed(Unreadable),
}

/// What both sides know.
#[derive(Clone, Default)]
pub(crate) struct Common {
    /// How many callers wait for what was handed over.
    pub(crate) callers: Arc<AtomicUsize>,
    /// What is not begun yet is left.
    pub(crate) stopping: Arc<AtomicBool>,
}

/// The state, and where work comes from.
pub(crate) struct Applier<S: StateMachine> {
    pub(crate) replica: Replica<S>,
    /// Up to where the state has applied the log.
    pub(crate) applied: Index,
    pub(crate) work: mpsc::UnboundedReceiver<Work<S>>,
    pub(crate) reports: mpsc::UnboundedSender<Report<S>>,
    pub(crate) common: Common,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) measures: Arc<Measures>,
}

/// How a batch went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Quick,
    Slow,
}

impl<S: StateMachine> Applier<S> {
    /// Works until the driver hands over nothing more, or it can't go on.
    pub(crate) async fn run(mut self) {
        let mut pace = Pace::Quick;
        while let Some(work) = self.work.recv().await {
            if pace == Pace::Slow {
                #[allow(
                    deprecated,
                    reason = "the simulator's tokio warns of it, and runs it inline"
                )]
                let blocking = tokio::task::spawn_blocking(move || {
                    let paces = self.take(work);
                    (self, paces)
                });
                // If it panicked there is no state any more: the driver sees the reports' end.
                let Ok((back, next)) = blocking.await else { return };
                (self, pace) = (back, next);
            } else {
                pace = self.take(work);
                if pace == Pace::Slow {
                    // Whoever was woken meanwhile may be waiting on this very thread.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn take(&mut self, work: Work<S>) -> Pace {
        if self.common.stopping.load(Ordering::Relaxed) {
            return Pace::Quick;
        }
        let begun = self.clock.now();
        let done = match work {
            Work::Apply(batch) => {
                let begun = Instant::now();
                let done = self.apply(batch);
                self.measures.applied(begun);
                done
            }
            Work::Read(serve) => {
                self.answered();
                serve(Ok((&self.replica.state, self.applied)));
                Ok(())
            }
            Work::Freeze(meta) => {
                self.report(Report::Frozen { meta, state: self.replica.freeze().into() });
                Ok(())
            }
            Work::Copy(mut meta, reply) => {
                if on(Mutation::BackupOfAnotherIndex) {
                    meta.last.index = meta.last.index.next();
                }
                // Whoever no longer listens has given it up.
                let _ = reply.send(Some(Copied { meta, state: self.replica.copy() }));
                Ok(())
            }
            Work::Restore(snapshot) => self.restore(&snapshot),
        };
        if let Err(error) = done {
            self.common.stopping.store(true, Ordering::Relaxed);
            self.report(Report::Failed(error));
        }
        if self.clock.now().saturating_sub(begun) >= SLOW_MS { Pace::Slow } else { Pace::Quick }
    }

    fn apply(&mut self, mut batch: Batch<S>) -> Result<(), Unreadable> {
        if batch.commands.len() > 1 && on(Mutation::AppliedOutOfOrder) {
            batch.commands.swap(0, 1);
        }
        for command in batch.commands {
            if self.common.stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Command { index, time, envelope, reply } = command;
            let outcome = self.replica.apply(&envelope, index, time)?;
            self.applied = index;
            if let Some(reply) = reply {
                self.answered();
                // A caller that no longer listens has given up waiting.
                let _ = reply.send(answer(outcome));
            }
        }
        self.applied = batch.to;
        self.replica.reached(batch.to, batch.time);
        self.report(Report::Applied { to: batch.to, bytes: batch.bytes });
        Ok(())
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Unreadable> {
        let last = snapshot.meta.last.index;
        self.replica.restore(&snapshot.data, last, snapshot.meta.time)?;
        self.applied = last;
        self.report(Report::Applied { to: last, bytes: 0 });
        Ok(())
    }

    fn answered(&self) {
        self.common.callers.fetch_sub(1, Ordering::Relaxed);
    }

    fn report(&self, report: Report<S>) {
        // The receiver is gone only if the driver is.
        let _ = self.reports.send(report);
    }
}

fn answer<R>(outcome: Outcome<R>) -> Result<Answered<R>, Failed> {
    match outcome {
        Outcome::Applied { reply, index } => Ok(Answered::Applied(Applied { reply, index })),
        Outcome::Own { reply, index } => Ok(Answered::Own(Applied { reply, index })),
        Outcome::Opened { session } => Ok(Answered::Opened(session)),
        Outcome::KeyReused => Err(Failed::KeyReused),
        Outcome::KeysFull { limit } => Err(Failed::KeysFull { limit }),
        Outcome::Fenced => Err(Failed::Fenced),
        Outcome::SessionExpired => Err(Failed::SessionExpired),
        Outcome::SessionsFull { limit } => Err(Failed::SessionsFull { limit }),
        // Its client has given up on it before.
        Outcome::Late => Err(Failed::Unknown),
    }
}
